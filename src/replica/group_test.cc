// Groups on real shards: their log, recovery, snapshots, reads, expiry and members.
#include "replica/group.h"

#include <gmock/gmock.h>

#include "lattice/codec.h"
#include "replica/meta_group.h"
#include "replica/peer_message.h"
#include "replica/test_groups.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr PartitionId kMeta = 1;
constexpr PartitionId kGroup = 2;

// Founded by hand on all nodes.
void found(GroupCluster& cluster) {
  std::vector<consensus::MemberId> voters;
  std::vector<NodeNumber> replicas;
  for (const auto& node : cluster.nodes) {
    voters.push_back(member_of(node->replica()));
    replicas.push_back(node->number);
  }
  for (const auto& node : cluster.nodes) {
    ASSERT_TRUE(node->shard->found_group(kGroup, voters, replicas));
  }
}

void expect_equal_states(GroupCluster& cluster) {
  const PartitionState* first = nullptr;
  for (const auto& node : cluster.nodes) {
    const PartitionState* state = node->shard->state(kGroup);
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(state->digest(), state->recompute_digest());
    if (first == nullptr) first = state;
    EXPECT_EQ(state->vector(), first->vector());
    EXPECT_EQ(state->digest(), first->digest());
  }
}

TEST(Group, OfOneNodeExecutesAtOnce) {
  GroupCluster cluster(1);
  found(cluster);
  EXPECT_EQ(cluster.run_strong(kGroup, {"set", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(cluster.run_strong(kGroup, {"incr", "n"}), ":1\r\n");
  EXPECT_THAT(cluster.run_strong(kGroup, {"incr", "k"}), StartsWith("-ERR value is not"));
}

TEST(Group, MembersExecuteTheSame) {
  GroupCluster cluster(3);
  found(cluster);
  for (int i = 0; i < 100; ++i) {
    cluster.run_strong(kGroup, {"sadd", "s", "m" + std::to_string(i)});
  }
  const std::string popped = cluster.run_strong(kGroup, {"spop", "s", "30"});
  EXPECT_THAT(popped, StartsWith("*30\r\n"));
  EXPECT_EQ(cluster.run_transaction(kGroup, {{"incr", "n"}, {"incr", "n"}, {"get", "n"}}),
            "*3\r\n:1\r\n:2\r\n$1\r\n2\r\n");
  cluster.run(300);
  expect_equal_states(cluster);
}

// Whether it is about to send something of a group.
bool tells_groups(const GroupNode& node) {
  return std::ranges::any_of(node.sent, [](const auto& sent) {
    const auto message = decode_peer_message(sent.second);
    return message && std::holds_alternative<GroupsMessage>(*message);
  });
}

TEST(Group, ThatSomethingIsCommittedIsToldWithOtherMessagesOrAtTheNextTick) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"incr", "n"}), ":1\r\n");
  GroupNode* leader = cluster.leader(kGroup);
  GroupNode& other = cluster.at(static_cast<NodeNumber>(leader->number % 3 + 1));
  const auto lag = [&] {
    return cluster.status(leader->number, kGroup)->applied -
           cluster.status(other.number, kGroup)->applied;
  };
  for (const bool anything_else : {false, true}) {
    cluster.run(20);
    ASSERT_EQ(lag(), 0u);
    leader->sends = anything_else;
    ASSERT_TRUE(cluster.ask(*leader, kGroup, {{"incr", "n"}}));
    EXPECT_EQ(tells_groups(*leader), anything_else);
    EXPECT_EQ(lag(), 1u);
    if (anything_else) {
      cluster.step();
      EXPECT_EQ(lag(), 0u);
      // Nor does anybody wait for the answer to that.
      EXPECT_FALSE(tells_groups(other));
    }
    cluster.run(6);
    EXPECT_EQ(lag(), 0u);
  }
}

TEST(Group, WithoutAMajorityAnswersNothing) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "k", "v"}), "+OK\r\n");
  GroupNode* leader = cluster.leader(kGroup);
  for (const auto& node : cluster.nodes) {
    if (node.get() != leader) cluster.cuts.insert({leader->number, node->number});
  }
  // What it has proposed is answered when it is known what has become of it: by the others.
  auto lost = std::make_shared<std::optional<StrongOutcome>>();
  const std::vector<std::string_view> words{"set", "k", "w"};
  StrongRequest request;
  request.group = kGroup;
  request.commands.emplace_back(words);
  leader->shard->execute_strong(std::move(request),
                                [lost](StrongOutcome outcome) { *lost = std::move(outcome); });
  const auto read = cluster.ask(*leader, kGroup, {{"get", "k"}});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, StrongOutcome::Kind::kElsewhere);
  EXPECT_FALSE(*lost);
  const auto old = cluster.ask(*leader, kGroup, {{"get", "k"}}, StrongRead::kOne);
  ASSERT_TRUE(old);
  EXPECT_EQ(old->reply, "$1\r\nv\r\n");
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != leader; }));
  EXPECT_EQ(cluster.run_strong(kGroup, {"set", "k", "x"}), "+OK\r\n");
  cluster.cuts.clear();
  ASSERT_TRUE(cluster.run_until([&] { return lost->has_value(); }));
  EXPECT_EQ((*lost)->kind, StrongOutcome::Kind::kElsewhere);
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "k"}), "$1\r\nx\r\n");
}

TEST(Group, RestartsKeepWhatWasAcknowledged) {
  GroupCluster cluster(3);
  for (const auto& node : cluster.nodes) node->pass_bytes = 20'000;
  for (NodeNumber n = 1; n <= 3; ++n) {
    cluster.at(n).crash();
    cluster.at(n).start();
  }
  found(cluster);
  int written = 0;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 40; ++i) {
      const std::string value(static_cast<std::size_t>(i) * 10, 'x');
      ASSERT_EQ(cluster.run_strong(kGroup, {"set", "k" + std::to_string(i), value}), "+OK\r\n");
      ASSERT_EQ(cluster.run_strong(kGroup, {"incr", "n"}),
                ":" + std::to_string(++written) + "\r\n");
    }
    GroupNode& node = cluster.at(static_cast<NodeNumber>(round % 3 + 1));
    node.crash();
    cluster.run(round % 2 * 300);
    node.start();
    if (round % 4 == 3) {
      for (NodeNumber n = 1; n <= 3; ++n) cluster.at(n).crash();
      for (NodeNumber n = 1; n <= 3; ++n) cluster.at(n).start();
    }
  }
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "n"}), "$3\r\n" + std::to_string(written) + "\r\n");
  cluster.run(500);
  expect_equal_states(cluster);
}

TEST(Group, TheLogStaysWhereAGroupHaltsDuringAPassOfTheStore) {
  GroupCluster cluster(1);
  found(cluster);
  GroupNode& node = cluster.at(1);
  EXPECT_EQ(cluster.run_strong(kGroup, {"set", "k", "1"}), "+OK\r\n");
  node.shard->store_changes();
  ASSERT_TRUE(cluster.run_until([&] { return node.shard->all_stored(); }));
  node.crash();
  node.start();
  EXPECT_EQ(cluster.run_strong(kGroup, {"set", "other", "1"}), "+OK\r\n");

  // A pass begins, and has come as far as the partition before the group's.
  const std::vector<std::string_view> words{"set", "eventual", "1"};
  std::string reply;
  node.shard->execute(*find_command(words[0]), words, false, reply);
  cluster.run(10);
  const StoreStats before = node.shard->store_stats();
  node.rows.faults.behind = 1;
  node.shard->store_changes();
  cluster.run(20);
  node.rows.damage_all();
  (void)cluster.ask(node, kGroup, {{"incr", "k"}}, StrongRead::kLinearizable, 100);
  ASSERT_THAT(node.warnings, Contains(HasSubstr("executes nothing more on this node")));
  ASSERT_EQ(node.shard->store_stats().passes, before.passes);
  ASSERT_TRUE(cluster.run_until([&] { return node.shard->store_stats().passes > before.passes; }));
  EXPECT_GE(node.shard->store_stats().lag_bytes, before.lag_bytes);
}

TEST(Group, AMemberThatIsFarBehindGetsASnapshot) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "before", "1"}), "+OK\r\n");
  GroupNode* away = nullptr;
  for (const auto& node : cluster.nodes) {
    if (node.get() != cluster.leader(kGroup)) away = node.get();
  }
  away->crash();
  const std::string value(100'000, 'x');
  for (int i = 0; i < 90; ++i) {
    ASSERT_EQ(cluster.run_strong(kGroup, {"set", "k" + std::to_string(i % 3), value}), "+OK\r\n");
  }
  away->start();
  const auto caught_up = [&] {
    const NodeNumber leader = cluster.leader(kGroup)->number;
    return cluster.status(away->number, kGroup)->applied == cluster.status(leader, kGroup)->applied;
  };
  ASSERT_TRUE(cluster.run_until(caught_up));
  std::uint64_t sent = 0;
  for (const auto& node : cluster.nodes) sent += node->shard->stats().group_snapshots_sent;
  EXPECT_EQ(sent, 1u);
  cluster.run(300);
  expect_equal_states(cluster);
  away->crash();
  away->start();
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "after", "1"}), "+OK\r\n");
  cluster.run(300);
  expect_equal_states(cluster);
}

TEST(Group, ExpiryIsDecidedByEntries) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "k", "v", "px", "300"}), "+OK\r\n");
  EXPECT_THAT(cluster.run_strong(kGroup, {"pttl", "k"}), StartsWith(":2"));
  cluster.run(100);
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "k"}), "$1\r\nv\r\n");
  cluster.run(300);
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "k"}), "$-1\r\n");
  cluster.run(300);
  for (const auto& node : cluster.nodes) EXPECT_EQ(node->shard->state(kGroup)->live_keys(), 0u);
  expect_equal_states(cluster);
}

TEST(Group, OnceIsOnce) {
  GroupCluster cluster(3);
  found(cluster);
  const auto once = [&](const char* id) {
    auto outcome = std::make_shared<std::optional<StrongOutcome>>();
    static const std::vector<std::string_view> words{"incr", "n"};
    for (int tries = 0; tries < 20 && !(*outcome); ++tries) {
      GroupNode* leader = cluster.leader(kGroup);
      StrongRequest request;
      request.group = kGroup;
      request.once = id;
      request.once_ms = 5'000;
      request.commands.emplace_back(words);
      if (leader != nullptr) {
        leader->shard->execute_strong(
            std::move(request), [outcome](StrongOutcome given) { *outcome = std::move(given); });
      }
      cluster.run(100);
    }
    return (*outcome)->reply;
  };
  EXPECT_EQ(once("a"), ":1\r\n");
  EXPECT_EQ(once("a"), ":1\r\n");
  EXPECT_EQ(once("b"), ":2\r\n");
  cluster.leader(kGroup)->crash();
  cluster.run(300);
  EXPECT_EQ(once("a"), ":1\r\n");
  cluster.run(6'000);
  EXPECT_EQ(once("a"), ":3\r\n");
}

// An optimistic transaction on `n`, as the leader is asked to execute it, and what comes of it.
struct OnceTried {
  std::vector<std::string_view> watched{"get", "n"};
  std::vector<std::string_view> words{"incr", "n"};
  std::optional<StrongOutcome> outcome;
};
std::shared_ptr<OnceTried> try_once(GroupNode& leader, std::string_view id, std::string_view seen,
                                    bool resp3 = false) {
  auto tried = std::make_shared<OnceTried>();
  StrongRequest request;
  request.group = kGroup;
  request.resp3 = resp3;
  request.transaction = true;
  request.once = id;
  request.once_ms = 5'000;
  if (!seen.empty()) request.watched.push_back({tried->watched, seen});
  request.commands.emplace_back(tried->words);
  leader.shard->execute_strong(std::move(request),
                               [tried](StrongOutcome given) { tried->outcome = std::move(given); });
  return tried;
}
std::string reply_of(GroupCluster& cluster, const std::shared_ptr<OnceTried>& tried) {
  cluster.run_until([&] { return tried->outcome.has_value(); });
  return tried->outcome ? tried->outcome->reply : "no outcome";
}

TEST(Group, AnIdThatComesAgainWithAnotherCommandIsRefused) {
  GroupCluster cluster(3);
  bool known = false;
  for (const auto& node : cluster.nodes) {
    node->crash();
    node->once_words_known = [&known] { return known; };
    node->start();
  }
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "5"}), "+OK\r\n");
  using Words = std::vector<std::string_view>;
  // Both are in the log before either is executed, or one after the other.
  const auto ask = [&](std::string_view id, Words first, Words second, bool together) {
    GroupNode& leader = *cluster.leader(kGroup);
    struct Asked {
      Words words;
      std::optional<StrongOutcome> outcome;
    };
    std::string replies;
    std::vector<std::shared_ptr<Asked>> all;
    const auto hear = [&] {
      for (const auto& asked : std::exchange(all, {})) {
        cluster.run_until([&] { return asked->outcome.has_value(); });
        replies += asked->outcome ? asked->outcome->reply : "no outcome";
      }
    };
    for (const Words& words : {first, second}) {
      auto& asked = all.emplace_back(std::make_shared<Asked>(words));
      StrongRequest request;
      request.group = kGroup;
      request.once = id;
      request.once_ms = 60'000;
      request.commands.emplace_back(asked->words);
      leader.shard->execute_strong(
          std::move(request), [asked](StrongOutcome given) { asked->outcome = std::move(given); });
      if (!together) hear();
    }
    hear();
    return replies;
  };
  const std::string refused =
      "-ERR EVEN.ONCE nothing was done: the id has been used with another command, whose reply is "
      "kept. Take another id for each request\r\n";
  EXPECT_EQ(ask("a", {"incr", "n"}, {"incrby", "n", "1"}, true), ":6\r\n:6\r\n");
  known = true;
  for (const bool together : {false, true}) {
    const std::string id = together ? "c" : "b";
    const std::string count = together ? ":8\r\n" : ":7\r\n";
    EXPECT_EQ(ask(id, {"incr", "n"}, {"INCR", "n"}, together), count + count);
    EXPECT_EQ(ask(id, {"incrby", "n", "1"}, {"incr", "m"}, together), refused + refused);
    EXPECT_EQ(ask(id, {"incr", "n"}, {"INCR", "n"}, together), count + count);
  }
  known = false;
  EXPECT_EQ(ask("d", {"incr", "n"}, {"incrby", "n", "1"}, true), ":9\r\n" + refused);
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "m"}), "$-1\r\n");
  // What has watched something may be another thing the second time.
  EXPECT_EQ(reply_of(cluster, try_once(*cluster.leader(kGroup), "e", "$1\r\n9\r\n")),
            "*1\r\n:10\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(*cluster.leader(kGroup), "e", {})), "*1\r\n:10\r\n");
  cluster.run(300);
  expect_equal_states(cluster);
}

TEST(Group, AnIdIsLookedUpBeforeWhatIsWatchedIsCompared) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "5"}), "+OK\r\n");
  GroupNode& leader = *cluster.leader(kGroup);
  // Both are in the log before either is executed.
  const auto first = try_once(leader, "a", "$1\r\n5\r\n");
  const auto again = try_once(leader, "a", "$1\r\n5\r\n");
  EXPECT_EQ(reply_of(cluster, first), "*1\r\n:6\r\n");
  EXPECT_EQ(reply_of(cluster, again), "*1\r\n:6\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(leader, "a", "$1\r\n5\r\n")), "*1\r\n:6\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(leader, "b", "$1\r\n5\r\n")), "*-1\r\n");
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "n"}), "$1\r\n6\r\n");
  cluster.run(300);
  expect_equal_states(cluster);
}

TEST(Group, ThatWhatIsWatchedHadChangedIsRememberedUnderItsId) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "6"}), "+OK\r\n");
  GroupNode& leader = *cluster.leader(kGroup);
  EXPECT_EQ(reply_of(cluster, try_once(leader, "a", "$1\r\n5\r\n")), "*-1\r\n");
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "5"}), "+OK\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(leader, "a", "$1\r\n5\r\n")), "*-1\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(leader, "b", "$1\r\n4\r\n", /*resp3=*/true)), "_\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(leader, "b", "$1\r\n4\r\n", /*resp3=*/true)), "_\r\n");
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "n"}), "$1\r\n5\r\n");
}

// Entries are executed as nodes of before execute them, until all know better; then for good.
TEST(Group, IdsAreLookedUpFirstOnceAllNodesKnowThat) {
  GroupCluster cluster(3);
  bool known = false;
  for (const auto& node : cluster.nodes) {
    node->crash();
    node->once_first_known = [&known] { return known; };
    node->start();
  }
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "5"}), "+OK\r\n");
  const auto twice = [&](std::string_view id, std::string_view seen) {
    GroupNode& leader = *cluster.leader(kGroup);
    const auto first = try_once(leader, id, seen);
    const auto again = try_once(leader, id, seen);
    return reply_of(cluster, first) + reply_of(cluster, again);
  };
  EXPECT_EQ(twice("a", "$1\r\n5\r\n"), "*1\r\n:6\r\n*-1\r\n");
  EXPECT_EQ(cluster.at(1).shard->state(kGroup)->vector()[kGroupOnceFirst], 0u);
  known = true;
  EXPECT_EQ(twice("b", "$1\r\n6\r\n"), "*1\r\n:7\r\n*1\r\n:7\r\n");
  known = false;  // one cannot be asked after a restart
  cluster.run(300);
  for (const auto& node : cluster.nodes) node->crash();
  for (const auto& node : cluster.nodes) node->start();
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != nullptr; }));
  ASSERT_EQ(cluster.run_strong(kGroup, {"get", "n"}), "$1\r\n7\r\n");
  EXPECT_EQ(twice("c", "$1\r\n7\r\n"), "*1\r\n:8\r\n*1\r\n:8\r\n");
  cluster.run(300);
  expect_equal_states(cluster);
}

TEST(Group, ThatHasNoKeysIsClosedAndTakesNoWritesUntilItIsOpened) {
  GroupCluster cluster(3);
  found(cluster);
  const auto run = [&](const std::vector<std::string>& words) {
    GroupNode* leader = cluster.leader(kGroup);
    if (leader == nullptr) return std::string("no leader");
    const auto outcome = cluster.ask(*leader, kGroup, {words});
    return outcome ? outcome->reply : std::string("no outcome");
  };
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != nullptr; }));
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "k", "v"}), "+OK\r\n");
  ASSERT_EQ(run({"set", "e", "v", "px", "100"}), "+OK\r\n");
  EXPECT_EQ(run({"even.close", "5"}), ":2\r\n");
  EXPECT_EQ(run({"del", "k"}), ":1\r\n");
  cluster.run(300);
  EXPECT_EQ(run({"even.close", "5"}), ":0\r\n");
  EXPECT_EQ(run({"even.close", "5"}), ":0\r\n");
  const auto refused = StartsWith("-UNAVAILABLE nothing was done: the keyspace is being dropped");
  EXPECT_THAT(run({"set", "k", "w"}), refused);
  EXPECT_THAT(run({"eval", "redis.call('set', KEYS[1], 'w')", "1", "k"}), refused);
  EXPECT_THAT(cluster.ask(*cluster.leader(kGroup), kGroup, {{"get", "k"}, {"incr", "k"}})->reply,
              refused);
  EXPECT_EQ(run({"get", "k"}), "$-1\r\n");
  // Members that come to lead, and those that come back, know it.
  for (const auto& node : cluster.nodes) node->crash();
  for (const auto& node : cluster.nodes) node->start();
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != nullptr; }));
  EXPECT_THAT(run({"set", "k", "w"}), refused);
  // What is over stays over.
  EXPECT_EQ(run({"even.open", "4"}), "+OK\r\n");
  EXPECT_THAT(run({"set", "k", "w"}), refused);
  EXPECT_EQ(run({"even.open", "5"}), "+OK\r\n");
  EXPECT_THAT(run({"even.close", "5"}), StartsWith("-TRYAGAIN"));
  EXPECT_EQ(run({"set", "k", "w"}), "+OK\r\n");
  EXPECT_EQ(run({"even.close", "6"}), ":1\r\n");
  EXPECT_THAT(run({"even.close", "6x"}), StartsWith("-ERR"));
  cluster.run(300);
  expect_equal_states(cluster);
}

// What the leader has proposed when the group is closed is behind that in its log.
TEST(Group, WhatComesBehindItsClosingInTheLogIsRefusedAndNotRememberedAsDone) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "5"}), "+OK\r\n");
  ASSERT_EQ(cluster.run_strong(kGroup, {"del", "n"}), ":1\r\n");
  GroupNode& leader = *cluster.leader(kGroup);
  const auto before = try_once(leader, "a", {});
  ASSERT_EQ(reply_of(cluster, before), "*1\r\n:1\r\n");
  ASSERT_EQ(cluster.run_strong(kGroup, {"del", "n"}), ":1\r\n");
  std::optional<StrongOutcome> closed;
  const std::vector<std::string_view> words{"even.close", "7"};
  StrongRequest request;
  request.group = kGroup;
  request.commands.emplace_back(words);
  leader.shard->execute_strong(std::move(request),
                               [&closed](StrongOutcome given) { closed = std::move(given); });
  const auto behind = try_once(leader, "b", {});
  EXPECT_THAT(reply_of(cluster, behind), StartsWith("-UNAVAILABLE nothing was done"));
  EXPECT_EQ(behind->outcome->kind, StrongOutcome::Kind::kRefused);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reply, ":0\r\n");
  // What had been executed under its id is said still.
  EXPECT_EQ(reply_of(cluster, try_once(leader, "a", {})), "*1\r\n:1\r\n");
  ASSERT_EQ(cluster.run_strong(kGroup, {"even.open", "7"}), "+OK\r\n");
  EXPECT_EQ(reply_of(cluster, try_once(leader, "b", {})), "*1\r\n:1\r\n");
}

TEST(Group, WhoseLeaderFindsItClosedForLongIsToldOf) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != nullptr; }));
  ASSERT_EQ(cluster.run_strong(kGroup, {"even.close", "9"}), ":0\r\n");
  const auto told = [&cluster] {
    std::vector<std::pair<PartitionId, std::uint64_t>> all;
    for (const auto& node : cluster.nodes) {
      all.insert(all.end(), node->left_closed.begin(), node->left_closed.end());
    }
    return all;
  };
  cluster.run(19'000);
  EXPECT_TRUE(told().empty());
  // Who leads from now on begins to count.
  cluster.leader(kGroup)->crash();
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != nullptr; }));
  cluster.run(19'000);
  EXPECT_TRUE(told().empty());
  cluster.run(2'000);
  EXPECT_THAT(told(), testing::ElementsAre(std::pair(kGroup, std::uint64_t{9})));
  cluster.run(5'000);
  EXPECT_EQ(told().size(), 2u);
  ASSERT_EQ(cluster.run_strong(kGroup, {"even.open", "9"}), "+OK\r\n");
  cluster.run(30'000);
  EXPECT_EQ(told().size(), 2u);
}

TEST(Group, WhatHasBeenExecutedUnderItsIdIsNotRefused) {
  GroupCluster cluster(3);
  found(cluster);
  ASSERT_EQ(cluster.run_strong(kGroup, {"set", "n", "5"}), "+OK\r\n");
  GroupNode& leader = *cluster.leader(kGroup);
  EXPECT_EQ(reply_of(cluster, try_once(leader, "a", {})), "*1\r\n:6\r\n");
  for (const auto& node : cluster.nodes) {
    if (node.get() != &leader) cluster.cuts.insert({leader.number, node->number});
  }
  // So much waits to be executed that nothing more is taken.
  const std::string value(1 << 20, 'x');
  const std::vector<std::string_view> words{"set", "k", value};
  bool full = false;
  for (int i = 0; i < 20 && !full; ++i) {
    StrongRequest request;
    request.group = kGroup;
    request.commands.emplace_back(words);
    leader.shard->execute_strong(std::move(request), [&full](const StrongOutcome& outcome) {
      full = full || outcome.kind == StrongOutcome::Kind::kRefused;
    });
  }
  ASSERT_TRUE(full);
  const auto again = try_once(leader, "a", {});
  ASSERT_TRUE(again->outcome);
  EXPECT_EQ(again->outcome->kind, StrongOutcome::Kind::kReply);
  EXPECT_EQ(again->outcome->reply, "*1\r\n:6\r\n");
}

TEST(Group, ANodeThatLostItsDiskLearnsBeforeItVotes) {
  GroupCluster cluster(3);
  found(cluster);
  for (int i = 0; i < 20; ++i) cluster.run_strong(kGroup, {"incr", "n"});
  GroupNode& lost = cluster.at(2);
  const auto old = member_of(lost.replica());
  lost.wipe();
  cluster.run(1'000);
  lost.start();
  // It knows of no group, until somebody tells it to have one.
  ASSERT_TRUE(lost.shard->found_group(kGroup, {}, {1, 2, 3}));
  const auto replaced = [&] {
    const auto status = cluster.status(2, kGroup);
    return status && status->voters.size() == 3 && status->applied > 20;
  };
  ASSERT_TRUE(cluster.run_until(replaced));
  EXPECT_NE(member_of(lost.replica()), old);
  EXPECT_EQ(cluster.run_strong(kGroup, {"incr", "n"}), ":21\r\n");
  cluster.run(300);
  expect_equal_states(cluster);
}

// --- The metadata group

TEST(MetaGroup, IsFoundedOnceAndHoldsKeyspaces) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(2'000);  // all nodes have been noted
  cluster::Keyspace keyspace{.name = "orders", .prefix = "o:"};
  keyspace.strong = true;
  keyspace.replicas = 3;
  keyspace.partitions = 4;
  const std::string created = cluster.run_strong(
      kMeta,
      {"even.meta", "create", cluster::encode(keyspace), "2", "1", "n1", "2", "n2", "3", "n3"});
  ASSERT_THAT(created, StartsWith(":"));
  const auto all_have_leaders = [&] {
    for (PartitionId id = 2; id < 6; ++id) {
      if (cluster.leader(id) == nullptr) return false;
    }
    return true;
  };
  ASSERT_TRUE(cluster.run_until(all_have_leaders));
  EXPECT_EQ(cluster.run_strong(3, {"set", "o:1", "v"}), "+OK\r\n");
  for (NodeNumber n = 1; n <= 3; ++n) cluster.at(n).crash();
  for (NodeNumber n = 1; n <= 3; ++n) cluster.at(n).start();
  ASSERT_TRUE(cluster.run_until(all_have_leaders));
  EXPECT_EQ(cluster.run_strong(3, {"get", "o:1"}), "$1\r\nv\r\n");
}

// Links come up while the group is being founded: what either end has said on one may have crossed.
TEST(MetaGroup, WhoSaysThatItHasNoneIsToldThatThereIsOne) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  GroupNode& node = cluster.at(1);
  node.sent.clear();
  ASSERT_TRUE(node.shard->receive(2, encode_meta({.founded = false, .voters = {}})));
  ASSERT_EQ(node.sent.size(), 1u);
  EXPECT_EQ(node.sent.front().first, 2);
  const auto told = decode_peer_message(node.sent.front().second);
  ASSERT_TRUE(told);
  const auto* message = std::get_if<MetaMessage>(&*told);
  ASSERT_NE(message, nullptr);
  EXPECT_TRUE(message->founded);
}

// Else all have heard of a metadata group that nobody remembers, and none is ever founded.
TEST(MetaGroup, NobodyHearsOfOneThatItsFounderMayForget) {
  GroupCluster cluster(3);
  cluster.at(1).disk.faults.sync_us = 10'000'000;
  ASSERT_TRUE(cluster.run_until([&] { return cluster.at(1).shard->has_group(kMeta); }));
  // Those that had been told with whom are not reached, and links come up again.
  cluster.cuts = {{1, 2}, {1, 3}};
  cluster.run(5);
  cluster.cuts.clear();
  cluster.run(20);
  cluster.at(1).crash();
  cluster.at(1).disk.faults.sync_us = 300;
  cluster.at(1).start();
  EXPECT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
}

TEST(Group, TakesNoRecordsOfPeers) {
  GroupCluster cluster(2);
  found(cluster);
  cluster.run(10);
  Shard& shard = *cluster.at(2).shard;
  Record record = Record::begin(kGroup, cluster.at(1).replica(), Hlc::at(1), {});
  std::string bytes;
  encode_record(record, bytes);
  RecordsBuilder builder(1);
  builder.add(bytes);
  const Result<> received = shard.receive(1, builder.take());
  ASSERT_FALSE(received);
  EXPECT_THAT(received.error().message, HasSubstr("strong partition 2"));
}

// Another thread or node may lead a command here that does not know of the keyspace yet.
TEST(MetaGroup, AStrongKeyIsNotWrittenAsAnEventualOne) {
  GroupCluster cluster(1);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(1'000);
  cluster::Keyspace keyspace{.name = "orders", .prefix = "o:"};
  keyspace.strong = true;
  keyspace.replicas = 1;
  keyspace.partitions = 1;
  ASSERT_THAT(
      cluster.run_strong(kMeta, {"even.meta", "create", cluster::encode(keyspace), "2", "1", "n1"}),
      StartsWith(":"));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kGroup) != nullptr; }));
  Shard& shard = *cluster.at(1).shard;
  const auto run = [&](std::vector<std::string_view> words) {
    std::string reply;
    EXPECT_FALSE(shard.lists_much(*find_command(words[0]), words));
    shard.execute(*find_command(words[0]), words, false, reply);
    return reply;
  };
  EXPECT_THAT(run({"set", "o:k", "v"}), StartsWith("-TRYAGAIN"));
  EXPECT_THAT(run({"mset", "k", "v", "o:k", "v"}), StartsWith("-TRYAGAIN"));
  EXPECT_THAT(run({"smembers", "o:k"}), StartsWith("-TRYAGAIN"));
  EXPECT_EQ(run({"get", "k"}), "$-1\r\n");
  EXPECT_EQ(run({"set", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(cluster.run_strong(kGroup, {"get", "o:k"}), "$-1\r\n");
}

TEST(MetaGroup, GroupsOfADroppedKeyspaceEndEverywhere) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(2'000);
  cluster::Keyspace keyspace{.name = "orders", .prefix = "o:"};
  keyspace.strong = true;
  keyspace.replicas = 3;
  keyspace.partitions = 2;
  const std::vector<std::string> create{
      "even.meta", "create", cluster::encode(keyspace), "2", "1", "n1", "2", "n2", "3", "n3"};
  ASSERT_THAT(cluster.run_strong(kMeta, create), StartsWith(":"));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(2) != nullptr; }));
  ASSERT_EQ(cluster.run_strong(2, {"set", "k", "goes with its keyspace"}), "+OK\r\n");
  cluster.run(100);
  // How many nodes have it in their stores.
  const auto stored = [&] {
    int nodes = 0;
    for (const NodeNumber n : {1, 2}) {
      std::optional<Result<>> done;
      cluster.at(n).shard->store_now([&](const Result<>& outcome) { done = outcome; });
      EXPECT_TRUE(cluster.run_until([&] { return done.has_value(); }));
      nodes += std::ranges::any_of(cluster.at(n).rows.rows(), [](const auto& row) {
        return row.second.find("goes with its keyspace") != std::string::npos;
      });
    }
    return nodes;
  };
  EXPECT_EQ(stored(), 2);
  cluster.at(3).crash();
  ASSERT_THAT(cluster.run_strong(kMeta, {"even.meta", "drop", "orders"}), StartsWith(":"));
  cluster.at(3).start();
  const auto gone = [&] {
    return std::ranges::none_of(cluster.nodes, [](const auto& node) {
      return node->shard->has_group(2) || node->shard->has_group(3);
    });
  };
  ASSERT_TRUE(cluster.run_until(gone));
  // The simulated store is free to keep what it is told to forget; without being told both do.
  EXPECT_LT(stored(), 2);
  for (NodeNumber n = 1; n <= 3; ++n) cluster.at(n).crash();
  for (NodeNumber n = 1; n <= 3; ++n) cluster.at(n).start();
  cluster.run(2'000);
  EXPECT_TRUE(gone());
  // Another one gets partitions of its own.
  ASSERT_THAT(cluster.run_strong(kMeta, create), StartsWith(":"));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(4) != nullptr; }));
  EXPECT_EQ(cluster.run_strong(4, {"get", "k"}), "$-1\r\n");
}

TEST(MetaGroup, ANodeWithAnEmptyDiskJoinsAndFoundsNoOther) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(2'000);
  GroupNode& lost = cluster.at(1);  // the one that has founded it
  lost.wipe();
  cluster.run(1'500);
  lost.start();
  const auto is_member = [&] {
    const auto status = cluster.status(1, kMeta);
    return status && status->voters.size() == 3 && status->leader != 0 && status->applied > 4;
  };
  EXPECT_TRUE(cluster.run_until(is_member));
  EXPECT_THAT(lost.warnings, ::testing::IsEmpty());
}

// Whoever takes "not known" for "there is nothing" lets in whom the cluster has shut out.
TEST(MetaGroup, IsNotUnknownInAClusterThatHasFoundedNone) {
  for (const int nodes : {1, 3, 7}) {
    GroupCluster cluster(nodes);
    cluster.run(100);  // they have heard of each other
    const auto none_is_in_doubt = [&] {
      cluster.step();
      for (const auto& node : cluster.nodes) {
        if (!node->unknown.empty()) return false;
      }
      return true;
    };
    for (int i = 0; i < 3'000; ++i) ASSERT_TRUE(none_is_in_doubt()) << nodes << " nodes, " << i;
    ASSERT_NE(cluster.leader(kMeta), nullptr);
  }
}

// Another one might know of users.
TEST(MetaGroup, IsUnknownToANodeThatHasNothingUntilItHasHeardOfAnotherOrWaitedForLong) {
  GroupCluster cluster(3);
  cluster.cuts = {{1, 2}, {1, 3}, {2, 3}};
  cluster.run(4'000);
  for (const auto& node : cluster.nodes) EXPECT_EQ(node->unknown, MetaGroup::kHeardOfNobody);
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(500);
  EXPECT_EQ(cluster.at(1).unknown, "");
  EXPECT_EQ(cluster.at(2).unknown, "");
  EXPECT_EQ(cluster.at(3).unknown, MetaGroup::kHeardOfNobody);
  cluster.run(1'500);
  EXPECT_EQ(cluster.at(3).unknown, "");
}

TEST(MetaGroup, IsUnknownToANodeWithAnEmptyDiskUntilItHasBeenGivenIt) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  ASSERT_THAT(cluster.run_strong(kMeta, {"even.meta", "setuser", "a", "", "on"}), StartsWith(":"));
  cluster.run(2'000);
  GroupNode& lost = cluster.at(3);
  lost.wipe();
  cluster.at(2).crash();
  cluster.run(100);
  lost.start();
  // There is no majority that could give it anything.
  cluster.run(2'000);
  EXPECT_THAT(lost.unknown, HasSubstr("given nothing of the metadata group"));
  cluster.at(2).start();
  EXPECT_TRUE(cluster.run_until([&] { return lost.unknown.empty(); }));
  // From now on it has what it has, alone too.
  for (const NodeNumber other : {1, 2}) cluster.at(other).crash();
  lost.crash();
  lost.start();
  cluster.run(2'000);
  EXPECT_EQ(lost.unknown, "");
}

// Nor can a majority be had any more: what it serves does not need one.
TEST(MetaGroup, IsNotMissedByANodeWithAnEmptyDiskWhereNobodyHasUsers) {
  GroupCluster cluster(2);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(2'000);
  GroupNode& lost = cluster.at(2);
  lost.wipe();
  lost.start();
  cluster.run(2'000);
  ASSERT_FALSE(lost.shard->has_group(kMeta));
  EXPECT_EQ(lost.unknown, "");
}

// What has been applied but may be forgotten is not served: nor is it nothing.
TEST(MetaGroup, IsUnknownToAMemberUntilWhatItHasBeenGivenIsDurable) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  ASSERT_THAT(cluster.run_strong(kMeta, {"even.meta", "setuser", "a", "", "on"}), StartsWith(":"));
  cluster.run(2'000);
  GroupNode& lost = cluster.at(3);
  lost.wipe();
  lost.start();
  // Its own acknowledgement is not needed for what is committed.
  lost.disk.faults.sync_us = 2'000'000;
  ASSERT_TRUE(cluster.run_until([&] { return lost.unknown.empty(); }));
  ASSERT_NE(lost.known, nullptr);
  EXPECT_FALSE(lost.known->users().empty());
}

TEST(MetaGroup, IsUnknownOnceAnybodyHasSaidThatThereAreUsers) {
  GroupCluster cluster(3);
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(100);
  GroupNode& node = cluster.at(1);
  using Users = MetaMessage::Users;
  const auto hear = [&](Users users) {
    ASSERT_TRUE(node.shard->receive(
        2, encode_meta({.founded = true, .users = users, .voters = {}, .former = {}})));
  };
  hear(Users::kUnsaid);  // of an earlier version, or before it knows
  EXPECT_THAT(node.unknown, HasSubstr("given nothing of the metadata group"));
  hear(Users::kNone);
  EXPECT_EQ(node.unknown, "");
  hear(Users::kSome);
  EXPECT_THAT(node.unknown, HasSubstr("given nothing of the metadata group"));
  hear(Users::kNone);  // who has not heard of them yet
  EXPECT_THAT(node.unknown, HasSubstr("given nothing of the metadata group"));
}

TEST(MetaGroup, IsUnknownToAMemberThatHasNotBeenGivenItWhenItIsStartedAgain) {
  GroupCluster cluster(3);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(2'000);
  GroupNode& lost = cluster.at(3);
  lost.wipe();
  lost.start();
  // It has begun its member, and nothing reaches it any more.
  ASSERT_TRUE(cluster.run_until([&] { return lost.shard->has_group(kMeta); }));
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(100);
  ASSERT_EQ(cluster.status(3, kMeta)->applied, 0u);
  lost.crash();
  lost.start();
  cluster.run(1'000);
  EXPECT_THAT(lost.unknown, HasSubstr("given nothing of the metadata group"));
  cluster.cuts.clear();
  EXPECT_TRUE(cluster.run_until([&] { return lost.unknown.empty(); }));
}

TEST(MetaGroup, IsUnknownToANodeThatCannotReadIt) {
  GroupCluster cluster(1);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.leader(kMeta) != nullptr; }));
  cluster.run(2'000);
  GroupNode& node = cluster.at(1);
  node.shard->store_changes();
  ASSERT_TRUE(cluster.run_until([&] { return node.shard->all_stored(); }));
  const auto whole = node.rows.rows();
  // A row of the group's state, of what groups need besides, or of neither.
  std::set<std::string> reasons;
  for (int i = 0; i < 100; ++i) {
    node.crash();
    node.rows.restore(whole);
    node.rows.damage(1);
    node.start();
    cluster.run(20);
    reasons.insert(node.unknown);
  }
  EXPECT_THAT(reasons, Contains(HasSubstr("what it has of the metadata group cannot be read")));
  EXPECT_THAT(reasons, Contains(HasSubstr("what it needs to take part")));
}

TEST(MetaGroup, IsUnknownToANodeThatHasHeardOfAFormerLifeOfIt) {
  GroupCluster cluster(3);
  cluster.cuts = {{1, 2}, {1, 3}, {2, 3}};
  cluster.run(100);
  GroupNode& node = cluster.at(1);
  EXPECT_EQ(node.unknown, MetaGroup::kHeardOfNobody);
  cluster.cuts = {{1, 3}, {2, 3}};
  cluster.run(100);
  EXPECT_EQ(node.unknown, "");
  ASSERT_TRUE(node.shard->receive(
      2, encode_meta({.founded = false, .voters = {}, .former = {.term = 3, .index = 77}})));
  EXPECT_THAT(node.unknown, HasSubstr("given nothing of the metadata group"));
}

}  // namespace
}  // namespace even
