#include "sim/run.h"

#include "sim/delayed_keyspaces.h"

namespace even::sim {
namespace {

cluster::ClusterMap cluster_map(const RunOptions& options) {
  cluster::ClusterMap map;
  map.id = "sim";
  map.partitions = options.partitions;
  map.replicas = static_cast<std::uint16_t>(options.replicas);
  for (int n = 1; n <= options.nodes; ++n) {
    cluster::Node entry;
    entry.name = fmt::format("n{}", n);
    entry.number = static_cast<std::uint16_t>(n);
    entry.host = "127.0.0.1";
    entry.peer_port = static_cast<std::uint16_t>(n);
    map.nodes.push_back(entry);
  }
  return map;
}

}  // namespace

Run::Run(const RunOptions& run_options, bool print)
    : options(run_options),
      map(cluster_map(run_options)),
      placement(map),
      trace(print),
      random(run_options.seed),
      table(eventual_table(run_options, 1, run_options.delay_ms)) {}

}  // namespace even::sim
