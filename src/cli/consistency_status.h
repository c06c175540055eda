// What nodes say of what consistency has cost and given in the last minute (GET /status,
// "consistency"), and `even status --consistency`, which makes a page of it. See
// docs/consistency.md, "What it costs and gives".
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace even::cli {

struct NodeAnswer;

struct ConsistencyStatus {
  // As a node counts it: "quorum", of reads or writes, of strong keyspaces or eventual ones.
  struct Level {
    std::string name;
    bool strong = false;
    bool writes = false;
    uint64_t requests = 0;
    uint64_t refused = 0;
    std::vector<uint64_t> latency;  // one more than latency_bounds_us
  };
  struct Refusal {
    std::string keyspace;
    std::string level;
    bool strong = false;
    bool writes = false;
    std::string code;
    uint64_t count = 0;
    uint64_t linked = 0;                          // while all replicas of the key were
    std::map<std::string, uint64_t> unreachable;  // while this node was not
  };
  // Records of another node that came, by how long they took.
  struct Arrivals {
    uint64_t below_zero = 0;
    std::vector<uint64_t> delays;  // one more than arrival_bounds_us
  };

  double seconds = 0;
  std::vector<int64_t> latency_bounds_us;
  std::vector<Level> levels;
  std::vector<Refusal> refusals;
  std::vector<int64_t> arrival_bounds_us;
  std::map<std::string, Arrivals> arrivals;
  // Nothing is missing here that the other node had made so long ago; none: not known.
  std::map<std::string, std::optional<double>> windows;
  uint64_t joined = 0;
  uint64_t conflicts = 0;
  uint64_t type_conflicts = 0;
  uint64_t repaired = 0;
  uint64_t hints_waiting = 0;
  uint64_t hints_kept = 0;
  uint64_t hints_handed_over = 0;
};

// Throws nlohmann::json::exception.
ConsistencyStatus parse_consistency(const nlohmann::json& json);

// The page, for people.
std::string render_consistency(const std::vector<NodeAnswer>& answers);

}  // namespace even::cli
