// Damaged partitions of a shard and how they are made anew: two real shards of two nodes, on
// simulated disks and stores. Under crashes and faults it is the simulator's business.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replica/test_replica.h"

namespace even::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Repair : ::testing::Test {
  World world;
  Replica a{world, 1, {1, 2}};
  Replica b{world, 2, {1, 2}};

  void SetUp() override {
    for (int i = 0; i < 50; ++i) a.run({"set", fmt::format("k{}", i), fmt::format("{}", i)});
    b.run({"sadd", "s", "x", "y"});
    link();
    converse();
    ASSERT_EQ(a.state().digest(), b.state().digest());
  }
  void link() {
    a.shard->link_up(b.shard->replica_id());
    b.shard->link_up(a.shard->replica_id());
  }
  void unlink() {
    a.shard->link_down(2);
    b.shard->link_down(1);
    a.out.messages.clear();
    b.out.messages.clear();
  }
  // Passes messages for some seconds.
  void converse() {
    for (int turn = 0; turn < 400; ++turn) {
      for (; !a.out.messages.empty(); a.out.messages.pop_front())
        EXPECT_TRUE(b.shard->receive(1, a.out.messages.front()));
      for (; !b.out.messages.empty(); b.out.messages.pop_front())
        EXPECT_TRUE(a.shard->receive(2, b.out.messages.front()));
      world.run_for(30'000);
      for (Replica* node : {&a, &b}) {
        node->shard->tick();
        node->shard->end_turn();
      }
    }
  }
  // Every row that is there now; and somebody comes upon it.
  void damage_all(Replica& node) {
    node.rows.damage_all();
    EXPECT_EQ(node.run({"get", "k7"}), "-IOERR a row does not match its checksum (simulated)\r\n");
  }
  void expect_whole_and_equal() {
    EXPECT_FALSE(a.damaged());
    EXPECT_EQ(a.state().vector(), b.state().vector());
    EXPECT_EQ(a.state().digest(), b.state().digest());
    EXPECT_EQ(a.state().recompute_digest(), a.state().digest());
    EXPECT_EQ(a.shard->stats().digest_mismatches + b.shard->stats().digest_mismatches, 0u);
  }
};

TEST_F(Repair, MakesADamagedPartitionAnewWhileTheNodeRuns) {
  a.evict_all();
  damage_all(a);
  EXPECT_TRUE(a.damaged());
  EXPECT_EQ(a.shard->store_stats().damaged, 1u);
  converse();
  expect_whole_and_equal();
  EXPECT_EQ(a.run({"get", "k7"}), "$1\r\n7\r\n");
  EXPECT_EQ(a.run({"scard", "s"}), ":2\r\n");
  EXPECT_EQ(a.shard->store_stats().repaired, 1u);
  EXPECT_THAT(a.warnings, Contains(AllOf(HasSubstr("partition 0 is damaged"),
                                         HasSubstr("does not match its checksum"))));
  EXPECT_THAT(a.warnings, Contains("partition 0 has been repaired"));
}

// What it has seen is not what it has: it needs a snapshot that has nothing new.
TEST_F(Repair, MakesADamagedPartitionAnewFromASnapshotInPieces) {
  unlink();
  b.stop();
  b.piece_bytes = 100;
  b.start();
  a.evict_all();
  damage_all(a);
  link();
  converse();
  expect_whole_and_equal();
  EXPECT_GT(b.shard->stats().snapshot_pieces_sent, 10u);
  EXPECT_EQ(a.shard->store_stats().repaired, 1u);
}

TEST_F(Repair, WhatIsStoredAfterwardsIsReadAfterARestartAndHasNothingOld) {
  a.evict_all();
  damage_all(a);
  b.run({"del", "k1", "k2", "s"});  // their rows stay behind on a, in part
  converse();
  expect_whole_and_equal();
  a.evict_all();
  a.stop();
  a.start();
  EXPECT_FALSE(a.damaged());
  EXPECT_EQ(a.run({"dbsize"}), ":48\r\n");
  EXPECT_EQ(a.run({"exists", "k1", "k2", "s", "k3"}), ":1\r\n");
  EXPECT_EQ(a.state().recompute_digest(), a.state().digest());
}

// Nothing in the store says any more how the rows of the first repair were named.
TEST_F(Repair, RowsOfALaterRepairCountWhenTheClockHasBeenPutBack) {
  a.evict_all();
  damage_all(a);
  converse();
  expect_whole_and_equal();
  a.evict_all();
  a.stop();
  world.clock.offset_ms -= 3'600'000;
  a.rows.faults.failing_read = 1;
  a.start();
  a.rows.faults.failing_read = 0;
  EXPECT_TRUE(a.damaged());
  b.run({"set", "late", "1"});
  link();
  converse();
  expect_whole_and_equal();
  a.evict_all();
  std::string latest;  // of the partition's summaries: see docs/formats/store.md
  ASSERT_TRUE(a.store->scan({"\0\0\4", 3}, {"\0\0\5", 3}, [&](std::string_view row, auto) {
    latest = row;
    return true;
  }));
  EXPECT_EQ(latest, std::string("\0\0\4\0\0\0\2\0\0\0\0", 11)) << "that of run 2";
  a.stop();
  a.start();
  EXPECT_FALSE(a.damaged());
  EXPECT_EQ(a.run({"dbsize"}), ":52\r\n");
  EXPECT_EQ(a.state().recompute_digest(), a.state().digest());
}

TEST_F(Repair, KeepsWhatNoPeerHasYet) {
  unlink();
  a.run({"set", "mine", "1"});
  a.run({"incrby", "n", "5"});
  a.run({"del", "k3"});
  a.evict_all();
  b.run({"set", "theirs", "2"});
  damage_all(a);
  link();
  converse();
  expect_whole_and_equal();
  for (Replica* node : {&a, &b}) {
    EXPECT_EQ(node->run({"get", "mine"}), "$1\r\n1\r\n");
    EXPECT_EQ(node->run({"get", "n"}), "$1\r\n5\r\n");
    EXPECT_EQ(node->run({"get", "theirs"}), "$1\r\n2\r\n");
    EXPECT_EQ(node->run({"exists", "k3"}), ":0\r\n");
  }
}

TEST_F(Repair, GoesOnWithWritesToWhatCanBeReadAndKeepsThem) {
  a.evict_all();
  a.run({"set", "hot", "1"});
  unlink();
  damage_all(a);
  EXPECT_TRUE(a.damaged());
  EXPECT_EQ(a.run({"incr", "hot"}), ":2\r\n");
  link();
  converse();
  expect_whole_and_equal();
  EXPECT_EQ(a.run({"get", "hot"}), "$1\r\n2\r\n");
  EXPECT_EQ(b.run({"get", "hot"}), "$1\r\n2\r\n");
}

TEST_F(Repair, MakesAPartitionAnewThatCannotBeReadAtTheStart) {
  a.store_all();
  a.run({"set", "later", "1"});  // in the log only
  unlink();
  a.stop();
  a.rows.damage_all();
  a.start();
  EXPECT_TRUE(a.damaged());
  EXPECT_TRUE(a.state().vector().empty());
  EXPECT_THAT(a.run({"get", "later"}), StartsWith("-IOERR"));
  EXPECT_THAT(a.run({"set", "k1", "v"}), StartsWith("-IOERR"));
  EXPECT_THAT(a.run({"get", "never"}), StartsWith("-IOERR"));
  link();
  converse();
  expect_whole_and_equal();
  EXPECT_EQ(a.run({"get", "later"}), "$1\r\n1\r\n");
  EXPECT_EQ(b.run({"get", "later"}), "$1\r\n1\r\n");
  EXPECT_EQ(a.run({"set", "k1", "v"}), "+OK\r\n");
}

TEST_F(Repair, WaitsWhileNoPeerHasAllThatIsLost) {
  unlink();
  a.run({"set", "mine", std::string(5000, 'v')});
  a.stop();
  a.retain_bytes = 0;
  a.start();
  a.run({"set", "k1", "w"});
  a.evict_all();
  a.run({"set", "hot", "1"});
  a.evict_all();
  const VersionVector before = a.state().vector();
  damage_all(a);
  link();
  converse();
  EXPECT_TRUE(a.damaged());
  EXPECT_EQ(a.state().vector(), before);
  EXPECT_EQ(a.shard->store_stats().repaired, 0u);
  EXPECT_FALSE(b.state().vector().covers(before));
}

// What no peer has may be in rows that cannot be read, and in the log.
TEST_F(Repair, KeepsTheLogUntilItIsDone) {
  a.evict_all();
  damage_all(a);
  a.store_all();
  const auto removed = a.shard->remove_log();
  ASSERT_FALSE(removed);
  EXPECT_THAT(removed.error().message, HasSubstr("partition 0 is damaged and needs the log"));
  converse();
  expect_whole_and_equal();
  a.store_all();
  EXPECT_TRUE(a.shard->remove_log());
}

TEST(RepairAlone, ASingleReplicaServesWhatItCanReadAndSaysWhatToDo) {
  World world;
  Replica node(world, 1, {1});
  node.run({"set", "k", "1"});
  node.evict_all();
  node.run({"set", "hot", "1"});
  node.rows.faults.failing_read = 1;
  EXPECT_THAT(node.run({"get", "k"}), StartsWith("-IOERR"));
  node.rows.faults.failing_read = 0;
  node.pass_time();
  EXPECT_TRUE(node.damaged());
  EXPECT_EQ(node.run({"incr", "hot"}), ":2\r\n");
  std::string refused;  // a backup would lack something
  node.shard->store_now(
      [&refused](const Result<>& stored) { refused = stored ? "stored" : stored.error().message; });
  node.pass_time();
  EXPECT_THAT(refused, StartsWith("partition 0 is damaged: "));
  EXPECT_THAT(node.warnings,
              Contains(HasSubstr("no other replica to be repaired from: restore the node's data")));
}

}  // namespace
}  // namespace even::test
