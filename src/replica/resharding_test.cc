#include "replica/resharding.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "cluster/placement.h"
#include "log/format.h"
#include "replica/test_node.h"

namespace even {
namespace {

using test::Silence;
using test::World;

constexpr PartitionId kReshardedPartitions = 4;

// A data directory, and the node that is started on it with one number of shards or another.
class ReshardingTest : public ::testing::Test {
 protected:
  struct Hosted {
    Silence out;
    std::unique_ptr<RowStore> store;
    std::unique_ptr<Shard> shard;
  };

  static Identity identity(ShardId shards) {
    return {.cluster = "c",
            .node = "n1",
            .number = 1,
            .partitions = kReshardedPartitions,
            .shards = shards};
  }
  ShardOptions options(ShardId id, ShardId shards) const {
    ShardOptions options;
    options.replica = replica_;
    options.shard = id;
    options.partition_count = kReshardedPartitions;
    options.log.fsync = FsyncPolicy::kAlways;
    for (PartitionId p = 0; p < kReshardedPartitions; ++p) {
      if (shard_of_partition(p, shards) == id) options.partitions.push_back({p, {1}});
    }
    return options;
  }

  Result<Identity> claim(ShardId shards) {
    return claim_directory(world_.disk, identity(shards), world_.clock, world_.random);
  }
  void begin(ShardId shards) {
    const auto found = claim(shards);
    if (!found) throw std::runtime_error(found.error().message);
    replica_ = found->replica();
    resharding_ = std::make_unique<Resharding>(
        Resharding::Host{.disk = world_.disk,
                         .clock = world_.clock,
                         .random = world_.random,
                         .store = [this](ShardId) { return rows_.shard_store(); },
                         .options = [this](ShardId id, ShardId n) { return options(id, n); },
                         .inform = [](const std::string&) {},
                         .warn = [this](const std::string& text) { warnings_.push_back(text); }},
        *found, shards);
  }
  Result<bool> step() {
    auto done = resharding_->step();
    world_.run_for(2'000);
    return done;
  }
  Result<> finish() {
    for (int i = 0; i < 10'000; ++i) {
      const auto done = step();
      if (!done) return std::unexpected(done.error());
      if (*done) return {};
    }
    return fail("it does not come to an end");
  }
  void start(ShardId shards) {
    begin(shards);
    const auto done = finish();
    if (!done) throw std::runtime_error(done.error().message);
    resharding_.reset();
    for (ShardId id = 0; id < shards; ++id) {
      auto hosted = std::make_unique<Hosted>();
      hosted->store = rows_.shard_store();
      hosted->shard = std::make_unique<Shard>(options(id, shards), world_.clock, world_.random,
                                              world_.disk, *hosted->store, hosted->out);
      const auto recovered = hosted->shard->recover();
      if (!recovered) throw std::runtime_error(recovered.error().message);
      shards_.push_back(std::move(hosted));
    }
  }
  // What has been synced stays.
  void lose_power() {
    shards_.clear();
    resharding_.reset();
    world_.disk.crash();
    rows_.crash();
  }
  std::string execute(const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    const PartitionId partition = cluster::key_partition(args[1], kReshardedPartitions);
    Shard& shard = *shards_[partition % shards_.size()]->shard;
    std::string reply;
    shard.execute(*find_command(args[0]), args, false, reply);
    return reply;
  }
  void end_turns() {
    for (const auto& hosted : shards_) hosted->shard->end_turn();
    world_.run_for(100'000);
  }
  // Many enough for all partitions.
  void write(const std::string& value) {
    for (int i = 0; i < 40; ++i) execute({"SET", fmt::format("k{}", i), value});
    end_turns();
  }
  void expect(const std::string& value) {
    for (int i = 0; i < 40; ++i) {
      EXPECT_EQ(execute({"GET", fmt::format("k{}", i)}),
                fmt::format("${}\r\n{}\r\n", value.size(), value));
    }
  }
  std::set<ShardId> shards_with_logs() {
    std::set<ShardId> shards;
    const auto names = world_.disk.list();
    for (const std::string& name : *names) {
      if (const auto segment = parse_segment_name(name)) shards.insert(segment->shard);
    }
    return shards;
  }

  World world_;
  sim::SimStore rows_{world_.scheduler, world_.random};
  ReplicaId replica_;
  std::unique_ptr<Resharding> resharding_;
  std::vector<std::unique_ptr<Hosted>> shards_;
  std::vector<std::string> warnings_;
};

TEST_F(ReshardingTest, MovesWhatLogsHoldToOtherShards) {
  int n = 0;
  for (const ShardId shards : {1, 3, 2, 4, 1}) {
    start(shards);
    if (n > 0) expect(fmt::format("v{}", n));
    write(fmt::format("v{}", ++n));
    lose_power();
  }
  start(1);
  expect(fmt::format("v{}", n));
  EXPECT_EQ(shards_with_logs(), std::set<ShardId>{0});
  EXPECT_EQ(claim(9)->shards, 1);
}

TEST_F(ReshardingTest, MayBeInterruptedAfterAnyStep) {
  bool whole = false;
  for (int steps = 1; !whole; ++steps) {
    const std::string value = fmt::format("v{}", steps);
    start(2);
    write(value);
    lose_power();
    begin(3);
    for (int i = 0; i < steps && !whole; ++i) whole = *step();
    lose_power();
    start(steps % 2 == 0 ? 2 : 3);
    expect(value);
    write(value + " later");
    lose_power();
    start(2);
    expect(value + " later");
    lose_power();
  }
}

TEST_F(ReshardingTest, ALogThatWasRemovedIsNotNeededByALaterStart) {
  start(1);
  write("early");
  // A pass takes what has been executed in this turn and is not in the log yet: its position lies
  // before.
  execute({"SET", "k0", "late"});
  Shard& shard = *shards_[0]->shard;
  bool stored = false;
  shard.store_now([&stored](const Result<>& outcome) { stored = outcome.has_value(); });
  shard.tick();
  for (int i = 0; i < 10; ++i) {
    end_turns();
    shard.tick();
  }
  ASSERT_TRUE(stored);
  lose_power();

  start(2);
  write("later");
  lose_power();
  start(2);
  expect("later");
}

TEST_F(ReshardingTest, WhatFormerShardsLeftIsNotTakenForThatOfNewOnes) {
  start(3);
  write("v");
  lose_power();

  begin(1);
  while (claim(1)->shards != 1) ASSERT_TRUE(step());
  rows_.faults.full = true;
  ASSERT_TRUE(finish());
  EXPECT_EQ(warnings_.size(), 1);
  rows_.faults.full = false;
  lose_power();

  start(3);
  expect("v");
  write("later");
  lose_power();
  start(3);
  expect("later");
}

// Somebody has written the file 'identity' anew, with another number.
TEST_F(ReshardingTest, ALogWithRecordsIsNotRemovedUnread) {
  start(3);
  write("v");
  lose_power();
  ASSERT_TRUE(write_identity(world_.disk, identity(2)));
  begin(2);
  const auto done = finish();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message,
              ::testing::HasSubstr("there are 2 shards and none with number 2"));
  lose_power();
  ASSERT_TRUE(write_identity(world_.disk, identity(3)));
  start(2);
  expect("v");
}

TEST_F(ReshardingTest, ThereAreNoMoreShardsWhileWhatFormerOnesLeftCannotBeRemoved) {
  start(3);
  write("v");
  lose_power();
  begin(1);
  while (claim(1)->shards != 1) ASSERT_TRUE(step());
  lose_power();

  begin(2);
  rows_.faults.full = true;
  EXPECT_FALSE(finish());
  rows_.faults.full = false;
  lose_power();
  start(2);
  expect("v");
}

}  // namespace
}  // namespace even
