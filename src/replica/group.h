// One group of a strong keyspace, as a member has it: the consensus core, the log it reads, what
// waits for its entries, and how these are applied to the partition. See docs/groups.md.
//
// Invariant: the partition's state is the execution of the group's entries up to one index, which
// is in its vector under kGroupIndex; it follows from these entries alone. What an entry is
// executed by, an instant and a seed, is in the entry.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutant.h"
#include "consensus/raft.h"
#include "replica/core.h"
#include "replica/group_format.h"
#include "replica/group_log.h"
#include "replica/peer_message.h"
#include "replica/staged_state.h"
#include "replica/state_encoder.h"
#include "replica/strong.h"
#include "replica/topic_log.h"

namespace even {

// The origin of what a group's entries write: to the lattice, a group is one replica.
inline constexpr ReplicaId kGroupOrigin = ReplicaId::make(0xffff, 1, 1);
// Not origins, but counted in a strong partition's vector as if they were, so that they are stored
// and moved with it: the index of the last entry that has been applied, and its instant, in
// milliseconds.
inline constexpr ReplicaId kGroupIndex = ReplicaId::make(0xffff, 1, 2);
inline constexpr ReplicaId kGroupClock = ReplicaId::make(0xffff, 1, 3);
// The same: the life of the keyspace's change feed that the partition follows (docs/feeds.md).
inline constexpr ReplicaId kGroupFeed = ReplicaId::make(0xffff, 1, 10);
// The same: 1 once an entry has been applied that had GroupProposal::once_first.
inline constexpr ReplicaId kGroupOnceFirst = ReplicaId::make(0xffff, 1, 12);
// The same: 1 once an entry has been applied that had GroupProposal::any_sequence.
inline constexpr ReplicaId kGroupAnySequence = ReplicaId::make(0xffff, 1, 14);
// The same of GroupProposal::once_words.
inline constexpr ReplicaId kGroupOnceWords = ReplicaId::make(0xffff, 1, 15);
// The same: twice the number of the last attempt at dropping the keyspace that the group has heard
// of, and 1 if it is closed for it, or 2 if the attempt is over.
inline constexpr ReplicaId kGroupClosing = ReplicaId::make(0xffff, 1, 13);

class Group {
 public:
  using Send = std::function<void(consensus::Message)>;

  // `core`, `partition` and `random` outlive this.
  Group(ShardCore& core, Partition& partition, consensus::MemberId self);
  Group(const Group&) = delete;

  PartitionId id() const { return partition_.id; }
  Partition& partition() { return partition_; }

  // --- Recovery. What the shard's log has of the group, in its order; then start().
  void restore(const GroupBase& base);
  // Up to which entry the store has its partition's state: what the log says of an earlier one has
  // been done.
  void note_stored(consensus::Index index) { stored_ = index; }
  consensus::Index stored() const { return stored_; }
  void restore(const consensus::HardState& state) { hard_state_ = state; }
  void restore(const consensus::Entry& entry);
  Result<> start();
  // In place of these, for a group that begins: logs its base. All its voters do the same. `topic`:
  // it is that of a topic's partition.
  void found(consensus::Configuration configuration, bool topic);
  // In place of these, for a group that begins anew with what a former life of this node had: the
  // partition's state, as of `base`, and the entries behind it. This member alone votes in it.
  void refound(const GroupBase& base, consensus::Term term,
               const std::vector<consensus::Entry>& entries);

  // --- A turn.
  void execute(StrongRequest request, StrongDone done);
  Result<> step(consensus::Message message);
  // Time: `kGroupTickUs` have passed.
  void tick();
  bool has_ready() const { return raft_->has_ready() || !new_reads_.empty(); }
  // Puts what is to be written into the log's buffer, sends what may go at once, applies what is
  // committed and answers what waited for it.
  void collect(const Send& send);
  // The log is durable up to here.
  void durable(LogPosition position, const Send& send);
  // Whether nobody waits for the message, which is about to be sent: it says no more than what is
  // committed, as the next entries do, or answers that.
  bool may_wait(const consensus::Message& message);
  // Until what has been written is durable, something waits.
  bool waits_for_log() const { return !writes_.empty(); }

  // All that a recovery needs, beside the partition's state, which begins with what the log has
  // behind its buffer: a base, the hard state and the entries behind the base, each as in the log
  // behind its length.
  std::string row() const;

  // Notes in the log how far is applied, so that a recovery applies as much again; else it applies
  // what was known to be committed when the log was last written to.
  void log_commit();

  // It is about to go: whoever waits for something of it is told that this will not come.
  void abandon();

  void unreachable(consensus::MemberId member);

  // --- Snapshots: see replica/group_states.h.
  // Goes on with one that a member waits for, if there is one in the making.
  bool is_encoding() const { return encoding_.has_value(); }
  void encode_more();
  // How a snapshot is named whose data travels by itself; none: with the message.
  std::optional<GroupMessage::State> name_of(const consensus::Snapshot& snapshot) const;
  // Whether it has something that is lacking here.
  bool lacks(const consensus::Snapshot& snapshot) const;
  // The state of a snapshot without data, which the next step() is about. It is taken over if the
  // core takes the snapshot.
  void offer(std::shared_ptr<StagedState> staged) { staged_ = std::move(staged); }
  bool has_offer() const { return staged_ != nullptr; }
  // That state, if it is at hand. If not (null), the member `asker` is told of another.
  std::shared_ptr<const StateBytes> state_named(const SnapshotName& name,
                                                consensus::MemberId asker);

  // --- Digests: what members compare. See docs/groups.md, "Digests".
  // Of a leader, what the others are to compare theirs with, unless they have been told.
  std::optional<DigestsMessage::Digest> digest_to_tell();
  // The others may not know what they have been told.
  void tell_digest_again() { told_index_ = 0; }
  void compare(const DigestsMessage::Digest& theirs, NodeNumber node);
  // Hands leadership over, if it has it, and takes none any more; or takes it again.
  void stop_leading();
  bool handing_over() const { return leads() && raft_->transferring_to() != consensus::kNoMember; }
  void may_lead() { raft_->allow_leading(!halted_); }
  // The disk fails: others should lead.
  void step_down();
  void transfer_to(consensus::MemberId member) { (void)raft_->transfer_leadership(member); }
  Result<> change(const consensus::ConfigurationChange& change);

  const consensus::Raft& raft() const { return *raft_; }
  bool leads() const { return raft_->role() == consensus::Role::kLeader; }
  NodeNumber leader() const { return node_of(raft_->leader()); }
  consensus::Term term() const { return raft_->term(); }
  consensus::Index applied() const { return partition_.state.vector()[kGroupIndex]; }
  std::int64_t clock_ms() const {
    return static_cast<std::int64_t>(partition_.state.vector()[kGroupClock]);
  }
  // Something of it could not be read, so that it can apply nothing more.
  bool halted() const { return halted_; }
  GroupStatus status() const;
  // The attempt at dropping its keyspace for which it is closed; none: it takes writes.
  std::optional<std::uint64_t> closed_for() const {
    const std::uint64_t mark = partition_.state.vector()[kGroupClosing];
    return mark % 2 == 1 ? std::optional(mark / 2) : std::nullopt;
  }
  // Null: it is not of a topic.
  const TopicLog* topic() const { return topic_.get(); }
  TopicLog* topic() { return topic_.get(); }
  TopicStatus topic_status() const;
  // Batches from the one that has the offset on, which must not be below the start, nor the end:
  // see TopicLog::read().
  void read_topic(std::int64_t offset, std::size_t max_bytes, TopicLog::Read done) const;
  // A pass of the store takes what is applied now; see TopicLog.
  void begin_pass();
  bool take_offset_rows(RowBatch& out) { return topic_ != nullptr && topic_->take_offsets(out); }
  bool take_entry_rows(RowBatch& out) {
    return topic_ != nullptr && topic_->take_entries(log_, out);
  }
  void end_pass(bool stored);
  // Of a topic: bytes of batches that have been applied and are not stored.
  std::uint64_t unstored_bytes() const {
    const std::uint64_t all = topic_ == nullptr ? 0 : partition_.state.vector()[kTopicBytes];
    return topic_ == nullptr ? 0 : all - std::min(all, topic_->stored_bytes());
  }
  void take_checkpoint_rows(RowBatch& out) {
    if (topic_ != nullptr) topic_->take_checkpoints(out);
  }
  // Of a leader: proposes what follows for the partition's records, once a second. `compacts`: by
  // key.
  void retain(const topic::Retention& retention, bool compacts);
  // Tombstones of entries up to this one may go.
  consensus::Index purged() const { return partition_.state.vector()[kTopicPurge]; }
  // Whether a pass would let rows of it go.
  bool may_trim() const;
  // Nodes that are to have it without a vote; those that are to have one are the partition's
  // replicas.
  const std::vector<NodeNumber>& learners() const { return learners_; }
  void set_learners(std::vector<NodeNumber> learners) { learners_ = std::move(learners); }
  // Of entries in memory.
  void limit_log(std::uint64_t bytes) { kept_bytes_ = bytes; }
  // --- The change feed of its keyspace, as of what has been applied: see docs/feeds.md.
  struct Feed {
    std::string topic;  // empty: changes are not told
    std::string keyspace;
    // Keys from this hash on are still to be told; none: all have been.
    std::optional<std::uint64_t> cursor;
  };
  std::uint64_t feed_epoch() const { return partition_.state.vector()[kGroupFeed]; }
  // May throw Unreadable.
  Feed feed() const;

  // Called when an entry has been applied, or a state taken over.
  std::function<void()> on_applied;

 private:
  class GroupScript;
  struct Write {
    consensus::WriteId id;
    LogPosition position;
    std::vector<consensus::Message> messages;
  };
  struct Proposal {
    consensus::Index index;
    consensus::Term term;
    bool resp3;
    std::int64_t since_us;
    StrongDone done;
  };
  struct Read {
    StrongRequest request;
    StrongDone done;
    std::int64_t since_us;
    consensus::Index index = 0;  // to be applied before
  };

  void propose(const StrongRequest& request, StrongDone done);
  std::expected<consensus::Proposed, consensus::Refusal> propose(GroupProposal proposal);
  // Proposes that the group's clock moves on to `now_ms`, unless that is under way.
  bool propose_purge(std::int64_t now_ms);
  bool shows_expired(std::int64_t now_ms);
  void give_up_reads();
  void give_up_snapshots();
  void ask_for_indices();
  void begin(consensus::Index index, consensus::Term term);
  GroupBase base_at(consensus::Index index, consensus::Term term) const;
  void be_topic(const GroupBase::Topic& origin);
  void trim();
  std::string append(const GroupProposal& proposal, consensus::Index index);
  void note_purge(const consensus::Entry& entry);
  void propose_purge_of_tombstones();
  std::string apply_trim(const GroupProposal& proposal, const consensus::Entry& entry);
  void take_checkpoint(consensus::Index index);
  void read_segments();
  std::uint64_t retained_bytes() const;
  std::int64_t log_start() const;
  void write_segments(std::int64_t start, std::int64_t now_ms, std::uint64_t seed);
  std::expected<consensus::Proposed, consensus::Refusal> propose_trim(std::int64_t start,
                                                                      bool checkpoint);
  std::expected<consensus::Proposed, consensus::Refusal> propose_deletion(std::int64_t start);
  void begin_write(consensus::Write& write);
  void install(const consensus::Snapshot& snapshot);
  void apply(const consensus::Entry& entry);
  std::string apply(const GroupProposal& proposal, bool resp3);
  std::string run(std::span<const Args> commands, bool transaction, bool resp3, std::int64_t now_ms,
                  Random& random);
  void run(Args words, Reply& reply, std::int64_t now_ms, Random& random);
  // Whether something that is watched replies something else by now.
  bool differs(const GroupProposal& proposal, std::int64_t now_ms, Random& random);
  std::string run_once(const GroupProposal& proposal, std::span<const Args> commands,
                       Random& random);
  // The reply that is kept of this id of EVEN.ONCE; none: none is. `words`: what_is_asked() now; if
  // it was something else then, an error. May throw Unreadable.
  std::optional<std::string> kept_reply(std::string_view id, std::uint64_t words,
                                        std::int64_t now_ms, Random& random);
  // The same, before anything is proposed; empty id: none.
  std::optional<std::string> reply_before(const StrongRequest& request);
  // Of a leader: a producer that is not remembered has been refused. Says so in another way if it
  // is to try again.
  void note_unknown_producer(const GroupProposal& proposal, std::string& reply);
  // Whether a batch is what such a producer has tried again.
  bool is_tried_again(std::string_view batch) const;
  // Whether all nodes know what came to be together with such entries, or one is in the group.
  bool all_know(ReplicaId mark, const std::function<bool()>& known) const {
    return partition_.state.vector()[mark] != 0 || !known || known();
  }
  // An entry that is_closing_command().
  void change_closing(Args words, Reply& reply, std::int64_t now_ms);
  // Whether the entry is behind the one that has closed the group, and may write keys.
  bool comes_too_late(const GroupProposal& proposal);
  // Tells of a group that has been left closed.
  void tell_of_closing();
  // Whether entries may have GroupProposal::once_first.
  bool may_look_up_first() const;
  // Keys of EVEN.ONCE that count as visible.
  std::size_t remembered();
  void begin_life(std::int64_t now_ms);
  void purge(std::int64_t now_ms);
  void purge_fields(std::int64_t now_ms, const std::vector<std::string>& gone, Delta& out,
                    std::deque<std::string>& names);
  // `command`: its name, for keyspace events; none: it is not a client's.
  void commit(Context& context, std::string_view command);
  // Of the feed: what a record changes is told to the outbox; the two commands.
  void tell(const FeedChanges& changes, const Dot& dot, std::string_view cause,
            std::int64_t now_ms);
  void add_events(const std::vector<std::string>& events, std::int64_t now_ms);
  void write_feed(std::span<const std::pair<std::string_view, std::string>> fields,
                  std::int64_t now_ms);
  void set_feed(Args words, std::int64_t now_ms);
  void step_feed(Args words, std::int64_t now_ms);
  FeedOf feed_of() const;
  void halt(const std::string& why);
  void release(std::vector<Read>& reads, consensus::Index index);
  void answer_reads();
  // Whether it has been answered.
  bool answer(Read& read);
  void refuse(StrongDone& done);
  std::int64_t now_ms() const {
    if (EVEN_MUTANT(kGroupClockGoesBack)) return core_.clock.wall_ms();
    return std::max(core_.clock.wall_ms(), clock_ms());
  }
#ifdef EVEN_MUTANTS
  std::string read_now(Args words);
  std::string late_state(consensus::Index index);
  void propose_torn(const StrongRequest& request, StrongDone done);
#endif
  consensus::SnapshotPointer make_snapshot();
  consensus::SnapshotPointer encode_some();
  void forget_snapshots();
  void keep_snapshot();
  bool take_turn();
  // The entry from which on the log is kept for who is given a snapshot.
  std::optional<consensus::Index> pinned();
  void note_checkpoint();
  void compare_awaited();
  std::optional<std::uint64_t> digest_at(consensus::Index index) const;
  consensus::SnapshotPointer topic_snapshot();

  ShardCore& core_;
  Partition& partition_;
  const consensus::MemberId self_;
  GroupLog log_;
  std::unique_ptr<TopicLog> topic_;
  topic::Segments segments_;  // as the state has them
  bool checkpoint_due_ = false;
  consensus::Index trim_index_ = 0;  // of the last proposal to trim in this reign
  consensus::Term trim_term_ = 0;
  topic::Retention retention_;  // as it was last told
  std::optional<consensus::Raft> raft_;
  consensus::HardState hard_state_;  // as it was written last
  // As of what has been applied.
  consensus::Configuration configuration_;
  std::vector<NodeNumber> learners_;
  std::uint64_t kept_bytes_ = 1 << 20;
  bool halted_ = false;
  std::optional<std::size_t> remembered_;  // live keys of EVEN.ONCE; none: not counted yet

  // What was acknowledged last.
  struct Acknowledged {
    consensus::MemberId leader = consensus::kNoMember;
    consensus::Term term = 0;
    consensus::Index index = 0;
    bool operator==(const Acknowledged&) const = default;
  };
  Acknowledged acknowledged_;
  std::deque<Write> writes_;        // that are not durable, in their order
  std::deque<Proposal> proposals_;  // of this member, by index
  std::vector<Read> new_reads_;     // that ask for an index in the end of the turn
  std::uint64_t next_context_;
  std::map<std::uint64_t, std::vector<Read>> asking_;  // by context
  std::vector<Read> waiting_;                          // for their index to be applied
  // When what is applied here was all that was committed.
  std::optional<std::int64_t> confirmed_us_;
  consensus::Index purge_index_ = 0;  // of the last proposal of a purge in this reign
  consensus::Term purge_term_ = 0;
  std::int64_t last_instant_ms_ = 0;  // that was proposed
  // Of a leader: members that a snapshot is on its way to, and for how many ticks.
  std::map<consensus::MemberId, std::uint32_t> awaiting_snapshot_;
  // In the making, and the one that members are given: as long as the log reaches back to it.
  struct Encoding {
    Encoding(consensus::Snapshot of, PartitionId partition, PartitionState& state)
        : snapshot(std::move(of)), encoder(partition, state) {}
    consensus::Snapshot snapshot;  // without the data
    StateEncoder encoder;
  };
  std::optional<Encoding> encoding_;
  std::optional<std::int64_t> too_large_us_;  // when it was found to be
  struct Sent {
    consensus::SnapshotPointer snapshot;  // without data
    std::shared_ptr<const StateBytes> bytes;
    std::uint64_t checksum = 0;
  };
  std::optional<Sent> sent_;
  std::shared_ptr<StagedState> staged_;
  consensus::Index stored_ = 0;  // of recovery

  struct Checkpoint {
    consensus::Index index = 0;
    std::uint64_t digest = 0;
  };
  std::deque<Checkpoint> checkpoints_;  // the last ones, by index
  consensus::Index told_index_ = 0;
  consensus::Index last_applied_ = 0;  // when it was asked for a digest to tell
  struct Awaited {
    DigestsMessage::Digest theirs;
    NodeNumber node = 0;
  };
  std::optional<Awaited> awaited_;  // until that has been applied here
  bool diverged_ = false;
  // Of a leader: producers of whom nothing is remembered, by their ids, and the first batch that
  // they have been refused with.
  struct Unknown {
    std::int16_t epoch = 0;
    std::int32_t sequence = 0;
    std::int64_t since_us = 0;
  };
  std::map<std::int64_t, Unknown> unknown_;
  // Of a leader: since when it has seen the group closed for this attempt, or has told of that.
  struct Closing {
    std::uint64_t attempt = 0;
    std::int64_t tell_at_us = 0;
  };
  std::optional<Closing> closing_;
};

// Between two ticks of the core.
inline constexpr std::int64_t kGroupTickUs = 50'000;

}  // namespace even
