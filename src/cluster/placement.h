// Where a key lives: key -> slot -> partition -> ordered nodes. Pure functions of their arguments,
// safe on any thread.
//
// - key -> slot: CRC16 (XMODEM variant) of the key modulo 16384, with hash tags: when the key
// contains "{...}" with
//   something between the first '{' and the next '}', only that part is hashed, so that related
//   keys share a slot. Of a stored name (base/database.h) it is that of the key in it: a key is in
//   the same slot in all databases. Source: Redis Cluster specification, "Key distribution model"
//   and "Hash tags".
// - slot -> partition: slot * partitions / 16384, so that each partition is a contiguous range of
// slots (what
//   CLUSTER SLOTS can express) and partition sizes differ by at most one slot.
// - partition -> nodes: rendezvous (highest random weight) hashing: each node gets the weight
// XXH3-64 of the partition
//   number (two bytes, little-endian) followed by the node's name; nodes are ordered by falling
//   weight, and the first N are the replicas. Adding a node moves only what the new node takes,
//   removing one moves only what it held. Source: Thaler and Ravishankar, "Using name-based
//   mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998.
//
// Data directories and peers depend on these functions: they may not change without a new format
// version.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cluster/cluster_map.h"

namespace even::cluster {

// CRC16/XMODEM: polynomial 0x1021, initial value 0, nothing reflected; crc16("123456789") is
// 0x31C3.
uint16_t crc16(std::string_view data);

// The part of the key that is hashed: the hash tag if there is one, else the whole key. Points into
// `key`.
std::string_view hash_tag(std::string_view key);

// Below kSlots.
uint16_t key_slot(std::string_view key);

// Below `partitions`; `slot` is below kSlots and `partitions` in 1..kSlots.
constexpr uint16_t slot_partition(uint16_t slot, uint16_t partitions) {
  return static_cast<uint16_t>(uint32_t{slot} * partitions / kSlots);
}

// First slot of a partition; for partition == partitions, the end of the last one (kSlots).
constexpr uint16_t partition_first_slot(uint16_t partition, uint16_t partitions) {
  return static_cast<uint16_t>((uint32_t{partition} * kSlots + partitions - 1) / partitions);
}

inline uint16_t key_partition(std::string_view key, uint16_t partitions) {
  return slot_partition(key_slot(key), partitions);
}

// Numbers of all nodes of the map in the partition's order of preference: a permutation of the
// map's nodes. The order of `map.nodes` does not matter.
std::vector<uint16_t> rank_nodes(const ClusterMap& map, uint16_t partition);

// The answers of rank_nodes() for every partition of one map, computed once. Immutable, owns its
// memory.
class Placement {
 public:
  // `map` has passed ClusterMap::validate(); it is not kept.
  explicit Placement(const ClusterMap& map);

  uint16_t partitions() const { return partitions_; }
  uint16_t partition_of(std::string_view key) const { return key_partition(key, partitions_); }

  // Numbers of the nodes that hold the partition, most preferred first.
  std::span<const uint16_t> replicas(uint16_t partition) const {
    return ranking(partition).first(replicas_);
  }
  // All nodes, the replicas first: those after them are the fallbacks, in order.
  std::span<const uint16_t> ranking(uint16_t partition) const {
    return std::span(ranking_).subspan(size_t{partition} * nodes_, nodes_);
  }
  bool holds(uint16_t node_number, uint16_t partition) const;

 private:
  uint16_t partitions_;
  uint16_t replicas_;
  size_t nodes_;
  std::vector<uint16_t> ranking_;  // partitions_ rows of nodes_ numbers
};

}  // namespace even::cluster
