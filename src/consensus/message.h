// What members of a group say to each other.
#pragma once

#include <vector>

#include "consensus/entry.h"

namespace even::consensus {

enum class MessageKind : std::uint8_t {
  kPreVoteRequest,     // would you vote for me in `term`? Binds neither side.
  kPreVoteResponse,    // `term`: the one asked for, or, if rejected, that of who rejects.
                       // A rejection also says what is committed: commit, log_term of that entry
  kVoteRequest,        // vote for me in `term`. My log ends with log_term, index. transfer.
  kVoteResponse,       // as kPreVoteResponse
  kAppendRequest,      // entries follow log_term, index; commit
  kAppendResponse,     // index: up to where we agree; or reject, index: what was refused,
                       // hint and log_term: where we may agree
  kHeartbeatRequest,   // commit; context: round of reads
  kHeartbeatResponse,  // context as in the request
  kSnapshotRequest,    // snapshot
  kTimeoutNow,         // campaign at once: leadership is handed over to you
  kReadRequest,        // from a follower, context: of the read
  kReadResponse,       // index to be applied before the read with this context; or reject
};

// Whether it answers a request of the log or of an election, which only members are sent.
constexpr bool answers(MessageKind kind) {
  return kind == MessageKind::kPreVoteResponse || kind == MessageKind::kVoteResponse ||
         kind == MessageKind::kAppendResponse || kind == MessageKind::kHeartbeatResponse;
}

// Plain data. Fields that a kind does not name are 0.
struct Message {
  MessageKind kind = MessageKind::kHeartbeatRequest;
  bool reject = false;
  bool transfer = false;  // of a vote request: the leader wants it, so do not protect the leader
  MemberId from = kNoMember;
  MemberId to = kNoMember;
  Term term = 0;  // of the sender; 0 in messages about reads, which need none
  Term log_term = 0;
  Index index = 0;
  Index commit = 0;
  Index hint = 0;
  std::uint64_t context = 0;
  std::vector<Entry> entries;
  SnapshotPointer snapshot;
};

}  // namespace even::consensus
