// How much memory the process has allocated with operator new, where counted_new.cc is linked in;
// elsewhere 0. What has been freed does not count, even where the operating system has not got it
// back. Off by up to 64 KiB for each thread.
#pragma once

#include <algorithm>
#include <atomic>
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

}  // namespace even
