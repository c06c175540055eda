// Sorted sets, in what the comparison with redis-server does not see: records, counters, what is
// left over, and forms in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/command_fixture.h"

namespace even {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class SortedSetCommands : public CommandFixture {
 protected:
  // Members m0, m1, ... of which each has its number for a score.
  void fill(std::string_view key, int size) {
    std::vector<std::string> words{"ZADD", std::string(key)};
    for (int i = 0; i < size; ++i) {
      words.push_back(std::to_string(i));
      words.push_back("m" + std::to_string(i));
    }
    const std::vector<std::string_view> views(words.begin(), words.end());
    keyspace.run(views);
  }
};

TEST_F(SortedSetCommands, AMemberGivenTwiceHasTheLastScoreAndCountsAsChanged) {
  EXPECT_EQ(run({"ZADD", "z", "CH", "1", "a", "2", "a", "2", "a"}), ":2\r\n");
  EXPECT_EQ(run({"ZSCORE", "z", "a"}), bulk("2"));
  EXPECT_EQ(run({"ZADD", "z", "NX", "5", "a", "1", "b", "9", "b"}), ":1\r\n");
  EXPECT_EQ(run({"ZSCORE", "z", "b"}), bulk("1"));
}

TEST_F(SortedSetCommands, WhatDoesNotApplyMakesNoRecord) {
  run({"ZADD", "z", "5", "a"});
  EXPECT_EQ(records({"ZADD", "z", "NX", "6", "a"}), 0u);
  EXPECT_EQ(records({"ZADD", "z", "GT", "4", "a"}), 0u);
  EXPECT_EQ(records({"ZADD", "z", "XX", "4", "b"}), 0u);
  EXPECT_EQ(records({"ZADD", "z", "LT", "INCR", "1", "a"}), 0u);
  EXPECT_EQ(records({"ZREM", "z", "b"}), 0u);
  EXPECT_EQ(records({"ZPOPMIN", "z", "0"}), 0u);
  EXPECT_EQ(records({"ZREMRANGEBYSCORE", "z", "6", "9"}), 0u);
  EXPECT_EQ(records({"ZRANGESTORE", "none", "z", "5", "9"}), 0u);
}

TEST_F(SortedSetCommands, AScoreThatIsThereIsWrittenAgainOnlyWhereOthersMayRemoveIt) {
  run({"ZADD", "z", "1", "a"});
  EXPECT_EQ(records({"ZADD", "z", "1", "a"}), 1u);
  keyspace.set_replicated(false);
  EXPECT_EQ(records({"ZADD", "z", "1", "a"}), 0u);
  EXPECT_EQ(records({"ZADD", "z", "1", "a", "1", "b"}), 1u);
  EXPECT_EQ(records({"ZINCRBY", "z", "0", "a"}), 0u);
}

TEST_F(SortedSetCommands, AZeroHasNoSign) {
  run({"ZADD", "z", "-0", "a"});
  EXPECT_EQ(run({"ZSCORE", "z", "a"}), bulk("0"));
  EXPECT_EQ(run({"ZINCRBY", "z", "-0", "b"}), bulk("-0"));  // the sum, as Redis replies it
  EXPECT_EQ(run({"ZSCORE", "z", "b"}), bulk("0"));
}

TEST_F(SortedSetCommands, IncrementsAddUpAsDoublesDo) {
  for (const bool replicated : {true, false}) {
    keyspace.set_replicated(replicated);
    run({"DEL", "z"});
    EXPECT_EQ(run({"ZINCRBY", "z", "0.1", "a"}), bulk("0.10000000000000001"));
    EXPECT_EQ(run({"ZINCRBY", "z", "0.2", "a"}), bulk("0.30000000000000004"));
    EXPECT_EQ(run({"ZSCORE", "z", "a"}), bulk("0.30000000000000004"));
    EXPECT_EQ(run({"ZINCRBY", "z", "1e300", "a"}), bulk("1.0000000000000001e+300"));
    EXPECT_EQ(run({"ZINCRBY", "z", "-1e300", "a"}), bulk("0"));
    EXPECT_EQ(run({"ZINCRBY", "z", "9007199254740993", "a"}), bulk("9007199254740992"));
    EXPECT_EQ(run({"ZINCRBY", "z", "1", "a"}), bulk("9007199254740992"));
    EXPECT_EQ(run({"ZINCRBY", "z", "2", "a"}), bulk("9007199254740994"));
    EXPECT_EQ(run({"ZSCORE", "z", "a"}), bulk("9007199254740994"));
  }
}

// The register and the increments of this run cancel each other; what is small must not be lost.
TEST_F(SortedSetCommands, AnIncrementIsNotLostBesideLargeOnesThatCancel) {
  keyspace.set_replicated(true);
  for (const std::string_view large : {"1e40", "1.7e18", "1e20"}) {
    const std::string back = "-" + std::string(large);
    run({"DEL", "z"});
    run({"ZADD", "z", large, "a"});
    EXPECT_EQ(run({"ZINCRBY", "z", back, "a"}), bulk("0"));
    EXPECT_EQ(run({"ZINCRBY", "z", "0.1", "a"}), bulk("0.10000000000000001"));
    EXPECT_EQ(run({"ZSCORE", "z", "a"}), bulk("0.10000000000000001"));
    EXPECT_EQ(run({"ZINCRBY", "z", "1", "a"}), bulk("1.1000000000000001"));
    EXPECT_EQ(run({"ZSCORE", "z", "a"}), bulk("1.1000000000000001"));
  }
}

// Of names that are not in order, since scores differ, the range must not depend on how the set is
// indexed: replicas of a strong keyspace each find it by themselves.
TEST_F(SortedSetCommands, ARangeOfNamesFollowsFromTheContentAlone) {
  const auto add = [&](std::string_view key, int from, int to) {
    for (int i = from; i < to; ++i) {
      run({"ZADD", key, std::to_string(i), fmt::format("m{:03}", i * 77 % 200)});
    }
  };
  add("once", 0, 200);
  add("later", 0, 100);
  run({"ZRANK", "later", "m000"});  // makes the index
  add("later", 100, 200);
  for (const auto& [min, max] : std::vector<std::pair<std::string_view, std::string_view>>{
           {"[m050", "[m150"}, {"[m100", "[m190"}, {"-", "(m003"}, {"(m198", "+"}}) {
    const std::string once = run({"ZLEXCOUNT", "once", min, max});
    EXPECT_EQ(run({"ZLEXCOUNT", "later", min, max}), once) << min << " " << max;
  }
}

TEST_F(SortedSetCommands, InfinityIsAScoreAndWhatIsNoNumberIsNot) {
  EXPECT_EQ(run({"ZADD", "z", "inf", "a", "-inf", "b"}), ":2\r\n");
  EXPECT_EQ(run({"ZINCRBY", "z", "5", "a"}), bulk("inf"));
  EXPECT_EQ(run({"ZINCRBY", "z", "-inf", "a"}), "-ERR resulting score is not a number (NaN)\r\n");
  EXPECT_EQ(run({"ZADD", "z", "nan", "c"}), "-ERR value is not a valid float\r\n");
  EXPECT_EQ(run({"ZINCRBY", "z", "1e308", "d"}), bulk("1e+308"));
  EXPECT_EQ(run({"ZINCRBY", "z", "1e308", "d"}), bulk("inf"));
  EXPECT_EQ(run({"ZRANGE", "z", "0", "-1"}), "*3\r\n" + bulk("b") + bulk("a") + bulk("d"));
}

TEST_F(SortedSetCommands, ARankMayComeWithItsScoreAndAScanWithoutScores) {
  run({"ZADD", "z", "1", "a", "2.5", "b"});
  EXPECT_EQ(run({"ZRANK", "z", "b", "WITHSCORE"}), "*2\r\n:1\r\n" + bulk("2.5"));
  EXPECT_EQ(run({"ZREVRANK", "z", "b", "withscore"}), "*2\r\n:0\r\n" + bulk("2.5"));
  EXPECT_EQ(run({"ZRANK", "z", "none", "WITHSCORE"}), "*-1\r\n");
  EXPECT_EQ(run({"ZRANK", "z", "none"}), "$-1\r\n");
  const std::string refusal = "-ERR wrong number of arguments for 'zrank' command\r\n";
  EXPECT_EQ(run({"ZRANK", "z", "b", "WITHSCORES"}), refusal);
  EXPECT_EQ(run({"ZRANK", "z", "b", "WITHSCORE", "WITHSCORE"}), refusal);
  EXPECT_EQ(run({"ZSCAN", "z", "0", "NOSCORES"}),
            "*2\r\n" + bulk("0") + "*2\r\n" + bulk("a") + bulk("b"));
  EXPECT_EQ(run({"ZSCAN", "z", "0", "NOVALUES"}), "-ERR syntax error\r\n");
}

TEST_F(SortedSetCommands, TheLastMemberTakesTheExpiryWithIt) {
  for (const auto& removal :
       std::vector<std::vector<std::string_view>>{{"ZREM", "z", "a", "b"},
                                                  {"ZPOPMAX", "z", "5"},
                                                  {"ZMPOP", "1", "z", "MIN", "COUNT", "2"},
                                                  {"ZREMRANGEBYRANK", "z", "0", "-1"},
                                                  {"ZREMRANGEBYSCORE", "z", "-inf", "+inf"},
                                                  {"ZREMRANGEBYLEX", "z", "-", "+"},
                                                  {"ZDIFFSTORE", "z", "2", "z", "z"}}) {
    run({"ZADD", "z", "1", "a"});
    run({"ZINCRBY", "z", "1", "b"});
    run({"EXPIRE", "z", "100"});
    keyspace.run(removal);
    EXPECT_EQ(run({"EXISTS", "z"}), ":0\r\n") << removal[0];
    keyspace.collect_residue();
    keyspace.collect_residue();
    EXPECT_EQ(keyspace.objects(), 0u) << removal[0];
    run({"ZADD", "z", "1", "a"});
    EXPECT_EQ(run({"TTL", "z"}), ":-1\r\n") << removal[0];
    run({"DEL", "z"});
  }
}

// What is found by an index that has seen all changes is what one made anew finds.
TEST_F(SortedSetCommands, ALargeSetIsInOrderWhateverHasChanged) {
  fill("z", 300);
  EXPECT_EQ(run({"ZRANK", "z", "m250"}), ":250\r\n");
  EXPECT_EQ(run({"ZADD", "z", "-5", "m250"}), ":0\r\n");
  EXPECT_EQ(run({"ZRANK", "z", "m250"}), ":0\r\n");
  EXPECT_EQ(run({"ZINCRBY", "z", "300.5", "m0"}), bulk("300.5"));
  EXPECT_EQ(run({"ZREVRANGE", "z", "0", "1"}), "*2\r\n" + bulk("m0") + bulk("m299"));
  EXPECT_EQ(run({"ZREM", "z", "m0", "m299"}), ":2\r\n");
  EXPECT_EQ(run({"ZREVRANGE", "z", "0", "0", "WITHSCORES"}), "*2\r\n" + bulk("m298") + bulk("298"));
  EXPECT_EQ(run({"ZCOUNT", "z", "(10", "20"}), ":10\r\n");
  EXPECT_EQ(run({"ZREMRANGEBYSCORE", "z", "10", "200"}), ":191\r\n");
  EXPECT_EQ(run({"ZCARD", "z"}), ":107\r\n");
  EXPECT_EQ(run({"ZRANGE", "z", "8", "10"}), "*3\r\n" + bulk("m8") + bulk("m9") + bulk("m201"));
  run({"ZUNIONSTORE", "z", "2", "z", "none", "WEIGHTS", "-1", "1"});
  EXPECT_EQ(run({"ZRANGE", "z", "0", "0"}), "*1\r\n" + bulk("m298"));
  run({"DEL", "z"});
  fill("z", 100);
  EXPECT_EQ(run({"ZRANK", "z", "m99"}), ":99\r\n");
}

TEST_F(SortedSetCommands, CommandsOfSeveralKeysReadSetsTooAndMayWriteOneOfThem) {
  run({"SADD", "s", "a", "b"});
  run({"ZADD", "z", "5", "b", "7", "c"});
  EXPECT_EQ(run({"ZUNION", "2", "s", "z", "WITHSCORES"}),
            "*6\r\n" + bulk("a") + bulk("1") + bulk("b") + bulk("6") + bulk("c") + bulk("7"));
  EXPECT_EQ(run({"ZUNIONSTORE", "s", "2", "s", "z"}), ":3\r\n");
  EXPECT_EQ(run({"TYPE", "s"}), "+zset\r\n");
  EXPECT_EQ(run({"ZRANGESTORE", "z", "z", "0", "0"}), ":1\r\n");
  EXPECT_EQ(run({"ZRANGE", "z", "0", "-1"}), "*1\r\n" + bulk("b"));
  run({"HSET", "h", "f", "v"});
  EXPECT_THAT(run({"ZINTER", "2", "z", "h"}), StartsWith("-WRONGTYPE"));
  EXPECT_EQ(run({"ZINTERSTORE", "h", "2", "z", "s"}), ":1\r\n");
  EXPECT_EQ(run({"TYPE", "h"}), "+zset\r\n");
}

// Of a set that is a table, whose members are gone when they are written as those of a sorted set.
TEST_F(SortedSetCommands, ALargeSetCanBecomeASortedSet) {
  std::vector<std::string> words{"SADD", "s"};
  for (int i = 0; i < 200; ++i) words.push_back("member-" + std::to_string(i));
  keyspace.run(std::vector<std::string_view>(words.begin(), words.end()));
  EXPECT_EQ(run({"ZUNIONSTORE", "s", "1", "s"}), ":200\r\n");
  EXPECT_EQ(run({"ZCOUNT", "s", "1", "1"}), ":200\r\n");
  EXPECT_EQ(run({"ZRANGE", "s", "0", "0"}), "*1\r\n" + bulk("member-0"));
}

TEST_F(SortedSetCommands, ReadersSeeASortedSetBeforeWhatElseWasCreatedUnderItsName) {
  run({"SADD", "k", "x"});
  EXPECT_THAT(run({"ZADD", "k", "1", "a"}), StartsWith("-WRONGTYPE"));
  EXPECT_THAT(run({"ZRANGE", "k", "0", "-1"}), StartsWith("-WRONGTYPE"));
  run({"DEL", "k"});
  run({"ZADD", "k", "1", "a"});
  EXPECT_THAT(run({"HGET", "k", "a"}), StartsWith("-WRONGTYPE"));
  EXPECT_THAT(run({"SADD", "k", "a"}), StartsWith("-WRONGTYPE"));
  EXPECT_THAT(run({"GET", "k"}), StartsWith("-WRONGTYPE"));
}

TEST_F(SortedSetCommands, ExplainShowsScoresAndWhatWasAddedToThem) {
  run({"ZADD", "z", "2.5", "a"});
  run({"ZINCRBY", "z", "2", "a"});
  run({"ZINCRBY", "z", "1", "gone"});
  run({"ZREM", "z", "gone"});
  const std::string text = run({"EVEN.EXPLAIN", "z"});
  EXPECT_THAT(text, HasSubstr("type: zset"));
  EXPECT_THAT(text, HasSubstr("sorted set: 1 members, 1 removed ones"));
  EXPECT_THAT(text, HasSubstr("score 2.5 written by"));
  EXPECT_THAT(text, HasSubstr("integer increments of replica"));
  EXPECT_THAT(text, HasSubstr("reads as 4.5"));
}

TEST_F(SortedSetCommands, TheEncodingIsThatOfRedis) {
  fill("z", 128);
  EXPECT_EQ(run({"OBJECT", "ENCODING", "z"}), bulk("listpack"));
  fill("z", 129);
  EXPECT_EQ(run({"OBJECT", "ENCODING", "z"}), bulk("skiplist"));
  run({"ZADD", "long", "1", std::string(65, 'x')});
  EXPECT_EQ(run({"OBJECT", "ENCODING", "long"}), bulk("skiplist"));
}

TEST_F(SortedSetCommands, KeysAreFoundBehindTheirNumber) {
  EXPECT_EQ(run({"COMMAND", "GETKEYS", "ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"}),
            "*3\r\n" + bulk("d") + bulk("a") + bulk("b"));
  EXPECT_EQ(run({"COMMAND", "GETKEYS", "ZMPOP", "1", "a", "MIN"}), "*1\r\n" + bulk("a"));
  EXPECT_THAT(run({"COMMAND", "GETKEYS", "ZINTER", "5", "a"}),
              StartsWith("-ERR Invalid arguments"));
}

}  // namespace
}  // namespace even
