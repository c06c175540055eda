// Configuration of a node: one TOML file plus `section.key=value` overrides from the command line.
// The file docs/even.example.toml documents every option with its default.
//
// A plain value, read once at start and then shared as const. Sizes are in bytes, times in
// milliseconds unless the name says otherwise; a port of 0 means that the service is off.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/cluster_map.h"
#include "net/tls_files.h"
#include "replica/cache_policy.h"
#include "replica/identity.h"

namespace even {

// When the log is forced to disk; the same three words as Redis's appendfsync.
enum class Fsync : uint8_t {
  kAlways,       // before the reply to a write leaves
  kEverySecond,  // once a second
  kNo,           // when the operating system likes
};

std::string_view to_string(Fsync fsync);

struct NodeConfig {
  // This node's name; when the configuration has [[cluster.node]] entries, one of them has it.
  std::string name = "even";
  // Data directory, relative to the working directory.
  std::string data = ".";
  // Threads that own partitions; 0: half the cores, at least one.
  uint32_t shards = 0;
  // How long a busy thread looks for more to do before it sleeps; 0: it sleeps at once.
  uint32_t busy_poll_us = 500;
  // trace, debug, info, warning, error, critical or off.
  std::string log_level = "info";
};

// Room for the other arguments of a request whose longest one is as long as is allowed.
inline constexpr uint64_t kRequestOverhead = uint64_t{64} << 10;

struct ClientConfig {
  std::vector<std::string> bind = {"127.0.0.1"};
  uint16_t port = 6379;
  // Asked of every client (AUTH); empty: none.
  std::string password;
  // The user `default` is one with all rights and this password, whatever the cluster says.
  bool override_default = false;
  // What ACL LOAD reads users from, and ACL SAVE writes them to; empty: none.
  std::string acl_file;
  uint32_t max_clients = 10'000;
  // Longest single argument of a request (Redis: proto-max-bulk-len).
  uint64_t max_request_bytes = uint64_t{512} << 20;
  // Requests received from one client and not yet executed (Redis: client-query-buffer-limit). More
  // than max_request_bytes by at least kRequestOverhead.
  uint64_t query_buffer_bytes = uint64_t{1} << 30;
  // Replies that one client has not taken yet; it is closed when there are more.
  uint64_t output_buffer_bytes = uint64_t{256} << 20;
  // Of one that is subscribed to something; it is closed when more waits for it, or more than
  // `soft` for as long (Redis: client-output-buffer-limit pubsub). 0: no limit.
  uint64_t pubsub_buffer_bytes = uint64_t{32} << 20;
  uint64_t pubsub_buffer_soft_bytes = uint64_t{8} << 20;
  uint32_t pubsub_buffer_soft_seconds = 60;
};

struct ListenConfig {
  std::vector<std::string> bind = {"127.0.0.1"};
  uint16_t port = 0;
};

struct TlsConfig {
  TlsFiles client;
  TlsFiles peer;
  TlsFiles http;
  TlsFiles kafka;
};

struct LogConfig {
  Fsync fsync = Fsync::kEverySecond;
  // Size at which a log segment is closed and the next one begun.
  uint64_t segment_bytes = uint64_t{64} << 20;
  // Log kept for replicas that are away; one that comes back later is given whole partitions.
  uint64_t retain_bytes = uint64_t{1} << 30;
};

struct StoreConfig {
  // Log written since the last pass after which the next one is made; with a limit on memory at
  // most an eighth of that.
  uint64_t pass_bytes = uint64_t{128} << 20;
  // Blocks of the store that are kept in memory.
  uint64_t cache_bytes = uint64_t{32} << 20;
  // Bytes per second that a backup writes at most. 0: no limit.
  uint64_t backup_rate = 0;
};

struct MemoryConfig {
  // What the process may allocate; beyond it, objects that are stored leave memory, or keys are
  // deleted. 0: no limit.
  uint64_t max_memory = 0;
  CachePolicy policy = CachePolicy::kNoEviction;
};

struct SlowLogConfig {
  // Microseconds; commands that take as long or longer are kept. 0: all, -1: none.
  int64_t log_slower_than_us = 10'000;
  // How many of them are kept, the latest.
  uint64_t max_len = 128;
};

struct ReplicationConfig {
  // Records sent to one peer and not yet acknowledged.
  uint64_t window_bytes = uint64_t{16} << 20;
  // Interval at which replicas exchange vectors and digests.
  uint32_t report_ms = 20;
};

struct ExpiryConfig {
  // How long an expired key is kept, unseen, for word of a replica that is away and may have
  // prolonged it.
  uint32_t wait_ms = 3'600'000;
};

struct HintsConfig {
  // Of records that the node keeps for others that are away; in memory, too.
  uint64_t max_bytes = uint64_t{256} << 20;
  // Seconds that one is kept.
  uint32_t max_age_s = 86'400;
};

struct CheckConfig {
  // Seconds within which all that the node holds is checked, again and again. 0: only by
  // EVEN.CHECK.
  uint32_t interval_s = 86'400;
};

struct ClockConfig {
  // How far ahead of the local clock a remote one may pull the hybrid clock.
  uint32_t max_drift_ms = 500;
};

struct FaultConfig {
  // Allows EVEN.FAULT. For tests and trials only: any client can then cut the node off.
  bool enabled = false;
  // The log keeps in memory what is not synced, so that SIGKILL loses what a power failure would.
  bool lose_unsynced_writes = false;
};

struct Config {
  NodeConfig node;
  ClientConfig client;
  ListenConfig peer;
  ListenConfig http;
  ListenConfig kafka;
  TlsConfig tls;
  LogConfig log;
  StoreConfig store;
  MemoryConfig memory;
  SlowLogConfig slow_log;
  ReplicationConfig replication;
  ExpiryConfig expiry;
  HintsConfig hints;
  CheckConfig check;
  ClockConfig clock;
  // Valid (ClusterMap::validate) after load(). Without [[cluster.node]] entries it has this node
  // alone, as number 1.
  cluster::ClusterMap cluster{.replicas = cluster::kDefaultReplicas};
  FaultConfig faults;
  // Where each option that was given ("section.key") was given: "even.toml:12" or "--set ...".
  std::map<std::string, std::string, std::less<>> sources;

  // This node in the map.
  const cluster::Node& self() const { return *cluster.find(node.name); }
  // Of this node, when it runs so many shards.
  Identity identity(ShardId shards) const;

  // "even.toml:12: " for the first of these options that was given, or "" when none was: the
  // beginning of a message about them.
  std::string at(std::initializer_list<std::string_view> keys) const;

  // Reads `path` (nullopt: defaults only), then applies `overrides`, each "section.key=value", in
  // order, the later winning. A value is written as in TOML; quotes around a string may be left
  // out. The error lists everything that is wrong, a line each, with file and line (or the
  // override), key and what is allowed. What only this machine can tell, such as whether a file is
  // there, is checked by preflight().
  static Result<Config> load(const std::optional<std::string>& path,
                             std::span<const std::string> overrides);

  // Every key that load() knows, as "section.key", in the order of the example file; the keys of a
  // [[cluster.node]] entry are "cluster.node.name" and so on.
  static std::vector<std::string> known_keys();
};

// "64MiB" -> 67108864: a whole number with B, KiB, MiB, GiB or TiB after it, or no unit (bytes).
// Case and a space before the unit do not matter. nullopt when it is anything else or does not fit.
std::optional<uint64_t> parse_size(std::string_view text);

// The text as a TOML basic string, quotes included, for values of overrides and for files that
// programs write.
std::string toml_string(std::string_view text);

}  // namespace even
