// The memory that a reader may take for what bytes announce: a few of them can stand for very many,
// as compression repeats and packed elements have two bytes each.
#pragma once

#include <cstddef>
#include <cstdint>

namespace even::rdb {

class Budget {
 public:
  // What an element is counted as besides its bytes: about what it takes at most from being read
  // until it has been written, as a string, as a part of a record and in its collection.
  static constexpr std::uint64_t kElement = 512;

  explicit Budget(std::uint64_t bytes) : left_(bytes) {}

  // Asked before so much is allocated. False when there is not as much left; then nothing is left.
  [[nodiscard]] bool take(std::uint64_t bytes) {
    exceeded_ = exceeded_ || bytes > left_;
    left_ = exceeded_ ? 0 : left_ - bytes;
    return !exceeded_;
  }
  [[nodiscard]] bool take_element() { return take(kElement); }
  bool exceeded() const { return exceeded_; }

 private:
  std::uint64_t left_;
  bool exceeded_ = false;
};

}  // namespace even::rdb
