// Scripts on real shards: in groups every member executes the call, in eventual keyspaces the
// effects go to the other replicas.
#include <gmock/gmock.h>

#include "replica/test_groups.h"
#include "replica/test_node.h"
#include "replica/test_replica.h"

namespace even {
namespace {

using test::GroupCluster;
using ::testing::StartsWith;

constexpr PartitionId kScriptGroup = 2;

GroupCluster& found_script_group(GroupCluster& cluster) {
  std::vector<consensus::MemberId> voters;
  std::vector<NodeNumber> replicas;
  for (const auto& node : cluster.nodes) {
    voters.push_back(member_of(node->replica()));
    replicas.push_back(node->number);
  }
  for (const auto& node : cluster.nodes) {
    EXPECT_TRUE(node->shard->found_group(kScriptGroup, voters, replicas));
  }
  return cluster;
}

TEST(Script, MembersOfAGroupComeToTheSame) {
  GroupCluster cluster(3);
  found_script_group(cluster);
  for (int i = 0; i < 50; ++i) {
    // What differs between nodes, calls and states of Lua if anything does.
    const std::string reply = cluster.run_strong(
        kScriptGroup, {"eval",
                       "local t = {} for i = 1, 20 do t['k' .. i] = i end "
                       "for k in pairs(t) do redis.call('RPUSH', KEYS[1], k .. tostring({})) end "
                       "redis.call('SADD', KEYS[2], math.random(1000000), redis.call('TIME')[2]) "
                       "redis.call('PEXPIRE', KEYS[2], 100000) "
                       "return redis.call('SPOP', KEYS[2])",
                       "2", "{k}list", "{k}set"});
    ASSERT_THAT(reply, StartsWith("$"));
  }
  cluster.run(1'000);
  const PartitionState& first = *cluster.at(1).shard->state(kScriptGroup);
  EXPECT_EQ(cluster.run_strong(kScriptGroup, {"llen", "{k}list"}), ":1000\r\n");
  for (const auto& node : cluster.nodes) {
    EXPECT_EQ(node->shard->state(kScriptGroup)->vector(), first.vector());
    EXPECT_EQ(node->shard->state(kScriptGroup)->digest(), first.digest());
  }
}

TEST(Script, OfAGroupReachesWhatBeginsAsItsKeysDo) {
  GroupCluster cluster(1);
  found_script_group(cluster);
  const auto set = [&](const std::string& key) {
    return cluster.run_strong(
        kScriptGroup, {"eval", "return redis.pcall('SET', ARGV[1], 1)", "1", "o:{42}:id", key});
  };
  EXPECT_EQ(set("o:{42}:id"), "+OK\r\n");
  EXPECT_EQ(set("o:{42}:job:1"), "+OK\r\n");
  for (const char* key : {"o:{43}:id", "{42}", "p:{42}:id", "o:{42"}) {
    EXPECT_THAT(set(key), StartsWith("-CROSSGROUP ")) << key;
  }
  EXPECT_THAT(
      cluster.run_strong(kScriptGroup, {"eval", "return redis.call('DBSIZE')", "1", "o:{42}:id"}),
      StartsWith("-CROSSGROUP "));
  EXPECT_EQ(cluster.run_strong(kScriptGroup,
                               {"eval_ro", "return redis.call('GET', KEYS[1])", "1", "o:{42}:id"}),
            "$1\r\n1\r\n");
  EXPECT_THAT(cluster.run_strong(kScriptGroup, {"evalsha", std::string(40, '0'), "1", "o:{42}:id"}),
              StartsWith("-NOSCRIPT "));
}

TEST(Script, SeesNothingInAStrongKeyspaceThatDiffersBetweenMembers) {
  GroupCluster cluster(1);
  found_script_group(cluster);
  const auto call = [&](const std::string& words) {
    return cluster.run_strong(kScriptGroup,
                              {"eval", "return redis.call(" + words + ", KEYS[1])", "1", "{k}set"});
  };
  for (int i = 0; i < 20; ++i) {
    cluster.run_strong(kScriptGroup, {"sadd", "{k}set", std::to_string(119 - i)});
  }
  std::string sorted = "*20\r\n";
  for (int i = 100; i < 120; ++i) sorted += "$3\r\n" + std::to_string(i) + "\r\n";
  EXPECT_EQ(call("'SMEMBERS'"), sorted);
  EXPECT_EQ(cluster.run_strong(
                kScriptGroup,
                {"eval", "return redis.call('SORT', KEYS[1], 'BY', 'nosort')", "1", "{k}set"}),
            sorted);
  EXPECT_THAT(call("'SRANDMEMBER'"), ::testing::HasSubstr("differs between replicas"));
}

TEST(Script, WritesNothingWhileNothingCanBeWritten) {
  test::World world;
  test::Replica replica(world, 1, {1});
  ASSERT_EQ(replica.run({"set", "k", "v"}), "+OK\r\n");
  replica.disk.faults.full = true;
  replica.run({"set", "k", std::string(4096, 'x')});
  ASSERT_TRUE(replica.shard->write_error());
  for (const char* call : {"'SET', 'k', 1", "'FLUSHALL'"}) {
    EXPECT_THAT(replica.run({"eval", "return redis.call(" + std::string(call) + ")", "0"}),
                StartsWith("-MISCONF "))
        << call;
  }
  EXPECT_EQ(replica.state().live_keys(), 1u);
}

// A turn is one frame of the log, whose length is limited.
TEST(Script, EndsWhenItHasWrittenTooMuch) {
  test::World world;
  test::Replica replica(world, 1, {1});
  replica.stop();
  replica.script_write_bytes = 1 << 20;
  replica.start();
  const std::string reply = replica.run({"eval",
                                         "local s = string.rep('x', 100000) for i = 1, 1000 do "
                                         "redis.call('SET', KEYS[1] .. i, s) end",
                                         "1", "k"});
  EXPECT_THAT(reply, StartsWith("-ERR Script has written too much"));
  EXPECT_GE(replica.state().live_keys(), 10u);
  EXPECT_LE(replica.state().live_keys(), 12u);
  EXPECT_EQ(replica.run({"eval", "return redis.call('SET', KEYS[1], 1)", "1", "k"}), "+OK\r\n");
}

// What it has written before is there, and the reply tells of it.
TEST(Script, ThatComesUponDamageRepliesOnceItsWritesAreInTheLog) {
  test::Node node;
  node.run({"set", "cold", std::string(100, 'x')});
  node.evict_all();
  node.store->unreadable = true;
  const std::string_view words[] = {
      "eval", "redis.call('SET', 'new', 1) return redis.call('GET', 'cold')", "0"};
  std::string out;
  const LogPosition position = node.shard->execute(*find_command("eval"), words, false, out);
  EXPECT_THAT(out, StartsWith("-IOERR "));
  EXPECT_EQ(position, node.shard->barrier());
  EXPECT_GT(position, node.shard->released());
  node.store->unreadable = false;
  node.shard->end_turn();
  EXPECT_EQ(node.run({"get", "new"}), "$1\r\n1\r\n");
}

TEST(Script, EffectsOfOneAreOneRecordOfAPartition) {
  test::World world;
  test::Replica replica(world, 1, {1, 2});
  std::string out;
  const std::string_view words[] = {
      "eval",
      "redis.call('SET', KEYS[1], 1) redis.call('SADD', KEYS[2], 'a') "
      "redis.call('HSET', KEYS[3], 'f', redis.call('GET', KEYS[1]))",
      "3",
      "k",
      "s",
      "h"};
  const std::uint64_t before = replica.shard->stats().records_local;
  replica.shard->execute(*find_command("eval"), words, false, out);
  replica.shard->end_turn();
  EXPECT_EQ(out, "$-1\r\n");
  EXPECT_EQ(replica.shard->stats().records_local, before + 1);
  EXPECT_EQ(replica.state().live_keys(), 3u);
}

}  // namespace
}  // namespace even
