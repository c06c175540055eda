// Clients that watch the commands of the others (MONITOR): how many there are at each thread of a
// node. While there are none, a command costs one look at a number.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/ids.h"

namespace even {

class Monitors {
 public:
  explicit Monitors(ShardId threads)
      : threads_(threads), at_(std::make_unique<std::atomic<std::uint32_t>[]>(threads)) {}

  bool any() const { return all_.load(std::memory_order_relaxed) > 0; }
  bool any_at(ShardId thread) const { return at_[thread].load(std::memory_order_relaxed) > 0; }
  ShardId threads() const { return threads_; }
  void add(ShardId thread) {
    ++at_[thread];
    ++all_;
  }
  void remove(ShardId thread) {
    --at_[thread];
    --all_;
  }

 private:
  const ShardId threads_;
  std::atomic<std::uint32_t> all_{0};
  const std::unique_ptr<std::atomic<std::uint32_t>[]> at_;
};

}  // namespace even
