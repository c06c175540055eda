// Reads and writes at a majority of the replicas of eventual partitions, and what must hold of
// them: a read has seen all that was at a majority, by its own writes or by earlier reads, when it
// began. See docs/quorums.md.
#pragma once

#include <cstdint>
#include <map>

#include "sim/checks.h"

namespace even::sim {

class QuorumClients {
 public:
  // The references outlive this.
  QuorumClients(Run& run, const Nodes& nodes, std::uint64_t seed)
      : run_(run), nodes_(nodes), random_(seed) {}

  void begin();

 private:
  void act();
  // What the node has made of the partition so far becomes that of a majority.
  void write(Node& node, PartitionId partition);
  void read(Node& node, PartitionId partition);
  // Has a majority see it, and then counts on it.
  void spread(Node& node, PartitionId partition, PartitionReach reach);
  std::size_t others(PartitionId partition) const;  // of a majority, beside the one that asks
  HostedShard& shard(Node& node, PartitionId partition) const { return node.hosting(partition); }

  Run& run_;
  const Nodes& nodes_;
  Random random_;
  // Of each partition, what is at a majority.
  std::map<PartitionId, VersionVector> established_;
};

}  // namespace even::sim
