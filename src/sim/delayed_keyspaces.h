// Eventual keyspaces whose records are held back in some runs (docs/delay.md): how they change, and
// that nobody waits for what is held back who asked for more than ONE.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cluster/keyspace_table.h"
#include "sim/node.h"

namespace even::sim {

// Of runs without a metadata group. Null: there is none but `default`.
std::shared_ptr<const cluster::KeyspaceTable> eventual_table(const RunOptions& options,
                                                             std::uint64_t version,
                                                             std::int64_t delay_ms);

class DelayedKeyspaces {
 public:
  using Nodes = std::vector<std::unique_ptr<Node>>;

  // All that is referred to outlives it.
  DelayedKeyspaces(Run& run, const Nodes& nodes, std::uint64_t seed)
      : run_(run), nodes_(nodes), random_(seed) {}

  // What has the metadata group do that, in runs with one.
  std::function<void(std::int64_t delay_ms)> on_alter;
  // Every node that is up comes to it in its own time.
  void alter(std::int64_t delay_ms);
  // To another one, or to none and back.
  void change();

  // Of a quiet cluster: writes to the partition what will be held back for long, and after a while
  // asks for it, in one way or another. Returns whether it has come; null: it cannot be done there.
  std::function<bool()> write(PartitionId partition);
  void ask();
  const std::string& what() const { return what_; }

 private:
  std::string key_in(PartitionId partition, const std::string& prefix);

  Run& run_;
  const Nodes& nodes_;
  Random random_;
  std::function<void()> ask_;
  std::string what_;  // is asked for
};

}  // namespace even::sim
