#include "http/consistency_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "http/metric_writer.h"
#include "http/metrics.h"

namespace even {
namespace {

std::string labels_of(const LevelOfRequest& level) {
  return fmt::format("mode=\"{}\",level=\"{}\",op=\"{}\"", level.strong ? "strong" : "eventual",
                     name_of_kind(level.kind), level.writes ? "write" : "read");
}

template <typename Of>
ConsistencyCounters merged(std::span<const ThreadReport> reports, Of of) {
  ConsistencyCounters all;
  for (const ThreadReport& report : reports) all.merge(report.*of);
  return all;
}

std::string_view name_of(const NodeContext& node, NodeNumber number) {
  const cluster::Node* found = node.config.cluster.find(number);
  return found == nullptr ? std::string_view("?") : std::string_view(found->name);
}

// Calls visit(level, counters) for all that have been asked for.
template <typename Visit>
void for_each_level(const ConsistencyCounters& counters, Visit visit) {
  for (std::size_t i = 0; i < counters.levels.size(); ++i) {
    if (counters.levels[i].requests > 0) {
      visit(ConsistencyCounters::level_at(i), counters.levels[i]);
    }
  }
}

}  // namespace

std::optional<double> window_of(std::span<const ThreadReport> reports, NodeNumber peer) {
  std::optional<double> window;
  for (const ThreadReport& report : reports) {
    const auto status = std::ranges::find(report.peers, peer, &PeerStatus::node);
    if (status == report.peers.end()) continue;  // nothing in common of this shard
    if (!status->window_seconds) return std::nullopt;
    window = std::max(window.value_or(0), *status->window_seconds);
  }
  return window;
}

std::string render_consistency_metrics(const NodeContext& node,
                                       std::span<const ThreadReport> reports) {
  const ConsistencyCounters all = merged(reports, &ThreadReport::consistency);
  MetricWriter writer;
  writer.family("even_level_requests_total", "counter",
                "Requests about keys from clients of this node, by the level that they were at.");
  for_each_level(all, [&writer](const LevelOfRequest& level, const LevelCounters& counters) {
    writer.value(labels_of(level), counters.requests);
  });
  writer.family("even_level_refused_total", "counter",
                "Of these, those that were not had, or not known to be had, at that level.");
  for_each_level(all, [&writer](const LevelOfRequest& level, const LevelCounters& counters) {
    writer.value(labels_of(level), counters.refused);
  });
  writer.family("even_level_duration_seconds", "histogram",
                "How long those took that were not refused, waits for other nodes and threads included.");
  for_each_level(all, [&writer](const LevelOfRequest& level, const LevelCounters& counters) {
    writer.histogram(labels_of(level), LatencyHistogram::kBoundsUs, counters.latency.buckets,
                     counters.latency.sum_seconds);
  });
  writer.family("even_level_refusals_total", "counter",
                "The refused ones by keyspace, code of the error, and whether some replica of the "
                "key could not be reached from here then.");
  for (const auto& [reason, refusals] : all.refusals) {
    const auto value = [&, &reason = reason](std::string_view reach, std::uint64_t count) {
      if (count == 0) return;
      writer.value(
          fmt::format("keyspace=\"{}\",{},code=\"{}\",replicas=\"{}\"",
                      json_escape(reason.keyspace), labels_of(reason.level), reason.code, reach),
          count);
    };
    value("linked", refusals.linked);
    value("unreachable", refusals.count - refusals.linked);
  }
  writer.family("even_consistency_window_seconds", "gauge",
                "Nothing is missing here that the peer had made so long ago or earlier, by its "
                "clock and this node's; without a value while that is not known.");
  for (const cluster::Node& peer : node.config.cluster.nodes) {
    if (peer.number == node.number) continue;
    if (const std::optional<double> window = window_of(reports, peer.number)) {
      writer.value(fmt::format("peer=\"{}\"", peer.name), *window);
    }
  }
  writer.family("even_replication_delays_below_zero_total", "counter",
                "Records of the peer that came earlier than they were made, by this node's clock: "
                "the clocks differ by more than they took.");
  for (const auto& [peer, arrivals] : all.arrivals) {
    writer.value(fmt::format("peer=\"{}\"", name_of(node, peer)), arrivals.below_zero);
  }
  return writer.take();
}

std::string render_consistency(const NodeContext& node, std::span<const ThreadReport> reports) {
  const ConsistencyCounters recently = merged(reports, &ThreadReport::recently);
  double seconds = 0;
  for (const ThreadReport& report : reports) seconds = std::max(seconds, report.recent_seconds);
  std::string out;
  auto end = std::back_inserter(out);
  fmt::format_to(end, "{{\"seconds\":{:.1f},\"latency_bounds_us\":[{}],\"levels\":[", seconds,
                 fmt::join(LatencyHistogram::kBoundsUs, ","));
  std::string_view comma;
  for_each_level(recently, [&](const LevelOfRequest& level, const LevelCounters& counters) {
    fmt::format_to(end,
                   "{}{{\"level\":\"{}\",\"strong\":{},\"writes\":{},\"requests\":{},"
                   "\"refused\":{},\"latency\":[{}]}}",
                   comma, name_of_kind(level.kind), level.strong, level.writes, counters.requests,
                   counters.refused, fmt::join(counters.latency.buckets, ","));
    comma = ",";
  });
  out += "],\"refusals\":[";
  comma = "";
  for (const auto& [reason, refusals] : recently.refusals) {
    fmt::format_to(end,
                   "{}{{\"keyspace\":\"{}\",\"level\":\"{}\",\"strong\":{},\"writes\":{},"
                   "\"code\":\"{}\",\"count\":{},\"linked\":{},\"unreachable\":{{",
                   comma, json_escape(reason.keyspace), name_of_kind(reason.level.kind),
                   reason.level.strong, reason.level.writes, reason.code, refusals.count,
                   refusals.linked);
    std::string_view between;
    for (const auto& [replica, count] : refusals.unreachable) {
      fmt::format_to(end, "{}\"{}\":{}", between, name_of(node, replica), count);
      between = ",";
    }
    out += "}}";
    comma = ",";
  }
  fmt::format_to(end, "],\"arrival_bounds_us\":[{}],\"arrivals\":[",
                 fmt::join(ShardStats::kLagBucketsUs, ","));
  comma = "";
  for (const auto& [peer, arrivals] : recently.arrivals) {
    fmt::format_to(end, "{}{{\"peer\":\"{}\",\"below_zero\":{},\"delays\":[{}]}}", comma,
                   name_of(node, peer), arrivals.below_zero, fmt::join(arrivals.buckets, ","));
    comma = ",";
  }
  out += "],\"windows\":{";
  comma = "";
  for (const cluster::Node& peer : node.config.cluster.nodes) {
    if (peer.number == node.number) continue;
    const std::optional<double> window = window_of(reports, peer.number);
    fmt::format_to(end, "{}\"{}\":{}", comma, peer.name,
                   window ? fmt::format("{:.3f}", *window) : "null");
    comma = ",";
  }
  const HintStats hints = hints_of(reports);
  fmt::format_to(end,
                 "}},\"joined\":{},\"conflicts\":{},\"type_conflicts\":{},\"repaired\":{},"
                 "\"hints\":{{\"waiting\":{},\"kept\":{},\"handed_over\":{}}}}}",
                 recently.records_joined, recently.conflicts, recently.type_conflicts,
                 recently.keys_repaired, hints.records, recently.hints_kept,
                 recently.hints_handed_over);
  return out;
}

}  // namespace even
