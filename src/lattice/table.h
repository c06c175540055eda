// A large set, hash or sorted set: its elements by name, in the order of their hashes. Some may be
// *cold*, which is to say in a store and not in memory; whoever reads does not see the difference.
// See docs/storage.md.
//
// Invariant. Of each hash exactly one holds: all of its elements are in memory; or it is known that
// there are none, because they were removed and the store may not know yet (gone), or because they
// have been looked for there (absent); or it is cold, and the store's row, if there is one, is
// right. So what was removed is never looked for in the store, where it may still be.
//
// Reading brings in what is cold, which throws Unreadable and moves no element that is in memory.
// To bring in elements while those of the same table are walked over is not allowed; walks bring in
// all that they will come to first.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutant.h"
#include "env/random.h"
#include "lattice/delta.h"
#include "lattice/hash_ordered_map.h"
#include "lattice/version_vector.h"

namespace even {

// Which table it is, of all in a partition.
struct TableName {
  std::string key;
  std::uint64_t key_hash = 0;
  LeafKind kind = LeafKind::kMember;  // of an element
};

// What is known of all elements of a table, cold ones included, so that they can be removed without
// a look at each. Kept by whoever changes elements.
struct TableSummary {
  std::uint64_t digest = 0;  // the sum of their hashes, as in the digest of the partition
  // Elements that hold counters, of which a removal has to say how far they had come.
  std::size_t counters = 0;
  VersionVector seen;  // covers all dots in them

  // Whether a full delta of the key that mentions none of them removes them all.
  bool removed_by(const VersionVector& context) const {
    if (counters > 0 && !EVEN_MUTANT(kTableRemovedWithCounters)) return false;
    return context.covers(seen) || EVEN_MUTANT(kTableRemovedUnseen);
  }
};

// Is shown all elements of one hash; returns false when it wants no more.
using VisitElements = std::function<bool(std::uint64_t hash, std::span<const LeafDelta> elements)>;

// Where the cold elements of tables are. Throws Unreadable.
class ElementSource {
 public:
  // Calls visit, unless there are none of the hash.
  virtual void load_element(const TableName& table, std::uint64_t hash,
                            const VisitElements& visit) const = 0;
  // For all hashes from `first` to `last`, ascending.
  virtual void scan_elements(const TableName& table, std::uint64_t first, std::uint64_t last,
                             const VisitElements& visit) const = 0;
  // An element with residue (see scalar.h) has come into memory.
  virtual void note_residue(const TableName& table) const = 0;

 protected:
  ~ElementSource() = default;
};

template <typename Cell>
class Table {
 public:
  using Map = HashOrderedMap<Cell>;
  using Node = typename Map::Node;
  static constexpr std::uint64_t kLastHash = std::numeric_limits<std::uint64_t>::max();

  std::size_t size() const { return elements_.size() + cold(); }
  bool empty() const { return size() == 0; }
  // Elements that are not in memory.
  std::size_t cold() const { return stored_ == nullptr ? 0 : stored_->cold; }
  const Map& in_memory() const { return elements_; }
  TableSummary summary;

  const Cell* find(std::string_view name, std::uint64_t hash) const {
    const Node* node = elements_.find_node(name, hash);
    if (node == nullptr) {
      if (!is_cold(hash)) return nullptr;
      if (stored_->absent.size() >= kMaxAbsent) stored_->absent.clear();
      load(hash);
      node = elements_.find_node(name, hash);
      if (node == nullptr) return nullptr;
    }
    if (node->uses() == 0) node->set_uses(1);
    return &node->value;
  }

  // See HashOrderedMap for these three.
  template <typename Visit>
  void for_each(Visit visit) const {
    load_all();
    elements_.for_each(visit);
  }
  // Brings in about as much as it comes to.
  template <typename Visit>
  std::pair<bool, std::uint64_t> scan(std::uint64_t first, Visit visit) const {
    constexpr std::size_t kRows = 64;
    for (;;) {
      const std::uint64_t last = cold() == 0 ? kLastHash : load_range(first, kLastHash, kRows);
      bool more = true;
      const auto [left, next] =
          elements_.scan(first, [&](std::uint64_t hash, std::string_view name, const Cell& cell) {
            if (hash > last) return false;
            more = visit(hash, name, cell) && more;
            return more;
          });
      if (last == kLastHash) return {left, next};
      if (!more) return {true, left ? std::min(next, last + 1) : last + 1};
      first = last + 1;
    }
  }
  const Node* random(Random& random) const {
    if (cold() == 0) return elements_.random(random);
    // As HashOrderedMap does it, with stretches of hashes in the place of buckets. With so many
    // elements in a stretch on average there are hardly ever more than kPlaces.
    constexpr std::size_t kElements = 4;
    constexpr std::size_t kPlaces = 16;
    const int bits = std::bit_width(size() / kElements);
    for (int tries = 0; tries < 256; ++tries) {
      const std::uint64_t width = kLastHash >> bits;
      const std::uint64_t first = random.next() & ~width;
      load_range(first, first | width, std::numeric_limits<std::size_t>::max());
      std::size_t count = 0;
      for_each_between(first, first | width, [&count](const Node&) { ++count; });
      std::size_t place = random.below(std::max(count, kPlaces));
      if (place >= count) continue;
      const Node* found = nullptr;
      for_each_between(first, first | width, [&](const Node& node) {
        if (place-- == 0) found = &node;
      });
      return found;
    }
    load_all();
    return elements_.random(random);
  }

  template <typename Of>
  Footprint footprint(std::size_t samples, Of of) const {
    Footprint all = elements_.footprint(samples, of);
    if (stored_ == nullptr) return all;
    all.bytes += block_bytes(stored_.get());
    for (const auto* hashes : {&stored_->gone, &stored_->taken, &stored_->absent}) {
      all.bytes += hashes->capacity() * (sizeof(std::uint64_t) + 1);
    }
    return all;
  }

  // --- Changes, of what is in memory.

  // The cell of an element, made when there is none. This and erase() are for tables that are not
  // stored.
  Cell& get(std::string_view name, std::uint64_t hash) { return elements_.get(name, hash); }
  void erase(std::string_view name, std::uint64_t hash) { elements_.erase(name, hash); }

  // Calls change(node), which returns whether there is still an element. What is cold must have
  // been brought in. Returns whether the element was not dirty before.
  template <typename Change>
  bool update(std::string_view name, std::uint64_t hash, Change change) {
    EVEN_CHECK(!is_cold(hash), "an element is changed that is not in memory");
    const std::size_t before = elements_.size();
    Node& node = elements_.get_node(name, hash);
    const bool was_there = elements_.size() == before;
    const bool was_dirty = node.dirty();
    node.set_dirty(true);
    const bool is_there = change(node);
    if (!is_there) elements_.erase(name, hash);
    if (was_there != is_there) is_there ? note_added(hash) : note_removed(hash);
    return !was_dirty && (was_there || is_there);
  }
  // Calls change(node) for each that is in memory, which returns whether there is still an element.
  template <typename Change>
  void update_all(Change change) {
    std::vector<std::uint64_t> removed;
    elements_.erase_if([&](Node& node) {
      const bool is_there = change(node);
      if (!is_there && stored_ != nullptr) removed.push_back(node.hash());
      return !is_there;
    });
    for (const std::uint64_t hash : removed) note_removed(hash);
  }

  // Of a table that nobody reads any more: frees elements in memory, no more than `limit`, from
  // which it takes what it has freed. Returns whether there are more.
  bool free_some(std::size_t& limit) { return elements_.free_some(limit); }

  // Calls visit(node) for the elements of a hash that are in memory.
  template <typename Visit>
  void for_each_of_hash(std::uint64_t hash, Visit visit) {
    elements_.for_each_of_hash(hash, visit);
  }

  // --- The store.

  // Makes an empty table one with so many elements in a store, for attach() to name.
  void make_cold(std::size_t count, TableSummary of_all = {}) {
    stored_ = std::make_unique<Stored>();
    stored_->cold = count;
    summary = std::move(of_all);
  }
  // From now on its elements may be stored, and let go. `source` outlives this.
  void attach(const ElementSource& source, std::string_view key, std::uint64_t key_hash,
              LeafKind kind) {
    if (stored_ == nullptr) stored_ = std::make_unique<Stored>();
    if (stored_->source != nullptr) return;
    stored_->source = &source;
    stored_->name = {std::string(key), key_hash, kind};
  }

  bool is_cold(std::uint64_t hash) const {
    return cold() > 0 && elements_.first_of(hash) == nullptr && !stored_->none(hash);
  }
  // Brings in the elements of a hash.
  void load(std::uint64_t hash) const {
    if (!is_cold(hash)) return;
    bool found = false;
    stored_->source->load_element(stored_->name, hash,
                                  [&](std::uint64_t, std::span<const LeafDelta> elements) {
                                    admit(hash, elements);
                                    return found = true;
                                  });
    if (!found) stored_->absent.insert(hash);
  }
  void load_all() const {
    if (cold() == 0) return;
    load_range(0, kLastHash, std::numeric_limits<std::size_t>::max());
    EVEN_CHECK(cold() == 0, "the store does not hold what it should");
  }
  // Takes in what the store has of a hash that is cold.
  void admit(std::uint64_t hash, std::span<const LeafDelta> elements) const {
    if (elements.empty()) {
      stored_->absent.insert(hash);
      return;
    }
    EVEN_CHECK(stored_->cold >= elements.size(), "the store holds more than it should");
    bool residue = false;
    for (const LeafDelta& element : elements) {
      Cell& cell = elements_.get(element.field, hash);
      restore_cell(element, cell);
      residue = residue || has_residue(cell);
    }
    stored_->cold -= elements.size();
    if (residue) stored_->source->note_residue(stored_->name);
  }

  // What has changed is being stored: what was removed is remembered until it is known whether it
  // has been, with stored() or not_stored().
  void take() {
    EVEN_CHECK(stored_->taken.empty(), "one pass at a time");
    stored_->taken.swap(stored_->gone);
  }
  // Returns whether something may be looked for in the store again.
  bool stored() { return stored_ != nullptr && !std::exchange(stored_->taken, {}).empty(); }
  void not_stored() {
    if (stored_ != nullptr) stored_->gone.merge(std::exchange(stored_->taken, {}));
  }

  // Lets go of elements that are stored as they are and have not been used since this came by
  // before. Looks at no more than `limit`, from which it takes what it has looked at; goes on where
  // it stopped the time before. Returns whether it has come to the end; adds to `evicted`.
  bool evict(std::size_t& limit, std::size_t& evicted) {
    if (stored_ == nullptr) return true;
    const Node* node = elements_.first_from(stored_->hand);
    for (; node != nullptr && limit > 0; --limit) {
      const std::uint64_t hash = node->hash();
      bool may_go = true;
      for (; node != nullptr && node->hash() == hash; node = elements_.next(node)) {
        if (node->dirty() || node->uses() != 0 || has_residue(node->value)) may_go = false;
        node->set_uses(0);
      }
      if (!may_go) continue;
      while (const Node* first = elements_.first_of(hash)) {
        elements_.erase(first->key(), hash);
        ++stored_->cold;
        ++evicted;
      }
    }
    stored_->hand = node == nullptr ? 0 : node->hash();
    return node == nullptr;
  }

 private:
  // Of a table whose elements may be in a store.
  struct Stored {
    const ElementSource* source = nullptr;
    TableName name;
    std::size_t cold = 0;  // elements that are not in memory
    std::uint64_t hand = 0;
    // Hashes without elements: removed since the last pass began, or before, and that pass is not
    // over; and looked for in vain.
    absl::flat_hash_set<std::uint64_t> gone;
    absl::flat_hash_set<std::uint64_t> taken;
    absl::flat_hash_set<std::uint64_t> absent;

    bool none(std::uint64_t hash) const {
      return gone.contains(hash) || taken.contains(hash) || absent.contains(hash);
    }
  };
  static constexpr std::size_t kMaxAbsent = 4096;

  static bool has_residue(const Cell& cell) {
    if constexpr (requires { cell.view().has_residue(); }) return cell.view().has_residue();
    return false;
  }

  void note_added(std::uint64_t hash) {
    if (stored_ == nullptr) return;
    for (auto* hashes : {&stored_->gone, &stored_->taken, &stored_->absent}) {
      if (!hashes->empty()) hashes->erase(hash);
    }
  }
  void note_removed(std::uint64_t hash) {
    if (stored_ == nullptr || EVEN_MUTANT(kRemovedElementForgotten)) return;
    if (elements_.first_of(hash) == nullptr) stored_->gone.insert(hash);
  }

  // Brings in what is cold from `first` to `last`, but looks at no more than `most` hashes in the
  // store. Returns the hash up to which all is in memory.
  std::uint64_t load_range(std::uint64_t first, std::uint64_t last, std::size_t most) const {
    std::uint64_t upto = last;
    stored_->source->scan_elements(stored_->name, first, last,
                                   [&](std::uint64_t hash, std::span<const LeafDelta> elements) {
                                     if (is_cold(hash)) admit(hash, elements);
                                     if (cold() == 0) return false;
                                     if (--most > 0) return true;
                                     upto = hash;
                                     return false;
                                   });
    return upto;
  }
  template <typename Visit>
  void for_each_between(std::uint64_t first, std::uint64_t last, Visit visit) const {
    const Node* node = elements_.first_from(first);
    for (; node != nullptr && node->hash() <= last; node = elements_.next(node)) visit(*node);
  }

  mutable Map elements_;
  std::unique_ptr<Stored> stored_;
};

}  // namespace even
