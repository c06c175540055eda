#include "cluster/cluster_map.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/hash.h"

namespace even::cluster {
bool valid_node_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

const Node* ClusterMap::find(std::string_view name) const {
  auto it = std::ranges::find(nodes, name, &Node::name);
  return it == nodes.end() ? nullptr : &*it;
}

const Node* ClusterMap::find(uint16_t number) const {
  auto it = std::ranges::find(nodes, number, &Node::number);
  return it == nodes.end() ? nullptr : &*it;
}

uint64_t layout_hash(const ClusterMap& map) {
  std::set<std::string> nodes;
  for (const Node& node : map.nodes) nodes.insert(fmt::format("{}={}", node.number, node.name));
  return hash64(fmt::format("{};{};{}", map.partitions, map.replicas, fmt::join(nodes, ";")));
}

std::optional<MapFault> ClusterMap::fault() const {
  if (nodes.empty())
    return MapFault{"node", {}, "the cluster has no nodes: at least one is needed"};
  if (partitions < 1 || partitions > kSlots) {
    return MapFault{
        "partitions", {}, fmt::format("partitions is {}: 1 to {} is allowed", partitions, kSlots)};
  }
  if (replicas < 1 || replicas > nodes.size()) {
    return MapFault{"replicas",
                    {},
                    fmt::format("replicas is {}: 1 to {}, the number of nodes, is allowed",
                                replicas, nodes.size())};
  }
  if (version < 1) return MapFault{"version", {}, "version is 0: versions start at 1"};
  if (id.empty() && nodes.size() > 1) {
    return MapFault{"id", {}, "id is empty: a cluster of more than one node needs an id"};
  }
  std::set<std::string_view> names;
  std::set<uint16_t> numbers;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (!valid_node_name(node.name)) {
      return MapFault{"name", i,
                      fmt::format("node name '{}' is not allowed: {}", node.name, kNodeNameRule)};
    }
    if (!names.insert(node.name).second) {
      return MapFault{"name", i,
                      fmt::format("node name '{}' is used twice: names are unique", node.name)};
    }
    if (node.number < 1) {
      return MapFault{"number", i,
                      fmt::format("node '{}' has number 0: numbers start at 1", node.name)};
    }
    if (!numbers.insert(node.number).second) {
      return MapFault{
          "number", i,
          fmt::format("node '{}' has number {}, which another node has: numbers are unique",
                      node.name, node.number)};
    }
    if (nodes.size() > 1 && node.host.empty()) {
      return MapFault{
          "host", i,
          fmt::format("node '{}' has no host: the other nodes could not reach it", node.name)};
    }
    if (nodes.size() > 1 && node.peer_port == 0) {
      return MapFault{
          "peer_port", i,
          fmt::format("node '{}' has no peer port: the other nodes could not reach it", node.name)};
    }
  }
  return std::nullopt;
}

Result<> ClusterMap::validate() const {
  if (const std::optional<MapFault> found = fault()) return fail(found->message);
  return {};
}

}  // namespace even::cluster
