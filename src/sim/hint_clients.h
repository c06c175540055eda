// Writes of eventual partitions that go on while owners are away, and what must hold of them: who
// has said that it has a hint has it until all owners do, whatever happens but to its disk. See
// docs/hints.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "sim/checks.h"

namespace even::sim {

class HintClients {
 public:
  // The references outlive this.
  HintClients(Run& run, const Nodes& nodes, std::uint64_t seed);

  // Called when a node has said that it keeps something, with it or with who has given it that.
  std::function<void(NodeNumber)> on_kept = [](NodeNumber) {};

  void begin();
  // What the node has made of the partition so far becomes that of a majority, others standing in.
  void write(PartitionId partition, Node& node);
  // A node that has said that it keeps this record; none: none has, or all owners have it.
  std::optional<NodeNumber> holder_of(PartitionId partition, const Dot& dot) const;
  // Of what is known now, nothing may have been lost.
  void check();

 private:
  // What a node has said that it keeps.
  struct Kept {
    PartitionId partition;
    NodeNumber holder;
    VersionVector vector;
    // Lines of all nodes then: with a disk, what was promised is lost.
    std::map<NodeNumber, ReplicaId> lines;
  };

  void act();
  void counted(PartitionId partition, NodeNumber holder, const VersionVector& vector);
  // Whether it need not be looked after any more.
  bool settled(const Kept& kept) const;
  bool has_line(NodeNumber node, const Kept& kept) const;

  Run& run_;
  const Nodes& nodes_;
  Random random_;
  std::vector<Kept> kept_;
};

}  // namespace even::sim
