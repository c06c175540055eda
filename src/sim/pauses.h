// Processes that are stopped for a while and go on, see process.h: at any time, for a moment or for
// long; and, of leaders of groups, until another one leads and has committed something, or has
// begun another generation of consumers, while what clients go on to ask the former waits in its
// sockets.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/cluster.h"

namespace even::sim {

class Pauses {
 public:
  explicit Pauses(Cluster& cluster) : cluster_(cluster), run_(cluster.run) {}
  // Stops a node, if it is up.
  void begin();

 private:
  struct Pause {
    Node* node = nullptr;
    std::uint64_t number = 0;   // of the node's stops
    std::int64_t until_us = 0;  // at the latest
    // Of a leader:
    PartitionId group = 0;
    std::optional<StrongGroups::Leader> leader;   // while it has no successor
    std::optional<consensus::Index> until_index;  // that its successor has committed
    std::int64_t longer_us = 0;                   // than until then
    // Of the coordinator of consumers: the latest generation, until there is a later one.
    std::optional<std::int32_t> generation;
  };
  void begin(Node& node, Pause pause);
  void succeed(PartitionId group);
  void follow(Pause pause);
  void go_on(const Pause& pause);
  bool is_over(const Pause& pause) const;
  bool all_serve() const;

  Cluster& cluster_;
  Run& run_;
};

}  // namespace even::sim
