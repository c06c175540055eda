// Batches of records for tests, right ones and others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "topic/compression.h"
#include "topic/crc32c.h"
#include "topic/keyed_records.h"

namespace even::topic::test {

struct BatchOptions {
  std::int64_t timestamp = 1'000;
  std::int16_t attributes = 0;
  std::optional<std::int32_t> records;  // what the head says
  std::optional<std::int32_t> last_offset_delta;
  int offset_step = 1;
  std::optional<std::string> bytes;  // in place of the records
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t base_sequence = -1;
};

inline void put_varint(std::string& out, std::int64_t value) {
  auto left = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
  for (; left >= 0x80; left >>= 7) out.push_back(static_cast<char>((left & 0x7f) | 0x80));
  out.push_back(static_cast<char>(left));
}

// Records with these values, without keys and headers.
inline std::string make_batch(const std::vector<std::string>& values,
                              const BatchOptions& options = {}) {
  std::string records;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string record(1, '\0');  // attributes
    put_varint(record, 0);        // time after the first
    put_varint(record, static_cast<std::int64_t>(i) * options.offset_step);
    put_varint(record, -1);  // no key
    put_varint(record, static_cast<std::int64_t>(values[i].size()));
    record += values[i];
    put_varint(record, 0);  // headers
    put_varint(records, static_cast<std::int64_t>(record.size()));
    records += record;
  }
  const auto count = static_cast<std::int32_t>(values.size());
  std::string body;
  put_big_endian(body, options.attributes);
  put_big_endian(body, options.last_offset_delta.value_or(count - 1));
  put_big_endian(body, options.timestamp);
  put_big_endian(body, options.timestamp);
  put_big_endian(body, options.producer_id);
  put_big_endian(body, options.producer_epoch);
  put_big_endian(body, options.base_sequence);
  put_big_endian(body, options.records.value_or(count));
  body += options.bytes.value_or(records);
  std::string out;
  put_big_endian(out, std::int64_t{0});
  put_big_endian(out, static_cast<std::int32_t>(body.size() + 9));
  put_big_endian(out, std::int32_t{-1});
  out.push_back(2);
  put_big_endian(out, crc32c(body));
  return out + body;
}

struct KeyValue {
  std::string key;
  std::optional<std::string> value;  // none: the record deletes the key
  bool operator==(const KeyValue&) const = default;
};

// Records with keys, compressed as the attributes say.
inline std::string make_keyed_batch(const std::vector<KeyValue>& all, BatchOptions options = {}) {
  std::string records;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string record(1, '\0');  // attributes
    put_varint(record, 0);
    put_varint(record, static_cast<std::int64_t>(i));
    put_varint(record, static_cast<std::int64_t>(all[i].key.size()));
    record += all[i].key;
    put_varint(record, all[i].value ? static_cast<std::int64_t>(all[i].value->size()) : -1);
    record += all[i].value.value_or("");
    put_varint(record, 0);  // headers
    put_varint(records, static_cast<std::int64_t>(record.size()));
    records += record;
  }
  const auto compression = static_cast<Compression>(options.attributes & kCompressionMask);
  options.bytes = *compress(compression, records);
  return make_batch(std::vector<std::string>(all.size()), options);
}

// What such a record has.
inline std::optional<std::string> value_of(const KeyedRecords::Record& record) {
  if (record.deletes) return std::nullopt;
  // The value is before the count of headers, which is one byte here.
  const std::size_t key_end =
      static_cast<std::size_t>(record.key->data() + record.key->size() - record.bytes.data());
  std::string_view rest = record.bytes.substr(key_end);
  while ((static_cast<unsigned char>(rest.front()) & 0x80) != 0) rest.remove_prefix(1);
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.size() - 1));
}

}  // namespace even::topic::test
