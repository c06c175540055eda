// Streams as they stand in RDB files: those of Redis 5 to 7.2 are read, and those of 7.0 are
// written. The bytes come from anywhere; as in value.h, nothing in them is believed before it has
// been checked.
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

    bool operator==(const Entry&) const = default;
  };
  struct Pending {
    StreamId id;
    std::int64_t delivered_ms = 0;
    std::uint64_t deliveries = 0;
    std::string consumer;  // empty: it is nobody's, which Redis does not write

    bool operator==(const Pending&) const = default;
  };
  struct Consumer {
    std::string name;
    std::int64_t seen_ms = 0;

    bool operator==(const Consumer&) const = default;
  };
  struct Group {
    std::string name;
    StreamId last_delivered;
    std::int64_t entries_read = -1;   // -1: not known
    std::vector<Consumer> consumers;  // no two of one name
    std::vector<Pending> pending;     // no two of one id

    bool operator==(const Group&) const = default;
  };

  std::vector<Entry> entries;  // ascending, from 0-1 on
  StreamId last;
  StreamId max_deleted;
  std::uint64_t added = 0;    // entries ever
  std::vector<Group> groups;  // no two of one name

  bool operator==(const StreamValue&) const = default;
};

bool is_stream_type(std::uint8_t type);
// What stands behind the byte of type and the key; taken from the front of `content`.
Result<StreamValue> read_stream(std::uint8_t type, std::string_view& content, Budget& budget);
// With its byte of type before it. Each pending entry's consumer is one of its group's.
std::string write_stream(const StreamValue& value);

}  // namespace even::rdb
