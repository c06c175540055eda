// What a leader does for its followers: thesis sections 3.5, 3.6.2 (commitment), 6.2 (quorum).
#include <fmt/format.h>

#include "base/check.h"
#include "base/mutant.h"
#include "consensus/raft.h"

namespace even::consensus {

void Raft::replicate() {
  if (!std::exchange(replicate_wanted_, false) || role_ != Role::kLeader) return;
  for (auto& [member, progress] : membership_.progress) {
    if (member == options_.self) continue;
    try_send_append(member, progress, progress.sent_commit < log_.committed());
    while (try_send_append(member, progress, false)) {
    }
  }
}

// False if there was nothing to send, or nothing may be sent now.
bool Raft::try_send_append(MemberId to, Progress& progress, bool if_empty) {
  if (progress.waits()) return false;
  const Index before = progress.next - 1;
  const std::optional<Term> before_term = log_.term(before);
  if (!before_term) return try_send_snapshot(to, progress);
  std::vector<Entry> entries;
  const bool room =
      progress.state == ProgressState::kProbe || !progress.inflight.full(options_.inflight);
  if (room && !log_.gives(progress.next)) return false;
  if (room && !log_.entries(progress.next, options_.max_message_bytes, entries)) {
    return progress.next < log_.first() && try_send_snapshot(to, progress);
  }
  if (entries.empty() && !if_empty) return false;
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.bytes();
  progress.sent_entries(entries.size(), bytes, options_.inflight);
  progress.sent_commit = log_.committed();
  send({.kind = MessageKind::kAppendRequest,
        .to = to,
        .log_term = *before_term,
        .index = before,
        .commit = log_.committed(),
        .entries = std::move(entries)});
  return true;
}

bool Raft::try_send_snapshot(MemberId to, Progress& progress) {
  if (!progress.recently_active) return false;  // it would be lost most likely
  SnapshotPointer snapshot = log_.snapshot();
  if (!snapshot || snapshot->index + 1 < log_.first()) return false;
  progress.await_snapshot(snapshot->index);
  send({.kind = MessageKind::kSnapshotRequest, .to = to, .snapshot = std::move(snapshot)});
  return true;
}

void Raft::send_heartbeats(Recipients recipients) {
  for (auto& [member, progress] : membership_.progress) {
    if (member == options_.self) continue;
    if (recipients == Recipients::kVoters && !membership_.configuration.votes(member)) continue;
    // Not beyond what it is known to have: it might have other entries there.
    const Index commit = std::min(progress.match, log_.committed());
    progress.sent_commit = commit;
    send({.kind = MessageKind::kHeartbeatRequest,
          .to = member,
          .commit = commit,
          .context = reads_.newest_round()});
  }
}

void Raft::check_quorum() {
  if (membership_.active() != VoteResult::kWon) {
    become_follower(term_, kNoMember);
    return;
  }
  for (auto& [member, progress] : membership_.progress) {
    progress.recently_active = member == options_.self;
  }
}

// By counting, only entries of the own term are committed, and with them all before: an earlier
// one may be on a majority and still be replaced (thesis, section 3.6.2).
void Raft::advance_commit() {
  const Index index = membership_.committed();
  if (index <= log_.committed()) return;
  if (!log_.matches(index, term_) && !EVEN_MUTANT(kEarlierTermCommitted)) return;
  if (log_.commit(index)) replicate_wanted_ = true;
}

void Raft::acknowledge_own() {
  Progress* own = membership_.progress.find(options_.self);
  if (own != nullptr && own->acknowledge(log_.durable())) advance_commit();
}

Result<> Raft::handle_append_response(const Message& message) {
  Progress* progress = membership_.progress.find(message.from);
  progress->recently_active = true;
  if (message.reject) {
    Index hint = message.hint;
    // It knows an entry of that term there: ours of that term or earlier may be the same.
    if (message.log_term > 0) hint = log_.agreement(hint, message.log_term).index;
    if (progress->refuse(message.index, hint)) {
      if (progress->state == ProgressState::kReplicate) progress->probe();
      try_send_append(message.from, *progress, true);
    }
    return {};
  }
  if (message.index > log_.last()) {
    return fail(fmt::format("member {} acknowledges entry {} of {}", message.from, message.index,
                            log_.last()));
  }
  const bool news = progress->acknowledge(message.index);
  if (!news && (progress->match != message.index || progress->state != ProgressState::kProbe)) {
    return {};
  }
  switch (progress->state) {
    case ProgressState::kProbe:
      progress->replicate();
      break;
    case ProgressState::kSnapshot:
      // It may have got there another way than by the snapshot that it was sent.
      if (progress->match + 1 >= log_.first()) {
        progress->probe();
        progress->replicate();
      }
      break;
    case ProgressState::kReplicate:
      progress->inflight.free_to(message.index);
      break;
  }
  advance_commit();
  if (!replicate_wanted_) {
    if (progress->lacks_commit(log_.committed())) try_send_append(message.from, *progress, true);
    while (try_send_append(message.from, *progress, false)) {
    }
  }
  if (message.from == transferee_ && progress->match == log_.last()) {
    send({.kind = MessageKind::kTimeoutNow, .to = message.from});
  }
  return {};
}

void Raft::handle_heartbeat_response(const Message& message) {
  Progress* progress = membership_.progress.find(message.from);
  progress->recently_active = true;
  progress->paused = false;
  if (progress->match < log_.last() || progress->state == ProgressState::kProbe) {
    try_send_append(message.from, *progress, true);
  }
  if (message.context > progress->read_round && message.context <= reads_.newest_round()) {
    progress->read_round = message.context;
    release_reads();
  }
}

void Raft::report_unreachable(MemberId member) {
  Progress* progress = membership_.progress.find(member);
  if (role_ == Role::kLeader && progress != nullptr &&
      progress->state == ProgressState::kReplicate) {
    progress->probe();
  }
}

void Raft::report_snapshot(MemberId member, bool has_arrived) {
  Progress* progress = membership_.progress.find(member);
  if (role_ != Role::kLeader || progress == nullptr ||
      progress->state != ProgressState::kSnapshot) {
    return;
  }
  if (!has_arrived) progress->pending_snapshot = 0;
  progress->probe();
  // Its acknowledgement is on the way, or it needs time: no message before the next heartbeat.
  progress->paused = true;
}

MemberId Raft::best_successor() const {
  MemberId best = kNoMember;
  if (role_ != Role::kLeader) return best;
  Index most = 0;
  for (const auto& [member, progress] : membership_.progress) {
    if (member == options_.self || !progress.recently_active || progress.match < most ||
        !contains(membership_.configuration.voters, member)) {
      continue;
    }
    best = member;
    most = progress.match;
  }
  return best;
}

std::expected<void, Refusal> Raft::transfer_leadership(MemberId member) {
  if (role_ != Role::kLeader) return std::unexpected(not_leader());
  if (!membership_.configuration.votes(member)) return std::unexpected(Refusal::kNotVoter);
  if (member == options_.self || member == transferee_) return {};
  election_elapsed_ = 0;
  transferee_ = member;
  Progress* progress = membership_.progress.find(member);
  if (progress->match == log_.last()) {
    send({.kind = MessageKind::kTimeoutNow, .to = member});
  } else {
    try_send_append(member, *progress, true);
  }
  return {};
}

}  // namespace even::consensus
