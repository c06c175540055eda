// States of groups on their way to members in pieces, and digests that members compare.
#include "replica/group_states.h"

#include <gmock/gmock.h>

#include "replica/test_groups.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr PartitionId kMovedGroup = 2;
constexpr int kMovedKeys = 200;

// Three nodes with small pieces, the group on all of them, and a member that lacks much of it.
struct OneBehind {
  explicit OneBehind(std::uint64_t piece_bytes = 1'000) : cluster(3) {
    std::vector<consensus::MemberId> voters;
    for (const auto& node : cluster.nodes) {
      node->piece_bytes = piece_bytes;
      node->group_log_bytes = 4'000;
      node->crash();
      node->start();
      voters.push_back(member_of(node->replica()));
    }
    for (const auto& node : cluster.nodes) {
      EXPECT_TRUE(node->shard->found_group(kMovedGroup, voters, {1, 2, 3}));
    }
    EXPECT_EQ(cluster.run_strong(kMovedGroup, {"set", "before", "1"}), "+OK\r\n");
    cluster.run(300);
    leader = cluster.leader(kMovedGroup);
    away = &cluster.at(static_cast<NodeNumber>(leader->number % 3 + 1));
    away->crash();
    write(0);
  }
  void write(int round) {
    for (int i = 0; i < kMovedKeys; ++i) {
      const std::string value(400 + static_cast<std::size_t>(round), 'x');
      ASSERT_EQ(cluster.run_strong(kMovedGroup, {"set", "k" + std::to_string(i), value}),
                "+OK\r\n");
    }
  }
  std::uint64_t applied(const GroupNode& node) {
    const auto status = cluster.status(node.number, kMovedGroup);
    return status ? status->applied : 0;
  }
  bool caught_up() {
    const GroupNode* now = cluster.leader(kMovedGroup);
    return now != nullptr && applied(*away) == applied(*now);
  }
  std::uint64_t pieces() {
    std::uint64_t sum = 0;
    for (const auto& node : cluster.nodes) {
      if (node->up()) sum += node->shard->stats().snapshot_pieces_sent;
    }
    return sum;
  }
  void expect_equal() {
    cluster.run(300);
    const PartitionState& first = *leader->shard->state(kMovedGroup);
    for (const auto& node : cluster.nodes) {
      const PartitionState& state = *node->shard->state(kMovedGroup);
      EXPECT_EQ(state.digest(), state.recompute_digest());
      EXPECT_EQ(state.vector(), first.vector());
      EXPECT_EQ(state.digest(), first.digest());
      EXPECT_EQ(node->shard->stats().digest_mismatches, 0u);
    }
  }

  GroupCluster cluster;
  GroupNode* leader = nullptr;
  GroupNode* away = nullptr;
};

TEST(GroupStates, ComeInPiecesWhileTheGroupGoesOn) {
  OneBehind test;
  test.away->start();
  int written = 0;
  while (!test.caught_up() && written < 500) {
    const std::string key = "k" + std::to_string(written * 7 % kMovedKeys);
    const std::vector<std::vector<std::string>> commands = {
        {"append", key, "y"}, {"del", key}, {"sadd", "new" + key, "m"}, {"set", key, "z"}};
    test.cluster.run_strong(kMovedGroup, commands[static_cast<std::size_t>(written++ % 4)]);
  }
  EXPECT_GT(written, 10);
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }));
  EXPECT_GT(test.pieces(), kMovedKeys * 200u / 1'000);  // some values are shorter by then
  test.expect_equal();
  // What it was given it has kept.
  test.away->crash();
  test.away->start();
  ASSERT_EQ(test.cluster.run_strong(kMovedGroup, {"set", "after", "1"}), "+OK\r\n");
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }));
  test.expect_equal();
}

TEST(GroupStates, GoOnWhereTheyWereWhenALinkHasBroken) {
  OneBehind test;
  test.away->start();
  constexpr std::uint64_t kAll = kMovedKeys * 400 / 1'000;  // pieces, at least
  const std::pair link{test.leader->number, test.away->number};
  for (int cuts = 1; cuts <= 2; ++cuts) {
    const std::uint64_t enough = kAll * static_cast<std::uint64_t>(cuts) / 3;
    ASSERT_TRUE(test.cluster.run_until([&] { return test.pieces() >= enough; }, 20'000));
    ASSERT_FALSE(test.caught_up());
    test.cluster.cuts.insert(link);
    test.cluster.run(200);
    test.cluster.cuts.clear();
  }
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  EXPECT_GE(test.away->shard->stats().snapshots_resumed, 1u);
  EXPECT_LT(test.pieces(), kAll * 5 / 4 + 10);
  test.expect_equal();
}

// The core takes no snapshot of a leader of an earlier term. That state is not to be in the way of
// the one that the new leader gives.
TEST(GroupStates, OfAFormerLeaderAreNotInTheWayOfThoseOfTheNewOne) {
  OneBehind test(10);
  test.away->start();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.pieces() >= 100; }, 20'000));
  GroupNode& former = *test.cluster.leader(kMovedGroup);
  GroupNode& next =
      test.cluster.at(static_cast<NodeNumber>(1 + 2 + 3 - former.number - test.away->number));
  // It hears of the new term from the former leader, which goes on giving what it has named.
  test.cluster.cuts.insert({next.number, test.away->number});
  former.shard->stop_leading();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.cluster.leader(kMovedGroup) == &next; }));
  test.cluster.run(15'000);
  ASSERT_GT(test.pieces(), kMovedKeys * 400u / 10);
  ASSERT_FALSE(test.caught_up());
  test.cluster.cuts.clear();
  EXPECT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 60'000));
}

TEST(GroupStates, WhatHasComeOfOneIsGoneAfterACrash) {
  OneBehind test;
  test.away->start();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.pieces() >= 30; }, 20'000));
  ASSERT_FALSE(test.caught_up());
  test.away->crash();
  for (const auto& node : test.cluster.nodes) {
    if (node.get() != test.away) test.cluster.cuts.insert({node->number, test.away->number});
  }
  test.away->start();
  test.cluster.run(100);
  // Nothing of what has come: only what it may have had before.
  EXPECT_LE(test.away->shard->state(kMovedGroup)->live_keys(), 1u);
  EXPECT_LE(test.applied(*test.away), 4u);
  test.cluster.cuts.clear();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  test.expect_equal();
}

// Nothing is said of what has come, and nobody can tell before the one entry of the log is there.
TEST(GroupStates, AreTheFormerOrTheNewAfterACrashAtAnyTime) {
  int former = 0;
  int taken_over = 0;
  for (int crash_ms = 5; taken_over < 3 && crash_ms < 2'000; crash_ms += crash_ms / 4 + 1) {
    OneBehind test;
    test.away->pass_bytes = crash_ms % 2 == 0 ? 2'000 : 128 << 20;
    test.away->start();
    test.cluster.run(crash_ms);
    test.away->crash();
    for (const auto& node : test.cluster.nodes) {
      if (node.get() != test.away) test.cluster.cuts.insert({node->number, test.away->number});
    }
    test.away->start();
    test.cluster.run(20);
    const PartitionState& state = *test.away->shard->state(kMovedGroup);
    EXPECT_EQ(state.digest(), state.recompute_digest()) << crash_ms;
    if (test.applied(*test.away) > kMovedKeys) {
      EXPECT_EQ(state.live_keys(), kMovedKeys + 1u) << crash_ms;
      ++taken_over;
    } else {
      EXPECT_LE(state.live_keys(), 1u) << crash_ms;
      ++former;
    }
    test.cluster.cuts.clear();
    ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000)) << crash_ms;
    test.expect_equal();
  }
  EXPECT_GE(former, 5);
  EXPECT_EQ(taken_over, 3);
}

// Rows of what has been taken over are changed by passes, of which one may have begun before: then
// a start comes upon the base of the switch in the log, and must not go back to it.
TEST(GroupStates, AreNotTakenOverAgainWhenTheStoreHasMore) {
  for (int trial = 0; trial < 12; ++trial) {
    OneBehind test;
    test.away->pass_bytes = 1;
    test.away->rows.faults.behind = 0.5;
    test.away->rows.faults.behind_us = 100'000;
    test.away->start();
    // Writes elsewhere in the shard keep a pass from coming to the group at once.
    const std::vector<std::string_view> words = {"set", "eventual", "1"};
    ASSERT_TRUE(test.cluster.run_until(
        [&] {
          std::string out;
          (void)test.away->shard->execute(*find_command(words), words, false, out);
          return test.caught_up();
        },
        20'000));
    for (int i = 0; i < 5 * trial; ++i) {
      const std::string key = "k" + std::to_string(i);
      ASSERT_NE(test.cluster.run_strong(kMovedGroup, {"append", key, "y"}), "no leader");
    }
    test.cluster.run(20 * trial);
    test.away->crash();
    test.away->start();
    ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
    test.expect_equal();
  }
}

TEST(GroupStates, TakeABoundedAmountOfMemoryWhileTheStoreStandsStill) {
  OneBehind test;
  test.away->start();
  test.away->rows.faults.commit_us = 20'000'000;
  test.cluster.run(6'000);
  EXPECT_FALSE(test.caught_up());
  // Of more than 80. What is asked for by others comes by messages.
  EXPECT_LT(test.pieces(), 45u);
  test.away->rows.faults.commit_us = 3'000;
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 60'000));
  test.expect_equal();
}

TEST(GroupStates, AreGoneOnWithWhenTheStoreHasFailed) {
  OneBehind test;
  test.away->rows.faults.full = true;
  test.away->start();
  test.cluster.run(3'000);
  EXPECT_FALSE(test.caught_up());
  EXPECT_THAT(test.away->warnings, Contains(HasSubstr("a state of group 2 could not be stored")));
  const std::uint64_t before = test.pieces();
  test.away->rows.faults.full = false;
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  EXPECT_LT(test.pieces(), before + kMovedKeys * 400 / 1'000 * 5 / 4) << "not from the beginning";
  test.expect_equal();
}

TEST(GroupStates, AreThemselvesAfterAPassThatForgetsAllOthers) {
  OneBehind test;
  test.away->start();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.pieces() >= 60; }, 20'000));
  // Leaves rows that do not count.
  test.away->crash();
  test.away->start();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  std::optional<Result<>> stored;
  test.away->shard->store_now([&](const Result<>& outcome) { stored = outcome; });
  ASSERT_TRUE(test.cluster.run_until([&] { return stored.has_value(); }));
  EXPECT_TRUE(*stored);
  test.away->crash();
  test.away->start();
  test.cluster.run(200);
  test.expect_equal();
}

TEST(GroupStates, AreGivenUpForLaterOnesWhenTooMuchIsWrittenMeanwhile) {
  OneBehind test;
  test.away->start();
  const std::pair link{test.leader->number, test.away->number};
  ASSERT_TRUE(test.cluster.run_until([&] { return test.pieces() >= 30; }, 20'000));
  test.cluster.cuts.insert(link);
  test.write(1);
  test.write(2);
  test.cluster.cuts.clear();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  test.expect_equal();
}

TEST(GroupDigests, AreComparedWithoutADifference) {
  OneBehind test;
  test.away->start();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  for (int round = 0; round < 3; ++round) {
    test.write(round);
    test.cluster.run(2'500);
  }
  for (const auto& node : test.cluster.nodes) {
    if (node.get() == test.leader) continue;
    EXPECT_GE(node->shard->stats().digest_comparisons, 3u);
    EXPECT_FALSE(test.cluster.status(node->number, kMovedGroup)->diverged);
  }
  test.expect_equal();
}

TEST(GroupDigests, ADifferenceIsFoundAndSaid) {
  OneBehind test;
  test.away->start();
  ASSERT_TRUE(test.cluster.run_until([&] { return test.caught_up(); }, 20'000));
  auto& state = const_cast<PartitionState&>(*test.away->shard->state(kMovedGroup));
  Delta delta;
  KeyDelta& key = delta.keys.emplace_back();
  key.key = "k1";
  key.full = true;
  state.join_part(delta, state.vector());
  ASSERT_EQ(test.cluster.run_strong(kMovedGroup, {"set", "after", "1"}), "+OK\r\n");
  ASSERT_TRUE(test.cluster.run_until(
      [&] { return test.cluster.status(test.away->number, kMovedGroup)->diverged; }));
  EXPECT_GE(test.away->shard->stats().digest_mismatches, 1u);
  EXPECT_THAT(test.away->warnings, Contains(HasSubstr("group 2 differs from node")));
  EXPECT_FALSE(test.cluster.status(test.leader->number, kMovedGroup)->diverged);
}

}  // namespace
}  // namespace even
