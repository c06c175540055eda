#include "replica/topic_producers.h"

#include <absl/container/btree_map.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "replica/topic_transactions.h"
#include "topic/event_id.h"
#include "topic/producer_state.h"

namespace even {
namespace {

using topic::EventId;
using topic::ProducerState;

constexpr std::string_view kProducerPrefix{"\0producer:", 10};
constexpr std::string_view kSourcePrefix{"\0source:", 8};

std::optional<std::string> value_of(const Context& context, std::string_view key) {
  const Object* object = context.find(key);
  if (object == nullptr) return std::nullopt;
  std::string scratch;
  return std::string(object->string().value(scratch));
}

std::optional<std::string> refuse_of_producer(Context& context, const topic::BatchHead& head,
                                              std::int64_t base, bool any_sequence) {
  std::string name(kProducerPrefix);
  put_big_endian(name, head.producer_id);
  const std::string_view key = context.keep(std::move(name));
  const auto stored = value_of(context, key);
  std::optional<ProducerState> known;
  if (stored) known = ProducerState::decode(*stored);
  const ProducerState::Checked checked = EVEN_MUTANT(kSequenceNotChecked)
                                             ? ProducerState::Checked{}
                                             : ProducerState::check(known, head, any_sequence);
  switch (checked.verdict) {
    case ProducerState::Verdict::kNext:
      break;
    case ProducerState::Verdict::kDuplicate:
      return fmt::format(":{}\r\n", checked.base);
    case ProducerState::Verdict::kOutOfOrder:
      return "-OUT_OF_ORDER_SEQUENCE_NUMBER something before this batch is missing\r\n";
    case ProducerState::Verdict::kOldEpoch:
      return "-INVALID_PRODUCER_EPOCH the producer has a later epoch\r\n";
    case ProducerState::Verdict::kUnknown:
      return std::string(kUnknownProducer);
  }
  if (!known) {
    known.emplace();
    forget_a_producer(context);
  }
  known->note(head, base);
  KeyWriter& writer = context.write(key);
  writer.set_string(context.keep(known->encode()), false);
  writer.expire_at(context.now_ms + kProducerExpiryMs);
  return std::nullopt;
}

std::optional<std::string> refuse_of_events(Context& context, const topic::BatchHead& head,
                                            std::string_view encoded) {
  const auto events = topic::EventIds::decode(encoded);
  if (!events || static_cast<std::int64_t>(events->ids.size()) != head.offsets()) {
    return "-ERR a batch of events with other ids than records\r\n";
  }
  absl::btree_map<std::uint64_t, EventId> latest;  // by origin
  std::string there;
  for (const EventId& id : events->ids) {
    auto [known, first] = latest.try_emplace(id.origin);
    if (first) {
      std::string name(kSourcePrefix);
      put_big_endian(name, events->partition);
      put_big_endian(name, id.origin);
      if (const auto stored = value_of(context, context.keep(std::move(name)))) {
        known->second = EventId::decode(*stored).value_or(EventId{});
      }
    }
    const bool is_there = id <= known->second && !EVEN_MUTANT(kEventAppendedTwice);
    there.push_back(is_there ? '1' : '0');
    if (!is_there) known->second = id;
  }
  if (there.find('1') != std::string::npos) return "+" + there + "\r\n";
  for (const auto& [origin, id] : latest) {
    std::string name(kSourcePrefix);
    put_big_endian(name, events->partition);
    put_big_endian(name, origin);
    std::string value;
    id.encode(value);
    context.write(context.keep(std::move(name))).set_string(context.keep(std::move(value)), false);
  }
  return std::nullopt;
}

}  // namespace

bool remembers_all_producers(const PartitionState& state) {
  return state.keys_with_expiry() < kMostProducers;
}

void forget_a_producer(Context& context) {
  const PartitionState& state = context.keyspace().state(context.keyspace().partitions().front());
  if (state.keys_with_expiry() < kMostProducers) return;
  std::string_view name;
  state.soonest(
      1, [&](std::string_view key, const Object&) { name = context.keep(std::string(key)); });
  context.write(name).remove();
}

std::optional<std::string> refuse_batch(Context& context, const topic::BatchHead& head,
                                        std::string_view events, std::int64_t base,
                                        bool any_sequence) {
  if (!events.empty()) return refuse_of_events(context, head, events);
  if (head.producer_id < 0) return std::nullopt;
  if (auto refusal = refuse_by_transaction(context, head)) return refusal;
  const PartitionState& state = context.keyspace().state(context.keyspace().partitions().front());
  any_sequence = any_sequence && remembers_all_producers(state);
  if (auto refusal = refuse_of_producer(context, head, base, any_sequence)) return refusal;
  note_transaction(context, head, base);
  return std::nullopt;
}

}  // namespace even
