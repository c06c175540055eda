// The states of groups on their way to members that are too far behind for the log: in pieces, over
// links that lose messages and break. See docs/groups.md, "Snapshots".
//
// The leader names a state in a message of its group: of which entry it is, and what its bytes are.
// Who needs it asks for it, piece by piece, as long as it takes; who is asked keeps nothing but the
// state. So a member goes on where it was after a link has broken, from whoever has that state.
//
// Invariant: a member takes a state over whole, when all that it is named by is true of it, or not
// at all. What has come of one is in memory, or in rows of the store that do not count
// (staged_state.h), and nothing is said of it.
#pragma once

#include <absl/container/btree_map.h>

#include <functional>
#include <memory>
#include <string>

#include "base/ids.h"
#include "replica/core.h"
#include "replica/group_format.h"
#include "replica/peer_message.h"
#include "replica/staged_state.h"
#include "replica/state_encoder.h"

namespace even {

// Of a state that is taken over as one entry of the log.
inline constexpr std::uint64_t kMostStateBytes = std::uint64_t{2} << 30;

class GroupStates {
 public:
  // The references outlive this.
  GroupStates(ShardCore& core, Transport& transport) : core_(core), transport_(transport) {}

  // Sends the next of what a node has asked for.
  void send(const SnapshotProgress& asked, const StateBytes& state, NodeNumber node);

  // A state that is needed here has been named. Its bytes are asked for; when all are there,
  // on_whole() is called with the message, which has them then, or with what has been staged.
  // `into`: the partition in whose place it is staged; null: it is kept in memory.
  void await(NodeNumber node, const GroupMessage& message, Partition* into);
  std::function<void(NodeNumber node, consensus::Message message, PartitionId group,
                     std::shared_ptr<StagedState> staged)>
      on_whole;
  void receive(NodeNumber node, const SnapshotPiece& piece);
  // Of one group; it is not needed any more.
  void forget(PartitionId group) { incoming_.erase(group); }
  // `reach`: whether the member that has named a state is linked.
  void tick(const std::function<bool(NodeNumber, consensus::MemberId)>& reach);

 private:
  struct Incoming {
    NodeNumber node = 0;
    consensus::Message message;
    SnapshotName name;
    std::string bytes;                    // from the beginning, without a gap
    std::shared_ptr<StagedState> staged;  // these, where it is staged
    std::uint64_t enough = 0;             // when so much is there, the next is asked for
    std::int64_t asked_us = 0;
    std::int64_t moved_us = 0;
    std::int64_t again_us = 0;  // not to be asked for before: it has been refused
    std::uint64_t have() const { return staged ? staged->received() : bytes.size(); }
  };
  void ask(Incoming& incoming);
  void ask_for_more(Incoming& incoming);
  bool verify(Incoming& incoming);
  void refuse(Incoming& incoming, const std::string& why);
  void stage_more(Incoming& incoming);
  void end(Incoming& incoming);

  ShardCore& core_;
  Transport& transport_;
  // One at a time is asked for: the others wait.
  absl::btree_map<PartitionId, Incoming> incoming_;
  PartitionId active_ = 0;
  std::int64_t active_since_us_ = 0;
};

}  // namespace even
