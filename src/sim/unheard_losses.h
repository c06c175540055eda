// A node loses its disk with a record that only its maker has besides. It hears that it is complete
// from a third replica, which has never had that either, and is cut off; only then the maker hears
// of the third, which has the record by now, while what it last heard of the other is of before.
#pragma once

#include <cstdint>

#include "sim/cluster.h"

namespace even::sim {

class UnheardLosses {
 public:
  explicit UnheardLosses(Cluster& cluster) : cluster_(cluster), run_(cluster.run) {}
  void begin();

 private:
  struct UnheardLoss {
    PartitionId partition;
    Node* lost;
    Node* maker;
    Node* third;
    std::int64_t until_us;  // at the latest
  };
  void lose(UnheardLoss loss);
  void follow(UnheardLoss loss);

  Cluster& cluster_;
  Run& run_;
};

}  // namespace even::sim
