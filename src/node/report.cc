#include "node/report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <tuple>

#include "node/shard_thread.h"

namespace even {

ThreadReport make_report(ShardThread& thread, bool with_partitions) {
  const Shard& shard = thread.shard();
  ThreadReport report;
  report.shard = thread.id();
  report.replica = shard.replica_id();
  report.keys = shard.visible_keys();
  report.keys_with_expiry = shard.keys_with_expiry();
  report.keys_lapsed = shard.keys_lapsed();
  report.sum_of_ttls_ms = shard.sum_of_ttls_ms();
  report.databases = shard.visible_of_databases();
  report.stats = shard.stats();
  report.log = shard.log_stats();
  report.store = shard.store_stats();
  report.replay = shard.replay_progress();
  report.publisher = thread.publisher().stats();
  report.write_error = shard.write_error();
  report.peers = shard.peers();
  report.hints = shard.hints();
  report.check = shard.check_status();
  report.groups = shard.groups();
  for (const cluster::Node& node : thread.node().config.cluster.nodes) {
    if (node.number == thread.node().number) continue;
    report.links[node.number] = thread.peers().up(node.number);
    report.sent_bytes[node.number] = thread.peers().sent_bytes(node.number);
    report.suspected[node.number] = thread.peers().suspects(node.number);
  }
  const double us_per_cycle = thread.us_per_cycle();
  for (const auto& [command, entry] : thread.stats().entries()) {
    report.commands[entry.name] = {.calls = entry.calls,
                                   .rejected = entry.rejected,
                                   .failed = entry.failed,
                                   .us = static_cast<double>(entry.cycles) * us_per_cycle,
                                   .latency = entry.latency};
  }
  const ClientTraffic& traffic = thread.traffic();
  report.errors.insert(traffic.errors.begin(), traffic.errors.end());
  report.at_level = traffic.at_level;
  report.session_waits = thread.sessions().waits();
  report.bounded_questions = thread.bounded().questions();
  report.bounded_handed_on = thread.bounded().handed_on();
  report.reads_hedged = thread.forwarder().hedged();
  report.hedges_won = thread.forwarder().hedges_won();
  report.consistency = thread.consistency();
  std::tie(report.recently, report.recent_seconds) =
      thread.levels().recent(report.consistency, thread.clock().monotonic_us());
  report.input_bytes = traffic.input_bytes;
  report.output_bytes = traffic.output_bytes;
  report.commands_per_second = traffic.commands_rate.per_second();
  report.input_per_second = traffic.input_rate.per_second();
  report.output_per_second = traffic.output_rate.per_second();
  if (with_partitions) report.partitions = shard.partitions();
  return report;
}

HintStats hints_of(std::span<const ThreadReport> reports) {
  HintStats all;
  for (const ThreadReport& report : reports) {
    const HintStats& hints = report.hints;
    all.records += hints.records;
    all.bytes += hints.bytes;
    all.partitions += hints.partitions;
    if (hints.oldest_ms != 0) {
      all.oldest_ms =
          all.oldest_ms == 0 ? hints.oldest_ms : std::min(all.oldest_ms, hints.oldest_ms);
    }
    for (const auto& [node, records] : hints.waiting) all.waiting[node] += records;
    all.kept += hints.kept;
    all.sent += hints.sent;
    all.handed_over += hints.handed_over;
    all.refused += hints.refused;
    all.expired += hints.expired;
  }
  return all;
}

MemoryUse memory_use() {
  MemoryUse use;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    unsigned long long kilobytes = 0;
    if (std::sscanf(line.c_str(), "VmRSS: %llu kB", &kilobytes) == 1) {
      use.resident = kilobytes * 1024;
    } else if (std::sscanf(line.c_str(), "VmHWM: %llu kB", &kilobytes) == 1) {
      use.peak = kilobytes * 1024;
    }
  }
  return use;
}

}  // namespace even
