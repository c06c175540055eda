// How far the other nodes are with what this one has made: for ROLE and INFO replication.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cluster/cluster_map.h"
#include "node/report.h"

namespace even {

struct NodeContext;

struct Replica {
  const cluster::Node* node = nullptr;
  bool up = true;            // all its links
  std::uint64_t offset = 0;  // so many of this node's records has it acknowledged
  std::uint64_t lag_records = 0;
  double lag_seconds = 0;  // age of the oldest that it has not
};

struct Replicas {
  std::uint64_t offset = 0;  // so many records has this run of the node made
  std::vector<Replica> nodes;

  std::vector<const Replica*> connected() const;
};

Replicas replicas_of(const NodeContext& node, std::span<const ThreadReport> reports);

}  // namespace even
