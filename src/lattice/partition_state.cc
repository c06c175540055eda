#include "lattice/partition_state.h"

#include <absl/container/flat_hash_set.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "base/reserved.h"

namespace even {
namespace {

// Keys that have expired and are not in memory, at one time, each of which is told of.
constexpr std::size_t kMostToldCold = 16;

constexpr std::array<SiblingView, 0> kNothing{};

// Hashes of elements. Their sum over a partition is its digest.
std::uint64_t leaf_seed(std::uint64_t key_hash, LeafKind kind, std::uint64_t field_hash) {
  return hash_mix(key_hash + static_cast<std::uint64_t>(kind), field_hash);
}

std::uint64_t element_hash(std::uint64_t seed, const Dot& dot, std::uint64_t time,
                           std::uint64_t content) {
  const std::uint64_t parts[] = {seed, dot.replica.value, dot.seq, time, content};
  return hash64({reinterpret_cast<const char*>(parts), sizeof parts});
}

std::uint64_t number_bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }
std::uint64_t number_bits(Real value) {
  const auto bits = std::bit_cast<RealBits>(value + 0);  // one zero, not two
  return hash_mix(static_cast<std::uint64_t>(bits >> 64), static_cast<std::uint64_t>(bits));
}

template <typename Number>
std::uint64_t counter_hash(std::uint64_t seed, const CounterView<Number>& counter) {
  std::uint64_t sum = 0;
  for (const auto& entry : counter.entries()) {
    if (entry.live())
      sum += element_hash(seed, {entry.replica, entry.seq}, sizeof(Number),
                          number_bits(entry.value()));
  }
  return sum;
}

std::uint64_t scalar_hash(std::uint64_t seed, const ScalarView& scalar) {
  std::uint64_t sum = 0;
  scalar.for_each_sibling([&](const SiblingView& sibling) {
    sum += element_hash(seed, sibling.dot, sibling.time.value, hash64(sibling.value));
  });
  sum += counter_hash(seed, scalar.integers());
  return sum + counter_hash(seed, scalar.reals());
}

std::uint64_t member_hash(std::uint64_t seed, const MemberDots& dots) {
  std::uint64_t sum = 0;
  for (const MemberDot& entry : dots) sum += element_hash(seed, entry.dot, 0, 0);
  return sum;
}

std::uint64_t expiry_hash(std::uint64_t key_hash, const Object& object) {
  std::uint64_t sum = 0;
  if (object.expiry() == nullptr) return 0;
  for (const ExpirySibling& sibling : *object.expiry()) {
    sum += element_hash(leaf_seed(key_hash, LeafKind::kExpiry, 0), sibling.dot, sibling.time.value,
                        static_cast<std::uint64_t>(sibling.at_ms));
  }
  return sum;
}

std::uint64_t bounded_hash(std::uint64_t key_hash, const Object& object) {
  std::uint64_t sum = 0;
  if (object.all_bounded() == nullptr) return 0;
  for (const BoundedCounter& counter : *object.all_bounded()) {
    sum += element_hash(leaf_seed(key_hash, LeafKind::kBound, 0), counter.dot, counter.time.value,
                        hash64(counter.bytes));
  }
  return sum;
}

std::uint64_t members_hash(std::uint64_t key_hash, const Object& object) {
  std::uint64_t sum = 0;
  object.set().for_each([&](std::string_view member, const MemberDots& dots) {
    sum += member_hash(leaf_seed(key_hash, LeafKind::kMember, hash64(member)), dots);
  });
  return sum;
}

std::uint64_t fields_hash(std::uint64_t key_hash, LeafKind kind, const Object& object) {
  std::uint64_t sum = 0;
  object.fields(kind).for_each([&](std::string_view field, const ScalarView& scalar) {
    sum += scalar_hash(leaf_seed(key_hash, kind, hash64(field)), scalar);
  });
  return sum;
}

std::uint64_t object_hash(std::uint64_t key_hash, const Object& object) {
  std::uint64_t sum =
      scalar_hash(leaf_seed(key_hash, LeafKind::kString, 0), object.plain_string()) +
      members_hash(key_hash, object) + expiry_hash(key_hash, object) +
      bounded_hash(key_hash, object);
  for (const LeafKind kind : kFieldKinds) sum += fields_hash(key_hash, kind, object);
  return sum;
}

// Of a table of expiries: files its first one as no later than any in memory.
template <typename Table>
void lower_first(LeafKind kind, Table& table) {
  if constexpr (std::is_same_v<Table, HashTable>) {
    if (kind != LeafKind::kFieldExpiry) return;
    table.in_memory().for_each([&table](std::string_view, const ScalarCell& expiry) {
      table.lower_first(instant_of(expiry.view()));
      return true;
    });
  }
}

// The same after a change, by which one of them may have become `earliest`.
template <typename Table>
void note_first(LeafKind kind, Table& table, std::optional<std::int64_t> earliest) {
  if constexpr (std::is_same_v<Table, HashTable>) {
    if (kind != LeafKind::kFieldExpiry) return;
    if (earliest) table.lower_first(*earliest);
    table.find_first_if_indexed();
  }
}

// Of what an expiry has become, the earliest of all that were set at the same time. Also what only
// takes one away can bring an earlier one to light.
std::optional<std::int64_t> earliest_in(const SiblingView& only) { return instant_in(only.value); }
std::optional<std::int64_t> earliest_in(const CounterEntry<std::int64_t>&) { return std::nullopt; }
std::optional<std::int64_t> earliest_in(const Scalar& all) {
  std::optional<std::int64_t> earliest;
  for (const Sibling& each : all.siblings) {
    const std::int64_t at_ms = instant_in(each.value);
    if (!earliest || at_ms < *earliest) earliest = at_ms;
  }
  return earliest;
}

LeafDelta absent_leaf(LeafKind kind, std::string_view field) {
  LeafDelta leaf;
  leaf.kind = kind;
  leaf.field = field;
  return leaf;
}

bool removes_counter(const LeafDelta& leaf) {
  const auto removed = [](const auto& entry) { return !entry.live(); };
  return std::any_of(leaf.integers.begin(), leaf.integers.end(), removed) ||
         std::any_of(leaf.reals.begin(), leaf.reals.end(), removed);
}

template <typename Number>
void join_counter(Counter<Number>& mine, const VersionVector& my_context,
                  const CounterDeltas<Number>& theirs, bool full,
                  const VersionVector& their_context) {
  if (full) {
    mine.drop_collected(their_context, [&theirs](ReplicaId replica) {
      return std::any_of(theirs.begin(), theirs.end(),
                         [&](const auto& entry) { return entry.replica == replica; });
    });
  }
  for (const auto& entry : theirs) mine.join(entry, my_context);
}

}  // namespace

JoinStats PartitionState::join(const Delta& delta, const VersionVector& context) {
  const JoinStats stats = join_part(delta, context);
  cover(context);
  return stats;
}

JoinStats PartitionState::join(const Record& record) {
  const JoinStats stats = join(record.delta, record.context);
  if (record.folds) vector_.fold(record.origin);
  return stats;
}

JoinStats PartitionState::join_part(const Delta& delta, const VersionVector& context) {
  JoinStats stats;
  if (!readers_.all.empty() && !EVEN_MUTANT(kReaderNotTold)) tell_readers(delta);
  prepare(delta, context);
  // Of a state, which may be of many keys, as of FLUSHALL.
  if (delta.full && is_observed()) observer_->all_changed();
  const PackedElements::KeepReplaced keep;  // the delta may view elements that it changes
  if (delta.full && !EVEN_MUTANT(kSnapshotKeepsAbsentKeys)) {
    absl::flat_hash_set<std::string_view> mentioned;
    for (const KeyDelta& key : delta.keys) mentioned.insert(key.key);
    std::vector<std::string> absent;
    for_each([&](std::string_view key, const Object&) {
      if (!mentioned.contains(key)) absent.emplace_back(key);
    });
    for (const std::string& key : absent) {
      KeyDelta nothing;
      nothing.key = key;
      nothing.full = true;
      join_key(nothing, context, stats);
    }
  }
  for (const KeyDelta& key : delta.keys) join_key(key, context, stats);
  return stats;
}

void PartitionState::tell_readers(const Delta& delta) {
  const std::vector<StateReader*> all = readers_.all;  // some may be done now, and leave
  for (StateReader* reader : all) reader->before_join(delta);
}

void PartitionState::join_key(const KeyDelta& delta, const VersionVector& context,
                              JoinStats& stats) {
  const std::uint64_t key_hash = delta.key_hash();
  auto* node = objects_.find_node(delta.key, key_hash);
  const bool is_new = node == nullptr;
  const bool was_gone = !is_new && node->value.empty();
  if (is_new || was_gone) {
    if (delta.leaves.empty()) return;
    if (is_new) node = &objects_.get_node(delta.key, key_hash);
    node->set_uses(use_counts_.fresh);
  } else {
    note_use(*node);
  }
  Object& object = node->value;

  if (is_observed()) observer_->key_changed(delta.key);
  const bool was_live = object.live();
  const bool was_in_type_conflict = was_live && object.in_type_conflict();
  const std::optional<std::int64_t> expired_at = object.expires_at_ms();
  const std::optional<std::int64_t> first_field_was = object.first_field_expiry_ms();
  digest_ -= expiry_hash(key_hash, object);

  if (delta.full) remove_unmentioned(object, key_hash, delta, context, stats);
  for (const LeafDelta& leaf : delta.leaves) {
    join_leaf(object, key_hash, leaf, delta.full, context, stats);
  }

  digest_ += expiry_hash(key_hash, object);
  const bool is_live = object.live();
  if (is_live != was_live && !is_reserved(delta.key)) live_keys_ += is_live ? 1 : std::size_t(-1);
  const std::optional<std::int64_t> expires_at = object.expires_at_ms();
  if (has_database_header(delta.key)) [[unlikely]] {
    count_in_database(delta.key, was_live, expired_at, false);
    count_in_database(delta.key, is_live, expires_at, true);
  }
  if (expired_at != expires_at || is_live != was_live) {
    if (expired_at) {
      const std::pair was{*expired_at, key_hash};
      if (!was_live) {
        leftovers_.erase(was);
      } else if (!expiries_.erase(was)) {
        lapsed_.erase(was);
      }
      note_expiry(*expired_at, key_hash);
    }
    if (expires_at) {
      (is_live ? expiries_ : leftovers_).insert({*expires_at, key_hash});
      note_expiry(*expires_at, key_hash);
    }
  }
  const std::optional<std::int64_t> first_field = object.first_field_expiry_ms();
  if (first_field_was != first_field) file_field_expiry(first_field_was, first_field, key_hash);
  if (is_live && !was_in_type_conflict && object.in_type_conflict()) {
    ++stats.conflicts;
    ++stats.type_conflicts;
  }
  if (object.empty() && (is_new || stored_ == nullptr)) {
    objects_.erase(delta.key, key_hash);
    return;
  }
  note_changed(*node, was_gone);
  if (object.empty()) {
    object = Object();  // no longer on any list of residue
    return;
  }
  // A counter's entry can only have become residue when the delta removes all of it.
  if (std::any_of(delta.leaves.begin(), delta.leaves.end(), removes_counter)) {
    note_residue(delta.key, object);
  }
  object.settle();
}

void PartitionState::remove_unmentioned(Object& object, std::uint64_t key_hash,
                                        const KeyDelta& delta, const VersionVector& context,
                                        JoinStats& stats) {
  if (object.only_string()) {
    if (!object.empty() && !delta.mentions(LeafKind::kString))
      join_leaf(object, key_hash, absent_leaf(LeafKind::kString, {}), true, context, stats);
    return;
  }
  for (const LeafKind kind : kElementKinds) {
    bool all = false;
    object.with_table(kind, [&](const auto& table) { all = table.summary.removed_by(context); });
    if (all && !delta.mentions(kind)) remove_table(object, key_hash, kind);
  }
  EVEN_CHECK(object.cold() == 0, "what is removed element by element is in memory");
  bool string = false;
  bool expiry = false;
  bool bounded = false;
  std::array<absl::flat_hash_set<std::string_view>, kLeafKinds> elements;
  const auto mentioned_of = [&elements](LeafKind kind) -> auto& {
    return elements[static_cast<std::size_t>(kind)];
  };
  for (const LeafDelta& leaf : delta.leaves) {
    if (leaf.kind == LeafKind::kString) string = true;
    if (leaf.kind == LeafKind::kExpiry) expiry = true;
    if (leaf.kind == LeafKind::kBound) bounded = true;
    if (is_element(leaf.kind)) mentioned_of(leaf.kind).insert(leaf.field);
  }
  if (!string && !object.plain_string().empty()) {
    join_leaf(object, key_hash, absent_leaf(LeafKind::kString, {}), true, context, stats);
  }
  if (!expiry && object.expiry() != nullptr) {
    join_leaf(object, key_hash, absent_leaf(LeafKind::kExpiry, {}), true, context, stats);
  }
  if (!bounded && object.all_bounded() != nullptr) {
    join_leaf(object, key_hash, absent_leaf(LeafKind::kBound, {}), true, context, stats);
  }
  if (object.set()) {
    const bool was_table = object.has_table(LeafKind::kMember);
    const std::uint64_t digest = digest_;
    object.change_set([&](SetCell& set) {
      set.update_all(
          [&](std::string_view member, MemberDots& dots) {
            if (mentioned_of(LeafKind::kMember).contains(member)) return;
            const std::uint64_t seed = leaf_seed(key_hash, LeafKind::kMember, hash64(member));
            digest_ -= member_hash(seed, dots);
            join_dots(dots, vector_, kNothing, context);
            digest_ += member_hash(seed, dots);
          },
          [&](std::uint64_t member) { note_element(key_hash, LeafKind::kMember, member); });
    });
    note_tables(object, key_hash, LeafKind::kMember, was_table, digest_ - digest);
  }
  for (const LeafKind kind : kFieldKinds) {
    if (!object.fields(kind)) continue;
    const auto& mentioned = mentioned_of(kind);
    const bool was_table = object.has_table(kind);
    const std::uint64_t digest = digest_;
    object.change_fields(kind, [&](HashCell& cell) {
      cell.update_all(
          [&](std::string_view field, const ScalarView& now, auto store) {
            if (mentioned.contains(field)) return;
            join_scalar(now, leaf_seed(key_hash, kind, hash64(field)), absent_leaf(kind, field),
                        true, context, stats, store);
          },
          [&](std::uint64_t field) { note_element(key_hash, kind, field); });
    });
    note_tables(object, key_hash, kind, was_table, digest_ - digest);
  }
}

// Leaves the memory to free_removed().
void PartitionState::remove_table(Object& object, std::uint64_t key_hash, LeafKind kind) {
  object.with_table(kind, [&](const auto& table) { digest_ -= table.summary.digest; });
  removed_.push_back(object.take_table(kind));
  note_tables(object, key_hash, kind, true, 0);
}

// After elements have changed: `digest_change` is what that has added to the digest, `joined` what
// has been joined, if anything has.
void PartitionState::note_tables(Object& object, std::uint64_t key_hash, LeafKind kind,
                                 bool was_table, std::uint64_t digest_change,
                                 const LeafDelta* joined) {
  const bool is_table = object.has_table(kind);
  object.with_table(kind, [&](auto& table) {
    if (!was_table) {
      table.summary = summarize(key_hash, kind, table);
      lower_first(kind, table);
      return;
    }
    table.summary.digest += digest_change;
    if (joined == nullptr) {
      lower_first(kind, table);
      return note_first(kind, table, std::nullopt);
    }
    VersionVector& seen = table.summary.seen;
    // The commands of a turn share one.
    for (const SiblingView& sibling : joined->siblings) {
      if (!seen.covers(sibling.dot)) seen.add(sibling.dot);
    }
    if (seen.entries().size() > vector_.entries().size()) seen.fold_as(vector_);
  });
  if (is_table == was_table || stored_ == nullptr) return;
  if (was_table) changes_.dropped.push_back({key_hash, kind, 0});
  object.with_table(kind, [&](auto& table) {
    table.update_all([&](auto& node) {
      node.set_dirty(true);
      note_element(key_hash, kind, node.hash());
      return true;
    });
  });
}

bool PartitionState::free_removed(std::size_t& limit) {
  while (!removed_.empty()) {
    bool more = false;
    removed_.back().with_tables([&](auto& table) { more = table.free_some(limit); });
    if (more) return true;
    removed_.pop_back();
  }
  return former_.free_some(limit);
}

void PartitionState::join_leaf(Object& object, std::uint64_t key_hash, const LeafDelta& leaf,
                               bool full, const VersionVector& context, JoinStats& stats) {
  if (leaf.kind == LeafKind::kString) {
    object.change_string([&](ScalarCell& cell) {
      join_scalar(cell.view(), leaf_seed(key_hash, LeafKind::kString, 0), leaf, full, context,
                  stats, [&cell](auto&& next) { cell.assign(std::forward<decltype(next)>(next)); });
    });
    return;
  }
  const bool was_table = object.has_table(leaf.kind);
  const std::uint64_t digest = digest_;
  switch (leaf.kind) {
    case LeafKind::kString:
      return;  // above
    case LeafKind::kMember:
      if (!object.set() && leaf.siblings.empty()) return;
      object.change_set([&, member = leaf.field_hash()](SetCell& set) {
        const bool dirtied = set.update(leaf.field, member, [&](MemberDots& dots) {
          const std::uint64_t seed = leaf_seed(key_hash, LeafKind::kMember, member);
          const std::uint64_t before = member_hash(seed, dots);
          join_dots(dots, vector_, leaf.siblings, context);
          digest_ += member_hash(seed, dots);
          if (!dots.empty() || !EVEN_MUTANT(kDigestMissesMember)) digest_ -= before;
        });
        if (dirtied) note_element(key_hash, LeafKind::kMember, member);
      });
      return note_tables(object, key_hash, leaf.kind, was_table, digest_ - digest, &leaf);
    case LeafKind::kField:
    case LeafKind::kScore:
    case LeafKind::kItem:
    case LeafKind::kEntry:
    case LeafKind::kFieldExpiry: {
      // Not looked up afterwards: the leaf's name may be that of an element which is gone by then.
      std::optional<std::int64_t> earliest;
      object.change_fields(leaf.kind, [&, field = leaf.field_hash()](HashCell& cell) {
        const bool dirtied = cell.update(leaf.field, field, [&](const ScalarView& now, auto store) {
          join_scalar(now, leaf_seed(key_hash, leaf.kind, field), leaf, full, context, stats,
                      [&](auto&& next) {
                        if (leaf.kind == LeafKind::kFieldExpiry) earliest = earliest_in(next);
                        store(std::forward<decltype(next)>(next));
                      });
        });
        if (dirtied) note_element(key_hash, leaf.kind, field);
      });
      note_tables(object, key_hash, leaf.kind, was_table, digest_ - digest, &leaf);
      if (leaf.kind != LeafKind::kFieldExpiry) return;
      object.with_table(leaf.kind, [&](auto& table) { note_first(leaf.kind, table, earliest); });
      return;
    }
    case LeafKind::kExpiry:
      if (object.expiry() == nullptr && leaf.siblings.empty()) return;
      object.change_expiry(
          [&](Expiry& expiry) { join_dots(expiry, vector_, leaf.siblings, context); });
      return;
    case LeafKind::kBound:
      if (object.all_bounded() == nullptr && leaf.siblings.empty()) return;
      digest_ -= bounded_hash(key_hash, object);
      object.change_bounded([&](BoundedCounters& counters) {
        const std::size_t before = counters.size();
        join_bounded(counters, vector_, leaf, context);
        if (counters.size() > 1 && counters.size() > before) ++stats.conflicts;
      });
      digest_ += bounded_hash(key_hash, object);
      return;
  }
}

// Gives the outcome to `store`: see HashCell::update.
template <typename Store>
void PartitionState::join_scalar(const ScalarView& now, std::uint64_t seed, const LeafDelta& leaf,
                                 bool full, const VersionVector& context, JoinStats& stats,
                                 Store store) {
  digest_ -= scalar_hash(seed, now);
  const bool sets_value = leaf.siblings.size() == 1 && leaf.integers.empty() && leaf.reals.empty();
  if (sets_value && overwrites(now, leaf.siblings[0].dot, context)) {
    digest_ += scalar_hash(seed, leaf.siblings[0]);
    return store(leaf.siblings[0]);
  }
  if (now.tally() != nullptr && leaf.siblings.empty() && leaf.reals.empty() &&
      leaf.integers.size() == 1 && leaf.integers[0].replica == now.tally()->replica) {
    CounterEntry<std::int64_t> tally = *now.tally();
    tally.join(leaf.integers[0]);
    digest_ += scalar_hash(seed, tally);
    return store(tally);
  }
  if (leaf.removes() && now.only_value() != nullptr && context.covers(now.only_value()->dot)) {
    return store(Scalar());
  }
  Scalar scalar = now.copy();
  const std::size_t siblings = scalar.siblings.size();
  if (!leaf.partial) join_dots(scalar.siblings, vector_, leaf.siblings, context);
  if (EVEN_MUTANT(kTieBrokenByArrival) && scalar.siblings.size() > 1 && !leaf.siblings.empty()) {
    const auto replaced =
        std::remove_if(scalar.siblings.begin(), scalar.siblings.end(),
                       [&leaf](const Sibling& s) { return !contains_dot(leaf.siblings, s.dot); });
    scalar.siblings.erase(replaced, scalar.siblings.end());
  }
  if (scalar.siblings.size() > 1 && scalar.siblings.size() > siblings) ++stats.conflicts;
  join_counter(scalar.integers, vector_, leaf.integers, full, context);
  join_counter(scalar.reals, vector_, leaf.reals, full, context);
  digest_ += scalar_hash(seed, scalar);
  store(std::move(scalar));
}

// Whether a new value simply takes the place of what is there: nothing, or one value that the new
// one's maker had seen. What join_dots would find, for the common case.
bool PartitionState::overwrites(const ScalarView& now, const Dot& dot,
                                const VersionVector& context) const {
  if (vector_.covers(dot) || !now.integers().empty() || !now.reals().empty()) return false;
  if (now.sibling_count() > 1) return false;
  bool all_seen = true;
  now.for_each_sibling([&](const SiblingView& old) { all_seen = context.covers(old.dot); });
  return all_seen;
}

void PartitionState::note_residue(std::string_view key, Object& object) const {
  if (object.residue_generation() == new_residue_.number) return;
  object.set_residue_generation(new_residue_.number);
  new_residue_.keys.emplace_back(key);
}

void PartitionState::note_residue(const TableName& table) const {
  // Not of an object that is only being shown.
  if (auto* node = objects_.find_node(table.key, table.key_hash)) {
    note_residue(table.key, node->value);
  }
}

void PartitionState::collect_residue(const VersionVector& stable) {
  if (!old_residue_.keys.empty()) {
    if (!stable.covers(old_residue_.closed_at)) return;
    for (const std::string& key : old_residue_.keys) {
      const std::uint64_t hash = hash64(key);
      auto* node = objects_.find_node(key, hash);
      if (node == nullptr || node->value.residue_generation() != old_residue_.number) continue;
      Object& object = node->value;
      const bool was_hash_table = object.has_table(LeafKind::kField);
      const bool was_sorted_table = object.has_table(LeafKind::kScore);
      object.set_residue_generation(0);
      object.drop_residue(
          [&](LeafKind kind, std::uint64_t field) { note_element(hash, kind, field); });
      object.settle();
      note_tables(object, hash, LeafKind::kField, was_hash_table, 0);
      note_tables(object, hash, LeafKind::kScore, was_sorted_table, 0);
      note_changed(*node, false);
      if (object.empty() && stored_ == nullptr) objects_.erase(key, hash);
    }
  }
  const std::uint32_t next = new_residue_.number + 1 == 0 ? 1 : new_residue_.number + 1;
  old_residue_ = std::move(new_residue_);
  old_residue_.closed_at = vector_;
  new_residue_ = Generation{next, {}, {}};
}

// Takes a key as it is into the count, or out of it.
void PartitionState::count_in_database(std::string_view key, bool live,
                                       std::optional<std::int64_t> expires_at, bool in) {
  if (!live || database_of(key) == 0) return;
  if (!databases_) databases_ = std::make_unique<DatabaseCounts>();
  DatabaseCounts::Count& count = databases_->of[database_of(key)];
  // A version that knew no databases may have stored the key, and the summary without a count.
  if (!in && count.keys == 0) return;
  const std::uint64_t one = in ? 1 : std::uint64_t(-1);
  count.keys += one;
  if (!expires_at || (!in && count.expiring == 0)) return;
  count.expiring += one;
  count.expiries_ms += one * static_cast<std::uint64_t>(*expires_at);
}

DatabaseCounts PartitionState::visible_of_databases() const {
  if (live_keys_beside_0() == 0) return {};
  DatabaseCounts counts = *databases_;
  lapsed(std::numeric_limits<std::int64_t>::max(), lapsed_.size(),
         [&counts](std::string_view key, const Object& object) {
           if (database_of(key) == 0) return;
           DatabaseCounts::Count& count = counts.of[database_of(key)];
           --count.keys;
           --count.expiring;
           count.expiries_ms -= static_cast<std::uint64_t>(object.expires_at_ms().value_or(0));
         });
  return counts;
}

// The keys of an entry that has just been moved.
void PartitionState::tell_of_lapse(const ExpiryIndex::Entry& entry) const {
  const auto& [at_ms, hash] = entry;
  try {
    if (is_cold(hash)) (void)load(hash);
  } catch (const Unreadable&) {
    return observer_->all_changed();
  }
  objects_.for_each_of_hash(hash, [&](const auto& node) {
    const bool meant =
        node.value.expires_at_ms() == at_ms || node.value.first_field_expiry_ms() == at_ms;
    if (meant) observer_->key_changed(node.key());
  });
}

void PartitionState::lapse(std::int64_t now_ms) {
  bool observed = is_observed();
  std::size_t cold = 0;
  const auto tell = [&](const ExpiryIndex::Entry& entry) {
    if (!observed) return;
    if (!is_cold(entry.second) || ++cold <= kMostToldCold) return tell_of_lapse(entry);
    // To read all of them would take long.
    observer_->all_changed();
    observed = false;
  };
  while (!expiries_.empty() && expiries_.first().first <= now_ms) {
    const ExpiryIndex::Entry entry = expiries_.first();
    expiries_.erase(entry);
    lapsed_.insert(entry);
    tell(entry);
  }
  // Where the clock has been put back, they are seen again.
  while (!lapsed_.empty() && lapsed_.last().first > now_ms) {
    const ExpiryIndex::Entry entry = lapsed_.last();
    lapsed_.erase(entry);
    expiries_.insert(entry);
    tell(entry);
  }
  if (field_expiries_.empty()) return;
  // The hashes whose first field has expired since the last time.
  for (auto at = field_expiries_.from(fields_lapsed_ms_ + 1);
       at != field_expiries_.end() && at->first <= now_ms; ++at) {
    tell(*at);
  }
  fields_lapsed_ms_ = now_ms;
}

// The first expiry of a hash's fields has changed.
void PartitionState::file_field_expiry(std::optional<std::int64_t> was,
                                       std::optional<std::int64_t> is, std::uint64_t key_hash) {
  if (was) {
    field_expiries_.erase({*was, key_hash});
    note_expiry(*was, key_hash);
  }
  if (is) {
    field_expiries_.insert({*is, key_hash});
    note_expiry(*is, key_hash);
  }
}

void PartitionState::with_lapsed_fields(std::int64_t until_ms, std::size_t limit,
                                        const VisitKey& visit) {
  std::vector<ExpiryIndex::Entry> early;
  for (const auto& entry : field_expiries_) {
    if (entry.first > until_ms || limit-- == 0) break;
    const std::uint64_t hash = entry.second;
    if (is_cold(hash)) (void)load(hash);
    bool found = false;
    objects_.for_each_of_hash(hash, [&](auto& node) {
      if (node.value.first_field_expiry_ms() != entry.first) return;
      found = true;
      if (node.value.find_first_field_expiry()) early.push_back(entry);
      if (*node.value.first_field_expiry_ms() <= until_ms) visit(node.key(), node.value);
    });
    if (!found) early.push_back(entry);
  }
  for (const auto& [at_ms, hash] : early) {
    file_field_expiry(at_ms, std::nullopt, hash);
    objects_.for_each_of_hash(hash, [&](auto& node) {
      const auto first = node.value.first_field_expiry_ms();
      if (!first) return;
      file_field_expiry(std::nullopt, first, hash);
      note_changed(node, false);
    });
  }
}

void PartitionState::visit_expiries(const ExpiryIndex& expiries, bool live, std::int64_t until_ms,
                                    std::size_t limit, const VisitKey& visit) const {
  for (const auto& [at, hash] : expiries) {
    if (at > until_ms || limit-- == 0) return;
    if (is_cold(hash)) (void)load(hash);
    const auto* node = objects_.first_of(hash);
    for (; node != nullptr && node->hash() == hash; node = objects_.next(node)) {
      const bool meant = node->value.live() == live && node->value.expires_at_ms() == at;
      if (meant) visit(node->key(), node->value);
    }
  }
}

void PartitionState::lapsed(std::int64_t until_ms, std::size_t limit, const VisitKey& visit) const {
  visit_expiries(lapsed_, true, until_ms, limit, visit);
}
void PartitionState::left_over(std::int64_t until_ms, std::size_t limit,
                               const VisitKey& visit) const {
  visit_expiries(leftovers_, false, until_ms, limit, visit);
}
void PartitionState::soonest(std::size_t limit, const VisitKey& visit) const {
  visit_expiries(expiries_, true, std::numeric_limits<std::int64_t>::max(), limit, visit);
}

void PartitionState::next_to_expire(
    std::size_t limit, const std::function<bool(std::string_view, const Object&)>& visit) const {
  for (const auto& [at, hash] : expiries_) {
    if (limit-- == 0) return;
    const auto* node = objects_.first_of(hash);
    for (; node != nullptr && node->hash() == hash; node = objects_.next(node)) {
      const bool meant = node->value.live() && node->value.expires_at_ms() == at;
      if (meant && !visit(node->key(), node->value)) return;
    }
  }
}

// Of a table that is in memory.
template <typename Cell>
TableSummary PartitionState::summarize(std::uint64_t key_hash, LeafKind kind,
                                       const Table<Cell>& table) {
  TableSummary out;
  table.for_each([&](std::string_view name, const Cell& cell) {
    const std::uint64_t seed = leaf_seed(key_hash, kind, hash64(name));
    if constexpr (std::is_same_v<Cell, MemberCell>) {
      const MemberDots dots = cell.dots();
      out.digest += member_hash(seed, dots);
      for (const MemberDot& entry : dots) out.seen.add(entry.dot);
    } else {
      const ScalarView scalar = cell.view();
      out.digest += scalar_hash(seed, scalar);
      out.counters += scalar.has_counters();
      scalar.for_each_sibling([&out](const SiblingView& view) { out.seen.add(view.dot); });
    }
  });
  return out;
}

void PartitionState::summarize_tables(std::uint64_t key_hash, const Object& object) {
  for (const LeafKind kind : kElementKinds) {
    object.with_table(kind, [&](auto& table) {
      if (table.cold() > 0) return;
      table.summary = summarize(key_hash, kind, table);
      lower_first(kind, table);
    });
  }
}

void PartitionState::check_summaries(std::uint64_t key_hash, const Object& object) {
  for (const LeafKind kind : kElementKinds) {
    object.with_table(kind, [&](const auto& table) {
      const TableSummary found = summarize(key_hash, kind, table);
      EVEN_CHECK(found.digest == table.summary.digest,
                 "a table's digest is the sum of its elements'");
      EVEN_CHECK(found.counters == table.summary.counters, "a table knows how many hold counters");
      EVEN_CHECK(table.summary.seen.covers(found.seen), "a table has seen all dots in it");
    });
  }
}

std::uint64_t PartitionState::digest_of(std::uint64_t key_hash, const Object& object) {
  std::uint64_t sum = scalar_hash(leaf_seed(key_hash, LeafKind::kString, 0), object.plain_string());
  for (const LeafKind kind : kElementKinds) {
    if (object.has_table(kind)) {
      object.with_table(kind, [&sum](const auto& table) { sum += table.summary.digest; });
    } else if (kind == LeafKind::kMember) {
      sum += members_hash(key_hash, object);
    } else {
      sum += fields_hash(key_hash, kind, object);
    }
  }
  return sum + expiry_hash(key_hash, object) + bounded_hash(key_hash, object);
}

std::uint64_t PartitionState::content_digest(std::uint64_t key_hash, const Object& object) {
  bool few = true;
  object.with_tables([&](const auto& table) { few = few && table.size() <= kAuditedElements; });
  return few ? object_hash(key_hash, object) : digest_of(key_hash, object);
}

std::uint64_t PartitionState::content_digest() const {
  std::uint64_t sum = 0;
  scan(0, [&sum](std::uint64_t hash, std::string_view, const Object& object) {
    sum += content_digest(hash, object);
    return true;
  });
  return sum;
}

void PartitionState::replace(std::uint64_t hash, std::span<const KeyDelta> keys) {
  Delta named;
  std::vector<std::string> here;
  if (is_cold(hash)) (void)load(hash);
  objects_.for_each_of_hash(hash, [&](const auto& node) { here.emplace_back(node.key()); });
  for (const std::string& key : here) {
    KeyDelta& all_of_it = named.keys.emplace_back();
    all_of_it.key = key;
    all_of_it.full = true;
  }
  for (const KeyDelta& key : keys) named.keys.push_back(key);
  if (!readers_.all.empty()) tell_readers(named);
  for (const std::string& key : here) clear(*objects_.find_node(key, hash));
  // A join to a state that has seen nothing takes in everything.
  const VersionVector seen = std::exchange(vector_, {});
  JoinStats ignored;
  for (const KeyDelta& key : keys) join_key(key, {}, ignored);
  vector_ = seen;
  objects_.for_each_of_hash(hash, [&](auto& node) {
    for (const LeafKind kind : kElementKinds) {
      node.value.with_table(kind,
                            [&](auto& table) { table.summary = summarize(hash, kind, table); });
    }
  });
  changed_ = true;
}

// Empties an object without a trace.
void PartitionState::clear(HashOrderedMap<Object>::Node& node) {
  Object& object = node.value;
  if (object.empty()) return;
  const std::uint64_t hash = node.hash();
  if (is_observed()) observer_->key_changed(node.key());
  const bool was_live = object.live();
  if (was_live && !is_reserved(node.key())) --live_keys_;
  if (has_database_header(node.key())) {
    count_in_database(node.key(), was_live, object.expires_at_ms(), false);
  }
  if (const auto at = object.expires_at_ms()) {
    const std::pair was{*at, hash};
    if (!was_live) {
      leftovers_.erase(was);
    } else if (!expiries_.erase(was)) {
      lapsed_.erase(was);
    }
    note_expiry(*at, hash);
  }
  file_field_expiry(object.first_field_expiry_ms(), std::nullopt, hash);
  for (const LeafKind kind : kElementKinds) {
    if (object.has_table(kind)) remove_table(object, hash, kind);
  }
  digest_ -= digest_of(hash, object);
  object = Object();
  if (stored_ == nullptr) {
    objects_.erase(std::string(node.key()), hash);
  } else {
    note_changed(node, false);
  }
}

std::uint64_t PartitionState::recompute_digest() const {
  std::uint64_t sum = 0;
  for_each([&sum](std::string_view key, const Object& object) {
    sum += object_hash(hash64(key), object);
  });
  objects_.for_each(
      [](std::string_view key, const Object& object) { check_summaries(hash64(key), object); });
  return sum;
}

Delta PartitionState::describe() const {
  EVEN_CHECK(cold_ == 0, "a description views what is in memory");
  Delta delta;
  delta.full = true;
  delta.keys.reserve(objects_.size());
  for_each([&delta](std::string_view key, const Object& object) {
    KeyDelta& out = delta.keys.emplace_back();
    out.key = key;
    ::even::describe(object, out);
  });
  return delta;
}

void PartitionState::scan(
    std::uint64_t first,
    const std::function<bool(std::uint64_t, std::string_view, const Object&)>& visit) const {
  const auto* node = objects_.first_from(first);
  // Visits what is in memory before hash `end`; with no `end`, all.
  const auto from_memory = [&](const std::uint64_t* end) {
    for (; node != nullptr && (end == nullptr || node->hash() < *end); node = objects_.next(node)) {
      if (!node->value.empty() && !visit(node->hash(), node->key(), node->value)) return false;
    }
    return true;
  };
  bool more = true;
  scan_cold(first, [&](std::uint64_t hash, std::string_view key, const Object& object) {
    more = from_memory(&hash) && visit(hash, key, object);
    return more;
  });
  if (more) from_memory(nullptr);
}

void PartitionState::random(
    Random& random, const std::function<void(std::string_view, const Object&)>& visit) const {
  if (empty()) return;
  if (cold_ == 0) {
    for (int tries = 0; tries < 64; ++tries) {
      const auto* node = objects_.random(random);
      if (!node->value.empty()) return visit(node->key(), node->value);
    }
  }
  // The next one behind a random hash, or the first of all.
  bool found = false;
  for (const std::uint64_t from : {random.next(), std::uint64_t{0}}) {
    if (found) return;
    scan(from, [&](std::uint64_t, std::string_view key, const Object& object) {
      visit(key, object);
      found = true;
      return false;
    });
  }
}

}  // namespace even
