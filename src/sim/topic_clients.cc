#include "sim/topic_clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/cmd_meta.h"
#include "replica/topic_log.h"
#include "topic/event.h"
#include "topic/marker.h"
#include "topic/record_batch.h"
#include "topic/test_batch.h"

namespace even::sim {
namespace {

constexpr std::size_t kProducers = 2;
constexpr std::int64_t kProducerPatienceUs = 300'000;
constexpr std::int64_t kRelayDeadlineUs = 2'000'000;
constexpr std::int64_t kTransactionPatienceUs = 500'000;
constexpr std::int64_t kAskAgainUs = 10'000;
constexpr std::int64_t kHopToNodeUs = 200;
constexpr std::int64_t kConsumeEveryUs = 5'000;
constexpr std::int64_t kDeleteEveryUs = 500'000;
constexpr std::int64_t kGrowEveryUs = 1'500'000;
constexpr std::size_t kMostTopicPartitions = 5;
constexpr std::int64_t kAgreementUs = 10'000'000;
// The changes that events come with: fields of these hashes.
constexpr std::string_view kStrongChanges = "strong:base:changes";
constexpr std::string_view kChanges = "changes";

std::string changes_key(std::string_view outbox) {
  return std::string(kChanges).append(outbox.substr(kOutboxKey.size()));
}

// Of an event of a feed, what was written to the key; of a snapshot, and of a key that was deleted
// by who deletes all, "r", "d", and what tells it from others.
std::string value_of_feed(std::string_view key, std::string_view json) {
  const auto text = [json](std::string_view name) {
    const std::size_t at = json.find(name);
    if (at == std::string_view::npos) violated(fmt::format("an event without {}: {}", name, json));
    const std::string_view rest = json.substr(at + name.size());
    return rest.substr(0, rest.find('"'));
  };
  const std::string_view op = text(R"("op":")");
  if (op == "d") {
    return fmt::format("d{}/{}/{}", key, text(R"("origin":")"), text(R"("seq":")"));
  }
  const std::string_view value = text(R"("value":")");
  if (op == "c") return std::string(value);
  if (op != "r") violated(fmt::format("a key that was written once has the event {}", json));
  return fmt::format("r{}/{}/{}", value, text(R"("origin":")"), text(R"("seq":")"));
}

// Values of a batch whose records have a key or none, and no headers.
void append_values(std::string_view records, std::vector<std::string>& values) {
  const auto number = [&records] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(records.front());
      records.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
  };
  while (!records.empty()) {
    number();
    records.remove_prefix(1);
    number();
    number();
    const auto key_size = static_cast<std::size_t>(std::max<std::int64_t>(number(), 0));
    const std::string_view key = records.substr(0, key_size);
    records.remove_prefix(key_size);
    const auto size = static_cast<std::size_t>(number());
    const std::string_view value = records.substr(0, size);
    values.push_back(value.starts_with('{') ? value_of_feed(key, value) : std::string(value));
    records.remove_prefix(size + 1);
  }
}

}  // namespace

void TopicClients::begin() {
  for (std::size_t i = 0; i < kProducers; ++i) {
    producers_.push_back({.id = static_cast<std::int64_t>(i), .batch = {}});
    run_.scheduler.after(run_.around(run_.options.topic_every_us), [this, i] { produce(i); });
  }
  run_.scheduler.after(run_.around(run_.options.topic_every_us), [this] { emit(); });
  run_.scheduler.after(run_.around(kConsumeEveryUs), [this] { consume(); });
  if (grows_) run_.scheduler.after(run_.around(kGrowEveryUs), [this] { grow(); });
  if (run_.options.topic_deletes) {
    run_.scheduler.after(run_.around(kDeleteEveryUs), [this] { delete_records(); });
  }
}

// --- Requests

void TopicClients::ask(std::shared_ptr<Asked> asked, NodeNumber to) {
  run_.scheduler.after(1 + static_cast<std::int64_t>(random_.below(2 * kHopToNodeUs)),
                       [this, asked = std::move(asked), to] {
                         if (!asked->done) return;
                         if (run_.scheduler.now_us() > asked->until_us) return finish(asked, {});
                         Node& node = *nodes_[to - 1];
                         if (!node.up()) return ask_again(asked);
                         StrongRequest request;
                         request.group = asked->group;
                         request.transaction = asked->commands.size() > 1;
                         for (const auto& words : asked->views)
                           request.commands.emplace_back(words);
                         request.batch = asked->batch;
                         request.trim_to = asked->trim_to;
                         node.execute_strong(std::move(request),
                                             [this, asked](const StrongOutcome& outcome) {
                                               using Kind = StrongOutcome::Kind;
                                               if (outcome.kind == Kind::kReply)
                                                 return finish(asked, outcome.reply);
                                               if (outcome.kind == Kind::kUnknown)
                                                 return finish(asked, {});
                                               if (outcome.leader == 0) return ask_again(asked);
                                               ask(asked, outcome.leader);
                                             });
                       });
  // An answer may never come: the node may be gone by then.
}

void TopicClients::ask_again(std::shared_ptr<Asked> asked) {
  run_.scheduler.after(1 + static_cast<std::int64_t>(random_.below(2 * kAskAgainUs)),
                       [this, asked = std::move(asked)] { ask(asked, any_node()); });
}

void TopicClients::finish(const std::shared_ptr<Asked>& asked, const std::string& reply) {
  if (!asked->done) return;
  const auto done = std::exchange(asked->done, nullptr);
  // Not in the middle of the node's turn.
  run_.scheduler.after(1, [done, reply] { done(reply); });
}

void TopicClients::relay(PartitionId group, std::vector<std::string> words, Shard::RelayDone done) {
  auto asked = std::make_shared<Asked>();
  asked->group = group;
  asked->commands.push_back(std::move(words));
  asked->views.emplace_back(asked->commands[0].begin(), asked->commands[0].end());
  asked->until_us = run_.scheduler.now_us() + kRelayDeadlineUs;
  auto shared = std::make_shared<Shard::RelayDone>(std::move(done));
  asked->done = [shared](const std::string& reply) {
    (*shared)(reply.empty() ? "-UNCERTAIN\r\n" : reply);
  };
  run_.scheduler.after(2 * kRelayDeadlineUs, [this, asked] { finish(asked, {}); });
  ask(std::move(asked), any_node());
}

// --- Producers

void TopicClients::produce(std::size_t p) {
  if (run_.settling) return;
  const auto again = [this, p] {
    run_.scheduler.after(run_.around(run_.options.topic_every_us), [this, p] { produce(p); });
  };
  if (!tables_.topic()) return again();
  Producer& producer = producers_[p];
  for (std::uint64_t i = 1 + random_.below(3); i > 0; --i) {
    producer.batch.push_back(fmt::format("p{}:{}", p, producer.sent++));
  }
  ++under_way_;
  send(p);
}

// Until it is acknowledged, beside what may still be under way of it.
void TopicClients::send(std::size_t p) {
  Producer& producer = producers_[p];
  auto asked = std::make_shared<Asked>();
  asked->group = *tables_.topic();
  asked->batch = topic::test::make_batch(
      producer.batch,
      {.producer_id = producer.id, .producer_epoch = 0, .base_sequence = producer.sequence});
  asked->until_us = run_.scheduler.now_us() + 20 * kProducerPatienceUs;
  asked->done = [this, p, sequence = producer.sequence](const std::string& reply) {
    Producer& producer = producers_[p];
    if (producer.batch.empty() || producer.sequence != sequence) return;  // another time
    if (reply.empty()) return;
    if (!reply.starts_with(':')) {
      violated(fmt::format("producer {}: batch {} is answered with {}", p, sequence, reply));
    }
    run_.event("producer {}: batch {} is at {}", p, sequence, reply);
    ++run_.outcome.records_produced;
    acknowledged_.insert(producer.batch.begin(), producer.batch.end());
    producer.sequence += static_cast<std::int32_t>(producer.batch.size());
    producer.batch.clear();
    --under_way_;
    run_.scheduler.after(run_.around(run_.options.topic_every_us), [this, p] { produce(p); });
  };
  // Sent again while the first may be applied yet.
  run_.scheduler.after(run_.around(kProducerPatienceUs), [this, p, sequence = producer.sequence] {
    const Producer& now = producers_[p];
    if (!now.batch.empty() && now.sequence == sequence) send(p);
  });
  ask(std::move(asked), any_node());
}

// --- A consumer, at whatever node

void TopicClients::consume() {
  run_.scheduler.after(run_.around(kConsumeEveryUs), [this] { consume(); });
  const auto partitions = tables_.topic_partitions();
  if (partitions.empty()) return;
  const auto partition = static_cast<std::size_t>(random_.below(partitions.size()));
  Node& node = *nodes_[any_node() - 1u];
  if (!node.serves()) return;
  Shard& shard = node.hosting(partitions[partition]).shard();
  const auto status = shard.topic(partitions[partition]);
  if (!status) return;
  check_start(node, partitions[partition], *status);
  std::int64_t& next = next_offsets_[partition];
  if (status->end <= next) return;
  if (status->start > next) {
    missed_ = true;
    next = status->start;
    if (status->end == status->start) return;
  }
  shard.read_topic(partitions[partition], next, 1 << 16,
                   [this, partition, from = next, number = node.number](Result<std::string> bytes) {
                     // What cannot be read now is asked for again, elsewhere.
                     if (!bytes) return;
                     std::int64_t& next = next_offsets_[partition];
                     next = std::max(next, take(number, partition, *bytes, from));
                   });
}

// Only who has just been given a state may have more of the log behind it than has gone.
void TopicClients::check_start(const Node& node, PartitionId partition,
                               const TopicStatus& status) const {
  const std::uint64_t start = node.state(partition).vector()[kTopicStart];
  if (!status.leads || status.start == static_cast<std::int64_t>(start)) return;
  violated(fmt::format("n{} leads the topic from {} on, which begins at {}", node.number,
                       status.start, start));
}

// Nodes hear of it one after the other, while events of before and after are on their way.
void TopicClients::grow() {
  if (run_.settling) return;
  run_.scheduler.after(run_.around(kGrowEveryUs), [this] { grow(); });
  const std::size_t had = tables_.topic_partitions().size();
  if (had == 0 || had >= kMostTopicPartitions) return;
  auto asked = std::make_shared<Asked>();
  asked->group = meta_partition(run_.options.partitions);
  asked->commands = {{std::string(kMetaCommand), "ALTERTOPIC", "events", "PARTITIONS",
                      std::to_string(had + 1 + random_.below(2))}};
  for (const auto& words : asked->commands) asked->views.emplace_back(words.begin(), words.end());
  asked->until_us = run_.scheduler.now_us() + kTransactionPatienceUs;
  ++under_way_;
  asked->done = [this](const std::string& reply) {
    --under_way_;
    run_.event("the topic is given partitions: {}", reply);
  };
  run_.scheduler.after(2 * kTransactionPatienceUs, [this, asked] { finish(asked, {}); });
  ask(std::move(asked), any_node());
}

std::int64_t TopicClients::take(NodeNumber node, std::size_t partition, std::string_view bytes,
                                std::int64_t offset) {
  while (!bytes.empty()) {
    const auto size = 12 + get_big_endian<std::uint32_t>(bytes.data() + 8);
    const std::string_view batch = bytes.substr(0, size);
    bytes.remove_prefix(size);
    const auto head = topic::read_head(batch);
    const bool has_offset =
        head && head->base_offset <= offset && offset < head->base_offset + head->offsets();
    const bool intact = topic::Marker::decode(batch).has_value() ||
                        topic::check_batch(batch) == topic::BatchFault::kNone;
    if (!intact || !has_offset) {
      violated(fmt::format("n{}: no batch has the offset {}", node, offset));
    }
    offset = head->base_offset + head->offsets();
    if (head->control()) continue;
    std::vector<std::string> values;
    append_values(batch.substr(topic::kBatchHeadBytes), values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto [known, first] = values_at_.try_emplace(
          {partition, head->base_offset + static_cast<std::int64_t>(i)}, values[i]);
      if (known->second == values[i]) continue;
      violated(fmt::format("n{}: offset {} of {} is that of {}, and was that of {}", node,
                           known->first.second, partition, values[i], known->second));
    }
  }
  return offset;
}

// Of what the consumer has read, most times.
void TopicClients::delete_records() {
  if (run_.settling) return;
  run_.scheduler.after(run_.around(kDeleteEveryUs), [this] { delete_records(); });
  const auto partitions = tables_.topic_partitions();
  if (partitions.empty()) return;
  const auto partition = static_cast<std::size_t>(random_.below(partitions.size()));
  auto asked = std::make_shared<Asked>();
  asked->group = partitions[partition];
  asked->trim_to = static_cast<std::int64_t>(random_.below(
      static_cast<std::uint64_t>(next_offsets_[partition]) + (random_.chance(0.1) ? 5 : 1)));
  asked->until_us = run_.scheduler.now_us() + kTransactionPatienceUs;
  ++under_way_;
  asked->done = [this](const std::string&) { --under_way_; };
  run_.scheduler.after(2 * kTransactionPatienceUs, [this, asked] { finish(asked, {}); });
  ask(std::move(asked), any_node());
}

// --- Events

// By who knows of all partitions, or has not heard of any that were added.
std::string TopicClients::event_of(const std::string& value) {
  const std::string topic = tables_.event_topic(grows_ && random_.chance(0.3));
  return topic::Event{.topic = topic, .key = value, .value = value, .headers = {}}.encode();
}

void TopicClients::emit() {
  if (run_.settling) return;
  run_.scheduler.after(run_.around(run_.options.topic_every_us), [this] { emit(); });
  if (!tables_.topic()) return;
  if (random_.chance(0.3)) return change_fed();
  random_.chance(0.5) ? emit_strong() : emit_eventual();
}

void TopicClients::emit_strong() {
  auto asked = std::make_shared<Asked>();
  const auto& groups = groups_.groups();
  asked->group = groups[random_.below(groups.size())];
  const std::string value = fmt::format("s{}", values_++);
  asked->commands = {
      {"hset", std::string(kStrongChanges), value, "1"},
      {std::string(kStrongOutboxCommand.name), std::string(kOutboxKey), event_of(value)}};
  for (const auto& words : asked->commands) asked->views.emplace_back(words.begin(), words.end());
  asked->until_us = run_.scheduler.now_us() + kTransactionPatienceUs;
  ++under_way_;
  asked->done = [this, value](const std::string& reply) {
    --under_way_;
    if (reply.starts_with('*')) acknowledged_.insert(value);
  };
  run_.scheduler.after(2 * kTransactionPatienceUs, [this, asked] { finish(asked, {}); });
  ask(std::move(asked), any_node());
}

void TopicClients::emit_eventual() {
  const auto partition = static_cast<PartitionId>(random_.below(run_.options.partitions));
  const auto replicas = run_.placement.replicas(partition);
  Node& node = *nodes_[replicas[random_.below(replicas.size())] - 1u];
  if (!node.serves()) return;
  const std::string value = fmt::format("e{}", values_++);
  const std::string_view outbox = outboxes_.of(partition);
  const std::string key = changes_key(outbox);
  const std::string event = event_of(value);
  const std::string_view change[] = {"hset", key, value, "1"};
  const std::string_view emission[] = {kOutboxCommand.name, outbox, event};
  const auto made = node.emit(partition, change, emission);
  if (!made) return;
  ++run_.outcome.events_emitted;
  emitted_[value] = {partition, *made};
}

void TopicClients::change_fed() {
  const auto partition = static_cast<PartitionId>(random_.below(run_.options.partitions));
  const auto replicas = run_.placement.replicas(partition);
  Node& node = *nodes_[replicas[random_.below(replicas.size())] - 1u];
  if (!node.serves()) return;
  const std::string value = fmt::format("f{}", values_++);
  const std::string key = fed_key(partition, value);
  const bool fed = node.hosting(partition).shard().has_feed(key);
  // One that has lost what it knew of keyspaces takes no clients before it knows them again.
  if (!fed && feeding_.contains(node.number)) return;
  const std::string_view change[] = {"set", key, value};
  const auto made = node.change(partition, change);
  if (!made) return;
  ++run_.outcome.fed_changes;
  (fed ? emitted_ : before_feed_)[value] = {partition, *made};
}

std::string TopicClients::fed_key(PartitionId partition, const std::string& value) const {
  return fmt::format("fed:{}{}", outboxes_.of(partition).substr(kOutboxKey.size()), value);
}

bool TopicClients::feeds_are_quiet() const {
  return std::ranges::all_of(nodes_, [this](const auto& node) {
    if (!node->up()) return true;
    for (PartitionId id = 0; id < run_.options.partitions; ++id) {
      if (node->hosting(id).shard().stats().feed_snapshots > 0) return false;
    }
    return true;
  });
}

// --- In the end

std::size_t TopicClients::waiting() const {
  std::size_t events = 0;
  const auto count = [&events](const PartitionState& state, std::string_view key) {
    if (const Object* outbox = state.find(key, hash64(key))) events += outbox->hash().live();
  };
  for (const auto& node : nodes_) {
    if (!node->up()) continue;
    for (PartitionId p = 0; p < run_.options.partitions; ++p) {
      if (run_.placement.holds(node->number, p)) count(node->state(p), outboxes_.of(p));
    }
    for (const GroupStatus& status : node->groups()) {
      if (status.leads) count(node->state(status.group), kOutboxKey);
    }
  }
  return events;
}

bool TopicClients::idle() const {
  return run_.settling && under_way_ == 0 && waiting() == 0 && feeds_are_quiet();
}

// All that it has, from the start on.
void TopicClients::read_all(Node& node, std::size_t partition) {
  const PartitionId topic = tables_.topic_partitions()[partition];
  Shard& shard = node.hosting(topic).shard();
  const auto status = shard.topic(topic);
  if (!status) return;
  for (std::int64_t offset = status->start; offset < status->end;) {
    auto bytes = std::make_shared<std::optional<Result<std::string>>>();
    shard.read_topic(topic, offset, 1 << 20,
                     [bytes](Result<std::string> given) { *bytes = std::move(given); });
    while (!*bytes && run_.scheduler.step(run_.scheduler.now_us() + 1'000'000)) {
    }
    const std::int64_t start = shard.topic(topic)->start;
    if (*bytes && !**bytes && start > offset) {  // it has gone meanwhile
      offset = start;
      continue;
    }
    if (!*bytes || !**bytes) {
      violated(fmt::format("n{}: records from {} on cannot be read: {}", node.number, offset,
                           *bytes ? (**bytes).error().message : "no answer"));
    }
    offset = take(node.number, partition, ***bytes, offset);
  }
}

// On where the log begins and ends. Leaders go on letting records go by age.
void TopicClients::await_agreement(const char* when, PartitionId topic) {
  std::string differ;
  const auto agree = [&] {
    std::optional<TopicStatus> known;
    differ.clear();
    bool same = true;
    for (const auto& node : nodes_) {
      const auto status = node->hosting(topic).shard().topic(topic);
      if (!status) continue;
      differ += fmt::format(" n{}: {} to {}", node->number, status->start, status->end);
      same = same && (!known || (known->start == status->start && known->end == status->end));
      known = status;
    }
    return same;
  };
  const std::int64_t deadline = run_.scheduler.now_us() + kAgreementUs;
  while (!agree()) {
    if (run_.scheduler.step(deadline)) continue;
    violated(fmt::format("{}: nodes differ in what records there are:{}", when, differ));
  }
}

std::set<std::string> TopicClients::strong_changes() const {
  std::set<std::string> all;
  for (const PartitionId group : groups_.groups()) {
    const auto leader = groups_.leader(group);
    if (!leader) violated(fmt::format("group {} has no leader in the end", group));
    const PartitionState& state = nodes_[leader->node - 1u]->state(group);
    const Object* object = state.find(kStrongChanges, hash64(kStrongChanges));
    if (object == nullptr) continue;
    object->hash().for_each([&all](std::string_view field, const ScalarView& scalar) {
      if (scalar.live()) all.emplace(field);
    });
  }
  return all;
}

// Whatever has become of the key since.
bool TopicClients::has_change(PartitionId partition, const Dot& dot) const {
  const NodeNumber first = run_.placement.replicas(partition)[0];
  return run_.oracle.seen_by(nodes_[first - 1u]->state(partition), partition, dot);
}

// A producer's values are numbered.
void TopicClients::check_order() const {
  std::map<std::string, std::uint64_t> next;
  for (const auto& [at, value] : values_at_) {
    const std::size_t colon = value.find(':');
    if (!value.starts_with('p') || colon == std::string::npos) continue;
    const std::string producer = value.substr(0, colon);
    const std::uint64_t number = std::stoull(value.substr(colon + 1));
    const std::uint64_t expected = next[producer];
    if (number != expected && (number < expected || !missed_)) {
      violated(fmt::format("the topic has {} where {}:{} was expected", value, producer, expected));
    }
    next[producer] = number + 1;
  }
}

// What there was before the feed is told by the snapshot.
void TopicClients::check_feed(const char* when, const std::set<std::string>& there) const {
  if (missed_) return;
  for (const auto& [value, change] : before_feed_) {
    const auto& [partition, dot] = change;
    if (run_.oracle.is_forgiven(dot.replica) || !has_change(partition, dot)) continue;
    // It may have been deleted before the snapshot came to it.
    const std::string key = fed_key(partition, value);
    // The snapshot tells what its maker holds.
    if (run_.oracle.was_falsified(key)) continue;
    const NodeNumber first = run_.placement.replicas(partition)[0];
    const Object* object = nodes_[first - 1u]->state(partition).find(key, hash64(key));
    if (object == nullptr || !object->live()) continue;
    const std::string told = fmt::format("r{}/", value);
    const auto found = there.lower_bound(told);
    if (found != there.end() && found->starts_with(told)) continue;
    violated(
        fmt::format("{}: {}, of record {} of partition {}, was there before the feed, and is "
                    "in no snapshot",
                    when, value, dot.to_string(), partition));
  }
}

void TopicClients::check(const char* when) {
  if (!tables_.topic()) return;
  const auto partitions = tables_.topic_partitions();
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    await_agreement(when, partitions[i]);
    for (const auto& node : nodes_) read_all(*node, i);
  }
  std::set<std::string> there;
  for (const auto& [at, value] : values_at_) {
    if (there.insert(value).second) continue;
    // Made-up keys (Check::falsify) have all the same content and the same dot.
    if (run_.options.falsify_every_us > 0 && value.starts_with("rfalse/")) continue;
    violated(fmt::format("{}: {} is twice in the topic", when, value));
  }
  // What was gone before anybody had read it is not known.
  const auto is_lost = [&](const std::string& value) { return !missed_ && !there.contains(value); };
  for (const std::string& value : acknowledged_) {
    if (!is_lost(value)) continue;
    violated(fmt::format("{}: {} was acknowledged and is not in the topic", when, value));
  }
  check_order();
  check_feed(when, there);
  const std::set<std::string> changed = strong_changes();
  for (const std::string& value : changed) {
    if (is_lost(value)) violated(fmt::format("{}: {} has no event", when, value));
  }
  for (const std::string& value : there) {
    if (!value.starts_with('s') || changed.contains(value)) continue;
    violated(fmt::format("{}: the event {} has no change", when, value));
  }
  for (const auto& [value, change] : emitted_) {
    const auto& [partition, dot] = change;
    // What may be lost with its change may also have been relayed before.
    if (run_.oracle.is_forgiven(dot.replica)) continue;
    const bool changed_here = has_change(partition, dot);
    if (changed_here ? !is_lost(value) : !there.contains(value)) continue;
    // So may what one node alone had for good, which has lost its disk since.
    if (!changed_here && run_.oracle.any_forgiven()) continue;
    violated(fmt::format("{}: {}, of record {} of partition {}, {}", when, value, dot.to_string(),
                         partition,
                         there.contains(value) ? "is an event without its change"
                                               : "is a change without its event"));
  }
}

}  // namespace even::sim
