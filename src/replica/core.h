// What the parts of a shard share: the partitions, the log and the one way in which records and
// states get into both. See shard.h for what drives it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/keyspace_table.h"
#include "engine/reserved_keys.h"
#include "lattice/codec.h"
#include "replica/feed.h"
#include "replica/held_records.h"
#include "replica/log_index.h"
#include "replica/partition.h"
#include "replica/shard.h"
#include "script/interpreter.h"

namespace even {

class StagedState;

class ShardCore {
 public:
  ShardCore(ShardOptions options, Clock& clock, Random& random, Disk& disk);

  Partition* find(PartitionId id) const { return id < slots_.size() ? slots_[id] : nullptr; }
  Partition& at(PartitionId id) const;
  // As somebody may look at it or write to it: with all that the log had of it. Has that replayed
  // first, if it has not been.
  Partition& replayed(PartitionId id) const;
  // Of eventual keyspaces.
  const std::vector<std::unique_ptr<Partition>>& partitions() const { return partitions_; }
  std::span<const PartitionId> partition_ids() const { return ids_; }
  // Of both kinds, ascending.
  std::span<Partition* const> all_partitions() const { return all_; }
  bool is_strong(PartitionId id) const { return id >= options.partition_count; }
  // One of a strong keyspace comes to be, with rows but nothing attached to them.
  Partition& add_strong(PartitionId id, std::vector<NodeNumber> replicas);

  PartitionId partition_of(std::string_view key) const {
    return keyspaces->partition_of(key, options.partition_count);
  }

  // Begins a record of this replica, or goes on with the open one if that takes what is intended.
  // `now_ms`: wall clock.
  Record begin(Partition& partition, std::int64_t now_ms, const WriteIntent& intent);
  // Adds a record that was begun last to the partition's open one and joins it. Returns its dot.
  Dot commit(Partition& partition, Record& record);
  // Makes a record of this delta, which no command asked for. It may view keys that it removes.
  // Throws Unreadable, and has done nothing then.
  // `origin`: as for close().
  void write(Partition& partition, decltype(Delta::keys) keys, RecordOrigin origin);
  // --- Change feeds of eventual keyspaces: see docs/feeds.md.
  // Where changes of the key are told, if they are.
  // How many live keys here have one; may be more than it says once it is beyond `limit`.
  std::size_t fed_keys(std::size_t limit) const;
  std::optional<FeedTarget> feed_of(std::string_view key) const;
  // What is to be told of a record that is about to be committed; null: nothing. Throws Unreadable
  // while nothing has been done.
  std::unique_ptr<FeedChanges> changes_of(const Partition& partition, const Record& record,
                                          std::int64_t now_ms) const;
  // Puts it into the outbox, after the join, in the same record or the next one of the same turn.
  void tell(Partition& partition, const FeedChanges& changes, const Dot& dot, Hlc time,
            std::string_view cause, std::int64_t now_ms);
  // Adds encoded events (topic::Event) to the outbox.
  void add_events(Partition& partition, const std::vector<std::string>& events,
                  std::int64_t now_ms);
#ifdef EVEN_MUTANTS
  void tell_later();
#endif

  // Put open records in the log's buffer and their dots in the vectors. Must precede everything
  // that looks at a vector, and the end of the turn. `origin`: for ShardOptions::observe.
  void close(Partition& partition, RecordOrigin origin = RecordOrigin::kCommand);
  // Tells what a change has done to keys; `command`: of a client, or empty.
  void report(const KeyEvents& events, std::string_view command);
  void close_all();
  // How much this replica has made of the partition in this run: of records that are closed.
  VersionVector made_of(PartitionId id) const;
  // Makes a record that folds this replica's earlier runs of its line, which all replicas have all
  // of; see docs/folding.md.
  void fold(Partition& partition);
  bool has_open() const { return !open_.empty(); }

  // Takes in an encoded record from a peer. Seen ones are ignored, early ones kept.
  enum class Taken { kJoined, kSeen, kEarly };
  Result<Taken> take(std::string_view bytes, const RecordHead& head);
  // Takes in records that had to wait and need not any more: no more of them than a turn should
  // take. Returns whether there are others. With all records closed.
  bool join_ready();
  // Takes in a partition's encoded state from a peer. A damaged partition is made anew from it, if
  // it and the log have all that the partition had seen; if not, nothing happens.
  Result<> take_state(std::string_view bytes);

  // The partition becomes new: what is stored of it goes.
  void forget_rows(Partition& partition);
  // The state of a strong partition as another member has it, encoded and checked, takes the place
  // of what is here.
  void take_group_state(Partition& partition, std::string_view bytes);
  // The same of one whose rows are all in the store; it is not logged.
  void take_staged(Partition& partition, StagedState& staged);
  // The same at a start, of what the log says of one; what is kept to be replayed from before goes.
  // What cannot be read of it is damage of the partition.
  Result<> take_staged(Partition& partition, std::uint64_t generation, std::string_view summary);
  // The group whose state is encoded or given to a member at present, if any, and when somebody was
  // last about it.
  struct GivenState {
    PartitionId group = 0;
    std::int64_t used_us = 0;
  };
  GivenState given_state;

  // Frees some of the memory of large collections that have been removed. Returns whether all has
  // been.
  bool free_removed();

  // This run of a node has been heard of: drops records of earlier ones that wait. Such a one may
  // have been lost where it was made, and must not turn up again when the runs have been folded.
  void drop_pending_before(ReplicaId replica);
  // Drops records that have waited in vain; should they be wanted yet, peers send them again.
  void drop_stale_pending();

  // All of a partition, as a peer gets it.
  static std::string encode_state(PartitionId id, const PartitionState& state);

  // Of what was counted in the objects: whether it is what records have put there. If not, the
  // partition is suspect, and its digest, for peers to see, is what was counted.
  bool adds_up(Partition& partition, std::uint64_t counted);

  // For recovery: joins a record of the log.
  Result<> replay(std::string_view bytes);

  // The wall clock as it was when this turn first asked for it.
  std::int64_t turn_ms() {
    if (turn_ms_ == 0) turn_ms_ = clock.wall_ms();
    return turn_ms_;
  }
  void end_turn() {
    close_all();
    turn_ms_ = 0;
  }

  void warn(const std::string& message) const {
    if (options.warn) options.warn(message);
  }

  bool wants_key_events() const {
    return options.wanted_key_events != nullptr &&
           options.wanted_key_events->load(std::memory_order_relaxed) != 0;
  }

  const ShardOptions options;
  Clock& clock;
  Random& random;
  const ReplicaId self;
  const ReservedKeys outbox_keys;
  // Of this shard and its groups.
  const std::unique_ptr<ScriptCache> own_scripts;  // null: options.scripts is used
  Interpreter scripts;
  Log log;
  LogIndex index;
  std::shared_ptr<const cluster::KeyspaceTable> keyspaces =
      std::make_shared<const cluster::KeyspaceTable>();
  HybridClock hybrid_clock;
  ShardStats stats;
  LazyRecords lazy;
  // Of which nothing is to be held back beyond this turn: for who has the shard, though not its
  // links.
  absl::btree_set<PartitionId> to_be_sent;
  // What another shard has been given was taken away here, which is not written yet.
  bool given_away = false;
  std::uint64_t pending_bytes = 0;
  // Called for each record that was joined from a peer.
  std::function<void(const RecordHead&)> on_joined;
  // Called when a bounded counter has been changed, by whomever.
  std::function<void(PartitionId, std::string_view key)> on_bounded;
  // Called when another replica has another digest under the same vector.
  std::function<void(PartitionId)> on_differs;
  // Replication's: somebody waits for what this node has made of the partition, so nothing of it is
  // held back any more.
  std::function<void(PartitionId)> send_held;
  // Called when a damaged partition has been made anew.
  std::function<void()> on_repaired;
  RowStore* store = nullptr;  // the projection's
  // The projection's: has the store take in rows that no pass has to do with, which fill() appends
  // in their order; done() is called as that of RowStore::commit(). False: not now.
  std::function<bool(const std::function<void(RowBatch&)>& fill,
                     std::function<void(const Result<>&)> done)>
      stage_rows;
  // The projection's: gives a new partition its rows; and fills a new state with what these have.
  std::function<void(Partition&)> give_rows;
  std::function<void(Partition&, const PartitionState::Summary&)> attach_rows;
  // Recovery's: replays what is left of a partition.
  std::function<void(Partition&)> replay_now;
  // And drops what it has kept of it so far.
  std::function<void(Partition&)> replay_nothing;

 private:
  void append(std::string_view bytes, PartitionId partition, const Dot& dot);
  // How long a record may be held back that a command makes; 0: not at all. kNoDelay: nothing in it
  // is of any keyspace.
  std::int64_t delay_of(const Record& record) const;
  Dot commit_alone(Partition& partition, const Record& record, std::size_t bytes);
  void join(Partition& partition, const Record& record);
  void join_state(Partition& partition, const Record& state);
  void replace_state(Partition& partition, const Record& anew);
  bool make_anew(Partition& partition, const Record& snapshot);
  bool complete_from_log(const Partition& partition, PartitionState& state);
  void note_joined(Partition& partition, const JoinStats& joined);
  void note_bounded(const Partition& partition, const Delta& delta) const;
  // Takes in a record that lacks nothing.
  void join_taken(Partition& partition, const Record& record, std::string_view bytes);
  void note_seen(Partition& partition);
  void note_ready(Partition& partition);
  bool check_ends(Partition& partition, const Record& record);

  std::vector<std::unique_ptr<Partition>> partitions_;
  std::vector<std::unique_ptr<Partition>> strong_;
  std::vector<Partition*> all_;
  std::vector<Partition*> slots_;  // by id; null where not held
  std::vector<PartitionId> ids_;
  std::vector<Partition*> open_;  // those with an open record, and maybe some that had one
  std::int64_t turn_ms_ = 0;
  std::deque<Partition*> ready_;  // where records that had to wait can be joined now
  RecordDecoder decoder_;
#ifdef EVEN_MUTANTS
  std::vector<std::pair<Partition*, std::vector<std::string>>> told_later_;
#endif
};

}  // namespace even
