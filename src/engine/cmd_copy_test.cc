// RENAME and COPY of each type, with expiry, and beside concurrent writes.
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

class CopyCommands : public CommandFixture {
 protected:
  // A key of each type, "<type>", of which a small and a large collection.
  void fill() {
    run({"SET", "string", "text"});
    run({"SET", "number", "5"});
    run({"INCRBY", "number", "2"});
    for (const int size : {3, 200}) {
      for (int i = 0; i < size; ++i) {
        const std::string n = std::to_string(i);
        const std::string of = ":" + std::to_string(size);
        run({"SADD", "set" + of, "m" + n});
        run({"HSET", "hash" + of, "f" + n, "v" + n});
        run({"ZADD", "zset" + of, n, "m" + n});
        run({"RPUSH", "list" + of, "e" + n});
      }
      run({"HINCRBY", "hash:" + std::to_string(size), "count", "7"});
      run({"ZINCRBY", "zset:" + std::to_string(size), "0.5", "m1"});
    }
  }
  std::string content(std::string_view key) {
    const std::string type = run({"TYPE", key});
    if (type == "+string\r\n") return run({"GET", key});
    if (type == "+zset\r\n") return run({"ZRANGE", key, "0", "-1", "WITHSCORES"});
    if (type == "+list\r\n") return run({"LRANGE", key, "0", "-1"});
    if (type == "+hash\r\n") {
      return run({"HLEN", key}) + run({"HMGET", key, "f0", "f2", "f199", "count"});
    }
    return run({"SCARD", key}) + run({"SMISMEMBER", key, "m0", "m2", "m199"});
  }

  static constexpr std::string_view kKeys[] = {"string", "number",   "set:3",  "set:200",
                                               "hash:3", "hash:200", "zset:3", "zset:200",
                                               "list:3", "list:200"};
};

TEST_F(CopyCommands, ACopyHoldsTheSameAndIsIndependent) {
  fill();
  for (const std::string_view key : kKeys) {
    const std::string before = content(key);
    EXPECT_EQ(run({"COPY", key, "copy", "REPLACE"}), ":1\r\n") << key;
    EXPECT_EQ(content("copy"), before) << key;
    EXPECT_EQ(run({"TYPE", "copy"}), run({"TYPE", key})) << key;
    run({"DEL", "copy"});
    EXPECT_EQ(content(key), before) << key;
  }
}

TEST_F(CopyCommands, ARenamedKeyTakesItsContentAndItsExpiryAlong) {
  fill();
  for (const std::string_view key : kKeys) {
    const std::string before = content(key);
    run({"PEXPIRE", key, "5000"});
    run({"SADD", "target", "what was there"});
    EXPECT_EQ(run({"RENAME", key, "target"}), "+OK\r\n") << key;
    EXPECT_EQ(content("target"), before) << key;
    EXPECT_EQ(run({"PTTL", "target"}), ":5000\r\n") << key;
    EXPECT_EQ(run({"EXISTS", key}), ":0\r\n") << key;
    run({"DEL", "target"});
  }
}

TEST_F(CopyCommands, AnExpiryOfTheTargetIsNotKept) {
  run({"SET", "a", "1"});
  run({"SET", "b", "2", "EX", "100"});
  run({"RENAME", "a", "b"});
  EXPECT_EQ(run({"TTL", "b"}), ":-1\r\n");
}

TEST_F(CopyCommands, ANumberThatIsCopiedGoesOnCounting) {
  run({"INCRBY", "n", "5"});
  run({"COPY", "n", "m"});
  EXPECT_EQ(run({"INCR", "m"}), ":6\r\n");
  EXPECT_EQ(run({"GET", "n"}), bulk("5"));
}

TEST_F(CopyCommands, AKeyThatIsRenamedToItselfStaysAsItIs) {
  run({"SET", "a", "1"});
  EXPECT_EQ(records({"RENAME", "a", "a"}), 0u);
  EXPECT_EQ(run({"RENAMENX", "a", "a"}), ":0\r\n");
  EXPECT_EQ(run({"GET", "a"}), bulk("1"));
}

TEST_F(CopyCommands, WhatIsWrittenToTheOldNameMeanwhileStaysThere) {
  run({"SADD", "old", "x"});
  TestKeyspace other(2);
  other.merge(keyspace);
  run({"RENAME", "old", "new"});
  other.run({"SADD", "old", "y"});
  keyspace.merge(other);
  EXPECT_EQ(run({"SMISMEMBER", "old", "x", "y"}), "*2\r\n:0\r\n:1\r\n");
  EXPECT_EQ(run({"SMISMEMBER", "new", "x", "y"}), "*2\r\n:1\r\n:0\r\n");
}

TEST_F(CopyCommands, AKeyThatIsGivenTwoNamesAtTheSameTimeHasBoth) {
  run({"SET", "old", "v"});
  TestKeyspace other(2);
  other.merge(keyspace);
  run({"RENAME", "old", "a"});
  other.run({"RENAMENX", "old", "b"});
  keyspace.merge(other);
  EXPECT_EQ(run({"MGET", "old", "a", "b"}), "*3\r\n$-1\r\n" + bulk("v") + bulk("v"));
}

}  // namespace
}  // namespace even
