#include "topic/marker.h"

#include "base/bytes.h"
#include "topic/crc32c.h"
#include "topic/record_batch.h"

namespace even::topic {
namespace {

constexpr std::int16_t kTransactional = 16;
constexpr std::int16_t kControl = 32;
constexpr std::int16_t kAbort = 0;
constexpr std::int16_t kCommit = 1;
// A record: its length, attributes, time and offset after the batch's, the length of the key, the
// key (version, type), the length of the value, the value (version, number), no headers. All
// numbers ahead of key and value are so small that as varints they have one byte.
constexpr std::size_t kKeyBytes = 4;
constexpr std::size_t kValueBytes = 6;
constexpr std::size_t kRecordBytes = 1 + 1 + 1 + 1 + kKeyBytes + 1 + kValueBytes + 1;

constexpr char zigzag(std::size_t value) { return static_cast<char>(value << 1); }

}  // namespace

std::string Marker::encode() const {
  std::string body;
  put_big_endian(body, static_cast<std::int16_t>(kTransactional | kControl));
  put_big_endian(body, std::int32_t{0});  // last offset delta
  put_big_endian(body, time_ms);
  put_big_endian(body, time_ms);
  put_big_endian(body, producer_id);
  put_big_endian(body, epoch);
  put_big_endian(body, std::int32_t{-1});  // no sequence number
  put_big_endian(body, std::int32_t{1});   // records
  body.push_back(zigzag(kRecordBytes));
  body.append(3, '\0');
  body.push_back(zigzag(kKeyBytes));
  put_big_endian(body, std::int16_t{0});
  put_big_endian(body, commits ? kCommit : kAbort);
  body.push_back(zigzag(kValueBytes));
  put_big_endian(body, std::int16_t{0});
  put_big_endian(body, number);
  body.push_back('\0');
  constexpr int kBetween = 4 + 1 + 4;  // leader epoch, format, checksum
  std::string out;
  put_big_endian(out, std::int64_t{0});  // base offset
  put_big_endian(out, static_cast<std::int32_t>(body.size() + kBetween));
  put_big_endian(out, std::int32_t{-1});
  out.push_back(2);
  put_big_endian(out, crc32c(body));
  return out + body;
}

std::optional<Marker> Marker::decode(std::string_view batch) {
  const auto head = read_head(batch);
  if (!head || !head->control() || !head->transactional()) return std::nullopt;
  const std::string_view record = batch.substr(kBatchHeadBytes);
  if (record.size() != 1 + kRecordBytes || head->records != 1) return std::nullopt;
  const char* key = record.data() + 5;
  const char* value = key + kKeyBytes + 1;
  const auto type = get_big_endian<std::int16_t>(key + 2);
  if (type != kAbort && type != kCommit) return std::nullopt;
  return Marker{.producer_id = head->producer_id,
                .epoch = head->producer_epoch,
                .number = get_big_endian<std::uint32_t>(value + 2),
                .commits = type == kCommit,
                .time_ms = head->base_timestamp};
}

}  // namespace even::topic
