// Sets, hashes, sorted sets and lists in memory: packed (see packed_elements.h) while they are
// small and plain, a table from then on. Both are read through a view, passed by value, which does
// not tell which it is; the order of elements is the order of insertion in the former and of hashes
// in the latter.
//
// The elements of a table (see table.h) are stored one by one. Those that have changed are marked
// dirty; whoever changes a cell lists them. Reading a table may throw Unreadable.
//
// A sorted set is a hash whose values are scores, a list one whose fields are positions. As a table
// each has an index of these from the first time that somebody asks for their order until memory is
// short.
//
// A cell is where one rests: eight bytes. Changing a cell invalidates its views, except that what a
// packed one held stays readable while a PackedElements::KeepReplaced exists.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/hash.h"
#include "env/random.h"
#include "lattice/dot_store.h"
#include "lattice/table.h"
#include "lattice/types/packed_elements.h"
#include "lattice/types/scalar_cell.h"
#include "lattice/types/score.h"
#include "lattice/types/score_index.h"

namespace even {

// A set member: present while it has a dot.
struct MemberDot {
  Dot dot;
  MemberDot& operator=(const SiblingView& view) {
    dot = view.dot;
    return *this;
  }
};
using MemberDots = DotStore<MemberDot>;

// The dots of one member of a large set.
class MemberCell {
 public:
  MemberCell() = default;
  MemberCell(const MemberCell&) = delete;
  MemberCell& operator=(const MemberCell&) = delete;
  ~MemberCell() { clear(); }

  MemberDots dots() const;
  Footprint footprint() const;
  void assign(const MemberDots& dots);

 private:
  void clear();
  std::uint64_t word() const { return std::uint64_t{high_} << 32 | low_; }
  void set_word(std::uint64_t word) {
    low_ = static_cast<std::uint32_t>(word);
    high_ = static_cast<std::uint32_t>(word >> 32);
  }

  // 0, a CompactDot, or a pointer to MemberDots with the 16 highest bits set.
  std::uint32_t low_ = 0;
  std::uint32_t high_ = 0;
};

using SetTable = Table<MemberCell>;

struct HashTable : Table<ScalarCell> {
  std::size_t live = 0;  // fields that are there to a reader, cold ones included

  // What the elements of a table with an index are in the order of.
  enum class Order : std::uint8_t { kScores, kNames };
  // Of a sorted set or list: its index, which is made when there is none; then nothing is cold, so
  // that what is has to be read. A table has one order always.
  const ScoreIndex& index(Order order) const;
  // Null when there is none.
  const ScoreIndex* index_if_made() const { return index_.get(); }

  // Of the expiries of a hash's fields: none of them is before this instant (Unix ms). What lowers
  // and raises it is PartitionState; for the index nothing is cheaper than its first entry.
  std::int64_t first_ms() const { return static_cast<std::int64_t>(first_ms_); }
  void lower_first(std::int64_t at_ms) { set_first(std::min(at_ms, first_ms())); }
  void set_first(std::int64_t at_ms) {
    first_ms_ = static_cast<std::uint64_t>(std::clamp<std::int64_t>(at_ms, 0, kNoFirst));
  }
  // Makes it the first of them, as far as that is known without bringing anything in.
  void find_first_if_indexed();

  // These keep the index, or do without it.
  template <typename Change>
  bool update(std::string_view name, std::uint64_t hash, Change change);
  template <typename Change>
  void update_all(Change change);
  bool evict(std::size_t& limit, std::size_t& evicted) {
    if (index_ != nullptr && index_->take_use()) return true;
    index_.reset();
    return Table::evict(limit, evicted);
  }
  template <typename Of>
  Footprint footprint(std::size_t samples, Of of) const {
    Footprint all = Table::footprint(samples, of);
    if (index_ == nullptr) return all;
    all.bytes += block_bytes(index_.get());
    return all += index_->footprint();
  }

 private:
  std::optional<double> score_of_live(const ScalarCell& cell) const {
    if (!cell.live()) return std::nullopt;
    return order_ == static_cast<std::uint64_t>(Order::kNames) ? 0 : score_of(cell.view());
  }
  static bool same(const std::optional<double>& a, const std::optional<double>& b) {
    return a == b && (!a || std::signbit(*a) == std::signbit(*b));
  }

  // Instants have 46 bits; 2^53 is the last that a score can say.
  static constexpr std::int64_t kNoFirst = (std::int64_t{1} << 54) - 1;

  mutable std::unique_ptr<ScoreIndex> index_;
  // In the space of one word.
  mutable std::uint64_t order_ : 8 = static_cast<std::uint64_t>(Order::kScores);
  std::uint64_t first_ms_ : 56 = static_cast<std::uint64_t>(kNoFirst);
};

template <typename Change>
bool HashTable::update(std::string_view name, std::uint64_t hash, Change change) {
  if (index_ == nullptr) {
    return Table::update(name, hash, [&](Node& node) { return change(node.value); });
  }
  std::optional<double> before;
  std::optional<double> after;
  const Node* changed = nullptr;
  const bool dirtied = Table::update(name, hash, [&](Node& node) {
    ScalarCell& cell = node.value;
    changed = &node;
    before = score_of_live(cell);
    const bool is_there = change(cell);
    after = score_of_live(cell);
    if (EVEN_MUTANT(kIndexKeepsScore) && before && after) after = before;
    if (before && !same(before, after)) index_->erase(*before, name);
    return is_there;
  });
  if (after && !same(before, after)) index_->insert({*after, changed});
  return dirtied;
}

template <typename Change>
void HashTable::update_all(Change change) {
  if (index_ == nullptr) return Table::update_all(change);
  Table::update_all([&](Node& node) {
    const std::optional<double> before = score_of_live(node.value);
    const bool is_there = change(node);
    const std::optional<double> after = score_of_live(node.value);
    if (same(before, after)) return is_there;
    if (before) index_->erase(*before, node.key());
    if (after) index_->insert({*after, &node});
    return is_there;
  });
}

// What a leaf describes: the inverse of describe_element().
MemberDots restored_dots(const LeafDelta& leaf);
Scalar restored_scalar(const LeafDelta& leaf);
inline void restore_cell(const LeafDelta& leaf, MemberCell& cell) {
  cell.assign(restored_dots(leaf));
}
inline void restore_cell(const LeafDelta& leaf, ScalarCell& cell) {
  cell.assign(restored_scalar(leaf));
}

class SetView {
 public:
  struct Entry {
    std::string_view name;
  };

  SetView() = default;  // of no set
  explicit SetView(PackedElements packed) : packed_(packed) {}
  explicit SetView(const SetTable* table) : table_(table) {}

  explicit operator bool() const { return size() > 0; }
  std::size_t size() const { return table_ != nullptr ? table_->size() : packed_.size(); }
  bool contains(std::string_view member) const;
  bool contains(std::string_view member, std::uint64_t hash) const;  // `hash`: its hash64
  MemberDots find(std::string_view member) const;                    // no dots: not a member

  // Calls visit(member) or visit(member, dots), until it returns false if it returns bool.
  template <typename Visit>
  void for_each(Visit visit) const {
    const auto call = [&visit](std::string_view member, auto dots) {
      if constexpr (std::is_invocable_v<Visit, std::string_view>) {
        return until_false([&] { return visit(member); });
      } else {
        return until_false([&] { return visit(member, dots()); });
      }
    };
    if (table_ != nullptr) {
      table_->for_each([&](std::string_view member, const MemberCell& cell) {
        return call(member, [&cell] { return cell.dots(); });
      });
      return;
    }
    packed_.for_each([&](const PackedElement& element) {
      return call(element.name, [&element] { return MemberDots{{element.dot}}; });
    });
  }
  // As HashOrderedMap::scan, with visit(entry). A packed set is scanned at once.
  template <typename Visit>
  std::pair<bool, std::uint64_t> scan(std::uint64_t first, Visit visit) const {
    if (table_ != nullptr) {
      return table_->scan(first, [&](std::uint64_t, std::string_view member, const MemberCell&) {
        return visit(Entry{member});
      });
    }
    packed_.for_each([&](const PackedElement& element) {
      if (first == 0 || hash64(element.name) >= first) visit(Entry{element.name});
      return true;
    });
    return {false, 0};
  }
  // Of a set with members.
  Entry random(Random& random) const;

  // See HashOrderedMap.
  void prefetch_bucket(std::uint64_t hash) const {
    if (table_ != nullptr) table_->in_memory().prefetch_bucket(hash);
  }
  void prefetch_node(std::uint64_t hash) const {
    if (table_ != nullptr) table_->in_memory().prefetch_node(hash);
  }
  void prefetch_next(std::uint64_t hash) const {
    if (table_ != nullptr) table_->in_memory().prefetch_next(hash);
  }

  template <typename Call>
  static bool until_false(Call call) {
    if constexpr (std::is_same_v<decltype(call()), bool>) {
      return call();
    } else {
      call();
      return true;
    }
  }

 private:
  PackedElements packed_;
  const SetTable* table_ = nullptr;
};

// The map may hold fields that are only residue of counters.
class HashView {
 public:
  struct Entry {
    std::string_view name;
    ScalarView scalar;
  };

  HashView() = default;  // of no hash
  explicit HashView(PackedElements packed) : packed_(packed) {}
  explicit HashView(const HashTable* table) : table_(table) {}

  explicit operator bool() const { return size() > 0; }
  std::size_t size() const { return table_ != nullptr ? table_->size() : packed_.size(); }
  // Fields that are there to a reader.
  std::size_t live() const { return table_ != nullptr ? table_->live : packed_.live(); }
  ScalarView find(std::string_view field) const;
  ScalarView find(std::string_view field, std::uint64_t hash) const;  // `hash`: its hash64

  // Calls visit(field, scalar), until it returns false if it returns bool.
  template <typename Visit>
  void for_each(Visit visit) const {
    if (table_ != nullptr) table_->load_all();
    for_each_in_memory(visit);
  }
  // The same without what is cold.
  template <typename Visit>
  void for_each_in_memory(Visit visit) const {
    if (table_ != nullptr) {
      table_->in_memory().for_each([&](std::string_view field, const ScalarCell& cell) {
        return SetView::until_false([&] { return visit(field, cell.view()); });
      });
      return;
    }
    packed_.for_each([&](const PackedElement& element) {
      return SetView::until_false([&] { return visit(element.name, element.scalar()); });
    });
  }
  template <typename Visit>
  std::pair<bool, std::uint64_t> scan(std::uint64_t first, Visit visit) const {
    if (table_ != nullptr) {
      return table_->scan(first,
                          [&](std::uint64_t, std::string_view field, const ScalarCell& cell) {
                            return visit(Entry{field, cell.view()});
                          });
    }
    packed_.for_each([&](const PackedElement& element) {
      if (first == 0 || hash64(element.name) >= first) visit(Entry{element.name, element.scalar()});
      return true;
    });
    return {false, 0};
  }
  // Of a hash with fields; maybe one that is not live.
  Entry random(Random& random) const;
  // Null for a packed one.
  const HashTable* table() const { return table_; }

  void prefetch_bucket(std::uint64_t hash) const {
    if (table_ != nullptr) table_->in_memory().prefetch_bucket(hash);
  }
  void prefetch_node(std::uint64_t hash) const {
    if (table_ != nullptr) table_->in_memory().prefetch_node(hash);
  }
  void prefetch_next(std::uint64_t hash) const {
    if (table_ != nullptr) table_->in_memory().prefetch_next(hash);
  }
  void prefetch_value(std::uint64_t hash) const {
    if (table_ == nullptr) return;
    if (const ScalarCell* cell = table_->in_memory().likely(hash)) cell->prefetch();
  }

 private:
  PackedElements packed_;
  const HashTable* table_ = nullptr;
};

class SetCell {
 public:
  static constexpr unsigned kPacked = 4;
  static constexpr unsigned kTable = 5;

  SetCell() = default;
  explicit SetCell(TaggedPointer pointer) : pointer_(pointer) {}
  SetCell(SetCell&& other) noexcept : pointer_(other.release()) {}
  SetCell& operator=(SetCell&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~SetCell() { clear(); }

  bool empty() const { return pointer_.null(); }
  static SetView view(TaggedPointer pointer);
  SetView view() const { return view(pointer_); }
  void clear();
  TaggedPointer release() { return std::exchange(pointer_, {}); }

  // Calls change(dots) with the member's dots, which it may change; without dots it is erased.
  // `hash`: the member's hash64. Returns whether it is in a table and was not dirty before.
  template <typename Change>
  bool update(std::string_view member, std::uint64_t hash, Change change) {
    if (table() != nullptr) {
      const bool dirtied = table()->update(
          member, hash, [&](SetTable::Node& node) { return change_cell(node.value, change); });
      drop_if_empty();
      return dirtied;
    }
    MemberDots dots = view().find(member);
    change(dots);
    store(member, dots);
    return false;
  }
  // Calls change(member, dots) for every member that is in memory, and list(hash) for those in a
  // table that have become dirty. For a packed set a KeepReplaced must exist.
  template <typename Change, typename List>
  void update_all(Change change, List list) {
    if (table() != nullptr) {
      table()->update_all([&](SetTable::Node& node) {
        const std::size_t before = node.value.dots().size();
        std::size_t after = before;
        change_cell(node.value, [&](MemberDots& dots) {
          change(node.key(), dots);
          after = dots.size();
        });
        if (after != before && !node.dirty()) {
          node.set_dirty(true);
          list(node.hash());
        }
        return after != 0;
      });
      return drop_if_empty();
    }
    view().for_each([&](std::string_view member, MemberDots dots) {
      change(member, dots);
      store(member, dots);
    });
  }

  // Adds a member, which is not there yet, to a set that is not stored, and nothing becomes dirty.
  void restore(std::string_view member, const MemberDots& dots) { store(member, dots); }

  // Of a table: estimated from so many samples, or exact when that is 0.
  static Footprint footprint(TaggedPointer pointer, std::size_t samples);
  Footprint footprint(std::size_t samples) const { return footprint(pointer_, samples); }

  SetTable* table() const { return pointer_.tag() == kTable ? pointer_.get<SetTable>() : nullptr; }
  // Makes it a table, if it is not one.
  SetTable& spill();
  // Makes a set without members a table of so many cold ones.
  void make_cold(std::size_t members, TableSummary summary) {
    spill().make_cold(members, std::move(summary));
  }

 private:
  template <typename Change>
  static bool change_cell(MemberCell& cell, Change change) {
    MemberDots dots = cell.dots();
    change(dots);
    cell.assign(dots);
    return !dots.empty();
  }
  void store(std::string_view member, const MemberDots& dots);
  void drop_if_empty();

  TaggedPointer pointer_;
};

class HashCell {
 public:
  static constexpr unsigned kPacked = 6;
  static constexpr unsigned kTable = 7;

  HashCell() = default;
  explicit HashCell(TaggedPointer pointer) : pointer_(pointer) {}
  HashCell(HashCell&& other) noexcept : pointer_(other.release()) {}
  HashCell& operator=(HashCell&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~HashCell() { clear(); }

  bool empty() const { return pointer_.null(); }
  static HashView view(TaggedPointer pointer);
  HashView view() const { return view(pointer_); }
  void clear();
  TaggedPointer release() { return std::exchange(pointer_, {}); }

  // Calls change(now, store) with the field as it is; `hash`: the field's hash64. `store` takes
  // what it is to be, a SiblingView for a value alone, a CounterEntry for one of integers alone or
  // a Scalar, and may be called once; an empty Scalar erases the field. Returns whether it is in a
  // table and was not dirty before.
  template <typename Change>
  bool update(std::string_view field, std::uint64_t hash, Change change) {
    if (table() != nullptr) {
      const bool dirtied = table()->update(field, hash, [&](ScalarCell& cell) {
        change_cell(cell, change);
        return !cell.empty();
      });
      drop_if_empty();
      return dirtied;
    }
    change(view().find(field), Store{*this, field});
    return false;
  }
  // Calls change(field, now, store) for every field that is in memory, and list(hash) for those in
  // a table that have become dirty. For a packed hash a KeepReplaced must exist.
  template <typename Change, typename List>
  void update_all(Change change, List list) {
    if (table() != nullptr) {
      table()->update_all([&](HashTable::Node& node) {
        bool stored = false;
        change_cell(node.value, [&](const ScalarView& now, auto store) {
          change(node.key(), now, [&](auto&& next) {
            stored = true;
            store(std::forward<decltype(next)>(next));
          });
        });
        if (stored && !node.dirty()) {
          node.set_dirty(true);
          list(node.hash());
        }
        return !node.value.empty();
      });
      return drop_if_empty();
    }
    view().for_each([&](std::string_view field, const ScalarView& now) {
      change(field, now, Store{*this, field});
    });
  }

  // Adds a field, which is not there yet, to a hash that is not stored, and nothing becomes dirty.
  void restore(std::string_view field, Scalar&& scalar) { store(field, std::move(scalar)); }

  static Footprint footprint(TaggedPointer pointer, std::size_t samples);
  Footprint footprint(std::size_t samples) const { return footprint(pointer_, samples); }

  HashTable* table() const {
    return pointer_.tag() == kTable ? pointer_.get<HashTable>() : nullptr;
  }
  // Makes it a table, if it is not one.
  HashTable& spill();
  // Makes a hash without fields a table of so many cold ones.
  void make_cold(std::size_t fields, std::size_t live, TableSummary summary) {
    spill().make_cold(fields, std::move(summary));
    table()->live = live;
  }

 private:
  // Into a packed hash.
  struct Store {
    HashCell& cell;
    std::string_view field;
    void operator()(const SiblingView& value) const { cell.store(field, value); }
    void operator()(const CounterEntry<std::int64_t>& tally) const {
      cell.store(field, ScalarView(tally).copy());
    }
    void operator()(Scalar&& scalar) const { cell.store(field, std::move(scalar)); }
  };
  template <typename Change>
  void change_cell(ScalarCell& cell, Change change) {
    const auto facts_of = [](const ScalarView& scalar) {
      return std::pair(scalar.live(), scalar.has_counters());
    };
    const auto count = [](bool before, bool after, std::size_t& number) {
      if (before != after) number += after ? 1 : std::size_t(-1);
    };
    const ScalarView now = cell.view();
    const auto before = facts_of(now);
    auto after = before;
    change(now, [&](auto&& next) {
      after = facts_of(next);
      cell.assign(std::forward<decltype(next)>(next));
    });
    count(before.first, after.first, table()->live);
    count(before.second, after.second, table()->summary.counters);
  }
  void store(std::string_view field, const SiblingView& value);
  void store(std::string_view field, Scalar&& scalar);
  bool pack(const PackedElement& element);
  void drop_if_empty();

  TaggedPointer pointer_;
};

}  // namespace even
