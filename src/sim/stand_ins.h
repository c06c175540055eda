// A write is made while all other owners are away: others stand in for them. When one of these has
// said that it keeps it, the maker goes away, and one owner comes back, which can have the write by
// the hint alone; or the maker comes back at about the time at which that is handed over. Or the
// maker goes on writing, and loses power before its own disk has what a stand-in may have; the
// owners tell its next run what they have, which then folds the one before, and only then one of
// them, which does not hear of that, is in reach of the stand-in.
#pragma once

#include <cstdint>
#include <optional>
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
    Node* keeper = nullptr;
    std::optional<Dot> lost;  // made behind the first, on a disk that is slow
    std::optional<Dot> anew;  // by the maker's next run
  };
  void follow(const StandIn& standing);
  void lose_power(StandIn standing);
  void await_loss(StandIn standing);
  void await_folding(StandIn standing);
  // The first of the others is in reach of all but the maker and the others.
  void bring_back(const StandIn& standing);
  void end(const StandIn& standing);

  Cluster& cluster_;
  Run& run_;
  HintClients& hints_;
  NodeNumber keeper_ = 0;  // that keeps something while its maker is away; 0: none
};

}  // namespace even::sim
