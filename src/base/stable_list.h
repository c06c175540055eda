// A list that only grows and whose elements never move. The first is held in the list itself, for
// lists that nearly always have one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace even {

template <typename T>
class StableList {
 public:
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (!first_) return first_.emplace(std::forward<Args>(args)...);
    return *rest_.emplace_back(std::make_unique<T>(std::forward<Args>(args)...));
  }
  std::size_t size() const { return first_ ? 1 + rest_.size() : 0; }
  T& operator[](std::size_t i) { return i == 0 ? *first_ : *rest_[i - 1]; }

  class Iterator {
   public:
    Iterator(StableList& list, std::size_t i) : list_(list), i_(i) {}
    T& operator*() const { return list_[i_]; }
    Iterator& operator++() {
      ++i_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return i_ != other.i_; }

   private:
    StableList& list_;
    std::size_t i_;
  };
  Iterator begin() { return {*this, 0}; }
  Iterator end() { return {*this, size()}; }

 private:
  std::optional<T> first_;
  std::vector<std::unique_ptr<T>> rest_;
};

}  // namespace even
