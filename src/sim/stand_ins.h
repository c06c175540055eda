// A write is made while all other owners are away: others stand in for them. When one of these has
// said that it keeps it, the maker goes away, and one owner comes back, which can have the write by
// the hint alone; or the maker comes back at about the time at which that is handed over.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster.h"
#include "sim/hint_clients.h"

namespace even::sim {

class StandIns {
 public:
  StandIns(Cluster& cluster, HintClients& hints)
      : cluster_(cluster), run_(cluster.run), hints_(hints) {}
  void begin();
  void sent_by(NodeNumber node);
  void end() { keeper_ = 0; }

 private:
  struct StandIn {
    PartitionId partition;
    Node* maker;
    std::vector<Node*> others;  // owners
    Dot made;
    std::int64_t until_us;  // at the latest
    bool kept = false;
  };
  void follow(const StandIn& standing);

  Cluster& cluster_;
  Run& run_;
  HintClients& hints_;
  NodeNumber keeper_ = 0;  // that keeps something while its maker is away; 0: none
};

}  // namespace even::sim
