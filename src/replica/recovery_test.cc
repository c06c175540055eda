// A node that serves while its log is replayed. With crashes and faults it is the simulator's
// business.
#include "replica/recovery.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/placement.h"
#include "replica/test_node.h"

namespace even::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr PartitionId kPartitions = 8;
constexpr int kKeys = 200;

// It replays one record at a time, and no more than one in a tick.
struct Replaying : ::testing::Test {
  struct Hosted : DrivenShard {
    explicit Hosted(World& its_world) : DrivenShard(its_world) {}
    Outbox out;
  };

  Replaying() { start(); }
  ~Replaying() override { node.shard.reset(); }

  std::uint32_t runs = 0;
  ShardOptions options() {
    ShardOptions options;
    options.replica = ReplicaId::make(options.node, ++runs);
    options.partition_count = kPartitions;
    for (PartitionId p = 0; p < kPartitions; ++p) options.partitions.push_back({p, {1, 2}});
    options.log.fsync = FsyncPolicy::kAlways;
    options.log.segment_bytes = 1 << 10;
    options.pass_bytes = pass_bytes;
    options.retain_bytes = 0;
    options.replay_bytes = replay_bytes;
    options.replay_batch_bytes = 1;
    options.replay_slice_us = 0;
    options.warn = [this](const std::string& text) { warnings.push_back(text); };
    return options;
  }
  Result<> try_to_start() {
    store = rows.shard_store();
    node.shard =
        std::make_unique<Shard>(options(), world.clock, world.random, world.disk, *store, node.out);
    return node.shard->recover();
  }
  void start() {
    const auto recovered = try_to_start();
    ASSERT_TRUE(recovered) << recovered.error().message;
  }
  // What was synced stays.
  void lose_power() {
    node.shard.reset();
    store.reset();
    node.out.messages.clear();
    world.disk.crash();
    rows.crash();
  }
  void restart() {
    world.run_for(100'000);
    lose_power();
    start();
  }
  static std::string key(int i) { return fmt::format("k{}", i); }
  void write(const std::string& value) {
    for (int i = 0; i < kKeys; ++i) node.run({"set", key(i), value});
    world.run_for(100'000);
  }
  std::string get(int i) { return node.run({"get", key(i)}); }
  ReplayProgress progress() const { return node.shard->replay_progress(); }
  static PartitionId partition_of(int i) { return cluster::key_partition(key(i), kPartitions); }
  bool replayed(PartitionId id) const { return node.shard->partitions()[id].replayed; }
  std::size_t replayed() const {
    const auto all = node.shard->partitions();
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [](const PartitionStatus& p) { return p.replayed; }));
  }
  void replay_the_rest() {
    while (node.shard->replay_some()) {
    }
  }

  World world;
  sim::SimStore rows{world.scheduler, world.random};
  std::uint64_t pass_bytes = 1 << 30;
  std::uint64_t replay_bytes = 1 << 30;
  std::vector<std::string> warnings;
  std::unique_ptr<RowStore> store;
  Hosted node{world};
};

TEST_F(Replaying, ACommandSeesAllThatTheLogHasOfItsKeysAndNothingElseIsReplayed) {
  write("old");
  restart();
  EXPECT_EQ(replayed(), 0u);
  EXPECT_EQ(get(7), "$3\r\nold\r\n");
  EXPECT_EQ(replayed(), 1u);
  EXPECT_TRUE(replayed(partition_of(7)));
  EXPECT_EQ(node.run({"append", key(8), "er"}), ":5\r\n");
  EXPECT_TRUE(progress().under_way());
  EXPECT_EQ(node.run({"dbsize"}), fmt::format(":{}\r\n", kKeys));
  EXPECT_FALSE(progress().under_way());
  EXPECT_EQ(replayed(), kPartitions);
}

TEST_F(Replaying, ReplaysTheRestInTicks) {
  write("old");
  restart();
  const ReplayProgress before = progress();
  node.tick();
  EXPECT_EQ(replayed(), 0u);
  node.pass_time(kKeys);
  EXPECT_FALSE(progress().under_way());
  EXPECT_EQ(progress().bytes, before.bytes);
  for (int i = 0; i < kKeys; ++i) EXPECT_EQ(get(i), "$3\r\nold\r\n");
}

TEST_F(Replaying, WhatIsWrittenMeanwhileComesAfterIt) {
  write("old");
  restart();
  node.run({"set", key(1), "new"});
  node.tick();
  restart();  // the log of before is replayed once more, and what came behind it
  EXPECT_EQ(get(1), "$3\r\nnew\r\n");
  EXPECT_EQ(get(2), "$3\r\nold\r\n");
  replay_the_rest();
  EXPECT_EQ(node.shard->stats().conflicts, 0u);
}

TEST_F(Replaying, NothingIsStoredNorRemovedFromTheLogUntilAllIsReplayed) {
  write("old");
  pass_bytes = 1;
  restart();
  const LogStats before = node.shard->log_stats();
  std::optional<bool> stored;
  node.shard->store_now([&](const Result<>& outcome) { stored = outcome.has_value(); });
  int ticks = 0;
  for (; progress().under_way(); ++ticks) {
    ASSERT_FALSE(stored);
    ASSERT_FALSE(node.shard->all_stored());
    ASSERT_EQ(node.shard->store_stats().passes, 0u);
    ASSERT_EQ(node.shard->log_stats().segments, before.segments);
    world.run_for(5'000);
    node.tick();
  }
  EXPECT_GT(ticks, static_cast<int>(kPartitions));
  node.pass_time();
  EXPECT_EQ(stored, true);
  EXPECT_TRUE(node.shard->all_stored());
}

TEST_F(Replaying, WhatSomebodyWaitsForComesFirst) {
  write("old");
  restart();
  const std::string wanted = key(7);
  const Need need{.key = wanted};
  bool told = false;
  ASSERT_TRUE(node.shard->await_replay({&need, 1}, [&] { told = true; }));
  while (!told) {
    EXPECT_FALSE(replayed(partition_of(7)));
    EXPECT_EQ(replayed(), 0u);
    node.tick();
  }
  EXPECT_TRUE(replayed(partition_of(7)));
  EXPECT_FALSE(node.shard->await_replay({&need, 1}, [] {}));
}

// A command may have it replayed first, and is not to be interrupted by another.
TEST_F(Replaying, WhoWaitsIsToldInATurnOfItsOwn) {
  write("old");
  restart();
  const std::string wanted = key(7);
  const Need need{.key = wanted};
  bool told = false;
  ASSERT_TRUE(node.shard->await_replay({&need, 1}, [&] { told = true; }));
  EXPECT_EQ(get(7), "$3\r\nold\r\n");
  EXPECT_FALSE(told);
  node.tick();
  EXPECT_TRUE(told);
}

TEST_F(Replaying, OfALogThatIsTooLongForMemoryTheFirstPartIsReplayedBefore) {
  write("old");
  replay_bytes = 2'000;
  restart();
  EXPECT_TRUE(progress().under_way());
  EXPECT_LE(progress().bytes, replay_bytes);
  for (int i = 0; i < kKeys; ++i) EXPECT_EQ(get(i), "$3\r\nold\r\n");
}

TEST_F(Replaying, ReplicationBeginsWhenAllIsReplayed) {
  write("old");
  restart();
  node.shard->link_up(ReplicaId::make(2, 1));
  while (progress().under_way()) {
    EXPECT_THAT(node.out.messages, IsEmpty());
    node.tick();
  }
  node.tick();
  EXPECT_THAT(node.out.messages, Not(IsEmpty()));
}

TEST_F(Replaying, ALinkThatBrokeMeanwhileIsNotBegun) {
  write("old");
  restart();
  node.shard->link_up(ReplicaId::make(2, 1));
  node.shard->link_down(2);
  replay_the_rest();
  node.pass_time();
  EXPECT_THAT(node.out.messages, IsEmpty());
}

TEST_F(Replaying, APartitionWhoseRecordsCannotBeReplayedIsDamaged) {
  write("old");
  world.run_for(100'000);
  lose_power();
  // A record of partition 0 that depends on one which is not there.
  {
    OpenLog log(world, options().log);
    VersionVector seen;
    seen.add({ReplicaId::make(2, 5), 6});
    const Record record = Record::begin(0, ReplicaId::make(2, 5), Hlc{1}, seen);
    std::string bytes;
    encode_record(record, bytes);
    ASSERT_TRUE(log.write({bytes}) && log.log->flush_and_sync());
  }
  start();
  node.pass_time(2 * kKeys);
  EXPECT_FALSE(progress().under_way());
  const auto partitions = node.shard->partitions();
  ASSERT_TRUE(partitions[0].damage);
  EXPECT_THAT(*partitions[0].damage, HasSubstr("without what it depends on"));
  EXPECT_THAT(warnings, Contains(HasSubstr("partition 0 is damaged")));
  for (int i = 0; i < kKeys; ++i) {
    if (partition_of(i) == 0) {
      EXPECT_THAT(get(i), HasSubstr("-IOERR"));
    } else {
      EXPECT_EQ(get(i), "$3\r\nold\r\n");
    }
  }
}

}  // namespace
}  // namespace even::test
