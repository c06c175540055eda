// Three replicas of one partition, and who is linked with whom.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "replica/driven_shard.h"
#include "replica/stable_reach.h"
#include "store/sim_store.h"

namespace even::test {

// A replica of one partition that says to whom its messages go.
struct Member : DrivenShard, Transport {
  Member(World& w, NodeNumber n) : DrivenShard(w), number(n), random(n) { start(); }
  ~Member() override { shard.reset(); }
  void send(NodeNumber to, std::string message) override {
    sent.emplace_back(to, std::move(message));
  }
  void start() {
    ShardOptions options;
    options.node = number;
    options.replica = ReplicaId::make(number, ++runs, line);
    options.partition_count = 1;
    options.partitions = {{0, {1, 2, 3}}};
    options.log.segment_bytes = 4 << 10;
    options.pass_bytes = 16 << 10;
    options.stable = &stable;
    options.observe = [this](std::string_view record, RecordOrigin) { last_record = record; };
    store = rows.shard_store();
    shard = std::make_unique<Shard>(options, world.clock, random, disk, *store, *this);
    const auto recovered = shard->recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    shard->replay_all();
  }
  // Anew, with an empty disk.
  void lose_disk() {
    stop();
    ++line;
    disk.wipe();
    rows.wipe();
  }
  void stop() {
    ASSERT_TRUE(shard->close());
    shard.reset();
    store.reset();
    sent.clear();
    disk.crash();
    rows.crash();
  }
  bool up() const { return shard != nullptr; }
  const PartitionState& state() const { return *shard->state(0); }
  const VersionVector& vector() const { return state().vector(); }
  ReplicaId id() const { return ReplicaId::make(number, runs, line); }

  const NodeNumber number;
  Random random;
  std::uint32_t runs = 0;
  std::uint16_t line = 0;
  StableReach stable{1};
  sim::SimDisk disk{world.scheduler, random};
  sim::SimStore rows{world.scheduler, random};
  std::unique_ptr<RowStore> store;
  std::vector<std::pair<NodeNumber, std::string>> sent;
  std::string last_record;
};

struct Members : ::testing::Test {
  World world;
  Member members[3] = {{world, 1}, {world, 2}, {world, 3}};
  Member& a = members[0];
  Member& b = members[1];
  Member& c = members[2];

  void link(Member& one, Member& other) {
    one.shard->link_up(other.id(), true);
    other.shard->link_up(one.id(), true);
  }
  void link_all() {
    link(a, b);
    link(a, c);
    link(b, c);
  }
  void restart(Member& member) {
    member.stop();
    for (Member& other : members) {
      if (other.up()) other.shard->link_down(member.number);
    }
    member.start();
    for (Member& other : members) {
      if (other.up() && &other != &member) link(member, other);
    }
  }
  void converse(int ticks = 12) {
    for (int i = 0; i < ticks; ++i) {
      for (bool any = true; any;) {
        any = false;
        for (Member& member : members) {
          for (auto& [to, message] : std::exchange(member.sent, {})) {
            any = true;
            if (!members[to - 1].up()) continue;
            const auto received = members[to - 1].shard->receive(member.number, message);
            ASSERT_TRUE(received) << received.error().message;
          }
        }
        for (Member& member : members) {
          if (member.up()) member.shard->end_turn();
        }
      }
      world.run_for(50'000);
      for (Member& member : members) {
        if (member.up()) member.tick();
      }
    }
  }
};

}  // namespace even::test
