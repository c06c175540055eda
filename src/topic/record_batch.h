// Kafka's record batch, version 2 of the message format: what producers send, partitions keep and
// consumers get. Only its head is looked into; a batch whose records are compressed stays so.
// Source: https://kafka.apache.org/documentation/#recordbatch.
//
// Values and functions, on any thread. Parsing is safe for any input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace even::topic {

// Bytes before the records.
inline constexpr std::size_t kBatchHeadBytes = 61;

struct BatchHead {
  std::int64_t base_offset = 0;
  std::int32_t leader_epoch = 0;
  std::int16_t attributes = 0;
  std::int32_t last_offset_delta = 0;
  std::int64_t base_timestamp = 0;  // milliseconds, Unix time
  std::int64_t max_timestamp = 0;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t base_sequence = -1;
  std::int32_t records = 0;

  // Offsets that it takes.
  std::int64_t offsets() const { return std::int64_t{last_offset_delta} + 1; }
  bool compressed() const { return (attributes & 7) != 0; }
  bool transactional() const { return (attributes & 16) != 0; }
  bool control() const { return (attributes & 32) != 0; }
};

// Of the batch that `bytes` begin with, as it says, but no more than they are; kBatchHeadBytes of
// them at least are there.
std::size_t batch_bytes(std::string_view bytes);

// The head of the batch that `bytes` are, exactly; none if they are not one of version 2, are cut
// off, or more follows. Does not verify the checksum.
std::optional<BatchHead> read_head(std::string_view bytes);

enum class BatchFault : std::uint8_t {
  kNone,
  kOldFormat,  // of version 0 or 1
  kCorrupt,    // cut off, or does not match its checksum
  // Intact, but no producer may send it: no records, offsets with gaps, a control batch, a producer
  // without a sequence number.
  kInvalid,
};

// Whether a producer's batch may be taken in: its checksum, and that its records, as far as they
// can be seen, have the offsets 0 to n - 1 relative to its base. Exactly one batch.
BatchFault check_batch(std::string_view bytes);

// Sets the fields that are the server's, and that the checksum does not cover, in the batch that
// begins at `at` in `out`.
void set_place(std::string& out, std::size_t at, std::int64_t base_offset,
               std::int32_t leader_epoch);

}  // namespace even::topic
