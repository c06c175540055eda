// How the shards of a node share in what a cache policy deletes. Memory is over its limit for all
// of them at once; left to itself, the shard that looks first would delete for all, and the one
// with the least to do looks first. Keys are spread over partitions by hash, so shards are alike:
// what each should keep is the same number of keys for each partition.
#pragma once

#include <atomic>
#include <numeric>
#include <vector>

#include "base/ids.h"

namespace even {

// Safe to use from any thread.
class CacheShares {
 public:
  explicit CacheShares(ShardId shards) : keys_(shards) {}

  // Notes what a shard has. Returns whether that is about as much as the others have, or more.
  bool note(ShardId shard, double keys_per_partition) {
    constexpr double kAlike = 0.99;
    keys_[shard].store(keys_per_partition, std::memory_order_relaxed);
    const double sum = std::accumulate(keys_.begin(), keys_.end(), 0.0);
    return keys_per_partition * static_cast<double>(keys_.size()) >= kAlike * sum;
  }

 private:
  std::vector<std::atomic<double>> keys_;  // for each partition, by shard, as of its last tick
};

}  // namespace even
