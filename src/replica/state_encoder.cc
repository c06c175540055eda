#include "replica/state_encoder.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mutant.h"

namespace even {
namespace {

// A part of a state, about: what a piece has.
constexpr std::size_t kPartBytes = 256 << 10;
// To hash takes so much less than to encode.
constexpr std::size_t kHashedPerEncoded = 32;

}  // namespace

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
  if (failed_) return false;
  if (!ended_) {
    encode(max_bytes);
    if (failed_) return false;
    if (!ended_) return true;
  }
  return add_to_checksum(max_bytes * kHashedPerEncoded);
}

void StateEncoder::encode(std::size_t max_bytes) {
  const std::uint64_t enough = bytes() + max_bytes;
  bool more = false;
  std::uint64_t last = 0;
  try {
    state_->scan(cursor_, [&](std::uint64_t hash, std::string_view key, const Object& object) {
      // Those of one hash belong together.
      if (bytes() >= enough && hash != last) {
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
  if (more && !failed_) return;
  leave();
  if (!failed_) end();
}

// How many keys there are is known now, and comes before them.
void StateEncoder::end() {
  end_part();
  RecordBuilder none;
  none.add_nothing();
  std::string front;
  none.finish(head_, true, front);
  front.back() = '\xdd';  // an array of so many, in place of an empty one
  put_big_endian(front, static_cast<std::uint32_t>(keys_));
  StateBytes whole(std::move(front));
  for (std::string& part : bytes_.take_parts()) whole.add(std::move(part));
  bytes_ = std::move(whole);
  ended_ = true;
}

bool StateEncoder::add_to_checksum(std::size_t max_bytes) {
  std::size_t added = 0;
  for (; hashed_ < bytes_.parts().size(); ++hashed_) {
    if (added > max_bytes) return true;
    hash_.add(bytes_.parts()[hashed_]);
    added += bytes_.parts()[hashed_].size();
  }
  return false;
}

void StateEncoder::end_part() {
  const std::size_t keys_bytes = builder_.bytes();
  if (keys_bytes == 0) return;
  std::string part;
  builder_.finish(head_, true, part);
  part.erase(0, part.size() - keys_bytes);
  bytes_.add(std::move(part));
}

void StateEncoder::put(std::string_view key, const Object& object) {
  if (object.empty()) return;
  KeyDelta delta;
  delta.key = key;
  describe(object, delta);
  builder_.add(delta, {}, {});
  ++keys_;
  if (builder_.bytes() >= kPartBytes) end_part();
}

void StateEncoder::before_join(const Delta& delta) {
  if (EVEN_MUTANT(kGroupStateTorn)) return;
  if (delta.full) return encode(std::numeric_limits<std::size_t>::max() / 2);
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

void StateBytes::add(std::string part) {
  if (part.empty()) return;
  ends_.push_back(size() + part.size());
  parts_.push_back(std::move(part));
}

std::string_view StateBytes::at(std::uint64_t offset, std::size_t most) const {
  const auto end = std::ranges::upper_bound(ends_, offset);
  const std::string& part = parts_[static_cast<std::size_t>(end - ends_.begin())];
  return std::string_view(part).substr(offset + part.size() - *end, most);
}

std::vector<std::string> StateBytes::take_parts() {
  ends_.clear();
  return std::exchange(parts_, {});
}

std::string StateBytes::take_whole() {
  std::string whole;
  for (const std::string& part : take_parts()) whole += part;
  return whole;
}

}  // namespace even
