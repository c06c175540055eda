// The members of a large sorted set in the order of their scores, and of their names where those
// are equal; and the elements of a large list, which all have the score 0 and positions for names:
// a B-tree whose inner nodes know how many members are below each child, so that what is at a rank,
// and what the rank of something is, takes a logarithmic number of steps.
//
// A member takes 16 bytes of it, and 23 or less with the room that leaves have to spare. It refers
// to the nodes of the set's table (see table.h): whoever erases one takes it out of here before.
//
// Counted B-trees: https://www.chiark.greenend.org.uk/~sgtatham/algorithms/cbtree.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "lattice/hash_ordered_map.h"
#include "lattice/types/scalar_cell.h"

namespace even {

class ScoreIndex {
 public:
  using Member = HashOrderedMap<ScalarCell>::Node;
  struct Entry {
    double score = 0;
    const Member* member = nullptr;
    std::string_view name() const { return member->key(); }
  };

  // Of these, in any order; no name comes twice.
  explicit ScoreIndex(std::vector<Entry> entries);
  ScoreIndex(const ScoreIndex&) = delete;
  ScoreIndex& operator=(const ScoreIndex&) = delete;
  ~ScoreIndex();

  std::size_t size() const { return size_; }
  // Of an index with entries: the one at its beginning, or at its end.
  const Entry& edge(bool first) const;
  // The one so many entries from there, as far as it lies near it in memory; else null.
  const Entry* near_edge(bool first, std::size_t distance) const;
  // The last entry with a lesser score, or the same and a lesser name; null when there is none.
  const Entry* last_before(double score, std::string_view name) const;
  // What is not there is inserted; what is there, erased.
  void insert(const Entry& entry);
  void erase(double score, std::string_view name);

  // How many of the first entries are before(score, name), which no entry behind one that is not
  // may be.
  template <typename Before>
  std::size_t count_while(Before before) const {
    std::size_t count = 0;
    for (const Tree* tree = root_;;) {
      if (tree->is_leaf) {
        const auto* leaf = static_cast<const Leaf*>(tree);
        const auto fits = [&](std::size_t i) {
          return before(leaf->entries[i].score, leaf->entries[i].name());
        };
        return count + partition_point(leaf->used, fits);
      }
      // The last child whose first entry is before, or else the first child.
      const auto* inner = static_cast<const Inner*>(tree);
      const auto fits = [&](std::size_t i) {
        return before(inner->firsts[i].score, inner->firsts[i].name());
      };
      const std::size_t found = partition_point(inner->used, fits);
      const std::size_t child = found == 0 ? 0 : found - 1;
      for (std::size_t i = 0; i < child; ++i) count += inner->sizes[i];
      tree = inner->children[child];
    }
  }

  // Calls visit(entry) for `count` entries from the rank `first` on, upwards or downwards, until it
  // returns false if it returns bool; all of these ranks exist. Nothing may change meanwhile.
  template <typename Visit>
  void visit(std::size_t first, std::size_t count, bool downwards, Visit visit) const {
    Cursor cursor(root_, first);
    for (; count > 0; --count) {
      if constexpr (std::is_same_v<std::invoke_result_t<Visit, const Entry&>, bool>) {
        if (!visit(cursor.entry())) return;
      } else {
        visit(cursor.entry());
      }
      if (count > 1) downwards ? cursor.back() : cursor.forth();
    }
  }

  Footprint footprint() const { return {bytes_, 0}; }

  // Whether somebody has asked since the last time that this was asked.
  void note_use() const { used_ = true; }
  bool take_use() const { return std::exchange(used_, false); }

 private:
  static constexpr std::size_t kLeafEntries = 62;
  static constexpr std::size_t kChildren = 32;
  static constexpr std::size_t kMostLevels = 16;  // each has half of its children at least

  struct Tree {
    bool is_leaf;
    std::uint16_t used = 0;
  };
  struct Leaf : Tree {
    Entry entries[kLeafEntries];
  };
  struct Inner : Tree {
    Tree* children[kChildren];
    std::size_t sizes[kChildren];
    Entry firsts[kChildren];
  };

  class Cursor {
   public:
    Cursor(const Tree* root, std::size_t rank);
    const Entry& entry() const { return leaf_->entries[place_]; }
    void forth();
    void back();

   private:
    struct Level {
      const Inner* inner;
      std::size_t child;
    };
    Level levels_[kMostLevels];
    std::size_t depth_ = 0;
    const Leaf* leaf_ = nullptr;
    std::size_t place_ = 0;
  };

  template <typename Fits>
  static std::size_t partition_point(std::size_t size, Fits fits) {
    std::size_t low = 0;
    for (std::size_t high = size; low < high;) {
      const std::size_t middle = (low + high) / 2;
      fits(middle) ? low = middle + 1 : high = middle;
    }
    return low;
  }
  static bool less(double score, std::string_view name, const Entry& than) {
    return score < than.score || (score == than.score && name < than.name());
  }
  static std::size_t size_of(const Tree* tree);
  const Leaf* leaf_at(bool beginning) const;
  static const Entry& first_of(const Tree* tree);
  static std::size_t child_for(const Inner& inner, double score, std::string_view name);

  Leaf* new_leaf();
  Inner* new_inner();
  void free(Tree* tree);
  void free_below(Tree* tree);
  // Where in all of the index an entry belongs, as far as that is known.
  enum class At : std::uint8_t { kBeginning, kEnd, kAnywhere };
  At place_of(const Entry& entry) const;
  // Return what has been split off behind `tree`; null: nothing.
  Tree* insert_below(Tree* tree, const Entry& entry, At at);
  Tree* insert_into_leaf(Leaf& leaf, const Entry& entry, At at);
  void erase_below(Tree* tree, double score, std::string_view name);
  void fill_up(Inner& inner, std::size_t child);
  static void set_child(Inner& inner, std::size_t at, Tree* tree);
  static void insert_child(Inner& inner, std::size_t at, Tree* tree);
  static void erase_child(Inner& inner, std::size_t at);
  static void move_to_front(Tree* from, Tree* to, std::size_t count);
  static void move_to_back(Tree* from, Tree* to, std::size_t count);

  Tree* root_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  mutable bool used_ = true;
};

}  // namespace even
