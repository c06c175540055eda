// What is purged and when, between two real shards whose link is cut.
#include "replica/expiry_sweep.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "replica/test_replica.h"

namespace even::test {
namespace {

constexpr int kTicksPerSecond = 200;

struct ExpirySweepTest : ::testing::Test {
  World world;
  // Node 2 comes first, and so is the one to purge.
  Replica a{world, 1, {2, 1}};
  Replica b{world, 2, {2, 1}};
  bool linked = false;

  void SetUp() override { link(); }
  void link() {
    a.shard->link_up(b.shard->replica_id());
    b.shard->link_up(a.shard->replica_id());
    linked = true;
  }
  void cut() {
    a.shard->link_down(2);
    b.shard->link_down(1);
    linked = false;
  }
  void pass(int ticks) {
    for (int i = 0; i < ticks; ++i) {
      world.run_for(5'000);
      a.tick();
      b.tick();
      exchange(a, b);
      exchange(b, a);
    }
  }
  void exchange(Replica& from, Replica& to) {
    for (; !from.out.messages.empty(); from.out.messages.pop_front()) {
      if (linked) {
        ASSERT_TRUE(to.shard->receive(from.number, from.out.messages.front()));
      }
    }
    to.shard->end_turn();
  }
  void pass_seconds(int seconds) { pass(seconds * kTicksPerSecond); }
  void expect_both(const std::vector<std::string>& words, const std::string& reply) {
    EXPECT_EQ(a.run(words), reply);
    EXPECT_EQ(b.run(words), reply);
    EXPECT_EQ(a.shard->partitions()[0].vector, b.shard->partitions()[0].vector);
    EXPECT_EQ(a.shard->partitions()[0].digest, b.shard->partitions()[0].digest);
  }
};

TEST_F(ExpirySweepTest, WhatNobodyProlongedIsGoneWithItsExpirySoonAfterItsTime) {
  a.run({"set", "k", "v", "px", "1000"});
  pass_seconds(4);
  for (const Replica* node : {&a, &b}) {
    EXPECT_TRUE(node->state().empty());
    EXPECT_EQ(node->state().leftover_expiries(), 0u);
    EXPECT_EQ(node->state().lapsed_keys(), 0u);
  }
}

TEST_F(ExpirySweepTest, WhatWasProlongedBehindACutIsKeptWithAllThatIsInIt) {
  a.run({"set", "string", "v", "px", "1000"});
  a.run({"set", "counter", "100", "px", "1000"});
  a.run({"sadd", "set", "x", "y"});
  a.run({"pexpire", "set", "1000"});
  a.run({"hset", "hash", "f", "1", "g", "2"});
  a.run({"pexpire", "hash", "1000"});
  pass(20);
  cut();
  a.run({"incr", "counter"});
  a.run({"persist", "counter"});
  a.run({"getex", "string", "px", "60000"});
  a.run({"pexpire", "set", "60000"});
  a.run({"pexpire", "hash", "60000"});
  pass_seconds(5);
  EXPECT_EQ(b.run({"exists", "string", "counter", "set", "hash"}), ":0\r\n") << "by its clock";
  EXPECT_EQ(b.run({"dbsize"}), ":0\r\n");
  link();
  pass_seconds(2);
  expect_both({"get", "string"}, "$1\r\nv\r\n");
  expect_both({"get", "counter"}, "$3\r\n101\r\n");
  expect_both({"ttl", "counter"}, ":-1\r\n");
  expect_both({"scard", "set"}, ":2\r\n");
  expect_both({"hlen", "hash"}, ":2\r\n");
  expect_both({"dbsize"}, ":4\r\n");
}

TEST_F(ExpirySweepTest, FieldsThatNobodyProlongedAreGoneAndTheirMemoryIsFreed) {
  a.run({"hset", "h", "f", "v", "g", "w", "n", "5"});
  a.run({"hpexpire", "h", "1000", "fields", "2", "f", "n"});
  a.run({"hsetex", "all", "px", "1000", "fields", "2", "x", "1", "y", "2"});
  a.run({"pexpire", "all", "60000"});
  pass_seconds(4);
  for (const Replica* node : {&a, &b}) {
    EXPECT_EQ(node->state().live_keys(), 1u);
    EXPECT_EQ(node->state().object_count(), 1u);
    EXPECT_EQ(node->state().keys_with_field_expiry(), 0u);
    EXPECT_FALSE(node->state().find("h", hash64("h"))->field_expiries());
  }
  expect_both({"hgetall", "h"}, "*2\r\n$1\r\ng\r\n$1\r\nw\r\n");
}

TEST_F(ExpirySweepTest, AFieldThatWasProlongedBehindACutIsKept) {
  a.run({"hset", "h", "f", "v", "g", "w", "n", "5"});
  a.run({"hpexpire", "h", "1000", "fields", "3", "f", "g", "n"});
  pass(20);
  cut();
  a.run({"hpexpire", "h", "60000", "fields", "1", "f"});
  a.run({"hincrby", "h", "n", "1"});
  a.run({"hpersist", "h", "fields", "1", "n"});
  pass_seconds(5);
  EXPECT_EQ(b.run({"exists", "h"}), ":0\r\n") << "by its clock";
  link();
  pass_seconds(2);
  expect_both({"hmget", "h", "f", "g", "n"}, "*3\r\n$1\r\nv\r\n$-1\r\n$1\r\n6\r\n");
  expect_both({"hlen", "h"}, ":2\r\n");
}

TEST_F(ExpirySweepTest, AReplicaThatOnlyAppearsToHaveBeenHeardIsWaitedFor) {
  a.run({"set", "k", "v", "px", "1000"});
  pass(20);
  // What node 1 says reaches node 2, but its records do not.
  a.run({"persist", "k"});
  for (int i = 0; i < 3 * kTicksPerSecond; ++i) {
    world.run_for(5'000);
    a.tick();
    b.tick();
    for (; !a.out.messages.empty(); a.out.messages.pop_front()) {
      const auto message = decode_peer_message(a.out.messages.front());
      if (std::holds_alternative<RecordsMessage>(*message)) continue;
      ASSERT_TRUE(b.shard->receive(1, a.out.messages.front()));
    }
    b.out.messages.clear();
  }
  EXPECT_EQ(b.state().live_keys(), 1u);
  cut();
  link();
  pass_seconds(2);
  expect_both({"get", "k"}, "$1\r\nv\r\n");
}

TEST_F(ExpirySweepTest, WhatAPeerHasLostSinceItSaidToHaveItIsNotWaitedFor) {
  a.run({"set", "k", "v", "px", "1000"});
  pass(20);
  // A record of node 1 that nobody gets to see; node 1 then restarts without it.
  ReportMessage report;
  report.clock_ms = world.clock.wall_ms();
  report.partitions.push_back({0, a.state().vector(), 0});
  report.partitions[0].vector.add({a.shard->replica_id(), 999});
  ASSERT_TRUE(b.shard->receive(1, encode_report(report)));
  cut();
  link();
  for (int i = 0; i < 4 * kTicksPerSecond; ++i) {
    world.run_for(5'000);
    a.tick();
    b.tick();
    exchange(a, b);
    b.out.messages.clear();  // so that node 1 does not purge it
  }
  EXPECT_TRUE(b.state().empty());
}

TEST_F(ExpirySweepTest, WhatHasWaitedForAnAbsentReplicaLongEnoughIsGivenUpAndLaterForgotten) {
  a.run({"set", "k", "v", "px", "1000"});
  a.run({"set", "stays", "v"});
  pass(20);
  cut();
  a.run({"append", "k", "w"});  // it had seen the expiry
  pass_seconds(10);
  EXPECT_EQ(b.state().lapsed_keys(), 1u);
  world.run_for(std::int64_t{3'600} * 1'000'000);
  b.tick();
  EXPECT_EQ(b.state().lapsed_keys(), 0u);
  EXPECT_EQ(b.state().live_keys(), 1u);
  EXPECT_EQ(b.state().leftover_expiries(), 1u);
  link();
  pass_seconds(4);
  expect_both({"exists", "k"}, ":0\r\n");
  for (const Replica* node : {&a, &b}) {
    EXPECT_EQ(node->state().object_count(), 1u) << "nothing is left of it";
  }
}

TEST_F(ExpirySweepTest, MoreLapsedThanLivingKeysAreNotKeptForAnAbsentReplica) {
  cut();
  for (int i = 0; i < 1'500; ++i) b.run({"set", fmt::format("k{}", i), "v", "px", "1000"});
  pass_seconds(3);
  EXPECT_EQ(b.state().lapsed_keys(), 1'024u);
  EXPECT_EQ(b.run({"dbsize"}), ":0\r\n");
  for (int i = 0; i < 1'200; ++i) b.run({"set", fmt::format("live{}", i), "v"});
  for (int i = 0; i < 500; ++i) b.run({"set", fmt::format("l{}", i), "v", "px", "1000"});
  pass_seconds(3);
  EXPECT_EQ(b.state().lapsed_keys(), 1'200u);
  EXPECT_EQ(b.run({"dbsize"}), ":1200\r\n");
}

}  // namespace
}  // namespace even::test
