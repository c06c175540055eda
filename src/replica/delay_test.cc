// Records that are held back, on real shards: what goes when, and who need not wait. Under crashes
// and faults it is the simulator's business.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "replica/held_records.h"
#include "replica/test_groups.h"

namespace even {
namespace {

using test::GroupCluster;

constexpr PartitionId kDelayedPartition = 0;  // eventual, on all nodes
constexpr std::uint8_t kRecordsKind = 2;
constexpr std::uint8_t kCompressedKind = 19;

struct DelayTest : ::testing::Test {
  // By then nobody asks any more whether it is complete.
  explicit DelayTest() : cluster(3) { cluster.run(3'000); }

  // Keys that begin with "l:" are lazy; those with "ll:" more so.
  void serve(std::int64_t delay_ms) {
    std::vector<cluster::Keyspace> keyspaces;
    for (const std::string prefix : {"l:", "ll:"}) {
      cluster::Keyspace keyspace;
      keyspace.name = prefix;
      keyspace.prefix = prefix;
      keyspace.replicas = 3;
      keyspace.delay_ms = prefix == "l:" ? delay_ms : 2 * delay_ms;
      keyspace.siblings = prefix == "ll:";
      keyspaces.push_back(keyspace);
    }
    const auto table = std::make_shared<const cluster::KeyspaceTable>(++version_, keyspaces);
    for (auto& node : cluster.nodes) node->shard->serve(table);
  }
  std::string run(NodeNumber number, const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    std::string reply;
    cluster.at(number).shard->execute(*find_command(args[0]), args, false, reply);
    return reply;
  }
  bool has(NodeNumber number, const std::string& key) {
    return run(number, {"exists", key}) == ":1\r\n";
  }
  bool everywhere(const std::string& key) { return has(1, key) && has(2, key) && has(3, key); }
  std::uint64_t held(NodeNumber at, NodeNumber peer) {
    const std::vector<PeerStatus> peers = cluster.at(at).shard->peers();
    return std::ranges::find(peers, peer, &PeerStatus::node)->held_bytes;
  }
  PartitionReach reach(NodeNumber number) {
    const std::vector<PartitionId> partitions{kDelayedPartition};
    return cluster.at(number).shard->reach_of(partitions, false);
  }
  using Answer = std::shared_ptr<std::optional<std::size_t>>;
  Shard::Answered into(const Answer& answer) {
    return [answer](std::size_t replicas) { *answer = replicas; };
  }
  std::int64_t deadline_us() { return cluster.world.clock.monotonic_us() + 5'000'000; }
  // Far less than any delay in these tests.
  bool soon(const Answer& answer, std::size_t count) {
    return cluster.run_until([&] { return answer->has_value(); }, 300) && *answer == count;
  }

  GroupCluster cluster;
  std::uint64_t version_ = 100;
};

TEST_F(DelayTest, WhatIsWrittenComesWhenItsTimeHasCome) {
  serve(200);
  run(1, {"set", "l:k", "v"});
  cluster.run(150);
  EXPECT_TRUE(has(1, "l:k"));
  EXPECT_FALSE(has(2, "l:k"));
  EXPECT_FALSE(has(3, "l:k"));
  EXPECT_GT(held(1, 2), 0u);
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:k"); }, 100));
  EXPECT_EQ(held(1, 2) + held(1, 3), 0u);
}

TEST_F(DelayTest, TheLeastOfTheDelaysOfARecordCounts) {
  serve(200);
  run(1, {"mset", "ll:k", "v", "l:k", "v"});
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("ll:k"); }, 250));
}

TEST_F(DelayTest, ARecordThatIsNotLazyTakesAlongWhatIsHeld) {
  serve(60'000);
  for (int i = 0; i < 5; ++i) {
    run(1, {"set", fmt::format("l:{}", i), "v"});
    cluster.run(2);
  }
  cluster.run(100);
  EXPECT_FALSE(has(2, "l:0"));
  run(1, {"set", "other", "v"});
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("other"); }, 100));
  EXPECT_TRUE(everywhere("l:0") && everywhere("l:4"));
}

TEST_F(DelayTest, ATransactionComesInOnePiece) {
  serve(60'000);
  // Three records, as it writes the same keys again; one of them is lazy by itself.
  run(1, {"mset", "l:a", "1", "p:b", "1"});
  run(1, {"set", "l:a", "2"});
  run(1, {"set", "p:b", "2"});
  run(1, {"set", "l:a", "3"});
  EXPECT_TRUE(cluster.run_until([&] { return has(2, "p:b"); }, 100));
  EXPECT_EQ(run(2, {"get", "l:a"}), "$1\r\n3\r\n");
}

TEST_F(DelayTest, WithoutADelayNothingIsHeld) {
  serve(0);
  run(1, {"set", "l:k", "v"});
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:k"); }, 100));
}

TEST_F(DelayTest, WhoAsksForReplicasDoesNotWait) {
  serve(60'000);
  Shard& one = *cluster.at(1).shard;
  const std::vector<PartitionId> partitions{kDelayedPartition};

  run(1, {"set", "l:write", "v"});
  auto answer = std::make_shared<std::optional<std::size_t>>();
  one.await_seen(one.reach_of(partitions, true), 2, {.deadline_us = deadline_us()}, into(answer));
  EXPECT_TRUE(soon(answer, 2));
  EXPECT_TRUE(everywhere("l:write"));

  // In the same turn, and in one before.
  for (const int pause : {0, 50}) {
    const std::string key = fmt::format("l:read{}", pause);
    run(1, {"set", key, "v"});
    cluster.run(pause);
    answer = std::make_shared<std::optional<std::size_t>>();
    cluster.at(2).shard->catch_up(partitions, 2, deadline_us(), into(answer));
    EXPECT_TRUE(soon(answer, 2));
    EXPECT_TRUE(has(2, key));
    // It may be what others wait for of the one who has read it.
    EXPECT_TRUE(cluster.run_until([&] { return has(3, key); }, 100));
  }

  run(1, {"set", "l:fresh", "v"});
  cluster.run(50);
  answer = std::make_shared<std::optional<std::size_t>>();
  cluster.at(3).shard->freshen(partitions, deadline_us(), into(answer));
  EXPECT_TRUE(soon(answer, 2));
  EXPECT_TRUE(has(3, "l:fresh"));

  run(1, {"set", "l:session", "v"});
  cluster.run(50);
  answer = std::make_shared<std::optional<std::size_t>>();
  cluster.at(2).shard->await_here(reach(1), deadline_us(), into(answer));
  EXPECT_TRUE(soon(answer, 1));
  EXPECT_TRUE(has(2, "l:session"));
}

TEST_F(DelayTest, AReaderAtAllIsNotKeptWaitingByAnotherThanTheOneItReadsOf) {
  serve(60'000);
  run(1, {"set", "l:k", "v"});
  cluster.run(50);
  const std::vector<PartitionId> partitions{kDelayedPartition};
  auto answer = std::make_shared<std::optional<std::size_t>>();
  Shard& two = *cluster.at(2).shard;
  two.catch_up(partitions, 1, deadline_us(), into(answer));
  ASSERT_TRUE(cluster.run_until([&] { return answer->has_value(); }, 300));
  run(2, {"set", "l:by2", "v"});
  answer = std::make_shared<std::optional<std::size_t>>();
  two.await_seen(reach(2), 2, {.deadline_us = deadline_us()}, into(answer));
  EXPECT_TRUE(soon(answer, 2));
}

TEST_F(DelayTest, AChangeOfTheKeyspacesTakesEffectAtOnce) {
  serve(60'000);
  run(1, {"set", "l:k", "v"});
  cluster.run(50);
  EXPECT_FALSE(has(2, "l:k"));
  serve(60'000);
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:k"); }, 100));
}

TEST_F(DelayTest, NoMoreIsHeldThanAMegabyte) {
  serve(60'000);
  for (int i = 0; i < 12; ++i) {
    run(1, {"set", fmt::format("l:{}", i), std::string(60'000, 'x')});
    cluster.run(2);
  }
  EXPECT_FALSE(has(2, "l:0"));
  for (int i = 12; i < 24; ++i) {
    run(1, {"set", fmt::format("l:{}", i), std::string(60'000, 'x')});
    cluster.run(2);
  }
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:12"); }, 100));
  for (int i = 0; i < 24; ++i) {
    const std::string key = fmt::format("l:{}", i);
    EXPECT_EQ(has(2, key), has(3, key)) << key << ": all get it or none";
  }
  EXPECT_LE(held(1, 2), std::uint64_t{1} << 20);
}

TEST_F(DelayTest, ALongRecordIsNotHeld) {
  serve(60'000);
  run(1, {"set", "l:k", std::string(100'000, 'x')});
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:k"); }, 100));
}

TEST_F(DelayTest, WhoStopsSendsWhatItHolds) {
  serve(60'000);
  run(1, {"set", "l:before", "v"});
  cluster.run(50);
  cluster.at(1).shard->stop_leading();
  run(1, {"set", "l:after", "v"});
  EXPECT_TRUE(cluster.at(1).shard->handing_over());
  EXPECT_TRUE(cluster.run_until([&] { return !cluster.at(1).shard->handing_over(); }, 500));
  cluster.run(20);
  EXPECT_TRUE(everywhere("l:before") && everywhere("l:after"));
}

TEST_F(DelayTest, WhatWasHeldComesWithTheNextSession) {
  serve(60'000);
  run(1, {"set", "l:k", "v"});
  cluster.run(50);
  cluster.cuts = {{1, 2}};
  cluster.run(50);
  EXPECT_EQ(held(1, 2), 0u);
  cluster.cuts.clear();
  EXPECT_TRUE(cluster.run_until([&] { return has(2, "l:k"); }, 1'000));
  // What one of them has been sent, all are: it may pass it on in what it makes.
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:k"); }, 100));
}

TEST_F(DelayTest, ResidueIsCollectedThoughSomethingIsAlwaysHeld) {
  serve(500);
  run(1, {"incr", "l:c"});
  run(2, {"incr", "l:c"});
  cluster.run(2'000);
  run(3, {"del", "l:c"});
  const auto residue = [this](NodeNumber number) {
    return cluster.at(number).shard->state(kDelayedPartition)->residue_keys();
  };
  ASSERT_GT(residue(3), 0u);
  for (int i = 0; i < 4'000 && residue(1) + residue(2) + residue(3) > 0; ++i) {
    for (const NodeNumber number : {1, 2, 3}) {
      run(number, {"set", fmt::format("l:{}", number), "v"});
    }
    cluster.run(5);
  }
  EXPECT_EQ(residue(1) + residue(2) + residue(3), 0u);
}

TEST_F(DelayTest, ACrashDelaysWhatWasHeld) {
  serve(60'000);
  run(1, {"set", "l:k", "v"});
  cluster.run(2'000);
  cluster.at(1).crash();
  cluster.run(500);
  EXPECT_FALSE(has(2, "l:k"));
  cluster.at(1).start();
  EXPECT_TRUE(cluster.run_until([&] { return everywhere("l:k"); }, 2'000));
}

TEST_F(DelayTest, WhatIsHeldIsNotTakenForLost) {
  serve(60'000);
  for (int i = 0; i < 100; ++i) {
    run(1, {"set", fmt::format("l:{}", i % 7), fmt::format("{}", i)});
    run(2, {"set", "n", fmt::format("{}", i)});
    cluster.run(50);
  }
  EXPECT_FALSE(has(2, "l:0"));
  EXPECT_FALSE(has(3, "l:0"));
  EXPECT_TRUE(has(3, "n"));
  for (const NodeNumber number : {1, 2, 3}) {
    EXPECT_EQ(cluster.at(number).shard->stats().records_duplicate, 0u);
  }
}

TEST_F(DelayTest, WhatDecidesAboutOthersIsNotHeld) {
  serve(60'000);
  run(1, {"set", "l:n", "5"});
  run(1, {"even.bound", "l:n", "MIN", "0"});
  cluster.run(50);
  run(1, {"decr", "l:n"});
  EXPECT_TRUE(cluster.run_until([&] { return run(2, {"get", "l:n"}) == "$1\r\n4\r\n"; }, 100));

  // Who is given a context may go with it to another node.
  run(1, {"set", "ll:s", "a"});
  cluster.run(50);
  EXPECT_FALSE(has(2, "ll:s"));
  run(1, {"even.siblings", "ll:s"});
  EXPECT_TRUE(cluster.run_until([&] { return has(2, "ll:s"); }, 100));
}

TEST_F(DelayTest, OnlyWhoKnowsThemGetsCompressedRecords) {
  cluster.at(3).inflates = false;
  cluster.cuts = {{1, 3}};
  cluster.run(20);
  cluster.cuts.clear();
  cluster.run(200);
  serve(100);
  std::map<NodeNumber, std::map<int, std::size_t>> bytes;  // by receiver and kind
  cluster.on_message = [&](NodeNumber from, NodeNumber to, const std::string& message) {
    if (from == 1) bytes[to][static_cast<unsigned char>(message[0])] += message.size();
  };
  for (int i = 0; i < 50; ++i) {
    run(1, {"set", fmt::format("l:{}", i), std::string(100, 'x')});
    cluster.run(1);
  }
  cluster.run(300);
  EXPECT_TRUE(everywhere("l:49"));
  EXPECT_GT(bytes[2][kCompressedKind], 0u);
  EXPECT_EQ(bytes[2][kRecordsKind], 0u);
  EXPECT_EQ(bytes[3][kCompressedKind], 0u);
  EXPECT_GT(bytes[3][kRecordsKind], 3 * bytes[2][kCompressedKind]);
}

TEST(HeldRecords, WhatIsDueSoonGoesWithWhatIsDue) {
  HeldRecords held;
  held.add(1, 7, "one", 0, 100);
  held.add(1, 8, "two", 50'000, 100);
  held.add(2, 3, "three", 9'000, 100);
  held.add(3, 1, "four", 20'000, 100);
  EXPECT_EQ(held.due_us(), 100'000);
  EXPECT_EQ(held.first(1), 7u);
  absl::btree_set<PartitionId> due;
  held.add_due(100'000, due);
  EXPECT_THAT(due, ::testing::ElementsAre(1, 2));
  RecordsBuilder batch(5);
  EXPECT_EQ(held.move_to(batch, 1), 2 * 4 + 6u);
  EXPECT_EQ(held.move_to(batch, 1), 0u);
  EXPECT_EQ(held.due_us(), 109'000);
  EXPECT_EQ(held.bytes(), 4 + 5 + 4 + 4u);
  const auto message = decode_peer_message(batch.bytes() > 0 ? batch.take() : "");
  ASSERT_TRUE(message);
}

TEST(HeldRecords, AllOfAPartitionAreLazyOrNone) {
  LazyRecords lazy;
  lazy.note(4, 2, 10);
  lazy.note(4, 5, 20);
  lazy.note(6, 1, 30);
  EXPECT_EQ(lazy.delay_ms(4, 5), 20);
  EXPECT_EQ(lazy.delay_ms(4, 3), std::nullopt);
  EXPECT_EQ(lazy.delay_ms(5, 1), std::nullopt);
  EXPECT_EQ(lazy.first(4), 2u);
  lazy.note_prompt(4);
  lazy.note(4, 6, 20);
  EXPECT_EQ(lazy.delay_ms(4, 5), std::nullopt);
  EXPECT_EQ(lazy.delay_ms(4, 6), std::nullopt);
  EXPECT_EQ(lazy.first(4), std::nullopt);
  EXPECT_EQ(lazy.delay_ms(6, 1), 30);
  lazy.clear();
  lazy.note(4, 7, 20);
  EXPECT_EQ(lazy.delay_ms(4, 7), 20);
}

}  // namespace
}  // namespace even
