#include "topic/transaction.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/mutant.h"

namespace even::topic {
namespace {

constexpr std::uint8_t kRowVersion = 1;
constexpr std::uint8_t kPendingVersion = 1;
// The last epoch is for who is shut out.

TransactionError check_producer(const Transaction& row, Producer producer) {
  if (producer.id != row.producer.id) return TransactionError::kUnknownProducer;
  if (producer.epoch != row.producer.epoch) return TransactionError::kFenced;
  return TransactionError::kNone;
}

template <typename T>
void merge_into(std::vector<T>& all, std::vector<T> more) {
  std::ranges::sort(more);
  const auto [last, end] = std::ranges::unique(more);
  more.erase(last, end);
  std::vector<T> merged;
  std::ranges::set_union(all, more, std::back_inserter(merged));
  all = std::move(merged);
}

void put_word(std::string& out, std::string_view text) {
  put_little_endian(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

std::string take_word(ByteReader& in) { return std::string(in.bytes(in.get<std::uint32_t>())); }

}  // namespace

std::string Transaction::encode() const {
  std::string out;
  put_little_endian(out, kRowVersion);
  put_little_endian(out, static_cast<std::uint8_t>(state));
  put_little_endian(out, producer.id);
  put_little_endian(out, producer.epoch);
  put_little_endian(out, former_epoch);
  put_little_endian(out, number);
  put_little_endian(out, timeout_ms);
  put_little_endian(out, begun_ms);
  put_little_endian(out, static_cast<std::uint32_t>(partitions.size()));
  for (const PartitionId partition : partitions) put_little_endian(out, partition);
  put_little_endian(out, static_cast<std::uint32_t>(groups.size()));
  for (const std::string& group : groups) put_word(out, group);
  return out;
}

std::optional<Transaction> Transaction::decode(std::string_view bytes) {
  ByteReader in(bytes);
  Transaction row;
  const auto version = in.get<std::uint8_t>();
  const auto state = in.get<std::uint8_t>();
  row.state = static_cast<State>(state);
  row.producer.id = in.get<std::int64_t>();
  row.producer.epoch = in.get<std::int16_t>();
  row.former_epoch = in.get<std::int16_t>();
  row.number = in.get<std::uint32_t>();
  row.timeout_ms = in.get<std::int32_t>();
  row.begun_ms = in.get<std::int64_t>();
  for (auto left = in.count<std::uint32_t>(sizeof(PartitionId)); left > 0; --left) {
    row.partitions.push_back(in.get<PartitionId>());
  }
  for (auto left = in.count<std::uint32_t>(sizeof(std::uint32_t)); left > 0; --left) {
    row.groups.push_back(take_word(in));
  }
  const bool whole = in.ok() && in.at_end() && version == kRowVersion &&
                     state <= static_cast<std::uint8_t>(State::kAborted);
  return whole ? std::optional(std::move(row)) : std::nullopt;
}

NextTransaction add(const Transaction& row, Producer producer,
                    const std::vector<PartitionId>& partitions,
                    const std::vector<std::string>& groups, std::int64_t now_ms) {
  if (const auto error = check_producer(row, producer); error != TransactionError::kNone) {
    return std::unexpected(error);
  }
  if (row.is_prepared()) return std::unexpected(TransactionError::kConcurrent);
  Transaction next = row;
  if (row.is_over()) {
    next.state = Transaction::State::kOpen;
    next.former_epoch = -1;
    ++next.number;
    next.begun_ms = now_ms;
    next.partitions.clear();
    next.groups.clear();
  }
  merge_into(next.partitions, partitions);
  merge_into(next.groups, groups);
  return next;
}

NextTransaction end(const Transaction& row, Producer producer, bool commit) {
  using State = Transaction::State;
  if (const auto error = check_producer(row, producer); error != TransactionError::kNone) {
    return std::unexpected(error);
  }
  if (row.is_prepared()) return std::unexpected(TransactionError::kConcurrent);
  if (row.state == State::kOpen) {
    Transaction next = row;
    next.state = commit ? State::kCommitting : State::kAborting;
    return next;
  }
  // It may have been asked before.
  if (row.state == (commit ? State::kCommitted : State::kAborted)) return row;
  return std::unexpected(TransactionError::kInvalidState);
}

Transaction fence(const Transaction& row, bool by_itself) {
  Transaction next = row;
  next.former_epoch = by_itself ? row.producer.epoch : std::int16_t{-1};
  next.state = Transaction::State::kAborting;
  if (!EVEN_MUTANT(kEpochNotBumped)) ++next.producer.epoch;
  return next;
}

Transaction completed(const Transaction& row) {
  using State = Transaction::State;
  Transaction next = row;
  next.state = row.commits() ? State::kCommitted : State::kAborted;
  next.partitions.clear();
  next.groups.clear();
  return next;
}

std::optional<Transaction> renewed(const Transaction& row, std::int32_t timeout_ms, bool by_itself,
                                   std::optional<std::int64_t> producer_id) {
  Transaction next = row;
  next.former_epoch = by_itself ? row.producer.epoch : std::int16_t{-1};
  next.state = Transaction::State::kEmpty;
  next.timeout_ms = timeout_ms;
  if (row.producer.id >= 0 && row.producer.epoch < kLastEpoch) {
    if (!EVEN_MUTANT(kEpochNotBumped)) ++next.producer.epoch;
    return next;
  }
  if (!producer_id) return std::nullopt;
  next.producer = {*producer_id, 0};
  next.former_epoch = -1;
  next.number = 0;
  return next;
}

TransactionError PendingOffsets::add(std::int16_t of_epoch, std::uint32_t of_number,
                                     const std::vector<std::pair<std::string, std::string>>& more) {
  if (of_epoch < ended.epoch || of_epoch < epoch) return TransactionError::kFenced;
  if (ended.has(of_epoch, of_number)) return TransactionError::kInvalidState;
  if (of_epoch != epoch || of_number != number) offsets.clear();
  epoch = of_epoch;
  number = of_number;
  for (const auto& [field, value] : more) {
    const auto known = std::ranges::find(
        offsets, field, [](const auto& each) -> const auto& { return each.first; });
    if (known != offsets.end()) {
      known->second = value;
    } else {
      offsets.emplace_back(field, value);
    }
  }
  return TransactionError::kNone;
}

std::string PendingOffsets::encode() const {
  std::string out;
  put_little_endian(out, kPendingVersion);
  put_little_endian(out, ended.epoch);
  put_little_endian(out, ended.number);
  put_little_endian(out, epoch);
  put_little_endian(out, number);
  put_little_endian(out, static_cast<std::uint32_t>(offsets.size()));
  for (const auto& [field, value] : offsets) {
    put_word(out, field);
    put_word(out, value);
  }
  return out;
}

std::optional<PendingOffsets> PendingOffsets::decode(std::string_view bytes) {
  ByteReader in(bytes);
  PendingOffsets pending;
  const auto version = in.get<std::uint8_t>();
  pending.ended.epoch = in.get<std::int16_t>();
  pending.ended.number = in.get<std::uint32_t>();
  pending.epoch = in.get<std::int16_t>();
  pending.number = in.get<std::uint32_t>();
  for (auto left = in.count<std::uint32_t>(2 * sizeof(std::uint32_t)); left > 0; --left) {
    std::string field = take_word(in);
    pending.offsets.emplace_back(std::move(field), take_word(in));
  }
  const bool whole = in.ok() && in.at_end() && version == kPendingVersion;
  return whole ? std::optional(std::move(pending)) : std::nullopt;
}

}  // namespace even::topic
