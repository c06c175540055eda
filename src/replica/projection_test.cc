// A shard and its store: what is written, what leaves memory, what comes back. That it is right
// under crashes and faults is the simulator's business.
#include "replica/projection.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lattice/golden.h"
#include "lattice/types/position.h"
#include "replica/test_node.h"

namespace even::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Projection, ARestartAfterAPassReadsNothingThatNobodyAsksFor) {
  Node node;
  for (int i = 0; i < 100; ++i) node.run({"set", fmt::format("k{}", i), fmt::format("{}", i)});
  node.store_all();
  node.restart();
  EXPECT_EQ(node.cold(), 100u);
  EXPECT_EQ(node.run({"dbsize"}), ":100\r\n");
  EXPECT_EQ(node.run({"get", "k7"}), "$1\r\n7\r\n");
  EXPECT_EQ(node.cold(), 99u);
  EXPECT_EQ(node.run({"get", "absent"}), "$-1\r\n");
  const int gets = node.store->gets;
  EXPECT_EQ(node.run({"get", "absent"}), "$-1\r\n");
  EXPECT_EQ(node.run({"get", "k7"}), "$1\r\n7\r\n");
  EXPECT_EQ(node.store->gets, gets);
}

TEST(Projection, OneElementOfALargeCollectionCostsTheElement) {
  Node node;
  node.run(many("sadd", "s", 0, 5000));
  node.run(many("hset", "h", 0, 5000, true));
  node.store_all();
  const auto begin = std::to_array(node.store->written);
  const std::size_t bytes = node.store->bytes_written;
  node.run({"sadd", "s", "one more"});
  node.run({"hset", "h", "e17", "another"});
  node.run({"hdel", "h", "e18"});
  node.store_all();
  // Two elements; the objects of the keys, the summaries of their partitions, the position.
  EXPECT_LE(node.store->written[0] - begin[0], 2 + 2 + 2 + 1);
  EXPECT_EQ(node.store->written[1] - begin[1], 1);
  EXPECT_EQ(node.store->written[2] - begin[2], 0);
  EXPECT_LT(node.store->bytes_written - bytes, 600u);
  node.restart();
  EXPECT_EQ(node.run({"scard", "s"}), ":5001\r\n");
  EXPECT_EQ(node.run({"hget", "h", "e17"}), "$7\r\nanother\r\n");
  EXPECT_EQ(node.run({"hexists", "h", "e18"}), ":0\r\n");
  EXPECT_EQ(node.run({"hlen", "h"}), ":4999\r\n");
}

TEST(Projection, ATableThatGoesAndComesBackLeavesNothingOfTheOldOne) {
  for (const bool in_one_pass : {false, true}) {
    Node node;
    const auto maybe_store = [&] {
      if (!in_one_pass) node.store_all();
    };
    node.run(many("sadd", "s", 0, 300));
    node.run(many("hset", "h", 0, 300, true));
    node.store_all();
    node.run({"del", "s"});
    node.run({"del", "h"});
    maybe_store();
    node.run(many("sadd", "s", 250, 100));
    node.run({"hset", "h", "e1", "small"});
    maybe_store();
    node.run(many("srem", "s", 250, 20));
    node.store_all();
    node.restart();
    EXPECT_EQ(node.run({"scard", "s"}), ":80\r\n");
    EXPECT_EQ(node.run({"sismember", "s", "e269"}), ":0\r\n");
    EXPECT_EQ(node.run({"sismember", "s", "e270"}), ":1\r\n");
    EXPECT_EQ(node.run({"hgetall", "h"}), "*2\r\n$2\r\ne1\r\n$5\r\nsmall\r\n");
    node.run({"del", "s", "h"});
    node.store_all();
    // Summaries and the position.
    for (const auto& [row, value] : node.rows.rows()) EXPECT_LE(row.size(), 4u);
  }
}

TEST(Projection, OnlyWhatIsStoredLeavesMemoryAndAllOfItComesBack) {
  Node node;
  for (int i = 0; i < 500; ++i) node.run({"set", fmt::format("k{}", i), fmt::format("{}", i)});
  node.run({"pexpire", "k3", "1000000"});
  node.run({"incrby", "n", "5"});
  node.run(many("sadd", "s", 0, 100));
  node.evict_all();
  EXPECT_EQ(node.cold(), 502u);
  node.run({"set", "k1", "new"});
  EXPECT_EQ(node.cold(), 501u);
  node.pressure = 2;
  node.shard->tick();
  EXPECT_EQ(node.run({"get", "k1"}), "$3\r\nnew\r\n");
  node.pressure = 0;
  EXPECT_EQ(node.run({"incr", "n"}), ":6\r\n");
  EXPECT_EQ(node.run({"scard", "s"}), ":100\r\n");
  EXPECT_EQ(node.run({"persist", "k3"}), ":1\r\n");
  EXPECT_EQ(node.run({"dbsize"}), ":502\r\n");
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    const PartitionState& state = *node.shard->state(id);
    EXPECT_EQ(state.recompute_digest(), state.digest());
  }
}

TEST(Projection, WhatIsFetchedAheadIsThereAndNotReadAgain) {
  Node node;
  for (int i = 0; i < 10; ++i) node.run({"set", fmt::format("k{}", i), "v"});
  node.run(many("sadd", "s", 0, 100));
  node.evict_all();
  const std::vector<Need> keys{{"k1"}, {"k2"}, {"absent"}, {"s"}};
  bool done = false;
  EXPECT_TRUE(node.shard->any_cold());
  ASSERT_TRUE(node.shard->fetch(keys, [&] { done = true; }));
  node.world.run_for(1'000'000);
  ASSERT_TRUE(done);
  const int gets = node.store->gets;
  EXPECT_EQ(node.run({"exists", "k1", "k2", "absent"}), ":2\r\n");
  EXPECT_EQ(node.run({"scard", "s"}), ":100\r\n");
  EXPECT_EQ(node.store->gets, gets);
  EXPECT_FALSE(node.shard->fetch(keys, [] {}));
}

TEST(Projection, WhatIsFetchedAheadIsForgottenWhenItMayHaveGrownOld) {
  Node node;
  node.run({"set", "k", "old"});
  node.evict_all();
  const std::vector<Need> keys{{"k"}};
  node.store->hold_fetched = true;
  ASSERT_TRUE(node.shard->fetch(keys, [] {}));
  node.run({"set", "k", "new"});
  node.evict_all();
  EXPECT_EQ(node.cold(), 1u);
  node.store->deliver();
  EXPECT_EQ(node.run({"get", "k"}), "$3\r\nnew\r\n");
}

TEST(Projection, WhatCannotBeReadIsAnErrorAndChangesNothing) {
  Node node;
  node.run({"set", "k", "1"});
  node.run({"set", "other", "1"});
  node.evict_all();
  node.run({"get", "other"});
  const std::uint64_t digest = node.shard->state(0)->digest() + node.shard->state(1)->digest();
  node.store->unreadable = true;
  for (const auto& words : std::vector<std::vector<std::string>>{{"get", "k"},
                                                                 {"incr", "k"},
                                                                 {"mset", "other", "2", "k", "2"},
                                                                 {"keys", "*"},
                                                                 {"flushall"}}) {
    EXPECT_THAT(node.run(words), StartsWith("-IOERR 000007.sst is damaged")) << words[0];
  }
  EXPECT_EQ(node.run({"get", "other"}), "$1\r\n1\r\n");
  EXPECT_EQ(node.run({"dbsize"}), ":2\r\n");
  node.store->unreadable = false;
  EXPECT_EQ(node.run({"get", "k"}), "$1\r\n1\r\n");
  EXPECT_EQ(node.shard->state(0)->digest() + node.shard->state(1)->digest(), digest);
}

TEST(Projection, APassThatFailsIsMadeUpFor) {
  Node node;
  node.rows.faults.full = true;
  for (int i = 0; i < 50; ++i) node.run({"set", fmt::format("k{}", i), "v"});
  node.shard->store_changes();
  node.pass_time();
  EXPECT_FALSE(node.shard->all_stored());
  EXPECT_EQ(node.run({"get", "k1"}), "$1\r\nv\r\n");
  node.run({"del", "k2"});
  node.rows.faults.full = false;
  node.pass_time();
  EXPECT_TRUE(node.shard->all_stored());
  node.restart();
  EXPECT_EQ(node.cold(), 49u);
  EXPECT_EQ(node.run({"exists", "k1", "k2"}), ":1\r\n");
}

// Otherwise what a restart has to replay would grow as long as writers are faster than passes.
TEST(Projection, WhoWritesMoreThanPassesKeepUpWithIsToPause) {
  constexpr std::uint64_t kPass = 16 << 10;
  Node node(kPass);
  const auto write = [&node](std::uint64_t bytes) {
    node.run({"set", "k", std::string(bytes, 'x')});
    node.pass_time(1);
  };
  node.rows.faults.commit_us = 60'000'000;
  write(kPass);
  node.pass_time(10);
  EXPECT_EQ(node.shard->pause_us(), 0);  // a pass is under way, and has time
  write(kPass / 2);
  EXPECT_EQ(node.shard->pause_us(), 0);
  write(kPass);
  const std::int64_t little = node.shard->pause_us();
  EXPECT_GT(little, 0);
  write(kPass);
  EXPECT_GT(node.shard->pause_us(), little);
  EXPECT_EQ(node.shard->store_stats().passes, 0u);
  node.rows.faults.commit_us = 1;
  node.pass_time(30'000);
  EXPECT_GT(node.shard->store_stats().passes, 1u);
  EXPECT_EQ(node.shard->pause_us(), 0);
}

TEST(Projection, WhatIsToBeStoredNowIsInAPassThatBeginsLater) {
  Node node;
  std::vector<std::string> outcomes;
  const auto ask = [&](std::string name) {
    node.shard->store_now([&outcomes, name = std::move(name)](const Result<>& outcome) {
      outcomes.push_back(outcome ? name : outcome.error().message);
    });
  };
  ask("nothing to store");
  node.pass_time(1);
  EXPECT_THAT(outcomes, ElementsAre("nothing to store"));

  node.run({"set", "a", "1"});
  ask("a");
  node.pass_time(1);  // the pass begins
  node.run({"set", "b", "2"});
  ask("b");
  node.rows.faults.commit_us = 1;
  while (outcomes.size() < 2) node.pass_time(1);
  EXPECT_FALSE(node.shard->all_stored());  // not b, in the pass that stored a
  EXPECT_THAT(outcomes, ElementsAre("nothing to store", "a"));
  node.pass_time();
  EXPECT_THAT(outcomes, ElementsAre("nothing to store", "a", "b"));
  EXPECT_TRUE(node.shard->all_stored());

  node.rows.faults.full = true;
  node.run({"set", "c", "3"});
  ask("c");
  node.pass_time(20);
  ASSERT_EQ(outcomes.size(), 4u);
  EXPECT_THAT(outcomes[3], HasSubstr("no space left"));
}

// Otherwise the log before a pass might be removed that has the only trace of it, and what depends
// on it could not be replayed.
TEST(Projection, ARecordThatChangesNothingIsStoredAsSeen) {
  sim::Scheduler scheduler;
  Random random(1);
  sim::SimStore rows(scheduler, random);
  const auto store = rows.shard_store();
  PartitionRows partition(0, *store);
  PartitionState state;
  state.attach(partition, {});
  EXPECT_FALSE(state.changed());
  VersionVector context;
  context.add({ReplicaId::make(2, 7), 1});
  state.join({}, context);
  ASSERT_TRUE(state.changed());
  RowBatch batch;
  const Changes taken = partition.write_changes(state, batch);
  EXPECT_FALSE(state.changed());
  state.not_stored(taken);
  EXPECT_TRUE(state.changed());
}

TEST(Projection, TheRowsHaveNotChanged) {
  sim::Scheduler scheduler;
  Random random(1);
  sim::SimStore rows(scheduler, random);
  const auto store = rows.shard_store();
  PartitionRows partition(0x0102, *store);
  PartitionState state;
  state.attach(partition, {});
  const ReplicaId origin = ReplicaId::make(7, 0x1234);
  Record record = Record::begin(0x0102, origin, Hlc{0x99}, state.vector());
  const auto leaf = [&](KeyDelta& key, LeafKind kind, std::string_view field, SiblingView sibling) {
    LeafDelta& out = key.leaves.emplace_back();
    out.kind = kind;
    out.field = field;
    out.siblings.push_back(sibling);
  };
  KeyDelta& string = record.delta.keys.emplace_back();
  string.key = "string";
  leaf(string, LeafKind::kString, {}, {record.dot(), record.time, "value", 0});
  leaf(string, LeafKind::kExpiry, {}, {record.dot(), record.time, {}, 1'700'000'000'000});
  std::vector<std::string> members;
  for (int i = 0; i < 70; ++i) members.push_back(fmt::format("m{}", i));
  KeyDelta& set = record.delta.keys.emplace_back();
  set.key = "set";
  for (const std::string& member : members) {
    leaf(set, LeafKind::kMember, member, {record.dot(), {}, {}, 0});
  }
  KeyDelta& hash = record.delta.keys.emplace_back();
  hash.key = "hash";
  for (const std::string& field : members) {
    leaf(hash, LeafKind::kField, field, {record.dot(), record.time, "v", 0});
  }
  KeyDelta& sorted = record.delta.keys.emplace_back();
  sorted.key = "sorted";
  const ScoreBytes score(2.5);
  for (const std::string& member : members) {
    leaf(sorted, LeafKind::kScore, member, {record.dot(), record.time, score.view(), 0});
  }
  KeyDelta& list = record.delta.keys.emplace_back();
  list.key = "list";
  std::vector<std::string> positions;
  for (std::size_t i = 0; i < members.size(); ++i) {
    positions.push_back(position_between(i == 0 ? "" : positions.back(), {}, record.dot()));
  }
  for (const std::string& position : positions) {
    leaf(list, LeafKind::kItem, position, {record.dot(), record.time, "v", 0});
  }
  state.join(record.delta, record.context);
  RowBatch batch;
  partition.write_changes(state, batch);
  write_position(3, 0x123456, batch);
  std::string text;
  const auto hex = [](std::string_view bytes) {
    std::string out;
    for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
  };
  for (std::size_t i = 0; i < batch.size(); ++i) {
    text += hex(batch[i].row) + " " + hex(batch[i].value) + "\n";
  }
  expect_golden("rows-v6.hex", text, "the rows of the store");
}

}  // namespace
}  // namespace even::test
