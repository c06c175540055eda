// LATENCY and LOLWUT. Replies have the form of Redis 7.0.15's; the words of LATENCY DOCTOR, the
// buckets of LATENCY HISTOGRAM and the art are Even's own.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "client/compatibility.h"
#include "client/connection_commands.h"
#include "client/latency_monitor.h"
#include "engine/text.h"

namespace even {
namespace {

std::int64_t unix_seconds(Connection& connection) {
  return connection.thread().clock().wall_ms() / 1000;
}

void latest_latency(Connection& connection) {
  const auto events = connection.thread().node().latency.events();
  Reply reply = connection.reply();
  reply.array(events.size());
  for (const auto& [name, event] : events) {
    reply.array(4);
    reply.bulk(name);
    reply.integer(event.samples.back().at_s);
    reply.integer(event.samples.back().ms);
    reply.integer(event.longest_ms);
  }
}

void latency_history(Connection& connection, std::string_view event) {
  const auto found = connection.thread().node().latency.find(event);
  Reply reply = connection.reply();
  if (!found) return reply.array(0);
  reply.array(found->samples.size());
  for (const LatencyMonitor::Sample& sample : found->samples) {
    reply.array(2);
    reply.integer(sample.at_s);
    reply.integer(sample.ms);
  }
}

void reply_latency_graph(Connection& connection, std::string_view event) {
  const auto found = connection.thread().node().latency.find(event);
  if (!found) {
    return connection.reply().error(
        fmt::format("ERR No samples available for event '{}'", event.substr(0, 128)));
  }
  connection.reply().verbatim("txt", latency_graph(event, *found, unix_seconds(connection)));
}

void latency_doctor(Connection& connection) {
  const NodeContext& node = connection.thread().node();
  const std::int64_t threshold_ms = node.options.latency_threshold_ms;
  std::string text;
  if (threshold_ms == 0) {
    text =
        "Latency is not monitored: CONFIG SET latency-monitor-threshold <milliseconds> begins "
        "that.\n";
  }
  const auto events = node.latency.events();
  for (const auto& [name, event] : events) {
    std::int64_t sum = 0;
    for (const LatencyMonitor::Sample& sample : event.samples) sum += sample.ms;
    const auto count = static_cast<std::int64_t>(event.samples.size());
    text += fmt::format(
        "{}: {} seconds with at least one that took long; the longest of each on average {} ms, "
        "the last one {} s ago with {} ms, the longest of all {} ms.\n",
        name, count, sum / std::max<std::int64_t>(count, 1),
        unix_seconds(connection) - event.samples.back().at_s, event.samples.back().ms,
        event.longest_ms);
  }
  if (events.contains("command")) {
    text +=
        "SLOWLOG GET shows the latest commands that took long. Commands on all keys (KEYS, "
        "FLUSHALL) and on large collections (SMEMBERS, HGETALL, LRANGE, SORT) take as long as they "
        "are large; SCAN and its like take them in parts. Scripts keep their shard for as long as "
        "they run.\n";
  }
  if (events.contains("fast-command")) {
    text +=
        "Fast commands take long only where the thread did not run or waited for the store: look "
        "at the load of the machine and its disk, and at INFO store.\n";
  }
  if (text.empty()) {
    text =
        fmt::format("Nothing has taken {} ms or longer since that is monitored.\n", threshold_ms);
  }
  connection.reply().verbatim("txt", text);
}

// Whether a command is asked for: by its name, or by its container's. None named: all are.
bool is_wanted(const std::vector<std::string>& wanted, std::string_view name) {
  return wanted.empty() || std::ranges::any_of(wanted, [name](std::string_view want) {
           return name == want || (name.starts_with(want) && name[want.size()] == '|');
         });
}

void latency_histogram(Connection& connection, Args names) {
  std::vector<std::string> wanted;
  for (const std::string_view name : names) {
    std::string& lower = wanted.emplace_back(name);
    for (char& c : lower) c = to_lower(c);
  }
  reply_gathered<ThreadReport>(
      connection, [](ShardThread& thread) { return make_report(thread, false); },
      [wanted = std::move(wanted), &node = connection.thread().node()](
          Reply& reply, const std::vector<ThreadReport>& reports) {
        const Statistics statistics = node.statistics.since_reset(Statistics::of(node, reports));
        std::map<std::string, LatencyHistogram> all;
        for (const auto& [name, command] : statistics.commands) {
          if (command.calls > 0 && is_wanted(wanted, name)) all[name] = command.latency;
        }
        reply.map(all.size());
        for (const auto& [name, of] : all) {
          // Redis shows a bucket where there is something in it, with what is below.
          std::vector<std::pair<std::int64_t, std::uint64_t>> buckets;
          std::uint64_t calls = 0;
          for (std::size_t i = 0; i < of.buckets.size(); ++i) {
            calls += of.buckets[i];
            const bool last = i == LatencyHistogram::kBoundsUs.size();
            if (of.buckets[i] == 0) continue;
            buckets.emplace_back(
                last ? 2 * LatencyHistogram::kBoundsUs.back() : LatencyHistogram::kBoundsUs[i],
                calls);
          }
          reply.bulk(name);
          reply.map(2);
          reply.bulk("calls");
          reply.integer(static_cast<std::int64_t>(calls));
          reply.bulk("histogram_usec");
          reply.map(buckets.size());
          for (const auto& [bound_us, count] : buckets) {
            reply.integer(bound_us);
            reply.integer(static_cast<std::int64_t>(count));
          }
        }
      });
}

}  // namespace

void execute_latency(Connection& connection, Args args) {
  const auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  if (is("latest")) return latest_latency(connection);
  if (is("history")) return latency_history(connection, args[2]);
  if (is("reset")) {
    return connection.reply().integer(
        static_cast<std::int64_t>(connection.thread().node().latency.reset(args.subspan(2))));
  }
  if (is("graph")) return reply_latency_graph(connection, args[2]);
  if (is("doctor")) return latency_doctor(connection);
  if (is("histogram")) return latency_histogram(connection, args.subspan(2));
  if (is("help")) return reply_help(connection, "LATENCY");
  reply_unknown_subcommand(connection, "LATENCY", args[1]);
}

// A maze, another one each time: a diagonal of each cell is drawn, one of the two.
void execute_lolwut(Connection& connection, Args args) {
  constexpr int kMazeColumns = 64, kMazeRows = 12;
  if (args.size() > 2 && equals_ignore_case(args[1], "version")) {
    std::int64_t version = 0;
    if (!parse_strict_integer(args[2], version)) return connection.reply().error(kNotInteger);
  }
  std::string art;
  for (int row = 0; row < kMazeRows; ++row) {
    for (int column = 0; column < kMazeColumns; ++column) {
      art += connection.thread().random().below(2) == 0 ? "\xe2\x95\xb1" : "\xe2\x95\xb2";
    }
    art += '\n';
  }
  art += fmt::format("\nRedis ver. {}\n", kRedisVersion);
  connection.reply().verbatim("txt", art);
}

}  // namespace even
