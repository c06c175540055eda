#include "node/replicas.h"

#include <algorithm>

#include "node/node_context.h"

namespace even {

std::vector<const Replica*> Replicas::connected() const {
  std::vector<const Replica*> out;
  for (const Replica& replica : nodes) {
    if (replica.up) out.push_back(&replica);
  }
  return out;
}

Replicas replicas_of(const NodeContext& node, std::span<const ThreadReport> reports) {
  Replicas all;
  for (const ThreadReport& report : reports) all.offset += report.stats.records_local;
  for (const cluster::Node& peer : node.config.cluster.nodes) {
    if (peer.number == node.number) continue;
    Replica& replica = all.nodes.emplace_back();
    replica.node = &peer;
    for (const ThreadReport& report : reports) {
      const auto link = report.links.find(peer.number);
      replica.up = replica.up && link != report.links.end() && link->second;
      for (const PeerStatus& status : report.peers) {
        if (status.node != peer.number) continue;
        replica.lag_records += status.lag_records;
        replica.lag_seconds = std::max(replica.lag_seconds, status.lag_seconds);
      }
    }
    replica.offset = all.offset - std::min(all.offset, replica.lag_records);
  }
  return all;
}

}  // namespace even
