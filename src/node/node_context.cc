#include "node/node_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "client/session_token.h"
#include "engine/outbox.h"
#include "kafka/quotas.h"
#include "node/backup_runner.h"
#include "node/shard_thread.h"

namespace even {
namespace {

std::string random_run_id() {
  std::random_device device;
  std::string id;
  while (id.size() < 40) id += fmt::format("{:08x}", device());
  return id;
}

}  // namespace

NodeContext::NodeContext(Config given, ShardId shard_count, TlsContexts tls_contexts,
                         ReplicaId replica_id)
    : config(std::move(given)),
      placement(config.cluster),
      number(config.self().number),
      shards(shard_count),
      replica(replica_id),
      run_id(random_run_id()),
      tls(std::move(tls_contexts)),
      session_key(make_session_key()),
      outbox_keys(kOutboxKey, placement.partitions()),
      options(config.client, config.slow_log, config.memory),
      subscriptions(shards),
      cache_shares(std::make_unique<CacheShares>(shards)),
      stable(std::make_unique<StableReach>(placement.partitions())),
      kafka_quotas(std::make_unique<kafka::Quotas>()),
      backups(std::make_unique<BackupRunner>(*this)),
      served(std::make_unique<std::atomic<std::uint64_t>[]>(shards)) {
  shard_of.resize(placement.partitions());
  for (PartitionId partition = 0; partition < placement.partitions(); ++partition) {
    const bool held = placement.holds(number, partition);
    shard_of[partition] = held ? shard_of_partition(partition, shards) : kElsewhere;
    partial = partial || !held;
  }
}

NodeContext::~NodeContext() = default;

std::uint64_t NodeContext::served_version() const {
  std::uint64_t least = UINT64_MAX;
  for (ShardId shard = 0; shard < shards; ++shard) least = std::min(least, served[shard].load());
  return least;
}

}  // namespace even
