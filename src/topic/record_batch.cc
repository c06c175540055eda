#include "topic/record_batch.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "topic/crc32c.h"

namespace even::topic {
namespace {

// Places of the fields.
constexpr std::size_t kLength = 8;  // of what follows it
constexpr std::size_t kLeaderEpoch = 12;
constexpr std::size_t kMagic = 16;
constexpr std::size_t kChecksum = 17;
constexpr std::size_t kAttributes = 21;
constexpr std::size_t kLastOffsetDelta = 23;
constexpr std::size_t kBaseTimestamp = 27;
constexpr std::size_t kMaxTimestamp = 35;
constexpr std::size_t kProducerId = 43;
constexpr std::size_t kProducerEpoch = 51;
constexpr std::size_t kBaseSequence = 53;
constexpr std::size_t kRecords = 57;

template <typename T>
T field(std::string_view bytes, std::size_t at) {
  return get_big_endian<T>(bytes.data() + at);
}

template <typename T>
void put(std::string& out, std::size_t at, T value) {
  value = std::byteswap(value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

// Reads a zigzag varint from the front. None: it is none, or cut off.
std::optional<std::int64_t> take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
    }
  }
  return std::nullopt;
}

// Whether these are so many records with offsets one after the other.
bool are_dense(std::string_view records, std::int32_t count) {
  for (std::int32_t i = 0; i < count; ++i) {
    const auto length = take_varint(records);
    if (!length || *length < 1 || static_cast<std::uint64_t>(*length) > records.size()) {
      return false;
    }
    std::string_view record = records.substr(1, static_cast<std::size_t>(*length) - 1);
    records.remove_prefix(static_cast<std::size_t>(*length));
    const auto timestamp = take_varint(record);
    const auto offset = take_varint(record);
    if (!timestamp || offset != i) return false;
  }
  return records.empty();
}

// One that has an id has the rest as well.
bool is_of_possible_producer(const BatchHead& head) {
  return head.producer_id < 0 || (head.producer_epoch >= 0 && head.base_sequence >= 0);
}

}  // namespace

std::size_t batch_bytes(std::string_view bytes) {
  const auto length = field<std::uint32_t>(bytes, kLength);
  return std::min<std::size_t>(kLeaderEpoch + std::size_t{length}, bytes.size());
}

std::optional<BatchHead> read_head(std::string_view bytes) {
  if (bytes.size() < kBatchHeadBytes || bytes[kMagic] != 2) return std::nullopt;
  const auto length = field<std::int32_t>(bytes, kLength);
  if (length < 0 || static_cast<std::size_t>(length) != bytes.size() - kLeaderEpoch) {
    return std::nullopt;
  }
  BatchHead head;
  head.base_offset = field<std::int64_t>(bytes, 0);
  head.leader_epoch = field<std::int32_t>(bytes, kLeaderEpoch);
  head.attributes = field<std::int16_t>(bytes, kAttributes);
  head.last_offset_delta = field<std::int32_t>(bytes, kLastOffsetDelta);
  head.base_timestamp = field<std::int64_t>(bytes, kBaseTimestamp);
  head.max_timestamp = field<std::int64_t>(bytes, kMaxTimestamp);
  head.producer_id = field<std::int64_t>(bytes, kProducerId);
  head.producer_epoch = field<std::int16_t>(bytes, kProducerEpoch);
  head.base_sequence = field<std::int32_t>(bytes, kBaseSequence);
  head.records = field<std::int32_t>(bytes, kRecords);
  if (head.last_offset_delta < 0) return std::nullopt;
  return head;
}

BatchFault check_batch(std::string_view bytes) {
  if (bytes.size() <= kMagic) return BatchFault::kCorrupt;
  if (bytes[kMagic] == 0 || bytes[kMagic] == 1) return BatchFault::kOldFormat;
  const auto head = read_head(bytes);
  if (!head || crc32c(bytes.substr(kAttributes)) != field<std::uint32_t>(bytes, kChecksum)) {
    return BatchFault::kCorrupt;
  }
  constexpr int kCodecs = 5;  // none, gzip, snappy, lz4, zstd
  const bool possible =
      head->records > 0 && head->records == head->offsets() && (head->attributes & 7) < kCodecs &&
      !head->control() && is_of_possible_producer(*head) &&
      (head->compressed() || are_dense(bytes.substr(kBatchHeadBytes), head->records));
  return possible ? BatchFault::kNone : BatchFault::kInvalid;
}

void set_place(std::string& out, std::size_t at, std::int64_t base_offset,
               std::int32_t leader_epoch) {
  put(out, at, base_offset);
  put(out, at + kLeaderEpoch, leader_epoch);
}

}  // namespace even::topic
