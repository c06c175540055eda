// Markers: control batches that end a transaction in a partition of a topic. Their bytes are
// Kafka's, so that consumers know them; where Kafka has the epoch of the transaction's coordinator
// there is the transaction's number, for the same purpose. See docs/topic-transactions.md.
// Source: https://kafka.apache.org/documentation/#controlbatch.
//
// Values and functions, on any thread. Parsing is safe for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace even::topic {

struct Marker {
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
  std::uint32_t number = 0;  // of the transaction, among those of its producer
  bool commits = false;
  std::int64_t time_ms = 0;  // Unix time

  bool operator==(const Marker&) const = default;

  std::string encode() const;
  // None: it is no such batch.
  static std::optional<Marker> decode(std::string_view batch);
};

// How far the transactions of a producer are known to be over: those of earlier epochs, and of this
// one those up to a number. Numbers count on with 0 behind the greatest one, and what is compared
// is never half of all numbers apart.
struct Ended {
  std::int16_t epoch = -1;
  std::uint32_t number = 0;

  bool operator==(const Ended&) const = default;
  bool has(std::int16_t of_epoch, std::uint32_t of_number) const {
    if (of_epoch != epoch) return of_epoch < epoch;
    return static_cast<std::int32_t>(of_number - number) <= 0;
  }
};

}  // namespace even::topic
