#include "replica/group_states.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "replica/snapshot_transfer.h"

namespace even {
namespace {

// So many pieces are sent for each question.
constexpr std::uint64_t kPiecesAtOnce = 4;
// An answer that has not come after so long has been lost, or the question has.
constexpr std::int64_t kAskAnewUs = 500'000;
// Then another state has its turn.
constexpr std::int64_t kStandsStillUs = 3'000'000;

}  // namespace

void GroupStates::send(const SnapshotProgress& asked, const consensus::Payload& state,
                       NodeNumber node) {
  std::uint64_t offset = asked.have;
  for (std::uint64_t i = 0; i < kPiecesAtOnce && offset < state.size(); ++i) {
    const std::string_view piece = state.view().substr(offset, core_.options.piece_bytes);
    transport_.send(node, encode_piece({0, asked.name, offset, piece}));
    offset += piece.size();
    ++core_.stats.snapshot_pieces_sent;
    core_.stats.snapshot_bytes_sent += piece.size();
  }
}

void GroupStates::await(NodeNumber node, const GroupMessage& message) {
  if (message.state->total > kMostStateBytes) return;
  const SnapshotName name{message.group, message.state->total, message.state->checksum};
  Incoming& incoming = incoming_[message.group];
  if (incoming.name != name) incoming.bytes.clear();
  if (!incoming.bytes.empty()) ++core_.stats.snapshots_resumed;
  incoming.node = node;
  incoming.message = message.message;
  incoming.name = name;
  incoming.asked_us = 0;
  incoming.moved_us = core_.clock.monotonic_us();
  if (!incoming_.contains(active_)) active_ = message.group;
  if (active_ == message.group) ask(incoming);
}

void GroupStates::ask(Incoming& incoming) {
  const std::uint64_t have = incoming.bytes.size();
  incoming.enough = std::min(incoming.name.total, have + kPiecesAtOnce * core_.options.piece_bytes);
  incoming.asked_us = core_.clock.monotonic_us();
  transport_.send(incoming.node, encode_progress({0, incoming.name, have}));
}

void GroupStates::receive(NodeNumber node, const SnapshotPiece& piece) {
  const auto at = incoming_.find(piece.name.partition);
  if (at == incoming_.end()) return;
  Incoming& incoming = at->second;
  if (incoming.node != node || incoming.name != piece.name) return;
  const std::uint64_t have = incoming.bytes.size();
  if (piece.offset > have || piece.offset + piece.bytes.size() <= have) return;
  incoming.bytes.append(piece.bytes.substr(have - piece.offset));
  incoming.moved_us = core_.clock.monotonic_us();
  if (incoming.bytes.size() < incoming.name.total) {
    if (incoming.bytes.size() >= incoming.enough) ask(incoming);
    return;
  }
  if (!verify(incoming)) return;
  Incoming whole = std::move(incoming);
  incoming_.erase(at);
  auto snapshot = std::make_shared<consensus::Snapshot>(*whole.message.snapshot);
  snapshot->data = std::move(whole.bytes);
  whole.message.snapshot = std::move(snapshot);
  on_whole(node, std::move(whole.message), piece.name.partition);
}

bool GroupStates::verify(Incoming& incoming) {
  if (hash64(incoming.bytes) == incoming.name.checksum) return true;
  ++core_.stats.snapshots_refused;
  core_.warn(
      fmt::format("a state of group {} from node {} ({} bytes) does not match its checksum "
                  "and is asked for anew",
                  incoming.name.partition, incoming.node, incoming.name.total));
  incoming.bytes.clear();
  return false;
}

void GroupStates::tick(const std::function<bool(NodeNumber, consensus::MemberId)>& reach) {
  if (incoming_.empty()) return;
  const std::int64_t now_us = core_.clock.monotonic_us();
  absl::erase_if(incoming_, [now_us](const auto& each) {
    return now_us - each.second.moved_us >= kSnapshotKeptUs;
  });
  const auto able = [&](const Incoming& incoming) {
    return reach(incoming.node, incoming.message.from);
  };
  auto active = incoming_.find(active_);
  if (active == incoming_.end() || !able(active->second) ||
      now_us - std::max(active->second.moved_us, active_since_us_) >= kStandsStillUs) {
    // The next that can be had, all around.
    auto next = incoming_.upper_bound(active_);
    for (std::size_t i = 0; i < incoming_.size(); ++i) {
      if (next == incoming_.end()) next = incoming_.begin();
      if (able(next->second)) break;
      ++next;
    }
    if (next == incoming_.end() || !able(next->second)) return;
    active = next;
    active_ = active->first;
    active_since_us_ = now_us;
  }
  if (now_us - active->second.asked_us >= kAskAnewUs) ask(active->second);
}

}  // namespace even
