// One group's agreement on the order of its log: Raft, without I/O, clock or threads. See
// docs/consensus.md for what holds, and why.
//
// The core is a value that is told what happens - a message came, a tick passed, a write completed,
// entries were applied - and that collects what is to be done, until take() hands it out. Nothing
// happens in between, so one thread can serve thousands of groups.
//
// Whoever drives it keeps to this:
// - Messages of Ready::messages may be sent at once, or be lost. Those of Write::messages may be
//   sent when that write is durable, not before; if it fails, never.
// - Writes are carried out in their order, and written() is called in that order.
// - Entries are applied in their order, each once. A snapshot in a write takes the place of the
//   state machine; when the write completes, that has been done.
// - Contexts of reads are never used a second time by one member, also not after a restart.
// - After a start, everything that completed writes have written is there again.
//
// One thread at a time. Errors: what a peer sends that cannot be right gives an error from step().
// A broken invariant of our own is an EVEN_CHECK.
//
// Sources: Ongaro, "Consensus: Bridging Theory and Practice" (2014), cited as thesis; etcd's raft
// library for the shape of the interface, progress, and asynchronous writes.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "consensus/log.h"
#include "consensus/membership.h"
#include "consensus/message.h"
#include "consensus/read_index.h"
#include "env/random.h"

namespace even::consensus {

struct Options {
  MemberId self = kNoMember;
  // Without a word from a leader for this many ticks, and up to twice as many, a follower
  // campaigns. A leader that has not heard from a quorum for this long steps down.
  std::uint32_t election_ticks = 10;
  std::uint32_t heartbeat_ticks = 1;
  bool pre_vote = true;  // a campaign first asks whether it could succeed; thesis 9.6
  bool check_quorum =
      true;  // leaders look for their quorum, followers protect a leader; 6.2, 4.2.3
  // Sizes count as Entry::bytes() does. A single entry that is larger than a limit passes it alone.
  std::uint64_t max_message_bytes = 1 << 20;
  Inflight::Limits inflight;  // to each follower
  Log::Limits log;
  std::uint64_t max_uncommitted_bytes = 16 << 20;  // of own proposals that are not applied yet
  std::uint32_t max_reads = 1 << 16;               // that wait at a leader
};

// What storage has of a group when the core starts.
struct InitialState {
  HardState hard_state;
  Configuration configuration;  // as of `applied`
  Index applied = 0;            // at least LogReader::first_index() - 1
};

enum class Role : std::uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// Why something was not begun. It has had no effect and will have none.
enum class Refusal : std::uint8_t {
  kNotLeader,  // the leader is elsewhere: see Raft::leader()
  kNoLeader,   // none is known
  kTransferring,
  kTooMuchUncommitted,
  kTooManyReads,
  kChangePending,  // an earlier change of configuration has not been applied yet
  kInvalidChange,  // the configuration cannot be changed like that
  kNotVoter,       // of a transfer of leadership
};
std::string_view to_string(Refusal refusal);

// Where a proposal stands in the log. It is committed if the entry at this index that is applied is
// of this term, and lost if it is of another one.
struct Proposed {
  Term term = 0;
  Index index = 0;
};

struct SoftState {
  MemberId leader = kNoMember;
  Role role = Role::kFollower;
  Term term = 0;

  bool operator==(const SoftState&) const = default;
};

// A place in the order of writes. It may have nothing to write, only messages that wait for the
// writes before it.
struct Write {
  WriteId id = 0;
  std::optional<HardState> hard_state;  // replaces the one before
  SnapshotPointer snapshot;             // replaces the whole log; written before the entries
  std::vector<Entry> entries;           // replace all from the first one's index on
  std::vector<Message> messages;        // to be sent once it is durable
};

struct ReleasedRead {
  std::uint64_t context = 0;
  Index index = 0;  // answer it from a state that has applied this
};

struct Ready {
  std::vector<Message> messages;
  std::optional<Write> write;
  std::vector<Entry> committed;
  std::vector<ReleasedRead> reads;
  std::vector<std::uint64_t> refused_reads;  // contexts; ask again, elsewhere
  std::optional<SoftState> soft_state;       // if it has changed
};

class Raft {
 public:
  // The reader and the generator of random numbers outlive the core. An error names what in the
  // stored state cannot be.
  static Result<Raft> start(const Options& options, const LogReader& reader, Random& random,
                            const InitialState& state);

  // Time.
  void tick();

  // From a peer. An error says why the message was refused; nothing but the term has changed then.
  Result<> step(Message message);

  // Of the leader; another member refuses.
  std::expected<Proposed, Refusal> propose(std::string data);
  std::expected<Proposed, Refusal> propose_configuration(const ConfigurationChange& change);
  // Hands leadership over, once `member` has the whole log. Until then, and for at most
  // election_ticks, proposals are refused.
  std::expected<void, Refusal> transfer_leadership(MemberId member);
  // The voter to hand leadership to: of those that were heard of lately, the one with the most of
  // the log. None if we do not lead or there is no such voter.
  MemberId best_successor() const;

  // Asks for the index that a linearizable read has to wait for. It comes in Ready::reads, or the
  // context in Ready::refused_reads, or, if messages are lost, nothing comes.
  std::expected<void, Refusal> read_index(std::uint64_t context);

  // What became of what take() has handed out.
  void written(WriteId id);
  // The newest write, and with it perhaps all that have not completed, is not durable. Gives up
  // leadership and candidacy; what is not durable is handed out again.
  void write_failed();
  void applied(Index index);
  void report_unreachable(MemberId member);                 // a message to it was lost
  void report_snapshot(MemberId member, bool has_arrived);  // one that was sent to it

  void campaign();
  // A leader becomes a follower.
  void step_down();
  // Whether this member may campaign and be handed leadership. Not while it is about to stop, or
  // its disk fails. Does not end a reign.
  void allow_leading(bool allowed) { may_lead_ = allowed; }
  // A follower that knows better than to wait for its leader may vote for another one.
  void forget_leader();

  // Sends what followers lack. take() does so too; many proposals before it share messages.
  void replicate();

  bool has_ready() const;
  Ready take();

  MemberId self() const { return options_.self; }
  Role role() const { return role_; }
  Term term() const { return term_; }
  MemberId vote() const { return vote_; }
  MemberId leader() const { return leader_; }
  MemberId transferring_to() const { return transferee_; }
  const Log& log() const { return log_; }
  // As of log().applied(), or of the snapshot that is being installed.
  const Configuration& configuration() const { return membership_.configuration; }
  // Of a leader: what it knows of each member.
  const ProgressTable& progress() const { return membership_.progress; }
  std::size_t waiting_reads() const { return reads_.size(); }
  // Fixes what is otherwise drawn: for tests.
  void set_election_timeout(std::uint32_t ticks) { election_timeout_ = ticks; }

 private:
  Raft(const Options& options, const LogReader& reader, Random& random, const InitialState& state);

  // raft.cc: roles, time, what is handed out.
  void reset(Term term);
  void become_follower(Term term, MemberId leader);
  void become_leader();
  void abandon_reads();
  void send(Message message);
  void send_when_durable(Message message);
  Refusal not_leader() const {
    return leader_ == kNoMember ? Refusal::kNoLeader : Refusal::kNotLeader;
  }
  std::expected<Proposed, Refusal> propose(EntryKind kind, std::string data);
  void append_own(EntryKind kind, std::string data);
  bool has_to_write() const;
  HardState hard_state() const { return {term_, vote_, log_.committed()}; }

  // raft_election.cc
  enum class Campaign : std::uint8_t { kPreVote, kVote, kTransfer };
  bool promotable() const;
  void start_campaign(Campaign campaign);
  void begin_campaign(Campaign campaign);
  void count_vote(MemberId from, bool granted);
  void handle_vote_request(const Message& message);
  void make_rejection(Message& response) const;
  void learn_commit(const Message& rejection);
  bool protects_leader(const Message& message) const;

  // raft_step.cc: from whom, in which term.
  Result<> check(const Message& message) const;
  bool settle_term(const Message& message);
  Result<> dispatch(Message& message);

  // raft_leader.cc
  bool try_send_append(MemberId to, Progress& progress, bool if_empty);
  bool try_send_snapshot(MemberId to, Progress& progress);
  enum class Recipients : std::uint8_t { kAll, kVoters };
  void send_heartbeats(Recipients recipients);
  void check_quorum();
  void advance_commit();
  void acknowledge_own();
  Result<> handle_append_response(const Message& message);
  void handle_heartbeat_response(const Message& message);

  // raft_follower.cc
  void handle_append_request(const Message& message);
  Result<> handle_heartbeat_request(const Message& message);
  void handle_snapshot_request(const Message& message);
  void acknowledge(MemberId to, Index index);
  bool install(const SnapshotPointer& snapshot);

  // raft_membership.cc
  void adopt(Membership membership);
  void apply_changes(Index applied);
  void leave_joint_if_due();

  // raft_reads.cc
  bool committed_in_term() const { return log_.term(log_.committed()) == term_; }
  bool may_begin_round() const;
  void begin_round();
  void release_reads();
  void handle_read_request(const Message& message);
  void answer_read(const ReadIndex::Request& request, std::optional<Index> index);

  Options options_;
  Random* random_;
  Log log_;
  Membership membership_;

  Role role_ = Role::kFollower;
  bool may_lead_ = true;
  bool replicate_wanted_ = false;  // there is something that followers have not been sent
  std::uint32_t election_elapsed_ = 0;
  std::uint32_t heartbeat_elapsed_ = 0;
  std::uint32_t election_timeout_ = 0;
  Term term_ = 0;
  MemberId vote_ = kNoMember;
  MemberId leader_ = kNoMember;
  MemberId transferee_ = kNoMember;
  std::vector<std::pair<MemberId, bool>> votes_;  // of a candidate

  // Of a leader. No change of configuration is proposed before this one is applied; in a new reign
  // whatever was in the log counts as one, since it may hold one.
  Index pending_change_ = 0;
  std::uint64_t uncommitted_bytes_ = 0;
  ReadIndex reads_;

  // Handed out for applying; they take effect when they are applied. Mostly none.
  std::vector<std::pair<Index, ConfigurationChange>> changes_to_apply_;

  std::vector<Message> messages_;
  std::vector<Message> messages_when_durable_;
  std::vector<ReleasedRead> released_;
  std::vector<std::uint64_t> refused_reads_;
  HardState handed_hard_state_;
  HardState durable_hard_state_;
  SoftState handed_soft_state_;
  WriteId last_write_ = 0;
};

}  // namespace even::consensus
