// Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): wall time in
// milliseconds in the upper 48 bits, a counter in the lower 16. It orders concurrent writes for
// last-writer-wins; causality itself is carried by version vectors and never depends on it.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>

namespace even {

struct Hlc {
  std::uint64_t value = 0;

  static constexpr Hlc at(std::int64_t wall_ms) {
    return {static_cast<std::uint64_t>(std::max<std::int64_t>(wall_ms, 0)) << 16};
  }
  constexpr std::int64_t wall_ms() const { return static_cast<std::int64_t>(value >> 16); }
  constexpr std::uint32_t logical() const { return static_cast<std::uint32_t>(value & 0xffff); }
  constexpr auto operator<=>(const Hlc&) const = default;
};

class HybridClock {
 public:
  // max_drift_ms: how far ahead of the local wall clock a remote timestamp may pull this clock.
  // Records that are further ahead are still applied, because causality does not depend on their
  // time; they only stop dragging every later local timestamp along.
  explicit HybridClock(std::int64_t max_drift_ms) : max_drift_ms_(max_drift_ms) {}

  // A timestamp for a local event: above every timestamp given before.
  Hlc tick(std::int64_t wall_ms) {
    last_.value = std::max(last_.value + 1, Hlc::at(wall_ms).value);
    return last_;
  }

  // Takes note of a remote timestamp. False when it was beyond the bound and the clock followed
  // only up to it.
  bool observe(Hlc remote, std::int64_t wall_ms) {
    const std::uint64_t bound = Hlc::at(wall_ms + max_drift_ms_).value | 0xffff;
    last_.value = std::max(last_.value, std::min(remote.value, bound));
    return remote.value <= bound;
  }

  Hlc last() const { return last_; }

 private:
  std::int64_t max_drift_ms_;
  Hlc last_;
};

}  // namespace even
