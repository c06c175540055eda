// Whether a node that there is a link to is taken for stopped, from when it was last heard: a phi
// accrual detector (Hayashibara, Defago, Yared, Katayama, The phi Accrual Failure Detector, SRDS
// 2004). See docs/hedging.md.
//
// It only ever decides whom to ask first. A wrong suspicion costs a way to another replica; it
// breaks no link and moves no leadership. Deterministic; times are monotonic microseconds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace even {

class FailureDetector {
 public:
  // What is heard comes at least that often: a complete report (replica/replication.h).
  static constexpr double kHeartbeatUs = 1'000'000;
  // What lies closer together is one heartbeat: a burst says nothing of the next pause.
  static constexpr double kBurstUs = 100'000;
  // The least that intervals are taken to vary by: ticks, turns, other work.
  static constexpr double kLeastDeviationUs = 250'000;
  // One wrong suspicion in 10^8 heartbeats, if they are distributed as they have been.
  static constexpr double kThreshold = 8;
  // A node that was suspected is trusted when it has been heard for so long without a new doubt:
  // one that comes and goes is not switched to and fro.
  static constexpr std::int64_t kTrustUs = 3'000'000;

  // The link has come up.
  void begin(std::int64_t now_us) { *this = FailureDetector(now_us); }
  FailureDetector() = default;

  // Something has come from the node.
  void heard(std::int64_t now_us) {
    const bool suspected = phi(now_us) >= kThreshold;
    if (suspected) doubted_us_ = now_us;
    distrusted_ = suspected || (distrusted_ && now_us - doubted_us_ < kTrustUs);
    heard_us_ = now_us;
    const auto interval_us = static_cast<double>(now_us - sampled_us_);
    if (interval_us < kBurstUs) return;
    sampled_us_ = now_us;
    // An outage says nothing of what is usual; else the next one would be noticed that much later.
    if (suspected) return;
    // Means that forget: of about the last 16.
    const double off_us = interval_us - mean_us_;
    mean_us_ += off_us / 16;
    variance_us2_ += (off_us * off_us - variance_us2_) / 16;
  }
  // This node itself did nothing for so long, and so could not hear anybody.
  void slept(std::int64_t us) {
    heard_us_ += us;
    sampled_us_ += us;
  }

  // -log10 of the probability that a node that is well is silent for as long as this one is.
  double phi(std::int64_t now_us) const {
    const auto silent_us = static_cast<double>(now_us - heard_us_);
    const double mean_us = std::max(mean_us_, kHeartbeatUs);
    const double deviation_us = std::max(std::sqrt(variance_us2_), kLeastDeviationUs);
    const double off = (silent_us - mean_us) / deviation_us;
    // Below, erfc() is 0 where a double has nothing smaller.
    if (off > 30) return 200;
    return -std::log10(0.5 * std::erfc(off / std::sqrt(2.0)));
  }
  bool suspects(std::int64_t now_us) const { return distrusted_ || phi(now_us) >= kThreshold; }

 private:
  explicit FailureDetector(std::int64_t now_us) : heard_us_(now_us), sampled_us_(now_us) {}

  std::int64_t heard_us_ = 0;
  std::int64_t sampled_us_ = 0;
  double mean_us_ = kHeartbeatUs;
  double variance_us2_ = kLeastDeviationUs * kLeastDeviationUs;
  bool distrusted_ = false;
  std::int64_t doubted_us_ = 0;  // when it was last heard after a silence that was suspected
};

// How long a node takes to answer, as TCP estimates it (Jacobson, Congestion Avoidance and Control,
// SIGCOMM 1988), and when an answer is late.
class AnswerTime {
 public:
  static constexpr std::int64_t kLeastUs = 5'000;
  static constexpr std::int64_t kMostUs = 1'000'000;
  static constexpr std::int64_t kUnknownUs = 100'000;

  void add(std::int64_t us) {
    const auto took_us = static_cast<double>(us);
    if (mean_us_ < 0) {
      mean_us_ = took_us;
      deviation_us_ = took_us / 2;
      return;
    }
    deviation_us_ += (std::abs(took_us - mean_us_) - deviation_us_) / 4;
    mean_us_ += (took_us - mean_us_) / 8;
  }
  std::int64_t late_us() const {
    if (mean_us_ < 0) return kUnknownUs;
    return std::clamp(static_cast<std::int64_t>(mean_us_ + 4 * deviation_us_), kLeastUs, kMostUs);
  }

 private:
  double mean_us_ = -1;  // no answer so far
  double deviation_us_ = 0;
};

}  // namespace even
