// What one key holds: the product of one lattice per type, and its expiry. Normally only one type
// has content. When two types were created concurrently both are kept; a reader sees the highest of
// them (list over sorted set over hash over set over string) until that one is deleted or the key
// is overwritten.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lattice/delta.h"
#include "lattice/dot_store.h"
#include "lattice/types/bound.h"
#include "lattice/types/collection.h"
#include "lattice/types/expiry.h"
#include "lattice/types/scalar_cell.h"

namespace even {

enum class ObjectType : std::uint8_t {
  kNone = 0,
  kString,
  kSet,
  kHash,
  kSortedSet,
  kList,
  kStream
};

// Twelve bytes: the cell of the only thing that there is, or a pointer to all of them.
class Object {
 public:
  Object() = default;
  Object(Object&& other) noexcept : cell_(std::move(other.cell_)) {}
  Object(const Object&) = delete;
  Object& operator=(Object&& other) noexcept {
    std::swap(cell_, other.cell_);
    return *this;
  }
  ~Object();

  // The type that a reader sees; kNone when there is only what was left of one (removed counters,
  // the expiry of a purged key), which is not a key to anybody.
  ObjectType type() const;
  bool live() const { return type() != ObjectType::kNone; }
  bool empty() const;
  // Nothing but a plain string without expiry, or nothing: what most keys are, and what nothing
  // else has to be looked for in.
  bool only_string() const { return is_scalar(); }
  // More than one type has content.
  bool in_type_conflict() const;
  // As far as it is in memory.
  bool has_residue() const;

  // Not there: an empty view, a view of no set, views of no hash, null.
  //
  // As a reader sees it. Of a bounded counter: its number, as if it was one replica's tally.
  ScalarView string() const {
    const BoundedCounter* counter = bounded();
    return counter == nullptr ? plain_string() : ScalarView(tally_of(*counter));
  }
  // What there is of it beside bounded counters, which hide it.
  ScalarView plain_string() const;
  // All bounded counters, or null; the one that a reader sees, or null.
  const BoundedCounters* all_bounded() const {
    return is_compound() ? compound()->bounded.get() : nullptr;
  }
  const BoundedCounter* bounded() const {
    const BoundedCounters* all = all_bounded();
    return all == nullptr ? nullptr : shown(*all);
  }
  SetView set() const;
  HashView hash() const { return fields(LeafKind::kField); }
  // Its members, whose values are scores: see score.h.
  HashView sorted_set() const { return fields(LeafKind::kScore); }
  HashView list() const { return fields(LeafKind::kItem); }     // by position
  HashView stream() const { return fields(LeafKind::kEntry); }  // see stream_field.h
  // When fields of the hash expire, by their names: scores that are instants. See
  // docs/field-expiry.md.
  HashView field_expiries() const { return fields(LeafKind::kFieldExpiry); }
  // One of these.
  HashView fields(LeafKind kind) const;
  const Expiry* expiry() const { return is_compound() ? compound()->expiry.get() : nullptr; }

  // Whether the set (kMember), the hash (kField), the sorted set (kScore) or the list (kItem) is a
  // table, whose elements are stored one by one.
  bool has_table(LeafKind kind) const {
    if (kind == LeafKind::kMember) {
      return is_compound() ? compound()->set.table() != nullptr : tag() == SetCell::kTable;
    }
    if (!is_element(kind)) return false;
    return is_compound() ? compound()->fields(kind).table() != nullptr
                         : is(kind) && tag() == HashCell::kTable;
  }

  // What it takes beyond itself; of a table, estimated from so many samples, or exact with 0.
  Footprint footprint(std::size_t samples) const;
  // How each of its types rests in memory, for people: "value", "packed", "table, packed".
  std::string form() const;

  // The instant that wins among the expiry's siblings: the one set last.
  std::optional<std::int64_t> expires_at_ms() const;
  bool expired(std::int64_t now_ms) const {
    if (!is_compound()) return false;
    if (compound()->expiry != nullptr && *expires_at_ms() <= now_ms) return true;
    return !compound()->field_expiries.empty() && all_fields_lapsed(now_ms);
  }

  // No expiry of a field is before this instant; nothing when there is none.
  std::optional<std::int64_t> first_field_expiry_ms() const {
    if (is_compound() ? compound()->field_expiries.empty() : !is(LeafKind::kFieldExpiry))
      return std::nullopt;
    return first_of_field_expiries();
  }
  // Calls visit(field, at_ms) for the expiries of fields, there to a reader or not, that have come
  // by `until_ms`, until it returns false. In order of instants where there are many of them.
  template <typename Visit>
  void for_each_lapsed_field(std::int64_t until_ms, Visit visit) const;
  // How many fields have a value, and an expiry that has come.
  std::size_t lapsed_fields(std::int64_t now_ms) const;

  // Asks for the memory that a command on it will look at, then on the element with hash
  // `field_hash`: each step needs what the one before has brought.
  void prefetch() const { cell_.prefetch(); }
  void prefetch_bucket(std::uint64_t field_hash) const;
  void prefetch_node(std::uint64_t field_hash) const;
  void prefetch_next(std::uint64_t field_hash) const;
  void prefetch_value(std::uint64_t field_hash) const;

  // For PartitionState, which alone changes objects. change(cell) gets the cell of one part and may
  // change it in any way; afterwards settle() finds the shortest form for what there is.
  template <typename Change>
  void change_string(Change change) {
    if (!is_compound() && !is_scalar()) make_compound();
    change(is_compound() ? compound()->string : cell_);
  }
  template <typename Change>
  void change_set(Change change) {
    change_collection<SetCell>(LeafKind::kMember, change,
                               [](Compound& all) -> SetCell& { return all.set; });
  }
  template <typename Change>
  void change_fields(LeafKind kind, Change change) {
    change_collection<HashCell>(kind, change,
                                [kind](Compound& all) -> HashCell& { return all.fields(kind); });
  }
  template <typename Change>
  void change_expiry(Change change) {
    std::unique_ptr<Expiry>& expiry = make_compound().expiry;
    if (!expiry) expiry = std::make_unique<Expiry>();
    change(*expiry);
    if (expiry->empty()) expiry.reset();
  }
  template <typename Change>
  void change_bounded(Change change) {
    std::unique_ptr<BoundedCounters>& bounded = make_compound().bounded;
    if (!bounded) bounded = std::make_unique<BoundedCounters>();
    change(*bounded);
    if (bounded->empty()) bounded.reset();
  }
  std::uint32_t residue_generation() const {
    return is_compound() ? compound()->residue_generation : 0;
  }
  // Of a table that is cold: what was first_field_expiry_ms().
  void set_first_field_expiry(std::int64_t at_ms) {
    with_table(LeafKind::kFieldExpiry, [at_ms](auto& table) {
      if constexpr (requires { table.live; }) table.set_first(at_ms);
    });
  }
  // Makes first_field_expiry_ms() the first of them, which brings them all in. Returns whether it
  // was earlier.
  bool find_first_field_expiry();
  void set_residue_generation(std::uint32_t generation) {
    if (generation != residue_generation()) make_compound().residue_generation = generation;
  }
  // Calls visit(table) for the collection of this kind, if it is a table.
  template <typename Visit>
  void with_table(LeafKind kind, Visit visit) const {
    if (!has_table(kind)) return;
    if (kind == LeafKind::kMember) {
      visit(is_compound() ? *compound()->set.table() : *cell_.pointer_.get<SetTable>());
    } else if (!is_compound()) {
      visit(*cell_.pointer_.get<HashTable>());
    } else {
      visit(*compound()->fields(kind).table());
    }
  }
  template <typename Visit>
  void with_tables(Visit visit) const {
    for (const LeafKind kind : kElementKinds) with_table(kind, visit);
  }
  // Makes the set, or the collection of `kind`, of which there is nothing, a table of cold
  // elements; attach_tables() says where they are.
  void make_cold_set(std::size_t members, TableSummary summary) {
    change_set([&](SetCell& cell) { cell.make_cold(members, std::move(summary)); });
  }
  void make_cold_fields(LeafKind kind, std::size_t fields, std::size_t live, TableSummary summary) {
    change_fields(kind, [&](HashCell& cell) { cell.make_cold(fields, live, std::move(summary)); });
  }
  // Removes the collection of this kind, a table, and returns it in an object of its own.
  Object take_table(LeafKind kind);
  void attach_tables(const ElementSource& source, std::string_view key, std::uint64_t key_hash) {
    for (const LeafKind kind : kElementKinds) {
      with_table(kind, [&](auto& table) { table.attach(source, key, key_hash, kind); });
    }
  }
  // Elements that are not in memory.
  std::size_t cold() const {
    std::size_t cold = 0;
    with_tables([&cold](const auto& table) { cold += table.cold(); });
    return cold;
  }
  // Whether elements of a hash would have to be read from the store.
  bool is_cold(LeafKind kind, std::uint64_t element_hash) const {
    bool cold = false;
    with_table(kind, [&](const auto& table) { cold = table.is_cold(element_hash); });
    return cold;
  }
  // Of what is in memory. list(kind, field_hash) is called for fields in a table that have become
  // dirty.
  void drop_residue(const std::function<void(LeafKind, std::uint64_t)>& list);
  void settle() {
    if (is_compound()) settle_compound();
  }

 private:
  struct Compound {
    ScalarCell string;
    SetCell set;
    HashCell hash;
    HashCell sorted_set;
    HashCell list;
    HashCell stream;
    HashCell field_expiries;
    std::uint32_t residue_generation = 0;
    std::unique_ptr<Expiry> expiry;
    std::unique_ptr<BoundedCounters> bounded;

    HashCell& fields(LeafKind kind) {
      switch (kind) {
        case LeafKind::kScore:
          return sorted_set;
        case LeafKind::kItem:
          return list;
        case LeafKind::kEntry:
          return stream;
        case LeafKind::kFieldExpiry:
          return field_expiries;
        default:
          return hash;
      }
    }
  };
  static constexpr unsigned kCompound = 3;  // beside the tags of the three cells
  // A hash, a sorted set, a list and a stream have the same tags; what stands in the place of a
  // value's size tells them apart.
  static constexpr std::uint32_t mark(LeafKind kind) {
    switch (kind) {
      case LeafKind::kScore:
        return 1;
      case LeafKind::kItem:
        return 2;
      case LeafKind::kEntry:
        return 3;
      case LeafKind::kFieldExpiry:
        return 4;
      default:
        return 0;
    }
  }

  ObjectType type_of_fields() const;
  template <typename Visit>
  void with_likely_collection(Visit visit) const;
  std::optional<std::int64_t> first_of_field_expiries() const;
  bool all_fields_lapsed(std::int64_t now_ms) const;
  // How many expiries of fields have come, in logarithmic time where there are many of them.
  std::size_t lapsed_field_expiries(std::int64_t until_ms) const;
  unsigned tag() const { return cell_.pointer_.tag(); }
  bool is_compound() const { return tag() == kCompound; }
  bool is_scalar() const { return tag() < ScalarCell::kTags; }
  bool is_set() const { return tag() == SetCell::kPacked || tag() == SetCell::kTable; }
  bool is_fields() const { return tag() == HashCell::kPacked || tag() == HashCell::kTable; }
  bool is(LeafKind kind) const {
    return kind == LeafKind::kMember ? is_set() : is_fields() && cell_.size_ == mark(kind);
  }
  // Makes what has no content a collection of `kind`.
  void set_alone(LeafKind kind, TaggedPointer pointer) {
    cell_.pointer_ = pointer;
    cell_.size_ = mark(kind);
  }
  Compound* compound() const { return cell_.pointer_.get<Compound>(); }
  Compound& make_compound();
  void settle_compound();
  static CounterEntry<std::int64_t> tally_of(const BoundedCounter& counter) {
    return {counter.dot.replica, counter.dot.seq, counter.value(), 0, 0};
  }

  template <typename Cell, typename Change, typename Part>
  void change_collection(LeafKind kind, Change change, Part part) {
    if (!is_compound() && !is(kind) && !cell_.empty()) make_compound();
    if (is_compound()) return change(part(*compound()));
    Cell alone(std::exchange(cell_.pointer_, {}));
    change(alone);
    set_alone(kind, alone.release());
  }
  ScalarCell cell_;  // its pointer carries any of the tags
};
static_assert(sizeof(Object) == 12);

template <typename Visit>
void Object::for_each_lapsed_field(std::int64_t until_ms, Visit visit) const {
  const HashView expiries = field_expiries();
  if (expiries.table() == nullptr) {
    expiries.for_each([&](std::string_view field, const ScalarView& expiry) {
      const std::int64_t at_ms = instant_of(expiry);
      return at_ms > until_ms || visit(field, at_ms);
    });
    return;
  }
  const ScoreIndex& index = expiries.table()->index(HashTable::Order::kScores);
  const std::size_t count = index.count_while([until_ms](double score, std::string_view) {
    return score <= static_cast<double>(until_ms);
  });
  if (count == 0) return;
  index.visit(0, count, false, [&](const ScoreIndex::Entry& entry) {
    return visit(entry.name(), instant_of(entry.member->value.view()));
  });
}

// The fields of a hash that a reader sees at an instant. Views the object. Where no expiry of a
// field has come there is nothing that this does beside what HashView does.
class VisibleFields {
 public:
  VisibleFields() = default;  // of no hash
  VisibleFields(const Object& object, std::int64_t now_ms);

  // The hash with all that it holds.
  const HashView& all() const { return fields_; }
  // Until they are purged, the fields that have expired are counted each time.
  std::size_t size() const;
  // What is not there is not live().
  ScalarView find(std::string_view field) const {
    const ScalarView scalar = fields_.find(field);
    return scalar.live() && !lapsed(field) ? scalar : ScalarView();
  }
  bool sees(const HashView::Entry& entry) const {
    return entry.scalar.live() && !lapsed(entry.name);
  }
  // Calls visit(field, scalar), until it returns false if it returns bool.
  template <typename Visit>
  void for_each(Visit visit) const {
    fields_.for_each([&](std::string_view field, const ScalarView& scalar) {
      if (!sees({field, scalar})) return true;
      return SetView::until_false([&] { return visit(field, scalar); });
    });
  }
  // When a field expires that is there.
  std::optional<std::int64_t> expires_at_ms(std::string_view field) const {
    const ScalarView expiry = expiries_.find(field);
    return expiry.live() ? std::optional(instant_of(expiry)) : std::nullopt;
  }
  // Whether any of them will expire.
  bool any_expire() const { return expiries_.size() > 0; }

 private:
  bool lapsed(std::string_view field) const {
    if (!any_lapsed_) return false;
    const auto at_ms = expires_at_ms(field);
    return at_ms && *at_ms <= now_ms_;
  }

  const Object* object_ = nullptr;
  HashView fields_;
  HashView expiries_;
  std::int64_t now_ms_ = 0;
  bool any_lapsed_ = false;
};

// Delta mutators that work on any object.

// Makes `out` a full delta that removes all that `object` holds: what is not mentioned is removed
// by the context; counters must be mentioned with the point up to which they are removed. Null is
// an absent key.
void remove_all(const Object* object, KeyDelta& out);
// The same for one scalar: an empty leaf plus its counters' points.
void remove_scalar(const ScalarView& scalar, LeafDelta& out);
// Removes the content and keeps the expiry, so that a concurrent update which arrives later expires
// as well.
void purge_expired(const Object& object, KeyDelta& out);
// Removes the expiry that is left over of a purged key.
void remove_leftover_expiry(KeyDelta& out);
// Removes a field whose expiry has come, and the expiry with it unless that is kept. `value` is
// what is there of the field; `field` must not be viewed from what is removed.
void remove_lapsed_field(const ScalarView& value, std::string_view field, bool keeps_expiry,
                         KeyDelta& out);
// All of an object. Views `object`.
void describe(const Object& object, KeyDelta& out);
// The same without the elements of tables; one element of a table.
void describe_without_tables(const Object& object, KeyDelta& out);
void describe_element(LeafKind kind, const SetTable::Node& member, std::vector<LeafDelta>& out);
void describe_element(LeafKind kind, const HashTable::Node& field, std::vector<LeafDelta>& out);
// Puts what a leaf describes into `object`, which has nothing there yet: the inverse of describe().
// Nothing becomes dirty.
void restore_leaf(Object& object, const LeafDelta& leaf);

}  // namespace even
