// Reads and writes of eventual partitions at a majority of the replicas, writes at all and reads at
// one, and what must hold of them: a read at a majority has seen all that was at a majority, by
// writes or by earlier reads, when it began; any read has seen what was at all. See
// docs/quorums.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "sim/checks.h"

namespace even::sim {

class QuorumClients {
 public:
  // The references outlive this.
  QuorumClients(Run& run, const Nodes& nodes, std::uint64_t seed)
      : run_(run), nodes_(nodes), random_(seed) {}

  // Called when all that others were to see has been seen by them, as far as its node knows.
  std::function<void(NodeNumber)> on_seen;

  void begin();
  // What a node has been said to have, it has as soon as it is up again.
  void started(Node& node);

 private:
  // Of each partition, what so many replicas have.
  using Established = std::map<PartitionId, VersionVector>;

  void act();
  std::string key_in(PartitionId partition);
  // What the node makes of the partition becomes that of others, too.
  void write(Node& node, PartitionId partition, std::size_t others);
  void read(Node& node, PartitionId partition, std::size_t others);
  // Has others see it, and then counts on that.
  void spread(Node& node, const PartitionReach& reach, std::size_t others,
              Established& established);
  Shard::Answered take_seen(const Node& node, const PartitionReach& reach, std::size_t others,
                            Established& established);
  HostedShard& shard(Node& node, PartitionId partition) const { return node.hosting(partition); }

  Run& run_;
  const Nodes& nodes_;
  Random random_;
  Established at_majority_;
  Established at_all_;
};

}  // namespace even::sim
