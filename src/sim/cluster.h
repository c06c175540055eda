// The nodes of a run and their network, as schedules of faults take hold of them: a schedule brings
// about, step by step, a situation that faults at random times hardly come to. See depositions.h,
// unheard_losses.h, stand_ins.h and repeated_spending.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/network.h"
#include "sim/node.h"
#include "sim/run.h"
#include "sim/strong_groups.h"

namespace even::sim {

inline constexpr int kNobody = -1;  // the client of what is executed for its effect

struct Cluster {
  // Cuts a node off from all others, or only what comes from them, or goes to them.
  enum class Cut { kBoth, kInward, kOutward };
  void cut(NodeNumber lonely, Cut direction);
  void heal(NodeNumber lonely);
  void restart_at_once(Node& n);
  Node& node(NodeNumber n) const { return *nodes[n - 1]; }
  // A key of this name and a number that is in the partition.
  std::string any_key(std::string_view name, PartitionId partition);
  bool may_lose_disk(NodeNumber n) const { return groups == nullptr || groups->may_lose_disk(n); }

  Run& run;
  Network& network;
  const std::vector<std::unique_ptr<Node>>& nodes;
  const StrongGroups* groups = nullptr;  // null: there are none
  // The latest generation that consumers have; none: there are no consumers.
  std::function<std::int32_t()> generation;
  // Has clients of a group ask a node for several writes at once.
  std::function<void(PartitionId group, NodeNumber node)> burst;
  bool occupied = false;  // by a schedule that takes peace from others of its kind
};

}  // namespace even::sim
