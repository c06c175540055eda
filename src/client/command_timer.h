// How long each command of a batch took, at little cost: most commands take less time than it takes
// to ask for the time a few dozen times. The clock is read around the batch; in between only the
// processor's counter is, which says what share of the batch's time a command had. So the unit of
// the counter does not matter, and a batch that was quick as a whole needs no look at its commands.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "resp/request_batch.h"

namespace even {

class CommandTimer {
 public:
  static constexpr std::size_t kMostLaps = RequestBatch::kMostRequests;
  static std::uint64_t counter() {
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
  }

  void start(std::int64_t now_us, std::uint64_t now = counter()) {
    started_us_ = now_us;
    started_ = now;
    laps_ = 0;
  }
  // A request has been dealt with: here (`executed`), or it was refused or is on its way elsewhere.
  // Returns what it took, in the counter's unit.
  std::uint64_t lap(bool executed, std::uint64_t now = counter()) {
    EVEN_CHECK(laps_ < kMostLaps, "more requests than a batch holds");
    const std::uint64_t began = laps_ == 0 ? started_ : lap_[laps_ - 1].end;
    lap_[laps_++] = {now, executed};
    return now - began;
  }
  // Calls report(lap, us) for each that was executed and took `least_us` or longer. The time up to
  // the call belongs to the last lap.
  template <typename Report>
  void stop(std::int64_t now_us, std::int64_t least_us, Report report) const {
    const std::int64_t elapsed_us = now_us - started_us_;
    if (laps_ == 0 || elapsed_us < least_us) return;
    const double all = static_cast<double>(lap_[laps_ - 1].end - started_);
    for (std::size_t i = 0; i < laps_; ++i) {
      const std::uint64_t begin = i == 0 ? started_ : lap_[i - 1].end;
      const double share = all > 0 ? static_cast<double>(lap_[i].end - begin) / all : 1;
      const auto us = static_cast<std::int64_t>(static_cast<double>(elapsed_us) * share);
      if (lap_[i].executed && us >= least_us) report(i, us);
    }
  }

 private:
  struct Lap {
    std::uint64_t end;
    bool executed;
  };
  std::int64_t started_us_ = 0;
  std::uint64_t started_ = 0;
  std::array<Lap, kMostLaps> lap_;
  std::size_t laps_ = 0;
};

}  // namespace even
