// What other replicas of partitions have seen, asked for and waited for: what reads and writes at
// more than one replica are made of. See docs/quorums.md.
//
// Invariant: who answers has, as durable as its log's policy promises, or synced if that was asked
// for, all that it was asked about and all that it says; and of one question, each replica is
// counted once.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "replica/core.h"
#include "replica/hints.h"
#include "replica/peer_message.h"

namespace even {

class Quorum {
 public:
  using Reach = PartitionReach;
  // Takes how many other replicas have answered of the partition of which fewest have; at least as
  // many as were asked for, or it was too late. Called in a turn of the shard, never at once.
  using Done = std::function<void(std::size_t answered)>;

  // The references outlive this. `released`: up to where the log is as durable as its policy
  // promises.
  Quorum(ShardCore& core, Transport& transport, Hints& hints, const HintStore& held,
         std::function<LogPosition()> released);

  // Waits until `count` other replicas of each partition have seen all of its vector, which this
  // node has, and this node's log is as durable as they promise.
  void await_seen(Reach reach, std::size_t count, const QuorumWait& wait, Done done);
  // The same of what this node has made of these partitions, ascending, when the turn's records are
  // closed: those that wait for the same thing ask together, and the question leaves with the
  // records.
  void await_written(std::span<const PartitionId> partitions, std::size_t count,
                     std::int64_t deadline_us, Done done, bool sloppy = false);
  // Waits until `count` other replicas of each partition have said what they have seen, and this
  // node has seen all that.
  void catch_up(const std::vector<PartitionId>& partitions, std::size_t count,
                std::int64_t deadline_us, Done done, bool sloppy = false);

  // Whether this node has seen all of this, and can be asked about it.
  bool has_seen(const PartitionReach& reach) const;
  // Waits until it has. Done takes 1 then, 0 if it was too late.
  void await_here(Reach reach, std::int64_t deadline_us, Done done);
  // Whether it has seen of these partitions all that any other replica had seen by then, by this
  // node's monotonic clock.
  bool is_fresh(std::span<const PartitionId> partitions, std::int64_t since_us) const;
  // Asks all other replicas, and waits until it has seen all that they say, so that the partitions
  // are as fresh as now. Done takes the number of other replicas then, fewer if it was too late.
  void freshen(const std::vector<PartitionId>& partitions, std::int64_t deadline_us, Done done);
  // Waits until this node has seen all that a complete replica of each partition has, or all others
  // have: the partitions are complete then. Done takes 1 then, 0 if it was too late.
  void complete(const std::vector<PartitionId>& partitions, std::int64_t deadline_us, Done done);

  // --- Links, turns and time, as of the shard.
  void link_up(NodeNumber node);
  void link_down(NodeNumber node);
  Result<> receive(NodeNumber node, AskMessage message);
  Result<> receive(NodeNumber node, const AnswerMessage& message);
  // The turn's records are closed.
  void ask_of_written();
  // The log has been written as far as it will be in this turn.
  void end_turn();
  void tick();

 private:
  // A question of this node's.
  struct Call {
    Reach reach;  // of catch_up(): by partition, what has been heard of, to be seen here
    std::size_t count = 0;
    bool learns = false;  // catch_up(), freshen()
    bool here = false;    // await_here()
    bool freshens = false;
    bool completes = false;
    QuorumWait wait;
    // From which on this node's own log has what the reach says; none while it cannot be written.
    std::optional<LogPosition> position;
    Done done;
    absl::btree_map<NodeNumber, bool> asked;                       // and whether it has answered
    absl::btree_set<std::pair<PartitionId, NodeNumber>> complete;  // where those are, of these
    // Those that are asked in the place of owners, each by a question of its own.
    struct StandIn {
      PartitionId partition;
      NodeNumber node;
      std::uint64_t id;
      bool answered = false;
    };
    std::vector<StandIn> stand_ins;
    std::int64_t begun_us = 0;
    std::int64_t asked_us = 0;
    // Of the partition of which fewest have, as of `heard_` of that number.
    std::size_t fewest = 0;
    std::uint64_t heard = 0;
  };
  // One of another node's.
  struct Asked {
    NodeNumber node = 0;
    AskMessage message;
    bool seen = false;
    LogPosition position = 0;  // from which on the log has what was asked about, once it is seen
    AnswerMessage answer;
    std::int64_t until_us = 0;
  };
  using Calls = absl::btree_map<std::uint64_t, Call>;
  // What is waited for alike in one turn; deadlines may differ by less than kSameDeadlineUs.
  struct Written {
    std::vector<PartitionId> partitions;
    std::size_t count = 0;
    bool sloppy = false;
    std::int64_t deadline = 0;  // in units of kSameDeadlineUs, rounded up
    auto operator<=>(const Written&) const = default;
  };

  void begin(Call call);
  void note_fresh(const Call& call);
  // Whether all others have answered, or one where the partition is complete.
  bool is_whole(const Call& call, PartitionId partition) const;
  void note_complete(const Call& call);
  // Has others stand in for owners that are away, or do not answer.
  void stand_in(std::uint64_t id, Call& call);
  void ask_stand_in(const Call& call, const Call::StandIn& other, bool again = false);
  Result<> receive_stand_in(NodeNumber node, const AnswerMessage& message);
  void stand_in_anew(std::uint64_t id, Call& call);
  template <typename Which>
  void drop_stand_ins(Call& call, Which which);
  Calls::iterator erase(Calls::iterator call);
  // Those that have not been.
  void ask_all(std::uint64_t id, Call& call);
  void ask(std::uint64_t id, Call& call, NodeNumber node, bool again = false);
  // Asks the makers of what await_here() waits for to hold nothing of it back.
  void hurry(const Call& call);
  std::size_t count_fewest(const Call& call) const;
  std::size_t fewest(Call& call) const;
  bool is_done(Call& call) const { return fewest(call) >= call.count && has(call); }
  // Whether this node has all that the call is about, as its answer to others would mean.
  bool has(const Call& call) const;
  bool knows(NodeNumber node, PartitionId partition, const VersionVector& vector) const;
  // Whether this node has all that is asked about; notes from where on the log has it.
  bool look(Asked& asked);

  ShardCore& core_;
  Transport& transport_;
  Hints& hints_;
  const HintStore& held_;
  const std::function<LogPosition()> released_;
  std::uint64_t next_;  // begins at random: a late answer to an earlier run is none to this one
  Calls calls_;
  absl::btree_map<Written, std::vector<Done>> written_;      // in this turn
  absl::btree_map<std::uint64_t, std::uint64_t> stand_ins_;  // by question: the call
  std::uint64_t heard_ = 1;  // counts what may have changed who has answered
  std::vector<Asked> asked_;
  bool ticked_ = false;  // since the last turn
  // As of when everything is known that others had seen; monotonic.
  absl::btree_map<PartitionId, std::int64_t> fresh_us_;
  // What linked nodes have said since the link came up.
  absl::btree_map<NodeNumber, absl::btree_map<PartitionId, VersionVector>> known_;
};

}  // namespace even
