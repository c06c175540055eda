// A replica of one partition for tests of what passes between nodes: a real shard on a simulated
// disk and store. What it says to its peers is kept until the test passes it on.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "log/test_log.h"
#include "replica/shard.h"
#include "store/sim_store.h"

namespace even::test {

class Outbox final : public Transport {
 public:
  void send(NodeNumber, std::string message) override { messages.push_back(std::move(message)); }
  std::deque<std::string> messages;
};

struct Replica {
  Replica(World& w, NodeNumber n, std::vector<NodeNumber> r)
      : world(w), number(n), replicas(std::move(r)), random(n) {
    start();
  }
  void start() {
    ShardOptions options;
    options.node = number;
    options.partition_count = 1;
    options.partitions = {{0, replicas}};
    options.log.segment_bytes = 1 << 10;
    options.retain_bytes = retain_bytes;
    options.piece_bytes = piece_bytes;
    options.window_bytes = window_bytes;
    options.memory_pressure = [this] { return pressure; };
    options.warn = [this](const std::string& text) { warnings.push_back(text); };
    store = rows.shard_store();
    shard = std::make_unique<Shard>(options, world.clock, random, disk, *store, out);
    const auto recovered = shard->recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
  }
  void stop() {
    ASSERT_TRUE(shard->close());
    shard.reset();
    store.reset();
    out.messages.clear();
    disk.crash();
    rows.crash();
  }
  std::string run(const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    std::string reply;
    shard->execute(*find_command(args[0]), args, false, reply);
    shard->end_turn();
    return reply;
  }
  void pass_time(int ticks = 400) {
    for (int i = 0; i < ticks; ++i) {
      world.run_for(5'000);
      shard->tick();
      shard->end_turn();
    }
  }
  void store_all() {
    shard->store_changes();
    pass_time();
    ASSERT_TRUE(shard->all_stored());
  }
  // Nothing is left in memory.
  void evict_all() {
    store_all();
    pressure = 2;
    pass_time();
    pressure = 0;
  }
  bool damaged() const { return shard->partitions()[0].damage.has_value(); }
  const PartitionState& state() const { return *shard->state(0); }

  World& world;
  const NodeNumber number;
  const std::vector<NodeNumber> replicas;
  Random random;
  std::uint64_t retain_bytes = 1 << 30;
  std::uint64_t piece_bytes = 256 << 10;
  std::uint64_t window_bytes = 4 << 20;
  double pressure = 0;
  sim::SimDisk disk{world.scheduler, random};
  sim::SimStore rows{world.scheduler, random};
  Outbox out;
  std::vector<std::string> warnings;
  std::unique_ptr<RowStore> store;
  std::unique_ptr<Shard> shard;
};

}  // namespace even::test
