#include "engine/context.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace even {
namespace {

constexpr std::size_t kIndexFrom = 8;  // below this many entries a scan beats a hash table

bool holds_something(const LeafDelta& leaf) {
  const auto live = [](const auto& entry) { return entry.live(); };
  return !leaf.siblings.empty() || std::any_of(leaf.integers.begin(), leaf.integers.end(), live) ||
         std::any_of(leaf.reals.begin(), leaf.reals.end(), live);
}

}  // namespace

KeyWriter::KeyWriter(std::string_view key, const Object* stored, const Object* visible,
                     const Stamp& stamp)
    : stored_(stored), object_(visible), stamp_(stamp) {
  delta_.key = key;
  // A key that is made anew starts from nothing: what is left of it (expired content, residue)
  // goes.
  if (object_ == nullptr) remove_all(stored_, delta_);
}

LeafDelta& KeyWriter::leaf(LeafKind kind, std::string_view field, bool* fresh) {
  if (fresh != nullptr) *fresh = false;
  if (delta_.leaves.size() < kIndexFrom) {
    for (LeafDelta& leaf : delta_.leaves) {
      if (leaf.kind == kind && leaf.field == field) return leaf;
    }
  } else {
    if (index_.empty()) {
      for (std::size_t i = 0; i < delta_.leaves.size(); ++i) {
        index_[{delta_.leaves[i].kind, delta_.leaves[i].field}] = i;
      }
    }
    const auto [at, inserted] = index_.try_emplace({kind, field}, delta_.leaves.size());
    if (!inserted) return delta_.leaves[at->second];
  }
  if (fresh != nullptr) *fresh = true;
  LeafDelta& leaf = delta_.leaves.emplace_back();
  leaf.kind = kind;
  leaf.field = field;
  return leaf;
}

bool KeyWriter::present(const LeafDelta& leaf, bool fresh, bool stored) const {
  // A full delta has removed whatever it does not mention.
  return fresh ? stored && !delta_.full : holds_something(leaf);
}

bool KeyWriter::stored_member(std::string_view member) const {
  return stored_ != nullptr && stored_->set && stored_->set->find(member) != nullptr;
}

const Scalar* KeyWriter::stored_field(std::string_view field) const {
  return stored_ != nullptr && stored_->hash ? stored_->hash->find(field) : nullptr;
}

void KeyWriter::write_scalar(LeafDelta& out, const Scalar* now, std::string_view value) {
  out.siblings.clear();
  out.integers.clear();
  out.reals.clear();
  out.partial = false;
  remove_scalar(now, out);
  out.siblings.push_back({stamp_.dot, stamp_.time, value, 0});
}

template <typename Number>
void KeyWriter::add_increment(const Counter<Number>* counter,
                              std::vector<CounterEntry<Number>>& out, Number by) {
  std::erase_if(out, [&](const auto& entry) { return entry.replica == stamp_.dot.replica; });
  static const Counter<Number> none;
  out.push_back((counter ? *counter : none)
                    .incremented(stamp_.dot.replica, stamp_.dot.seq, by, object_ == nullptr));
}

void KeyWriter::increment_scalar(LeafKind kind, std::string_view field, const Scalar* now,
                                 std::int64_t by) {
  LeafDelta& out = leaf(kind, field);
  out.partial = !delta_.full;
  const Scalar::Counters* counters = now ? now->counters.get() : nullptr;
  if (object_ != nullptr && counters != nullptr && counters->reals.live()) {
    // The sum of the integers alone may overflow although the number, of which they are a part,
    // does not.
    add_increment(&counters->reals, out.reals, static_cast<Real>(by));
    return;
  }
  add_increment(counters ? &counters->integers : nullptr, out.integers, by);
}

void KeyWriter::increment_scalar_to(LeafKind kind, std::string_view field, const Scalar* now,
                                    Real to) {
  LeafDelta& out = leaf(kind, field);
  out.partial = !delta_.full;
  const bool live = object_ != nullptr && now != nullptr && now->live();
  const Real by = live ? to - now->number().value_or(0) : to;
  add_increment(now && now->counters ? &now->counters->reals : nullptr, out.reals, by);
}

void KeyWriter::remove() {
  delta_.leaves.clear();
  index_.clear();
  remove_all(stored_, delta_);
}

void KeyWriter::set_string(std::string_view value, bool keep_expiry) {
  remove();
  if (keep_expiry && object_ != nullptr && object_->expiry) {
    LeafDelta& expiry = leaf(LeafKind::kExpiry, {});
    for (const ExpirySibling& sibling : *object_->expiry) {
      expiry.siblings.push_back({sibling.dot, sibling.time, {}, sibling.at_ms});
    }
  }
  write_scalar(leaf(LeafKind::kString, {}), stored_ ? &stored_->string : nullptr, value);
}

void KeyWriter::increment(std::int64_t by) {
  increment_scalar(LeafKind::kString, {}, stored_ ? &stored_->string : nullptr, by);
}
void KeyWriter::increment_real_to(Real to) {
  increment_scalar_to(LeafKind::kString, {}, stored_ ? &stored_->string : nullptr, to);
}

bool KeyWriter::set_field(std::string_view field, std::string_view value) {
  const Scalar* stored = stored_field(field);
  bool fresh = false;
  LeafDelta& out = leaf(LeafKind::kField, field, &fresh);
  const bool was_present = present(out, fresh, stored != nullptr && stored->live());
  write_scalar(out, stored, value);
  return !was_present;
}
void KeyWriter::increment_field(std::string_view field, std::int64_t by) {
  increment_scalar(LeafKind::kField, field, stored_field(field), by);
}
void KeyWriter::increment_field_real_to(std::string_view field, Real to) {
  increment_scalar_to(LeafKind::kField, field, stored_field(field), to);
}

bool KeyWriter::remove_field(std::string_view field) {
  const Scalar* stored = stored_field(field);
  bool fresh = false;
  LeafDelta& out = leaf(LeafKind::kField, field, &fresh);
  const bool was_present = present(out, fresh, stored != nullptr && stored->live());
  out.siblings.clear();
  out.integers.clear();
  out.reals.clear();
  out.partial = false;
  remove_scalar(stored, out);
  return was_present;
}

bool KeyWriter::add_member(std::string_view member) {
  bool fresh = false;
  LeafDelta& out = leaf(LeafKind::kMember, member, &fresh);
  const bool was_present = present(out, fresh, fresh && stored_member(member));
  out.siblings.clear();
  out.siblings.push_back({stamp_.dot, stamp_.time, {}, 0});
  return !was_present;
}
bool KeyWriter::remove_member(std::string_view member) {
  bool fresh = false;
  LeafDelta& out = leaf(LeafKind::kMember, member, &fresh);
  const bool was_present = present(out, fresh, fresh && stored_member(member));
  out.siblings.clear();
  return was_present;
}

void KeyWriter::expire_at(std::int64_t at_ms) {
  LeafDelta& out = leaf(LeafKind::kExpiry, {});
  out.siblings.clear();
  out.siblings.push_back({stamp_.dot, stamp_.time, {}, at_ms});
}
void KeyWriter::persist() { leaf(LeafKind::kExpiry, {}).siblings.clear(); }

const Context::Place& Context::locate(std::string_view key) const {
  if (last_.key.data() == key.data() && last_.key.size() == key.size() && !key.empty())
    return last_;
  last_.key = key;
  last_.partition = keyspace_.partition_of(key);
  last_.stored = keyspace_.state(last_.partition).find(key, hash64(key));
  const bool visible =
      last_.stored != nullptr && last_.stored->live() && !last_.stored->expired(now_ms);
  last_.visible = visible ? last_.stored : nullptr;
  return last_;
}

const Object* Context::find(std::string_view key) const { return locate(key).visible; }

bool Context::find(std::string_view key, ObjectType type, const Object*& out) const {
  out = find(key);
  if (out == nullptr || out->type() == type) return true;
  reply.error(kWrongType);
  return false;
}

Context::PartitionWrite& Context::partition_write(PartitionId partition) {
  for (const auto& write : writes_) {
    if (write->partition == partition) return *write;
  }
  PartitionWrite& write = *writes_.emplace_back(std::make_unique<PartitionWrite>());
  write.partition = partition;
  write.stamp = keyspace_.stamp(partition);
  return write;
}

KeyWriter& Context::write(std::string_view key) {
  const Place& place = locate(key);
  PartitionWrite& write = partition_write(place.partition);
  if (write.writers.size() < kIndexFrom) {
    for (const auto& writer : write.writers) {
      if (writer->delta_.key == key) return *writer;
    }
  } else {
    if (write.index.empty()) {
      for (const auto& writer : write.writers) write.index[writer->delta_.key] = writer.get();
    }
    if (auto at = write.index.find(key); at != write.index.end()) return *at->second;
  }
  KeyWriter& writer =
      *write.writers.emplace_back(new KeyWriter(key, place.stored, place.visible, write.stamp));
  if (!write.index.empty()) write.index[key] = &writer;
  return writer;
}

void Context::flush_all() {
  for (PartitionId partition : keyspace_.partitions()) {
    const PartitionState& state = keyspace_.state(partition);
    if (state.objects().empty()) continue;
    PartitionWrite& write = partition_write(partition);
    write.delta.full = true;
    state.objects().for_each([&write](std::string_view key, const Object& object) {
      KeyDelta removal;
      removal.key = key;
      remove_all(&object, removal);
      if (!removal.leaves.empty()) write.delta.keys.push_back(std::move(removal));
    });
  }
}

Context::Writes& Context::finish() {
  for (const auto& write : writes_) {
    for (const auto& writer : write->writers)
      write->delta.keys.push_back(std::move(writer->delta_));
  }
  return writes_;
}

}  // namespace even
