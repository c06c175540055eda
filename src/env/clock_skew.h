// By how much a node's wall clock is wrong on purpose, for tests and trials of what the cluster
// does when clocks are (EVEN.FAULT CLOCK). Shared by all clocks of a node; safe from any thread.
//
// Monotonic time, which timeouts go by, is never touched: an operating system may set the wall
// clock, and nothing else.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <mutex>

namespace even {

class ClockSkew {
 public:
  // The wall clock jumps so that it is off by `offset_us` at `now_us` of monotonic time, and then
  // runs `rate` times as fast as it should: 1 is right, 0 stands still.
  void set(std::int64_t offset_us, double rate, std::int64_t now_us) {
    std::lock_guard lock(mutex_);
    offset_us_ = offset_us;
    rate_ = rate;
    since_us_ = now_us;
    any_.store(offset_us != 0 || rate != 1, std::memory_order_release);
  }

  // What is to be added to the right wall clock at `now_us` of monotonic time, in microseconds.
  std::int64_t offset_us(std::int64_t now_us) const {
    if (!any()) return 0;
    std::lock_guard lock(mutex_);
    return offset_us_ + std::llround(static_cast<double>(now_us - since_us_) * (rate_ - 1));
  }

  bool any() const { return any_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::int64_t offset_us_ = 0;
  double rate_ = 1;
  std::int64_t since_us_ = 0;
  std::atomic<bool> any_{false};  // spares the lock where the clock is right, which is everywhere
};

}  // namespace even
