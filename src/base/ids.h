// Identifiers. See docs/architecture.md for how they relate.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace even {

using NodeNumber =
    std::uint16_t;  // a node's number in the cluster map; never given to another node
using PartitionId = std::uint16_t;  // 0 .. partitions - 1
using ShardId = std::uint16_t;      // a shard thread of one process

// Who made a record. A replica id names one run of one process, which no other run ever has: that
// is why a dot can never be used twice, whatever the disk lost or a backup brought back. From the
// highest bits on: the node's number (16), the line (16), the run (32).
//
// A *line* is one life of a data directory: drawn when the directory is new, emptied or restored.
// Its runs are numbered upwards, so that of two it is known which was later, also when one of them
// has long been forgotten: see docs/folding.md and replica/identity.h.
struct ReplicaId {
  std::uint64_t value = 0;

  static constexpr ReplicaId make(NodeNumber node, std::uint32_t run, std::uint16_t line = 0) {
    return {std::uint64_t{node} << 48 | std::uint64_t{line} << 32 | run};
  }
  constexpr NodeNumber node() const { return static_cast<NodeNumber>(value >> 48); }
  constexpr std::uint32_t run() const { return static_cast<std::uint32_t>(value); }
  constexpr bool same_line(ReplicaId other) const { return (value ^ other.value) >> 32 == 0; }
  // Whether this is an earlier run of the other's line.
  constexpr bool precedes(ReplicaId other) const { return same_line(other) && value < other.value; }
  // No run of the line is before this one.
  constexpr ReplicaId first_of_line() const { return {value >> 32 << 32}; }
  constexpr auto operator<=>(const ReplicaId&) const = default;
  // "node/line and run", as in "2/00c0ffee1234": line 00c0, run ffee1234.
  std::string to_string() const;
};

}  // namespace even
