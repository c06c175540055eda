// Hints on real shards: nodes that stand in for owners, and what becomes of what they keep.
#include "replica/hints.h"

#include <gmock/gmock.h>

#include "replica/hint_format.h"
#include "replica/test_groups.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr PartitionId kHinted = 0;

// Nodes 1 and 2 own the partition; 3 and 4 stand in, in this order.
struct HintsTest : ::testing::Test {
  HintsTest() : cluster(4, 2) { cluster.run(200); }

  std::string run(NodeNumber number, const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    std::string reply;
    cluster.at(number).shard->execute(*find_command(args[0]), args, false, reply);
    return reply;
  }
  void isolate(NodeNumber number) {
    for (const NodeNumber other : {1, 2, 3, 4}) {
      if (other != number) cluster.cuts.insert({number, other});
    }
    cluster.run(50);
  }
  void heal() {
    cluster.cuts.clear();
    cluster.run(50);
  }
  // How many others have what the node has made.
  std::size_t spread(NodeNumber number, bool sloppy = true, int ms = 1'000) {
    std::optional<std::size_t> answer;
    Shard& shard = *cluster.at(number).shard;
    const std::vector<PartitionId> partitions{kHinted};
    shard.await_seen(
        shard.reach_of(partitions, true), 1,
        {.deadline_us = cluster.world.clock.monotonic_us() + ms * 1'000, .sloppy = sloppy},
        [&answer](std::size_t others) { answer = others; });
    cluster.run_until([&answer] { return answer.has_value(); }, ms + 100);
    return answer.value();
  }
  std::uint64_t records(NodeNumber number) { return cluster.at(number).shard->hints().records; }
  void restart(NodeNumber number) {
    cluster.at(number).crash();
    cluster.at(number).start();
    cluster.run(50);
  }
  std::string get(NodeNumber number, const std::string& key) { return run(number, {"get", key}); }

  GroupCluster cluster;
};

TEST_F(HintsTest, NobodyStandsInUnlessTheKeyspaceSaysSo) {
  isolate(2);
  run(1, {"set", "k", "v"});
  EXPECT_EQ(spread(1, false), 0u);
  EXPECT_EQ(records(3) + records(4), 0u);
  EXPECT_EQ(spread(1), 1u);
  EXPECT_EQ(records(3), 1u);
  EXPECT_EQ(records(4), 0u);  // one is enough
}

TEST_F(HintsTest, WhatAnotherOwnerDoesNotGiveIsKeptAllTheSame) {
  isolate(2);
  run(1, {"set", "k", "v"});
  // The log of another owner does not have it any more.
  const PartitionReach base =
      cluster.at(1).shard->reach_of(std::vector<PartitionId>{kHinted}, true);
  ASSERT_TRUE(cluster.at(3).shard->receive(2, HintsBuilder(1, base).take()));
  EXPECT_EQ(spread(1), 1u);
  EXPECT_EQ(records(3), 1u);
}

TEST_F(HintsTest, WhatIsKeptIsHandedOverWithoutWhoWroteItAndWithoutTraffic) {
  isolate(2);
  run(1, {"set", "k", "v"});
  ASSERT_EQ(spread(1), 1u);
  EXPECT_EQ(cluster.at(3).shard->hints().waiting,
            (std::map<NodeNumber, std::uint64_t>{{1, 1}, {2, 1}}));
  cluster.at(1).crash();
  heal();
  EXPECT_TRUE(cluster.run_until([this] { return get(2, "k") == "$1\r\nv\r\n"; }));
  // An owner that has not said that it has it may have lost it.
  cluster.run(2'000);
  EXPECT_EQ(records(3), 1u);
  EXPECT_EQ(cluster.at(3).shard->hints().waiting.contains(2), false);
  cluster.at(1).start();
  EXPECT_TRUE(cluster.run_until([this] { return records(3) == 0; }));
  EXPECT_EQ(cluster.at(3).shard->hints().handed_over, 1u);
}

TEST_F(HintsTest, AHolderHasThemAfterARestart) {
  cluster.at(3).fsync = FsyncPolicy::kAlways;
  restart(3);
  isolate(2);
  run(1, {"set", "k", "v"});
  ASSERT_EQ(spread(1), 1u);
  restart(3);
  EXPECT_EQ(records(3), 1u);
  // Of the store alone, where passes have put some of them, and forgotten others.
  run(1, {"set", "l", "w"});
  ASSERT_EQ(spread(1), 1u);
  cluster.at(3).shard->store_changes();
  ASSERT_TRUE(cluster.run_until([this] { return cluster.at(3).shard->all_stored(); }));
  ASSERT_TRUE(cluster.at(3).shard->remove_log());
  restart(3);
  EXPECT_EQ(records(3), 2u);
  cluster.at(1).crash();
  heal();
  EXPECT_TRUE(cluster.run_until([this] { return get(2, "l") == "$1\r\nw\r\n"; }));
  EXPECT_EQ(get(2, "k"), "$1\r\nv\r\n");
  cluster.at(1).start();
  EXPECT_TRUE(cluster.run_until([this] { return records(3) == 0; }));
  cluster.at(3).shard->store_changes();
  ASSERT_TRUE(cluster.run_until([this] { return cluster.at(3).shard->all_stored(); }));
  restart(3);
  EXPECT_EQ(records(3), 0u);
}

TEST_F(HintsTest, WhatWasDeletedMeanwhileStaysDeleted) {
  cluster.at(3).fsync = FsyncPolicy::kAlways;
  restart(3);
  isolate(2);
  run(1, {"set", "k", "v"});
  ASSERT_EQ(spread(1), 1u);
  cluster.at(3).crash();
  heal();
  ASSERT_TRUE(cluster.run_until([this] { return get(2, "k") == "$1\r\nv\r\n"; }));
  EXPECT_EQ(run(2, {"del", "k"}), ":1\r\n");
  ASSERT_TRUE(cluster.run_until([this] { return get(1, "k") == "$-1\r\n"; }));
  cluster.at(3).start();
  EXPECT_EQ(records(3), 1u);
  ASSERT_TRUE(cluster.run_until([this] { return records(3) == 0; }));
  EXPECT_EQ(get(1, "k"), "$-1\r\n");
  EXPECT_EQ(get(2, "k"), "$-1\r\n");
}

TEST_F(HintsTest, AReaderIsToldOfWhatIsKept) {
  isolate(2);
  run(1, {"set", "k", "v"});
  ASSERT_EQ(spread(1), 1u);
  cluster.at(1).crash();
  cluster.cuts.clear();
  std::optional<std::size_t> answer;
  cluster.step();
  cluster.at(2).shard->catch_up(
      {kHinted}, 1, cluster.world.clock.monotonic_us() + 5'000'000,
      [&](std::size_t others) {
        answer = others;
        EXPECT_EQ(get(2, "k"), "$1\r\nv\r\n");
      },
      true);
  EXPECT_EQ(get(2, "k"), "$-1\r\n");
  EXPECT_TRUE(cluster.run_until([&answer] { return answer == 1u; }));
}

TEST_F(HintsTest, BeyondTheBoundAnotherNodeIsAskedAndThenNobody) {
  for (const NodeNumber number : {3, 4}) {
    cluster.at(number).hint_max_bytes = 1'000;
    restart(number);
  }
  isolate(2);
  run(1, {"set", "k", std::string(700, 'x')});
  ASSERT_EQ(spread(1), 1u);
  run(1, {"set", "l", std::string(200, 'x')});
  ASSERT_EQ(spread(1), 1u);
  EXPECT_EQ(records(3), 2u);
  run(1, {"set", "m", std::string(200, 'x')});
  EXPECT_EQ(spread(1, true, 3'000), 0u);
  EXPECT_GT(cluster.at(3).shard->hints().refused, 0u);
  EXPECT_THAT(cluster.at(3).warnings, Contains(HasSubstr("hints for other nodes are refused")));
  heal();  // who wrote it has it
  EXPECT_TRUE(cluster.run_until([this] { return get(2, "m").size() > 200; }));
  EXPECT_TRUE(cluster.run_until([this] { return records(3) + records(4) == 0; }));
}

TEST_F(HintsTest, WhatIsTooOldIsDropped) {
  cluster.at(3).hint_max_age_ms = 2'000;
  restart(3);
  isolate(2);
  run(1, {"set", "k", "v"});
  ASSERT_EQ(spread(1), 1u);
  cluster.run(1'500);
  EXPECT_EQ(records(3), 1u);
  cluster.run(1'000);
  EXPECT_EQ(records(3), 0u);
  EXPECT_EQ(cluster.at(3).shard->hints().expired, 1u);
  EXPECT_THAT(cluster.at(3).warnings, Contains(HasSubstr("older than hints.max_age_s")));
  // And later ones are kept again, with what they come behind.
  run(1, {"set", "l", "w"});
  EXPECT_EQ(spread(1), 1u);
  EXPECT_EQ(records(3), 2u);
}

TEST(HintFormat, RefusesWhatIsCutOff) {
  std::string entry;
  encode_hint_forget(7, entry);
  ASSERT_TRUE(is_hint_log_entry(entry));
  const auto decoded = decode_hint_log_entry(entry);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->kind, HintLogEntry::Kind::kForget);
  EXPECT_EQ(decoded->partition, 7u);
  for (std::size_t size = 0; size < entry.size(); ++size) {
    EXPECT_FALSE(decode_hint_log_entry(entry.substr(0, size)));
  }
  EXPECT_FALSE(decode_hint_log_entry(entry + 'x'));
  std::string record;
  encode_hint_record(5, "no record", record);
  EXPECT_FALSE(decode_hint_log_entry(record));
}

}  // namespace
}  // namespace even
