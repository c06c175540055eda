#include "replica/state_encoder.h"

#include <limits>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"

namespace even {

StateEncoder::StateEncoder(PartitionId partition, PartitionState& state) : state_(&state) {
  head_.partition = partition;
  head_.context = state.vector();
  builder_.add_nothing();
  state.add_reader(*this);
}

StateEncoder::~StateEncoder() { leave(); }

void StateEncoder::leave() {
  if (state_ != nullptr) state_->remove_reader(*this);
  state_ = nullptr;
}

bool StateEncoder::step(std::size_t max_bytes) {
  if (state_ == nullptr) return false;
  const std::size_t enough = builder_.bytes() + max_bytes;
  bool more = false;
  std::uint64_t last = 0;
  try {
    state_->scan(cursor_, [&](std::uint64_t hash, std::string_view key, const Object& object) {
      // Those of one hash belong together.
      if (builder_.bytes() >= enough && hash != last) {
        cursor_ = hash;
        more = true;
        return false;
      }
      last = hash;
      if (passed_.empty() || !passed_.contains(key)) put(key, object);
      return true;
    });
  } catch (const Unreadable&) {
    failed_ = true;
  }
  if (more && !failed_) return true;
  leave();
  return false;
}

void StateEncoder::put(std::string_view key, const Object& object) {
  if (object.empty()) return;
  KeyDelta delta;
  delta.key = key;
  describe(object, delta);
  builder_.add(delta, {}, {});
}

void StateEncoder::before_join(const Delta& delta) {
  if (EVEN_MUTANT(kGroupStateTorn)) return;
  if (delta.full) {
    (void)step(std::numeric_limits<std::size_t>::max() / 2);
    return;
  }
  try {
    for (const KeyDelta& key : delta.keys) {
      const std::uint64_t hash = hash64(key.key);
      if (hash < cursor_ || !passed_.emplace(std::string(key.key)).second) continue;
      if (const Object* object = state_->find(key.key, hash)) put(key.key, *object);
    }
  } catch (const Unreadable&) {
    failed_ = true;
    leave();
  }
}

void StateEncoder::before_forget() {
  state_ = nullptr;
  failed_ = true;
}

std::string StateEncoder::take() {
  EVEN_CHECK(state_ == nullptr && !failed_, "all of the state has been encoded");
  std::string bytes;
  builder_.finish(head_, true, bytes);
  return bytes;
}

}  // namespace even
