// The machine's clocks, of which the wall clock can be made wrong on purpose.
#pragma once

#include <time.h>

#include "env/clock.h"
#include "env/clock_skew.h"

namespace even {

class PosixClock final : public Clock {
 public:
  // `skew` must outlive it; without one the wall clock is the machine's.
  explicit PosixClock(const ClockSkew* skew = nullptr) : skew_(skew) {}

  std::int64_t wall_ms() const override { return wall_us() / 1'000; }
  std::int64_t wall_us() const {
    const std::int64_t us = read(CLOCK_REALTIME, 1'000'000, 1'000);
    return skew_ != nullptr && skew_->any() ? us + skew_->offset_us(monotonic_us()) : us;
  }
  std::int64_t monotonic_us() const override { return read(CLOCK_MONOTONIC, 1'000'000, 1'000); }
  // CPU time that the calling thread has used.
  static std::int64_t thread_cpu_us() { return read(CLOCK_THREAD_CPUTIME_ID, 1'000'000, 1'000); }

 private:
  static std::int64_t read(clockid_t clock, std::int64_t per_second, std::int64_t nanoseconds) {
    timespec time;
    ::clock_gettime(clock, &time);
    return time.tv_sec * per_second + time.tv_nsec / nanoseconds;
  }

  const ClockSkew* skew_;
};

}  // namespace even
