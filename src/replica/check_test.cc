// What is found and repaired where replicas differ that have seen the same: real shards of three
// nodes, on simulated disks and stores. Under crashes and faults it is the simulator's business.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <set>

#include "base/hash.h"
#include "replica/test_node.h"
#include "replica/test_replica.h"

namespace even::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Says to whom a message goes, which Outbox does not keep.
class CheckPost final : public Transport {
 public:
  void send(NodeNumber to, std::string message) override {
    messages.emplace_back(to, std::move(message));
  }
  std::deque<std::pair<NodeNumber, std::string>> messages;
};

struct CheckedNode : DrivenShard {
  CheckedNode(World& w, NodeNumber n, std::vector<NodeNumber> all)
      : DrivenShard(w), number(n), replicas(std::move(all)), random(n) {
    start();
  }
  ~CheckedNode() { shard.reset(); }
  void start() {
    ShardOptions options;
    options.node = number;
    options.replica = ReplicaId::make(number, ++runs);
    options.partition_count = 2;
    options.partitions = {{0, replicas}, {1, replicas}};
    options.memory_pressure = [this] { return pressure; };
    options.check_interval_ms = interval_ms;
    options.warn = [this](const std::string& text) { warnings.push_back(text); };
    store = rows.shard_store();
    shard = std::make_unique<Shard>(options, world.clock, random, disk, *store, out);
    const auto recovered = shard->recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    shard->replay_all();
  }
  std::map<std::string, std::uint64_t> content() const {
    std::map<std::string, std::uint64_t> all;
    for (const PartitionId id : {0, 1}) {
      shard->state(id)->for_each([&](std::string_view key, const Object& object) {
        all[std::string(key)] = PartitionState::digest_of(hash64(key), object);
      });
    }
    return all;
  }
  bool adds_up() const {
    for (const PartitionId id : {0, 1}) {
      if (shard->state(id)->digest() != shard->state(id)->recompute_digest()) return false;
    }
    return true;
  }

  const NodeNumber number;
  const std::vector<NodeNumber> replicas;
  Random random;
  std::uint32_t runs = 0;
  std::int64_t interval_ms = 0;
  sim::SimDisk disk{world.scheduler, random};
  sim::SimStore rows{world.scheduler, random};
  CheckPost out;
  std::vector<std::string> warnings;
  std::unique_ptr<RowStore> store;
};

struct Checked : ::testing::Test {
  World world;
  std::vector<std::unique_ptr<CheckedNode>> members;
  std::set<NodeNumber> away;

  void form(NodeNumber count) {
    std::vector<NodeNumber> all;
    for (NodeNumber n = 1; n <= count; ++n) all.push_back(n);
    for (const NodeNumber n : all) members.push_back(std::make_unique<CheckedNode>(world, n, all));
    for (const NodeNumber n : all) connect(n);
  }
  CheckedNode& at(NodeNumber n) { return *members[n - 1]; }
  void connect(NodeNumber n) {
    away.erase(n);
    for (auto& other : members) {
      if (other->number == n || away.contains(other->number)) continue;
      other->shard->link_up(at(n).shard->replica_id());
      at(n).shard->link_up(other->shard->replica_id());
    }
  }
  void disconnect(NodeNumber n) {
    away.insert(n);
    for (auto& other : members) {
      if (other->number == n) continue;
      other->shard->link_down(n);
      at(n).shard->link_down(other->number);
    }
  }
  // Passes messages, and calls between() now and then.
  void converse(int turns = 400, const std::function<void(int)>& between = {}) {
    for (int turn = 0; turn < turns; ++turn) {
      for (auto& from : members) {
        auto messages = std::exchange(from->out.messages, {});
        for (const auto& [to, message] : messages) {
          if (away.contains(to) || away.contains(from->number)) continue;
          const auto received = at(to).shard->receive(from->number, message);
          EXPECT_TRUE(received) << received.error().message;
        }
      }
      if (between) between(turn);
      world.run_for(3'000);
      for (auto& member : members) {
        member->shard->tick();
        member->shard->end_turn();
      }
    }
  }
  void fill() {
    for (int i = 0; i < 2000; ++i) at(1).run({"set", fmt::format("k{}", i), fmt::format("v{}", i)});
    at(2).run({"incrby", "n", "5"});
    at(1).run({"incrby", "n", "2"});
    at(2).run({"hset", "h", "a", "1", "b", "2"});
    at(2).run({"sadd", "s", "x", "y"});
    at(1).run({"zadd", "z", "1", "one", "2", "two"});
    at(1).run({"rpush", "l", "a", "b", "c"});
    at(1).run({"set", "gone", "1", "ex", "100000"});
    at(1).run(many("sadd", "large", 0, 3000));
    converse();
  }
  void check_everywhere() {
    for (auto& member : members) member->shard->start_check();
    converse(1'500);
  }
  void expect_as_before(const std::map<std::string, std::uint64_t>& before) {
    for (auto& member : members) {
      EXPECT_TRUE(member->content() == before) << "node " << member->number;
      EXPECT_TRUE(member->adds_up()) << "node " << member->number;
      const CheckStatus status = member->shard->check_status();
      EXPECT_FALSE(status.busy);
      EXPECT_EQ(status.passes_done, status.passes_begun);
      EXPECT_THAT(status.suspect, IsEmpty());
      EXPECT_EQ(status.undecided, 0u);
    }
  }
  std::uint64_t repaired(NodeNumber n) { return at(n).shard->check_status().repaired; }
  // Wrong, missing and made up; each type is one of those.
  std::size_t falsify(CheckedNode& member, int from, int count) {
    std::size_t changed = 0;
    for (int i = from; i < from + count; ++i) {
      const std::string key = fmt::format("k{}", i);
      if (i % 3 == 0) changed += member.shard->falsify(key, std::nullopt);
      if (i % 3 == 1) changed += member.shard->falsify(key, "wrong");
      if (i % 3 == 2) changed += member.shard->falsify("made-up-" + key, "x");
    }
    return changed;
  }
};

TEST_F(Checked, WhatIsRightIsLeftAlone) {
  form(3);
  fill();
  const auto before = at(1).content();
  check_everywhere();
  expect_as_before(before);
  for (NodeNumber n = 1; n <= 3; ++n) {
    const CheckStatus status = at(n).shard->check_status();
    EXPECT_EQ(status.audits_failed, 0u);
    EXPECT_EQ(status.comparisons, 0u);
    EXPECT_GE(status.keys, before.size());
  }
}

TEST_F(Checked, WhatDiffersIsPutRightByTheMajority) {
  form(3);
  fill();
  const auto before = at(1).content();
  EXPECT_EQ(falsify(at(2), 0, 300), 300u);
  EXPECT_EQ(falsify(at(3), 300, 30), 30u);
  for (const char* key : {"n", "h", "s", "z", "l", "gone"}) {
    EXPECT_TRUE(at(3).shard->falsify(key, std::nullopt)) << key;
  }
  EXPECT_TRUE(at(3).shard->falsify("large", "not a set"));
  EXPECT_FALSE(at(3).content() == before);
  check_everywhere();
  expect_as_before(before);
  EXPECT_EQ(repaired(1), 0u);
  EXPECT_EQ(repaired(2), 300u);
  EXPECT_EQ(repaired(3), 37u);
  std::map<CheckFinding::Kind, int> kinds;
  for (const auto& finding : at(2).shard->check_status().findings) ++kinds[finding.kind];
  EXPECT_EQ(kinds[CheckFinding::Kind::kMissing], 100);
  EXPECT_EQ(kinds[CheckFinding::Kind::kDifferent], 100);
  EXPECT_EQ(kinds[CheckFinding::Kind::kSuperfluous], 100);
  EXPECT_THAT(at(2).warnings, Contains(HasSubstr("not what its records have put there")));
  EXPECT_EQ(at(3).run({"get", "n"}), "$1\r\n7\r\n");
  EXPECT_EQ(at(3).run({"ttl", "gone"}).substr(0, 3), ":99");
  EXPECT_EQ(at(3).run({"scard", "large"}), ":3000\r\n");
  EXPECT_EQ(at(3).run({"lrange", "l", "0", "-1"}), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
  // It goes on as if nothing had been.
  at(3).run({"incrby", "n", "10"});
  at(1).run({"incrby", "n", "100"});
  at(3).run({"srem", "large", "e7"});
  at(2).run({"del", "k1"});
  converse();
  for (NodeNumber n = 1; n <= 3; ++n) {
    EXPECT_EQ(at(n).run({"get", "n"}), "$3\r\n117\r\n");
    EXPECT_EQ(at(n).run({"scard", "large"}), ":2999\r\n");
    EXPECT_TRUE(at(n).adds_up());
    EXPECT_TRUE(at(n).content() == at(1).content());
  }
}

TEST_F(Checked, WhatIsColdIsReadAndPutRightInTheStoreToo) {
  form(3);
  fill();
  const auto before = at(1).content();
  falsify(at(2), 0, 60);
  at(2).shard->falsify("large", std::nullopt);
  at(2).evict_all();
  at(1).evict_all();
  converse();
  check_everywhere();
  expect_as_before(before);
  EXPECT_EQ(repaired(2), 61u);
  at(2).evict_all();
  ASSERT_TRUE(at(2).shard->close());
  disconnect(2);
  at(2).shard.reset();
  at(2).start();
  connect(2);
  converse();
  EXPECT_TRUE(at(2).content() == before);
  EXPECT_TRUE(at(2).adds_up());
}

TEST_F(Checked, TheBackgroundPassFindsItWithinItsInterval) {
  form(3);
  fill();
  const auto before = at(1).content();
  falsify(at(2), 0, 30);
  at(2).store_all();  // or the log would put it right
  disconnect(2);
  ASSERT_TRUE(at(2).shard->close());
  at(2).shard.reset();
  at(2).interval_ms = 3'000;
  at(2).start();
  connect(2);
  converse(1'500);
  expect_as_before(before);
  EXPECT_EQ(repaired(2), 30u);
  EXPECT_GE(at(2).shard->check_status().rounds, 1u);
}

TEST_F(Checked, OfTwoTheOneCountsWhoseContentAddsUp) {
  form(2);
  fill();
  const auto before = at(1).content();
  EXPECT_EQ(falsify(at(2), 0, 60), 60u);
  at(2).shard->start_check();
  converse(1'500);
  expect_as_before(before);
  EXPECT_EQ(repaired(1), 0u);
  EXPECT_EQ(repaired(2), 60u);
}

// Each has other keys wrong, in the same partitions, and some are audited before others.
TEST_F(Checked, AllCanBeWrongEachInAnotherKey) {
  form(5);
  fill();
  const auto before = at(1).content();
  for (NodeNumber n = 1; n <= 5; ++n) falsify(at(n), 100 * n, 60);
  for (NodeNumber n = 1; n <= 5; ++n) {
    at(n).shard->start_check();
    converse(n == 4 ? 300 : 20);
  }
  converse(1'500);
  expect_as_before(before);
  for (NodeNumber n = 1; n <= 5; ++n) EXPECT_EQ(repaired(n), 60u) << n;
}

TEST_F(Checked, NothingIsDecidedWithoutAMajority) {
  form(3);
  fill();
  const auto before = at(1).content();
  disconnect(3);
  EXPECT_EQ(falsify(at(2), 0, 6), 6u);
  at(2).shard->start_check();
  converse(800);
  EXPECT_EQ(repaired(2), 0u);
  EXPECT_GT(at(2).shard->check_status().undecided, 0u);
  EXPECT_THAT(at(2).shard->check_status().suspect, Not(IsEmpty()));
  connect(3);
  converse(1'500);
  expect_as_before(before);
  EXPECT_EQ(repaired(2), 6u);
}

TEST_F(Checked, AReplicaAloneReportsWhatDoesNotAddUp) {
  form(1);
  for (int i = 0; i < 10; ++i) at(1).run({"set", fmt::format("k{}", i), "1"});
  EXPECT_TRUE(at(1).shard->falsify("k3", "2"));
  at(1).shard->start_check();
  converse(100);
  const CheckStatus status = at(1).shard->check_status();
  EXPECT_EQ(status.audits_failed, 1u);
  EXPECT_THAT(status.suspect, SizeIs(1));
  EXPECT_EQ(status.passes_done, 1u);
  EXPECT_FALSE(status.busy);
}

// Others write to the very keys that are wrong at one replica, and all to others, all the time.
TEST_F(Checked, UnderWritesOnlyWhatDiffersIsChanged) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    members.clear();
    form(3);
    for (int i = 0; i < 600; ++i) at(1).run({"incrby", fmt::format("k{}", i), "1"});
    converse();
    Random random(seed);
    std::vector<std::int64_t> sums(600, 1);
    std::set<std::string> removed;
    for (int i = 0; i < 600; i += 6) {
      EXPECT_TRUE(at(2).shard->falsify(fmt::format("k{}", i), std::nullopt));
    }
    for (auto& member : members) member->shard->start_check();
    const auto write = [&](int turn) {
      if (turn > 900) return;
      for (auto& member : members) {
        if (random.below(3) != 0) continue;
        const std::size_t i = random.below(600);
        // Its writes go by what it holds, and would remove what that lacks.
        if (member->number == 2 && i % 6 == 0 && repaired(2) < 100) continue;
        ++sums[i];
        member->run({"incrby", fmt::format("k{}", i), "1"});
      }
    };
    converse(1'500, write);
    for (auto& member : members) {
      EXPECT_TRUE(member->adds_up());
      for (int i = 0; i < 600; ++i) {
        const std::string value = std::to_string(sums[static_cast<std::size_t>(i)]);
        EXPECT_EQ(member->run({"get", fmt::format("k{}", i)}),
                  fmt::format("${}\r\n{}\r\n", value.size(), value))
            << "k" << i << " of node " << member->number;
      }
    }
    EXPECT_EQ(repaired(2), 100u);
    EXPECT_EQ(repaired(1) + repaired(3), 0u);
  }
}

}  // namespace
}  // namespace even::test
