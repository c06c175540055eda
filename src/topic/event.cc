#include "topic/event.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/check.h"
#include "topic/crc32c.h"
#include "topic/record_batch.h"

namespace even::topic {
namespace {

void put_text(std::string& out, std::string_view text) {
  put_little_endian(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

std::string_view take_text(ByteReader& in) { return in.bytes(in.get<std::uint32_t>()); }

void put_varint(std::string& out, std::int64_t value) {
  auto left = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
  for (; left >= 0x80; left >>= 7) out.push_back(static_cast<char>((left & 0x7f) | 0x80));
  out.push_back(static_cast<char>(left));
}

void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, static_cast<std::int64_t>(bytes.size()));
  out += bytes;
}

}  // namespace

std::size_t Event::bytes() const {
  constexpr std::size_t kNumbers = 24;
  std::size_t sum = key.size() + value.size() + kNumbers;
  for (const auto& [name, text] : headers) sum += name.size() + text.size() + 2 * sizeof(int);
  return sum;
}

std::string Event::encode() const {
  std::string out;
  put_text(out, topic);
  put_text(out, key);
  put_text(out, value);
  for (const auto& [name, text] : headers) {
    put_text(out, name);
    put_text(out, text);
  }
  return out;
}

std::optional<Event> Event::decode(std::string_view bytes) {
  ByteReader in(bytes);
  Event event;
  event.topic = take_text(in);
  event.key = take_text(in);
  event.value = take_text(in);
  while (in.ok() && !in.at_end()) {
    const std::string_view name = take_text(in);
    event.headers.emplace_back(name, take_text(in));
  }
  if (!in.ok()) return std::nullopt;
  return event;
}

// Source: org.apache.kafka.common.utils.Utils.murmur2.
std::uint32_t murmur2(std::string_view key) {
  constexpr std::uint32_t kFactor = 0x5bd1e995;
  std::uint32_t hash = 0x9747b28c ^ static_cast<std::uint32_t>(key.size());
  for (; key.size() >= 4; key.remove_prefix(4)) {
    auto word = get_little_endian<std::uint32_t>(key.data());
    word *= kFactor;
    word ^= word >> 24;
    word *= kFactor;
    hash *= kFactor;
    hash ^= word;
  }
  for (std::size_t i = key.size(); i-- > 0;) {
    hash ^= std::uint32_t{static_cast<unsigned char>(key[i])} << (8 * i);
    if (i == 0) hash *= kFactor;
  }
  hash ^= hash >> 13;
  hash *= kFactor;
  hash ^= hash >> 15;
  return hash;
}

std::uint16_t partition_of(const Event& event, PartitionId source, std::uint16_t partitions) {
  if (event.key.empty()) return static_cast<std::uint16_t>(source % partitions);
  return static_cast<std::uint16_t>((murmur2(event.key) & 0x7fffffff) % partitions);
}

std::string make_batch(std::span<const TimedEvent> events) {
  EVEN_CHECK(!events.empty(), "a batch has records");
  const std::int64_t first_ms = events.front().time_ms;
  std::int64_t latest_ms = first_ms;
  std::string records;
  std::string record;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto& [event, time_ms] = events[i];
    latest_ms = std::max(latest_ms, time_ms);
    record.assign(1, '\0');  // attributes
    put_varint(record, time_ms - first_ms);
    put_varint(record, static_cast<std::int64_t>(i));
    event.key.empty() ? put_varint(record, -1) : put_bytes(record, event.key);
    put_bytes(record, event.value);
    put_varint(record, static_cast<std::int64_t>(event.headers.size()));
    for (const auto& [name, text] : event.headers) {
      put_bytes(record, name);
      put_bytes(record, text);
    }
    put_bytes(records, record);
  }
  constexpr std::size_t kCheckedHead = 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;
  const auto count = static_cast<std::int32_t>(events.size());
  std::string body;
  body.reserve(kCheckedHead + records.size());
  put_big_endian(body, std::int16_t{0});  // attributes
  put_big_endian(body, count - 1);        // last offset delta
  put_big_endian(body, first_ms);
  put_big_endian(body, latest_ms);
  put_big_endian(body, std::int64_t{-1});  // no producer, epoch and sequence
  put_big_endian(body, std::int16_t{-1});
  put_big_endian(body, std::int32_t{-1});
  put_big_endian(body, count);
  body += records;
  constexpr int kBetween = 4 + 1 + 4;  // leader epoch, format, checksum
  std::string out;
  out.reserve(kBatchHeadBytes + records.size());
  put_big_endian(out, std::int64_t{0});  // base offset
  put_big_endian(out, static_cast<std::int32_t>(body.size() + kBetween));
  put_big_endian(out, std::int32_t{-1});
  out.push_back(2);
  put_big_endian(out, crc32c(body));
  return out + body;
}

}  // namespace even::topic
