#include "sim/cluster.h"

#include <fmt/format.h>

namespace even::sim {

void Cluster::cut(NodeNumber lonely, Cut direction) {
  for (const auto& other : nodes) {
    if (other->number == lonely) continue;
    if (direction != Cut::kOutward) network.cut(other->number, lonely);
    if (direction != Cut::kInward) network.cut(lonely, other->number);
  }
}

void Cluster::heal(NodeNumber lonely) {
  for (const auto& other : nodes) {
    if (other->number == lonely) continue;
    network.heal(other->number, lonely);
    network.heal(lonely, other->number);
  }
}

void Cluster::restart_at_once(Node& n) {
  run.scheduler.after(run.around(5'000), [&n] {
    if (n.down()) n.start();
  });
}

std::string Cluster::any_key(std::string_view name, PartitionId partition) {
  while (true) {
    std::string key = fmt::format("{}:{}", name, run.random.below(1'000'000));
    if (run.placement.partition_of(key) == partition) return key;
  }
}

}  // namespace even::sim
