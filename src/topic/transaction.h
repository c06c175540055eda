// A transaction of a producer with a transactional id, as the row that its coordinator keeps says,
// and what follows from it for each request: the rules are Kafka's (KIP-98, KIP-360). And what a
// consumer group has pending of a producer. See docs/topic-transactions.md.
//
// Values and functions, on any thread. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "topic/marker.h"

namespace even::topic {

enum class TransactionError : std::uint8_t {
  kNone,
  kUnavailable,      // nobody knows, or the coordinator is another: ask again
  kConcurrent,       // the one before is about to end: ask again
  kFenced,           // the producer has a later epoch
  kUnknownProducer,  // the transactional id has another producer id, or none
  kInvalidState,     // no transaction is open, or it has ended otherwise
  kNotMember,        // the consumer's partitions may be others' by now
};

struct Producer {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  bool operator==(const Producer&) const = default;
};

// The last epoch that a producer gets: one more is left, to fence it.
inline constexpr std::int16_t kLastEpoch = INT16_MAX - 1;

struct Transaction {
  enum class State : std::uint8_t { kEmpty, kOpen, kCommitting, kAborting, kCommitted, kAborted };

  Producer producer;
  // That it had before it asked for another one, by its own id and epoch; -1: it did not.
  std::int16_t former_epoch = -1;
  State state = State::kEmpty;
  std::uint32_t number = 0;
  std::int32_t timeout_ms = 0;
  std::int64_t begun_ms = 0;            // Unix time
  std::vector<PartitionId> partitions;  // of topics, ascending
  std::vector<std::string> groups;      // of consumers, ascending

  bool operator==(const Transaction&) const = default;
  // It has been decided, and not all that take part are known to have heard so.
  bool is_prepared() const { return state == State::kCommitting || state == State::kAborting; }
  bool is_over() const { return state != State::kOpen && !is_prepared(); }
  bool commits() const { return state == State::kCommitting; }
  Marker marker(std::int64_t now_ms) const {
    return {producer.id, producer.epoch, number, commits(), now_ms};
  }

  std::string encode() const;
  static std::optional<Transaction> decode(std::string_view bytes);
};

// What the row becomes; the same, if it need not change. Of one that is not prepared.
using NextTransaction = std::expected<Transaction, TransactionError>;
NextTransaction add(const Transaction& row, Producer producer,
                    const std::vector<PartitionId>& partitions,
                    const std::vector<std::string>& groups, std::int64_t now_ms);
NextTransaction end(const Transaction& row, Producer producer, bool commit);
// Of an open one: is to be aborted, and its producer shut out; `by_itself`: but for asking again.
Transaction fence(const Transaction& row, bool by_itself);
// Of a prepared one.
Transaction completed(const Transaction& row);
// Of one that is over, for who asks for its id; `by_itself`: as fence(). None: there is no epoch
// left, and `producer_id` is needed, which has never been given out.
std::optional<Transaction> renewed(const Transaction& row, std::int32_t timeout_ms, bool by_itself,
                                   std::optional<std::int64_t> producer_id);

// Of one producer in one consumer group.
struct PendingOffsets {
  Ended ended;
  std::int16_t epoch = -1;  // of the transaction that is open
  std::uint32_t number = 0;
  std::vector<std::pair<std::string, std::string>> offsets;  // fields of the group's hash

  bool operator==(const PendingOffsets&) const = default;
  // Those of an earlier transaction make way. kFenced, kInvalidState: it is over.
  TransactionError add(std::int16_t of_epoch, std::uint32_t of_number,
                       const std::vector<std::pair<std::string, std::string>>& more);
  std::string encode() const;
  static std::optional<PendingOffsets> decode(std::string_view bytes);
};

}  // namespace even::topic
