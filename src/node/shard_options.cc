#include "node/shard_options.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/memory.h"

namespace even {
namespace {

FsyncPolicy policy_of(Fsync fsync) {
  switch (fsync) {
    case Fsync::kAlways:
      return FsyncPolicy::kAlways;
    case Fsync::kEverySecond:
      return FsyncPolicy::kEverySecond;
    case Fsync::kNo:
      return FsyncPolicy::kNo;
  }
  return FsyncPolicy::kEverySecond;
}

}  // namespace

ShardOptions shard_options(const NodeContext& node, ShardId id, ShardId shards) {
  ShardOptions options;
  options.node = node.number;
  options.replica = node.replica;
  options.shard = id;
  options.partition_count = node.placement.partitions();
  for (PartitionId partition = 0; partition < node.placement.partitions(); ++partition) {
    if (shard_of_partition(partition, shards) != id) continue;
    if (!node.placement.holds(node.number, partition)) continue;
    const auto replicas = node.placement.replicas(partition);
    options.partitions.push_back({partition, {replicas.begin(), replicas.end()}});
  }
  options.ranking = [&placement = node.placement](PartitionId partition) {
    return placement.ranking(partition);
  };
  options.owners = node.placement.replicas(0).size();
  options.hint_max_bytes = node.config.hints.max_bytes / shards;
  options.hint_max_age_ms = std::int64_t{node.config.hints.max_age_s} * 1'000;
  options.cluster_id = node.config.cluster.id;
  options.session_key = node.session_key;
  options.map = node.config.cluster;
  options.shards = shards;
  options.log.fsync = policy_of(node.config.log.fsync);
  options.log.segment_bytes = node.config.log.segment_bytes;
  options.pass_bytes = node.config.store.pass_bytes;
  if (const std::uint64_t limit = node.config.memory.max_memory; limit != 0) {
    // What has changed cannot leave memory before it has been stored.
    constexpr std::uint64_t kChangedShare = 8;
    options.pass_bytes = std::min(options.pass_bytes, limit / kChangedShare / shards);
    // What is small leaves room for keys.
    constexpr std::uint64_t kTailShare = 8;
    constexpr std::uint64_t kLeastTail = 1 << 20;
    options.log.tail_bytes = std::clamp(limit / kTailShare / shards, kLeastTail,
                                        std::max(kLeastTail, options.log.tail_bytes));
    options.log.unsynced_bytes = std::min(options.log.unsynced_bytes, 2 * options.log.tail_bytes);
  }
  // While passes keep up, a restart finds no more than two of them apart.
  constexpr std::uint64_t kLeastReplay = 128 << 20;
  options.replay_bytes = std::max(kLeastReplay, 4 * options.pass_bytes);
  options.memory_pressure = [&limit = node.options.max_memory] {
    const std::uint64_t bytes = limit.load(std::memory_order_relaxed);
    return bytes == 0 ? 0 : static_cast<double>(allocated_bytes()) / static_cast<double>(bytes);
  };
  options.max_memory = [&limit = node.options.max_memory] {
    return limit.load(std::memory_order_relaxed);
  };
  options.cache_policy = [&policy = node.options.cache_policy] {
    return policy.load(std::memory_order_relaxed);
  };
  options.cache_shares = node.cache_shares.get();
  options.stable = node.stable.get();
  options.others_hold = node.partial;
  options.check_interval_ms = std::int64_t{node.config.check.interval_s} * 1'000;
  options.retain_bytes = node.config.log.retain_bytes;
  options.expiry_wait_ms = node.config.expiry.wait_ms;
  options.max_drift_ms = node.config.clock.max_drift_ms;
  options.window_bytes = node.config.replication.window_bytes;
  options.report_interval_ms = node.config.replication.report_ms;
  options.warn = [id](const std::string& message) { spdlog::warn("shard {}: {}", id, message); };
  return options;
}

}  // namespace even
