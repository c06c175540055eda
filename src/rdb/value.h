// Values in the form of Redis's RDB files: what stands there behind a key, and what DUMP and
// RESTORE carry. Redis's rdb.c, listpack.c, ziplist.c and intset.c define the forms; all that
// Redis 3.2 to 7.4 write of strings, lists, sets, hashes and sorted sets are read, and those of 7.0
// are written; of hashes with fields that expire, which it has not, those of 7.4. Streams are in
// stream_value.h; modules' values are not known.
//
// The bytes come from anywhere: nothing in them is believed before it has been checked, and of what
// they can fill no more memory is taken than a budget allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "rdb/budget.h"
#include "rdb/length.h"
#include "rdb/stream_value.h"

namespace even::rdb {

inline constexpr std::uint16_t kVersion = 10;      // of Redis 7.0, in which most is written
inline constexpr std::uint16_t kLastVersion = 12;  // of Redis 7.4: that is the last one read

inline constexpr std::int64_t kNoExpiry = 0;

enum class Type : std::uint8_t { kString, kList, kSet, kHash, kSortedSet };

struct Value {
  Type type = Type::kString;
  // The string alone; elements in order; members; fields, each with its value behind it; members,
  // of which each has its score in `scores`. There are no two of one name, and at least one but of
  // a string.
  std::vector<std::string> items;
  std::vector<double> scores;  // no NaN
  // Of a hash, when each field expires, Unix time in ms, or kNoExpiry; empty: none does.
  std::vector<std::int64_t> expiries_ms;

  bool operator==(const Value&) const = default;
};
using AnyValue = std::variant<Value, StreamValue>;

// A value with its byte of type before it, as in a file; taken from the front of `bytes`.
// Elements and what is decompressed are taken from the budget; bytes that stand there as they are,
// are not.
Result<Value> read_value(std::string_view& bytes, Budget& budget);
// The same where the byte of type stands elsewhere, as in a file, which has the key between.
Result<Value> read_value(std::uint8_t type, std::string_view& content, Budget& budget);
// In the form that Redis 7.0 would choose by its default configuration.
std::string write_value(const Value& value);

// The payload of DUMP: a value, the version of the format and a checksum.
enum class PayloadError : std::uint8_t { kVersionOrChecksum, kFormat, kMemory };
std::expected<AnyValue, PayloadError> read_payload(std::string_view payload, Budget& budget);
std::string write_payload(const AnyValue& value);
// Of a value with its byte of type before it.
std::string payload_of(std::string value, std::uint16_t version = kVersion);

}  // namespace even::rdb
