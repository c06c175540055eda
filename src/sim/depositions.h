// Leaders of groups that are cut off until there is another one, which has sometimes committed some
// entries: so they come back with entries that nobody else has, or that others have committed
// without them, while their clients still wait for them.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/cluster.h"

namespace even::sim {

class Depositions {
 public:
  explicit Depositions(Cluster& cluster) : cluster_(cluster), run_(cluster.run) {}
  void depose();

 private:
  struct Deposition {
    PartitionId group;
    StrongGroups::Leader leader;                  // that is cut off
    std::int64_t until_us;                        // at the latest
    std::optional<consensus::Index> until_index;  // that its successor has committed
  };
  void depose(PartitionId group);
  void follow(Deposition deposition);
  void crash_behind_pass(NodeNumber number, PartitionId group, std::uint64_t passes);

  Cluster& cluster_;
  Run& run_;
  bool deposing_ = false;  // one at a time
};

}  // namespace even::sim
