// What a topic's partition remembers of an idempotent producer, and what follows for the next batch
// of it. The rules are Kafka's: https://kafka.apache.org/documentation/#semantics, KIP-98
// ("Producer state"), KIP-360; where a producer is not known, or not any more, see Verdict.
//
// A value, on any thread. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topic/record_batch.h"

namespace even::topic {

class ProducerState {
 public:
  enum class Verdict : std::uint8_t {
    kNext,        // follows what is there
    kDuplicate,   // it is there already
    kOutOfOrder,  // something before it is missing, or it is older than what is remembered
    kOldEpoch,
    // Nothing is remembered of the producer, and it does not begin. Kafka takes such a batch in,
    // since 2.5; here it is up to the leader (docs/topics.md, "Producers").
    kUnknown,
  };
  struct Checked {
    Verdict verdict = Verdict::kNext;
    std::int64_t base = -1;  // kDuplicate: the offset that it got
  };

  // `known`: none if nothing is remembered; then, if `any_sequence`, the producer begins with this
  // batch. Of a batch that has a producer.
  static Checked check(const std::optional<ProducerState>& known, const BatchHead& batch,
                       bool any_sequence = false);
  // A batch that was kNext has got this offset.
  void note(const BatchHead& batch, std::int64_t base);

  std::string encode() const;
  static std::optional<ProducerState> decode(std::string_view bytes);
  bool operator==(const ProducerState&) const = default;

 private:
  struct Batch {
    std::int32_t first = 0;  // sequence numbers
    std::int32_t last = 0;
    std::int64_t base = 0;
    bool operator==(const Batch&) const = default;
  };
  std::int16_t epoch_ = -1;
  std::vector<Batch> batches_;  // the latest ones, at most kRemembered
};

// As many as a producer may have under way (max.in.flight.requests.per.connection).
inline constexpr std::size_t kRemembered = 5;

}  // namespace even::topic
