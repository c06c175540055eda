// Two real shards of two nodes, on simulated disks, with nothing between them. What the simulator
// covers with whole clusters is not repeated here.
#include "replica/shard.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/hash.h"
#include "cluster/placement.h"
#include "lattice/codec.h"
#include "lattice/golden.h"
#include "log/test_log.h"
#include "replica/peer_message.h"
#include "store/sim_store.h"

namespace even::test {
namespace {

using ::testing::HasSubstr;

class SentMessages final : public Transport {
 public:
  void send(NodeNumber, std::string message) override { messages.push_back(std::move(message)); }
  std::deque<std::string> messages;
};

ShardOptions options(NodeNumber node) {
  ShardOptions options;
  options.node = node;
  options.replica = ReplicaId::make(node, 1);
  options.partition_count = 2;
  options.partitions = {{0, {1, 2}}, {1, {2, 1}}};
  return options;
}

struct Node {
  Node(World& w, NodeNumber node) : Node(w, node, options(node)) {}
  Node(World& w, std::uint64_t seed, ShardOptions of_shard)
      : world(w),
        random(seed),
        disk(w.scheduler, random),
        rows(w.scheduler, random),
        store(rows.shard_store()),
        shard(std::move(of_shard), w.clock, random, disk, *store, out) {
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
  sim::SimStore rows;
  std::unique_ptr<RowStore> store;
  SentMessages out;
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

// Two shards of one node, each with a log of its own and one partition.
struct TwoShards : ::testing::Test {
  static ShardOptions of(ShardId id) {
    ShardOptions result = options(1);
    result.shard = id;
    result.shards = 2;
    result.partitions = {{id, {1}}};
    return result;
  }

  // A key of a shard.
  std::string key(ShardId id, const std::string& name) {
    for (int i = 0;; ++i) {
      std::string key = fmt::format("{}{}", name, i);
      if (cluster::key_partition(key, 2) == id) return key;
    }
  }
  std::string run(const std::vector<std::string>& words) {
    std::string reply;
    Shard* const others[] = {&b.shard};
    const std::vector<std::string_view> args(words.begin(), words.end());
    a.shard.execute(*find_command(args[0]), args, false, reply, others);
    return reply;
  }

  World world;
  Node a{world, 0, of(0)};
  Node b{world, 1, of(1)};
};

// Else a crash between the turns of the two might leave what was moved in neither log.
TEST_F(TwoShards, WhoHasGivenSomethingToAnotherShardIsKnown) {
  const auto moved = [this](const std::vector<std::string>& words) {
    run(words);
    return std::pair(a.shard.take_given_away(), b.shard.take_given_away());
  };
  constexpr std::pair kNeither(false, false), kFirst(true, false), kSecond(false, true);
  const std::string in_a = key(0, "a"), also_in_a = key(0, "x"), in_b = key(1, "b");
  EXPECT_EQ(moved({"mset", in_a, "1", in_b, "2"}), kNeither);
  EXPECT_EQ(moved({"rename", in_a, in_b}), kFirst);
  EXPECT_EQ(moved({"rename", in_a, in_b}), kNeither);  // which is no more
  EXPECT_EQ(moved({"renamenx", in_b, in_a}), kSecond);
  EXPECT_EQ(moved({"rename", in_a, also_in_a}), kNeither);
  EXPECT_EQ(moved({"del", also_in_a}), kNeither);
  EXPECT_EQ(moved({"rpush", in_a, "1", "2", "3"}), kNeither);
  EXPECT_EQ(moved({"lmove", in_a, in_b, "left", "right"}), kFirst);
  EXPECT_EQ(moved({"rpoplpush", in_b, in_a}), kSecond);
  EXPECT_EQ(moved({"blmove", in_a, in_b, "left", "right", "0"}), kFirst);
  EXPECT_EQ(moved({"brpoplpush", in_b, in_a, "0"}), kSecond);
  EXPECT_EQ(moved({"del", in_a, in_b}), kNeither);
  EXPECT_EQ(moved({"sadd", in_b, "m", "n"}), kNeither);
  EXPECT_EQ(moved({"smove", in_b, in_a, "m"}), kSecond);
  EXPECT_EQ(moved({"smove", in_b, in_a, "m"}), kNeither);
  EXPECT_EQ(moved({"eval", "return redis.call('rename', KEYS[1], KEYS[2])", "2", in_a, in_b}),
            kFirst);
}

struct Pair : ::testing::Test {
  World world;
  Node a{world, 1};
  Node b{world, 2};

  void SetUp() override {
    populate(a, "a");
    populate(b, "b");
    a.shard.link_up(b.shard.replica_id());
    b.shard.link_up(a.shard.replica_id());
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

// Commands of one turn, each on its own, and the number of records that they make.
std::uint64_t records_of_turn(Node& node,
                              std::initializer_list<std::vector<std::string_view>> commands) {
  const std::uint64_t before = node.shard.stats().records_local;
  for (const auto& words : commands) {
    std::string reply;
    node.shard.execute(*find_command(words[0]), words, false, reply);
    EXPECT_FALSE(reply.starts_with("-")) << words[0] << ": " << reply;
  }
  node.shard.end_turn();
  return node.shard.stats().records_local - before;
}

TEST_F(Pair, CommandsOfATurnShareARecordAsLongAsTheyWriteDifferentThings) {
  // One slot, hence one partition.
  EXPECT_EQ(records_of_turn(a, {{"set", "{p}1", "x"}, {"incr", "{p}2"}, {"sadd", "{p}3", "m"}}),
            1u);
  EXPECT_EQ(records_of_turn(a, {{"set", "{p}1", "x"}, {"set", "{p}1", "y"}}), 2u);
  EXPECT_EQ(records_of_turn(a, {{"incr", "{p}2"}, {"incr", "{p}2"}, {"incr", "{p}2"}}), 3u);
  EXPECT_EQ(
      records_of_turn(a, {{"sadd", "{p}3", "n"}, {"sadd", "{p}3", "o"}, {"srem", "{p}3", "m"}}),
      1u);
  EXPECT_EQ(records_of_turn(a, {{"sadd", "{p}3", "n"}, {"srem", "{p}3", "n"}}), 2u);
  EXPECT_EQ(records_of_turn(a, {{"hset", "{p}4", "f", "1"}, {"hset", "{p}4", "g", "2"}}), 2u);
  EXPECT_EQ(records_of_turn(a, {{"hset", "{p}4", "f", "1"}, {"hincrby", "{p}4", "g", "2"}}), 1u);
  EXPECT_EQ(records_of_turn(a, {{"sadd", "{p}3", "q"}, {"expire", "{p}3", "100"}}), 2u);
  EXPECT_EQ(records_of_turn(a, {{"sadd", "{p}3", "r"}, {"del", "{p}3"}, {"sadd", "{p}3", "s"}}),
            3u);
  // Many leaves of one key, beyond every width of an array's header.
  std::vector<std::string> members;
  for (int i = 0; i < 300; ++i) members.push_back("member" + std::to_string(i));
  const std::uint64_t before = a.shard.stats().records_local;
  for (const std::string& member : members) {
    std::string reply;
    const std::vector<std::string_view> words = {"sadd", "{p}3", member};
    a.shard.execute(*find_command("sadd"), words, false, reply);
  }
  a.shard.end_turn();
  EXPECT_LT(a.shard.stats().records_local - before, 10u);

  // What looks at vectors finds those of whole records.
  std::string reply;
  const std::vector<std::string_view> add = {"sadd", "{p}3", "t"};
  a.shard.execute(*find_command("sadd"), add, false, reply);
  for (const PartitionStatus& partition : a.shard.partitions()) {
    EXPECT_EQ(a.shard.state(partition.partition)->recompute_digest(), partition.digest);
    EXPECT_EQ(a.shard.state(partition.partition)->vector(), partition.vector);
  }
  a.shard.end_turn();

  converse(world, a, b);
  expect_equal(a.shard, b.shard);
  EXPECT_EQ(b.run({"scard", "{p}3"}), ":302\r\n");
}

// The last elements take the expiry with them, in the middle of a record that has written the key.
TEST_F(Pair, WhatGoesWithTheLastElementGetsARecordOfItsOwn) {
  a.run({"hset", "h2", "f", "1", "g", "2"});
  a.run({"expire", "h2", "100"});
  EXPECT_EQ(records_of_turn(a, {{"hdel", "h2", "f"}, {"hdel", "h2", "g"}}), 2u);
  EXPECT_EQ(a.run({"exists", "h2"}), ":0\r\n");
  a.run({"hset", "h2", "f", "1"});
  EXPECT_EQ(a.run({"ttl", "h2"}), ":-1\r\n");
  converse(world, a, b);
  expect_equal(a.shard, b.shard);
}

// A record of one SET, as peers send it, by a replica run of one's choice.
std::string forged(ReplicaId origin, std::uint64_t seq, const VersionVector& seen) {
  Record record;
  record.origin = origin;
  record.context = seen;
  record.context.add({origin, seq});
  KeyDelta& key = record.delta.keys.emplace_back();
  key.key = "forged";
  key.leaves.emplace_back().siblings.push_back({record.dot(), {}, "v", 0});
  std::string bytes;
  encode_record(record, bytes);
  return bytes;
}

std::string records_of(const std::string& record) {
  RecordsBuilder builder(1);
  builder.add(record);
  return builder.take();
}

// A replica run is one process's: nobody can have seen more of it than that process has made. Taken
// in, such a record would let a dot be used twice, and the last possible one would leave no dot for
// the next write.
TEST_F(Pair, RefusesRecordsOfItsOwnRunThatItHasNotMade) {
  const ReplicaId self = a.shard.replica_id();
  const VersionVector seen = a.shard.state(0)->vector();
  const Result<> received = a.shard.receive(2, records_of(forged(self, seen[self] + 1, seen)));
  ASSERT_FALSE(received);
  EXPECT_THAT(received.error().message, HasSubstr("has not made"));
  EXPECT_EQ(a.shard.state(0)->vector(), seen);
}

SnapshotName name_of(PartitionId partition, std::string_view state) {
  return {.partition = partition, .total = state.size(), .checksum = hash64(state)};
}

// All of a partition, as a peer gives it.
std::string state_of(const Node& node, PartitionId id) {
  Record state;
  state.partition = id;
  state.context = node.shard.state(id)->vector();
  state.delta = node.shard.state(id)->describe();
  std::string bytes;
  encode_record(state, bytes);
  return bytes;
}

TEST_F(Pair, RefusesAStateThatHasSeenMoreOfItsRunThanItHasMade) {
  const ReplicaId self = a.shard.replica_id();
  for (const std::uint64_t more : {a.shard.state(0)->vector()[self] + 1, VersionVector::kMaxSeq}) {
    Record state;
    state.delta.full = true;
    state.context.add({self, more});
    std::string bytes;
    encode_record(state, bytes);
    const Result<> received =
        a.shard.receive(2, encode_piece({.number = 1, .name = name_of(0, bytes), .bytes = bytes}));
    EXPECT_FALSE(received);
    EXPECT_LT(a.shard.state(0)->vector()[self], more);
  }
  for (const char* key : {"a", "b", "c", "d", "e"}) EXPECT_EQ(a.run({"set", key, "1"}), "+OK\r\n");
}

TEST_F(Pair, TakesInASnapshotInPieces) {
  for (const char* key : {"k1", "k2", "k3", "k4", "k5", "k6"}) b.run({"set", key, "value"});
  std::uint64_t number = 0;
  for (const PartitionId id : {PartitionId{0}, PartitionId{1}}) {
    const std::string bytes = state_of(b, id);
    const SnapshotName name = name_of(id, bytes);
    std::string seed;
    const auto say = [&](const std::string& message) {
      note(seed, message);
      // Everything comes twice.
      EXPECT_TRUE(a.shard.receive(2, message));
      EXPECT_TRUE(a.shard.receive(2, message));
    };
    say(encode_offer({++number, name, b.shard.state(id)->vector()}));
    for (std::size_t offset = 0; offset < bytes.size(); offset += 100) {
      EXPECT_FALSE(a.shard.state(id)->vector().covers(b.shard.state(id)->vector()));
      say(encode_piece({++number, name, offset, std::string_view(bytes).substr(offset, 100)}));
    }
    EXPECT_TRUE(a.shard.state(id)->vector().covers(b.shard.state(id)->vector()));
    expect_seed("peer_message_fuzz", "snapshot-" + std::to_string(id), seed);
  }
  EXPECT_EQ(a.run({"get", "br"}), b.run({"get", "br"}));
  EXPECT_EQ(a.shard.stats().snapshots_joined, 2u);
}

TEST_F(Pair, RefusesAnOfferOfAPartitionThatItDoesNotHold) {
  const SnapshotName elsewhere{.partition = 9, .total = 100, .checksum = 1};
  const Result<> received = a.shard.receive(2, encode_offer({1, elsewhere, {}}));
  ASSERT_FALSE(received);
  EXPECT_THAT(received.error().message, HasSubstr("not held here"));
}

TEST_F(Pair, KeepsARecordThatComesTooEarlyUntilWhatItDependsOnHasCome) {
  const ReplicaId other = ReplicaId::make(2, 77);
  const VersionVector before = a.shard.state(0)->vector();
  VersionVector seen;
  seen.add({other, 1});
  std::string seed;
  note(seed, records_of(forged(other, 2, seen)));
  note(seed, "");  // to the fuzz target: time passes
  note(seed, records_of(forged(other, 1, {})));
  expect_seed("peer_message_fuzz", "early", seed);
  ASSERT_TRUE(a.shard.receive(2, records_of(forged(other, 2, seen))));
  EXPECT_EQ(a.shard.state(0)->vector(), before);
  EXPECT_EQ(a.shard.stats().records_pending, 1u);
  ASSERT_TRUE(a.shard.receive(2, records_of(forged(other, 1, {}))));
  a.shard.end_turn();
  EXPECT_EQ(a.shard.state(0)->vector()[other], 2u);
  EXPECT_EQ(a.shard.stats().records_pending, 0u);
  // Again: seen.
  ASSERT_TRUE(a.shard.receive(2, records_of(forged(other, 2, seen))));
  EXPECT_EQ(a.shard.stats().records_duplicate, 1u);
}

TEST_F(Pair, RefusesWhatIsMalformedAndWhatItDoesNotHold) {
  EXPECT_FALSE(a.shard.receive(2, ""));
  EXPECT_FALSE(a.shard.receive(2, "\x09"));
  EXPECT_FALSE(a.shard.receive(2, records_of("short")));
  std::string elsewhere = forged(ReplicaId::make(2, 77), 1, {});
  elsewhere[0] = 9;
  const Result<> received = a.shard.receive(2, records_of(elsewhere));
  ASSERT_FALSE(received);
  EXPECT_THAT(received.error().message, HasSubstr("partition 9, which is not held here"));
  EXPECT_FALSE(a.shard.receive(3, encode_ack({1})));
}

// INCRBYFLOAT computes with long doubles, whose range is far beyond a double's.
TEST_F(Pair, ReadsBackFromTheLogEverythingThatACommandCanWrite) {
  a.run({"incrbyfloat", "huge", "1e4932"});
  a.run({"set", "huge", "0"});
  a.run({"incrbyfloat", "huge", "1e4932"});
  a.run({"incrbyfloat", "tiny", "3e-4940"});
  a.run({"set", "at", "1"});
  a.run({"pexpireat", "at", "9223372036854775807"});
  const std::string value = a.run({"get", "huge"});
  ASSERT_TRUE(a.shard.close());
  a.disk.crash();
  a.rows.crash();
  const auto store = a.rows.shard_store();
  Shard again(options(1), world.clock, a.random, a.disk, *store, a.out);
  const auto recovered = again.recover();
  ASSERT_TRUE(recovered) << recovered.error().message;
  std::string reply;
  const std::string_view words[] = {"get", "huge"};
  again.execute(*find_command("get"), words, false, reply);
  EXPECT_EQ(reply, value);
  again.replay_all();
  expect_equal(a.shard, again);
}

}  // namespace
}  // namespace even::test
