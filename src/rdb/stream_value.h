// Streams as they stand in RDB files of Redis 5 to 7.2: read only. The bytes come from anywhere; as
// in value.h, nothing in them is believed before it has been checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rdb/budget.h"

namespace even::rdb {

struct StreamId {
  std::uint64_t ms = 0;
  std::uint64_t seq = 0;

  auto operator<=>(const StreamId&) const = default;
  std::string text() const { return std::to_string(ms) + "-" + std::to_string(seq); }
};

struct StreamValue {
  struct Entry {
    StreamId id;
    std::vector<std::string> fields;  // each with its value behind it
  };
  struct Pending {
    StreamId id;
    std::int64_t delivered_ms = 0;
    std::uint64_t deliveries = 0;
    std::string consumer;  // empty: it is nobody's, which Redis does not write
  };
  struct Group {
    std::string name;
    StreamId last_delivered;
    std::int64_t entries_read = -1;  // -1: not known
    std::vector<std::string> consumers;
    std::vector<Pending> pending;
  };

  std::vector<Entry> entries;  // ascending
  StreamId last;
  StreamId max_deleted;
  std::uint64_t added = 0;  // entries ever
  std::vector<Group> groups;
};

bool is_stream_type(std::uint8_t type);
// What stands behind the byte of type and the key; taken from the front of `content`.
Result<StreamValue> read_stream(std::uint8_t type, std::string_view& content, Budget& budget);

}  // namespace even::rdb
