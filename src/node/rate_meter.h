// How often something happens, or how much of it does, in a second: the mean over about the last
// 1.6 s, as Redis's instantaneous_* figures. Fed with a count that only grows, about every 100 ms.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace even {

class RateMeter {
 public:
  static constexpr std::int64_t kIntervalUs = 100'000;

  void sample(std::uint64_t count, std::int64_t now_us) {
    samples_[taken_ % samples_.size()] = {count, now_us};
    ++taken_;
  }
  // 0 until there is something to compare with.
  double per_second() const {
    if (taken_ < 2) return 0;
    const Sample& last = samples_[(taken_ - 1) % samples_.size()];
    const Sample& first = samples_[taken_ < samples_.size() ? 0 : taken_ % samples_.size()];
    if (last.at_us <= first.at_us) return 0;
    return static_cast<double>(last.count - first.count) * 1e6 /
           static_cast<double>(last.at_us - first.at_us);
  }

 private:
  struct Sample {
    std::uint64_t count = 0;
    std::int64_t at_us = 0;
  };
  std::array<Sample, 17> samples_;
  std::size_t taken_ = 0;
};

}  // namespace even
