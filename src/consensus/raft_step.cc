// Messages from peers: which of them can be right, what their term means, and who handles them.
#include <fmt/format.h>

#include "consensus/raft.h"

namespace even::consensus {
namespace {

bool about_reads(MessageKind kind) {
  return kind == MessageKind::kReadRequest || kind == MessageKind::kReadResponse;
}

bool from_leader(MessageKind kind) {
  return kind == MessageKind::kAppendRequest || kind == MessageKind::kHeartbeatRequest ||
         kind == MessageKind::kSnapshotRequest;
}

Result<> check_entries(const Message& message) {
  Index index = message.index;
  Term term = message.log_term;
  for (const Entry& entry : message.entries) {
    if (entry.index != ++index) return fail("entries do not follow each other");
    if (entry.term < term || entry.term > message.term || entry.term == 0) {
      return fail("terms of entries are out of order");
    }
    if (entry.kind > EntryKind::kEmpty) return fail("unknown kind of entry");
    term = entry.term;
  }
  if (index > kMaxNumber) return fail("an index is too large");
  return {};
}

Result<> check_snapshot(const Message& message) {
  if (!message.snapshot) return fail("a snapshot is missing");
  const Snapshot& snapshot = *message.snapshot;
  if (snapshot.index == 0 || snapshot.index > kMaxNumber || snapshot.term == 0 ||
      snapshot.term > message.term) {
    return fail("a snapshot is of no possible index or term");
  }
  if (!valid(snapshot.configuration) || snapshot.configuration.voters.empty()) {
    return fail("a snapshot has no valid configuration");
  }
  return {};
}

}  // namespace

Result<> Raft::step(Message message) {
  if (Result<> checked = check(message); !checked) return checked;
  // Whom we have asked may be a member no longer: the change that made it one has been replaced.
  if (answers(message.kind) && membership_.progress.find(message.from) == nullptr) return {};
  if (!about_reads(message.kind) && !settle_term(message)) return {};
  return dispatch(message);
}

Result<> Raft::check(const Message& message) const {
  if (message.kind > MessageKind::kReadResponse) return fail("unknown kind of message");
  if (message.to != options_.self) return fail(fmt::format("a message to member {}", message.to));
  if (message.from == options_.self || message.from == kNoMember) {
    return fail(fmt::format("a message from member {}", message.from));
  }
  if ((message.term == 0) != about_reads(message.kind)) return fail("a message without a term");
  for (const std::uint64_t number :
       {message.term, message.log_term, message.index, message.commit, message.hint}) {
    if (number > kMaxNumber) return fail("a term or an index is too large");
  }
  if (!message.entries.empty() && message.kind != MessageKind::kAppendRequest) {
    return fail("entries in a message that has none");
  }
  if (message.snapshot && message.kind != MessageKind::kSnapshotRequest) {
    return fail("a snapshot in a message that has none");
  }
  if (message.kind == MessageKind::kAppendRequest) return check_entries(message);
  if (message.kind == MessageKind::kSnapshotRequest) return check_snapshot(message);
  return {};
}

// False if the message is of no more interest.
bool Raft::settle_term(const Message& message) {
  if (message.term > term_) {
    const bool request =
        message.kind == MessageKind::kVoteRequest || message.kind == MessageKind::kPreVoteRequest;
    if (request && protects_leader(message)) return false;
    // A pre-vote is about a term that has not begun.
    const bool about_next = message.kind == MessageKind::kPreVoteRequest ||
                            (message.kind == MessageKind::kPreVoteResponse && !message.reject);
    if (!about_next) {
      become_follower(message.term, from_leader(message.kind) ? message.from : kNoMember);
    }
    return true;
  }
  if (message.term == term_) return true;
  if (from_leader(message.kind) && message.kind != MessageKind::kSnapshotRequest &&
      (options_.check_quorum || options_.pre_vote)) {
    // A leader of an earlier term may be unable to depose us, who do not campaign without need, nor
    // we it. To learn of our term makes it step down.
    send_when_durable({.kind = MessageKind::kAppendResponse, .to = message.from});
  } else if (message.kind == MessageKind::kPreVoteRequest ||
             message.kind == MessageKind::kVoteRequest) {
    // Else a candidate could stay behind the terms of one that cannot be elected.
    Message response{.kind = message.kind == MessageKind::kPreVoteRequest
                                 ? MessageKind::kPreVoteResponse
                                 : MessageKind::kVoteResponse,
                     .to = message.from};
    make_rejection(response);
    send(std::move(response));
  }
  return false;
}

Result<> Raft::dispatch(Message& message) {
  if (from_leader(message.kind)) {
    if (role_ == Role::kLeader || (leader_ != kNoMember && leader_ != message.from)) {
      return fail(fmt::format("member {} claims to lead in term {}, as does {}", message.from,
                              term_, leader_));
    }
    if (role_ != Role::kFollower) become_follower(term_, message.from);
    election_elapsed_ = 0;
    leader_ = message.from;
  }
  switch (message.kind) {
    case MessageKind::kPreVoteRequest:
    case MessageKind::kVoteRequest:
      handle_vote_request(message);
      return {};
    case MessageKind::kPreVoteResponse:
      if (message.reject) learn_commit(message);
      if (role_ == Role::kPreCandidate) count_vote(message.from, !message.reject);
      return {};
    case MessageKind::kVoteResponse:
      if (message.reject) learn_commit(message);
      if (role_ == Role::kCandidate) count_vote(message.from, !message.reject);
      return {};
    case MessageKind::kAppendRequest:
      handle_append_request(message);
      return {};
    case MessageKind::kHeartbeatRequest:
      return handle_heartbeat_request(message);
    case MessageKind::kSnapshotRequest:
      handle_snapshot_request(message);
      return {};
    case MessageKind::kAppendResponse:
      return role_ == Role::kLeader ? handle_append_response(message) : Result<>{};
    case MessageKind::kHeartbeatResponse:
      if (role_ == Role::kLeader) handle_heartbeat_response(message);
      return {};
    case MessageKind::kTimeoutNow:
      if (role_ == Role::kFollower) start_campaign(Campaign::kTransfer);
      return {};
    case MessageKind::kReadRequest:
      handle_read_request(message);
      return {};
    case MessageKind::kReadResponse:
      if (message.reject) {
        refused_reads_.push_back(message.context);
      } else {
        released_.push_back({message.context, message.index});
      }
      return {};
  }
  return {};
}

}  // namespace even::consensus
