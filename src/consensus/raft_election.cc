// Elections: thesis sections 3.4, 3.6.1, 9.6 (pre-vote), 4.2.3 (protecting a leader).
#include "base/check.h"
#include "base/mutant.h"
#include "consensus/raft.h"

namespace even::consensus {

bool Raft::promotable() const {
  return membership_.configuration.votes(options_.self) && !log_.installing();
}

void Raft::campaign() { start_campaign(options_.pre_vote ? Campaign::kPreVote : Campaign::kVote); }

void Raft::start_campaign(Campaign campaign) {
  if (role_ == Role::kLeader || !may_lead_ || !promotable() || term_ >= kMaxNumber) return;
  // With a configuration that is two changes behind, its majority might meet none of those that
  // decide now.
  bool changes = false;
  if (!log_.configuration_changes_to_apply(changes) || changes) return;
  begin_campaign(campaign);
}

void Raft::begin_campaign(Campaign campaign) {
  const bool pre_vote = campaign == Campaign::kPreVote;
  if (pre_vote) {
    // The term stays, and so do the vote and what protects the leader elsewhere.
    role_ = Role::kPreCandidate;
    leader_ = kNoMember;
    votes_ = {};
  } else {
    reset(term_ + 1);
    role_ = Role::kCandidate;
    vote_ = options_.self;
  }
  Message request{.kind = pre_vote ? MessageKind::kPreVoteRequest : MessageKind::kVoteRequest,
                  .transfer = campaign == Campaign::kTransfer,
                  .term = pre_vote ? term_ + 1 : term_,
                  .log_term = log_.last_term(),
                  .index = log_.last()};
  for (const auto& [member, progress] : membership_.progress) {
    if (member == options_.self || !membership_.configuration.votes(member)) continue;
    request.to = member;
    // After a crash nothing may be left of a candidacy that is not durable: the member could be a
    // candidate of the same term again, with a shorter log, and late votes would count for it.
    if (pre_vote || EVEN_MUTANT(kVoteAskedNotDurable)) {
      send(request);
    } else {
      send_when_durable(request);
    }
  }
  // The own vote counts when it is durable: see written(). A pre-vote binds nobody.
  if (pre_vote) count_vote(options_.self, true);
}

void Raft::count_vote(MemberId from, bool granted) {
  const auto recorded = std::find_if(votes_.begin(), votes_.end(),
                                     [from](const auto& vote) { return vote.first == from; });
  if (recorded != votes_.end()) return;
  votes_.emplace_back(from, granted);
  const Configuration& configuration = membership_.configuration;
  const auto vote = [this](MemberId member) -> std::optional<bool> {
    for (const auto& [voter, answer] : votes_) {
      if (voter == member) return answer;
    }
    return std::nullopt;
  };
  switch (EVEN_MUTANT(kJointTakesOneMajority)
              ? majority_vote(configuration.voters, vote)
              : joint_vote(configuration.voters, configuration.outgoing, vote)) {
    case VoteResult::kPending:
      break;
    case VoteResult::kLost:
      become_follower(term_, kNoMember);
      break;
    case VoteResult::kWon:
      if (role_ == Role::kPreCandidate) {
        begin_campaign(Campaign::kVote);
      } else {
        become_leader();
      }
      break;
  }
}

// Whoever hears from a leader does not let it be deposed by one that merely does not.
bool Raft::protects_leader(const Message& message) const {
  return options_.check_quorum && !message.transfer && leader_ != kNoMember &&
         election_elapsed_ < options_.election_ticks;
}

void Raft::handle_vote_request(const Message& message) {
  const bool pre_vote = message.kind == MessageKind::kPreVoteRequest;
  const bool free_to_vote = vote_ == message.from || (vote_ == kNoMember && leader_ == kNoMember) ||
                            (pre_vote && message.term > term_);
  const bool granted = free_to_vote && (log_.at_least_as_long(message.log_term, message.index) ||
                                        EVEN_MUTANT(kVotesForShorterLog));
  Message response{.kind = pre_vote ? MessageKind::kPreVoteResponse : MessageKind::kVoteResponse,
                   .to = message.from,
                   .term = message.term};
  if (!granted) make_rejection(response);
  if (pre_vote) {
    send(std::move(response));
    return;
  }
  if (granted) {
    election_elapsed_ = 0;
    vote_ = message.from;
  }
  if (EVEN_MUTANT(kVoteNotDurable)) {
    send(std::move(response));
  } else {
    send_when_durable(std::move(response));
  }
}

void Raft::make_rejection(Message& response) const {
  response.reject = true;
  response.term = term_;  // the candidate is to come up to it
  response.commit = log_.committed();
  response.log_term = log_.term(log_.committed()).value_or(0);
}

// Who has applied its own removal and nobody else knows that it is committed: its vote may be
// needed where the configuration of before is still in force, its log may be the longest, and it
// may not campaign. What it knows to be committed then lets the others apply the change and do
// without it.
void Raft::learn_commit(const Message& rejection) {
  if (role_ == Role::kLeader || rejection.commit <= log_.committed() || rejection.log_term == 0 ||
      !log_.matches(rejection.commit, rejection.log_term)) {
    return;
  }
  log_.commit(rejection.commit);
  bool changes = false;
  // A candidate is none any more if the configuration that it counts votes by is about to change.
  if (role_ != Role::kFollower && (!log_.configuration_changes_to_apply(changes) || changes)) {
    become_follower(term_, kNoMember);
  }
}

}  // namespace even::consensus
