// A replica of one partition for tests of what passes between nodes: a real shard on a simulated
// disk and store. What it says to its peers is kept until the test passes it on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "replica/driven_shard.h"
#include "store/sim_store.h"

namespace even::test {

struct Replica : DrivenShard {
  Replica(World& w, NodeNumber n, std::vector<NodeNumber> r)
      : DrivenShard(w), number(n), replicas(std::move(r)), random(n) {
    start();
  }
  ~Replica() { shard.reset(); }
  void start() {
    ShardOptions options;
    options.node = number;
    options.replica = ReplicaId::make(number, ++runs);
    options.partition_count = 1;
    options.partitions = {{0, replicas}};
    options.log.segment_bytes = 1 << 10;
    options.retain_bytes = retain_bytes;
    options.piece_bytes = piece_bytes;
    options.window_bytes = window_bytes;
    options.script_write_bytes = script_write_bytes;
    options.memory_pressure = [this] { return pressure; };
    options.warn = [this](const std::string& text) { warnings.push_back(text); };
    store = rows.shard_store();
    shard = std::make_unique<Shard>(options, world.clock, random, disk, *store, out);
    const auto recovered = shard->recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    shard->replay_all();
  }
  void stop() {
    ASSERT_TRUE(shard->close());
    shard.reset();
    store.reset();
    out.messages.clear();
    disk.crash();
    rows.crash();
  }
  bool damaged() const { return shard->partitions()[0].damage.has_value(); }
  const PartitionState& state() const { return *shard->state(0); }

  const NodeNumber number;
  const std::vector<NodeNumber> replicas;
  Random random;
  std::uint32_t runs = 0;
  std::uint64_t retain_bytes = 1 << 30;
  std::uint64_t piece_bytes = 256 << 10;
  std::uint64_t window_bytes = 4 << 20;
  std::uint64_t script_write_bytes = 1 << 30;
  sim::SimDisk disk{world.scheduler, random};
  sim::SimStore rows{world.scheduler, random};
  Outbox out;
  std::vector<std::string> warnings;
  std::unique_ptr<RowStore> store;
};

}  // namespace even::test
