// The groups of a simulated cluster: which there are, how they are founded, and what must hold of
// their members at any time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "replica/strong.h"
#include "sim/keyspace_tables.h"
#include "sim/node.h"

namespace even::sim {

class StrongGroups {
 public:
  // What is referred to outlives it. No nodes are up yet. `tables`: by which groups are founded;
  // null: they are founded without a keyspace.
  StrongGroups(Run& run, const std::vector<std::unique_ptr<Node>>& nodes, KeyspaceTables* tables);

  const std::vector<PartitionId>& groups() const { return groups_; }
  const std::vector<NodeNumber>& replicas(PartitionId group) const { return replicas_.at(group); }
  // Whether a group is led by exactly one node, as far as all of them know.
  bool led(PartitionId group) const;
  // The member that leads in the latest term, if any does.
  struct Leader {
    NodeNumber node = 0;
    consensus::Term term = 0;
    consensus::Index committed = 0;
  };
  std::optional<Leader> leader(PartitionId group) const;
  // How the groups are, for people.
  std::string progress() const;

  // A node has started and is not linked yet. Without keyspaces, groups are founded once all nodes
  // have been up.
  void started(Node& node);
  // Its disk may be lost: no group loses a majority by it, whenever that happens.
  bool may_lose_disk(NodeNumber node) const;
  // After anything has happened in a shard. Throws Violation.
  void check(const Node& node, const HostedShard& shard);

 private:
  struct Seen {  // of one member in one run of its node
    std::uint64_t run = 0;
    consensus::Term term = 0;
    consensus::Index committed = 0;
    consensus::Index applied = 0;
  };

  bool founded() const { return lines_.size() == nodes_.size(); }
  void found_on(Node& node);
  void check_state(const Node& node, const HostedShard& shard, const GroupStatus& status);

  Run& run_;
  const std::vector<std::unique_ptr<Node>>& nodes_;
  KeyspaceTables* const tables_;
  std::vector<PartitionId> groups_;
  std::map<PartitionId, std::vector<NodeNumber>> replicas_;
  std::optional<NodeNumber> unsafe_;  // the one whose disk may be lost although it has replicas
  // The members that the nodes were when the groups were founded.
  std::map<NodeNumber, consensus::MemberId> lines_;
  std::map<std::pair<PartitionId, consensus::Term>, consensus::MemberId> leaders_;
  // By group and index: the digest of the state.
  std::map<PartitionId, std::map<consensus::Index, std::uint64_t>> digests_;
  std::map<std::pair<PartitionId, NodeNumber>, Seen> seen_;
  std::set<std::pair<PartitionId, consensus::MemberId>> members_;  // that there ever were
};

}  // namespace even::sim
