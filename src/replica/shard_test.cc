// Two real shards of two nodes, on simulated disks, with nothing between them. What the simulator
// covers with whole clusters is not repeated here.
#include "replica/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "lattice/codec.h"
#include "lattice/golden.h"
#include "log/test_log.h"
#include "replica/peer_message.h"

namespace even::test {
namespace {

using ::testing::HasSubstr;

class Outbox final : public Transport {
 public:
  void send(NodeNumber, std::string message) override { messages.push_back(std::move(message)); }
  std::deque<std::string> messages;
};

ShardOptions options(NodeNumber node) {
  ShardOptions options;
  options.node = node;
  options.partition_count = 2;
  options.partitions = {{0, {1, 2}}, {1, {2, 1}}};
  return options;
}

struct Node {
  Node(World& w, NodeNumber node)
      : world(w),
        random(node),
        disk(w.scheduler, random),
        shard(options(node), w.clock, random, disk, out) {
    EXPECT_TRUE(shard.recover());
  }
  std::string run(std::initializer_list<std::string_view> words) {
    std::string reply;
    shard.execute(*find_command(*words.begin()), Args(words.begin(), words.size()), false, reply);
    shard.end_turn();
    return reply;
  }

  World& world;
  Random random;
  sim::SimDisk disk;
  Outbox out;
  Shard shard;
};

void populate(Node& node, const std::string& prefix) {
  node.run({"set", prefix + "s", "1"});
  node.run({"incrby", prefix + "s", "4"});
  node.run({"incrbyfloat", prefix + "r", "1e400"});
  node.run({"sadd", "t", prefix + "a", prefix + "b"});
  node.run({"hset", "h", prefix + "f", "v"});
  node.run({"hincrby", "h", "n", "3"});
  node.run({"pexpire", "t", "100000"});
  node.run({"srem", "t", prefix + "b"});
  node.run({"del", prefix + "s"});
}

// The bytes of a conversation as the fuzz target reads them, up to some length.
void note(std::string& transcript, const std::string& message) {
  if (transcript.size() + message.size() > 20'000 || message.size() > 0xffff) return;
  transcript += static_cast<char>(message.size() & 0xff);
  transcript += static_cast<char>(message.size() >> 8);
  transcript += message;
}

// Passes messages for some seconds; returns what each was told.
std::pair<std::string, std::string> converse(World& world, Node& a, Node& b) {
  std::pair<std::string, std::string> told;
  for (int turn = 0; turn < 100; ++turn) {
    for (; !a.out.messages.empty(); a.out.messages.pop_front()) {
      note(told.second, a.out.messages.front());
      EXPECT_TRUE(b.shard.receive(1, a.out.messages.front()));
    }
    for (; !b.out.messages.empty(); b.out.messages.pop_front()) {
      note(told.first, b.out.messages.front());
      EXPECT_TRUE(a.shard.receive(2, b.out.messages.front()));
    }
    world.run_for(30'000);
    a.shard.tick();
    b.shard.tick();
    a.shard.end_turn();
    b.shard.end_turn();
  }
  return told;
}

void expect_equal(const Shard& a, const Shard& b) {
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    EXPECT_EQ(a.state(id)->vector(), b.state(id)->vector());
    EXPECT_EQ(a.state(id)->digest(), b.state(id)->digest());
  }
}

struct Pair : ::testing::Test {
  World world;
  Node a{world, 1};
  Node b{world, 2};

  void SetUp() override {
    populate(a, "a");
    populate(b, "b");
    a.shard.link_up(2);
    b.shard.link_up(1);
  }
};

TEST_F(Pair, ConvergesAndItsConversationIsASeedOfTheFuzzTarget) {
  const auto [told_a, told_b] = converse(world, a, b);
  expect_equal(a.shard, b.shard);
  EXPECT_EQ(a.run({"get", "br"}), b.run({"get", "br"}));
  EXPECT_EQ(b.shard.stats().digest_mismatches, 0u);
  EXPECT_GT(b.shard.stats().records_joined, 0u);
  expect_seed("peer_message_fuzz", "conversation", told_a);
  // The target's shard is node 1: to it these are records that claim to be of its own making.
  expect_seed("peer_message_fuzz", "own-words", told_b);
}

}  // namespace
}  // namespace even::test
