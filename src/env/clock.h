// The outside world's clocks, as the core sees them. The simulator's implementation skews and jumps
// the wall clock.
#pragma once

#include <cstdint>

namespace even {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since the Unix epoch. May jump either way.
  virtual std::int64_t wall_ms() const = 0;
  // Microseconds from an arbitrary start; never goes back.
  virtual std::int64_t monotonic_us() const = 0;
};

}  // namespace even
