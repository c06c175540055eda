// Whether a thread that finds nothing to do looks again or sleeps.
//
// To sleep and be woken costs microseconds, most of them at the client that sends the next request:
// its send() has to wake another core. A busy thread is better off looking again until that request
// has come. What it burns meanwhile is bounded: only a thread that has used half of the last window
// for work goes on looking, and not for longer than a limit. So on average it takes no more than
// twice what its work needs, and a thread with little to do sleeps.
//
// Time spent looking is measured by the wall clock, work by the CPU's: where other threads want the
// core, the difference is taken for looking, and the thread sleeps sooner.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace even {

class BusyPolling {
 public:
  static constexpr std::int64_t kWindowUs = 5'000;

  // `limit_us`: how long it may look in vain; 0: not at all. `cpu_us`: the CPU time that the
  // calling thread has used, in microseconds.
  BusyPolling(std::int64_t limit_us, std::function<std::int64_t()> cpu_us)
      : limit_us_(limit_us), cpu_us_(std::move(cpu_us)) {}

  // There was nothing to do. True: look again; false: sleep. `now_us`: a monotonic clock.
  bool again(std::int64_t now_us) {
    if (looking_since_us_ < 0) looking_since_us_ = now_us;
    if (worthwhile_ && now_us - looking_since_us_ < limit_us_) return true;
    stop_looking(now_us);
    return false;
  }

  // There was something to do, which began at `now_us`; it may have slept before.
  void found(std::int64_t now_us) {
    stop_looking(now_us);
    const std::int64_t window_us = now_us - window_start_us_;
    if (window_us < kWindowUs || limit_us_ == 0) return;
    const std::int64_t cpu_us = cpu_us_();
    worthwhile_ = 2 * (cpu_us - cpu_at_start_us_ - looked_us_) >= window_us;
    window_start_us_ = now_us;
    cpu_at_start_us_ = cpu_us;
    looked_us_ = 0;
  }

 private:
  void stop_looking(std::int64_t now_us) {
    if (looking_since_us_ >= 0) looked_us_ += now_us - looking_since_us_;
    looking_since_us_ = -1;
  }

  const std::int64_t limit_us_;
  const std::function<std::int64_t()> cpu_us_;
  std::int64_t looking_since_us_ = -1;  // -1: not looking
  bool worthwhile_ = false;             // by the last window
  // The present window.
  std::int64_t window_start_us_ = 0;
  std::int64_t cpu_at_start_us_ = 0;
  std::int64_t looked_us_ = 0;
};

}  // namespace even
