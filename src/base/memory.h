// How much memory the process has allocated with operator new, where counted_new.cc is linked in;
// elsewhere 0. What has been freed does not count, even where the operating system has not got it
// back. Off by up to 64 KiB for each thread.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace even {

inline std::atomic<std::int64_t> g_allocated_bytes{0};
inline std::atomic<std::int64_t> g_allocated_peak_bytes{0};

inline std::uint64_t allocated_bytes() {
  const std::int64_t bytes = g_allocated_bytes.load(std::memory_order_relaxed);
  return bytes < 0 ? 0 : static_cast<std::uint64_t>(bytes);
}

// The most that it was.
inline std::uint64_t allocated_peak_bytes() {
  const std::int64_t bytes = g_allocated_peak_bytes.load(std::memory_order_relaxed);
  return std::max(bytes < 0 ? 0 : static_cast<std::uint64_t>(bytes), allocated_bytes());
}

// What the allocator gave for a block from operator new, what it rounded up included. 0 for null.
inline std::size_t block_bytes(const void* block) {
  return block == nullptr ? 0 : ::malloc_usable_size(const_cast<void*>(block));
}

// What a string or vector holds beyond itself.
template <typename Container>
std::size_t heap_bytes(const Container& container) {
  const auto self = reinterpret_cast<std::uintptr_t>(&container);
  const auto data = reinterpret_cast<std::uintptr_t>(container.data());
  if (container.capacity() == 0 || (data >= self && data < self + sizeof container)) return 0;
  return block_bytes(container.data());
}

// What something takes in memory beyond its own object.
struct Footprint {
  std::size_t bytes = 0;
  // Of those, or in the object itself: what replicas need and readers do not, as dots and times.
  std::size_t metadata = 0;

  Footprint& operator+=(const Footprint& other) {
    bytes += other.bytes;
    metadata += other.metadata;
    return *this;
  }
};

}  // namespace even
