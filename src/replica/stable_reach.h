// What all replicas of each partition have said that they have seen, as far as this node knows: of
// its own partitions from their shards, of others from the nodes that have them. See
// docs/causality.md. Thread-safe; one for all shards of a node.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "lattice/version_vector.h"

namespace even {

class StableReach {
 public:
  explicit StableReach(PartitionId partitions) : known_(partitions) {}

  // That it is asked for, at this time of the node's monotonic clock.
  void want(std::int64_t now_us) { wanted_us_.store(now_us, std::memory_order_relaxed); }
  // Whether it was within the last seconds.
  bool wanted(std::int64_t now_us) const {
    constexpr std::int64_t kWantedUs = 10'000'000;
    return now_us - wanted_us_.load(std::memory_order_relaxed) < kWantedUs;
  }

  // In the place of what was known.
  void publish(const std::vector<std::pair<PartitionId, VersionVector>>& reach) {
    const std::lock_guard lock(mutex_);
    for (const auto& [partition, vector] : reach) {
      if (partition < known_.size()) known_[partition] = vector;
    }
  }
  // Of these entries of a partition's vectors, those that are not known to be everywhere.
  std::vector<VersionVector::Entry> beyond(PartitionId partition,
                                           const VersionVector& vector) const {
    std::vector<VersionVector::Entry> left;
    const std::lock_guard lock(mutex_);
    for (const VersionVector::Entry& entry : vector.entries()) {
      if (partition >= known_.size() || !known_[partition].covers_entry(entry)) {
        left.push_back(entry);
      }
    }
    return left;
  }

 private:
  // Long ago, for a clock that may begin at 0.
  std::atomic<std::int64_t> wanted_us_{INT64_MIN / 2};
  mutable std::mutex mutex_;
  std::vector<VersionVector> known_;
};

}  // namespace even
