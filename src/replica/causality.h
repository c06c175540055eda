// What makes sessions at CAUSAL more than sessions: the causes that partitions keep, what of them
// all replicas have, and whether this node may have lost something that they have. See
// docs/causality.md.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/reserved_keys.h"
#include "replica/quorum.h"
#include "replica/replication.h"
#include "replica/stable_reach.h"

namespace even {

class Causality {
 public:
  // The references outlive this.
  Causality(ShardCore& core, Transport& transport, Replication& replication, Quorum& quorum);

  // What the causes of these partitions are, of any partitions, but for what is everywhere.
  PartitionReach causes_of(std::span<const PartitionId> partitions) const;
  // The words of kCausesCommand that make what a session has seen causes of the partition; empty:
  // they are already.
  std::vector<std::string> words_for(PartitionId partition, const PartitionReach& session) const;

  // Whether nothing that every replica of these had can be missing here (Partition::complete).
  bool complete(std::span<const PartitionId> partitions) const;
  // Sees to that. Done takes 1 then; 0: it was too late.
  void make_complete(std::span<const PartitionId> partitions, std::int64_t deadline_us,
                     Quorum::Done done);

  void link_up(NodeNumber node) { linked_[node]; }
  void link_down(NodeNumber node) { linked_.erase(node); }
  Result<> receive(NodeNumber node, const StableMessage& message);
  void tick();

 private:
  // Calls visit(partition, entry, member) for each that can be read.
  template <typename Visit>
  void for_each_cause(PartitionId partition, Visit visit) const;
  void publish();
  // Whatever comes: who waits until it is asked for may find another replica gone.
  void complete_all(std::int64_t now_us);
  // Whether this node is the first of the partition's replicas that `node` can be told by.
  bool tells(const Partition& partition, NodeNumber node) const;

  ShardCore& core_;
  Transport& transport_;
  Replication& replication_;
  Quorum& quorum_;
  StableReach own_;
  StableReach& stable_;
  const ReservedKeys keys_;
  std::vector<std::uint64_t> hashes_;  // of these, by partition
  bool completing_ = false;
  std::int64_t complete_again_us_ = 0;
  bool all_complete_ = false;
  std::int64_t published_us_ = 0;
  std::int64_t asked_us_ = 0;
  // Linked nodes, and what each has been told.
  absl::btree_map<NodeNumber, absl::btree_map<PartitionId, VersionVector>> linked_;
};

}  // namespace even
