// What a node says of itself at GET /status, and what follows from several nodes' words together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/consistency_status.h"

namespace even::cli {

struct PeerStatus {
  std::string name;
  bool up = false;
  std::string fault;  // injected fault on the link, empty when there is none
  uint64_t lag_records = 0;
  double lag_seconds = 0;
  uint64_t hints = 0;       // records that are kept for it
  uint64_t held_bytes = 0;  // of those that it lags behind, what is held back for it
};

struct PartitionStatus {
  uint32_t id = 0;
  std::string vector;
  std::string digest;
  std::string damage;  // what of it cannot be read, empty when there is nothing
};

struct NodeStatus {
  std::string node;
  std::string replica;
  bool ready = false;
  std::string version;
  uint64_t keys = 0;
  // Of the log, what the node has to replay after its start, and what it has, in bytes.
  uint64_t to_replay = 0;
  uint64_t replayed = 0;
  // Groups of strong keyspaces.
  uint64_t groups = 0;
  uint64_t groups_led = 0;
  std::vector<uint32_t> groups_without_leader;
  // Whose states there differ from the leader's as of the same entry: that must never be.
  std::vector<uint32_t> groups_diverged;
  // Hints for others that were not kept, or not for long enough.
  uint64_t hints_refused = 0;
  uint64_t hints_expired = 0;
  // Keys that were repaired since the node's start; that differ and cannot be yet; partitions that
  // hold what no record has put there.
  uint64_t keys_repaired = 0;
  uint64_t keys_undecided = 0;
  std::vector<uint32_t> suspect;
  // None: a version that does not tell.
  std::optional<ConsistencyStatus> consistency;
  std::vector<PeerStatus> peers;
  std::vector<PartitionStatus> partitions;
};

// Reads the JSON of GET /status. The error says what is wrong with it.
Result<NodeStatus> parse_status(std::string_view json);

// One row of the table: a node that was asked, and either its answer or why there is none.
struct NodeAnswer {
  std::string name;
  std::optional<NodeStatus> status;
  std::string problem;
};

struct Agreement {
  size_t partitions = 0;
  // Partitions on which some replicas have seen other records than others: they are catching up, or
  // cut off.
  std::vector<uint32_t> behind;
  // Partitions with equal vectors and different digests somewhere: that must never be.
  std::vector<uint32_t> diverged;
};

// Compares each partition among the nodes that answered and hold it.
Agreement compare(const std::vector<NodeAnswer>& answers);

// The table and the line about agreement, for people.
std::string render(const std::vector<NodeAnswer>& answers);

// True when every node answered, is ready, knows a leader of each of its groups, and all vectors
// and digests are equal, also those that groups have compared.
bool all_well(const std::vector<NodeAnswer>& answers);

}  // namespace even::cli
