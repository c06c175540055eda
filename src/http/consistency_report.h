// What a node says of what consistency costs and gives (docs/consistency.md): as metrics, and as a
// member of GET /status that `even status --consistency` reads. Pure functions of the threads'
// reports.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "node/node_context.h"
#include "node/report.h"

namespace even {

// Lines of /metrics.
std::string render_consistency_metrics(const NodeContext& node,
                                       std::span<const ThreadReport> reports);
// A JSON object.
std::string render_consistency(const NodeContext& node, std::span<const ThreadReport> reports);
// How old, in seconds, the latest is of what the peer has made of which nothing is missing here; of
// all shards. None: it is not known.
std::optional<double> window_of(std::span<const ThreadReport> reports, NodeNumber peer);

}  // namespace even
