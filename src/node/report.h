// What one shard thread says of itself, for INFO, /metrics and /status; a plain value that may
// cross threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/command_stats.h"
#include "node/level_meter.h"
#include "node/publisher.h"
#include "node/quorum_requests.h"
#include "replica/shard.h"

namespace even {

class ShardThread;

struct CommandReport {
  std::uint64_t calls = 0;
  std::uint64_t rejected = 0;
  std::uint64_t failed = 0;
  double us = 0;  // of execution
  LatencyHistogram latency;
};

struct ThreadReport {
  ShardId shard = 0;
  ReplicaId replica;
  std::size_t keys = 0;
  std::size_t keys_with_expiry = 0;
  std::size_t keys_lapsed = 0;
  double sum_of_ttls_ms = 0;
  DatabaseCounts databases;  // of the keys, those of stored databases other than 0
  ShardStats stats;
  LogStats log;
  StoreStats store;
  ReplayProgress replay;
  Publisher::Stats publisher;
  std::optional<std::string> write_error;
  std::vector<PeerStatus> peers;
  HintStats hints;
  CheckStatus check;
  std::vector<GroupStatus> groups;                 // of strong keyspaces
  std::map<NodeNumber, bool> links;                // to every other node, whether it is up
  std::map<NodeNumber, std::uint64_t> sent_bytes;  // over these
  std::map<std::string, CommandReport> commands;   // by name, "get" or "config|get"
  std::map<std::string, std::uint64_t> errors;     // replied to clients, by their code
  // Requests that had another level than that of everything, by its kind.
  RequestsAtLevel at_level{};
  std::uint64_t session_waits = 0;      // for what sessions had seen
  std::uint64_t bounded_questions = 0;  // that bounded reads have put to other replicas
  std::uint64_t bounded_handed_on = 0;  // bounded reads that were given to another node
  ConsistencyCounters consistency;
  // The same of the last minute, or since the start, and how many seconds that is.
  ConsistencyCounters recently;
  double recent_seconds = 0;
  std::uint64_t reads_hedged = 0;  // see Forwarder
  std::uint64_t hedges_won = 0;
  std::map<NodeNumber, bool> suspected;  // of being stopped
  std::uint64_t input_bytes = 0;         // from clients
  std::uint64_t output_bytes = 0;        // to clients
  // At present.
  double commands_per_second = 0;
  double input_per_second = 0;              // bytes
  double output_per_second = 0;             // bytes
  std::vector<PartitionStatus> partitions;  // only when asked for
};

ThreadReport make_report(ShardThread& thread, bool with_partitions);

// Memory of this process in bytes, as the kernel accounts for it.
// Of all shards.
HintStats hints_of(std::span<const ThreadReport> reports);

struct MemoryUse {
  std::uint64_t resident = 0;
  std::uint64_t peak = 0;
};
MemoryUse memory_use();

}  // namespace even
