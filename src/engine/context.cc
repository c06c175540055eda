#include "engine/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/mutant.h"
#include "base/reserved.h"
#include "lattice/types/position.h"

namespace even {
namespace {

// Of a string in a keyspace that keeps siblings.
constexpr std::size_t kMostSiblings = 16;
constexpr std::size_t kMostSiblingBytes = 1 << 20;
constexpr std::size_t kIndexFrom = 8;  // below this many entries a scan beats a hash table

// Redis, too, knows one zero only in its compact form.
double without_sign_of_zero(double score) { return score == 0 ? 0 : score; }

bool holds_something(const LeafDelta& leaf) {
  const auto live = [](const auto& entry) { return entry.live(); };
  return !leaf.siblings.empty() || std::any_of(leaf.integers.begin(), leaf.integers.end(), live) ||
         std::any_of(leaf.reals.begin(), leaf.reals.end(), live);
}

}  // namespace

KeyWriter::KeyWriter(std::string_view key, std::uint64_t hash, const Object* stored,
                     const Object* visible, const Lookup* lookup, Record& record, Context& context)
    : stored_(stored),
      object_(visible),
      lookup_(lookup),
      record_(record),
      context_(context),
      dot_(record.dot()),
      place_(record.delta.keys.size()) {
  KeyDelta& delta = record.delta.keys.emplace_back();
  delta.key = key;
  delta.known_hash = hash;
  // A key that is made anew starts from nothing: what is left of it (expired content, residue)
  // goes.
  if (object_ == nullptr) remove_all(stored_, delta);
}

LeafDelta* KeyWriter::find_leaf(LeafKind kind, std::string_view field) {
  auto& leaves = delta().leaves;
  if (leaves.size() < kIndexFrom) {
    for (LeafDelta& leaf : leaves) {
      if (leaf.kind == kind && leaf.field == field) return &leaf;
    }
    return nullptr;
  }
  if (index_.empty()) {
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      index_[{leaves[i].kind, leaves[i].field}] = i;
    }
  }
  const auto at = index_.find({kind, field});
  return at == index_.end() ? nullptr : &leaves[at->second];
}

LeafDelta& KeyWriter::leaf(LeafKind kind, std::string_view field, bool* fresh) {
  LeafDelta* found = find_leaf(kind, field);
  if (fresh != nullptr) *fresh = found == nullptr;
  if (found != nullptr) return *found;
  auto& leaves = delta().leaves;
  if (!index_.empty()) index_[{kind, field}] = leaves.size();
  LeafDelta& leaf = leaves.emplace_back();
  leaf.kind = kind;
  leaf.field = field;
  if (is_element(kind)) {
    const bool known = lookup_ != nullptr && lookup_->knows_element(field);
    leaf.known_hash = known ? lookup_->element_hash : hash64(field);
  }
  return leaf;
}

bool KeyWriter::present(const LeafDelta& leaf, bool fresh, bool stored) {
  // A full delta has removed whatever it does not mention.
  return fresh ? stored && !delta().full : holds_something(leaf);
}

bool KeyWriter::stored_member(const LeafDelta& member) const {
  return stored_ != nullptr && stored_->set().contains(member.field, member.field_hash());
}

ScalarView KeyWriter::stored_field(const LeafDelta& field) const {
  if (stored_ == nullptr) return {};
  return stored_->fields(field.kind).find(field.field, field.field_hash());
}

void KeyWriter::write_scalar(LeafDelta& out, const ScalarView& now, std::string_view value) {
  out.siblings.clear();
  out.integers.clear();
  out.reals.clear();
  out.partial = false;
  remove_scalar(now, out);
  out.siblings.push_back({dot_, record_.time, value, 0});
}

// Where it belongs in memory is a cache miss or two, which the steps until then wait for.
void KeyWriter::set_register(LeafKind kind, std::string_view field, std::string_view value) {
  LeafDelta& out = leaf(kind, field);
  if (stored_ != nullptr) {
    stored_->prefetch_bucket(out.known_hash);
    unsought_ = true;
  }
  write_scalar(out, {}, value);
}

void KeyWriter::look_ahead() const {
  if (!unsought_) return;
  for (const LeafDelta& leaf : delta().leaves) stored_->prefetch_node(leaf.known_hash);
}

template <typename Number>
void KeyWriter::add_increment(const CounterView<Number>& counter, CounterDeltas<Number>& out,
                              Number by, bool anew) {
  const auto mine = [this](const auto& entry) { return entry.replica == dot_.replica; };
  out.erase(std::remove_if(out.begin(), out.end(), mine), out.end());
  out.push_back(counter.incremented(dot_.replica, dot_.seq, by, anew));
}

void KeyWriter::increment_scalar(LeafDelta& out, const ScalarView& now, std::int64_t by,
                                 bool anew) {
  out.partial = !delta().full && !anew;
  if (!anew && now.reals().live()) {
    // The sum of the integers alone may overflow although the number, of which they are a part,
    // does not.
    return add_increment(now.reals(), out.reals, static_cast<Real>(by), anew);
  }
  add_increment(now.integers(), out.integers, by, anew);
}

void KeyWriter::increment_scalar_to(LeafDelta& out, const ScalarView& now, Real to, bool anew) {
  out.partial = !delta().full && !anew;
  const bool live = !anew && now.live();
  const Real by = live ? to - now.number().value_or(0) : to;
  add_increment(now.reals(), out.reals, by, anew);
}

void KeyWriter::remove() {
  delta().leaves.clear();
  index_.clear();
  remove_all(stored_, delta());
}

void KeyWriter::set_string(std::string_view value, bool keep_expiry) {
  const BoundedCounter* counter = object_ == nullptr ? nullptr : object_->bounded();
  if (counter == nullptr) {
    const ScalarView now = stored_string();
    const bool keeps = object_ != nullptr && now.sibling_count() > 1 &&
                       context_.keyspace().keeps_siblings(delta().key);
    if (!keeps || EVEN_MUTANT(kSiblingSupersededUnseen)) return set_unbounded(value, keep_expiry);
    // All that its client can have seen.
    const Dot shown = now.winner()->dot;
    return resolve([shown](const Dot& dot) { return dot == shown; }, value, keep_expiry);
  }
  const bool is_max = counter->number.is_max;
  const std::int64_t bound = counter->bound();
  const std::optional<std::int64_t> number = parse_integer(value);
  if (!number || (is_max ? *number > bound : *number < bound)) {
    return context_.refuse(fmt::format(
        "ERR a bounded counter takes integers {} {} only: EVEN.BOUND key NONE takes the bound away",
        is_max ? "up to" : "from", bound));
  }
  set_bounded(is_max, bound, *number, keep_expiry);
}

void KeyWriter::set_bounded(bool is_max, std::int64_t bound, std::int64_t value, bool keep_expiry) {
  clear(keep_expiry);
  const BoundedNumber number{is_max, bound, value, {}};
  LeafDelta& out = leaf(LeafKind::kBound, {});
  out.siblings.clear();
  out.partial = false;
  out.siblings.push_back({dot_, record_.time, bounded_.emplace_back(encode_bounded(number)), 0});
}

void KeyWriter::change_bounded(std::int64_t by, std::int64_t move) {
  const BoundedCounter& counter = *object_->bounded();
  const BoundEntry* mine = counter.number.find(dot_.replica);
  BoundedNumber changed{counter.number.is_max, counter.number.limit, counter.number.base, {}};
  BoundEntry& entry = changed.entries.emplace_back();
  if (mine != nullptr) entry = *mine;
  entry.replica = dot_.replica;
  entry.seq = dot_.seq;
  entry.sum += by;
  // Of a change of more than 64 bits its lower 64 are given: the outcome has room.
  entry.moved = static_cast<std::int64_t>(static_cast<std::uint64_t>(entry.moved) +
                                          static_cast<std::uint64_t>(move));
  LeafDelta& out = leaf(LeafKind::kBound, {});
  out.partial = true;
  out.siblings.clear();
  out.siblings.push_back(
      {counter.dot, counter.time, bounded_.emplace_back(encode_bounded(changed)), 0});
}

void KeyWriter::resolve(const std::function<bool(const Dot&)>& seen, std::string_view value,
                        bool keep_expiry) {
  const ScalarView now = object_ == nullptr ? ScalarView() : stored_string();
  std::vector<SiblingView> kept;
  std::size_t bytes = value.size();
  now.for_each_sibling([&](const SiblingView& sibling) {
    if (seen(sibling.dot) || EVEN_MUTANT(kSiblingSupersededUnseen)) return;
    kept.push_back(sibling);
    bytes += sibling.value.size();
  });
  if (!kept.empty() && (kept.size() >= kMostSiblings || bytes > kMostSiblingBytes)) {
    return context_.refuse(fmt::format(
        "ERR the key would have {} values of {} bytes in all that were written at the same time, "
        "and "
        "can have {} of {}: EVEN.SIBLINGS shows those there are, EVEN.RESOLVE replaces them",
        kept.size() + 1, bytes, kMostSiblings, kMostSiblingBytes));
  }
  set_unbounded(value, keep_expiry);
  LeafDelta& out = leaf(LeafKind::kString, {});
  out.siblings.insert(out.siblings.end(), kept.begin(), kept.end());
}

void KeyWriter::set_unbounded(std::string_view value, bool keep_expiry) {
  clear(keep_expiry);
  write_scalar(leaf(LeafKind::kString, {}), stored_string(), value);
}

void KeyWriter::clear(bool keep_expiry) {
  remove();
  if (keep_expiry && object_ != nullptr && object_->expiry() != nullptr) {
    LeafDelta& expiry = leaf(LeafKind::kExpiry, {});
    for (const ExpirySibling& sibling : *object_->expiry()) {
      expiry.siblings.push_back({sibling.dot, sibling.time, {}, sibling.at_ms});
    }
  }
}

void KeyWriter::increment(std::int64_t by) {
  increment_scalar(leaf(LeafKind::kString, {}), stored_string(), by, object_ == nullptr);
}
void KeyWriter::increment_real_to(Real to) {
  increment_scalar_to(leaf(LeafKind::kString, {}), stored_string(), to, object_ == nullptr);
}

void KeyWriter::note_removed() {
  ++removed_;
  if (object_ == nullptr || object_->in_type_conflict()) return;
  if (object_->expiry() == nullptr && !object_->field_expiries()) return;
  const std::size_t elements = object_->set().size() + object_->hash().live() +
                               object_->sorted_set().live() + object_->list().live() +
                               object_->stream().live();
  if (removed_ < elements) return;  // never fewer than are gone, so that looking pays
  std::size_t gone = 0;
  for (const LeafDelta& leaf : delta().leaves) {
    if (holds_something(leaf)) return;
    if (leaf.kind == LeafKind::kMember && stored_member(leaf)) ++gone;
    const bool field = is_element(leaf.kind) && leaf.kind != LeafKind::kMember &&
                       leaf.kind != LeafKind::kFieldExpiry;
    if (field && stored_field(leaf).live()) ++gone;
  }
  if (gone == elements) remove();
}

bool KeyWriter::set_scalar(LeafKind kind, std::string_view field, std::string_view value) {
  bool fresh = false;
  LeafDelta& out = leaf(kind, field, &fresh);
  const ScalarView stored = stored_field(out);
  const bool lapsed = kind == LeafKind::kField && field_has_lapsed(out);
  const bool was_present = present(out, fresh, stored.live() && !lapsed);
  write_scalar(out, stored, value);
  return !was_present;
}
bool KeyWriter::set_field(std::string_view field, std::string_view value) {
  forget_field_expiry(field);
  return set_scalar(LeafKind::kField, field, value);
}
bool KeyWriter::set_field_and_keep_expiry(std::string_view field, std::string_view value) {
  const bool added = set_scalar(LeafKind::kField, field, value);
  if (added) forget_field_expiry(field);
  return added;
}
void KeyWriter::add_fresh_field(std::string_view field, std::string_view value) {
  if (stored_ == nullptr) delta().full = false;
  write_scalar(leaf(LeafKind::kField, field), {}, value);
}
void KeyWriter::increment_field(std::string_view field, std::int64_t by) {
  LeafDelta& out = leaf(LeafKind::kField, field);
  const bool anew = renew_field(out);
  increment_scalar(out, stored_field(out), by, anew);
  if (anew) forget_field_expiry(field);
}
void KeyWriter::increment_field_real_to(std::string_view field, Real to) {
  LeafDelta& out = leaf(LeafKind::kField, field);
  const bool anew = renew_field(out);
  increment_scalar_to(out, stored_field(out), to, anew);
  if (anew) forget_field_expiry(field);
}

bool KeyWriter::remove_element_scalar(LeafKind kind, std::string_view field) {
  bool fresh = false;
  LeafDelta& out = leaf(kind, field, &fresh);
  const ScalarView stored = stored_field(out);
  const bool stored_live = stored.live();
  const bool was_present = present(out, fresh, stored_live);
  out.siblings.clear();
  out.integers.clear();
  out.reals.clear();
  out.partial = false;
  remove_scalar(stored, out);
  if (stored_live && was_present && !delta().full) note_removed();
  return was_present;
}

bool KeyWriter::field_has_lapsed(const LeafDelta& field) const {
  if (stored_ == nullptr || !stored_->first_field_expiry_ms()) return false;
  const ScalarView expiry = stored_->field_expiries().find(field.field, field.field_hash());
  return expiry.live() && instant_of(expiry) <= context_.now_ms;
}

void KeyWriter::forget_field_expiry(std::string_view field) {
  const bool stored = stored_ != nullptr && !delta().full && stored_->first_field_expiry_ms() &&
                      !stored_->field_expiries().find(field).empty();
  if (stored) {
    leaf(LeafKind::kFieldExpiry, field).siblings.clear();
  } else if (LeafDelta* written = find_leaf(LeafKind::kFieldExpiry, field)) {
    written->siblings.clear();
  }
}

bool KeyWriter::renew_field(LeafDelta& out) {
  if (object_ == nullptr) return true;
  // What this command has written is there.
  if (!field_has_lapsed(out) || holds_something(out)) return false;
  out.integers.clear();
  out.reals.clear();
  remove_scalar(stored_field(out), out);
  return true;
}

void KeyWriter::expire_field(std::string_view field, std::int64_t at_ms) {
  LeafDelta& out = leaf(LeafKind::kFieldExpiry, field);
  out.siblings.clear();
  out.siblings.push_back({dot_, record_.time, kept(static_cast<double>(at_ms)), 0});
}
void KeyWriter::persist_field(std::string_view field) { forget_field_expiry(field); }

bool KeyWriter::remove_field(std::string_view field) {
  forget_field_expiry(field);
  return remove_element_scalar(LeafKind::kField, field);
}

bool KeyWriter::set_score(std::string_view member, double score) {
  return set_scalar(LeafKind::kScore, member, kept(without_sign_of_zero(score)));
}
bool KeyWriter::remove_score(std::string_view member) {
  return remove_element_scalar(LeafKind::kScore, member);
}

void KeyWriter::increment_score_to(std::string_view member, double to) {
  LeafDelta& out = leaf(LeafKind::kScore, member);
  const ScalarView now = stored_field(out);
  const bool live = object_ != nullptr && now.live();
  const std::optional<Real> from = live ? exact_score_of(now) : Real{};
  // What no sum can be becomes the register's.
  if (!from || !std::isfinite(to)) return write_scalar(out, now, kept(to));
  const Real by = static_cast<Real>(to) - *from;
  // Whole numbers take a quarter of the memory that others do.
  constexpr Real kWhole = Real{1LL << 53};
  const bool whole = by >= -kWhole && by <= kWhole &&
                     by == static_cast<Real>(static_cast<std::int64_t>(by)) &&
                     static_cast<Real>(to) >= -kWhole && static_cast<Real>(to) <= kWhole;
  const auto* mine = now.integers().find(dot_.replica);
  std::int64_t sum = 0;
  if (whole && !(live && now.reals().live()) &&
      !__builtin_add_overflow(mine != nullptr ? mine->sum : 0, static_cast<std::int64_t>(by),
                              &sum)) {
    out.partial = !delta().full;
    return add_increment(now.integers(), out.integers, static_cast<std::int64_t>(by),
                         object_ == nullptr);
  }
  // Nor what is lost in the rounding of a large sum, which others may have brought back to nothing.
  const auto* real = now.reals().find(dot_.replica);
  const Real before = real != nullptr ? real->sum : Real{};
  if ((before + by) - before != by) return write_scalar(out, now, kept(to));
  out.partial = !delta().full;
  add_increment(now.reals(), out.reals, by, object_ == nullptr);
}

std::optional<double> KeyWriter::score(std::string_view member) {
  if (const LeafDelta* mentioned = find_leaf(LeafKind::kScore, member)) {
    if (mentioned->siblings.empty()) return std::nullopt;
    return score_in(mentioned->siblings[0].value);
  }
  if (object_ == nullptr || delta().full) return std::nullopt;
  const bool known = lookup_ != nullptr && lookup_->knows_element(member);
  const ScalarView stored =
      object_->sorted_set().find(member, known ? lookup_->element_hash : hash64(member));
  return stored.live() ? std::optional(score_of(stored)) : std::nullopt;
}

std::string_view KeyWriter::insert_item(std::string_view left, std::string_view right,
                                        std::string_view value) {
  const std::string& position = positions_.emplace_back(position_between(left, right, dot_));
  set_register(LeafKind::kItem, position, value);
  return position;
}
void KeyWriter::set_item(std::string_view position, std::string_view value) {
  set_register(LeafKind::kItem, position, value);
}
void KeyWriter::remove_item(std::string_view position) {
  bool fresh = false;
  leaf(LeafKind::kItem, position, &fresh);
  if (!fresh) {
    remove_element_scalar(LeafKind::kItem, position);
  } else if (!delta().full) {
    note_removed();
  }
}

void KeyWriter::set_stream_field(std::string_view name, std::string_view value) {
  set_register(LeafKind::kEntry, name, value);
}
bool KeyWriter::remove_stream_field(std::string_view name) {
  return remove_element_scalar(LeafKind::kEntry, name);
}

bool KeyWriter::add_member(std::string_view member) {
  bool fresh = false;
  LeafDelta& out = leaf(LeafKind::kMember, member, &fresh);
  const bool was_present = present(out, fresh, fresh && stored_member(out));
  out.siblings.clear();
  out.siblings.push_back({dot_, record_.time, {}, 0});
  return !was_present;
}
bool KeyWriter::remove_member(std::string_view member) {
  bool fresh = false;
  LeafDelta& out = leaf(LeafKind::kMember, member, &fresh);
  const bool stored = stored_member(out);
  const bool was_present = present(out, fresh, stored);
  out.siblings.clear();
  if (stored && was_present && !delta().full) note_removed();
  return was_present;
}

void KeyWriter::expire_at(std::int64_t at_ms) {
  LeafDelta& out = leaf(LeafKind::kExpiry, {});
  out.siblings.clear();
  out.siblings.push_back({dot_, record_.time, {}, at_ms});
}
void KeyWriter::persist() { leaf(LeafKind::kExpiry, {}).siblings.clear(); }

const Context::Place& Context::locate(std::string_view key) const {
  if (last_.key.data() == key.data() && last_.key.size() == key.size() && !key.empty())
    return last_;
  last_.key = key;
  const bool known = lookup_ != nullptr && lookup_->knows_key(key);
  last_.partition = known ? lookup_->partition : keyspace_.partition_of(key);
  last_.hash = known ? lookup_->key_hash : hash64(key);
  last_.stored = keyspace_.state(last_.partition).find(key, last_.hash);
  const bool visible =
      last_.stored != nullptr && last_.stored->live() && !last_.stored->expired(now_ms);
  last_.visible = visible ? last_.stored : nullptr;
  return last_;
}

const Object* Context::find(std::string_view key) const {
  const Object* object = locate(key).visible;
  if (counts_reads_) ++(object != nullptr ? hits_ : misses_);
  return object;
}

bool Context::find(std::string_view key, ObjectType type, const Object*& out) const {
  out = find(key);
  if (out == nullptr || out->type() == type) return true;
  reply.error(kWrongType);
  return false;
}

Context::PartitionWrite& Context::partition_write(PartitionId partition,
                                                  const WriteIntent& intent) {
  for (PartitionWrite& write : writes_) {
    if (write.record.partition == partition) return write;
  }
  return writes_.emplace_back(keyspace_.begin(partition, intent));
}

KeyWriter& Context::write(std::string_view key) {
  const Place& place = locate(key);
  PartitionWrite& write = partition_write(
      place.partition, {place.hash, place.visible == nullptr, elements_, step_, lookup_, fresh_});
  const auto& keys = write.record.delta.keys;  // the writers' in the same order
  if (keys.size() < kIndexFrom) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].key == key) return write.writers[i];
    }
  } else {
    if (write.index.empty()) {
      for (std::size_t i = 0; i < keys.size(); ++i) write.index[keys[i].key] = &write.writers[i];
    }
    if (auto at = write.index.find(key); at != write.index.end()) return *at->second;
  }
  KeyWriter& writer = write.writers.emplace_back(key, place.hash, place.stored, place.visible,
                                                 lookup_, write.record, *this);
  if (!write.index.empty()) write.index[key] = &writer;
  return writer;
}

bool Context::refused() {
  if (!refusal_) return false;
  reply.cut(reply_begin_);
  reply.error(*refusal_);
  return true;
}

// Of a key that a full delta is not to remove, all is mentioned.
void Context::keep_all_of(std::string_view key, const Object& object, Delta& delta) {
  KeyDelta all;
  describe(object, all);
  all.key = keep(std::string(key));
  for (LeafDelta& leaf : all.leaves) {
    leaf.field = keep(std::string(leaf.field));
    for (SiblingView& sibling : leaf.siblings) sibling.value = keep(std::string(sibling.value));
  }
  delta.keys.push_back(std::move(all));
}

void Context::flush(PartitionId partition) {
  const PartitionState& state = keyspace_.state(partition);
  if (state.empty()) return;
  Delta& delta = partition_write(partition, {}).record.delta;
  delta.full = true;
  // What has no counters goes because it is not mentioned.
  state.for_each([this, &delta](std::string_view key, const Object& object) {
    if (keyspace_.hides(key)) return keep_all_of(key, object, delta);
    KeyDelta removal;
    remove_all(&object, removal);
    if (removal.leaves.empty()) return;
    removal.key = keep(std::string(key));
    for (LeafDelta& leaf : removal.leaves) leaf.field = keep(std::string(leaf.field));
    delta.keys.push_back(std::move(removal));
  });
}

void Context::flush_all() {
  for (PartitionId partition : keyspace_.partitions()) flush(partition);
}

// Where there are keys of other databases as well, each key is deleted for itself.
void Context::flush_database(DatabaseNumber stored_database) {
  for (PartitionId partition : keyspace_.partitions()) {
    const PartitionState& state = keyspace_.state(partition);
    if (stored_database == 0 && state.live_keys_beside_0() == 0) {
      flush(partition);
      continue;
    }
    if (stored_database != 0 && state.live_keys_of(stored_database) == 0) continue;
    std::vector<std::string_view> keys;
    state.for_each([&](std::string_view key, const Object& object) {
      if (database_of(key) != stored_database || !object.live() || keyspace_.hides(key)) return;
      keys.push_back(keep(std::string(key)));
    });
    for (const std::string_view key : keys) write(key).remove();
  }
}

}  // namespace even
