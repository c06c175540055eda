// What the commands on lists share: a list as they see it, and its order.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstddef>
#include <string_view>

#include "engine/context.h"

namespace even {

// Views the state, until it changes.
class ListItem {
 public:
  ListItem(std::string_view position, std::string_view value)
      : position_(position), value_(value) {}
  ListItem(std::string_view position, const ScalarCell& cell) : position_(position), cell_(&cell) {}

  std::string_view position() const { return position_; }
  std::string_view value() const {
    return cell_ == nullptr ? value_ : cell_->view().winner()->value;
  }

 private:
  std::string_view position_;
  std::string_view value_;
  const ScalarCell* cell_ = nullptr;
};

// Of one that is there, there is at least one element.
struct List {
  HashView items;
  std::size_t size = 0;
};

// Replies WRONGTYPE and returns false when the key holds something else.
bool find_list(Context& context, std::string_view key, List& out);

// The elements in their order; indexes count from 0. Of a large list this is its index, which is
// made when it has none; a small one is sorted.
class ListOrder {
 public:
  explicit ListOrder(const List& list);

  std::size_t size() const { return index_ != nullptr ? index_->size() : sorted_.size(); }
  ListItem at(std::size_t index) const;  // index < size()
  ListItem edge(bool left) const {
    if (index_ == nullptr) return left ? sorted_.front() : sorted_.back();
    const ScoreIndex::Entry& entry = index_->edge(left);
    return {entry.name(), entry.member->value};
  }
  // For who takes the element at an end: asks for the memory that the next ones will be found with,
  // one step nearer each time that this is called.
  void look_ahead(bool left) const;
  // Calls visit(item) for `count` elements from index `first` on, all of which there are, until it
  // returns false if it returns bool.
  template <typename Visit>
  void visit(std::size_t first, std::size_t count, bool downwards, Visit visit) const {
    if (count == 0) return;
    if (index_ != nullptr) {
      return index_->visit(first, count, downwards, [&](const ScoreIndex::Entry& entry) {
        return visit(ListItem(entry.name(), entry.member->value));
      });
    }
    for (std::size_t i = 0; i < count; ++i) {
      const ListItem& item = sorted_[downwards ? first - i : first + i];
      if (!SetView::until_false([&] { return visit(item); })) return;
    }
  }
  // The positions beside a new element behind `index` elements: empty at the ends.
  std::string_view left_of(std::size_t index) const {
    return index == 0 ? std::string_view() : at(index - 1).position();
  }
  std::string_view right_of(std::size_t index) const {
    return index == size() ? std::string_view() : at(index).position();
  }

 private:
  const HashTable* table_ = nullptr;  // of a large one, as is the next
  const ScoreIndex* index_ = nullptr;
  absl::InlinedVector<ListItem, 16> sorted_;
};

// The element at an end of a list that has any. A small one need not be sorted for it.
ListItem end_of(const List& list, bool left);

// Appends values at an end of a list; each becomes the outermost.
void push_items(Context& context, std::string_view key, const List& list, bool left, Args values);
// Removes these elements of a list, which has as many or more.
void remove_items(Context& context, std::string_view key, const ListOrder& order, std::size_t first,
                  std::size_t count);
// Replies with `count` elements from an end of a list, of which there are as many or more, and
// removes them.
void pop_items(Context& context, std::string_view key, const List& list, bool left,
               std::size_t count);

}  // namespace even
