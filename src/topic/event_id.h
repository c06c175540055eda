// Which event of which partition of a keyspace a record of a topic is: what makes it harmless to
// append it twice. See docs/emit.md.
//
// Values and functions, on any thread. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/ids.h"

namespace even::topic {

// The dot of the record that the event was made in, and its place among the events of that dot. Of
// one origin they ascend in the order in which the events were made.
struct EventId {
  std::uint64_t origin = 0;  // ReplicaId; of a strong partition, its group's
  std::uint64_t seq = 0;
  std::uint32_t index = 0;

  auto operator<=>(const EventId&) const = default;

  static constexpr std::size_t kBytes = 8 + 8 + 4;
  // Sorts as the ids do.
  void encode(std::string& out) const {
    put_big_endian(out, origin);
    put_big_endian(out, seq);
    put_big_endian(out, index);
  }
  static std::optional<EventId> decode(std::string_view bytes) {
    if (bytes.size() != kBytes) return std::nullopt;
    return EventId{get_big_endian<std::uint64_t>(bytes.data()),
                   get_big_endian<std::uint64_t>(bytes.data() + 8),
                   get_big_endian<std::uint32_t>(bytes.data() + 16)};
  }
};

// Those of a batch's records, in their order; all of one partition.
struct EventIds {
  PartitionId partition = 0;
  std::vector<EventId> ids;

  bool operator==(const EventIds&) const = default;

  std::string encode() const {
    std::string out;
    put_little_endian(out, partition);
    for (const EventId& id : ids) id.encode(out);
    return out;
  }
  // None, too, where two of one origin are not in their order.
  static std::optional<EventIds> decode(std::string_view bytes);
};

}  // namespace even::topic
