// Groups of which no member is left: restored nodes bring them back, and nothing else does.
#include "replica/refounding.h"

#include <gmock/gmock.h>

#include "replica/group.h"
#include "replica/test_groups.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

using Rows = sim::SimStore::Rows;

constexpr PartitionId kLostMeta = 1;
constexpr PartitionId kLostGroup = 2;

// A cluster with the metadata group and one of a keyspace, partition 2.
struct Refounded : ::testing::Test {
  void set_up(int nodes) {
    cluster = std::make_unique<GroupCluster>(nodes);
    ASSERT_TRUE(cluster->run_until([&] { return cluster->leader(kLostMeta) != nullptr; }));
    cluster->run(2'000);  // all nodes have been noted
    cluster::Keyspace keyspace{.name = "orders", .prefix = "o:"};
    keyspace.strong = true;
    keyspace.replicas = static_cast<std::uint8_t>(nodes);
    keyspace.partitions = 1;
    std::vector<std::string> create{"even.meta", "create", cluster::encode(keyspace), "2"};
    for (const auto& node : cluster->nodes) {
      create.push_back(std::to_string(node->number));
      create.push_back("n" + std::to_string(node->number));
    }
    ASSERT_THAT(cluster->run_strong(kLostMeta, create), StartsWith(":"));
    ASSERT_TRUE(await_leader());
  }
  bool await_leader() {
    return cluster->run_until([&] { return cluster->leader(kLostGroup) != nullptr; }, 10'000);
  }
  bool await_members(std::size_t voters) {
    return cluster->run_until(
        [&] {
          const GroupNode* leader = cluster->leader(kLostGroup);
          if (leader == nullptr) return false;
          const auto status = cluster->status(leader->number, kLostGroup);
          return status->voters.size() == voters;
        },
        10'000);
  }
  void set(const std::string& value) {
    ASSERT_EQ(cluster->run_strong(kLostGroup, {"set", "o:k", value}), "+OK\r\n");
  }
  std::string get() { return cluster->run_strong(kLostGroup, {"get", "o:k"}); }

  Rows back_up(NodeNumber number) {
    GroupNode& node = cluster->at(number);
    bool stored = false;
    node.shard->store_now([&](const Result<>& outcome) { stored = outcome.has_value(); });
    EXPECT_TRUE(cluster->run_until([&] { return stored; }));
    Rows rows = node.rows.rows();
    // Positions in a log that is not in it.
    rows.erase(rows.lower_bound("\xff\xff"), rows.lower_bound("\xff\xff\xff"));
    return rows;
  }
  void lose(NodeNumber number, const Rows& backup) {
    cluster->at(number).wipe();
    cluster->at(number).rows.restore(backup);
  }
  void start(NodeNumber number) { cluster->at(number).start(); }
  // All disks are lost, and there is a backup of one node alone.
  void restore_only(NodeNumber number, const Rows& backup) {
    for (const NodeNumber n : {1, 2, 3}) lose(n, n == number ? backup : Rows());
    for (const NodeNumber n : {1, 2, 3}) start(n);
    ASSERT_TRUE(await_members(3));
  }

  std::unique_ptr<GroupCluster> cluster;
};

TEST_F(Refounded, ARestoredClusterHasTheLatestStateOfEachGroup) {
  set_up(3);
  set("1");
  const Rows first = back_up(1);
  set("2");
  const Rows third = back_up(3);  // the latest of them
  const Rows second = first;
  set("lost");
  lose(1, first);
  lose(2, second);
  lose(3, third);
  for (const NodeNumber n : {1, 2, 3}) start(n);
  ASSERT_TRUE(await_members(3));
  EXPECT_EQ(get(), "$1\r\n2\r\n");
  set("3");
  // It is a group as any other from then on.
  const GroupNode* leader = cluster->leader(kLostGroup);
  cluster->at(leader->number).crash();
  EXPECT_EQ(get(), "$1\r\n3\r\n");
}

// Ids of events are made of them, and what the topic knows may be later than what was restored.
TEST_F(Refounded, ANewLifeWritesUnderDotsThatNoFormerOneHad) {
  set_up(3);
  set("1");
  const Rows backup = back_up(2);
  for (int life = 0; life < 3; ++life) {
    for (int i = 0; i < 10; ++i) set("lost");
    const std::uint64_t former =
        cluster->leader(kLostGroup)->shard->state(kLostGroup)->vector()[kGroupOrigin];
    restore_only(2, backup);
    set("2");
    cluster->run(500);
    for (auto& node : cluster->nodes) {
      const VersionVector& now = node->shard->state(kLostGroup)->vector();
      EXPECT_GT(now[kGroupOrigin], former);
      EXPECT_EQ(now, cluster->at(1).shard->state(kLostGroup)->vector());
    }
  }
  // So it is after a restart.
  const VersionVector before = cluster->at(2).shard->state(kLostGroup)->vector();
  for (auto& node : cluster->nodes) node->crash();
  for (auto& node : cluster->nodes) node->start();
  ASSERT_TRUE(await_members(3));
  EXPECT_EQ(get(), "$1\r\n2\r\n");
  EXPECT_EQ(cluster->leader(kLostGroup)->shard->state(kLostGroup)->vector()[kGroupOrigin],
            before[kGroupOrigin]);
}

TEST_F(Refounded, OneBackupWillDo) {
  set_up(3);
  set("1");
  cluster->run(100);
  restore_only(2, back_up(2));
  EXPECT_EQ(get(), "$1\r\n1\r\n");
}

// What a majority has, and this node has not been told to be agreed upon, was acknowledged.
TEST_F(Refounded, EntriesThatWereNotAppliedYetCount) {
  set_up(3);
  set("1");
  restore_only(2, back_up(cluster->leader(kLostGroup)->number == 2 ? 3 : 2));
  EXPECT_EQ(get(), "$1\r\n1\r\n");
}

TEST_F(Refounded, KeysAreLookedUpByWhatWasKnownBeforeAnybodyIsThere) {
  set_up(3);
  lose(1, back_up(1));
  cluster->at(2).crash();
  cluster->at(3).crash();
  start(1);
  cluster->run(10);
  std::string reply;
  const std::vector<std::string_view> words{"set", "o:k", "v"};
  cluster->at(1).shard->execute(*find_command(words[0]), words, false, reply);
  EXPECT_THAT(reply, StartsWith("-TRYAGAIN"));
}

TEST_F(Refounded, WhileAMemberIsLeftNothingIsFoundedAnew) {
  set_up(3);
  set("1");
  const Rows backup = back_up(1);
  set("2");
  cluster->run(500);  // it is in the log of all
  cluster->at(3).crash();
  lose(1, backup);
  lose(2, backup);
  start(1);
  start(2);
  cluster->run(15'000);
  EXPECT_EQ(cluster->leader(kLostGroup), nullptr);
  EXPECT_THAT(cluster->at(1).warnings, Contains(HasSubstr("or for nodes 3 to have none either")));
  // It has what was acknowledged, but no majority.
  start(3);
  cluster->run(15'000);
  EXPECT_EQ(cluster->leader(kLostGroup), nullptr);
  for (const NodeNumber n : {1, 2, 3}) {
    EXPECT_THAT(cluster->at(n).warnings, Each(Not(HasSubstr("goes on from"))));
  }
  // Whoever brings back that as well has decided.
  lose(3, back_up(3));
  start(3);
  ASSERT_TRUE(await_members(3));
  EXPECT_EQ(get(), "$1\r\n2\r\n");
  EXPECT_TRUE(cluster->run_until([&] { return cluster->leader(kLostMeta) != nullptr; }));
  EXPECT_TRUE(cluster->run_until([&] {
    const auto status = cluster->status(1, kLostMeta);
    return status && status->voters.size() == 3 && status->leader != 0;
  }));
}

// Nobody may found another one while it is not durable that there is one.
TEST_F(Refounded, WhoHasFoundedTheMetadataGroupAnewDoesNotSayThatItHasNone) {
  set_up(3);
  const Rows older = back_up(2);
  set("1");
  ASSERT_THAT(cluster->run_strong(kLostMeta, {"even.meta", "alter", "orders", "DEADLINE", "900"}),
              StartsWith(":"));
  cluster->run(500);
  lose(1, back_up(1));
  lose(2, older);
  lose(3, {});
  cluster->at(1).disk.faults.sync_us = 3'000'000;
  for (const NodeNumber n : {1, 2, 3}) start(n);
  ASSERT_TRUE(cluster->run_until([&] { return cluster->at(1).shard->has_group(kLostMeta); }));
  for (int i = 0; i < 5; ++i) {  // links come and go meanwhile
    cluster->cuts = {{1, 2}, {1, 3}};
    cluster->run(20);
    cluster->cuts.clear();
    cluster->run(100);
    EXPECT_FALSE(cluster->at(2).shard->has_group(kLostMeta));
  }
  cluster->at(1).disk.faults.sync_us = 300;
  ASSERT_TRUE(await_members(3));
}

TEST_F(Refounded, ANodeThatIsRestoredWhileTheOthersGoOnJoinsThem) {
  set_up(3);
  set("1");
  const Rows backup = back_up(1);
  set("2");
  lose(1, backup);
  start(1);
  const auto has_joined = [&] {
    const auto status = cluster->status(1, kLostGroup);
    return status && status->voters.size() == 3 && status->leader != 0;
  };
  ASSERT_TRUE(cluster->run_until(has_joined));
  EXPECT_EQ(get(), "$1\r\n2\r\n");
  EXPECT_THAT(cluster->at(1).warnings, IsEmpty());
}

TEST_F(Refounded, WhatIsKnownOfKeyspacesStaysKnownWhileANodeJoins) {
  set_up(3);
  const Rows backup = back_up(1);
  lose(1, backup);
  start(1);
  const GroupNode& node = cluster->at(1);
  std::uint64_t version = 0;
  const auto has_joined = [&] {
    if (node.pending_table) {
      EXPECT_GE(node.pending_table->version(), version);
      version = node.pending_table->version();
    }
    const auto status = cluster->status(1, kLostGroup);
    return status && status->voters.size() == 3 && status->leader != 0;
  };
  ASSERT_TRUE(cluster->run_until(has_joined));
  EXPECT_GT(version, 0u);
}

// The store has the state, and the log alone that it is this member's, until the first pass.
TEST_F(Refounded, ACrashBeforeTheFirstPassLosesNothing) {
  set_up(1);
  set("1");
  const Rows backup = back_up(1);
  lose(1, backup);
  start(1);
  ASSERT_TRUE(await_leader());
  EXPECT_EQ(get(), "$1\r\n1\r\n");
  cluster->run_strong(kLostGroup, {"append", "o:k", "2"});
  cluster->at(1).crash();
  start(1);
  ASSERT_TRUE(await_leader());
  EXPECT_EQ(get(), "$2\r\n12\r\n");
  back_up(1);
  cluster->run_strong(kLostGroup, {"append", "o:k", "3"});
  cluster->at(1).crash();
  start(1);
  ASSERT_TRUE(await_leader());
  EXPECT_EQ(get(), "$3\r\n123\r\n");
  EXPECT_THAT(cluster->at(1).warnings, Each(HasSubstr("goes on from what was restored")));
}

TEST_F(Refounded, PassesKeepWhatIsStoredUntilItIsKnownWhatBecomesOfIt) {
  set_up(3);
  set("1");
  const Rows backup = back_up(1);
  lose(1, backup);
  cluster->at(2).crash();
  cluster->at(3).crash();
  start(1);
  cluster->run(1'000);
  std::string reply;
  const std::vector<std::string_view> words{"set", "k", "v"};
  cluster->at(1).shard->execute(*find_command(words[0]), words, false, reply);
  ASSERT_EQ(reply, "+OK\r\n");
  back_up(1);
  cluster->at(1).crash();
  start(1);
  lose(2, {});
  lose(3, {});
  start(2);
  start(3);
  ASSERT_TRUE(await_members(3));
  EXPECT_EQ(get(), "$1\r\n1\r\n");
}

TEST_F(Refounded, WhatCannotBeReadGivesWayToAnotherNodesState) {
  set_up(3);
  set("1");
  const Rows older = back_up(2);
  set("2");
  Rows torn = back_up(1);
  torn.erase(torn.lower_bound(std::string("\0\2", 2)), torn.lower_bound(std::string("\0\3", 2)));
  lose(1, torn);
  lose(2, older);
  lose(3, {});
  for (const NodeNumber n : {1, 2, 3}) start(n);
  ASSERT_TRUE(await_leader());
  EXPECT_EQ(get(), "$1\r\n1\r\n");
}

// Of a longer log of an earlier term, the end was never agreed upon.
TEST(Refounding, TheLatestStateFoundsAndOfEqualOnesTheFirstNode) {
  EXPECT_EQ(Refounding::founder({{1, {1, 5}}, {2, {1, 7}}, {3, {1, 6}}}), 2);
  EXPECT_EQ(Refounding::founder({{1, {1, 9}}, {2, {1, 7}}, {3, {2, 6}}}), 3);
  EXPECT_EQ(Refounding::founder({{3, {2, 7}}, {2, {2, 7}}, {1, {}}}), 2);
  EXPECT_EQ(Refounding::founder({{1, {}}, {2, {}}}), std::nullopt);
  EXPECT_EQ(Refounding::founder({}), std::nullopt);
}

}  // namespace
}  // namespace even
