// Retention of a topic's partition: docs/topics.md, "Retention".
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/mutant.h"
#include "replica/group.h"

namespace even {
namespace {

// DeleteRecords leaves behind where the log can be cut, if there is so much.
constexpr std::uint64_t kWorthACheckpoint = 1 << 20;

}  // namespace

// The start follows from what has been applied before, and the entry.
std::string Group::apply_trim(const GroupProposal& proposal, const consensus::Entry& entry) {
  if (!topic_) return "-ERR records go in topics only\r\n";
  const VersionVector& vector = partition_.state.vector();
  const auto end = static_cast<std::int64_t>(vector[kTopicEnd]);
  const auto before = static_cast<std::int64_t>(vector[kTopicStart]);
  const std::int64_t now_ms = std::max(proposal.instant_ms, clock_ms());
  std::int64_t start = std::clamp(proposal.start, before, end);
  if (EVEN_MUTANT(kTrimByLocalClock)) {
    start = std::max(
        start, segments_.expired(retention_, start, vector[kTopicBytes], core_.clock.wall_ms()));
  }
  topic::Segments segments = segments_;
  if (proposal.checkpoint) {
    segments.add({entry.index, entry.term, end, vector[kTopicBytes], now_ms});
    checkpoint_due_ = true;
  }
  segments.start_at(start);
  if (segments != segments_ || start != before) {
    segments_ = std::move(segments);
    write_segments(start, now_ms, proposal.seed);
  }
  if (proposal.purge > vector[kTopicPurge] && proposal.purge < entry.index) {
    partition_.state.cover(Dot{kTopicPurge, proposal.purge});
    topic_->purged_to(proposal.purge);
  }
  if (start > 0) partition_.state.cover(Dot{kTopicStart, static_cast<std::uint64_t>(start)});
  topic_->keep_only(segments_);
  return fmt::format(":{}\r\n", start);
}

// The entry has been applied, and the configuration is that as of it.
void Group::take_checkpoint(consensus::Index index) {
  try {
    topic_->keep(index, {configuration_, ShardCore::encode_state(id(), partition_.state)});
  } catch (const Unreadable& error) {
    // Then the log does not begin behind this one here.
    core_.warn(
        fmt::format("group {}: no checkpoint as of entry {}: {}", id(), index, error.what()));
  }
}

std::expected<consensus::Proposed, consensus::Refusal> Group::propose_trim(std::int64_t start,
                                                                           bool checkpoint) {
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kTrim;
  proposal.start = start;
  proposal.checkpoint = checkpoint;
  auto proposed = propose(std::move(proposal));
  if (proposed) {
    trim_index_ = proposed->index;
    trim_term_ = proposed->term;
  }
  return proposed;
}

std::expected<consensus::Proposed, consensus::Refusal> Group::propose_deletion(std::int64_t start) {
  const VersionVector& vector = partition_.state.vector();
  const std::uint64_t last = segments_.all().empty() ? 0 : segments_.all().back().bytes;
  const std::uint64_t enough =
      std::max(kWorthACheckpoint, topic::kSegmentOfState * topic_->last_state_bytes());
  return propose_trim(start, vector[kTopicBytes] - last >= enough);
}

// Also one that is not applied: as long as this member leads, it gives others nothing that its
// successor would not.
void Group::note_purge(const consensus::Entry& entry) {
  if (!topic_ || entry.kind != consensus::EntryKind::kNormal || entry.data.empty()) return;
  constexpr auto kTrim = static_cast<char>(GroupProposal::Kind::kTrim);
  if (entry.data.view().front() != kTrim) return;
  const auto proposal = decode_proposal(entry.data.view());
  if (proposal && proposal->purge < entry.index) topic_->purged_to(proposal->purge);
}

// When all members have the tombstones that are to go: docs/topics.md, "Compaction".
void Group::propose_purge_of_tombstones() {
  const CleanPoint& clean = topic_->clean_point();
  const VersionVector& vector = partition_.state.vector();
  if (clean.horizon_ms == 0 || clean.index <= vector[kTopicPurge]) return;
  const bool all_have = std::ranges::all_of(raft_->progress(), [&](const auto& each) {
    return each.first == self_ || each.second.match >= clean.index;
  });
  if (!all_have) return;
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kTrim;
  proposal.start = static_cast<std::int64_t>(vector[kTopicStart]);
  proposal.purge = clean.index;
  if (const auto proposed = propose(std::move(proposal))) {
    trim_index_ = proposed->index;
    trim_term_ = proposed->term;
  }
}

void Group::retain(const topic::Retention& retention, bool compacts) {
  retention_ = retention;
  if (!topic_ || halted_ || !topic_status().leads || core_.log.error()) return;
  if (trim_term_ == raft_->term() && trim_index_ > applied()) return;
  if (compacts) propose_purge_of_tombstones();
  const VersionVector& vector = partition_.state.vector();
  const auto end = static_cast<std::int64_t>(vector[kTopicEnd]);
  const auto before = static_cast<std::int64_t>(vector[kTopicStart]);
  const std::uint64_t bytes = vector[kTopicBytes];
  const std::int64_t start = segments_.expired(retention, before, bytes, now_ms());
  const bool due = segments_.due(retention, end, bytes, now_ms(), topic_->last_state_bytes());
  if (start == before && !due) return;
  (void)propose_trim(start, due);
  if (EVEN_MUTANT(kTrimmedWhenProposed) && start > 0) {
    partition_.state.cover(Dot{kTopicStart, static_cast<std::uint64_t>(start)});
  }
}

// Who has been given a later state than the start is of may not have come to where that moved.
std::int64_t Group::log_start() const {
  const topic::Segment* first = segments_.at(topic_->first());
  return std::max(static_cast<std::int64_t>(partition_.state.vector()[kTopicStart]),
                  first == nullptr ? 0 : first->end);
}

std::uint64_t Group::retained_bytes() const {
  const VersionVector& vector = partition_.state.vector();
  const topic::Segment* below = segments_.below(static_cast<std::int64_t>(vector[kTopicStart]));
  return vector[kTopicBytes] - (below == nullptr ? 0 : below->bytes);
}

bool Group::may_trim() const {
  return topic_ && !halted_ &&
         topic_->may_trim(segments_,
                          static_cast<std::int64_t>(partition_.state.vector()[kTopicStart]));
}

#ifdef EVEN_MUTANTS
// What is there now, as if it were as of that entry.
std::string Group::late_state(consensus::Index index) {
  RecordDecoder decoder;
  const std::string bytes = ShardCore::encode_state(id(), partition_.state);
  const auto record = decoder.decode(bytes);
  VersionVector vector;
  for (const auto& entry : record->context.entries()) {
    if (entry.replica != kGroupIndex) vector.add(Dot{entry.replica, entry.seq});
  }
  vector.add(Dot{kGroupIndex, index});
  PartitionState late;
  late.join(record->delta, vector);
  return ShardCore::encode_state(id(), late);
}
#endif

// A topic's log begins behind a state that is kept: who has not got what the log has is given that.
consensus::SnapshotPointer Group::topic_snapshot() {
  const GroupBase::Topic& origin = topic_->origin();
  if (origin.founded.voters.empty()) return nullptr;
  if (sent_ && sent_->snapshot->index == origin.first && take_turn()) return sent_->snapshot;
  forget_snapshots();
  auto snapshot = std::make_shared<consensus::Snapshot>();
  snapshot->index = origin.first;
  snapshot->term = origin.first_term;
  snapshot->configuration = origin.founded;
  if (origin.first == GroupBase::Topic().first) {
    PartitionState state;
    state.cover(Dot{kGroupIndex, origin.first});
    snapshot->data = ShardCore::encode_state(id(), state);
    return snapshot;
  }
  auto state = topic_->first_state();
  if (!state) {
    core_.warn(
        fmt::format("group {}: a member cannot be given a state: {}", id(), state.error().message));
    return nullptr;
  }
#ifdef EVEN_MUTANTS
  if (EVEN_MUTANT(kCheckpointTooLate)) *state = late_state(origin.first);
#endif
  if (state->size() <= core_.options.piece_bytes) {
    snapshot->data = std::move(*state);
    return snapshot;
  }
  if (!take_turn()) return nullptr;
  const std::uint64_t checksum = hash64(*state);
  sent_ = {snapshot, std::make_shared<StateBytes>(std::move(*state)), checksum};
  return snapshot;
}

}  // namespace even
