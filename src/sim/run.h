// What all parts of one run share: its conditions, time and chance, the oracle, and what is noted.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "cluster/keyspace_table.h"
#include "cluster/placement.h"
#include "env/sim_scheduler.h"
#include "sim/options.h"
#include "sim/oracle.h"
#include "sim/outcome.h"
#include "sim/siblings.h"
#include "sim/trace.h"

namespace even::sim {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void violated(const std::string& what) { throw Violation(what); }

struct Run {
  Run(const RunOptions& run_options, bool print);

  template <typename... Args>
  void event(fmt::format_string<Args...> format, Args&&... args) {
    trace.event(scheduler.now_us(), format, std::forward<Args>(args)...);
  }
  // A random time with this mean.
  std::int64_t around(std::int64_t mean_us) {
    return 1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * mean_us)));
  }

  const RunOptions options;
  const cluster::ClusterMap map;
  const cluster::Placement placement;
  Trace trace;
  Scheduler scheduler;
  Random random;
  Oracle oracle{
      options.policy, options.expiry_wait_ms,
      options.clock_jump_every_us == 0 && 2 * options.skew_ms <= ShardOptions{}.max_drift_ms};
  SiblingContexts contexts;
  bool settling = false;  // faults have ended
  // The eventual keyspaces of a run without a metadata group; null: there is `default` alone.
  std::shared_ptr<const cluster::KeyspaceTable> table;
  Outcome outcome;
  // Called when the reply to what made a record has left.
  std::function<void(PartitionId, const Dot&)> acknowledged = [](PartitionId, const Dot&) {};
  // Called when a node counts for its hints, with who has given it them; none: nobody asks.
  std::function<void(PartitionId, NodeNumber giver, NodeNumber holder, const VersionVector&)>
      hint_counted;
};

}  // namespace even::sim
