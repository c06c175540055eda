#include "replica/hints.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "replica/group_format.h"

namespace even {
namespace {

constexpr std::int64_t kHintTickUs = 100'000;
// What is under way has been lost after so long.
constexpr std::int64_t kHintLostUs = 2'000'000;
// An owner is asked what it has so often, and given what does not come from others for so long.
constexpr std::int64_t kAskOwnerUs = 1'000'000;
constexpr std::int64_t kAskSoonUs = 100'000;
constexpr std::int64_t kOwnerLacksUs = 400'000;
// Who stands in for owners does so for so long at least.
constexpr std::int64_t kStandInUs = 5'000'000;
// What has been seen for so long is taken to be on the disk: longer than it takes to sync a log, if
// it is synced at all.
constexpr std::int64_t kSettledUs = 2'000'000;
// A holder without room is not tried again before.
constexpr std::int64_t kFullUs = 1'000'000;
constexpr std::uint64_t kHintReadBytes = 64 << 10;    // of the log at a time
constexpr std::size_t kHintMessageBytes = 256 << 10;  // and but one record more
constexpr int kHintReads = 8;                         // in one turn
constexpr std::size_t kAskedPartitions = 16;          // in one question

// What a hint must not become: a write of the node that it is handed to.
void make_again(ShardCore& core, std::string_view bytes) {
  RecordDecoder decoder;
  const auto record = decoder.decode(bytes);
  if (!record || record->delta.keys.empty()) return;
  Partition& partition = core.at(record->partition);
  Record anew = core.begin(partition, core.turn_ms(), {});
  anew.delta = record->delta;
  for (KeyDelta& key : anew.delta.keys) {
    for (LeafDelta& leaf : key.leaves) {
      if (!leaf.integers.empty() || !leaf.reals.empty()) return;
      for (SiblingView& sibling : leaf.siblings) {
        sibling.dot = anew.dot();
        sibling.time = anew.time;
      }
    }
  }
  core.commit(partition, anew);
}

}  // namespace

Hints::Hints(ShardCore& core, const Replication& replication, Transport& transport,
             HintStore& store)
    : core_(core),
      replication_(replication),
      transport_(transport),
      store_(store),
      next_id_(core.random.next()) {}

bool Hints::is_owner(NodeNumber node, PartitionId partition) const {
  return std::ranges::find(core_.options.owners_of(partition), node) !=
         core_.options.owners_of(partition).end();
}

// --- Giving

bool Hints::takes(NodeNumber node) const {
  const auto found = receivers_.find(node);
  return found != receivers_.end() && found->second.full_until_us <= core_.clock.monotonic_us();
}

std::vector<NodeNumber> Hints::fallbacks(PartitionId partition) const {
  std::vector<NodeNumber> nodes;
  for (const NodeNumber node : core_.options.fallbacks_of(partition)) {
    if (takes(node)) nodes.push_back(node);
  }
  return nodes;
}

bool Hints::can_give(PartitionId partition, const VersionVector& wanted) const {
  const Partition& held = core_.at(partition);
  if (!held.replayed || held.damaged()) return false;
  // Of what the log does not have, others must have all that is wanted.
  const VersionVector everywhere = settled_at_others(partition);
  return std::ranges::all_of(wanted.entries(), [&](const VersionVector::Entry& entry) {
    return !held.floor.covers(entry.dot()) || everywhere.covers(entry.dot());
  });
}

void Hints::settle() {
  const auto& partitions = core_.partitions();
  if (partitions.empty() || core_.options.fallbacks_of(partitions.front()->id).empty()) return;
  for (const auto& partition : partitions) {
    for (const NodeNumber node : partition->replicas) {
      const VersionVector* reported = replication_.reported(node, partition->id);
      if (reported == nullptr) continue;
      Settled& of_node = settled_[{partition->id, node}];
      if (std::exchange(of_node.reported, true)) {
        of_node.settled = std::move(of_node.settling);
      } else {
        of_node.settled.meet(*reported);  // it may have lost its disk
      }
      of_node.settling = *reported;
    }
  }
}

VersionVector Hints::settled_at_others(PartitionId partition) const {
  std::optional<VersionVector> seen;
  for (const NodeNumber node : core_.at(partition).replicas) {
    if (node == core_.options.node) continue;
    const auto found = settled_.find({partition, node});
    if (found == settled_.end()) return {};
    seen ? seen->meet(found->second.settled) : void(seen = found->second.settled);
  }
  return seen.value_or(VersionVector());
}

VersionVector Hints::base_of(PartitionId partition) const {
  // What this node lacks itself it could not give: another owner may count on that.
  VersionVector base = settled_at_others(partition);
  base.meet(core_.at(partition).state.vector());
  base.merge(core_.at(partition).floor);
  return base;
}

void Hints::give(NodeNumber node, PartitionId partition) {
  const auto receiver = receivers_.find(node);
  if (receiver == receivers_.end()) return;
  const auto given = receiver->second.given.find(partition);
  if (given != receiver->second.given.end()) {
    given->second.wanted_us = core_.clock.monotonic_us();
    return;
  }
  receiver->second.to_begin.insert(partition);
  has_more_ = true;
}

// To where the log begins to have something of that which the receiver is to have and lacks.
void Hints::rewind(Receiver& receiver) const {
  const LogPosition at = core_.index.find(
      [&](const LogIndex::Reach& reach) {
        return std::ranges::any_of(reach, [&](const auto& entry) {
          const auto given = receiver.given.find(entry.first);
          return given != receiver.given.end() && !given->second.sent.covers(entry.second);
        });
      },
      core_.log.end());
  receiver.cursor = std::min(at, core_.log.end());
}

void Hints::pump(NodeNumber node, Receiver& receiver) {
  if (receiver.number != 0 || (receiver.given.empty() && receiver.to_begin.empty())) return;
  PartitionReach bases;
  for (const PartitionId partition : receiver.to_begin) {
    if (core_.at(partition).damaged()) continue;
    VersionVector base = base_of(partition);
    receiver.given[partition] = {
        .sent = base, .base = base, .wanted_us = core_.clock.monotonic_us()};
    bases.emplace_back(partition, std::move(base));
  }
  receiver.to_begin.clear();
  HintsBuilder message(next_number_, bases);
  bool any = !bases.empty();
  // What it has been asked to begin with is sent when it has said what it has of that.
  for (int reads = 0; !any && reads < kHintReads; ++reads) {
    if (receiver.cursor < core_.log.begin()) rewind(receiver);
    const LogPosition durable =
        EVEN_MUTANT(kHintGivenUnsynced) ? core_.log.end() : core_.log.durable();
    if (receiver.cursor >= core_.log.end()) return;
    if (receiver.cursor >= durable) {
      if (!core_.log.error()) core_.log.sync();
      return;
    }
    std::optional<LogPosition> stopped;  // at what is not durable, or too much
    const auto next = core_.log.read(
        receiver.cursor, kHintReadBytes, [&](LogPosition frame, std::string_view bytes) {
          if (stopped || frame >= durable) {
            if (!stopped) stopped = frame;
            return;
          }
          if (is_group_log_entry(bytes)) return;
          const auto head = decode_record_head(bytes);
          const auto given = receiver.given.find(head->partition);
          if (given == receiver.given.end() || head->dot.seq == 0) return;
          if (given->second.sent.covers(head->dot)) return;
          if (any && message.bytes() + bytes.size() > kHintMessageBytes) {
            stopped = frame;
            return;
          }
          given->second.sent.add(head->dot);
          message.add(bytes);
          any = true;
        });
    if (!next) return;  // it is tried again in another turn
    receiver.cursor = stopped.value_or(*next);
    if (reads + 1 == kHintReads) has_more_ = true;
  }
  if (!any) return;
  receiver.number = next_number_++;
  receiver.begins = !bases.empty();
  receiver.sent_us = core_.clock.monotonic_us();
  transport_.send(node, message.take());
}

Result<> Hints::receive(NodeNumber node, const HintStateMessage& message) {
  const auto found = receivers_.find(node);
  if (found == receivers_.end()) return {};
  Receiver& receiver = found->second;
  if (message.number == 0 || message.number != receiver.number) return {};
  receiver.number = 0;
  if (message.full) receiver.full_until_us = core_.clock.monotonic_us() + kFullUs;
  const bool begun = std::exchange(receiver.begins, false);
  bool behind = begun;
  for (const auto& [partition, vector] : message.has) {
    const auto at = receiver.given.find(partition);
    if (at == receiver.given.end()) continue;
    Receiver::Given& given = at->second;
    if (message.full) {
      receiver.given.erase(at);
    } else if (!vector.covers(given.base) || (vector.empty() && !begun) ||
               !vector.covers(core_.at(partition).floor)) {
      // It has dropped what it had; or the base has not come; or the log does not have any more
      // what would come next.
      receiver.given.erase(at);
      receiver.to_begin.insert(partition);
    } else {
      behind = behind || vector != given.sent;
      given.sent = vector;
    }
  }
  if (behind) rewind(receiver);
  has_more_ = true;
  return {};
}

// --- Keeping, and taking in what was kept

Result<> Hints::receive(NodeNumber node, const HintMessage& message) {
  HintStateMessage state{.number = message.number};
  absl::btree_set<PartitionId> about;
  const bool held_up = core_.log.error().has_value();
  for (const auto& [partition, base] : message.bases) {
    if (partition >= core_.options.partition_count) {
      return fail("a hint of a partition that is none of an eventual keyspace");
    }
    about.insert(partition);
    if (core_.find(partition) == nullptr) store_.begin(partition, node, base);
  }
  for (const std::string_view record : message.records) {
    const auto head = decode_record_head(record);
    if (!head || head->dot.seq == 0 || head->partition >= core_.options.partition_count) {
      return fail("malformed hint: its record has no head");
    }
    about.insert(head->partition);
    if (held_up || state.full) continue;
    if (core_.find(head->partition) != nullptr) {
      if (const auto taken = take_in(record, *head); !taken) return taken;
    } else if (store_.keep(node, record, *head) == HintStore::Kept::kFull) {
      state.full = true;
    }
  }
  state.full = state.full || held_up;
  for (const PartitionId partition : about) {
    const Partition* own = core_.find(partition);
    state.has.emplace_back(partition,
                           own != nullptr ? own->state.vector() : store_.line(partition, node));
  }
  transport_.send(node, encode_hint_state(state));
  return {};
}

Result<> Hints::take_in(std::string_view record, const RecordHead& head) {
  const Partition& partition = core_.at(head.partition);
  if (!partition.replayed || partition.damaged()) return {};
  try {
    const auto taken = core_.take(record, head);
    if (!taken) return std::unexpected(taken.error());
    if (EVEN_MUTANT(kHintAppliedAgain) && *taken == ShardCore::Taken::kSeen) {
      make_again(core_, record);
    }
  } catch (const Unreadable&) {
    // Noted as damage; the holder keeps it.
  }
  return {};
}

// --- Handing over

void Hints::ask(NodeNumber node, Owner& owner) {
  AskMessage message;
  message.learns = true;
  const PartitionId first = std::exchange(owner.next, 0);
  for (const auto& [partition, held] : store_.held()) {
    if (partition < first || held.hints.empty() || !is_owner(node, partition)) continue;
    if (acknowledged_[partition][node].covers(held.records)) continue;
    if (message.reach.size() == kAskedPartitions) {
      owner.next = partition;
      break;
    }
    message.reach.emplace_back(partition, VersionVector());
  }
  if (message.reach.empty()) return;
  message.id = owner.asked = next_id_++;
  owner.asked_us = core_.clock.monotonic_us();
  transport_.send(node, encode_ask(message));
}

bool Hints::receive(NodeNumber node, const AnswerMessage& message) {
  const auto found = owners_.find(node);
  if (found == owners_.end() || found->second.asked == 0 || found->second.asked != message.id) {
    return false;
  }
  Owner& owner = found->second;
  owner.asked = 0;
  const std::int64_t now_us = core_.clock.monotonic_us();
  bool lacks = false;
  for (const auto& [partition, vector] : message.seen) {
    const auto held = store_.held().find(partition);
    if (held == store_.held().end() || held->second.hints.empty()) continue;
    acknowledged_[partition][node] = vector;
    if (vector.covers(held->second.records)) {
      owner.has.erase(partition);
      continue;
    }
    lacks = true;
    Owner::Has& has = owner.has[partition];
    if (!has.known || has.vector != vector) has = {vector, now_us, true};
    if (now_us - has.since_us < kOwnerLacksUs) continue;
    hand_over(node, partition, has);
  }
  // Then it is asked again soon.
  if (lacks) owner.asked_us = now_us - kAskOwnerUs + kAskSoonUs;
  forget_delivered();
  if (owner.next != 0) ask(node, owner);
  return true;
}

void Hints::hand_over(NodeNumber node, PartitionId partition, Owner::Has& has) {
  HintsBuilder message(0, {});
  bool any = false;
  const HintStore::Held& held = store_.held().at(partition);
  std::uint64_t at = std::max(std::exchange(has.next, 0), held.first);
  for (; at < held.next(); ++at) {
    const HintStore::Hint& hint = held.hints[at - held.first];
    if (has.vector.covers(hint.dot)) continue;
    if (any && message.bytes() + hint.record.size() > kHintMessageBytes) {
      has.next = at;
      break;
    }
    message.add(hint.record);
    ++store_.stats().sent;
    any = true;
  }
  transport_.send(node, message.take());
  if (EVEN_MUTANT(kHintForgottenEarly)) store_.forget(partition);
}

void Hints::forget_delivered() {
  if (core_.log.error()) return;
  for (auto at = acknowledged_.begin(); at != acknowledged_.end();) {
    const auto& [partition, by_node] = *at;
    const VersionVector& held = store_.records(partition);
    const auto owners = core_.options.owners_of(partition);
    const bool all = std::ranges::all_of(owners, [&](NodeNumber node) {
      const auto said = by_node.find(node);
      return said != by_node.end() && said->second.covers(held);
    });
    if (all) store_.forget(partition);
    at = all ? acknowledged_.erase(at) : std::next(at);
  }
}

// --- Links, turns and time

void Hints::link_up(NodeNumber node) {
  receivers_[node] = {};
  owners_[node] = {};
  // What it has said in another session it may have lost since.
  for (auto& [of, settled] : settled_) {
    if (of.second == node) settled.reported = false;
  }
  for (auto& [partition, by_node] : acknowledged_) by_node.erase(node);
  store_.forget_bases(node);
  ask(node, owners_[node]);
}

void Hints::link_down(NodeNumber node) {
  receivers_.erase(node);
  owners_.erase(node);
}

void Hints::end_turn() {
  has_more_ = false;
  for (auto& [node, receiver] : receivers_) pump(node, receiver);
}

void Hints::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (now_us - last_tick_us_ < kHintTickUs) return;
  last_tick_us_ = now_us;
  store_.tick();
  if (now_us - last_settled_us_ >= kSettledUs) {
    last_settled_us_ = now_us;
    settle();
  }
  for (auto& [node, receiver] : receivers_) {
    if (receiver.number != 0 && now_us - receiver.sent_us >= kHintLostUs) {
      // Whatever has come of it: it says what it has.
      receiver.number = 0;
      for (const auto& [partition, given] : receiver.given) receiver.to_begin.insert(partition);
    }
    // Owners that are all back need nobody to stand in for them.
    const auto is_back = [this](PartitionId partition) {
      return std::ranges::all_of(core_.options.owners_of(partition), [this](NodeNumber owner) {
        return owner == core_.options.node || receivers_.contains(owner);
      });
    };
    for (auto at = receiver.given.begin(); at != receiver.given.end();) {
      const bool idle = now_us - at->second.wanted_us >= kStandInUs;
      at = idle && is_back(at->first) ? receiver.given.erase(at) : std::next(at);
    }
  }
  if (store_.held().empty()) return;
  forget_delivered();  // once more: the log may not have taken it when the last owner answered
  for (auto& [node, owner] : owners_) {
    const std::int64_t patience_us = owner.asked != 0 ? kHintLostUs : kAskOwnerUs;
    if (now_us - owner.asked_us >= patience_us) ask(node, owner);
  }
}

HintStats Hints::stats() const {
  HintStats stats = store_.stats();
  for (const auto& [partition, held] : store_.held()) {
    if (held.hints.empty()) continue;
    ++stats.partitions;
    const auto oldest_ms = held.hints.front().kept_ms;
    stats.oldest_ms = stats.oldest_ms == 0 ? oldest_ms : std::min(stats.oldest_ms, oldest_ms);
    const auto said = acknowledged_.find(partition);
    for (const NodeNumber node : core_.options.owners_of(partition)) {
      const auto has = [&]() -> const VersionVector* {
        if (said == acknowledged_.end()) return nullptr;
        const auto by_node = said->second.find(node);
        return by_node == said->second.end() ? nullptr : &by_node->second;
      }();
      const auto lacking = std::ranges::count_if(held.hints, [&](const HintStore::Hint& hint) {
        return has == nullptr || !has->covers(hint.dot);
      });
      if (lacking > 0) stats.waiting[node] += static_cast<std::uint64_t>(lacking);
    }
  }
  return stats;
}

}  // namespace even
