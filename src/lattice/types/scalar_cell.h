// Where one scalar rests in memory: twelve bytes and one block of what there is.
//
//   one value, no counters     dot, time, bytes: 16 bytes and the value
//   one entry of integers      dot, sum, what is removed: 32 bytes
//   anything else              a Scalar
//
// The first two are what nearly all scalars are: a SET or HSET without a concurrent one, and a
// counter that one replica run increments. A dot without a compact form makes it a Scalar, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/prefetch.h"
#include "lattice/types/scalar.h"

namespace even {

// A pointer with a tag in its three lowest bits, aligned to four bytes.
class TaggedPointer {
 public:
  TaggedPointer() = default;
  TaggedPointer(const void* pointer, unsigned tag) {
    const auto word = reinterpret_cast<std::uint64_t>(pointer) | tag;
    low_ = static_cast<std::uint32_t>(word);
    high_ = static_cast<std::uint32_t>(word >> 32);
  }
  bool null() const { return (low_ | high_) == 0; }
  unsigned tag() const { return low_ & 7; }
  template <typename T>
  T* get() const {
    const std::uint64_t word = std::uint64_t{high_} << 32 | low_;
    return reinterpret_cast<T*>(word & ~std::uint64_t{7});
  }

 private:
  std::uint32_t low_ = 0;
  std::uint32_t high_ = 0;
};

class ScalarCell {
 public:
  ScalarCell() = default;
  ScalarCell(ScalarCell&& other) noexcept
      : pointer_(std::exchange(other.pointer_, {})), size_(other.size_) {}
  ScalarCell& operator=(ScalarCell&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ScalarCell() { clear(); }

  bool empty() const { return pointer_.null(); }
  ScalarView view() const;
  bool live() const;
  Footprint footprint() const;
  // "value", "counter" or "general", for people.
  std::string_view form() const;

  void assign(const SiblingView& value);
  void assign(const CounterEntry<std::int64_t>& tally);
  void assign(Scalar&& scalar);
  void clear();

  // Asks for the memory that view() will look at.
  void prefetch() const { even::prefetch(pointer_.get<char>()); }

 private:
  friend class Object;  // which has further tags of its own
  enum Tag : unsigned { kValue = 0, kTally = 1, kFull = 2, kTags = 3 };
  struct Value;
  struct Tally;

  bool assign_value(const SiblingView& value);
  bool assign_tally(const CounterEntry<std::int64_t>& entry);

  TaggedPointer pointer_;
  std::uint32_t size_ = 0;  // kValue: bytes of the value
};
static_assert(sizeof(ScalarCell) == 12);

}  // namespace even
