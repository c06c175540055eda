// One shard: the partitions that one thread owns, their log and their replication. A deterministic
// state machine without threads, sockets or timers of its own: the server and the simulator drive
// it with commands, messages, ticks and completed syncs, and it reaches the outside through env/
// and Transport. All calls on one thread.
//
// A turn is: any number of execute() and receive() calls, then end_turn(). Within a turn changes
// are joined and gathered in the log's buffer; end_turn() writes the buffer to the log in one
// frame, starts a sync when the policy asks for one, and only then lets peers and clients see the
// results. A reply may leave once released() has reached the position that execute() returned for
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/cluster_map.h"
#include "cluster/keyspace_table.h"
#include "engine/acl.h"
#include "engine/command.h"
#include "engine/listing.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/random.h"
#include "lattice/hlc.h"
#include "log/log.h"
#include "replica/cache_policy.h"
#include "replica/cache_shares.h"
#include "replica/check_status.h"
#include "replica/key_events.h"
#include "replica/peer_message.h"
#include "replica/stable_reach.h"
#include "replica/strong.h"
#include "store/row_store.h"

namespace even {

class Interpreter;
class ScriptCache;

// The shard that owns a partition, among so many.
constexpr ShardId shard_of_partition(PartitionId partition, ShardId shards) {
  return static_cast<ShardId>(partition % shards);
}

// How messages leave. Delivery may fail, be late, repeated or out of order: the protocol copes.
// Messages of one link session are delivered only within that session.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void send(NodeNumber peer, std::string message) = 0;
  // What has been given to send() leaves now, where it would wait for the end of the turn.
  virtual void flush() {}
  // Whether something is about to leave for this node, with which more goes at no cost.
  virtual bool sends_to(NodeNumber) const { return false; }
};

// What made a record: a client's command; the sweep, which purges what has expired, or gives it up
// without having heard all replicas; a cache policy; the folding of earlier runs; a relay, which
// removes events that their topics have; or the giving of rights of a bounded counter.
enum class RecordOrigin : std::uint8_t {
  kCommand,
  kPurge,
  kGiveUp,
  kCachePolicy,
  kFolding,
  kRelay,
  kRights
};

struct ShardOptions {
  NodeNumber node = 1;
  ReplicaId replica;  // of this run of the process, and of no other: see claim_directory()
  ShardId shard = 0;
  std::uint16_t partition_count = 256;
  // The partitions of this shard that this node is a replica of, ascending, and for each the nodes
  // of all its replicas, in order of preference.
  struct Placement {
    PartitionId partition;
    std::vector<NodeNumber> replicas;
  };
  std::vector<Placement> partitions;
  // All nodes of the cluster in a partition's order of preference; the first `owners` of them are
  // its replicas, the others stand in for these (docs/hints.md). None: there are no others. For any
  // thread.
  std::function<std::span<const NodeNumber>(PartitionId)> ranking;
  std::size_t owners = 0;
  std::uint64_t hint_max_bytes = 64 << 20;    // of records that are kept for others
  std::int64_t hint_max_age_ms = 86'400'000;  // for how long
  // Told that a node counts in the place of an owner: it has said that it has this. For checkers.
  std::function<void(PartitionId, NodeNumber, const VersionVector&)> hint_counted;
  std::span<const NodeNumber> owners_of(PartitionId partition) const {
    return ranking ? ranking(partition).first(owners) : std::span<const NodeNumber>();
  }
  std::span<const NodeNumber> fallbacks_of(PartitionId partition) const {
    return ranking ? ranking(partition).subspan(owners) : std::span<const NodeNumber>();
  }
  std::string cluster_id;
  // Where strong partitions are, and who founds the metadata group. No nodes: there is no such
  // group.
  cluster::ClusterMap map;
  ShardId shards = 1;  // of the node
  LogOptions log;
  std::int64_t max_drift_ms = 500;
  std::uint64_t window_bytes = 4 << 20;   // unacknowledged bytes of records per peer
  std::uint64_t piece_bytes = 256 << 10;  // of a snapshot, in one message
  std::int64_t report_interval_ms =
      20;  // how often vectors and digests go to peers, when they have changed
  std::uint64_t pass_bytes = 128 << 20;  // log written between two passes of the store
  // Bytes of topics in memory alone upon which a pass stores those, of partitions that have so many
  // each.
  std::uint64_t topic_pass_bytes = 8 << 20;
  std::uint64_t topic_rows_bytes = 2 << 20;
  // Of the log's records, how much recovery keeps in memory to replay beside service; of a longer
  // log, what comes first is replayed before.
  std::uint64_t replay_bytes = 512 << 20;
  // Records that are replayed in one go: what they change is read from the store together.
  std::uint64_t replay_batch_bytes = 128 << 10;
  std::int64_t replay_slice_us = 2'000;  // for replaying, before others have their turn
  // The memory that the process may use, in bytes; none, or 0: there is no limit. May change.
  std::function<std::uint64_t()> max_memory;
  // The memory that the process uses as a share of what it may use; none: there is no limit. Beyond
  // 1, objects that are stored are let go, or keys are deleted.
  std::function<double()> memory_pressure;
  // Which of the two, and which keys; none: kNoEviction. May change.
  std::function<CachePolicy()> cache_policy;
  CacheShares* cache_shares = nullptr;  // null: this is the only shard
  StableReach* stable = nullptr;        // the same
  // Whether there are partitions that this node does not hold.
  bool others_hold = false;
  // Elements that a command lists before others are executed, if it lists more than that.
  std::size_t listing_step = 2048;
  std::size_t listed_bytes = 1 << 20;  // the same of a string, which is one element
  // Told of what an operator should know: digests that differ, a clock that is off, a failed sync.
  std::function<void(const std::string&)> warn;
  // Shown every record that is made here, encoded, as it enters the log's buffer. For checkers.
  std::function<void(std::string_view record, RecordOrigin origin)> observe;
  // Told which record a command's writes go into. For checkers.
  std::function<void(PartitionId partition, const Dot& dot)> committed;
  // Which keyspace events are wanted (KeyEventFlag; null: none) and who is told of them. Not of
  // what comes as the whole state of a partition.
  const std::atomic<std::uint32_t>* wanted_key_events = nullptr;
  KeyEventSink key_event;
  // Told that keys may have gone without an event, by FLUSHALL or FLUSHDB, where events are wanted.
  std::function<void()> keys_flushed;
  // Told of every change of a key that readers may see, in all partitions; null: nobody is. On the
  // thread that has the shard.
  KeyChangeObserver* key_changes = nullptr;
  // A partition has taken in a state: keys may have come to be that no event tells of.
  std::function<void()> state_taken;
  // How long an expired key waits for word of all its replicas: see expiry_sweep.h.
  std::int64_t expiry_wait_ms = 3'600'000;
  // Log kept for peers that are away; one that comes back later than that is given snapshots.
  std::uint64_t retain_bytes = std::uint64_t{1} << 30;
  // For the metadata group if it has none: what session tokens are sealed with. Empty: none.
  std::string session_key;
  // Whether all nodes are known to execute entries with GroupProposal::once_first; null: they do.
  std::function<bool()> once_first_known;
  // The same of GroupProposal::any_sequence, and of ::once_words.
  std::function<bool()> any_sequence_known;
  std::function<bool()> once_words_known;
  // Of a group that this shard's member leads and that has been closed for long: whoever closed it
  // may be gone. Called again every now and then, until it is open. See docs/groups.md, "Dropping a
  // keyspace".
  std::function<void(PartitionId group, std::uint64_t attempt)> left_closed;
  // The scripts that the node knows, and what they publish and log. No cache: the shard has its
  // own.
  ScriptCache* scripts = nullptr;
  std::function<std::int64_t(std::string_view channel, std::string_view message, bool sharded)>
      publish;
  std::function<void(int level, std::string_view text)> script_log;
  // A script of a user called what the user may not.
  std::function<void(const AclUser& user, const AclDenial& denial)> script_denied;
  // What has been written when a script may write no more: a turn is one frame of the log, which
  // may have 4 GiB, and one command more.
  std::uint64_t script_write_bytes = std::uint64_t{1} << 30;
  // Called now and then while a script takes longer than it should, on the executing thread.
  std::function<void()> while_script_runs;
  // Within this time, all that is held is compared with what it should be, again and again: see
  // check.h. 0: only when asked for.
  std::int64_t check_interval_ms = 0;
  // Keys that a check takes in at one turn, and that it lists in one message.
  std::size_t check_step_keys = 256;
  std::size_t check_listed_keys = 1024;
  // Entries in memory, of all groups together, for followers that are behind.
  std::uint64_t group_log_bytes = 64 << 20;
  // How often leaders look how much of topics is to stay; a pass is asked for after so many times
  // as long at least, to give back what has gone.
  std::int64_t retain_interval_us = 1'000'000;
  // Of the compaction of topics by key: between two slices of what is read for it, how many bytes
  // these have, and how many the table of keys.
  std::int64_t clean_interval_us = 50'000;
  std::size_t clean_slice_bytes = 512 << 10;
  std::size_t clean_map_bytes = 16 << 20;
  // How many keys with a change feed one command about all keys may delete: see docs/feeds.md.
  std::size_t most_events_at_once = 1'000'000;
};

// What a client gets to see of a shard's work, for metrics.
struct ShardStats {
  std::uint64_t records_local = 0;
  std::uint64_t records_joined = 0;     // from peers
  std::uint64_t records_duplicate = 0;  // from peers, already seen
  std::uint64_t records_pending = 0;    // now waiting for a dependency
  // What peers have sent, and how often one of these was decoded, for the first time or anew.
  std::uint64_t records_received = 0;
  std::uint64_t records_decoded = 0;
  // How often one that waits was looked at though nothing had come that it lacks.
  std::uint64_t records_looked_in_vain = 0;
  std::uint64_t snapshots_joined = 0;
  std::uint64_t snapshot_pieces_sent = 0;
  std::uint64_t snapshot_bytes_sent = 0;  // in these
  // How often sending one went on from the middle, after the link broke or a piece was lost.
  std::uint64_t snapshots_resumed = 0;
  std::uint64_t snapshots_refused = 0;  // did not match their checksum
  std::uint64_t audits_failed = 0;      // partitions that held what no record had put there
  std::uint64_t repaired = 0;           // partitions that were damaged
  std::uint64_t folds = 0;              // records made here that fold runs
  std::uint64_t ends_exceeded = 0;      // that had more than what was folded elsewhere
  std::uint64_t conflicts = 0;
  std::uint64_t type_conflicts = 0;
  std::uint64_t digest_comparisons = 0;
  std::uint64_t digest_mismatches = 0;
  std::uint64_t clock_clamped = 0;  // remote times beyond max_drift_ms
  std::uint64_t keys_expired = 0;
  std::uint64_t fields_expired = 0;  // of hashes
  std::uint64_t keys_evicted = 0;    // deleted by a cache policy
  // Keys that commands asked for to read them, and found or not.
  std::uint64_t keyspace_hits = 0;
  std::uint64_t keyspace_misses = 0;
  // Of groups.
  std::uint64_t elections = 0;  // that this node stood in
  std::uint64_t proposals = 0;
  std::uint64_t proposals_refused = 0;
  std::uint64_t proposals_answered = 0;
  double proposal_seconds = 0;  // in all, until these were executed
  std::uint64_t entries_applied = 0;
  // Compaction of topics by key: rounds over a partition, and bytes that were read and removed.
  std::uint64_t topic_compactions = 0;
  std::uint64_t topic_bytes_read = 0;
  std::uint64_t topic_bytes_removed = 0;
  std::uint64_t read_rounds = 0;  // each for all linearizable reads of a turn
  std::uint64_t group_snapshots_sent = 0;
  // Of events (docs/emit.md), in partitions whose relay this shard is.
  std::uint64_t events_waiting = 0;
  std::uint64_t events_read = 0;  // in outboxes, to be sent or not; each time
  std::uint64_t events_relayed = 0;
  std::uint64_t events_repeated = 0;  // that were sent, and were there already
  double event_lag_seconds = 0;       // the age of the oldest that waits
  // Of change feeds (docs/feeds.md).
  std::uint64_t feed_changes = 0;    // events that were made, those of snapshots too
  std::uint64_t feed_lost = 0;       // changes without one, since something could not be read
  std::uint64_t feed_snapshots = 0;  // partitions whose keys are to be told yet, by this node
  // Upper bounds of the buckets are in kLagBucketsUs.
  static constexpr std::int64_t kLagBucketsUs[] = {500,   1000,  2000,   3000,   5000,    10000,
                                                   20000, 50000, 100000, 500000, 1000000, 10000000};
};

// What is kept for other nodes: docs/hints.md. The first five are of now.
struct HintStats {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t partitions = 0;
  std::int64_t oldest_ms = 0;  // wall clock of when the oldest came; 0: there is none
  std::map<NodeNumber, std::uint64_t> waiting;  // records, by the node that has not got them
  std::uint64_t kept = 0;
  std::uint64_t sent = 0;         // to owners, that did not get them from others
  std::uint64_t handed_over = 0;  // all owners have them
  std::uint64_t refused = 0;      // no room: left to anti-entropy
  std::uint64_t expired = 0;      // too old: the same
};

// Records of the log that had to be replayed at the start, and have been, in bytes.
struct ReplayProgress {
  std::uint64_t bytes = 0;
  std::uint64_t done = 0;
  bool under_way() const { return done < bytes; }
};

// What has become of the changes that the store is to hold, for metrics.
struct StoreStats {
  std::uint64_t passes = 0;
  std::uint64_t failed_passes = 0;
  std::uint64_t evicted = 0;  // objects, and elements of large ones, that were let go from memory
  std::uint64_t rows_read = 0;
  std::uint64_t lag_bytes = 0;  // log behind the position from which it completes the store
  std::uint64_t damaged = 0;    // partitions of which something cannot be read
  std::uint64_t repaired = 0;   // how often such a one was made anew from another replica
};

struct PeerStatus {
  NodeNumber node = 0;
  bool up = false;
  std::uint64_t lag_records = 0;  // records of ours that it has not acknowledged
  double lag_seconds = 0;         // age of the oldest of them
  std::uint64_t bytes_in_flight = 0;
  std::uint64_t held_bytes = 0;      // of records that are held back for it: docs/delay.md
  std::uint64_t snapshot_bytes = 0;  // in memory, of snapshots on their way to it and from it
  // Records of this origin that were joined here, by the time from being made there to being joined
  // here.
  std::vector<std::uint64_t> delay_histogram;  // one more than kLagBucketsUs
  double delay_sum_seconds = 0;
  // Of these, how many came earlier than they were made, by this node's clock.
  std::uint64_t delays_below_zero = 0;
  // Nothing is missing here that the peer had made so long ago or earlier, by its clock and this
  // node's. None: it has not said yet, of all partitions, what it has.
  std::optional<double> window_seconds;
};

// How await_seen() waits.
struct QuorumWait {
  std::int64_t deadline_us = 0;  // monotonic
  bool sloppy = false;           // nodes that stand in for owners count, too: docs/hints.md
  bool synced = false;           // the others' logs, whatever their policy
  bool synced_here = false;      // and this node's
  // Who asks, if it may go without waiting any longer; then nobody is told. For any thread.
  std::optional<std::weak_ptr<const void>> asker;
};

struct PartitionStatus {
  PartitionId partition;
  VersionVector vector;
  std::uint64_t digest;
  std::size_t keys;
  std::optional<std::string> damage;  // what of it cannot be read
  bool replayed = true;               // if not, the log has records of it that are missing here
};

class Shard {
 public:
  // The references must outlive the shard.
  Shard(ShardOptions options, Clock& clock, Random& random, Disk& disk, RowStore& store,
        Transport& transport);
  ~Shard();

  // Reads what the store says of the partitions, and goes through the log from there on. On success
  // the shard is ready to execute; what it executes waits for what it needs of the log, which is
  // replayed by and by. Errors name the file, the offset and the way out. `progress` is called now
  // and then with bytes done and bytes in all.
  Result<> recover(const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});
  // Replays a bit of the log, within a turn; so does tick(). Returns whether there is more.
  bool replay_some();
  // All that is left of it, at once.
  void replay_all();
  // Whether some of the log that these keys need has not been replayed yet. If so, that is done
  // next, and done() is called in a later turn.
  bool await_replay(std::span<const Need> needs, std::function<void()> done);
  ReplayProgress replay_progress() const;

  // Executes a command of scope kKeys or kAll, whose partitions all lie in this shard or in
  // `others` (the other shards of the process, lent to the caller's thread for the duration). Arity
  // has been checked. A command of scope kAll is about the partitions `within` (ascending), or all
  // that are held when that is empty. Appends the reply to `out`. Returns the position that
  // released() must reach before the reply may leave; with `others`, each of them must also have
  // released its barrier().
  // `lookup`, if there is one, has been through prefetch(). With `too_long`, a string for which
  // lists_much() holds is not appended; `too_long` says so, and list() is to be used.
  LogPosition execute(const Command& command, Args args, bool resp3, std::string& out,
                      std::span<Shard* const> others = {}, std::span<const PartitionId> within = {},
                      const Lookup* lookup = nullptr, bool* too_long = nullptr);

  // Whether changes of the key that are made here are told in a change feed (docs/feeds.md). Of
  // eventual keyspaces.
  bool has_feed(std::string_view key) const;
  // Why a command that would write to a keyspace with a change feed is not to be executed: its
  // partition takes no events at present, or it would make too many at once. An error's text, or
  // empty.
  std::string feed_refusal(const Command& command, Args args,
                           std::span<Shard* const> others = {}) const;
  // While parts of a transaction are executed, of which that has been asked before the first.
  void note_feeds_asked(bool asked) { feeds_asked_ = asked; }

  // Whether the last command lacked rights of a bounded counter at this node, and has replied so.
  bool lacks_rights() const;
  // Waits until there are as many as the last command lacked, as long as other nodes within reach
  // have them. done(there) is called at once or in a later turn: the command may then be tried
  // again, or never will do better.
  void await_rights(std::int64_t deadline_us, std::function<void(bool there)> done);

  Interpreter& scripts();

  // Of a command that replies with all of a collection or string: whether execute() would keep
  // others waiting for long, and list() is to be used.
  bool lists_much(const Command& command, Args args) const;
  // Begins it. Its steps may be taken within any turns before this shard is destroyed; the reply
  // may leave once released() has reached what barrier() is now.
  std::unique_ptr<Listing> list(const Command& command, Args args, bool resp3);

  // Asks for the memory that the next commands will look at, all at once, where command by command
  // would wait for one after the other. Changes nothing but the lookups, which become known; keys
  // of other shards are ignored.
  void prefetch(std::span<Lookup> lookups) const;

  // Whether some of this is in the store only, and would be read from it, blocking, by a command.
  // If so, it is read in another thread, and done() is called in a later turn.
  bool fetch(std::span<const Need> needs, std::function<void()> done);
  // Whether fetch() can have anything to do.
  bool any_cold() const;

  // --- Other replicas of partitions of this shard (replica/quorum.h, docs/quorums.md). Done takes
  // how many of them, besides this one, have answered; it is called in a later turn.
  using Answered = std::function<void(std::size_t replicas)>;
  // What this node has seen of partitions, ascending; `own`: of what it has made itself in this
  // run. Closes the turn's records.
  PartitionReach reach_of(std::span<const PartitionId> partitions, bool own);
  // Of all partitions that have other replicas and in which it has made anything.
  PartitionReach own_reach();
  void await_seen(PartitionReach reach, std::size_t count, const QuorumWait& wait, Answered done);
  // Of what this node has made of them by the end of the turn.
  void await_written(std::span<const PartitionId> partitions, std::size_t count,
                     std::int64_t deadline_us, Answered done, bool sloppy = false);
  void catch_up(const std::vector<PartitionId>& partitions, std::size_t count,
                std::int64_t deadline_us, Answered done, bool sloppy = false);
  // Whether the node can stand in for others now, as far as is known.
  bool takes_hints(NodeNumber node) const;
  HintStats hints() const;
  bool keeps_hint(PartitionId partition, const Dot& dot) const;
  // Whether this node has seen all of this; await_here() waits until it has, and Done then takes 1,
  // or 0 if it was too late.
  bool has_seen(const PartitionReach& reach) const;
  void await_here(PartitionReach reach, std::int64_t deadline_us, Answered done);
  // Whether it has seen all of these partitions that any replica had seen at a time of its
  // monotonic clock; freshen() asks all others, and has then, as of when it was called.
  bool is_fresh(std::span<const PartitionId> partitions, std::int64_t since_us) const;
  void freshen(const std::vector<PartitionId>& partitions, std::int64_t deadline_us, Answered done);
  // --- CAUSAL (replica/causality.h, docs/causality.md).
  // The causes of these partitions, of any partitions; none: they cannot be read.
  std::optional<PartitionReach> causes_of(std::span<const PartitionId> partitions) const;
  // Makes what a session has seen causes of what is written to the partition from now on. Returns
  // an error reply, or nothing.
  std::string add_causes(PartitionId partition, const PartitionReach& session);
  // Whether something may be executed on these partitions at once at CAUSAL: is_complete(), and
  // each has seen what the others have of its causes.
  bool is_causal(std::span<const PartitionId> partitions) const;
  // Whether nothing that every replica of these had can be missing here;
  // complete() sees to that, as far as another one is in reach: then Done takes at least 1.
  bool is_complete(std::span<const PartitionId> partitions) const;
  void complete(std::span<const PartitionId> partitions, std::int64_t deadline_us, Answered done);

  // --- Checking what is held (replica/check.h, docs/repair.md).
  // Begins to check everything, as fast as service allows; returns the number of this pass.
  std::uint64_t start_check();
  CheckStatus check_status() const;
  // For tests: see check.h. Nothing happens to what is not in an eventual partition of this shard.
  bool falsify(std::string_view key, std::optional<std::string_view> value);

  // How far the log is synced.
  LogPosition durable() const;

  // Whether, since this was last asked, something was taken away here and given to another shard.
  // It must not end its turn before that one has released what it was given: else neither log might
  // have it after a crash.
  bool take_given_away();

  // Writes, syncs, pushes; see above. When the log cannot be written the changes of the turn stay
  // in memory only and write_error() says why.
  void end_turn();
  // Whether something is left that waits for nothing but a turn.
  bool has_more() const;
  // The position that released() must reach for everything executed so far to be shown.
  LogPosition barrier() const;
  // Everything up to here may be shown: as durable as the policy promises.
  LogPosition released() const;
  // Set when what has been executed and is not released cannot be for now, because the log could
  // not be written or synced: the replies that wait are due as errors, their outcome unknown.
  std::optional<std::string> release_error() const;
  // Called when released() advances, or release_error() is set, outside of end_turn().
  void on_released(std::function<void()> callback);
  // Why writes are refused at present (disk full, failed sync), if they are.
  std::optional<std::string> write_error() const;

  // Timers: sweeps, reports, retries, checkpoints. To be called every few milliseconds, within a
  // turn.
  void tick();

  // A session with a peer's shard began or ended. Messages are opaque here; the handshake (cluster
  // id, version, partition count) has been made by the caller, and tells which run of the peer it
  // is. Nothing that comes from an earlier run may be passed on after that.
  // `inflates`: the peer takes messages of compressed records.
  void link_up(ReplicaId peer, bool inflates = false);
  void link_down(NodeNumber peer);
  // Bad input is reported as an error, upon which the caller ends the link.
  Result<> receive(NodeNumber peer, std::string_view message);

  // --- Strong keyspaces: see strong.h and docs/groups.md.

  // Executes a request to a group. Within a turn, as execute().
  void execute_strong(StrongRequest request, StrongDone done);
  bool has_group(PartitionId group) const;
  std::vector<GroupStatus> groups() const;
  // Which node leads a group, as far as is known here: 0 if none is; none if it is not here.
  std::optional<NodeNumber> leader_of(PartitionId group) const;
  // The term in which this node leads a group, as far as it knows; none: it does not.
  std::optional<consensus::Term> term_led(PartitionId group) const;

  // --- Partitions of topics: see docs/topics.md. Records are appended by execute_strong().

  // None: it is not here.
  std::optional<TopicStatus> topic(PartitionId partition) const;
  // Of one that is here: whole batches from the one with this offset on, which is from start to
  // end - 1; as many as have `max_bytes`, but one. Answers at once or in a later turn.
  void read_topic(PartitionId partition, std::int64_t offset, std::size_t max_bytes,
                  std::move_only_function<void(Result<std::string>)> done);
  // Of one that is here: from which offset on records are so late, and how late the first of these
  // batches is; none so far. Blocks.
  Result<std::optional<std::pair<std::int64_t, std::int64_t>>> topic_at_time(
      PartitionId partition, std::int64_t time) const;
  // Of one that is here: the aborted transactions that may have records from `from` on and before
  // `to`, which is not behind its last stable offset. In the order of their ends. Blocks.
  Result<std::vector<AbortedTransaction>> topic_aborted(PartitionId partition, std::int64_t from,
                                                        std::int64_t to) const;
  // Called when records may have been added to one, or its leader has changed.
  void on_topic(std::function<void(PartitionId)> callback);

  // Calls relay(group, words, done) to have a topic's partition append a batch: a request of
  // kAppendCommand, wherever the group is led. done(reply) is to be called on the shard's thread,
  // at once or later: the reply, or an error if nobody knows what has become of it.
  using RelayDone = std::move_only_function<void(std::string reply)>;
  using RelayTo =
      std::function<void(PartitionId group, const std::vector<std::string>& words, RelayDone done)>;
  void on_relay(RelayTo callback);

  // From now on keys are looked up by this. Groups begin that this node is to have.
  void serve(std::shared_ptr<const cluster::KeyspaceTable> keyspaces);
  // Called with the keyspaces as this node knows them, at once and when they have changed. Of the
  // shard that has the metadata group. `unknown`: called instead while there is, or may be, a table
  // with users that this node does not know, with the reason ("this node does not know it: ...");
  // with none when other nodes have said that there are no users. In a cluster that has not founded
  // the group yet neither is.
  void on_keyspaces(std::function<void(std::shared_ptr<const cluster::KeyspaceTable>)> callback,
                    std::function<void(const std::string& why)> unknown = {});
  // Begins a group, unless it is there. All its members do the same.
  Result<> found_group(PartitionId group, std::vector<consensus::MemberId> voters,
                       std::vector<NodeNumber> replicas);
  // As the node stops: hands the leadership of groups over to whoever can take it, over the next
  // turns, and takes none any more; and sends what is held back for other nodes.
  void stop_leading();
  bool handing_over() const;  // whether one of these is under way

  // Has all that has been executed so far stored, over the next ticks. done(outcome) is called on
  // the shard's thread, unless the shard is destroyed before.
  void store_now(std::move_only_function<void(const Result<>&)> done);
  // Stores all that has changed, over the next ticks, so that the next start is quick. From now on
  // no cache policy deletes anything.
  void store_changes();
  // Whether there is nothing (more) to store.
  bool all_stored() const;
  // How long clients should wait once after each tick() because more is written than passes of the
  // store keep up with: so what a restart has to replay stays bounded. Microseconds, mostly 0.
  std::int64_t pause_us() const;
  // Removes the log, of which the store has everything (store_changes(), all_stored()). Peers that
  // lack something are given snapshots. Nothing but close() may follow.
  Result<> remove_log();
  // Stops: writes and syncs all.
  Result<> close();

  bool owns(PartitionId partition) const;
  ReplicaId replica_id() const;
  const ShardStats& stats() const;
  std::vector<PeerStatus> peers() const;
  std::vector<PartitionStatus> partitions() const;
  const PartitionState* state(PartitionId partition) const;
  std::size_t visible_keys() const;
  std::size_t keys_with_expiry() const;
  std::size_t keys_lapsed() const;
  // The sum of what keys with an expiry have left to live, in milliseconds.
  double sum_of_ttls_ms() const;
  // Of what readers see.
  DatabaseCounts visible_of_databases() const;
  LogStats log_stats() const;
  StoreStats store_stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool feeds_asked_ = false;  // see note_feeds_asked()
};

}  // namespace even
