// Which keys a cache policy deletes, and that to delete them is a record. Memory is counted in
// keys: a node is under pressure while it holds more than `room` of them in memory.
#include "replica/key_eviction.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "replica/driven_shard.h"
#include "store/sim_store.h"

namespace even::test {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// One of two nodes with two partitions; the first replica of partition 0 is node `first_of_0`, of
// partition 1 it is node 1.
struct EvictingNode : DrivenShard {
  explicit EvictingNode(World& w, NodeNumber n = 1, NodeNumber first_of_0 = 1,
                        CacheShares* shares = nullptr, ShardId shard = 0)
      : DrivenShard(w),
        number(n),
        first_of_0(first_of_0),
        shares(shares),
        shard_id(shard),
        random(n),
        disk(w.scheduler, random) {
    start();
  }

  ~EvictingNode() { shard.reset(); }

  void start() {
    store = rows.shard_store();
    shard = std::make_unique<Shard>(options(), world.clock, random, disk, *store, out);
    ASSERT_TRUE(shard->recover());
    shard->replay_all();
  }
  ShardOptions options() {
    ShardOptions options;
    options.node = number;
    options.replica = ReplicaId::make(number, ++runs);
    options.partition_count = 2;
    const NodeNumber last_of_0 = first_of_0 == 1 ? 2 : 1;
    options.partitions = {{0, {first_of_0, last_of_0}}, {1, {1, 2}}};
    options.memory_pressure = [this] {
      return static_cast<double>(in_memory()) / static_cast<double>(room);
    };
    options.cache_policy = [this] { return policy; };
    options.cache_shares = shares;
    options.shard = shard_id;
    return options;
  }
  std::size_t in_memory() const { return shard->visible_keys() - cold(); }
  std::size_t cold() const { return shard->state(0)->cold() + shard->state(1)->cold(); }
  std::size_t keys_in(PartitionId id) const { return shard->state(id)->live_keys(); }

  bool holds(const std::string& key) { return run({"exists", key}) == ":1\r\n"; }
  void write(const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) run({"set", fmt::format("{}{}", prefix, i), "v"});
  }
  // How many of these there are; to look for them is to use them.
  int count(const std::string& prefix, int most) {
    int found = 0;
    for (int i = 0; i < most; ++i) found += holds(fmt::format("{}{}", prefix, i)) ? 1 : 0;
    return found;
  }
  void shrink_to(std::size_t keys) {
    room = keys;
    tick();
    room = kNoLimit;
  }
  // And keys are deleted nevertheless.
  void store_all() {
    shard->store_now([](const Result<>& outcome) { ASSERT_TRUE(outcome); });
    pass_time();
    ASSERT_TRUE(shard->all_stored());
  }
  // All is in the store alone.
  void restart() {
    store_all();
    ASSERT_TRUE(shard->close());
    shard.reset();
    store.reset();
    start();
  }

  std::uint32_t runs = 0;
  const NodeNumber number;
  const NodeNumber first_of_0;
  CacheShares* const shares;
  const ShardId shard_id;
  Random random;
  sim::SimDisk disk;
  sim::SimStore rows{world.scheduler, random};
  Outbox out;
  std::size_t room = kNoLimit;
  CachePolicy policy = CachePolicy::kNoEviction;
  std::unique_ptr<RowStore> store;
};

struct KeyEvictionTest : ::testing::Test {
  World world;
  EvictingNode node{world};

  void use(CachePolicy policy) {
    node.policy = policy;
    node.tick();  // keys are counted in its way from now on
  }
};

TEST_F(KeyEvictionTest, WithoutAPolicyNoKeyIsDeleted) {
  node.write("k", 100);
  node.store_all();
  for (int i = 0; i < 3; ++i) node.shrink_to(10);
  EXPECT_EQ(node.run({"dbsize"}), ":100\r\n");
  EXPECT_LE(node.in_memory(), 10u);
}

TEST_F(KeyEvictionTest, DeletesNoMoreThanItHasToAndMovesNothingToTheStore) {
  for (const CachePolicy policy :
       {CachePolicy::kAllKeysLru, CachePolicy::kAllKeysLfu, CachePolicy::kAllKeysRandom}) {
    use(policy);
    node.write("k", 1000);
    node.store_all();
    node.shrink_to(700);
    EXPECT_LE(node.shard->visible_keys(), 700u) << to_string(policy);
    EXPECT_GT(node.shard->visible_keys(), 700u - 64) << to_string(policy);
    EXPECT_EQ(node.cold(), 0u) << to_string(policy);
  }
}

TEST_F(KeyEvictionTest, DeletesLargeObjectsOneByOne) {
  use(CachePolicy::kAllKeysLru);
  for (int i = 0; i < 20; ++i) node.run({"set", fmt::format("k{}", i), std::string(100'000, 'x')});
  node.shrink_to(15);
  EXPECT_EQ(node.shard->visible_keys(), 15u);
}

TEST_F(KeyEvictionTest, LruDeletesWhatHasNotBeenUsedLately) {
  use(CachePolicy::kAllKeysLru);
  node.write("old", 600);
  node.write("hot", 200);
  node.shrink_to(799);  // nothing has been used since the hand came by
  const int hot = node.count("hot", 200);
  EXPECT_GT(hot, 100);
  node.write("new", 100);
  node.shrink_to(400);
  EXPECT_EQ(node.count("hot", 200), hot);
  EXPECT_EQ(node.count("new", 100), 100);
}

TEST_F(KeyEvictionTest, LfuKeepsWhatIsUsedOftenOverWhatWasUsedLast) {
  use(CachePolicy::kAllKeysLfu);
  node.write("often", 100);
  for (int i = 0; i < 60; ++i) node.count("often", 100);
  node.write("once", 500);
  node.count("once", 500);
  node.shrink_to(250);
  EXPECT_EQ(node.count("often", 100), 100);
}

TEST_F(KeyEvictionTest, LfuForgetsWhatWasUsedOftenOnceUponATime) {
  use(CachePolicy::kAllKeysLfu);
  node.write("often", 100);
  for (int i = 0; i < 60; ++i) node.count("often", 100);
  for (int i = 0; i < 20; ++i) {
    node.write(fmt::format("wave{}.", i), 400);
    node.shrink_to(300);
  }
  EXPECT_LT(node.count("often", 100), 10);
}

// A cache of kRoom keys, each asked for about as often as 1/n, and written if it is not found.
constexpr std::size_t kRoom = 1'000;
constexpr int kEvictableKeys = 10'000;
constexpr std::size_t kUses = 60'000;

std::vector<int> skewed_uses() {
  Random random(7);
  std::vector<int> keys(kUses);
  for (int& key : keys) {
    const double uniform = static_cast<double>(random.below(1 << 30)) / (1 << 30);
    key = static_cast<int>(std::pow(kEvictableKeys, uniform));
  }
  return keys;
}

// The share of the later half of the uses for which use(key) is true, which it is for a hit.
template <typename Use>
double hit_ratio(Use use) {
  std::size_t uses = 0;
  std::size_t hits = 0;
  for (const int key : skewed_uses()) {
    const bool hit = use(key);
    if (uses++ >= kUses / 2 && hit) ++hits;
  }
  return static_cast<double>(hits) / (kUses / 2.0);
}

double hit_ratio_of(CachePolicy policy) {
  World world;
  EvictingNode node(world);
  node.policy = policy;
  node.room = kRoom;
  node.tick();
  return hit_ratio([&node](int key) {
    const std::string name = fmt::format("k{}", key);
    if (node.holds(name)) return true;
    node.run({"set", name, "v"});
    node.tick();
    return false;
  });
}

double hit_ratio_of_exact_lru() {
  std::map<int, std::size_t> used;
  std::map<std::size_t, int> by_use;
  std::size_t now = 0;
  return hit_ratio([&](int key) {
    const auto [at, is_new] = used.try_emplace(key, 0);
    if (!is_new) by_use.erase(at->second);
    at->second = ++now;
    by_use.emplace(now, key);
    if (used.size() > kRoom) {
      used.erase(by_use.begin()->second);
      by_use.erase(by_use.begin());
    }
    return !is_new;
  });
}

double hit_ratio_of_the_most_frequent() {
  return hit_ratio([](int key) { return key < static_cast<int>(kRoom); });
}

TEST(CachePolicyTest, LruFindsAboutAsMuchAsExactLruAndLfuMore) {
  const double random = hit_ratio_of(CachePolicy::kAllKeysRandom);
  const double lru = hit_ratio_of(CachePolicy::kAllKeysLru);
  const double lfu = hit_ratio_of(CachePolicy::kAllKeysLfu);
  const double exact_lru = hit_ratio_of_exact_lru();
  const double most_frequent = hit_ratio_of_the_most_frequent();
  EXPECT_GT(lru, exact_lru - 0.02);
  EXPECT_GT(lru, random + 0.05);
  EXPECT_GT(lfu, lru + 0.03);
  EXPECT_GT(lfu, most_frequent - 0.06);
}

TEST_F(KeyEvictionTest, RandomDeletesAnywhereWhateverIsUsed) {
  use(CachePolicy::kAllKeysRandom);
  node.write("k", 1000);
  node.count("k", 1000);
  node.shrink_to(500);
  EXPECT_EQ(node.shard->visible_keys(), 500u);
  // Neither end of the order in which the hand goes is better off.
  std::size_t low = 0;
  node.shard->state(0)->for_each(
      [&low](std::string_view key, const Object&) { low += hash64(key) >> 63 == 0 ? 1 : 0; });
  const std::size_t high = node.keys_in(0) - low;
  EXPECT_GT(low, high / 2);
  EXPECT_GT(high, low / 2);
}

TEST_F(KeyEvictionTest, VolatilePoliciesLeaveKeysWithoutExpiryToTheStore) {
  for (const CachePolicy policy : {CachePolicy::kVolatileLru, CachePolicy::kVolatileLfu,
                                   CachePolicy::kVolatileRandom, CachePolicy::kVolatileTtl}) {
    use(policy);
    node.write("stays", 100);
    for (int i = 0; i < 100; ++i) node.run({"set", fmt::format("goes{}", i), "v", "EX", "1000"});
    node.store_all();
    node.shrink_to(150);
    EXPECT_LE(node.shard->visible_keys(), 150u) << to_string(policy);
    EXPECT_GT(node.shard->visible_keys(), 100u) << to_string(policy);
    EXPECT_EQ(node.cold(), 0u) << to_string(policy);
    node.room = 50;
    node.pass_time();
    node.room = kNoLimit;
    EXPECT_EQ(node.run({"dbsize"}), ":100\r\n") << to_string(policy);
    EXPECT_LE(node.in_memory(), 50u) << to_string(policy);
    EXPECT_EQ(node.count("stays", 100), 100) << to_string(policy);
  }
}

TEST_F(KeyEvictionTest, VolatileTtlDeletesWhatExpiresNext) {
  use(CachePolicy::kVolatileTtl);
  for (int i = 0; i < 400; ++i) {
    node.run({"set", fmt::format("k{}", i), "v", "EX", std::to_string(1000 + i * 7 % 400 * 10)});
  }
  node.shrink_to(200);
  int soon = 0;
  int late = 0;
  for (int i = 0; i < 400; ++i)
    (i * 7 % 400 < 200 ? soon : late) += node.holds(fmt::format("k{}", i));
  EXPECT_LT(soon, 20);
  EXPECT_GT(late, 180);
}

TEST_F(KeyEvictionTest, VolatileTtlDeletesWhatTheStoreAloneHoldsLittleByLittle) {
  for (int i = 0; i < 2000; ++i) node.run({"set", fmt::format("old{}", i), "v", "EX", "1000"});
  node.restart();
  ASSERT_EQ(node.cold(), 2000u);
  use(CachePolicy::kVolatileTtl);
  for (int i = 0; i < 100; ++i) node.run({"set", fmt::format("new{}", i), "v", "EX", "2000"});
  // What expires first is in the store, and to delete it frees no memory: one batch at a time.
  node.shrink_to(50);
  EXPECT_EQ(node.cold(), 2000u - 16);
  EXPECT_EQ(node.count("new", 100), 100);
  for (int i = 0; i < 200; ++i) node.shrink_to(50);
  // Then come those in memory, past the few that are left.
  EXPECT_LT(node.cold(), 2 * 256u);
  EXPECT_LE(node.in_memory(), 50u);
  EXPECT_GT(node.count("new", 100), 50 - 16);
}

TEST_F(KeyEvictionTest, NothingIsDeletedOnceANodeStops) {
  use(CachePolicy::kAllKeysLru);
  node.write("k", 100);
  node.room = 10;
  node.shard->store_changes();
  node.pass_time();
  EXPECT_TRUE(node.shard->all_stored());
  EXPECT_EQ(node.shard->visible_keys(), 100u);
}

TEST_F(KeyEvictionTest, DeletesWhatAnotherReplicaIsToDeleteOnlyWhenPressureLasts) {
  for (const CachePolicy policy :
       {CachePolicy::kAllKeysLru, CachePolicy::kAllKeysLfu, CachePolicy::kVolatileTtl}) {
    EvictingNode second(world, 1, 2);
    second.policy = policy;
    second.tick();
    for (int i = 0; i < 400; ++i) second.run({"set", fmt::format("k{}", i), "v", "EX", "1000"});
    const std::size_t others = second.keys_in(0);  // which the hand reaches first
    ASSERT_GT(others, 100u);
    second.shrink_to(others + 100);
    EXPECT_EQ(second.keys_in(0), others) << to_string(policy);
    EXPECT_LE(second.keys_in(1), 100u) << to_string(policy);
    second.shrink_to(50);
    EXPECT_LE(second.keys_in(0), 50u) << to_string(policy);
  }
}

TEST_F(KeyEvictionTest, AShardLeavesDeletionToThoseWithMoreUnlessThatTakesTooLong) {
  for (const CachePolicy policy : {CachePolicy::kAllKeysLru, CachePolicy::kVolatileTtl}) {
    CacheShares shares(2);
    EvictingNode less(world, 1, 1, &shares, 0);
    EvictingNode more(world, 1, 1, &shares, 1);
    for (EvictingNode* node : {&less, &more}) {
      node->policy = policy;
      const int keys = node == &less ? 1000 : 2000;
      for (int i = 0; i < keys; ++i) {
        node->run({"set", fmt::format("k{}", i), "v", "EX", "1000"});
      }
      node->tick();
    }
    less.shrink_to(970);
    EXPECT_EQ(less.shard->visible_keys(), 1000u) << to_string(policy);
    more.shrink_to(1950);
    EXPECT_LE(more.shard->visible_keys(), 1950u) << to_string(policy);
    less.shrink_to(900);
    EXPECT_LE(less.shard->visible_keys(), 900u) << to_string(policy);
    more.shrink_to(500);
    less.shrink_to(890);
    EXPECT_LE(less.shard->visible_keys(), 890u) << to_string(policy);
  }
}

TEST_F(KeyEvictionTest, WhatTheStoreAloneHoldsGoesAlong) {
  node.write("old", 1000);
  node.restart();
  ASSERT_EQ(node.cold(), 1000u);
  use(CachePolicy::kAllKeysLru);
  node.write("new", 1000);
  const std::size_t cold = node.cold();
  node.shrink_to(500);
  EXPECT_LE(node.in_memory(), 500u);
  EXPECT_LT(node.cold(), cold - 100);
  node.store_all();
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    EXPECT_EQ(node.shard->state(id)->recompute_digest(), node.shard->state(id)->digest());
  }
}

TEST_F(KeyEvictionTest, ADeletionReachesTheOtherReplicaAndSparesWhatItHadNotSeen) {
  EvictingNode other(world, 2);
  const auto converse = [&] {
    for (int turn = 0; turn < 100; ++turn) {
      for (; !node.out.messages.empty(); node.out.messages.pop_front()) {
        ASSERT_TRUE(other.shard->receive(1, node.out.messages.front()));
      }
      for (; !other.out.messages.empty(); other.out.messages.pop_front()) {
        ASSERT_TRUE(node.shard->receive(2, other.out.messages.front()));
      }
      world.run_for(30'000);
      node.tick();
      other.tick();
    }
  };
  node.shard->link_up(other.shard->replica_id());
  other.shard->link_up(node.shard->replica_id());
  use(CachePolicy::kAllKeysLru);
  node.write("k", 100);
  node.run({"incrby", "n", "40"});
  converse();
  ASSERT_EQ(other.shard->visible_keys(), 101u);
  other.run({"incrby", "n", "2"});  // before it hears of the deletion
  node.shrink_to(0);
  ASSERT_EQ(node.shard->visible_keys(), 0u);
  EXPECT_EQ(node.shard->stats().keys_evicted, 101u);
  converse();
  EXPECT_EQ(node.run({"get", "n"}), "$1\r\n2\r\n");
  EXPECT_EQ(other.run({"dbsize"}), ":1\r\n");
  EXPECT_EQ(other.shard->stats().keys_evicted, 0u);
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    EXPECT_EQ(node.shard->state(id)->vector(), other.shard->state(id)->vector());
    EXPECT_EQ(node.shard->state(id)->digest(), other.shard->state(id)->digest());
  }
}

}  // namespace
}  // namespace even::test
