// Replication of one shard: pushes records to peers, takes theirs in, and sees to it that whatever
// a peer lacks gets there in the end. docs/architecture.md explains the protocol and why it
// converges.
#pragma once

#include <absl/container/btree_map.h>

#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "replica/core.h"
#include "replica/peer.h"
#include "replica/peer_message.h"

namespace even {

class Replication {
 public:
  Replication(ShardCore& core, Transport& transport);

  // `inflates`: it takes compressed records.
  void link_up(ReplicaId replica, bool inflates);
  void link_down(NodeNumber node);
  Result<> receive(NodeNumber node, std::string_view message);

  // After the turn's records have been written: acknowledges what came and pushes what is new.
  // Before this node syncs what it has written in this turn: others are to have what it has made,
  // and to sync it, at the same time.
  void send_before_sync();
  void end_turn();
  // Whether there is more to push that waits for nothing but a turn.
  bool has_more() const { return has_more_; }
  // Reports, repairs, collection of residue, folding, and what has been held back long enough.
  void tick();

  // --- What is held back: see docs/delay.md.
  // Sends what is held of a partition, to all peers. What has been made of it and is not in the log
  // yet will not be held.
  void send_held(PartitionId partition);
  void send_all_held();
  // The same; and from now on nothing is held, as the node stops.
  void stop_holding();
  // Whether what was held when stop_holding() was called is still on its way.
  bool sending_held() const;

  // Whether every other replica has reported to have seen `reach` of `partition`.
  bool everywhere(PartitionId partition, const VersionVector& reach) const;
  // What this node and every other replica have seen of it, and will have in each of their lives.
  VersionVector everywhere(const Partition& partition) const;
  // What the node has reported to have seen, in the session under way; null: nothing, or more than
  // it has.
  const VersionVector* reported(NodeNumber node, PartitionId partition) const;
  // The time up to which nobody can have prolonged an expiry of `partition` without this node
  // having seen it: on the clock of each other replica, all that it had made by then. `now_ms`:
  // this node's clock, and the answer where nobody else holds the partition.
  std::int64_t heard_until_ms(const Partition& partition, std::int64_t now_ms) const;
  // A segment was removed; peers that stood in it go on at the log's new beginning.
  void log_trimmed();
  std::vector<PeerStatus> status() const;
  // Whether all replicas of the partition have told this run that they have the same of this node's
  // earlier runs as it has. None will ever have more of them: see docs/folding.md.
  bool earlier_runs_are_over(const Partition& partition) const;

 private:
  Result<> on_report(Peer& peer, const ReportMessage& report);
  Result<> on_records(Peer& peer, const RecordsMessage& message);
  void on_ack(Peer& peer, const AckMessage& message);
  Result<> on_offer(Peer& peer, const SnapshotOffer& offer);
  Result<> on_piece(Peer& peer, const SnapshotPiece& piece);
  void on_progress(Peer& peer, const SnapshotProgress& progress);
  // Whether the bytes are what the name says.
  bool verify(const Peer& peer, const SnapshotName& name, std::string_view bytes);
  void compare_digest(const Peer& peer, const Partition& partition,
                      const ReportMessage::Partition& theirs);

  void send(Peer& peer, std::uint64_t number, std::string message);
  // `held`: how much of it was held back.
  void send(Peer& peer, RecordsBuilder& batch, std::size_t held);
  void send_held(const absl::btree_set<PartitionId>& partitions);
  void let_go(const absl::btree_set<PartitionId>& partitions);
  void send_due();
  // What a peer should report to have once all that has been sent has come.
  VersionVector due_at(const Peer& peer, const Partition& partition) const;
  void send_report(Peer& peer, bool complete);
  void pump(Peer& peer);
  bool pump_snapshot(Peer& peer);
  // Begins with a snapshot that the peer wants, if there is one.
  bool begin_snapshot(Peer& peer);
  // Whether a peer may be given what this replica holds: not while that is known to be wrong and
  // others may put it right. Throws Unreadable.
  bool may_give_state(Partition& partition);
  // In a new session goes on with the one of an earlier session, or gives it up.
  void resume_snapshot(Peer& peer);
  void drop_stale_snapshots(std::int64_t now_us);
  // `before_sync`: what has to be durable first and will be soon is left for later.
  bool pump_records(Peer& peer, bool before_sync = false);
  // Moves the cursor back to where the log begins to hold something that `lacks` says the peer
  // lacks.
  void rewind(Peer& peer);
  void repair(Peer& peer, std::int64_t now_us);
  // Says which partitions are damaged, and has peers asked for their states.
  void look_for_damage(std::int64_t now_us);
  // The next peer that could give all that a damaged partition must have; 0 for none.
  NodeNumber helper(const Partition& partition) const;
  void collect_residue();
  // Folds earlier runs of this node, in a few partitions at a time.
  void fold_runs();
  // Whether its earlier runs are over, and it is of use to say so.
  bool may_fold(const Partition& partition) const;
  // Whether all of the log up to `position` is durable; if not, sees to it that it will be.
  bool durable(LogPosition position);
  // Of one partition, whether `vector` lacks records of this node that `state` has.
  // Whether no replica has heard of a later run of another one than that whose report is here.
  bool reports_agree(const Partition& partition) const;
  bool lacks_own(const VersionVector& vector, const VersionVector& have) const;
  bool lacks_to_send(const Peer::Shared& shared, const VersionVector& have) const;

  ShardCore& core_;
  Transport& transport_;
  bool has_more_ = false;
  absl::btree_map<NodeNumber, std::unique_ptr<Peer>> peers_;
  mutable absl::btree_map<PartitionId, VersionVector> everywhere_;
  std::int64_t last_report_us_ = 0;
  std::int64_t last_full_report_us_ = 0;
  std::int64_t last_repair_us_ = 0;
  std::int64_t last_collect_us_ = 0;
  std::int64_t last_fold_us_ = 0;
  std::size_t next_to_fold_ = 0;  // in the list of partitions

  // How many records this node had made in all when, for the age of the oldest that a peer lacks.
  struct Mark {
    std::uint64_t records;
    std::int64_t at_us;
  };
  std::deque<Mark> marks_;
  std::uint64_t marked_records_ = 0;
  std::uint64_t sent_in_turn_ = 0;  // bytes of records and snapshots
  bool holds_ = true;
  std::int64_t held_due_us_ = HeldRecords::kNever;  // of all peers, or earlier
};

}  // namespace even
