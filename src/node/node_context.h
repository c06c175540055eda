// What the threads of one node share: the configuration, where keys live, settings that may change
// at run time, counters, and each other.
//
// Made before the threads and destroyed after them. Everything not const is safe to use from any
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/ids.h"
#include "client/acl_log.h"
#include "client/client_pause.h"
#include "client/latency_monitor.h"
#include "client/slow_log.h"
#include "client/subscription_index.h"
#include "client/tracking_table.h"
#include "cluster/keyspace_table.h"
#include "cluster/placement.h"
#include "engine/reserved_keys.h"
#include "env/clock_skew.h"
#include "node/config.h"
#include "node/monitors.h"
#include "node/runtime_options.h"
#include "node/statistics.h"
#include "node/tls_contexts.h"
#include "node/waiting_clients.h"
#include "peer/link_faults.h"
#include "replica/cache_shares.h"
#include "replica/stable_reach.h"
#include "script/script_cache.h"
#include "store/rocks_database.h"

namespace even {

class BackupRunner;
class ShardThread;
namespace kafka {
class Quotas;
}  // namespace kafka

// What is done before a node ends. Whatever was acknowledged is in the log, and safe, in any case.
struct StopRequest {
  std::string reason;
  // Bring the store up to date, so that the next start is quick.
  bool store_changes = true;
  // Give clients a moment to read the replies that wait for them.
  bool wait_for_clients = true;
};

struct NodeContext {
  NodeContext(Config config, ShardId shards, TlsContexts tls, ReplicaId replica);
  ~NodeContext();
  NodeContext(const NodeContext&) = delete;
  NodeContext& operator=(const NodeContext&) = delete;

  const Config config;
  const cluster::Placement placement;
  const NodeNumber number;
  const ShardId shards;
  const ReplicaId replica;  // of this run
  const std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  const std::string run_id;  // 40 hexadecimal digits, as in INFO
  CurrentTls tls;
  // For session tokens, if the cluster has none yet.
  const std::string session_key;

  // By partition: the shard that owns it, or kElsewhere when this node holds no replica of it.
  static constexpr ShardId kElsewhere = 0xffff;
  std::vector<ShardId> shard_of;
  const ReservedKeys outbox_keys;
  // Some partitions are on other nodes only.
  bool partial = false;

  RuntimeOptions options;
  WaitingClients waiting_clients{options.key_events};
  SubscriptionIndex subscriptions;
  TrackingTable tracking{shards};
  ClientPause pause;
  const std::unique_ptr<CacheShares> cache_shares;
  const std::unique_ptr<StableReach> stable;
  const std::unique_ptr<kafka::Quotas> kafka_quotas;
  SlowLog slow_log;
  AclLog acl_log;
  LatencyMonitor latency;
  Monitors monitors{shards};
  ScriptCache scripts{shards};
  LinkFaults faults;
  ClockSkew clock_skew;

  std::unique_ptr<RocksDatabase> store;  // from when the node is started
  const std::unique_ptr<BackupRunner> backups;
  std::vector<std::unique_ptr<ShardThread>> threads;
  // Whether who does not log in may do something: as the user `default` says, or, as long as nobody
  // has changed that, whether there is no client.password.
  enum class DefaultUser : std::uint8_t { kUnchanged, kOpen, kClosed };
  std::atomic<DefaultUser> default_user{DefaultUser::kUnchanged};
  // Whether this node knows who its users are. It is not ready while it does not: nobody is let in.
  std::atomic<bool> users_known{true};
  // Has the node end, soon. Set before the threads are started.
  std::function<void(StopRequest)> stop;
  StatisticsReset statistics;
  // What SWAPDB has made of the databases: of the table that the metadata group's shard serves by.
  SharedDatabaseMap databases;

  std::atomic<std::uint64_t> next_client_id{1};
  std::atomic<std::uint32_t> connected_clients{0};
  std::atomic<std::uint32_t> connected_kafka_clients{0};
  std::atomic<std::uint64_t> connections_received{0};
  std::atomic<std::uint64_t> connections_rejected{0};
  // Before anything was recovered.
  std::uint64_t allocated_at_start = 0;
  // Shards whose changes have to be stored before memory is within its limit again.
  std::atomic<std::uint32_t> shards_short_of_memory{0};
  // Links to other nodes in session, of all shards.
  std::atomic<std::uint32_t> links_up{0};
  // By thread: the version of the keyspaces that it serves by.
  const std::unique_ptr<std::atomic<std::uint64_t>[]> served;
  // That all threads serve by, or a later one.
  std::uint64_t served_version() const;

  // Recovered and listening; until then, and again while stopping, not ready.
  std::atomic<bool> ready{false};
  // Shards that serve and have not replayed all of their logs yet.
  std::atomic<std::uint32_t> replaying{0};
  std::atomic<std::uint64_t> recovered_bytes{0};
  std::atomic<std::uint64_t> bytes_to_recover{0};
};

}  // namespace even
