// Large collections of which only some elements are in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "replica/test_node.h"
#include "store/partition_rows.h"

namespace even::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const PartitionState& state_of(const Node& node, std::string_view key) {
  const PartitionState& first = *node.shard->state(0);
  return first.in_memory().find(key) != nullptr ? first : *node.shard->state(1);
}
// Elements of a collection that is in memory which are not.
std::size_t cold_elements(const Node& node, std::string_view key) {
  const Object* object = state_of(node, key).in_memory().find(key);
  return object == nullptr ? 0 : object->cold();
}

void expect_whole(const Node& node) {
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    const PartitionState& state = *node.shard->state(id);
    EXPECT_EQ(state.recompute_digest(), state.digest());
  }
}

TEST(ColdElements, ACommandReadsTheElementsThatItNames) {
  Node node;
  node.run(many("hset", "h", 0, 5000, true));
  node.run(many("sadd", "s", 0, 5000));
  node.store_all();
  struct Step {
    std::vector<std::string> words;
    std::string reply;
    int rows;  // of elements
  };
  for (const Step& step : std::vector<Step>{
           {{"hlen", "h"}, ":5000\r\n", 0},
           {{"type", "h"}, "+hash\r\n", 0},
           {{"exists", "h"}, ":1\r\n", 0},
           {{"pexpire", "h", "1000000"}, ":1\r\n", 0},
           {{"hget", "h", "e1"}, "$2\r\nv1\r\n", 1},
           {{"hget", "h", "absent"}, "$-1\r\n", 1},
           {{"hmget", "h", "e1", "e2", "no"}, "*3\r\n$2\r\nv1\r\n$2\r\nv2\r\n$-1\r\n", 3},
           {{"hset", "h", "e3", "x", "new", "y"}, ":1\r\n", 2},
           {{"hdel", "h", "e4", "nobody"}, ":1\r\n", 2},
           {{"hincrby", "h", "number", "5"}, ":5\r\n", 1},
           {{"scard", "s"}, ":5000\r\n", 0},
           {{"sismember", "s", "e7"}, ":1\r\n", 1},
           {{"smismember", "s", "e8", "z"}, "*2\r\n:1\r\n:0\r\n", 2},
           {{"sadd", "s", "e9", "more"}, ":1\r\n", 2},
           {{"srem", "s", "e10", "none"}, ":1\r\n", 2},
       }) {
    node.store_all();
    node.restart();
    const int gets = node.store->gets;
    const int scans = node.store->scans;
    EXPECT_EQ(node.run(step.words), step.reply) << step.words[0];
    EXPECT_EQ(node.store->gets - gets, 1 + step.rows) << step.words[0];
    EXPECT_EQ(node.store->scans, scans) << step.words[0];
  }
  EXPECT_EQ(node.run({"hlen", "h"}), ":5001\r\n");
  EXPECT_EQ(node.run({"scard", "s"}), ":5000\r\n");
  expect_whole(node);
}

TEST(ColdElements, WhatWasRemovedStaysRemovedWhateverBecomesOfThePass) {
  for (const bool pass_fails : {false, true}) {
    Node node;
    node.run(many("hset", "h", 0, 300, true));
    node.run(many("sadd", "s", 0, 300));
    node.store_all();
    node.restart();
    const auto expect_removed = [&] {
      EXPECT_EQ(node.run({"hexists", "h", "e5"}), ":0\r\n");
      EXPECT_EQ(node.run({"sismember", "s", "e5"}), ":0\r\n");
      EXPECT_EQ(node.run({"hlen", "h"}), ":299\r\n");
      EXPECT_EQ(node.run({"scard", "s"}), ":299\r\n");
      EXPECT_GT(cold_elements(node, "h"), 0u);
      EXPECT_GT(cold_elements(node, "s"), 0u);
    };
    EXPECT_EQ(node.run({"hdel", "h", "e5"}), ":1\r\n");
    EXPECT_EQ(node.run({"srem", "s", "e5"}), ":1\r\n");
    expect_removed();
    node.slices = 3;
    node.pass_time(1);  // lets go of elements while the removal has not been stored
    expect_removed();
    node.rows.faults.full = pass_fails;
    node.shard->store_changes();
    for (int i = 0; i < 40; ++i) {
      node.pass_time(1);
      expect_removed();
    }
    EXPECT_EQ(node.shard->all_stored(), !pass_fails);
    node.rows.faults.full = false;
    node.pass_time();
    EXPECT_TRUE(node.shard->all_stored());
    expect_removed();
    node.restart();
    expect_removed();
    // And may come back.
    node.run({"hset", "h", "e5", "again"});
    EXPECT_EQ(node.run({"hget", "h", "e5"}), "$5\r\nagain\r\n");
    EXPECT_EQ(node.run({"hlen", "h"}), ":300\r\n");
    expect_whole(node);
  }
}

TEST(ColdElements, ACollectionInUseIsLetGoElementByElement) {
  Node node;
  node.run(many("hset", "h", 0, 3000, true));
  node.store_all();
  node.restart();
  node.run({"hgetall", "h"});
  std::size_t in_memory = 3000;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(node.run({"hget", "h", "e17"}), "$3\r\nv17\r\n");  // stays in memory
    const int gets = node.store->gets;
    EXPECT_EQ(node.run({"hset", "h", "e18", std::to_string(i)}), ":0\r\n");
    EXPECT_EQ(node.store->gets, gets);
    node.slices = 2;
    node.pass_time(1);
    const std::size_t now = 3000 - cold_elements(node, "h");
    EXPECT_GE(now + 2 * 256, in_memory);
    in_memory = now;
  }
  EXPECT_EQ(in_memory, 2u);
  EXPECT_EQ(node.run({"hlen", "h"}), ":3000\r\n");
  EXPECT_EQ(node.run({"hget", "h", "e19"}), "$3\r\nv19\r\n");
  expect_whole(node);
}

TEST(ColdElements, AWalkInStepsReadsWhatItComesTo) {
  Node node;
  node.run(many("hset", "h", 0, 5000, true));
  node.store_all();
  node.restart();
  const int scanned = node.store->scanned;
  const std::uint64_t read = node.shard->store_stats().rows_read;
  EXPECT_THAT(node.run({"hscan", "h", "0", "count", "10"}), StartsWith("*2\r\n"));
  EXPECT_LE(node.store->scanned - scanned, 65);
  EXPECT_EQ(node.shard->store_stats().rows_read - read, 1u + 64u);
  EXPECT_GT(cold_elements(node, "h"), 4900u);
}

TEST(ColdElements, RandomMembersAreDrawnFromAllAndDoNotReadAll) {
  Node node;
  node.run(many("sadd", "s", 0, 2000));
  node.store_all();
  std::map<std::string, int> drawn;
  for (int i = 0; i < 400; ++i) {
    node.restart();
    ++drawn[node.run({"srandmember", "s"})];
    ASSERT_GT(cold_elements(node, "s"), 1000u);
  }
  EXPECT_GT(drawn.size(), 330u);  // of 400 draws from 2000, some 362 differ
}

TEST(ColdElements, WhatIsFetchedAheadIsThereAndNotReadAgain) {
  Node node;
  node.run(many("hset", "h", 0, 300, true));
  node.store_all();
  node.restart();
  node.shard->tick();
  const std::vector<std::string_view> fields{"e1", "e2", "absent"};
  const std::vector<Need> needs{{"h", LeafKind::kField, fields}};
  bool done = false;
  ASSERT_TRUE(node.shard->fetch(needs, [&] { done = true; }));
  node.world.run_for(1'000'000);
  ASSERT_TRUE(done);
  const int gets = node.store->gets;
  EXPECT_EQ(node.run({"hmget", "h", "e1", "e2", "absent"}),
            "*3\r\n$2\r\nv1\r\n$2\r\nv2\r\n$-1\r\n");
  EXPECT_EQ(node.store->gets, gets);
  EXPECT_FALSE(node.shard->fetch(needs, [] {}));
}

TEST(ColdElements, WhatIsFetchedAheadIsForgottenWhenItMayHaveGrownOld) {
  const std::vector<std::string_view> fields{"e3", "e4"};
  for (const bool removed : {false, true}) {
    Node node;
    node.run(many("hset", "h", 0, 300, true));
    node.store_all();
    node.restart();
    node.run({"hlen", "h"});
    node.store->hold_fetched = true;
    ASSERT_TRUE(node.shard->fetch(std::vector<Need>{{"h", LeafKind::kField, fields}}, [] {}));
    if (removed) {
      EXPECT_EQ(node.run({"hdel", "h", "e3"}), ":1\r\n");
      node.store_all();
    } else {
      node.run({"hset", "h", "e3", "new"});
      node.store_all();
      for (int i = 0; i < 3; ++i) {  // the element goes, not the key
        node.run({"hlen", "h"});
        node.slices = 2;
        node.pass_time(1);
      }
      EXPECT_EQ(cold_elements(node, "h"), 300u);
    }
    node.store->deliver();
    EXPECT_EQ(node.run({"hget", "h", "e3"}), removed ? "$-1\r\n" : "$3\r\nnew\r\n");
    EXPECT_EQ(node.run({"hget", "h", "e4"}), "$2\r\nv4\r\n");
    expect_whole(node);
  }
}

// A record of a peer is joined without a command that would have looked at what it changes.
TEST(ColdElements, AJoinReadsTheElementsThatItNames) {
  sim::Scheduler scheduler;
  Random random(1);
  sim::SimStore rows(scheduler, random);
  const auto store = rows.shard_store();
  PartitionRows partition(0, *store);
  const ReplicaId origin = ReplicaId::make(2, 7);
  std::vector<std::string> members;
  for (int i = 0; i < 200; ++i) members.push_back(fmt::format("m{}", i));
  // Adds the members, or removes them.
  const auto join = [&](PartitionState& state, std::span<const std::string> names, bool add) {
    Record record = Record::begin(0, origin, Hlc{1}, state.vector());
    KeyDelta& key = record.delta.keys.emplace_back();
    key.key = "set";
    for (const std::string& name : names) {
      LeafDelta& leaf = key.leaves.emplace_back();
      leaf.kind = LeafKind::kMember;
      leaf.field = name;
      if (add) leaf.siblings.push_back({record.dot(), {}, {}, 0});
    }
    state.join(record.delta, record.context);
  };
  PartitionState state;
  state.attach(partition, {});
  join(state, members, true);
  RowBatch batch;
  const Changes taken = partition.write_changes(state, batch);
  store->write(std::move(batch));
  store->commit([&](const Result<>& outcome) { ASSERT_TRUE(outcome); });
  while (scheduler.step(std::numeric_limits<std::int64_t>::max())) {
  }
  state.stored(taken);

  PartitionRows again(0, *store);
  PartitionState cold;
  cold.attach(again, *again.summary().value());
  join(cold, std::span(members).subspan(5, 3), false);
  EXPECT_EQ(again.rows_read(), 1u + 3u);
  EXPECT_EQ(cold.find("set", hash64("set"))->set().size(), 197u);
  EXPECT_EQ(cold.recompute_digest(), cold.digest());
}

TEST(ColdElements, WhatCannotBeReadIsAnErrorAndChangesNothing) {
  Node node;
  node.run(many("hset", "h", 0, 300, true));
  node.run(many("sadd", "s", 0, 300));
  node.store_all();
  node.restart();
  node.run({"hget", "h", "e1"});
  node.run({"scard", "s"});
  const std::uint64_t digest = node.shard->state(0)->digest() + node.shard->state(1)->digest();
  node.store->unreadable = true;
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"hget", "h", "e2"},
                                             {"hset", "h", "e1", "1", "e2", "2"},
                                             {"hdel", "h", "e1", "e2"},
                                             {"hgetall", "h"},
                                             {"hscan", "h", "0"},
                                             {"sadd", "s", "new"},
                                             {"spop", "s"}}) {
    EXPECT_THAT(node.run(words), HasSubstr("-IOERR 000007.sst is damaged")) << words[0];
  }
  EXPECT_EQ(node.run({"hget", "h", "e1"}), "$2\r\nv1\r\n");
  EXPECT_EQ(node.run({"hlen", "h"}), ":300\r\n");
  node.store->unreadable = false;
  EXPECT_EQ(node.shard->state(0)->digest() + node.shard->state(1)->digest(), digest);
  EXPECT_EQ(node.run({"scard", "s"}), ":300\r\n");
  expect_whole(node);
}

// Counters have to be looked at to be removed.
TEST(ColdElements, AnExpiredHashWithCountersIsPurgedWhenItCanBeRead) {
  Node node;
  node.run(many("hset", "h", 0, 300, true));
  node.run({"hincrby", "h", "number", "1"});
  node.run({"pexpire", "h", "3000"});
  node.store_all();
  node.restart();
  node.run({"hlen", "h"});
  const auto seen = [&node] {
    return node.shard->state(0)->vector().to_string() + node.shard->state(1)->vector().to_string();
  };
  const std::string before = seen();
  node.store->unreadable = true;
  node.pass_time(1000);
  EXPECT_EQ(seen(), before);  // no record of what was not done
  node.restart();
  node.pass_time(100);
  EXPECT_EQ(node.run({"dbsize"}), ":0\r\n");
  expect_whole(node);
}

TEST(ColdElements, FieldsThatExpireDoSoThoughTheyAreInTheStoreOnly) {
  Node node;
  node.run(many("hset", "h", 0, 300, true));
  std::vector<std::string> words{"hpexpire", "h", "3000", "fields", "200"};
  for (int i = 0; i < 200; ++i) words.push_back("e" + std::to_string(i));
  node.run(words);
  node.run({"hpexpire", "h", "1000000", "fields", "1", "e0"});
  node.store_all();
  node.restart();
  EXPECT_EQ(node.run({"hpttl", "h", "fields", "2", "e250", "none"}), "*2\r\n:-1\r\n:-2\r\n");
  node.pass_time(1000);
  EXPECT_EQ(node.run({"hlen", "h"}), ":101\r\n");
  EXPECT_EQ(node.run({"hmget", "h", "e0", "e1", "e299"}),
            "*3\r\n$2\r\nv0\r\n$-1\r\n$4\r\nv299\r\n");
  node.store_all();
  node.restart();
  const Object* object = state_of(node, "h").find("h", hash64("h"));
  if (object == nullptr) object = node.shard->state(1)->find("h", hash64("h"));
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->field_expiries().size(), 1u) << "the others have been purged";
  expect_whole(node);
}

TEST(ColdElements, ALargeCollectionIsRemovedWithoutBeingRead) {
  struct Way {
    std::vector<std::string> words;
    std::string reply;
  };
  for (const Way& way : std::vector<Way>{{{"del", "s"}, ":1\r\n"},
                                         {{"unlink", "s"}, ":1\r\n"},
                                         {{"set", "s", "text"}, "+OK\r\n"},
                                         {{"pexpire", "s", "1"}, ":1\r\n"},
                                         {{"del", "h"}, ":1\r\n"},
                                         {{"set", "h", "text"}, "+OK\r\n"}}) {
    for (const bool in_memory : {false, true}) {
      Node node;
      node.run(many("sadd", "s", 0, 5000));
      node.run(many("hset", "h", 0, 5000, true));
      node.run({"hset", "h", "e7", "again"});
      node.store_all();
      node.restart();
      node.run({"scard", "s"});
      node.run({"hlen", "h"});
      if (in_memory) node.run({"smembers", "s"});
      const int gets = node.store->gets;
      const int scans = node.store->scans;
      EXPECT_EQ(node.run(way.words), way.reply);
      node.pass_time(5);
      node.shard->end_turn();
      EXPECT_EQ(node.store->gets, gets) << way.words[0];
      EXPECT_EQ(node.store->scans, scans) << way.words[0];
      const std::string gone = way.words[1];
      if (way.words[0] == "set") node.run({"del", gone});
      EXPECT_EQ(node.run({"exists", gone}), ":0\r\n");
      // It stays removed, and what takes its name is new.
      node.run({gone == "s" ? "sadd" : "hset", gone, "one", gone == "s" ? "two" : "1"});
      EXPECT_EQ(node.run({gone == "s" ? "sismember" : "hexists", gone, "e1"}), ":0\r\n");
      for (int round = 0; round < 2; ++round) {
        node.store_all();
        node.restart();
        EXPECT_EQ(node.run({gone == "s" ? "scard" : "hlen", gone}),
                  gone == "s" ? ":2\r\n" : ":1\r\n");
        expect_whole(node);
      }
    }
  }
}

TEST(ColdElements, CountersAreReadBeforeTheirHashIsRemoved) {
  Node node;
  node.run(many("hset", "h", 0, 300, true));
  node.run({"hincrby", "h", "number", "5"});
  node.store_all();
  node.restart();
  EXPECT_EQ(node.run({"del", "h"}), ":1\r\n");
  EXPECT_GT(node.store->scanned, 300);
  EXPECT_EQ(node.run({"hincrby", "h", "number", "1"}), ":1\r\n");
  expect_whole(node);
}

// The memory of what was removed is given back little by little.
TEST(ColdElements, RemovedElementsAreFreedInSteps) {
  PartitionState state;
  const ReplicaId origin = ReplicaId::make(1, 1);
  std::vector<std::string> members;
  for (int i = 0; i < 1000; ++i) members.push_back(fmt::format("member{}", i));
  Record add = Record::begin(0, origin, Hlc{1}, state.vector());
  KeyDelta& key = add.delta.keys.emplace_back();
  key.key = "set";
  for (const std::string& member : members) {
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kMember;
    leaf.field = member;
    leaf.siblings.push_back({add.dot(), {}, {}, 0});
  }
  state.join(add.delta, add.context);
  Record remove = Record::begin(0, origin, Hlc{2}, state.vector());
  remove_all(state.find("set", hash64("set")), remove.delta.keys.emplace_back());
  remove.delta.keys[0].key = "set";
  state.join(remove.delta, remove.context);
  EXPECT_TRUE(state.empty());
  EXPECT_EQ(state.digest(), 0u);
  std::size_t limit = 600;
  EXPECT_TRUE(state.free_removed(limit));
  EXPECT_EQ(limit, 0u);
  limit = 600;
  EXPECT_FALSE(state.free_removed(limit));
  EXPECT_EQ(limit, 200u);
}

TEST(ColdElements, ALogOfSingleElementsIsReplayedWithoutTheRest) {
  Node node;
  node.run(many("hset", "h", 0, 5000, true));
  node.store_all();
  node.restart();
  node.run({"hset", "h", "e5", "five"});
  node.run({"hdel", "h", "e6"});
  node.run({"hset", "h", "e7", "seven"});
  node.restart();
  EXPECT_EQ(cold_elements(node, "h"), 4997u);
  EXPECT_EQ(node.run({"hmget", "h", "e5", "e6", "e7"}),
            "*3\r\n$4\r\nfive\r\n$-1\r\n$5\r\nseven\r\n");
  EXPECT_EQ(node.run({"hlen", "h"}), ":4999\r\n");
  expect_whole(node);
}

TEST(ColdElements, ResidueThatIsReadIsCollectedEvenIfNothingElseIsLeft) {
  Node node;
  for (int i = 0; i < 100; ++i) node.run({"hincrby", "h", fmt::format("e{}", i), "1"});
  for (int i = 0; i < 100; ++i) node.run({"hdel", "h", fmt::format("e{}", i)});
  node.shard->store_changes();
  node.pass_time(20);
  node.restart();
  EXPECT_EQ(node.run({"hlen", "h"}), ":0\r\n");
  node.pass_time(2000);
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    EXPECT_EQ(node.shard->state(id)->object_count(), 0u);
    EXPECT_EQ(node.shard->state(id)->residue_keys(), 0u);
  }
}

// "command z 0 e0 1 e1 ...": the score of each is its number.
std::vector<std::string> scored(std::string key, int first, int count) {
  std::vector<std::string> words{"zadd", std::move(key)};
  for (int i = first; i < first + count; ++i) {
    words.push_back(fmt::format("{}", i));
    words.push_back(fmt::format("e{}", i));
  }
  return words;
}

TEST(ColdElements, OrderedQueriesOfASortedSetSeeThoseThatAreColdToo) {
  Node node;
  node.run(scored("z", 0, 5000));
  node.store_all();
  node.restart();
  // What names members reads those alone.
  EXPECT_EQ(node.run({"zscore", "z", "e7"}), "$1\r\n7\r\n");
  EXPECT_EQ(node.run({"zcard", "z"}), ":5000\r\n");
  EXPECT_EQ(node.run({"zincrby", "z", "0.5", "e4000"}), "$6\r\n4000.5\r\n");
  EXPECT_EQ(node.run({"zrem", "z", "e100"}), ":1\r\n");
  EXPECT_EQ(cold_elements(node, "z"), 4997u);
  EXPECT_EQ(node.run({"zrange", "z", "99", "101"}),
            "*3\r\n$3\r\ne99\r\n$4\r\ne101\r\n$4\r\ne102\r\n");
  EXPECT_EQ(cold_elements(node, "z"), 0u);
  EXPECT_EQ(node.run({"zrank", "z", "e4000"}), ":3999\r\n");
  EXPECT_EQ(node.run({"zcount", "z", "4000", "4001"}), ":2\r\n");
  expect_whole(node);
}

// Reads of the order do not touch members one by one, so that these would be let go of in turn and
// read again, all of them, each time.
TEST(ColdElements, ASortedSetWhoseOrderIsInUseStaysInMemory) {
  Node node;
  node.run(scored("z", 0, 3000));
  node.store_all();
  EXPECT_EQ(node.run({"zrank", "z", "e2000"}), ":2000\r\n");
  for (int i = 0; i < 10; ++i) {
    node.slices = 3;
    node.pass_time(1);
    EXPECT_EQ(node.cold() + cold_elements(node, "z"), 0u);
    EXPECT_EQ(node.run({"zrank", "z", "e2000"}), ":2000\r\n");
  }
  node.slices = 40;
  node.pass_time(20);
  EXPECT_GT(node.cold() + cold_elements(node, "z"), 0u);
  EXPECT_EQ(node.run({"zrank", "z", "e2000"}), ":2000\r\n");
  EXPECT_EQ(node.run({"zrevrange", "z", "0", "0", "withscores"}),
            "*2\r\n$5\r\ne2999\r\n$4\r\n2999\r\n");
  expect_whole(node);
}

// A node that lets go of what it can, whose passes fail and which is restarted, beside one that
// keeps everything in memory.
TEST(ColdElements, NobodySeesADifference) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Node node(6'000);
    Node whole;
    Random random(seed);
    const auto element = [&] { return fmt::format("e{}", random.below(400)); };
    const auto key = [&] { return fmt::format("c{}", random.below(2)); };
    const auto command = [&]() -> std::vector<std::string> {
      const std::string k = key();
      const int first = static_cast<int>(random.below(300));
      switch (random.below(72)) {
        case 0:
          return {"del", k};
        case 22:
          return many(random.chance(0.5) ? "rpush" : "lpush", "l" + k, first, 100);
        case 23:
          return {"lpop", "l" + k, "40"};
        case 24:
          return {"ltrim", "l" + k, "3", "-30"};
        case 25:
        case 26:
          return {"lrange", "l" + k, "0", "-1"};
        case 27:
          return {"linsert", "l" + k, "after", element(), element()};
        case 28:
          return {"lset", "l" + k, std::to_string(first - 150), element()};
        case 29:
          return {"lrem", "l" + k, "-2", element()};
        case 30:
          return {"lmove", "l" + k, "l" + k, "left", "right"};
        case 31:
          return {"llen", "l" + k};
        case 32:
          return {"lindex", "l" + k, std::to_string(first - 150)};
        case 33:
          return {"rpush", "l" + k, element()};
        case 10:
          return scored("z" + k, first, 200);
        case 11:
          return many("zrem", "z" + k, first, 150);
        case 12:
        case 13:
          return {"zrange", "z" + k, "0", "-1", "withscores"};
        case 14:
          return {"zadd", "z" + k, std::to_string(first), element()};
        case 15:
        case 16:
          return {"zincrby", "z" + k, "1.5", element()};
        case 17:
          return {"zrem", "z" + k, element(), element()};
        case 18:
          return {"zrank", "z" + k, element()};
        case 19:
          return {"zcount", "z" + k, "100", "200"};
        case 20:
          return {"zpopmax", "z" + k, "2"};
        case 21:
          return {"del", "z" + k};
        case 1:
          return many("sadd", "s" + k, first, 200);
        case 2:
          return many("hset", "h" + k, first, 200, true);
        case 3:
          return many("srem", "s" + k, first, 150);
        case 4:
          return many("hdel", "h" + k, first, 150);
        case 5:
          return {"del", (random.chance(0.5) ? "s" : "h") + k};
        case 6:
          return {"smembers", "s" + k};
        case 7:
          return {"hgetall", "h" + k};
        case 8:
        case 9:
          return {"sscan", "s" + k, std::to_string(random.next()), "count", "7"};
        default:
          break;
      }
      switch (random.below(9)) {
        case 0:
          return {"hset", "h" + k, element(), element()};
        case 1:
        case 2:
          return {"hdel", "h" + k, element(), element()};
        case 3:
          return {"hincrby", "h" + k, "n" + element(), "3"};
        case 4:
          return {"hmget", "h" + k, element(), element()};
        case 5:
          return {"sadd", "s" + k, element(), element()};
        case 6:
          return {"srem", "s" + k, element(), element()};
        case 7:
          return {"sismember", "s" + k, element()};
        default:
          return {random.chance(0.5) ? "hlen" : "type", "h" + k};
      }
    };
    std::size_t partial = 0;
    for (int i = 0; i < 1500 && !::testing::Test::HasFailure(); ++i) {
      const std::vector<std::string> words = command();
      std::string expected = whole.run(words);
      std::string found = node.run(words);
      if (words[0] == "smembers" || words[0] == "hgetall") {  // in any order while it is small
        std::sort(expected.begin(), expected.end());
        std::sort(found.begin(), found.end());
      }
      ASSERT_EQ(found, expected) << fmt::format("seed {}, step {}: {}", seed, i,
                                                fmt::join(words, " "));
      if (random.chance(0.3)) {
        node.rows.faults.failing_commit = random.chance(0.5) ? 0.3 : 0;
        node.slices = static_cast<int>(random.below(4));
        node.pass_time(1 + static_cast<int>(random.below(3)));
      }
      if (random.chance(0.2) && node.shard->any_cold()) {
        const std::vector<std::string> names{element(), element()};
        const std::vector<std::string_view> elements(names.begin(), names.end());
        const std::string k = (random.chance(0.5) ? "s" : random.chance(0.5) ? "h" : "z") + key();
        const LeafKind kind = k[0] == 's'   ? LeafKind::kMember
                              : k[0] == 'h' ? LeafKind::kField
                                            : LeafKind::kScore;
        (void)node.shard->fetch(std::vector<Need>{{k, kind, elements}}, [] {});
      }
      if (random.chance(0.01)) node.restart();
      for (const char* each : {"hc0", "hc1", "sc0", "sc1", "zc0", "zc1", "lc0", "lc1"})
        partial += cold_elements(node, each) > 0;
      if (random.chance(0.01)) expect_whole(node);
    }
    expect_whole(node);
    EXPECT_GT(partial, 500u) << seed;
  }
}

}  // namespace
}  // namespace even::test
