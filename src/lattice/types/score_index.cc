#include "lattice/types/score_index.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace even {
namespace {

// How full a leaf or an inner node is when it is made from what is known already: what comes later
// should not split each of them at once.
constexpr std::size_t filled(std::size_t most) { return most - most / 8; }

}  // namespace

ScoreIndex::ScoreIndex(std::vector<Entry> entries) : size_(entries.size()) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return less(a.score, a.name(), b); });
  // Pieces of about the same size, so that none is too small.
  const auto pieces = [](std::size_t count, std::size_t most) {
    return std::max<std::size_t>(1, (count + filled(most) - 1) / filled(most));
  };
  std::vector<Tree*> level(pieces(entries.size(), kLeafEntries));
  for (std::size_t i = 0; i < level.size(); ++i) {
    const std::size_t begin = entries.size() * i / level.size();
    const std::size_t end = entries.size() * (i + 1) / level.size();
    Leaf* leaf = new_leaf();
    std::copy(entries.begin() + static_cast<std::ptrdiff_t>(begin),
              entries.begin() + static_cast<std::ptrdiff_t>(end), leaf->entries);
    leaf->used = static_cast<std::uint16_t>(end - begin);
    level[i] = leaf;
  }
  while (level.size() > 1) {
    std::vector<Tree*> above(pieces(level.size(), kChildren));
    for (std::size_t i = 0; i < above.size(); ++i) {
      Inner* inner = new_inner();
      const std::size_t end = level.size() * (i + 1) / above.size();
      for (std::size_t child = level.size() * i / above.size(); child < end; ++child) {
        insert_child(*inner, inner->used, level[child]);
      }
      above[i] = inner;
    }
    level = std::move(above);
  }
  root_ = level.front();
}

ScoreIndex::~ScoreIndex() { free_below(root_); }

const ScoreIndex::Leaf* ScoreIndex::leaf_at(bool beginning) const {
  const Tree* tree = root_;
  while (!tree->is_leaf) {
    const auto* inner = static_cast<const Inner*>(tree);
    tree = inner->children[beginning ? 0 : inner->used - 1];
  }
  return static_cast<const Leaf*>(tree);
}

const ScoreIndex::Entry& ScoreIndex::edge(bool first) const {
  const Leaf* leaf = leaf_at(first);
  return leaf->entries[first ? 0 : leaf->used - 1];
}

const ScoreIndex::Entry* ScoreIndex::near_edge(bool first, std::size_t distance) const {
  const Leaf* leaf = leaf_at(first);
  if (distance >= leaf->used) return nullptr;
  return &leaf->entries[first ? distance : leaf->used - 1 - distance];
}

const ScoreIndex::Entry* ScoreIndex::last_before(double score, std::string_view name) const {
  const auto before = [&](const Entry& entry) {
    return entry.score < score || (entry.score == score && entry.name() < name);
  };
  if (size_ == 0 || !before(first_of(root_))) return nullptr;
  // The first entry below what is chosen is before it, so there is one.
  const Tree* tree = root_;
  while (!tree->is_leaf) {
    const auto* inner = static_cast<const Inner*>(tree);
    const auto fits = [&](std::size_t i) { return before(inner->firsts[i]); };
    tree = inner->children[partition_point(inner->used, fits) - 1];
  }
  const auto* leaf = static_cast<const Leaf*>(tree);
  return leaf->entries +
         partition_point(leaf->used, [&](std::size_t i) { return before(leaf->entries[i]); }) - 1;
}

ScoreIndex::Leaf* ScoreIndex::new_leaf() {
  auto* leaf = new Leaf;
  leaf->is_leaf = true;
  bytes_ += block_bytes(leaf);
  return leaf;
}

ScoreIndex::Inner* ScoreIndex::new_inner() {
  auto* inner = new Inner;
  inner->is_leaf = false;
  bytes_ += block_bytes(inner);
  return inner;
}

void ScoreIndex::free(Tree* tree) {
  bytes_ -= block_bytes(tree);
  if (tree->is_leaf) {
    delete static_cast<Leaf*>(tree);
  } else {
    delete static_cast<Inner*>(tree);
  }
}

void ScoreIndex::free_below(Tree* tree) {
  if (!tree->is_leaf) {
    auto* inner = static_cast<Inner*>(tree);
    for (std::size_t i = 0; i < inner->used; ++i) free_below(inner->children[i]);
  }
  free(tree);
}

std::size_t ScoreIndex::size_of(const Tree* tree) {
  if (tree->is_leaf) return tree->used;
  const auto* inner = static_cast<const Inner*>(tree);
  std::size_t size = 0;
  for (std::size_t i = 0; i < inner->used; ++i) size += inner->sizes[i];
  return size;
}

const ScoreIndex::Entry& ScoreIndex::first_of(const Tree* tree) {
  return tree->is_leaf ? static_cast<const Leaf*>(tree)->entries[0]
                       : static_cast<const Inner*>(tree)->firsts[0];
}

// The child below which it is, or belongs.
std::size_t ScoreIndex::child_for(const Inner& inner, double score, std::string_view name) {
  const auto from = [&](std::size_t i) { return !less(score, name, inner.firsts[i]); };
  // Most of a list is at its ends, whose entries are in the processor's caches.
  if (from(inner.used - std::size_t{1})) return inner.used - std::size_t{1};
  if (inner.used > 1 && !from(1)) return 0;
  const std::size_t behind = partition_point(inner.used, from);
  return behind == 0 ? 0 : behind - 1;
}

void ScoreIndex::set_child(Inner& inner, std::size_t at, Tree* tree) {
  inner.children[at] = tree;
  inner.sizes[at] = size_of(tree);
  inner.firsts[at] = first_of(tree);
}

void ScoreIndex::insert_child(Inner& inner, std::size_t at, Tree* tree) {
  EVEN_CHECK(inner.used < kChildren, "there is room for a child");
  std::move_backward(inner.children + at, inner.children + inner.used,
                     inner.children + inner.used + 1);
  std::move_backward(inner.sizes + at, inner.sizes + inner.used, inner.sizes + inner.used + 1);
  std::move_backward(inner.firsts + at, inner.firsts + inner.used, inner.firsts + inner.used + 1);
  ++inner.used;
  set_child(inner, at, tree);
}

void ScoreIndex::erase_child(Inner& inner, std::size_t at) {
  std::move(inner.children + at + 1, inner.children + inner.used, inner.children + at);
  std::move(inner.sizes + at + 1, inner.sizes + inner.used, inner.sizes + at);
  std::move(inner.firsts + at + 1, inner.firsts + inner.used, inner.firsts + at);
  --inner.used;
}

// Moves the last `count` of `from` to the front of `to`, which follows it.
void ScoreIndex::move_to_front(Tree* from, Tree* to, std::size_t count) {
  const auto move = [&](auto* source, auto* target) {
    std::move_backward(target, target + to->used, target + to->used + count);
    std::move(source + from->used - count, source + from->used, target);
  };
  if (from->is_leaf) {
    move(static_cast<Leaf*>(from)->entries, static_cast<Leaf*>(to)->entries);
  } else {
    auto& source = static_cast<Inner&>(*from);
    auto& target = static_cast<Inner&>(*to);
    move(source.children, target.children);
    move(source.sizes, target.sizes);
    move(source.firsts, target.firsts);
  }
  from->used = static_cast<std::uint16_t>(from->used - count);
  to->used = static_cast<std::uint16_t>(to->used + count);
}

// Moves the first `count` of `from` behind those of `to`, which precedes it.
void ScoreIndex::move_to_back(Tree* from, Tree* to, std::size_t count) {
  const auto move = [&](auto* source, auto* target) {
    std::move(source, source + count, target + to->used);
    std::move(source + count, source + from->used, source);
  };
  if (from->is_leaf) {
    move(static_cast<Leaf*>(from)->entries, static_cast<Leaf*>(to)->entries);
  } else {
    auto& source = static_cast<Inner&>(*from);
    auto& target = static_cast<Inner&>(*to);
    move(source.children, target.children);
    move(source.sizes, target.sizes);
    move(source.firsts, target.firsts);
  }
  from->used = static_cast<std::uint16_t>(from->used - count);
  to->used = static_cast<std::uint16_t>(to->used + count);
}

// Most of what lists and streams are given belongs to an end of them: there the way down needs no
// comparisons.
ScoreIndex::At ScoreIndex::place_of(const Entry& entry) const {
  if (size_ == 0) return At::kEnd;
  if (less(entry.score, entry.name(), first_of(root_))) return At::kBeginning;
  if (!root_->is_leaf) {
    const auto* inner = static_cast<const Inner*>(root_);
    if (less(entry.score, entry.name(), inner->firsts[inner->used - 1])) return At::kAnywhere;
  }
  return less(entry.score, entry.name(), edge(false)) ? At::kAnywhere : At::kEnd;
}

void ScoreIndex::insert(const Entry& entry) {
  Tree* behind = insert_below(root_, entry, place_of(entry));
  ++size_;
  if (behind == nullptr) return;
  Inner* above = new_inner();
  insert_child(*above, 0, root_);
  insert_child(*above, 1, behind);
  root_ = above;
}

ScoreIndex::Tree* ScoreIndex::insert_below(Tree* tree, const Entry& entry, At at) {
  if (tree->is_leaf) return insert_into_leaf(static_cast<Leaf&>(*tree), entry, at);
  auto& inner = static_cast<Inner&>(*tree);
  const std::size_t child = at == At::kBeginning ? 0
                            : at == At::kEnd     ? inner.used - std::size_t{1}
                                                 : child_for(inner, entry.score, entry.name());
  Tree* behind = insert_below(inner.children[child], entry, at);
  if (behind == nullptr) {
    ++inner.sizes[child];
    inner.firsts[child] = first_of(inner.children[child]);
    return nullptr;
  }
  set_child(inner, child, inner.children[child]);
  if (inner.used < kChildren) {
    insert_child(inner, child + 1, behind);
    return nullptr;
  }
  Inner* split = new_inner();
  move_to_front(&inner, split, kChildren / 2);
  if (child + 1 <= inner.used) {
    insert_child(inner, child + 1, behind);
  } else {
    insert_child(*split, child + 1 - inner.used, behind);
  }
  return split;
}

ScoreIndex::Tree* ScoreIndex::insert_into_leaf(Leaf& leaf, const Entry& entry, At at) {
  const auto put = [&entry](Leaf& into, std::size_t place) {
    std::move_backward(into.entries + place, into.entries + into.used,
                       into.entries + into.used + 1);
    into.entries[place] = entry;
    ++into.used;
  };
  const std::size_t place = at == At::kBeginning ? 0
                            : at == At::kEnd
                                ? leaf.used
                                : partition_point(leaf.used, [&](std::size_t i) {
                                    return !less(entry.score, entry.name(), leaf.entries[i]);
                                  });
  if (leaf.used < kLeafEntries) {
    put(leaf, place);
    return nullptr;
  }
  Leaf* split = new_leaf();
  // What grows at an end, as with scores that are times, is left full.
  if (at == At::kEnd) {
    put(*split, 0);
    return split;
  }
  if (at == At::kBeginning) {
    move_to_front(&leaf, split, kLeafEntries);
    put(leaf, 0);
    return split;
  }
  move_to_front(&leaf, split, kLeafEntries / 2);
  place <= leaf.used ? put(leaf, place) : put(*split, place - leaf.used);
  return split;
}

void ScoreIndex::erase(double score, std::string_view name) {
  erase_below(root_, score, name);
  --size_;
  while (!root_->is_leaf && root_->used == 1) {
    Tree* only = static_cast<Inner*>(root_)->children[0];
    free(root_);
    root_ = only;
  }
}

void ScoreIndex::erase_below(Tree* tree, double score, std::string_view name) {
  if (tree->is_leaf) {
    auto& leaf = static_cast<Leaf&>(*tree);
    const auto is = [&](const Entry& entry) {
      return entry.score == score && entry.name() == name;
    };
    // Most goes from an end.
    const std::size_t behind = leaf.used > 0 && is(leaf.entries[leaf.used - 1]) ? leaf.used
                               : leaf.used > 0 && is(leaf.entries[0])
                                   ? 1
                                   : partition_point(leaf.used, [&](std::size_t i) {
                                       return !less(score, name, leaf.entries[i]);
                                     });
    EVEN_CHECK(behind > 0 && leaf.entries[behind - 1].name() == name, "what is erased is there");
    std::move(leaf.entries + behind, leaf.entries + leaf.used, leaf.entries + behind - 1);
    --leaf.used;
    return;
  }
  auto& inner = static_cast<Inner&>(*tree);
  const std::size_t child = child_for(inner, score, name);
  Tree* below = inner.children[child];
  erase_below(below, score, name);
  --inner.sizes[child];
  if (below->used > 0) inner.firsts[child] = first_of(below);
  const std::size_t least = below->is_leaf ? kLeafEntries / 2 : kChildren / 2;
  if (below->used < least) fill_up(inner, child);
}

// Of a child that has become small: puts it together with the one before it, or behind it, or takes
// some of that one's.
void ScoreIndex::fill_up(Inner& inner, std::size_t child) {
  EVEN_CHECK(inner.used > 1, "no child is alone");
  const std::size_t left = child == 0 ? 0 : child - 1;
  Tree* first = inner.children[left];
  Tree* second = inner.children[left + 1];
  const std::size_t most = first->is_leaf ? kLeafEntries : kChildren;
  const std::size_t all = std::size_t{first->used} + second->used;
  if (all <= most) {
    move_to_back(second, first, second->used);
    free(second);
    erase_child(inner, left + 1);
    set_child(inner, left, first);
    return;
  }
  if (first->used < second->used) {
    move_to_back(second, first, second->used - all / 2);
  } else {
    move_to_front(first, second, first->used - all / 2);
  }
  set_child(inner, left, first);
  set_child(inner, left + 1, second);
}

ScoreIndex::Cursor::Cursor(const Tree* root, std::size_t rank) {
  const Tree* tree = root;
  while (!tree->is_leaf) {
    const auto* inner = static_cast<const Inner*>(tree);
    std::size_t child = 0;
    for (; child + 1 < inner->used && rank >= inner->sizes[child]; ++child) {
      rank -= inner->sizes[child];
    }
    EVEN_CHECK(depth_ < kMostLevels, "the tree is of the height that its size allows");
    levels_[depth_++] = {inner, child};
    tree = inner->children[child];
  }
  leaf_ = static_cast<const Leaf*>(tree);
  place_ = rank;
}

void ScoreIndex::Cursor::forth() {
  if (++place_ < leaf_->used) return;
  std::size_t depth = depth_;
  while (levels_[depth - 1].child + 1 == levels_[depth - 1].inner->used) --depth;
  ++levels_[depth - 1].child;
  for (; depth < depth_; ++depth) {
    const Level& above = levels_[depth - 1];
    levels_[depth] = {static_cast<const Inner*>(above.inner->children[above.child]), 0};
  }
  leaf_ = static_cast<const Leaf*>(levels_[depth_ - 1].inner->children[levels_[depth_ - 1].child]);
  place_ = 0;
}

void ScoreIndex::Cursor::back() {
  if (place_-- > 0) return;
  std::size_t depth = depth_;
  while (levels_[depth - 1].child == 0) --depth;
  --levels_[depth - 1].child;
  for (; depth < depth_; ++depth) {
    const Level& above = levels_[depth - 1];
    const auto* inner = static_cast<const Inner*>(above.inner->children[above.child]);
    levels_[depth] = {inner, inner->used - std::size_t{1}};
  }
  leaf_ = static_cast<const Leaf*>(levels_[depth_ - 1].inner->children[levels_[depth_ - 1].child]);
  place_ = leaf_->used - std::size_t{1};
}

}  // namespace even
