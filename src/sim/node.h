// One simulated node: shards of the real core on a disk, a store and a clock of its own, and how it
// starts, with the same number of shards as before or another, crashes and is backed up. What
// clients and other nodes are to it is the world's: see Callbacks.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/sim_disk.h"
#include "replica/group_format.h"
#include "replica/resharding.h"
#include "sim/hosted_shard.h"
#include "sim/process.h"
#include "sim/run.h"
#include "sim/workload.h"
#include "store/sim_store.h"

namespace even::sim {

class SimClock : public Clock {
 public:
  explicit SimClock(const Scheduler& scheduler) : scheduler_(scheduler) {}
  std::int64_t wall_ms() const override;
  std::int64_t monotonic_us() const override { return scheduler_.now_us(); }
  std::int64_t skew_ms = 0;

  void jump(std::int64_t by_ms) {
    skew_ms += by_ms;
    jumped_by_ms_ = by_ms;
    jumped_us_ = monotonic_us();
  }
  // The least that a turn of no more than `turn_us` that is under way can have as its time.
  std::int64_t least_turn_ms(std::int64_t turn_us) const {
    const bool jumped = monotonic_us() - jumped_us_ < turn_us;
    return wall_ms() - turn_us / 1000 - (jumped ? std::max<std::int64_t>(jumped_by_ms_, 0) : 0);
  }

 private:
  const Scheduler& scheduler_;
  std::int64_t jumped_by_ms_ = 0;
  std::int64_t jumped_us_ = 0;
};

enum class Loss : std::uint8_t {
  kProcess,   // nothing that was written
  kPower,     // what was not synced
  kDisk,      // everything
  kToBackup,  // everything, and a backup is restored
};

class Node {
 public:
  struct Callbacks {
    // From a shard to the same shard of another node.
    std::function<void(NodeNumber from, NodeNumber to, ShardId shard, std::string message)> send;
    std::function<void(Node&)> started;
    std::function<void(Node&)> went_on;   // its process was stopped
    std::function<void(Node&)> stopping;  // its sessions end
    std::function<void(Node&)> stopped;   // its replies will not come
    std::function<void(int client)> replied;
    // A shard of it looks keys up by this table from now on.
    std::function<void(Node&, ShardId, const std::shared_ptr<const cluster::KeyspaceTable>&)>
        serving;
    // A batch of events is to be led to a topic: Shard::on_relay().
    std::function<void(PartitionId, std::vector<std::string>, Shard::RelayDone)> relay;
    // See ShardOptions::left_closed.
    std::function<void(PartitionId group, std::uint64_t attempt)> left_closed;
    // In a shard of it a turn has ended.
    std::function<void(Node&, HostedShard&)> turned;
  };

  // `callbacks` must outlive the node, as `run` must.
  Node(Run& run, const Callbacks& callbacks, NodeNumber node_number, std::uint64_t seed);

  // Whether it has a process that serves, unless that is stopped; if not, it may be starting.
  bool up() const { return !shards_.empty(); }
  bool serves() const { return up() && !process.stopped(); }
  bool down() const { return !up() && !resharding_; }
  // While it is up.
  ShardId shards() const { return static_cast<ShardId>(shards_.size()); }
  // Rows of its store have been damaged at some time.
  bool rows_damaged = false;
  // What it is started with from now on.
  ShardId configured_shards;

  // It is up at once, unless its number of shards is another than before.
  void start();
  // Nothing, when it is down.
  void crash(Loss loss);
  // Makes all durable that its disk takes, and stops; a process that is stopped is killed. It is
  // up.
  void stop();
  // See process.h. It is up.
  void stop_process();
  void continue_process();
  void back_up();

  // Others may have been told what its clock shows: what it makes afterwards may be too late for
  // them, though the clock is put back.
  void note_clock() { latest_ms_ = std::max(latest_ms_, clock.wall_ms()); }

  // The rest is for when it is up.
  // What it says of itself to whom it has a new link with.
  struct Hello {
    ReplicaId replica;
    bool inflates;
  };
  Hello hello() const { return {replica_, inflates}; }
  void link_up(const Hello& peer, ShardId shard);
  void link_down(NodeNumber peer, ShardId shard);
  ReplicaId replica() const { return replica_; }
  void receive(NodeNumber peer, ShardId shard, const std::string& message);
  // Executes what a client asks for, if this node holds all keys of it. Returns whether a reply is
  // due.
  bool execute(int client, Operation operation);

  // Executes two commands on a partition as one transaction. The dot of the first one's record, if
  // the partition is here and may be written.
  std::optional<Dot> emit(PartitionId partition, Args change, Args emission);
  // Of a key that may have a change feed.
  std::optional<Dot> change(PartitionId partition, Args change);

  // Executes a write at CAUSAL on a partition that is here. The dot of its record, if it may be
  // written.
  std::optional<Dot> write(PartitionId partition, Args change, const PartitionReach& session);

  // Whether it goes by it that all replicas of a partition have seen this record.
  bool knows_everywhere(PartitionId partition, const Dot& dot) const;

  // Of strong partitions; none when it is down.
  std::vector<GroupStatus> groups() const;
  void found_group(PartitionId group, const std::vector<consensus::MemberId>& voters,
                   const std::vector<NodeNumber>& replicas);
  void stop_leading();
  // Each shard looks keys up by the run's table from some time soon on.
  void serve_table();
  // Whether it knows compressed records.
  const bool inflates;
  void execute_strong(StrongRequest request, StrongDone done);
  consensus::MemberId member() const { return member_of(replica_); }
  std::uint64_t run_number() const { return run_number_; }

  // The shard that a partition of it is in.
  HostedShard& hosting(PartitionId partition) {
    return *shards_[shard_of_partition(partition, shards())];
  }
  std::vector<PartitionStatus> partitions() const;
  const PartitionState& state(PartitionId partition) const;
  // Of the store of the partition's shard, in this run.
  std::uint64_t passes(PartitionId partition) const {
    return shards_[shard_of_partition(partition, shards())]->shard().store_stats().passes;
  }
  bool write_error() const;
  std::uint64_t digest_mismatches() const;
  // Checks of what it holds: has all of it checked, whether that goes on or anything is left, and
  // how much was wrong in this run.
  void start_check();
  bool checking() const;
  std::uint64_t found_wrong() const;
  // Changes what it holds of some key, unknown to anybody.
  void falsify();
  std::uint64_t ends_exceeded() const;
  std::uint64_t records_pending() const;
  // Whether some of its logs has not been replayed yet.
  bool replaying() const;
  std::size_t replies_held() const;
  // Records that it keeps for others.
  std::uint64_t hints() const;
  // Adds what it did in this run to the outcome.
  void count() const;

  const NodeNumber number;
  Random random;
  SimClock clock;
  Process process;
  SimDisk disk;
  SimStore rows;
  std::int64_t failed_since_us = 0;  // or later, while faults end

 private:
  struct Backup {
    SimStore::Rows rows;
    ShardId shards;
  };

  Identity identity(ShardId shards) const;
  ShardOptions shard_options(ShardId shard, ShardId shards);
  void settle_shards(std::uint64_t run_number);
  void start_failed(const std::string& why);
  void serve();
  void spread(const std::shared_ptr<const cluster::KeyspaceTable>& keyspaces);
  void serve_next(ShardId shard);
  void start_later(std::int64_t delay_us);
  void forgive(Loss loss);
  void restore_backup();
  void add_backup();
  std::vector<ShardId> shards_of(const Command& command, Args args) const;
  void check_reply(const Operation& operation, const std::string& reply);
  void check_bounded(std::string_view key) const;
  void check_seen(const Command& command, Args args) const;
  void replied(const WaitingReply& reply);
  void ticked(HostedShard& shard);
  void crash_soon();

  Run& run_;
  const Callbacks& callbacks_;
  HostedShard::Callbacks shard_callbacks_;
  std::uint64_t run_number_ = 0;            // counts starts
  bool began_settling_ = false;             // when it was started, faults had ended
  bool changes_shards_ = false;             // their number, in this start
  std::unique_ptr<Resharding> resharding_;  // while it starts
  std::optional<CacheShares> cache_shares_;
  std::optional<StableReach> stable_;
  std::vector<std::unique_ptr<HostedShard>> shards_;  // none while it is not up
  // Per shard: tables of keyspaces that it has not come to yet.
  std::vector<std::deque<std::shared_ptr<const cluster::KeyspaceTable>>> keyspaces_;
  ReplicaId replica_;             // since it was started last
  std::vector<ReplicaId> runs_;   // all that there ever were
  std::vector<ReplicaId> ended_;  // runs of which something may not be on the disk yet
  std::map<PartitionId, VersionVector> vectors_;  // as last seen, to check that they only grow
  std::int64_t latest_ms_ = 0;                    // see note_clock()
  std::vector<Backup> backups_;                   // from the oldest to the newest
  // Dots made since the current command began.
  std::vector<std::pair<PartitionId, Dot>> made_;
  // Of commands: those that entered the log since they were looked at, and those that commands
  // wrote.
  std::vector<std::pair<PartitionId, Dot>> logged_;
  std::set<std::pair<PartitionId, Dot>> asked_for_;
};

}  // namespace even::sim
