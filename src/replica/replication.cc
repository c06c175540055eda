#include "replica/replication.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "replica/group_format.h"
#include "replica/peer_message.h"

namespace even {
namespace {

constexpr std::int64_t kRepairIntervalUs = 100'000;
constexpr std::int64_t kNoProgressUs =
    400'000;  // behind for so long without progress: fill the gap
constexpr std::int64_t kFullReportIntervalUs = 1'000'000;
constexpr std::int64_t kCollectIntervalUs = 500'000;
constexpr std::int64_t kFoldIntervalUs = 200'000;
constexpr std::size_t kFoldedAtOnce = 16;  // partitions
// How soon a log that could not be read is read again: damage stays, but what a failed sync has
// left is written anew.
constexpr std::int64_t kLogRetryUs = 200'000;
// A message is taken for lost when nothing has been acknowledged for so long, plus the time that it
// takes at the speed of a slow link. What is only on its way must not be sent again: it would make
// the link slower still.
constexpr std::int64_t kAckTimeoutUs = 2'000'000;
constexpr std::int64_t kSlowLinkUsPerByte = 4;  // 250 kB/s
constexpr int kMaxBackoff = 5;                  // doublings of the timeout, while nothing helps
constexpr std::int64_t kMarkIntervalUs = 1'000;
constexpr std::size_t kMaxMarks = 4096;
// A message holds so much of the log, which takes its receiver a few milliseconds, and of such
// messages one peer is sent about so much at a time: clients wait meanwhile.
constexpr std::uint64_t kLogReadBytes = 64 << 10;
constexpr std::uint64_t kPumpedBytes = 512 << 10;
// When more than that has been sent in the end of a turn, no further peer is sent to in it.
constexpr std::uint64_t kTurnBytes = 2 << 20;
// Records that are held back for one peer, in all; and how much of a message must have been held
// for it to be compressed.
constexpr std::uint64_t kHeldBytes = 1 << 20;
constexpr std::size_t kCompressedBytes = 256;
// A peer that was asked for a state has so long until another one is asked.
constexpr std::int64_t kAskIntervalUs = 5'000'000;
// How long others have to put right what is wrong here before it is given away as it is.
constexpr std::int64_t kWithheldUs = 600'000'000;

}  // namespace

Replication::Replication(ShardCore& core, Transport& transport)
    : core_(core), transport_(transport) {
  for (const auto& partition : core_.partitions()) {
    for (const NodeNumber node : partition->replicas) {
      if (node == core_.options.node) continue;
      auto& peer = peers_[node];
      if (!peer) {
        peer = std::make_unique<Peer>();
        peer->node = node;
        peer->delay_histogram.resize(std::size(ShardStats::kLagBucketsUs) + 1);
      }
      peer->shared[partition->id];
    }
  }
  core_.send_held = [this](PartitionId partition) { send_held(partition); };
  core_.on_joined = [this](const RecordHead& head) {
    const auto peer = peers_.find(head.dot.replica.node());
    if (peer == peers_.end()) return;
    const std::int64_t delay_ms = core_.clock.wall_ms() - head.time.wall_ms();
    const std::int64_t delay_us = std::max<std::int64_t>(delay_ms, 0) * 1000;
    peer->second->delays_below_zero += delay_ms < 0 ? 1 : 0;
    const auto bucket = std::lower_bound(std::begin(ShardStats::kLagBucketsUs),
                                         std::end(ShardStats::kLagBucketsUs), delay_us) -
                        std::begin(ShardStats::kLagBucketsUs);
    ++peer->second->delay_histogram[static_cast<std::size_t>(bucket)];
    peer->second->delay_sum_seconds += static_cast<double>(delay_us) / 1e6;
  };
}

void Replication::link_up(ReplicaId replica, bool inflates) {
  const auto peer = peers_.find(replica.node());
  if (peer == peers_.end()) return;    // no partition in common
  core_.drop_pending_before(replica);  // before the report that the peer goes by
  peer->second->runs.link(replica);
  peer->second->begin_session(inflates);
  peer->second->cursor = core_.log.end();
  send_report(*peer->second, true);
}

void Replication::link_down(NodeNumber node) {
  const auto peer = peers_.find(node);
  if (peer == peers_.end()) return;
  peer->second->up = false;
  // The next session begins with what the peer then says to have.
  peer->second->held.clear();
}

Result<> Replication::receive(NodeNumber node, std::string_view message) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return fail("a message from a node that shares no partition");
  Peer& peer = *found->second;
  if (!peer.up) return {};
  const auto decoded = decode_peer_message(message);
  if (!decoded) return std::unexpected(decoded.error());
  if (const auto* report = std::get_if<ReportMessage>(&*decoded)) {
    return on_report(peer, *report);
  }
  if (const auto* records = std::get_if<RecordsMessage>(&*decoded))
    return on_records(peer, *records);
  if (const auto* offer = std::get_if<SnapshotOffer>(&*decoded)) return on_offer(peer, *offer);
  if (const auto* piece = std::get_if<SnapshotPiece>(&*decoded)) return on_piece(peer, *piece);
  if (const auto* progress = std::get_if<SnapshotProgress>(&*decoded)) {
    on_progress(peer, *progress);
    return {};
  }
  if (!is_of_replication(message)) return fail("a message that is not about replication");
  on_ack(peer, std::get<AckMessage>(*decoded));
  return {};
}

// --- What the peer holds
// --------------------------------------------------------------------------------

bool Replication::lacks_own(const VersionVector& vector, const VersionVector& have) const {
  return std::any_of(have.entries().begin(), have.entries().end(), [&](const Dot& dot) {
    return dot.replica.node() == core_.options.node && !vector.covers(dot);
  });
}

bool Replication::lacks_to_send(const Peer::Shared& shared, const VersionVector& have) const {
  return shared.relay ? !shared.sent.covers(have) : lacks_own(shared.sent, have);
}

Result<> Replication::on_report(Peer& peer, const ReportMessage& report) {
  const bool first = !peer.reported && report.complete;
  if (first) peer.runs.reported = peer.runs.linked;
  peer.runs.of_others.clear();
  for (const ReplicaId run : report.runs) peer.runs.of_others.insert_or_assign(run.node(), run);
  const std::int64_t now_us = core_.clock.monotonic_us();
  for (const auto& theirs : report.partitions) {
    const auto shared = peer.shared.find(theirs.partition);
    Partition* partition = core_.find(theirs.partition);
    if (shared == peer.shared.end() || partition == nullptr) continue;
    Peer::Shared& state = shared->second;
    // An earlier image of this node's disk has been put back, and its clock is wrong.
    const std::uint64_t made = theirs.vector[core_.self];
    if (made > partition->state.vector()[core_.self] && !partition->rows->closed() &&
        !EVEN_MUTANT(kReuseReplicaId)) {
      return fail(
          fmt::format("it has more of partition {} from this run of the node ({}) than this "
                      "run has made: is the clock right?",
                      theirs.partition, core_.self.to_string()));
    }
    if (first) {
      // It may hold less than it once said: it may have lost the end of its log.
      state.acked = theirs.vector;
      state.sent = theirs.vector;
      state.heard = true;
      state.told.reset();
      partition->residue_cut.reset();
    } else {
      state.acked.merge(theirs.vector);
      state.sent.merge(theirs.vector);
    }
    state.damaged = theirs.condition != ReportMessage::Partition::Condition::kWhole;
    // What a damaged one had seen is more than it can say.
    if (!state.damaged) {
      if (!state.told) state.told = {report.clock_ms, theirs.vector};
      state.hear(partition->state.vector());
    }
    if (theirs.condition == ReportMessage::Partition::Condition::kWantsState &&
        !partition->damaged() && !peer.is_sent(theirs.partition) &&
        (state.state_sent_us == 0 || now_us - state.state_sent_us >= kAskIntervalUs)) {
      state.state_sent_us = now_us;
      peer.want_snapshot(theirs.partition, true);
      continue;
    }
    if (!state.damaged && state.acked.covers(partition->state.vector())) {
      state.relay = false;
      peer.want_snapshot(theirs.partition, false);
    }
    if (!state.damaged && peer.is_sent(theirs.partition) &&
        state.acked.covers(peer.outgoing->vector())) {
      peer.outgoing.reset();
    }
    if (!state.damaged && !partition->damaged()) compare_digest(peer, *partition, theirs);
  }
  if (!first) return {};
  peer.reported = true;
  // It is sent what the log has, also what is held back for others.
  send_all_held();
  resume_snapshot(peer);
  for (auto& [id, shared] : peer.shared) {
    const Partition& partition = core_.at(id);
    if (shared.damaged) continue;
    peer.want_snapshot(id, lacks_own(shared.sent, partition.floor));
  }
  rewind(peer);
  return {};
}

void Replication::compare_digest(const Peer& peer, const Partition& partition,
                                 const ReportMessage::Partition& theirs) {
  if (theirs.vector != partition.state.vector()) return;
  ++core_.stats.digest_comparisons;
  if (theirs.digest == partition.state.digest()) return;
  ++core_.stats.digest_mismatches;
  core_.warn(fmt::format(
      "partition {} differs from node {}'s although both have seen the same ({}): digest {:016x} "
      "here, {:016x} there",
      partition.id, peer.node, theirs.vector.to_string(), partition.state.digest(), theirs.digest));
  if (core_.on_differs) core_.on_differs(partition.id);
}

void Replication::rewind(Peer& peer) {
  const LogPosition end = core_.log.end();
  peer.cursor = core_.index.find(
      [&](const LogIndex::Reach& reach) {
        return std::any_of(reach.begin(), reach.end(), [&](const auto& entry) {
          const auto shared = peer.shared.find(entry.first);
          return shared != peer.shared.end() && lacks_to_send(shared->second, entry.second);
        });
      },
      end);
  // The index also knows of records that are still in the buffer.
  peer.cursor = std::min(peer.cursor, end);
}

bool Replication::everywhere(PartitionId partition, const VersionVector& reach) const {
  for (const NodeNumber node : core_.at(partition).replicas) {
    if (node == core_.options.node) continue;
    if (!peers_.at(node)->shared.at(partition).acked.covers(reach)) return false;
  }
  return true;
}

// Of these reports, one may be of a run that is over, while who made another has told the next run
// that it is complete: what that lacks would be taken for what it has. See docs/causality.md.
bool Replication::reports_agree(const Partition& partition) const {
  if (EVEN_MUTANT(kStaleRunCounts)) return true;
  for (const NodeNumber node : partition.replicas) {
    if (node == core_.options.node) continue;
    const Peer::Runs& runs = peers_.at(node)->runs;
    if (!runs.reported) return false;
    for (const NodeNumber witness : partition.replicas) {
      if (witness == node || witness == core_.options.node) continue;
      const auto& said = peers_.at(witness)->runs.of_others;
      const auto run = said.find(node);
      if (run == said.end() || !runs.is_past(run->second)) return false;
    }
  }
  return true;
}

VersionVector Replication::everywhere(const Partition& partition) const {
  // What was everywhere once, stays so.
  VersionVector& known = everywhere_[partition.id];
  if (!reports_agree(partition)) return known;
  VersionVector all = partition.state.vector();
  for (const NodeNumber node : partition.replicas) {
    if (node != core_.options.node) all.meet(peers_.at(node)->shared.at(partition.id).acked);
  }
  known.merge(all);
  return known;
}

const VersionVector* Replication::reported(NodeNumber node, PartitionId partition) const {
  const auto peer = peers_.find(node);
  if (peer == peers_.end() || !peer->second->up || !peer->second->reported) return nullptr;
  const auto shared = peer->second->shared.find(partition);
  if (shared == peer->second->shared.end() || shared->second.damaged) return nullptr;
  return &shared->second.acked;
}

std::int64_t Replication::heard_until_ms(const Partition& partition, std::int64_t now_ms) const {
  std::int64_t until_ms = now_ms;
  for (const NodeNumber node : partition.replicas) {
    if (node == core_.options.node) continue;
    Peer::Shared& shared = peers_.at(node)->shared.at(partition.id);
    shared.hear(partition.state.vector());
    until_ms = std::min(until_ms, shared.heard_ms);
  }
  return until_ms;
}

void Replication::log_trimmed() {
  for (auto& [node, peer] : peers_) {
    if (peer->cursor >= core_.log.begin()) continue;
    peer->cursor = core_.log.begin();
    for (auto& [id, shared] : peer->shared) {
      if (lacks_own(shared.sent, core_.at(id).floor)) peer->want_snapshot(id, true);
    }
  }
}

// --- Sending
// --------------------------------------------------------------------------------------------

void Replication::send(Peer& peer, std::uint64_t number, std::string message) {
  peer.in_flight.push_back({number, message.size(), core_.clock.monotonic_us()});
  peer.bytes_in_flight += message.size();
  sent_in_turn_ += message.size();
  transport_.send(peer.node, std::move(message));
}

void Replication::send(Peer& peer, RecordsBuilder& batch, std::size_t held) {
  const bool compressed = peer.inflates && held >= kCompressedBytes;
  const std::uint64_t number = peer.next_number++;
  send(peer, number, compressed ? batch.take_compressed() : batch.take());
}

void Replication::send_held(PartitionId partition) {
  if (EVEN_MUTANT(kQuestionSendsNothing)) return;
  // With what this turn has made.
  Partition* own = core_.find(partition);
  if (own == nullptr || !core_.keyspaces->any_delayed()) return;
  core_.close(*own);
  own->report_due = true;
  let_go(absl::btree_set<PartitionId>{partition});
}

// Nor is what peers have not been given the chance to be sent held back of these.
void Replication::let_go(const absl::btree_set<PartitionId>& partitions) {
  if (!core_.lazy.empty()) {
    for (const PartitionId partition : partitions) core_.lazy.note_prompt(partition);
  }
  if (held_due_us_ != HeldRecords::kNever) send_held(partitions);
}

// To all peers: so what one of them may have passed on, in what it has made since, is on its way to
// the others.
void Replication::send_held(const absl::btree_set<PartitionId>& partitions) {
  held_due_us_ = HeldRecords::kNever;
  for (const PartitionId partition : partitions) core_.at(partition).report_due = true;
  for (auto& [node, peer] : peers_) {
    RecordsBuilder batch(peer->next_number);
    std::size_t held = 0;
    for (const PartitionId partition : partitions) held += peer->held.move_to(batch, partition);
    if (!batch.empty()) send(*peer, batch, held);
    held_due_us_ = std::min(held_due_us_, peer->held.due_us());
  }
}

void Replication::send_due() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (held_due_us_ > now_us) return;
  absl::btree_set<PartitionId> due;
  for (const auto& [node, peer] : peers_) peer->held.add_due(now_us, due);
  send_held(due);
}

void Replication::send_all_held() {
  core_.lazy.clear();
  absl::btree_set<PartitionId> all;
  for (const auto& [node, peer] : peers_) peer->held.add_all(all);
  if (!all.empty()) send_held(all);
}

void Replication::stop_holding() {
  holds_ = false;
  send_all_held();
}

bool Replication::sending_held() const {
  return !holds_ && core_.keyspaces->any_delayed() &&
         std::ranges::any_of(peers_, [](const auto& each) {
           return each.second->up && !each.second->in_flight.empty();
         });
}

void Replication::on_ack(Peer& peer, const AckMessage& message) {
  if (!peer.in_flight.empty() && peer.in_flight.front().number <= message.number) {
    peer.acked_us = core_.clock.monotonic_us();
    peer.timeouts = 0;
  }
  while (!peer.in_flight.empty() && peer.in_flight.front().number <= message.number) {
    peer.bytes_in_flight -= peer.in_flight.front().bytes;
    peer.in_flight.pop_front();
  }
  pump(peer);
}

void Replication::pump(Peer& peer) {
  if (!peer.up || !peer.reported) return;
  const std::uint64_t enough =
      std::min(core_.options.window_bytes, peer.bytes_in_flight + kPumpedBytes);
  while (peer.bytes_in_flight < enough) {
    if (pump_snapshot(peer)) continue;
    if (peer.outgoing && core_.log.durable() < peer.durable_first) return;
    // What the log has would come too early for a peer that lacks the snapshot.
    if (peer.outgoing && peer.outgoing->asking()) return;
    if (!pump_records(peer)) return;
  }
  has_more_ = has_more_ || enough < core_.options.window_bytes;
}

bool Replication::begin_snapshot(Peer& peer) {
  while (!peer.snapshots_wanted.empty()) {
    const PartitionId id = *peer.snapshots_wanted.begin();
    peer.snapshots_wanted.erase(id);
    Partition& partition = core_.at(id);
    // What the state has, the others are to have as well.
    peer.held.drop(id);
    let_go({id});
    std::string bytes;
    try {
      if (!may_give_state(partition)) continue;
      bytes = ShardCore::encode_state(id, partition.state);
    } catch (const Unreadable&) {
      continue;  // another replica has to give it
    }
    peer.outgoing.emplace(id, std::move(bytes), partition.state.vector(), peer.next_number,
                          core_.clock.monotonic_us());
    peer.durable_first = core_.log.barrier();
    // What comes after it goes from the log.
    peer.shared.at(id).sent.merge(partition.state.vector());
    return true;
  }
  return false;
}

// Under the snapshot's vector, what is missing in it that no record has removed would be removed
// where it arrives.
bool Replication::may_give_state(Partition& partition) {
  if (EVEN_MUTANT(kGivesWhatIsWrong)) return true;
  if (!partition.suspect_since_us && core_.adds_up(partition, partition.state.content_digest())) {
    return true;
  }
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (core_.on_differs) core_.on_differs(partition.id);
  if (now_us - *partition.suspect_since_us < kWithheldUs) return false;
  core_.warn(fmt::format(
      "partition {}: a peer is given a state of which something is not what its records have put "
      "there, as no other replica has put it right",
      partition.id));
  return true;
}

void Replication::resume_snapshot(Peer& peer) {
  if (!peer.outgoing) return;
  const OutgoingSnapshot& snapshot = *peer.outgoing;
  Peer::Shared& shared = peer.shared.at(snapshot.partition());
  const VersionVector& floor = core_.at(snapshot.partition()).floor;
  const bool needed = shared.damaged || !shared.acked.covers(floor);
  if (needed && snapshot.vector().covers(floor)) {
    shared.sent.merge(snapshot.vector());
  } else {
    peer.outgoing.reset();
  }
}

bool Replication::pump_snapshot(Peer& peer) {
  if (!peer.outgoing && !begin_snapshot(peer)) return false;
  OutgoingSnapshot& snapshot = *peer.outgoing;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (!durable(peer.durable_first)) return false;
  // One that fits in a piece needs no more care than records do: there is no going on with a part.
  const bool single = snapshot.bytes() <= core_.options.piece_bytes;
  if (!single && (snapshot.asking() || snapshot.all_sent())) {
    if (!snapshot.offer_due(now_us) || !peer.arrived(snapshot.last_number())) return false;
    const std::uint64_t number = peer.next_number++;
    send(peer, number, snapshot.offer(number, now_us));
    return true;
  }
  const std::uint64_t number = peer.next_number++;
  std::string piece = snapshot.next_piece(number, core_.options.piece_bytes, now_us);
  ++core_.stats.snapshot_pieces_sent;
  core_.stats.snapshot_bytes_sent += piece.size();
  send(peer, number, std::move(piece));
  if (single) peer.outgoing.reset();
  return true;
}

void Replication::on_progress(Peer& peer, const SnapshotProgress& progress) {
  if (!peer.outgoing) return;
  using Heard = OutgoingSnapshot::Heard;
  const PartitionId partition = peer.outgoing->partition();
  switch (peer.outgoing->hear(progress, peer.next_number, core_.clock.monotonic_us())) {
    case Heard::kNothing:
      return;
    case Heard::kGoOn:
      if (progress.have > 0) ++core_.stats.snapshots_resumed;
      break;
    case Heard::kLost:
      // The peer began anew, or what came there was not this. A state of now is of more use to it.
      peer.want_snapshot(partition, true);
      peer.outgoing.reset();
      break;
    case Heard::kAllThere:
      peer.outgoing.reset();
      break;
  }
  pump(peer);
}

bool Replication::durable(LogPosition position) {
  if (core_.log.durable() >= position) return true;
  if (!core_.log.error()) core_.log.sync();
  return false;
}

bool Replication::pump_records(Peer& peer, bool before_sync) {
  if (peer.cursor >= core_.log.end()) return false;
  if (peer.log_retry_us != 0 && core_.clock.monotonic_us() < peer.log_retry_us) return false;
  RecordsBuilder batch(peer.next_number);
  std::size_t held = 0;  // of the batch
  const std::int64_t now_us = core_.lazy.empty() ? 0 : core_.clock.monotonic_us();
  // What this run has not made itself is not passed on before it is durable here: see
  // docs/folding.md. It is passed over, as it mostly comes from its maker; if not, that is a gap.
  const LogPosition durable = core_.log.durable();
  std::optional<LogPosition> waits;  // at what will be durable soon
  const auto next =
      core_.log.read(peer.cursor, kLogReadBytes, [&](LogPosition frame, std::string_view bytes) {
        if (waits || is_group_log_entry(bytes)) return;
        const auto head = decode_record_head(bytes);
        EVEN_CHECK(head.has_value(), "a record in the log has a head");
        const auto found = peer.shared.find(head->partition);
        if (found == peer.shared.end() || head->dot.seq == 0) return;
        Peer::Shared& shared = found->second;
        if (!shared.relay && head->dot.replica.node() != core_.options.node) return;
        if (shared.damaged || shared.sent.covers(head->dot)) return;
        if (head->dot.replica != core_.self && frame >= durable) {
          if (before_sync) waits = frame;
          return;
        }
        shared.sent.add(head->dot);
        if (!core_.lazy.empty() && holds_ && head->dot.replica == core_.self) {
          if (const auto delay_ms = core_.lazy.delay_ms(head->partition, head->dot.seq)) {
            return peer.held.add(head->partition, head->dot.seq, bytes, now_us, *delay_ms);
          }
        }
        if (!peer.held.empty() && !EVEN_MUTANT(kOvertakesHeld)) {
          held += peer.held.move_to(batch, head->partition);
        }
        batch.add(bytes);
      });
  if (!next) {
    if (peer.log_retry_us == 0) {
      core_.warn(
          fmt::format("cannot read the log for node {}: {}", peer.node, next.error().message));
    }
    peer.log_retry_us = core_.clock.monotonic_us() + kLogRetryUs;
    return false;
  }
  peer.log_retry_us = 0;
  peer.cursor = waits.value_or(*next);
  if (!batch.empty()) send(peer, batch, held);
  held_due_us_ = std::min(held_due_us_, peer.held.due_us());
  if (peer.held.bytes() > kHeldBytes) {
    absl::btree_set<PartitionId> all;
    peer.held.add_all(all);
    let_go(all);
  }
  return true;
}

void Replication::send_before_sync() {
  sent_in_turn_ = 0;
  for (auto& [node, peer] : peers_) {
    if (sent_in_turn_ > kTurnBytes) break;
    const bool gives_states = peer->outgoing || !peer->snapshots_wanted.empty();
    if (!peer->up || !peer->reported || gives_states) continue;
    if (peer->bytes_in_flight < core_.options.window_bytes) pump_records(*peer, true);
  }
  transport_.flush();
}

void Replication::end_turn() {
  sent_in_turn_ = 0;
  for (const PartitionId partition : std::exchange(core_.to_be_sent, {})) send_held(partition);
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (core_.stats.records_local != marked_records_ &&
      (marks_.empty() || now_us - marks_.back().at_us >= kMarkIntervalUs)) {
    marks_.push_back({marked_records_, now_us});
    marked_records_ = core_.stats.records_local;
    if (marks_.size() > kMaxMarks) marks_.erase(marks_.begin() + 1);  // keeps the oldest
  }
  has_more_ = false;
  for (auto& [node, peer] : peers_) {
    if (!peer->up) continue;
    // Before the acknowledgement, upon which more pieces would come that do not fit.
    if (const auto progress = std::exchange(peer->progress_due, std::nullopt)) {
      transport_.send(node, encode_progress(*progress));
    }
    if (peer->ack_due) {
      peer->ack_due = false;
      transport_.send(node, encode_ack({peer->received_number}));
    }
    // Long records are copied for each peer, which takes long: the rest is for the turns to come,
    // with clients in between.
    if (sent_in_turn_ <= kTurnBytes) {
      pump(*peer);
    } else {
      has_more_ = true;
    }
  }
  // Who has not come so far has to catch up, and is sent what it lacks as it comes to that. Then
  // the others get it too.
  if (!core_.lazy.empty() && core_.log.end() == core_.log.barrier()) {
    const bool behind = std::ranges::any_of(peers_, [this](const auto& each) {
      return each.second->up && each.second->reported && each.second->cursor < core_.log.end();
    });
    absl::btree_set<PartitionId> made;
    if (behind) core_.lazy.add_all(made);
    core_.lazy.clear();
    if (behind) let_go(made);
  }
  LogPosition next = core_.log.end();
  for (const auto& [node, peer] : peers_) {
    if (peer->up) next = std::min(next, peer->cursor);
  }
  core_.log.keep_for_reader(next);
}

// --- Receiving
// ------------------------------------------------------------------------------------------

Result<> Replication::on_records(Peer& peer, const RecordsMessage& message) {
  // A log that cannot be written takes nothing more; the peer will see no progress and send it
  // again.
  if (core_.log.error()) return {};
  peer.has_come(message.number);
  for (const std::string_view bytes : message.records) {
    const auto head = decode_record_head(bytes);
    if (!head || head->dot.seq == 0)
      return fail("malformed record: its head is cut off or names no dot");
    if (core_.find(head->partition) == nullptr) {
      return fail(fmt::format("a record of partition {}, which is not held here", head->partition));
    }
    // What is not taken in is sent again, after repair at the latest.
    if (core_.at(head->partition).damaged()) continue;
    try {
      if (const auto taken = core_.take(bytes, *head); !taken)
        return std::unexpected(taken.error());
    } catch (const Unreadable&) {
      continue;  // noted as damage
    }
  }
  return {};
}

Result<> Replication::on_offer(Peer& peer, const SnapshotOffer& offer) {
  if (core_.log.error()) return {};
  peer.has_come(offer.number);
  const Partition* partition = core_.find(offer.name.partition);
  if (partition == nullptr) return fail("a snapshot of a partition that is not held here");
  const bool needed = partition->damaged() || !partition->state.vector().covers(offer.vector);
  const auto progress = peer.incoming.take(offer, needed, core_.clock.monotonic_us());
  if (progress) peer.progress_due = progress;
  return {};
}

Result<> Replication::on_piece(Peer& peer, const SnapshotPiece& piece) {
  if (core_.log.error()) return {};
  peer.has_come(piece.number);
  if (piece.bytes.size() == piece.name.total) {
    return verify(peer, piece.name, piece.bytes) ? core_.take_state(piece.bytes) : Result<>();
  }
  const auto progress = peer.incoming.take(piece, core_.clock.monotonic_us());
  if (progress) peer.progress_due = progress;
  const auto whole = peer.incoming.take_whole();
  // Of one that is not what it should be the peer learns when it asks.
  if (!whole || !verify(peer, piece.name, *whole)) return {};
  const auto taken = core_.take_state(*whole);
  if (taken) peer.progress_due = SnapshotProgress{piece.number, piece.name, piece.name.total};
  return taken;
}

bool Replication::verify(const Peer& peer, const SnapshotName& name, std::string_view bytes) {
  if (hash64(bytes) == name.checksum || EVEN_MUTANT(kSnapshotsMixed) ||
      EVEN_MUTANT(kSnapshotWithGaps)) {
    return true;
  }
  ++core_.stats.snapshots_refused;
  core_.warn(
      fmt::format("a snapshot of partition {} from node {} ({} bytes) does not match its "
                  "checksum and is not used",
                  name.partition, peer.node, name.total));
  return false;
}

// --- Timers
// ---------------------------------------------------------------------------------------------

void Replication::send_report(Peer& peer, bool complete) {
  ReportMessage report;
  report.complete = complete;
  report.clock_ms = core_.turn_ms();
  if (peer.inflates) {
    for (const auto& [node, other] : peers_) {
      if (other->runs.linked) report.runs.push_back(*other->runs.linked);
    }
  }
  for (const auto& [id, shared] : peer.shared) {
    const Partition& partition = core_.at(id);
    if (!complete && !partition.report_due) continue;
    using Condition = ReportMessage::Partition::Condition;
    const Condition condition = !partition.damaged()           ? Condition::kWhole
                                : partition.asked != peer.node ? Condition::kDamaged
                                                               : Condition::kWantsState;
    report.partitions.push_back(
        {id, partition.state.vector(), partition.state.digest(), condition});
  }
  // In the order of numbers, so that a run can be repeated exactly.
  std::sort(report.partitions.begin(), report.partitions.end(),
            [](const auto& a, const auto& b) { return a.partition < b.partition; });
  if (complete || !report.partitions.empty()) transport_.send(peer.node, encode_report(report));
}

void Replication::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  send_due();
  if (now_us - last_report_us_ >= core_.options.report_interval_ms * 1000) {
    last_report_us_ = now_us;
    look_for_damage(now_us);
    const bool complete = now_us - last_full_report_us_ >= kFullReportIntervalUs;
    if (complete) last_full_report_us_ = now_us;
    for (auto& [node, peer] : peers_) {
      if (peer->up) send_report(*peer, complete);
    }
    for (const auto& partition : core_.partitions()) partition->report_due = false;
  }
  if (now_us - last_repair_us_ >= kRepairIntervalUs) {
    last_repair_us_ = now_us;
    for (auto& [node, peer] : peers_) {
      if (peer->up && peer->reported) repair(*peer, now_us);
    }
  }
  if (now_us - last_collect_us_ >= kCollectIntervalUs) {
    last_collect_us_ = now_us;
    collect_residue();
    core_.drop_stale_pending();
    drop_stale_snapshots(now_us);
  }
  if (now_us - last_fold_us_ >= kFoldIntervalUs && !core_.log.error()) {
    last_fold_us_ = now_us;
    fold_runs();
  }
}

void Replication::look_for_damage(std::int64_t now_us) {
  for (const auto& partition : core_.partitions()) {
    if (!partition->damaged()) {
      partition->damage_reported = false;
      continue;
    }
    const bool first = !std::exchange(partition->damage_reported, true);
    if (first) partition->report_due = true;
    if (partition->asked == 0 || now_us - partition->asked_us >= kAskIntervalUs) {
      const NodeNumber asked = std::exchange(partition->asked, helper(*partition));
      if (partition->asked != asked) partition->report_due = true;
      partition->asked_us = now_us;
    }
    if (!first) continue;
    core_.warn(fmt::format(
        "partition {} is damaged, {}: {}", partition->id,
        partition->rows->closed() ? "and nothing of it can be read" : "and is read in part",
        *partition->rows->damage()));
    core_.warn(
        partition->replicas.size() == 1
            ? fmt::format("partition {} has no other replica to be repaired from: restore the "
                          "node's data directory from a backup",
                          partition->id)
            : fmt::format("partition {} will be repaired from another replica", partition->id));
  }
}

NodeNumber Replication::helper(const Partition& partition) const {
  const auto able = [&](NodeNumber node) {
    if (node == core_.options.node) return false;
    const Peer& peer = *peers_.at(node);
    const Peer::Shared& shared = peer.shared.at(partition.id);
    return peer.up && peer.reported && !shared.damaged && shared.acked.covers(partition.floor);
  };
  const auto& replicas = partition.replicas;
  auto next = std::find(replicas.begin(), replicas.end(), partition.asked);
  if (next != replicas.end()) ++next;
  const auto found = std::find_if(next, replicas.end(), able);
  if (found != replicas.end()) return *found;
  const auto again = std::find_if(replicas.begin(), next, able);
  return again != next ? *again : 0;
}

VersionVector Replication::due_at(const Peer& peer, const Partition& partition) const {
  const VersionVector& have = partition.state.vector();
  auto held = peer.held.first(partition.id);
  if (!held) held = core_.lazy.first(partition.id);
  if (!held) return have;
  VersionVector due;
  for (const VersionVector::Entry& entry : have.entries()) {
    VersionVector::Entry bounded = entry;
    if (entry.replica == core_.self) bounded.seq = std::min<std::uint64_t>(entry.seq, *held - 1);
    // An entry that folds has at least one record, which nobody holds back.
    if (bounded.seq > 0) due.add_bits(bounded.replica, VersionVector::bits(bounded));
  }
  return due;
}

void Replication::repair(Peer& peer, std::int64_t now_us) {
  if (!peer.in_flight.empty()) {
    const Peer::InFlight& first = peer.in_flight.front();
    const std::int64_t patience_us =
        (kAckTimeoutUs + static_cast<std::int64_t>(first.bytes) * kSlowLinkUsPerByte)
        << std::min(peer.timeouts, kMaxBackoff);
    if (now_us - std::max(first.sent_us, peer.acked_us) > patience_us) {
      peer.in_flight.clear();  // they, or their acknowledgements, were lost
      peer.bytes_in_flight = 0;
      ++peer.timeouts;
    }
  }
  if (!peer.check) {
    Peer::Check check{{}, peer.next_number - 1, core_.log.end(), now_us, UINT64_MAX};
    for (const auto& [id, shared] : peer.shared) {
      if (shared.damaged || shared.acked.covers(core_.at(id).state.vector())) continue;
      VersionVector have = due_at(peer, core_.at(id));
      if (!shared.acked.covers(have)) check.expected.emplace_back(id, std::move(have));
    }
    if (!check.expected.empty()) peer.check = std::move(check);
    return;
  }
  // What has come may be waiting for what comes from others: only that it lacks as much as before
  // shows a gap.
  std::uint64_t lacking = 0;
  for (const auto& [id, expected] : peer.check->expected) {
    lacking += expected.ahead_of(peer.shared.at(id).acked);
  }
  if (lacking < peer.check->lacking) {
    peer.check->lacking = lacking;
    peer.check->since_us = now_us;
  }
  if (!peer.arrived(peer.check->number) || peer.cursor < peer.check->position || peer.outgoing ||
      now_us - peer.check->since_us < kNoProgressUs) {
    return;
  }
  if (!durable(peer.check->position)) return;
  const Peer::Check check = *std::exchange(peer.check, std::nullopt);
  bool gap = false;
  for (const auto& [id, expected] : check.expected) {
    Peer::Shared& shared = peer.shared.at(id);
    if (shared.damaged || shared.acked.covers(expected)) continue;
    gap = true;
    peer.held.drop(id);  // it is read again, also what is held back for others
    let_go({id});
    shared.sent = shared.acked;
    shared.relay = true;
    peer.want_snapshot(id, !shared.acked.covers(core_.at(id).floor));
  }
  if (!gap) return;
  rewind(peer);
  pump(peer);
}

// What of snapshots has become useless or is waited for in vain.
void Replication::drop_stale_snapshots(std::int64_t now_us) {
  for (auto& [node, peer] : peers_) {
    if (peer->outgoing && now_us - peer->outgoing->idle_since_us() >= kSnapshotKeptUs) {
      peer->outgoing.reset();
    }
    IncomingSnapshot& incoming = peer->incoming;
    if (incoming.empty()) continue;
    const Partition& partition = core_.at(incoming.partition());
    const bool seen = !partition.damaged() && partition.state.vector().covers(incoming.vector());
    if (seen || now_us - incoming.idle_since_us() >= kSnapshotKeptUs) incoming.drop();
  }
}

bool Replication::may_fold(const Partition& partition) const {
  const VersionVector& seen = partition.state.vector();
  const ReplicaId self = core_.self;
  // Under an entry of this run; before there is one, the vector is no longer than it was.
  if (partition.damaged() || seen[self] == 0) return false;
  // Where none of them has made anything, this says so, once, for whom it matters.
  const bool folds = std::ranges::any_of(
      seen.entries(), [self](const auto& entry) { return entry.replica == self && entry.folds; });
  if (!seen.names_before(self) && (folds || !partition.rights_wait)) return false;
  return earlier_runs_are_over(partition);
}

bool Replication::earlier_runs_are_over(const Partition& partition) const {
  return std::ranges::all_of(partition.replicas, [&](NodeNumber node) {
    if (node == core_.options.node || EVEN_MUTANT(kFoldsUnheard)) return true;
    const Peer& peer = *peers_.at(node);
    const Peer::Shared& shared = peer.shared.at(partition.id);
    if (!shared.heard || shared.damaged) return false;
    // As this process has heard it, whatever session it was in.
    return EVEN_MUTANT(kFoldsAsItHas) ||
           shared.acked.agrees_before(core_.self, partition.state.vector());
  });
}

void Replication::fold_runs() {
  const auto& partitions = core_.partitions();
  std::size_t folded = 0;
  for (std::size_t i = 0; i < partitions.size() && folded < kFoldedAtOnce; ++i) {
    Partition& partition = *partitions[next_to_fold_++ % partitions.size()];
    if (!may_fold(partition)) continue;
    core_.fold(partition);
    partition.rights_wait = false;
    ++folded;
  }
}

// What all replicas had seen when they said so, and all that any of them had seen by then. What one
// of them made before needs the residue that the others had seen removed, perhaps, and is among it;
// what it has made since does not. It is waited for before a later report is looked at: of those
// that come, each may be a little ahead.
void Replication::collect_residue() {
  for (const auto& partition : core_.partitions()) {
    const VersionVector& seen = partition->state.vector();
    auto& cut = partition->residue_cut;
    if (partition->state.residue_keys() == 0) {
      cut.reset();
      continue;
    }
    if (EVEN_MUTANT(kRemovedPointLost)) {
      partition->state.collect_residue(seen);
      continue;
    }
    if (!cut) {
      cut = {.by_all = seen, .by_any = {}};
      for (const NodeNumber node : partition->replicas) {
        if (node == core_.options.node) continue;
        const VersionVector& acked = peers_.at(node)->shared.at(partition->id).acked;
        cut->by_all.meet(acked);
        cut->by_any.merge(acked);
      }
    }
    if (!seen.covers(cut->by_any)) continue;
    partition->state.collect_residue(cut->by_all);
    cut.reset();
  }
}

std::vector<PeerStatus> Replication::status() const {
  std::vector<PeerStatus> all;
  const std::int64_t now_ms = core_.clock.wall_ms();
  for (const auto& [node, peer] : peers_) {
    PeerStatus& status = all.emplace_back();
    status.node = node;
    status.up = peer->up && peer->reported;
    status.bytes_in_flight = peer->bytes_in_flight;
    status.held_bytes = peer->held.bytes();
    status.snapshot_bytes = peer->incoming.bytes() + (peer->outgoing ? peer->outgoing->bytes() : 0);
    status.delay_histogram = peer->delay_histogram;
    status.delay_sum_seconds = peer->delay_sum_seconds;
    status.delays_below_zero = peer->delays_below_zero;
    std::int64_t heard_ms = now_ms;
    for (const auto& [id, shared] : peer->shared) {
      heard_ms = std::min(heard_ms, shared.heard_ms);
      for (const Dot dot : core_.at(id).state.vector().entries()) {
        if (dot.replica.node() != core_.options.node) continue;
        const std::uint64_t theirs = shared.acked[dot.replica];
        if (dot.seq > theirs) status.lag_records += dot.seq - theirs;
      }
    }
    if (heard_ms > 0) status.window_seconds = static_cast<double>(now_ms - heard_ms) / 1e3;
    if (status.lag_records > 0) {
      // The oldest record it lacks is, in order of making, about the lag-th from the end.
      const std::uint64_t acked = core_.stats.records_local > status.lag_records
                                      ? core_.stats.records_local - status.lag_records
                                      : 0;
      const auto mark = std::upper_bound(
          marks_.begin(), marks_.end(), acked,
          [](std::uint64_t records, const Mark& m) { return records < m.records; });
      const std::int64_t now_us = core_.clock.monotonic_us();
      const std::int64_t at_us = marks_.empty()           ? now_us
                                 : mark == marks_.begin() ? mark->at_us
                                                          : std::prev(mark)->at_us;
      status.lag_seconds = static_cast<double>(now_us - at_us) / 1e6;
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
  return all;
}

}  // namespace even
