// The machine's clocks.
#pragma once

#include <time.h>

#include "env/clock.h"

namespace even {

class PosixClock final : public Clock {
 public:
  std::int64_t wall_ms() const override { return read(CLOCK_REALTIME, 1'000, 1'000'000); }
  std::int64_t monotonic_us() const override { return read(CLOCK_MONOTONIC, 1'000'000, 1'000); }
  // CPU time that the calling thread has used.
  static std::int64_t thread_cpu_us() { return read(CLOCK_THREAD_CPUTIME_ID, 1'000'000, 1'000); }

 private:
  static std::int64_t read(clockid_t clock, std::int64_t per_second, std::int64_t nanoseconds) {
    timespec time;
    ::clock_gettime(clock, &time);
    return time.tv_sec * per_second + time.tv_nsec / nanoseconds;
  }
};

}  // namespace even
