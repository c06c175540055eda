#include "replica/relay.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "cluster/topic_ranges.h"
#include "topic/event.h"
#include "topic/event_topic.h"

namespace even {
namespace {

using topic::EventId;

// Of one batch; one event may have more.
constexpr std::size_t kMostEvents = 1'000;
constexpr std::size_t kMostBytes = 512 << 10;
// Before what has failed is tried again, at first; each further failure doubles it, up to the most.
constexpr std::int64_t kAgainUs = 100'000;
constexpr std::int64_t kMostAgainUs = 2'000'000;
constexpr std::uint32_t kMostDoublings = 5;
// The same for an outbox of which nothing could be sent.
constexpr std::int64_t kPauseUs = 200'000;
// For each event of an outbox that has been read, so much is done first that is not reading it.
constexpr std::int64_t kRestUs = 5;
// An eventual partition in which the same event to a target has been the first for so long is
// relayed by others than the first of its replicas, too; they look for such ones now and then.
constexpr std::int64_t kRelayPatienceUs = 3'000'000;
constexpr std::int64_t kLookUs = 500'000;
// A partition without an outbox is looked at again when its digest is another; and after so long,
// as a repair may bring back what the digest had been right about.
constexpr std::int64_t kEmptyUs = 1'000'000;

}  // namespace

Relay::Relay(ShardCore& core, Groups& groups)
    : core_(core), groups_(groups), keys_(kOutboxKey, core.options.partition_count) {
  for (PartitionId id = 0; id < core.options.partition_count; ++id) {
    hashes_.push_back(hash64(keys_.of(id)));
  }
}

void Relay::tick() {
  if (!relay_to_) return;
  take_outcomes();
  syncing_ = false;
  // No event has been made before there was a topic.
  if (!core_.keyspaces->topics().empty() || !sources_.empty()) {
    const std::int64_t now_us = core_.clock.monotonic_us();
    for (Partition* partition : core_.all_partitions()) {
      const auto empty = empty_.find(partition->id);
      if (empty != empty_.end() && empty->second.digest == partition->state.digest() &&
          now_us < empty->second.until_us) {
        continue;
      }
      try {
        look(*partition, now_us);
      } catch (const Unreadable& error) {
        sources_[partition->id].damaged_until_us = now_us + kMostAgainUs;
        unreadable_ = error;
      }
    }
    note_stats(core_.clock.wall_ms());
  }
  if (const auto unreadable = std::exchange(unreadable_, std::nullopt)) throw *unreadable;
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

bool Relay::is_preferred(const Partition& partition) const {
  for (const NodeNumber node : partition.replicas) {
    if (node == core_.options.node) return true;
    if (linked_.contains(node)) break;
  }
  return false;
}

bool Relay::is_due(const Source& source, std::size_t live, bool relays, std::int64_t now_us) const {
  if (source.woken || now_us >= source.look_again_us) return true;
  const bool changed = live != source.live || source.topics != core_.keyspaces->version();
  return relays && changed && now_us >= source.rest_until_us;
}

void Relay::look(Partition& partition, std::int64_t now_us) {
  const auto known = sources_.find(partition.id);
  if (known == sources_.end() && partition.state.empty()) return;  // as those of topics are
  if (known != sources_.end() && now_us < known->second.damaged_until_us) return;
  const bool strong = core_.is_strong(partition.id);
  const bool ready =
      strong ? leading_group(partition.id) != nullptr : partition.replayed && !partition.damaged();
  const Object* outbox = ready ? find_outbox(partition) : nullptr;
  if (outbox == nullptr) {
    if (known == sources_.end()) {
      if (ready) empty_[partition.id] = {partition.state.digest(), now_us + kEmptyUs};
      return;
    }
    // What is under way is forgotten with it: whoever relays then sends it again.
    if (!ready || !known->second.stands_in()) {
      sources_.erase(known);
      return;
    }
    known->second.flows.clear();
    known->second.live = known->second.waiting = 0;
    return;
  }
  Source& source = sources_[partition.id];
  const bool preferred = strong || is_preferred(partition);
  if (preferred) source.firsts.clear();
  if (preferred && !source.preferred) source.woken = true;
  source.preferred = preferred;
  std::size_t under_way = 0;
  for (auto& [target, flow] : source.flows) {
    under_way += flow.ids.size();
    release(partition.id, target, flow);
  }
  const std::size_t live = outbox->hash().live();
  const bool relays = preferred || source.stands_in();
  source.waiting = relays ? live : 0;  // else another one counts them
  if (live <= under_way || !is_due(source, live, relays, now_us)) return;
  const std::vector<Waiting> events = read(partition.id, *outbox);
  source.live = live;
  source.topics = core_.keyspaces->version();
  source.woken = false;
  source.rest_until_us = now_us + static_cast<std::int64_t>(live) * kRestUs;
  if (!events.empty()) source.oldest_ms = events.front().time.wall_ms();
  if (!preferred) note_firsts(source, events, *outbox, now_us);
  const bool sent = send(partition, source, *outbox, events, preferred, now_us);
  source.pause_us = sent ? kPauseUs : std::clamp(2 * source.pause_us, kPauseUs, kMostAgainUs);
  // Whoever waits for another one looks at what waits.
  source.look_again_us = now_us + (preferred || source.firsts.empty() ? source.pause_us : kLookUs);
  for (const auto& [target, flow] : source.flows) {
    if (now_us >= flow.not_before_us) continue;
    source.look_again_us = std::min(source.look_again_us, flow.not_before_us);
  }
}

void Relay::note_firsts(Source& source, std::span<const Waiting> events, const Object& outbox,
                        std::int64_t now_us) const {
  absl::btree_map<PartitionId, const Waiting*> now_first;
  for (const Waiting& event : events) {
    if (event.target) now_first.try_emplace(*event.target, &event);
  }
  absl::erase_if(source.firsts, [&](const auto& each) {
    return !each.second.taken_over && !now_first.contains(each.first);
  });
  const auto is_there = [&outbox](const EventId& id) {
    std::string field;
    id.encode(field);
    return outbox.hash().find(field).live();
  };
  const std::int64_t now_ms = core_.clock.wall_ms();
  for (const auto& [target, event] : now_first) {
    First& first = source.firsts[target];
    if (first.since_us == 0) {
      first = {.id = event->id, .since_us = now_us};
    } else if (!is_there(first.id)) {
      first = {.id = event->id,
               .since_us = now_us,
               .taken_over = first.taken_over && first.removed_here};
    }
    const std::int64_t waited_us = now_us - first.since_us;
    first.is_ours = waited_us >= kRelayPatienceUs;
    if (first.taken_over) {
      const std::int64_t age_us = (now_ms - event->time.wall_ms()) * 1000;
      first.is_ours = std::max(waited_us, age_us) >= kLookUs;
    }
    first.taken_over = first.taken_over || first.is_ours;
  }
}

std::vector<Relay::Waiting> Relay::read(PartitionId source, const Object& outbox) const {
  std::vector<Waiting> events;
  events.reserve(outbox.hash().live());
  outbox.hash().for_each([&](std::string_view field, const ScalarView& scalar) {
    if (!scalar.live()) return;
    std::string scratch;
    const auto waiting = read_waiting_event(field, scalar.value(scratch));
    if (!waiting) return;
    Waiting& event = events.emplace_back(Waiting{waiting->id, waiting->time, 0, {}});
    const auto decoded = topic::Event::decode(waiting->event);
    if (!decoded) return;
    event.bytes = decoded->bytes();
    const topic::EventTopic wanted = topic::read_event_topic(decoded->topic);
    const cluster::Keyspace* topic = core_.keyspaces->find_topic(wanted.name);
    // It may be of a topic of which this node does not know yet.
    const bool is_later = topic != nullptr && wanted.partitions > 0 && wanted.life > topic->first;
    if (topic == nullptr || is_later) return;
    // By what the event says, not by how many partitions there are by now: whoever else relays it,
    // or has done so, takes it to the same one. This node may not know of that yet.
    const bool told = wanted.partitions > 0 && wanted.life == topic->first;
    std::uint16_t partitions = told ? wanted.partitions : topic->partitions;
    if (EVEN_MUTANT(kRelayByPresentPartitions)) {
      partitions =
          cluster::partitions_in(cluster::ranges_of(core_.keyspaces->topics(), wanted.name));
    }
    event.target = cluster::partition_of_topic(core_.keyspaces->topics(), wanted.name,
                                               topic::partition_of(*decoded, source, partitions));
  });
  core_.stats.events_read += events.size();
  std::ranges::sort(events, {}, &Waiting::id);
  for (std::size_t i = 1; i < events.size(); ++i) {
    if (events[i].id.origin != events[i - 1].id.origin) continue;
    events[i].time = std::max(events[i].time, events[i - 1].time);
  }
  std::ranges::stable_sort(events, {}, &Waiting::time);
  return events;
}

bool Relay::send(const Partition& partition, Source& source, const Object& outbox,
                 std::span<const Waiting> events, bool preferred, std::int64_t now_us) {
  struct Batch {
    std::vector<const Waiting*> events;
    std::size_t bytes = 0;
    bool full = false;
  };
  absl::btree_map<PartitionId, Batch> batches;
  for (const Waiting& event : events) {
    if (!event.target) continue;
    const Flow& flow = source.flows[*event.target];
    if (flow.under_way() || now_us < flow.not_before_us) continue;
    if (!preferred && !source.firsts[*event.target].is_ours) continue;
    Batch& batch = batches[*event.target];
    batch.full = batch.full || batch.events.size() == kMostEvents ||
                 (!batch.events.empty() && batch.bytes + event.bytes > kMostBytes);
    if (batch.full) continue;  // nothing overtakes what has no room
    batch.events.push_back(&event);
    batch.bytes += event.bytes;
  }
  for (auto& [target, batch] : batches) {
    // What had to be computed, or is lent, is not there for long.
    std::vector<std::string> kept;
    kept.reserve(batch.events.size());
    std::vector<topic::TimedEvent> timed;
    topic::EventIds ids{partition.id, {}};
    for (const Waiting* event : batch.events) {
      std::string field;
      event->id.encode(field);
      std::string scratch;
      const std::string_view value = kept.emplace_back(outbox.hash().find(field).value(scratch));
      const auto waiting = read_waiting_event(field, value);
      const auto decoded = waiting ? topic::Event::decode(waiting->event) : std::nullopt;
      EVEN_CHECK(decoded.has_value(), "it has been read before, in this turn");
      timed.push_back({*decoded, event->time.wall_ms()});
      ids.ids.push_back(event->id);
    }
    Flow& flow = source.flows[target];
    flow.number = ++flows_;
    flow.words = {std::string(kAppendCommand), topic::make_batch(timed), ids.encode()};
    flow.ids = std::move(ids.ids);
    // What a strong partition has applied is in the logs of a majority.
    flow.after = core_.is_strong(partition.id) ? 0 : core_.log.barrier();
    release(partition.id, target, flow);
  }
  return !batches.empty();
}

void Relay::fail(Source& source, Flow& flow) {
  const std::uint32_t failures = flow.failures + 1;
  const std::int64_t again_us =
      core_.clock.monotonic_us() +
      std::min(kMostAgainUs, kAgainUs << std::min(failures - 1, kMostDoublings));
  flow = {};
  flow.failures = failures;
  flow.not_before_us = again_us;
  source.look_again_us = std::min(source.look_again_us, again_us);
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
  for (const Outcome& outcome : std::exchange(outcomes_, {})) {
    const auto source = sources_.find(outcome.source);
    if (source == sources_.end()) continue;
    const auto flow = source->second.flows.find(outcome.target);
    if (flow == source->second.flows.end()) continue;
    try {
      take(outcome, source->second, flow->second);
    } catch (const Unreadable& error) {
      fail(source->second, flow->second);
      unreadable_ = error;
    }
  }
}

void Relay::take(const Outcome& outcome, Source& source, Flow& flow) {
  if (flow.number != outcome.flow || flow.removing != outcome.removed) return;
  if (outcome.removed) {
    if (!outcome.reply.starts_with('+')) return fail(source, flow);
    flow = {};
    source.woken = true;
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
  if (there.empty() || partition == nullptr) return fail(source, flow);
  remove(*partition, outcome.target, source, flow, std::move(there));
}

void Relay::remove(Partition& partition, PartitionId target, Source& source, Flow& flow,
                   std::vector<EventId> ids) {
  std::vector<std::string> fields;
  fields.reserve(ids.size());
  for (const EventId& id : ids) id.encode(fields.emplace_back());
  if (!core_.is_strong(partition.id)) {
    // What cannot be removed now is sent again, and found to be there.
    if (core_.log.error() || !partition.replayed || partition.damaged()) return fail(source, flow);
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
    if (const auto first = source.firsts.find(target); first != source.firsts.end()) {
      first->second.removed_here |= std::ranges::find(ids, first->second.id) != ids.end();
    }
    flow = {};
    source.woken = true;
    return;
  }
  Group* group = leading_group(partition.id);
  if (group == nullptr) return fail(source, flow);
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
  flow.words.clear();
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
