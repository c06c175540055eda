// The cluster map: which nodes there are, where they listen, and how many partitions and replicas
// the cluster has. Everything about placement is a pure function of it (see placement.h), so two
// nodes with equal maps agree on who holds what without talking to each other.
//
// A plain value: copy it freely, share it as const between threads. It comes from configuration
// today; the version is there so that a node can tell an old map from a new one once maps travel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace even::cluster {

// Number of hash slots, as in Redis Cluster; fixed for ever, because clients compute slots
// themselves.
inline constexpr uint16_t kSlots = 16384;
inline constexpr uint16_t kDefaultPartitions = 256;
inline constexpr uint16_t kDefaultReplicas = 3;

struct Node {
  // Unique in the map; placement hashes it, so renaming a node moves its partitions.
  std::string name;
  // Unique in the map, from 1; the short form of the name wherever space matters.
  uint16_t number = 0;
  // Host name or address that the other nodes and clients reach the node at.
  std::string host;
  // 0: the node does not offer that service.
  uint16_t peer_port = 0;
  uint16_t client_port = 0;
  uint16_t http_port = 0;
  uint16_t kafka_port = 0;

  bool operator==(const Node&) const = default;
};

// What is wrong with a map: the member (of the map, or of the node at that place in it) and why.
struct MapFault {
  std::string_view member;
  std::optional<size_t> node;
  std::string message;
};

struct ClusterMap {
  // Names the cluster; nodes refuse peers and data directories of another one. May be empty for a
  // single node.
  std::string id;
  uint64_t version = 1;
  // Fixed when the cluster is created: data directories and peers depend on it. At most kSlots.
  uint16_t partitions = kDefaultPartitions;
  // Nodes that hold each partition; never more than there are nodes.
  uint16_t replicas = 1;
  std::vector<Node> nodes;

  bool operator==(const ClusterMap&) const = default;

  // The node of that name or number, or null. The pointer lives as long as `nodes` is unchanged.
  const Node* find(std::string_view name) const;
  const Node* find(uint16_t number) const;

  // Checks everything that the rest of the program takes for granted: unique well-formed names,
  // unique numbers, counts in range. The message says which node or value is wrong and what is
  // allowed. fault() returns the first thing that is wrong, if any; validate() its message.
  std::optional<MapFault> fault() const;
  Result<> validate() const;
};

// A hash of all that decides which node holds what: nodes whose maps differ in it must not work
// together. The order of the nodes does not matter.
uint64_t layout_hash(const ClusterMap& map);

// True for 1 to 64 letters, digits, '-', '_' and '.'. Names appear in replica ids ("n1/5f3a"),
// printed vectors and metric labels, whose separators they must not contain.
bool valid_node_name(std::string_view name);

// What valid_node_name() allows, for error messages.
inline constexpr std::string_view kNodeNameRule = "1 to 64 letters, digits, '-', '_' or '.'";

}  // namespace even::cluster
