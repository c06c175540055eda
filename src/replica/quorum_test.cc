// Questions to other replicas on real shards, and what is counted as an answer.
#include "replica/quorum.h"

#include <gmock/gmock.h>

#include "replica/test_groups.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using ::testing::IsEmpty;

constexpr PartitionId kPartition = 0;  // eventual, on all nodes

struct QuorumTest : ::testing::Test {
  explicit QuorumTest(int nodes = 3) : cluster(nodes) { cluster.run(200); }

  std::string run(NodeNumber number, const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    std::string reply;
    cluster.at(number).shard->execute(*find_command(args[0]), args, false, reply);
    return reply;
  }
  using Answer = std::shared_ptr<std::optional<std::size_t>>;
  std::int64_t deadline_us(int ms) { return world().clock.monotonic_us() + ms * 1'000; }
  test::World& world() { return cluster.world; }
  // Of what the node has made.
  Answer ask_seen(NodeNumber number, std::size_t count, int ms = 1'000, bool synced = false) {
    auto answer = std::make_shared<std::optional<std::size_t>>();
    Shard& shard = *cluster.at(number).shard;
    const std::vector<PartitionId> partitions{kPartition};
    shard.await_seen(shard.reach_of(partitions, true), count,
                     {.deadline_us = deadline_us(ms), .synced = synced},
                     [answer](std::size_t replicas) { *answer = replicas; });
    return answer;
  }
  // Of what it has made by the end of the turn.
  Answer ask_written(NodeNumber number, std::size_t count, int ms = 1'000) {
    auto answer = std::make_shared<std::optional<std::size_t>>();
    cluster.at(number).shard->await_written(std::vector{kPartition}, count, deadline_us(ms),
                                            [answer](std::size_t replicas) { *answer = replicas; });
    return answer;
  }
  Answer ask_to_catch_up(NodeNumber number, std::size_t count, int ms = 1'000) {
    auto answer = std::make_shared<std::optional<std::size_t>>();
    cluster.at(number).shard->catch_up({kPartition}, count, deadline_us(ms),
                                       [answer](std::size_t replicas) { *answer = replicas; });
    return answer;
  }
  // None if it takes longer.
  std::optional<std::size_t> await(const Answer& answer, int ms = 2'000) {
    cluster.run_until([&] { return answer->has_value(); }, ms);
    return *answer;
  }
  std::string get(NodeNumber number) { return run(number, {"get", "k"}); }

  GroupCluster cluster;
};

TEST_F(QuorumTest, AWriteIsSeenByAsManyAsHaveAnswered) {
  run(1, {"set", "k", "v"});
  EXPECT_GE(await(ask_seen(1, 1)).value(), 1u);
  EXPECT_EQ(get(2) == "$1\r\nv\r\n" || get(3) == "$1\r\nv\r\n", true);
  EXPECT_EQ(await(ask_seen(1, 2)), 2u);
  EXPECT_EQ(get(2), "$1\r\nv\r\n");
  EXPECT_EQ(get(3), "$1\r\nv\r\n");
}

TEST_F(QuorumTest, WhoCannotBeReachedDoesNotCount) {
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(50);
  run(1, {"set", "k", "v"});
  EXPECT_EQ(await(ask_seen(1, 1)), 1u);
  EXPECT_EQ(await(ask_seen(1, 2)), 1u);  // at the deadline
  const Answer answer = ask_seen(1, 2, 5'000);
  EXPECT_EQ(await(answer, 1'000), std::nullopt);
  cluster.cuts.clear();
  EXPECT_EQ(await(answer, 4'000), 2u);
  EXPECT_EQ(get(3), "$1\r\nv\r\n");
}

TEST_F(QuorumTest, TheWindowSaysSinceWhenSomethingMayBeMissing) {
  const auto window = [this](NodeNumber at, NodeNumber of) {
    const std::vector<PeerStatus> peers = cluster.at(at).shard->peers();
    return std::ranges::find(peers, of, &PeerStatus::node)->window_seconds;
  };
  cluster.run(3'000);
  ASSERT_TRUE(window(1, 3));
  EXPECT_LT(*window(1, 3), 2.5);
  cluster.cuts = {{1, 3}};
  run(3, {"set", "k", "v"});
  cluster.run(10'000);
  // It gets the record from n2, but does not hear of n3 what else there may be.
  EXPECT_EQ(get(1), "$1\r\nv\r\n");
  EXPECT_GE(*window(1, 3), 9.5);
  EXPECT_LT(*window(1, 2), 2.5);
  cluster.cuts.clear();
  cluster.run(3'000);
  EXPECT_LT(*window(1, 3), 2.5);
}

TEST_F(QuorumTest, ALinkThatBreaksIsAskedAgain) {
  run(1, {"set", "k", "v"});
  cluster.cuts = {{1, 2}, {1, 3}};
  const Answer answer = ask_seen(1, 2, 5'000);
  cluster.run(100);
  EXPECT_EQ(*answer, std::nullopt);
  cluster.cuts = {{1, 3}};
  cluster.run(300);
  EXPECT_EQ(*answer, std::nullopt);
  cluster.cuts.clear();
  EXPECT_EQ(await(answer), 2u);
}

TEST_F(QuorumTest, AReaderHasAllThatAMajorityHadWhenItBegan) {
  // n3 has heard nothing for a while, and now hears of n1, but its records are slow to come.
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(50);
  for (int i = 0; i < 500; ++i) run(1, {"append", "k", std::string(500, 'x')});
  run(1, {"set", "k", "v"});
  EXPECT_EQ(await(ask_seen(1, 1)), 1u);
  cluster.cuts = {{1, 3}};
  cluster.run(2);
  ASSERT_NE(get(3), "$1\r\nv\r\n");
  // By way of n2, which is not the maker of these.
  EXPECT_GE(await(ask_to_catch_up(3, 1, 10'000), 10'000).value(), 1u);
  EXPECT_EQ(get(3), "$1\r\nv\r\n");
}

TEST_F(QuorumTest, WhatOthersHaveAndDoesNotComeIsNotRead) {
  cluster.cuts = {{2, 3}};
  cluster.run(50);
  EXPECT_EQ(await(ask_to_catch_up(2, 2, 300)), 1u);
  EXPECT_EQ(await(ask_to_catch_up(2, 1, 300)), 1u);
}

TEST_F(QuorumTest, AnAnswerIsAsDurableAsThePolicySays) {
  for (const NodeNumber n : {1, 2, 3}) {
    cluster.at(n).crash();
    cluster.at(n).fsync = FsyncPolicy::kAlways;
    cluster.at(n).start();
  }
  cluster.run(200);
  cluster.at(2).disk.faults.sync_us = 500'000;
  cluster.at(3).disk.faults.sync_us = 500'000;
  run(1, {"set", "k", "v"});
  const Answer answer = ask_seen(1, 2, 10'000);
  cluster.run(100);
  EXPECT_EQ(get(2), "$1\r\nv\r\n");
  EXPECT_EQ(*answer, std::nullopt);
  ASSERT_EQ(await(answer, 8'000), 2u);
  cluster.at(2).crash();
  cluster.at(2).start();
  EXPECT_EQ(get(2), "$1\r\nv\r\n");
}

// So that all of them sync it at the same time.
TEST_F(QuorumTest, WhatANodeMakesLeavesBeforeItSyncsIt) {
  GroupNode& node = cluster.at(1);
  node.crash();
  node.fsync = FsyncPolicy::kAlways;
  node.start();
  cluster.run(500);
  run(1, {"set", "k", "u"});
  cluster.run(100);
  node.sent.clear();
  std::size_t leaving = 0;
  LogPosition durable = 0;
  node.on_flush = [&] {
    leaving = node.sent.size();
    durable = node.shard->durable();
  };
  run(1, {"set", "k", "v"});
  node.shard->end_turn();
  EXPECT_EQ(leaving, 2u);
  EXPECT_LT(durable, node.shard->durable());
  // So does the question who has it: one, whoever waits for the same. What they had before, they
  // have said.
  ASSERT_EQ(await(ask_seen(1, 2)), 2u);
  node.sent.clear();
  std::vector<Answer> answers;
  for (const std::size_t count : {1, 1, 2, 1}) {
    run(1, {"set", "k", std::to_string(answers.size())});
    answers.push_back(ask_written(1, count));
  }
  EXPECT_THAT(node.sent, IsEmpty());
  node.shard->end_turn();
  node.on_flush = nullptr;
  EXPECT_EQ(leaving, 2u * (1 + 2));  // to each the records, and a question for each count
  for (const Answer& answer : answers) EXPECT_GE(await(answer).value_or(0), 1u);
  EXPECT_EQ(answers[2]->value_or(0), 2u);
  EXPECT_EQ(get(2), "$1\r\n3\r\n");
}

TEST_F(QuorumTest, ASyncIsWaitedForWhereItIsAskedFor) {
  for (const NodeNumber n : {2, 3}) cluster.at(n).disk.faults.sync_us = 100'000;
  run(1, {"set", "k", "v"});
  EXPECT_EQ(await(ask_seen(1, 2, 500)), 2u);
  run(1, {"set", "k", "w"});
  const Answer answer = ask_seen(1, 2, 5'000, true);
  cluster.run(20);
  EXPECT_EQ(*answer, std::nullopt);
  ASSERT_EQ(await(answer), 2u);
  cluster.at(2).crash();
  cluster.at(2).start();
  EXPECT_EQ(get(2), "$1\r\nw\r\n");
}

// The node itself is one of those that are counted.
TEST_F(QuorumTest, WhatThisNodesLogDoesNotTakeIsNotAcknowledged) {
  cluster.at(1).crash();
  cluster.at(1).fsync = FsyncPolicy::kAlways;
  cluster.at(1).start();
  cluster.run(200);
  run(1, {"set", "k", "v"});
  cluster.at(1).disk.faults.full = true;
  const Answer answer = ask_seen(1, 0, 10'000);
  cluster.run(500);
  EXPECT_EQ(*answer, std::nullopt);
  cluster.at(1).disk.faults.full = false;
  ASSERT_TRUE(await(answer, 9'000).has_value());
  cluster.at(1).crash();
  cluster.at(1).start();
  EXPECT_EQ(get(1), "$1\r\nv\r\n");
}

// What a node has said holds as long as its link does: it may have lost it since.
TEST_F(QuorumTest, WhoComesBackIsAskedAnew) {
  run(1, {"set", "k", "v"});
  ASSERT_EQ(await(ask_seen(1, 2)), 2u);
  cluster.at(2).crash();
  cluster.at(3).crash();
  cluster.run(5);
  EXPECT_EQ(await(ask_seen(1, 1, 100)), 0u);
}

TEST_F(QuorumTest, WhatIsKnownIsNotAskedFor) {
  run(1, {"set", "k", "v"});
  ASSERT_EQ(await(ask_seen(1, 2)), 2u);
  cluster.run(100);
  cluster.at(1).shard->end_turn();
  cluster.at(1).sent.clear();
  const Answer answer = ask_seen(1, 2);
  cluster.at(1).shard->end_turn();
  EXPECT_EQ(*answer, 2u);
  EXPECT_TRUE(cluster.at(1).sent.empty());
}

TEST_F(QuorumTest, WhoHasGoneIsNotWaitedForAndNotTold) {
  cluster.cuts = {{1, 2}, {1, 3}};
  cluster.run(50);
  run(1, {"set", "k", "v"});
  auto asker = std::make_shared<int>();
  bool told = false;
  Shard& shard = *cluster.at(1).shard;
  shard.await_seen(shard.own_reach(), 2, {.deadline_us = deadline_us(500), .asker = asker},
                   [&](std::size_t) { told = true; });
  asker.reset();
  cluster.run(1'000);
  EXPECT_FALSE(told);
}

// A question is forgotten after a while, and so is asked again.
TEST_F(QuorumTest, AReplicaThatTakesLongIsCounted) {
  cluster.at(2).disk.faults.full = true;
  cluster.cuts = {{1, 3}};
  run(1, {"set", "k", "v"});
  const Answer answer = ask_seen(1, 1, 60'000);
  cluster.run(12'000);
  EXPECT_EQ(*answer, std::nullopt);
  cluster.at(2).disk.faults.full = false;
  EXPECT_EQ(await(answer, 20'000), 1u);
}

TEST_F(QuorumTest, QuestionsAboutPartitionsThatAreNotHereAreRefused) {
  EXPECT_FALSE(cluster.at(1).shard->receive(2, encode_ask({1, false, true, false, {{40, {}}}})));
  EXPECT_TRUE(cluster.at(1).shard->receive(2, encode_answer({1, {{40, {}}}})));  // to nobody
}

// --- What this node has seen, for sessions, and as of when, for bounded reads

TEST_F(QuorumTest, WhatASessionHasSeenIsWaitedFor) {
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(50);
  run(1, {"set", "k", "v"});
  const std::vector<PartitionId> partitions{kPartition};
  const PartitionReach seen = cluster.at(1).shard->reach_of(partitions, false);
  EXPECT_TRUE(cluster.at(1).shard->has_seen(seen));
  EXPECT_FALSE(cluster.at(3).shard->has_seen(seen));
  EXPECT_TRUE(cluster.at(3).shard->has_seen({}));
  const auto ask = [&](int ms) {
    auto answer = std::make_shared<std::optional<std::size_t>>();
    cluster.at(3).shard->await_here(seen, deadline_us(ms),
                                    [answer](std::size_t here) { *answer = here; });
    return answer;
  };
  EXPECT_EQ(await(ask(300)), 0u);
  const Answer answer = ask(5'000);
  cluster.run(100);
  EXPECT_EQ(*answer, std::nullopt);
  cluster.cuts = {{1, 3}};  // by way of n2
  EXPECT_EQ(await(answer, 4'000), 1u);
  EXPECT_EQ(get(3), "$1\r\nv\r\n");
  EXPECT_TRUE(cluster.at(3).shard->has_seen(seen));
}

TEST_F(QuorumTest, APartitionIsAsFreshAsTheQuestionThatAllHaveAnswered) {
  Shard& shard = *cluster.at(3).shard;
  const std::vector<PartitionId> partitions{kPartition};
  const auto freshen = [&](int ms) {
    auto answer = std::make_shared<std::optional<std::size_t>>();
    shard.freshen(partitions, deadline_us(ms),
                  [answer](std::size_t replicas) { *answer = replicas; });
    return answer;
  };
  EXPECT_FALSE(shard.is_fresh(partitions, 0));
  const std::int64_t asked_us = world().clock.monotonic_us();
  const Answer answer = freshen(1'000);
  cluster.run(1);
  run(1, {"set", "k", "v"});  // it may be in what n1 answers, or not
  EXPECT_EQ(await(answer), 2u);
  EXPECT_TRUE(shard.is_fresh(partitions, asked_us));
  EXPECT_FALSE(shard.is_fresh(partitions, asked_us + 1));
  EXPECT_EQ(await(freshen(1'000)), 2u);
  EXPECT_EQ(get(3), "$1\r\nv\r\n");
  // Who is not heard may have what nobody else has.
  const std::int64_t last_us = world().clock.monotonic_us();
  cluster.cuts = {{1, 3}};
  cluster.run(50);
  EXPECT_EQ(await(freshen(300)), 1u);
  EXPECT_FALSE(shard.is_fresh(partitions, last_us));
  EXPECT_TRUE(shard.is_fresh(partitions, asked_us));
}

struct QuorumOfOne : QuorumTest {
  QuorumOfOne() : QuorumTest(1) {}
};

TEST_F(QuorumOfOne, NeedsNobody) {
  run(1, {"set", "k", "v"});
  EXPECT_EQ(await(ask_seen(1, 0), 5), 0u);
  EXPECT_EQ(await(ask_to_catch_up(1, 0), 5), 0u);
  EXPECT_EQ(await(ask_seen(1, 1, 50)), 0u);
  EXPECT_TRUE(cluster.at(1).shard->is_fresh(std::vector<PartitionId>{kPartition}, deadline_us(0)));
}

}  // namespace
}  // namespace even
