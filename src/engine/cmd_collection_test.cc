// Sets and hashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/command_fixture.h"

namespace even {
namespace {

// The bulk strings in a flat reply.
std::multiset<std::string> bulks(std::string_view reply) {
  std::multiset<std::string> out;
  for (std::size_t at = reply.find('$'); at != std::string_view::npos; at = reply.find('$', at)) {
    const std::size_t size = std::stoul(std::string(reply.substr(at + 1, 10)));
    const std::size_t begin = reply.find("\r\n", at) + 2;
    out.emplace(reply.substr(begin, size));
    at = begin + size;
  }
  return out;
}

class CollectionCommands : public CommandFixture {
 protected:
  void fill_set(std::string_view key, int size) {
    for (int i = 0; i < size; ++i) keyspace.run({"SADD", key, "m" + std::to_string(i)});
  }
};

TEST_F(CollectionCommands, TheLastElementTakesTheExpiryWithIt) {
  run({"SADD", "s", "a", "b", "c"});
  run({"EXPIRE", "s", "100"});
  EXPECT_EQ(run({"SREM", "s", "a", "b"}), ":2\r\n");
  EXPECT_EQ(run({"TTL", "s"}), ":100\r\n");
  EXPECT_EQ(run({"SREM", "s", "x", "c", "c"}), ":1\r\n");
  EXPECT_EQ(keyspace.objects(), 0u);
  run({"HSET", "h", "f", "1", "g", "2"});
  run({"HINCRBY", "h", "g", "1"});
  run({"EXPIRE", "h", "100"});
  EXPECT_EQ(run({"HDEL", "h", "f", "g"}), ":2\r\n");
  keyspace.collect_residue();
  EXPECT_EQ(keyspace.objects(), 0u);
  run({"HSET", "h", "f", "1"});
  EXPECT_EQ(run({"TTL", "h"}), ":-1\r\n");
}

TEST_F(CollectionCommands, RepeatedMembersAndFieldsCountOnce) {
  EXPECT_EQ(run({"SADD", "s", "a", "a", "b"}), ":2\r\n");
  EXPECT_EQ(run({"SADD", "s", "a", "c"}), ":1\r\n");
  EXPECT_EQ(run({"SREM", "s", "a", "a", "x"}), ":1\r\n");
  EXPECT_EQ(run({"HSET", "h", "f", "1", "f", "2"}), ":1\r\n");
  EXPECT_EQ(run({"HGET", "h", "f"}), bulk("2"));
  EXPECT_EQ(run({"HDEL", "h", "f", "f"}), ":1\r\n");
}

TEST_F(CollectionCommands, AMemberThatIsThereIsWrittenAgainOnlyWhereOthersMayRemoveIt) {
  run({"SADD", "s", "a"});
  const std::size_t before = keyspace.records;
  EXPECT_EQ(run({"SADD", "s", "a"}), ":0\r\n");
  EXPECT_EQ(keyspace.records, before + 1);

  keyspace.set_replicated(false);
  EXPECT_EQ(run({"SADD", "s", "a", "a"}), ":0\r\n");
  EXPECT_EQ(keyspace.records, before + 1);
  EXPECT_EQ(run({"SADD", "s", "a", "b", "b"}), ":1\r\n");
  EXPECT_EQ(keyspace.records, before + 2);
  run({"SREM", "s", "a"});
  EXPECT_EQ(run({"SADD", "s", "a"}), ":1\r\n");
  EXPECT_EQ(run({"SCARD", "s"}), ":2\r\n");
}

TEST_F(CollectionCommands, ManyMembersInOneCommandCountOnceEach) {
  std::vector<std::string> members;
  for (int i = 0; i < 100; ++i) members.push_back("m" + std::to_string(i % 40));
  std::vector<std::string_view> words{"SADD", "s"};
  words.insert(words.end(), members.begin(), members.end());
  EXPECT_EQ(keyspace.run(words), ":40\r\n");
  words[0] = "SREM";
  EXPECT_EQ(keyspace.run(words), ":40\r\n");
  EXPECT_EQ(keyspace.live_keys(), 0u);
}

TEST_F(CollectionCommands, CommandsThatChangeNothingMakeNoRecord) {
  run({"SADD", "s", "a"});
  run({"HSET", "h", "f", "1"});
  EXPECT_EQ(records({"SREM", "s", "x"}), 0u);
  EXPECT_EQ(records({"SREM", "absent", "x"}), 0u);
  EXPECT_EQ(records({"HDEL", "h", "x"}), 0u);
  EXPECT_EQ(records({"HDEL", "absent", "x"}), 0u);
  EXPECT_EQ(records({"HSETNX", "h", "f", "2"}), 0u);
  EXPECT_EQ(records({"SPOP", "absent"}), 0u);
  EXPECT_EQ(records({"SPOP", "s", "0"}), 0u);
  EXPECT_EQ(records({"DEL", "absent"}), 0u);
  EXPECT_EQ(records({"PERSIST", "s"}), 0u);
  EXPECT_EQ(records({"HINCRBY", "h", "f", "x"}), 0u);
  EXPECT_EQ(records({"SADD", "h", "x"}), 0u);
  EXPECT_EQ(records({"HSET", "s", "f", "v"}), 0u);
  EXPECT_EQ(records({"FLUSHALL", "x"}), 0u);
}

TEST_F(CollectionCommands, AddingAPresentMemberWritesItAnewSoThatAConcurrentRemovalLoses) {
  TestKeyspace other(2);
  run({"SADD", "s", "a"});
  other.merge(keyspace);
  EXPECT_EQ(run({"SADD", "s", "a"}), ":0\r\n");
  EXPECT_EQ(other.run({"SREM", "s", "a"}), ":1\r\n");
  other.merge(keyspace);
  EXPECT_EQ(other.run({"SISMEMBER", "s", "a"}), ":1\r\n");
}

TEST_F(CollectionCommands, TheLastMemberTakesTheExpiryWithIt) {
  for (auto remove : {std::initializer_list<std::string_view>{"SREM", "s", "a", "b"},
                      std::initializer_list<std::string_view>{"SPOP", "s", "2"},
                      std::initializer_list<std::string_view>{"SPOP", "s", "100"}}) {
    run({"SADD", "s", "a", "b"});
    run({"EXPIRE", "s", "100"});
    run(remove);
    EXPECT_EQ(run({"EXISTS", "s"}), ":0\r\n");
    run({"SADD", "s", "c"});
    EXPECT_EQ(run({"TTL", "s"}), ":-1\r\n");
    run({"DEL", "s"});
  }
  run({"SADD", "s", "a"});
  run({"EXPIRE", "s", "100"});
  run({"SPOP", "s"});
  run({"SADD", "s", "c"});
  EXPECT_EQ(run({"TTL", "s"}), ":-1\r\n");
  run({"HSET", "h", "f", "1"});
  run({"EXPIRE", "h", "100"});
  run({"HDEL", "h", "f"});
  run({"HSET", "h", "f", "1"});
  EXPECT_EQ(run({"TTL", "h"}), ":-1\r\n");
}

TEST_F(CollectionCommands, TheExpiryGoesWithTheLastMemberAlsoWhereAnotherMemberWasAdded) {
  for (auto remove : {std::initializer_list<std::string_view>{"SREM", "s", "a"},
                      std::initializer_list<std::string_view>{"SPOP", "s"},
                      std::initializer_list<std::string_view>{"SPOP", "s", "1"}}) {
    TestKeyspace here(1);
    TestKeyspace there(2);
    here.run({"SADD", "s", "a"});
    here.run({"EXPIRE", "s", "100"});
    there.merge(here);
    there.run({"SADD", "s", "b"});
    here.run(remove);
    here.merge(there);
    EXPECT_EQ(here.run({"SCARD", "s"}), ":1\r\n");
    EXPECT_EQ(here.run({"TTL", "s"}), ":-1\r\n");
  }
}

TEST_F(CollectionCommands, RemovedCountersLeaveNoFieldBehind) {
  run({"HSET", "h", "g", "1"});
  run({"HINCRBY", "h", "f", "5"});
  run({"HINCRBYFLOAT", "h", "f", "0.5"});
  EXPECT_EQ(run({"HGET", "h", "f"}), bulk("5.5"));
  EXPECT_EQ(run({"HDEL", "h", "f"}), ":1\r\n");
  EXPECT_EQ(run({"HLEN", "h"}), ":1\r\n");
  EXPECT_EQ(run({"HGETALL", "h"}), "*2\r\n" + bulk("g") + bulk("1"));
  EXPECT_EQ(run({"HEXISTS", "h", "f"}), ":0\r\n");
  EXPECT_EQ(run({"HMGET", "h", "f", "g"}), "*2\r\n$-1\r\n" + bulk("1"));
  EXPECT_EQ(run({"HDEL", "h", "f"}), ":0\r\n");
  EXPECT_EQ(run({"HRANDFIELD", "h", "5"}), "*1\r\n" + bulk("g"));
  EXPECT_EQ(run({"HSCAN", "h", "0"}), "*2\r\n" + bulk("0") + "*2\r\n" + bulk("g") + bulk("1"));
  EXPECT_EQ(run({"HINCRBY", "h", "f", "1"}), ":1\r\n");
  run({"HDEL", "h", "f", "g"});
  EXPECT_EQ(run({"EXISTS", "h"}), ":0\r\n");
  EXPECT_EQ(run({"KEYS", "*"}), "*0\r\n");
  keyspace.collect_residue();
  EXPECT_EQ(run({"HINCRBY", "h", "f", "1"}), ":1\r\n");
}

TEST_F(CollectionCommands, HashNumbersAreChecked) {
  run({"HSET", "h", "f", "x", "max", "9223372036854775807"});
  EXPECT_EQ(run({"HINCRBY", "h", "f", "1"}), "-ERR hash value is not an integer\r\n");
  EXPECT_EQ(run({"HINCRBYFLOAT", "h", "f", "1"}), "-ERR hash value is not a float\r\n");
  EXPECT_EQ(run({"HINCRBY", "h", "max", "1"}), "-ERR increment or decrement would overflow\r\n");
  EXPECT_EQ(run({"HINCRBYFLOAT", "h", "f", "nan"}), "-ERR value is not a valid float\r\n");
  EXPECT_EQ(run({"HINCRBYFLOAT", "h", "f", "inf"}), "-ERR value is NaN or Infinity\r\n");
  EXPECT_EQ(run({"HSET", "h", "f"}), "-ERR wrong number of arguments for 'hset' command\r\n");
  EXPECT_EQ(run({"HSET", "h", "f", "1", "g"}),
            "-ERR wrong number of arguments for 'hset' command\r\n");
}

TEST_F(CollectionCommands, ConcurrentFieldIncrementsAddUp) {
  TestKeyspace other(2);
  run({"HSET", "h", "f", "10"});
  other.merge(keyspace);
  run({"HINCRBY", "h", "f", "1"});
  other.run({"HINCRBYFLOAT", "h", "f", "0.5"});
  keyspace.merge(other);
  EXPECT_EQ(run({"HGET", "h", "f"}), bulk("11.5"));
}

TEST_F(CollectionCommands, OfTwoTypesTheHigherIsSeenUntilItIsGone) {
  TestKeyspace other(2);
  run({"SET", "k", "v"});
  other.run({"SADD", "k", "a", "b"});
  keyspace.merge(other);
  EXPECT_EQ(run({"TYPE", "k"}), "+set\r\n");
  EXPECT_EQ(run({"GET", "k"}),
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
  EXPECT_EQ(run({"DBSIZE"}), ":1\r\n");
  EXPECT_THAT(run({"EVEN.EXPLAIN", "k"}), testing::HasSubstr("conflict"));
  EXPECT_EQ(run({"SPOP", "k", "10"}).substr(0, 2), "*2");
  EXPECT_EQ(run({"GET", "k"}), bulk("v"));
  run({"DEL", "k"});
  EXPECT_EQ(run({"EXISTS", "k"}), ":0\r\n");
}

TEST_F(CollectionCommands, PoppedMembersAreGoneAndDifferent) {
  fill_set("s", 500);
  for (std::string_view count : {"3", "100", "300"}) {
    const auto before = bulks(run({"SMEMBERS", "s"}));
    const auto popped = bulks(run({"SPOP", "s", count}));
    const auto after = bulks(run({"SMEMBERS", "s"}));
    EXPECT_EQ(std::to_string(popped.size()), count);
    EXPECT_EQ(std::set(popped.begin(), popped.end()).size(), popped.size());
    auto together = after;
    together.insert(popped.begin(), popped.end());
    EXPECT_EQ(together, before);
  }
}

TEST_F(CollectionCommands, RandomMembersFollowTheSignOfTheCount) {
  fill_set("s", 5);
  EXPECT_EQ(bulks(run({"SRANDMEMBER", "s", "10"})), bulks(run({"SMEMBERS", "s"})));
  EXPECT_EQ(bulks(run({"SRANDMEMBER", "s", "-20"})).size(), 20u);
  EXPECT_EQ(run({"SRANDMEMBER", "s", "0"}), "*0\r\n");
  EXPECT_EQ(run({"SRANDMEMBER", "absent", "3"}), "*0\r\n");
  EXPECT_EQ(run({"SRANDMEMBER", "absent"}), "$-1\r\n");
  EXPECT_EQ(run({"SRANDMEMBER", "s", "-9223372036854775808"}),
            "-ERR value is out of range, value must between -9223372036854775807 and "
            "9223372036854775807\r\n");
  EXPECT_EQ(run({"SRANDMEMBER", "s", "-100000000"}), "-ERR value is out of range\r\n");
  EXPECT_EQ(run({"SPOP", "s", "-1"}), "-ERR value is out of range, must be positive\r\n");
}

TEST_F(CollectionCommands, EveryMemberIsDrawnSooner) {
  for (int size : {5, 200}) {
    fill_set("s", size);
    std::set<std::string> drawn;
    for (int i = 0; i < size * 40; ++i) drawn.insert(run({"SRANDMEMBER", "s"}));
    EXPECT_EQ(drawn.size(), static_cast<std::size_t>(size));
  }
}

TEST_F(CollectionCommands, RandomFieldsComeInPairsInResp3) {
  run({"HSET", "h", "f", "1"});
  EXPECT_EQ(run({"HRANDFIELD", "h", "1", "WITHVALUES"}), "*2\r\n" + bulk("f") + bulk("1"));
  keyspace.resp3 = true;
  EXPECT_EQ(run({"HRANDFIELD", "h", "1", "WITHVALUES"}), "*1\r\n*2\r\n" + bulk("f") + bulk("1"));
  EXPECT_EQ(run({"HGETALL", "h"}), "%1\r\n" + bulk("f") + bulk("1"));
  EXPECT_EQ(run({"SMEMBERS", "absent"}), "~0\r\n");
  EXPECT_EQ(run({"HRANDFIELD", "h", "1", "bogus"}), "-ERR syntax error\r\n");
}

// Replicas that execute a command each on their own have to draw the same, in whatever form they
// have the set: small ones hold members in the order in which they came, and one that has been
// large is a table.
TEST(Spop, DrawsByTheContentOfTheSetWhereReplicasExecuteIt) {
  TestKeyspace packed;
  TestKeyspace reversed;
  TestKeyspace table;
  const auto each = {&packed, &reversed, &table};
  for (int i = 0; i < 200; ++i) table.run({"sadd", "s", "x" + std::to_string(i)});
  for (int i = 0; i < 30; ++i) {
    packed.run({"sadd", "s", "m" + std::to_string(i)});
    reversed.run({"sadd", "s", "m" + std::to_string(29 - i)});
    table.run({"sadd", "s", "m" + std::to_string(i)});
  }
  for (int i = 0; i < 200; ++i) table.run({"srem", "s", "x" + std::to_string(i)});
  for (TestKeyspace* keyspace : each) keyspace->by_content = true;
  for (const std::string_view count : {"1", "3", "10"}) {
    const std::string drawn = packed.run({"spop", "s", count});
    EXPECT_EQ(reversed.run({"spop", "s", count}), drawn);
    EXPECT_EQ(table.run({"spop", "s", count}), drawn);
  }
  for (int i = 0; i < 5; ++i) {
    const std::string drawn = packed.run({"spop", "s"});
    EXPECT_EQ(reversed.run({"spop", "s"}), drawn);
    EXPECT_EQ(table.run({"spop", "s"}), drawn);
  }
  const std::string rest = packed.run({"spop", "s", "100"});
  EXPECT_EQ(reversed.run({"spop", "s", "100"}), rest);
  EXPECT_EQ(table.run({"spop", "s", "100"}), rest);
  EXPECT_EQ(packed.run({"exists", "s"}), ":0\r\n");
}

TEST_F(CollectionCommands, AScanOfAHashMayLeaveItsValuesOut) {
  run({"HSET", "h", "f", "v", "g", "w"});
  EXPECT_EQ(run({"HSCAN", "h", "0", "NOVALUES"}),
            "*2\r\n" + bulk("0") + "*2\r\n" + bulk("f") + bulk("g"));
  EXPECT_EQ(run({"HSCAN", "h", "0", "novalues", "MATCH", "g", "COUNT", "9"}),
            "*2\r\n" + bulk("0") + "*1\r\n" + bulk("g"));
  run({"SADD", "s", "m"});
  EXPECT_EQ(run({"SSCAN", "s", "0", "NOVALUES"}), "-ERR syntax error\r\n");
}

}  // namespace
}  // namespace even
