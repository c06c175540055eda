#include "replica/relay.h"

#include <algorithm>

#include "base/hash.h"
#include "base/mutant.h"
#include "topic/event.h"

namespace even {
namespace {

using topic::EventId;

// Of one batch; one event may have more.
constexpr std::size_t kMostEvents = 1'000;
constexpr std::size_t kMostBytes = 512 << 10;
// Before what has failed is tried again.
constexpr std::int64_t kAgainUs = 100'000;
// An eventual partition in which the same event has been the first for so long is relayed by others
// than the first of its replicas, too; they look for such ones now and then.
constexpr std::int64_t kRelayPatienceUs = 3'000'000;
constexpr std::int64_t kLookUs = 500'000;

}  // namespace

Relay::Relay(ShardCore& core, Groups& groups)
    : core_(core), groups_(groups), keys_(core.options.partition_count) {
  for (PartitionId id = 0; id < core.options.partition_count; ++id) {
    hashes_.push_back(hash64(keys_.of(id)));
  }
}

void Relay::tick() {
  if (!relay_to_) return;
  take_outcomes();
  syncing_ = false;
  // No event has been made before there was a topic.
  if (core_.keyspaces->topics().empty() && sources_.empty()) return;
  for (Partition* partition : core_.all_partitions()) look(*partition);
  note_stats(core_.clock.wall_ms());
}

std::string_view Relay::outbox_of(const Partition& partition) const {
  return core_.is_strong(partition.id) ? kOutboxKey : keys_.of(partition.id);
}

const Object* Relay::find_outbox(const Partition& partition) const {
  static const std::uint64_t strong_hash = hash64(kOutboxKey);
  const bool strong = core_.is_strong(partition.id);
  const Object* object =
      partition.state.find(outbox_of(partition), strong ? strong_hash : hashes_[partition.id]);
  return object != nullptr && object->hash().live() > 0 ? object : nullptr;
}

Group* Relay::leading_group(PartitionId partition) const {
  Group* group = groups_.find(partition);
  return group != nullptr && group->leads() && !group->halted() ? group : nullptr;
}

bool Relay::is_relay(const Partition& partition, const Source& source, std::int64_t now_us) const {
  for (const NodeNumber node : partition.replicas) {
    if (node == core_.options.node) return true;
    if (linked_.contains(node)) break;
  }
  return source.first_since_us != 0 && now_us - source.first_since_us >= kRelayPatienceUs;
}

void Relay::look(Partition& partition) {
  const bool strong = core_.is_strong(partition.id);
  const bool ready =
      strong ? leading_group(partition.id) != nullptr : partition.replayed && !partition.damaged();
  const Object* outbox = ready ? find_outbox(partition) : nullptr;
  if (outbox == nullptr) {
    if (sources_.empty()) return;
    // What is under way is forgotten with it: whoever relays then sends it again.
    sources_.erase(partition.id);
    return;
  }
  const std::int64_t now_us = core_.clock.monotonic_us();
  Source& source = sources_[partition.id];
  const bool relays = strong || is_relay(partition, source, now_us);
  if (!relays && now_us < source.look_again_us) return;
  source.look_again_us = now_us + kLookUs;
  if (relays) return send(partition, source, *outbox, now_us);
  source.waiting = 0;  // another one counts them
  std::vector<std::string> kept;
  const std::vector<WaitingEvent> events = read(*outbox, kept);
  if (events.empty()) return;
  if (source.first_since_us == 0 || source.first != events.front().id) {
    source.first = events.front().id;
    source.first_since_us = now_us;
  }
}

std::vector<WaitingEvent> Relay::read(const Object& outbox, std::vector<std::string>& kept) {
  std::vector<WaitingEvent> events;
  events.reserve(outbox.hash().live());
  kept.reserve(outbox.hash().live());
  outbox.hash().for_each([&](std::string_view field, const ScalarView& scalar) {
    if (!scalar.live()) return;
    std::string scratch;
    const std::string_view value = scalar.value(scratch);
    // What had to be computed, or is lent, is not there for long.
    auto event = read_waiting_event(field, kept.emplace_back(value));
    if (event) events.push_back(*event);
  });
  std::ranges::sort(events, {}, &WaitingEvent::id);
  for (std::size_t i = 1; i < events.size(); ++i) {
    if (events[i].id.origin != events[i - 1].id.origin) continue;
    events[i].time = std::max(events[i].time, events[i - 1].time);
  }
  std::ranges::stable_sort(events, {}, &WaitingEvent::time);
  return events;
}

void Relay::send(const Partition& partition, Source& source, const Object& outbox,
                 std::int64_t now_us) {
  const std::size_t waiting = outbox.hash().live();
  std::size_t under_way = 0;
  for (auto& [target, flow] : source.flows) {
    under_way += flow.ids.size();
    release(partition.id, target, flow);
  }
  source.waiting = waiting;
  if (waiting <= under_way) return;
  std::vector<std::string> kept;
  const std::vector<WaitingEvent> events = read(outbox, kept);
  if (events.empty()) return;
  source.oldest_ms = events.front().time.wall_ms();
  if (source.first_since_us == 0 || source.first != events.front().id) {
    source.first = events.front().id;
    source.first_since_us = now_us;
  }
  struct Batch {
    std::vector<topic::TimedEvent> events;
    topic::EventIds ids;
    std::size_t bytes = 0;
    bool full = false;
  };
  absl::btree_map<PartitionId, Batch> batches;
  for (const WaitingEvent& each : events) {
    const auto event = topic::Event::decode(each.event);
    if (!event) continue;
    const cluster::Keyspace* topic = core_.keyspaces->find_topic(event->topic);
    if (topic == nullptr) continue;  // not here yet, or gone
    const auto target = static_cast<PartitionId>(
        topic->first + topic::partition_of(*event, partition.id, topic->partitions));
    const Flow& flow = source.flows[target];
    if (flow.under_way() || now_us < flow.not_before_us) continue;
    Batch& batch = batches[target];
    batch.full = batch.full || batch.events.size() == kMostEvents ||
                 (!batch.events.empty() && batch.bytes + event->bytes() > kMostBytes);
    if (batch.full) continue;  // nothing overtakes what has no room
    batch.events.push_back({*event, each.time.wall_ms()});
    batch.ids.ids.push_back(each.id);
    batch.bytes += event->bytes();
  }
  for (auto& [target, batch] : batches) {
    batch.ids.partition = partition.id;
    std::vector<std::string> words = {std::string(kAppendCommand), topic::make_batch(batch.events),
                                      batch.ids.encode()};
    Flow& flow = source.flows[target];
    flow.number = ++flows_;
    flow.ids = std::move(batch.ids.ids);
    flow.words = std::move(words);
    // What a strong partition has applied is in the logs of a majority.
    flow.after = core_.is_strong(partition.id) ? 0 : core_.log.barrier();
    release(partition.id, target, flow);
  }
}

void Relay::release(PartitionId source, PartitionId target, Flow& flow) {
  if (flow.words.empty()) return;
  if (core_.log.durable() < flow.after) {
    syncing_ = true;
    return;
  }
  relay_to_(target, std::exchange(flow.words, {}), outcome_of(source, target, flow));
  if (EVEN_MUTANT(kOutboxForgetful)) {
    outcomes_.push_back({source, target, flow.number, false, ":0\r\n"});
  }
}

Shard::RelayDone Relay::outcome_of(PartitionId source, PartitionId target, const Flow& flow) {
  return [weak = std::weak_ptr(self_), source, target, number = flow.number,
          removed = flow.removing](std::string reply) {
    const auto self = weak.lock();
    if (self) (*self)->outcomes_.push_back({source, target, number, removed, std::move(reply)});
  };
}

void Relay::take_outcomes() {
  for (const Outcome& outcome : std::exchange(outcomes_, {})) take(outcome);
}

void Relay::take(const Outcome& outcome) {
  const auto source = sources_.find(outcome.source);
  if (source == sources_.end()) return;
  const auto at = source->second.flows.find(outcome.target);
  if (at == source->second.flows.end()) return;
  Flow& flow = at->second;
  if (flow.number != outcome.flow || flow.removing != outcome.removed) return;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (outcome.removed) {
    flow = {};
    return;
  }
  std::vector<EventId> there;
  if (outcome.reply.starts_with(':')) {
    there = flow.ids;
    core_.stats.events_relayed += there.size();
  } else if (outcome.reply.starts_with('+') && outcome.reply.size() == flow.ids.size() + 3) {
    for (std::size_t i = 0; i < flow.ids.size(); ++i) {
      if (outcome.reply[i + 1] == '1') there.push_back(flow.ids[i]);
    }
    core_.stats.events_repeated += there.size();
  }
  Partition* partition = core_.find(outcome.source);
  if (there.empty() || partition == nullptr) {
    flow = {.not_before_us = now_us + kAgainUs};
    return;
  }
  remove(*partition, outcome.target, flow, std::move(there));
}

void Relay::remove(Partition& partition, PartitionId target, Flow& flow, std::vector<EventId> ids) {
  std::vector<std::string> fields;
  fields.reserve(ids.size());
  for (const EventId& id : ids) id.encode(fields.emplace_back());
  flow = {};
  if (!core_.is_strong(partition.id)) {
    // What cannot be removed now is sent again, and found to be there.
    if (core_.log.error() || !partition.replayed || partition.damaged()) return;
    KeyDelta key;
    key.key = outbox_of(partition);
    for (const std::string& field : fields) {
      LeafDelta& leaf = key.leaves.emplace_back();
      leaf.kind = LeafKind::kField;
      leaf.field = field;
    }
    decltype(Delta::keys) keys;
    keys.push_back(std::move(key));
    core_.write(partition, std::move(keys), RecordOrigin::kRelay);
    return;
  }
  Group* group = leading_group(partition.id);
  if (group == nullptr) return;
  struct Words {
    std::vector<std::string> fields;
    std::vector<std::string_view> views;
  };
  auto words = std::make_shared<Words>();
  words->fields = std::move(fields);
  words->views = {kRelayedCommandName, kOutboxKey};
  words->views.insert(words->views.end(), words->fields.begin(), words->fields.end());
  StrongRequest request;
  request.group = partition.id;
  request.commands.emplace_back(words->views);
  flow.number = ++flows_;
  flow.ids = std::move(ids);
  flow.removing = true;
  group->execute(std::move(request),
                 [words, done = outcome_of(partition.id, target, flow)](
                     StrongOutcome outcome) mutable { done(std::move(outcome.reply)); });
  groups_.touch(*group);
}

void Relay::note_stats(std::int64_t now_ms) {
  std::size_t waiting = 0;
  std::int64_t oldest_ms = now_ms;
  for (const auto& [id, source] : sources_) {
    waiting += source.waiting;
    if (source.waiting > 0) oldest_ms = std::min(oldest_ms, source.oldest_ms);
  }
  core_.stats.events_waiting = waiting;
  core_.stats.event_lag_seconds = static_cast<double>(now_ms - oldest_ms) / 1e3;
}

}  // namespace even
