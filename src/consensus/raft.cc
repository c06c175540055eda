#include "consensus/raft.h"

#include "base/check.h"
#include "base/mutant.h"

namespace even::consensus {

std::string_view to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNotLeader:
      return "another member is the leader";
    case Refusal::kNoLeader:
      return "no leader is known";
    case Refusal::kTransferring:
      return "leadership is being handed over";
    case Refusal::kTooMuchUncommitted:
      return "too many bytes have been proposed and are not applied yet";
    case Refusal::kTooManyReads:
      return "too many reads wait for their index";
    case Refusal::kChangePending:
      return "an earlier change of the configuration has not been applied yet";
    case Refusal::kInvalidChange:
      return "the configuration cannot be changed like that";
    case Refusal::kNotVoter:
      return "only a voter can lead";
  }
  return "";
}

Result<Raft> Raft::start(const Options& options, const LogReader& reader, Random& random,
                         const InitialState& state) {
  EVEN_CHECK(options.self != kNoMember, "a member has an id");
  EVEN_CHECK(options.heartbeat_ticks > 0 && options.election_ticks > options.heartbeat_ticks,
             "followers wait for more than one heartbeat");
  EVEN_CHECK(options.inflight.messages > 0, "something can be in flight");
  const HardState& hard = state.hard_state;
  if (hard.term > kMaxNumber || reader.last_index() > kMaxNumber) {
    return fail("stored state of a group: a term or an index is too large");
  }
  if (!valid(state.configuration)) return fail("stored state of a group: no valid configuration");
  if (state.applied + 1 < reader.first_index() || state.applied > reader.last_index()) {
    return fail("stored state of a group: the log does not meet what has been applied");
  }
  if (hard.commit > reader.last_index()) {
    return fail("stored state of a group: the log ends before what was committed");
  }
  return Raft(options, reader, random, state);
}

Raft::Raft(const Options& options, const LogReader& reader, Random& random,
           const InitialState& state)
    : options_(options),
      random_(&random),
      log_(reader, options.log, state.applied, std::max(state.hard_state.commit, state.applied)),
      membership_(restore(state.configuration, reader.last_index())),
      term_(state.hard_state.term),
      vote_(state.hard_state.vote) {
  become_follower(term_, kNoMember);
  handed_hard_state_ = durable_hard_state_ = hard_state();
  handed_soft_state_ = {leader_, role_, term_};
}

void Raft::reset(Term term) {
  EVEN_CHECK(term >= term_, "terms only grow");
  abandon_reads();
  if (term_ != term) {
    term_ = term;
    vote_ = kNoMember;
  }
  leader_ = kNoMember;
  transferee_ = kNoMember;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  election_timeout_ =
      options_.election_ticks + static_cast<std::uint32_t>(random_->below(options_.election_ticks));
  votes_ = {};
  for (auto& [member, progress] : membership_.progress) {
    progress = Progress{};
    progress.next = log_.last() + 1;
    if (member == options_.self) progress.match = log_.durable();
  }
  pending_change_ = 0;
  uncommitted_bytes_ = 0;
  replicate_wanted_ = false;
}

void Raft::become_follower(Term term, MemberId leader) {
  reset(term);
  role_ = Role::kFollower;
  leader_ = leader;
}

void Raft::become_leader() {
  EVEN_CHECK(role_ == Role::kCandidate, "only a candidate becomes leader");
  reset(term_);
  role_ = Role::kLeader;
  leader_ = options_.self;
  Progress* own = membership_.progress.find(options_.self);
  EVEN_CHECK(own != nullptr, "a leader is a member");
  own->replicate();
  own->recently_active = true;
  // Whatever is in the log and not applied may be a change of configuration.
  pending_change_ = log_.last();
  if (EVEN_MUTANT(kNoEmptyEntry)) return;
  append_own(EntryKind::kEmpty, {});
}

void Raft::append_own(EntryKind kind, std::string data) {
  uncommitted_bytes_ += data.size();
  log_.append({term_, log_.last() + 1, kind, Payload(std::move(data))});
  replicate_wanted_ = true;
  if (EVEN_MUTANT(kOwnEntryNotDurable)) {
    if (membership_.progress.find(options_.self)->acknowledge(log_.last())) advance_commit();
  }
}

void Raft::tick() {
  ++election_elapsed_;
  if (role_ != Role::kLeader) {
    if (election_elapsed_ >= election_timeout_ && promotable()) {
      election_elapsed_ = 0;
      campaign();
    }
    return;
  }
  if (election_elapsed_ >= options_.election_ticks) {
    election_elapsed_ = 0;
    transferee_ = kNoMember;  // it has taken too long
    if (options_.check_quorum) check_quorum();
    if (role_ != Role::kLeader) return;
  }
  if (++heartbeat_elapsed_ >= options_.heartbeat_ticks) {
    heartbeat_elapsed_ = 0;
    send_heartbeats(Recipients::kAll);
    leave_joint_if_due();
  }
}

void Raft::step_down() {
  if (role_ == Role::kLeader) become_follower(term_, kNoMember);
}

void Raft::forget_leader() {
  if (role_ == Role::kFollower) leader_ = kNoMember;
}

std::expected<Proposed, Refusal> Raft::propose(std::string data) {
  return propose(EntryKind::kNormal, std::move(data));
}

std::expected<Proposed, Refusal> Raft::propose(EntryKind kind, std::string data) {
  if (role_ != Role::kLeader) return std::unexpected(not_leader());
  if (transferee_ != kNoMember) return std::unexpected(Refusal::kTransferring);
  if (uncommitted_bytes_ > 0 && !data.empty() &&
      uncommitted_bytes_ + data.size() > options_.max_uncommitted_bytes) {
    return std::unexpected(Refusal::kTooMuchUncommitted);
  }
  append_own(kind, std::move(data));
  return Proposed{term_, log_.last()};
}

void Raft::written(WriteId id) {
  durable_hard_state_ = log_.end_write(id);
  if (role_ == Role::kCandidate && durable_hard_state_.term == term_ &&
      durable_hard_state_.vote == options_.self) {
    count_vote(options_.self, true);
  } else if (role_ == Role::kLeader) {
    acknowledge_own();
  }
}

void Raft::write_failed() {
  log_.fail_writes();
  handed_hard_state_ = durable_hard_state_;
  if (role_ != Role::kFollower) become_follower(term_, kNoMember);
}

void Raft::applied(Index index) {
  apply_changes(index);
  log_.end_apply(index);
  leave_joint_if_due();
}

void Raft::send(Message message) {
  message.from = options_.self;
  if (message.term == 0) message.term = term_;
  EVEN_CHECK(message.to != options_.self, "nobody talks to itself");
  messages_.push_back(std::move(message));
}

void Raft::send_when_durable(Message message) {
  message.from = options_.self;
  if (message.term == 0) message.term = term_;
  messages_when_durable_.push_back(std::move(message));
}

bool Raft::has_to_write() const {
  return log_.has_to_write() || term_ != handed_hard_state_.term ||
         vote_ != handed_hard_state_.vote;
}

bool Raft::has_ready() const {
  return !messages_.empty() || !messages_when_durable_.empty() || !released_.empty() ||
         !refused_reads_.empty() || replicate_wanted_ || has_to_write() || log_.has_to_apply() ||
         may_begin_round() || handed_soft_state_ != SoftState{leader_, role_, term_};
}

Ready Raft::take() {
  replicate();
  if (may_begin_round()) begin_round();

  Ready ready;
  ready.messages = std::exchange(messages_, {});
  ready.reads = std::exchange(released_, {});
  ready.refused_reads = std::exchange(refused_reads_, {});
  if (const SoftState soft{leader_, role_, term_}; soft != handed_soft_state_) {
    ready.soft_state = handed_soft_state_ = soft;
  }

  // The commit index goes with what is written anyway.
  const bool to_write = has_to_write();
  if (to_write || (!messages_when_durable_.empty() && log_.writing())) {
    Write& write = ready.write.emplace();
    write.id = ++last_write_;
    if (const HardState hard = hard_state(); to_write && hard != handed_hard_state_) {
      write.hard_state = handed_hard_state_ = hard;
    }
    if (EVEN_MUTANT(kCommitNotStored) && write.hard_state) write.hard_state->commit = 0;
    auto [entries, snapshot] = log_.begin_write(write.id, handed_hard_state_);
    write.entries = std::move(entries);
    write.snapshot = std::move(snapshot);
    write.messages = std::exchange(messages_when_durable_, {});
  } else {
    // Everything that they tell is durable.
    for (Message& message : messages_when_durable_) ready.messages.push_back(std::move(message));
    messages_when_durable_ = {};
  }

  log_.begin_apply(ready.committed);
  for (const Entry& entry : ready.committed) {
    if (entry.term == term_) {
      uncommitted_bytes_ -= std::min<std::uint64_t>(uncommitted_bytes_, entry.data.size());
    }
    if (entry.kind != EntryKind::kConfiguration) continue;
    // One that cannot be read is one everywhere, and changes nothing anywhere.
    if (auto change = decode_change(entry.data.view())) {
      changes_to_apply_.emplace_back(entry.index, std::move(*change));
    }
  }
  return ready;
}

}  // namespace even::consensus
