#include "engine/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/hash.h"

namespace even {
namespace {

constexpr std::size_t kMostReserved = 64 << 20;

}  // namespace

void begin_list(Reply& reply, Lists lists, std::size_t elements) {
  if (lists == Lists::kFieldsAndValues) return reply.map(elements);
  if (lists == Lists::kMembers) return reply.set(elements);
  reply.array(elements);
}

void list_field(Reply& reply, Lists lists, std::string_view field, const ScalarView& value) {
  if (lists != Lists::kValues) reply.bulk(field);
  if (lists == Lists::kFields) return;
  std::string scratch;
  reply.bulk(value.value(scratch));
}

bool Listing::applies(const Object* object, Lists lists, std::size_t step) {
  if (object == nullptr || lists == Lists::kNothing) return false;
  if (lists == Lists::kString) {
    std::string scratch;
    return object->type() == ObjectType::kString && object->string().value(scratch).size() > step;
  }
  if (lists == Lists::kMembers) {
    return object->type() == ObjectType::kSet && object->set().size() > step;
  }
  // Fields that expire meanwhile could not be told from those that go.
  return object->type() == ObjectType::kHash && object->hash().live() > step &&
         !object->field_expiries();
}

Listing::Listing(PartitionState& state, std::string_view key, Lists lists, std::size_t step,
                 bool resp3)
    : state_(&state),
      key_(key),
      hash_(hash64(key)),
      lists_(lists),
      step_(step),
      reply_(out_, resp3) {
  const Object* object = state.find(key_, hash_);
  EVEN_CHECK(applies(object, lists, step), "a collection that is listed in steps is large");
  state.add_reader(*this);
  if (is_string()) {
    std::string scratch;
    left_ = object->string().value(scratch).size();
    // Pages are there when they are written to: one step at a time.
    out_.reserve(left_ + 32);
    reply_.begin_bulk(left_);
    return;
  }
  left_ = is_hash() ? object->hash().live() : object->set().size();
  begin_list(reply_, lists, left_);
}

Listing::~Listing() {
  if (state_ != nullptr) state_->remove_reader(*this);
}

bool Listing::step() {
  const bool first = cursor_ == 0 && !is_string();
  const std::size_t all = left_;
  list(step_);
  if (first && left_ > 0 && left_ < all) {
    // So that the reply is not copied each time that it has outgrown its memory. The first elements
    // may be far larger than the others.
    const std::size_t expected = out_.size() / (all - left_) * (all + all / 16);
    out_.reserve(std::min(expected, kMostReserved));
  }
  return state_ != nullptr;
}

void Listing::list(std::size_t limit) {
  if (state_ == nullptr) return;
  try {
    if (is_string()) return list_string(limit);
    with_view([&](const auto& view) { list(view, limit); });
  } catch (const Unreadable& error) {
    fail(error.what());
  }
}

void Listing::list_string(std::size_t limit) {
  const Object* object = state_->find(key_, hash_);
  EVEN_CHECK(object != nullptr, "before a string goes, it is listed");
  std::string scratch;
  const std::string_view value = object->string().value(scratch);
  const std::size_t part = std::min(limit, left_);
  out_.append(value.substr(value.size() - left_, part));
  left_ -= part;
  if (left_ > 0) return;
  out_.append("\r\n");
  end();
}

template <typename View>
void Listing::list(const View& view, std::size_t limit) {
  const auto [more, next] = view.scan(cursor_, [&](const auto& entry) {
    if (passed_.empty() || !passed_.contains(entry.name)) put(entry);
    return --limit > 0;
  });
  cursor_ = next;
  if (!more) end();
}

void Listing::before_join(const Delta& delta) {
  for (const KeyDelta& key : delta.keys) {
    if (state_ == nullptr || key.key != key_ || delta.full) continue;
    if (key.full) return list(std::numeric_limits<std::size_t>::max());
    for (const LeafDelta& leaf : key.leaves) {
      if (is_string()) {
        const bool of_string = leaf.kind == LeafKind::kString || leaf.kind == LeafKind::kBound;
        if (of_string) list(std::numeric_limits<std::size_t>::max());
        continue;
      }
      if (leaf.kind == (is_hash() ? LeafKind::kField : LeafKind::kMember)) list_before_change(leaf);
    }
  }
  if (delta.full) list(std::numeric_limits<std::size_t>::max());
}

void Listing::list_before_change(const LeafDelta& leaf) {
  const std::uint64_t hash = leaf.field_hash();
  if (state_ == nullptr || hash < cursor_ || !passed_.emplace(leaf.field).second) return;
  try {
    with_view([&](const auto& view) {
      if constexpr (std::is_same_v<decltype(view), const HashView&>) {
        put(HashView::Entry{leaf.field, view.find(leaf.field, hash)});
      } else if (view.contains(leaf.field, hash)) {
        put(SetView::Entry{leaf.field});
      }
    });
  } catch (const Unreadable& error) {
    fail(error.what());
  }
}

void Listing::put(const HashView::Entry& field) {
  if (!field.scalar.live()) return;
  list_field(reply_, lists_, field.name, field.scalar);
  --left_;
}

void Listing::put(const SetView::Entry& member) {
  reply_.bulk(member.name);
  --left_;
}

void Listing::end() {
  EVEN_CHECK(left_ == 0, "a listing has all elements that were there when it began");
  state_->remove_reader(*this);
  state_ = nullptr;
}

void Listing::before_forget() {
  state_ = nullptr;
  fail("what is listed has been lost on the way");
}

void Listing::fail(std::string_view why) {
  out_.clear();
  reply_.error(fmt::format("IOERR {}", why));
  if (state_ != nullptr) state_->remove_reader(*this);
  state_ = nullptr;
}

template <typename Read>
void Listing::with_view(Read read) {
  const Object* object = state_->find(key_, hash_);
  if (is_hash()) {
    const HashView view = object == nullptr ? HashView() : object->hash();
    read(view);
  } else {
    const SetView view = object == nullptr ? SetView() : object->set();
    read(view);
  }
}

}  // namespace even
