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
// Who has no room for more says that it is still at it.
constexpr std::int64_t kStillAtItUs = 1'000'000;
// Then another state has its turn.
constexpr std::int64_t kStandsStillUs = 3'000'000;

}  // namespace

void GroupStates::send(const SnapshotProgress& asked, const StateBytes& state, NodeNumber node) {
  std::uint64_t offset = asked.have;
  const std::uint64_t end =
      std::min(state.size(), offset + kPiecesAtOnce * core_.options.piece_bytes);
  while (offset < end) {
    const std::string_view piece =
        state.at(offset, std::min(core_.options.piece_bytes, end - offset));
    transport_.send(node, encode_piece({0, asked.name, offset, piece}));
    offset += piece.size();
    ++core_.stats.snapshot_pieces_sent;
    core_.stats.snapshot_bytes_sent += piece.size();
  }
}

void GroupStates::await(NodeNumber node, const GroupMessage& message, Partition* into) {
  if (into == nullptr && message.state->total > kMostStateBytes) return;
  const SnapshotName name{message.group, message.state->total, message.state->checksum};
  Incoming& incoming = incoming_[message.group];
  const consensus::Index index = message.message.snapshot->index;
  const auto& staged = incoming.staged;
  const bool same =
      incoming.name == name && (!staged || (staged->fits() && staged->index() == index));
  if (!same) incoming.bytes.clear();
  if (!same || into == nullptr) incoming.staged.reset();
  if (into != nullptr && !incoming.staged) {
    incoming.staged = std::make_shared<StagedState>(core_, *into, index, name);
  }
  if (incoming.have() > 0) ++core_.stats.snapshots_resumed;
  incoming.node = node;
  incoming.message = message.message;
  incoming.name = name;
  incoming.asked_us = 0;
  incoming.enough = 0;
  incoming.moved_us = core_.clock.monotonic_us();
  if (!incoming_.contains(active_)) active_ = message.group;
  if (active_ == message.group) ask_for_more(incoming);
}

void GroupStates::ask(Incoming& incoming) {
  const std::uint64_t have = incoming.have();
  incoming.enough = std::min(incoming.name.total, have + kPiecesAtOnce * core_.options.piece_bytes);
  incoming.asked_us = core_.clock.monotonic_us();
  transport_.send(incoming.node, encode_progress({0, incoming.name, have}));
}

// If what was asked for has come, and there is room for more.
void GroupStates::ask_for_more(Incoming& incoming) {
  if (incoming.have() < incoming.enough) return;
  if (core_.clock.monotonic_us() < incoming.again_us) return;
  if (incoming.staged ? incoming.staged->wants_more() : incoming.have() < incoming.name.total) {
    ask(incoming);
  }
}

void GroupStates::receive(NodeNumber node, const SnapshotPiece& piece) {
  const auto at = incoming_.find(piece.name.partition);
  if (at == incoming_.end()) return;
  Incoming& incoming = at->second;
  if (incoming.node != node || incoming.name != piece.name) return;
  const std::uint64_t have = incoming.have();
  if (piece.offset > have || piece.offset + piece.bytes.size() <= have) return;
  if (piece.offset + piece.bytes.size() > incoming.name.total) return;
  const std::string_view bytes = piece.bytes.substr(have - piece.offset);
  incoming.moved_us = core_.clock.monotonic_us();
  if (incoming.staged) {
    incoming.staged->add(bytes);
    return ask_for_more(incoming);
  }
  incoming.bytes.append(bytes);
  if (incoming.have() < incoming.name.total) return ask_for_more(incoming);
  if (verify(incoming)) end(incoming);
}

// All of it is here.
void GroupStates::end(Incoming& incoming) {
  const PartitionId group = incoming.name.partition;
  Incoming whole = std::move(incoming);
  incoming_.erase(group);
  auto snapshot = std::make_shared<consensus::Snapshot>(*whole.message.snapshot);
  if (!whole.staged) snapshot->data = std::move(whole.bytes);
  whole.message.snapshot = std::move(snapshot);
  on_whole(whole.node, std::move(whole.message), group, std::move(whole.staged));
}

bool GroupStates::verify(Incoming& incoming) {
  if (hash64(incoming.bytes) == incoming.name.checksum) return true;
  refuse(incoming, "it does not match its checksum");
  return false;
}

void GroupStates::refuse(Incoming& incoming, const std::string& why) {
  ++core_.stats.snapshots_refused;
  core_.warn(
      fmt::format("a state of group {} from node {} ({} bytes) is not taken over and asked for "
                  "anew: {}",
                  incoming.name.partition, incoming.node, incoming.name.total, why));
  incoming.bytes.clear();
  incoming.enough = 0;
  incoming.again_us = core_.clock.monotonic_us() + kAskAnewUs;
}

void GroupStates::stage_more(Incoming& incoming) {
  StagedState& staged = *incoming.staged;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (const auto step = staged.step(); !step) {
    refuse(incoming, step.error().message);
    Partition* into = core_.find(incoming.name.partition);
    incoming.staged = std::make_shared<StagedState>(core_, *into, staged.index(), incoming.name);
    return;
  }
  if (staged.whole()) return end(incoming);
  if (staged.busy()) incoming.moved_us = now_us;
  ask_for_more(incoming);
  if (incoming.have() < incoming.enough || now_us - incoming.asked_us < kStillAtItUs) return;
  // Who gives it is not to give it up meanwhile: a question for what is behind its end.
  incoming.asked_us = now_us;
  transport_.send(incoming.node, encode_progress({0, incoming.name, incoming.name.total}));
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
  if (active->second.staged) {
    stage_more(active->second);
    active = incoming_.find(active_);
    if (active == incoming_.end() || active->second.have() >= active->second.enough) return;
  }
  if (now_us - active->second.asked_us >= kAskAnewUs) ask(active->second);
}

}  // namespace even
