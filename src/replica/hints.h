// Hints on their way: from an owner of a partition to nodes that stand in for other owners, and
// from those to the owners when they are back. See docs/hints.md. What is kept in between is the
// HintStore's; whether it counts is asked by Quorum.
//
// One message is under way to a receiver at a time, and is answered with what that has then: the
// next one goes by the answer, so nothing is made worse by messages that are lost, late or doubled.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <cstdint>
#include <vector>

#include "replica/core.h"
#include "replica/hint_store.h"
#include "replica/peer_message.h"
#include "replica/replication.h"

namespace even {

class Hints {
 public:
  // The references outlive this.
  Hints(ShardCore& core, const Replication& replication, Transport& transport, HintStore& store);

  // --- Of partitions that this node owns.

  // Nodes that may stand in for owners of the partition and are linked and have room, as far as is
  // known; in order.
  std::vector<NodeNumber> fallbacks(PartitionId partition) const;
  bool takes(NodeNumber node) const;
  // Whether what others lack of this can be given from this node's log.
  bool can_give(PartitionId partition, const VersionVector& wanted) const;
  // Gives the node all of the partition that other owners may lack, from now on until all of them
  // are linked.
  void give(NodeNumber node, PartitionId partition);

  void link_up(NodeNumber node);
  void link_down(NodeNumber node);
  Result<> receive(NodeNumber node, const HintMessage& message);
  Result<> receive(NodeNumber node, const HintStateMessage& message);
  // False: it is not about hints.
  bool receive(NodeNumber node, const AnswerMessage& message);
  void end_turn();
  bool has_more() const { return has_more_; }
  void tick();

  // With how much of it is waiting for which node.
  HintStats stats() const;

 private:
  // A node that stands in for others.
  struct Receiver {
    LogPosition cursor = 0;
    // What it has, and what is on its way to it; what it is to have at least.
    struct Given {
      VersionVector sent;
      VersionVector base;
      std::int64_t wanted_us = 0;  // when it was last asked for
    };
    absl::btree_map<PartitionId, Given> given;
    absl::btree_set<PartitionId> to_begin;
    std::uint64_t number = 0;  // of the message under way; 0: none
    bool begins = false;       // it has bases
    std::int64_t sent_us = 0;
    std::int64_t full_until_us = 0;
  };
  // An owner that hints are for.
  struct Owner {
    std::uint64_t asked = 0;  // the question under way; 0: none
    PartitionId next = 0;     // where the next question begins; 0: anew, after a while
    std::int64_t asked_us = 0;
    struct Has {
      VersionVector vector;
      std::int64_t since_us = 0;  // when it was last seen to come nearer
      bool known = false;
      // Where the last message has stopped: what comes first may have to wait for what another
      // giver has filled a gap with, later.
      std::uint64_t next = 0;
    };
    absl::btree_map<PartitionId, Has> has;
  };

  // What an owner has said to have seen, long enough ago that it is on its disk. Of reports of one
  // session; a report is made of what may not be durable yet.
  struct Settled {
    VersionVector settled;
    VersionVector settling;
    bool reported = false;  // in this session; then `settling` is of it
  };
  void settle();
  VersionVector settled_at_others(PartitionId partition) const;

  void pump(NodeNumber node, Receiver& receiver);
  void rewind(Receiver& receiver) const;
  VersionVector base_of(PartitionId partition) const;
  void ask(NodeNumber node, Owner& owner);
  void hand_over(NodeNumber node, PartitionId partition, Owner::Has& has);
  void forget_delivered();
  bool is_owner(NodeNumber node, PartitionId partition) const;
  Result<> take_in(std::string_view record, const RecordHead& head);

  ShardCore& core_;
  const Replication& replication_;
  Transport& transport_;
  HintStore& store_;
  absl::btree_map<NodeNumber, Receiver> receivers_;  // linked
  absl::btree_map<NodeNumber, Owner> owners_;        // linked
  // What owners have said to have, durably, in this run; of partitions that are held.
  absl::btree_map<PartitionId, absl::btree_map<NodeNumber, VersionVector>> acknowledged_;
  absl::btree_map<std::pair<PartitionId, NodeNumber>, Settled> settled_;
  std::int64_t last_settled_us_ = 0;
  std::uint64_t next_id_;  // of questions; begins at random
  std::uint64_t next_number_ = 1;
  std::int64_t last_tick_us_ = 0;
  bool has_more_ = false;
};

}  // namespace even
