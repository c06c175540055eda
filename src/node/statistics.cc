#include "node/statistics.h"

#include "node/node_context.h"

namespace even {

Statistics Statistics::of(const NodeContext& node, std::span<const ThreadReport> reports) {
  Statistics all;
  all.connections = node.connections_received;
  all.rejected_connections = node.connections_rejected;
  for (const ThreadReport& report : reports) {
    all.input_bytes += report.input_bytes;
    all.output_bytes += report.output_bytes;
    all.keys_expired += report.stats.keys_expired;
    all.fields_expired += report.stats.fields_expired;
    all.keys_evicted += report.stats.keys_evicted;
    all.keyspace_hits += report.stats.keyspace_hits;
    all.keyspace_misses += report.stats.keyspace_misses;
    for (const auto& [name, command] : report.commands) {
      Calls& calls = all.commands[name];
      calls.calls += command.calls;
      calls.rejected += command.rejected;
      calls.failed += command.failed;
      calls.us += command.us;
      calls.latency.merge(command.latency);
    }
    for (const auto& [code, count] : report.errors) all.errors[code] += count;
  }
  return all;
}

std::uint64_t Statistics::calls() const {
  std::uint64_t sum = 0;
  for (const auto& [name, command] : commands) sum += command.calls;
  return sum;
}

std::uint64_t Statistics::error_replies() const {
  std::uint64_t sum = 0;
  for (const auto& [code, count] : errors) sum += count;
  return sum;
}

Statistics Statistics::since(const Statistics& earlier) const {
  Statistics out = *this;
  out.connections -= earlier.connections;
  out.rejected_connections -= earlier.rejected_connections;
  out.input_bytes -= earlier.input_bytes;
  out.output_bytes -= earlier.output_bytes;
  out.keys_expired -= earlier.keys_expired;
  out.fields_expired -= earlier.fields_expired;
  out.keys_evicted -= earlier.keys_evicted;
  out.keyspace_hits -= earlier.keyspace_hits;
  out.keyspace_misses -= earlier.keyspace_misses;
  for (const auto& [name, before] : earlier.commands) {
    Calls& calls = out.commands[name];
    calls.calls -= before.calls;
    calls.rejected -= before.rejected;
    calls.failed -= before.failed;
    calls.us -= before.us;
    calls.latency.take_off(before.latency);
  }
  std::erase_if(out.commands, [](const auto& entry) {
    const Calls& calls = entry.second;
    return calls.calls + calls.rejected + calls.failed == 0;
  });
  for (const auto& [code, before] : earlier.errors) out.errors[code] -= before;
  std::erase_if(out.errors, [](const auto& entry) { return entry.second == 0; });
  return out;
}

}  // namespace even
