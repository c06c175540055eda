// The node's state for machines: Prometheus's text format (version 0.0.4) for GET /metrics and JSON
// for GET /status. Pure functions of the threads' reports.
#pragma once

#include <span>
#include <string>

#include "node/node_context.h"
#include "node/report.h"

namespace even {

std::string render_metrics(const NodeContext& node, std::span<const ThreadReport> reports);
std::string render_status(const NodeContext& node, std::span<const ThreadReport> reports);
// Text as the inside of a JSON string.
std::string json_escape(std::string_view text);

}  // namespace even
