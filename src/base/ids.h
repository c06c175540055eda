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

// Who made a record. A replica id names one run of one process: it is drawn at every start, held in
// memory only and never read back from disk to write under. That is why a dot can never be used
// twice, whatever the disk lost or a backup brought back. High 16 bits: node number. Low 48 bits:
// random, never 0.
struct ReplicaId {
  std::uint64_t value = 0;

  static constexpr ReplicaId make(NodeNumber node, std::uint64_t random) {
    const std::uint64_t low = random & 0xffffffffffffULL;
    return {std::uint64_t{node} << 48 | (low == 0 ? 1 : low)};
  }
  constexpr NodeNumber node() const { return static_cast<NodeNumber>(value >> 48); }
  constexpr auto operator<=>(const ReplicaId&) const = default;
  // "node/run", as in "2/00c0ffee1234".
  std::string to_string() const;
};

}  // namespace even
