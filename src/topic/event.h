// An event on its way to a topic: a record, and the topic's name. See docs/emit.md.
//
// Values and functions, on any thread. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace even::topic {

// Views what it was read from.
struct Event {
  std::string_view topic;
  std::string_view key;  // empty: the record has none
  std::string_view value;
  std::vector<std::pair<std::string_view, std::string_view>> headers;

  // About what it takes in a batch.
  std::size_t bytes() const;
  std::string encode() const;
  static std::optional<Event> decode(std::string_view bytes);
};

// A record with more than this is refused: with its batch's head, Kafka's message.max.bytes.
inline constexpr std::size_t kMostEventBytes = 1'048'588 - 128;

// Kafka's hash of keys (murmur2, seed 0x9747b28c), of which its Java client makes partitions.
std::uint32_t murmur2(std::string_view key);
// The one that an event goes to: of a key, that of Kafka's Java client; of none, `source` says.
std::uint16_t partition_of(const Event& event, PartitionId source, std::uint16_t partitions);

// A batch of these records, without a producer, uncompressed; at least one.
struct TimedEvent {
  Event event;
  std::int64_t time_ms = 0;  // Unix time
};
std::string make_batch(std::span<const TimedEvent> events);

}  // namespace even::topic
