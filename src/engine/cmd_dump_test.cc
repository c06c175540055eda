// DUMP and RESTORE, in what the comparison with redis-server does not see; the form itself is
// tested in rdb/value_test.cc.
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

class DumpCommands : public CommandFixture {
 protected:
  std::string dump(std::string_view key) {
    const std::string reply = run({"DUMP", key});
    const std::size_t begin = reply.find("\r\n") + 2;
    return reply.substr(begin, reply.size() - begin - 2);
  }
};

TEST_F(DumpCommands, WhatIsRestoredIsWhatWasDumped) {
  run({"SET", "string", "text"});
  run({"INCRBY", "number", "7"});
  for (int i = 0; i < 200; ++i) {
    const std::string n = std::to_string(i);
    run({"SADD", "set", "m" + n});
    run({"HSET", "hash", "f" + n, "v" + n});
    run({"ZADD", "zset", n + ".5", "m" + n});
    run({"RPUSH", "list", "e" + n});
  }
  run({"HINCRBY", "hash", "count", "3"});
  for (const char* key : {"string", "number", "set", "hash", "zset", "list"}) {
    EXPECT_EQ(run({"RESTORE", "copy", "0", dump(key), "REPLACE"}), "+OK\r\n") << key;
    EXPECT_EQ(run({"TYPE", "copy"}), run({"TYPE", key})) << key;
    EXPECT_EQ(dump("copy").size(), dump(key).size()) << key;
  }
  run({"RESTORE", "copy", "0", dump("list"), "REPLACE"});
  EXPECT_EQ(run({"LRANGE", "copy", "0", "-1"}), run({"LRANGE", "list", "0", "-1"}));
  run({"RESTORE", "copy", "0", dump("zset"), "REPLACE"});
  EXPECT_EQ(run({"ZRANGE", "copy", "0", "-1", "WITHSCORES"}),
            run({"ZRANGE", "zset", "0", "-1", "WITHSCORES"}));
  run({"RESTORE", "copy", "0", dump("hash"), "REPLACE"});
  EXPECT_EQ(run({"HMGET", "copy", "f0", "f199", "count"}),
            run({"HMGET", "hash", "f0", "f199", "count"}));
}

TEST_F(DumpCommands, AKeyExpiresWhenItIsToldTo) {
  run({"SET", "a", "v"});
  const std::string payload = dump("a");
  EXPECT_EQ(run({"RESTORE", "b", "5000", payload}), "+OK\r\n");
  EXPECT_EQ(run({"PTTL", "b"}), ":5000\r\n");
  EXPECT_EQ(run({"RESTORE", "b", std::to_string(keyspace.now_ms + 7), payload, "ABSTTL"}),
            "-BUSYKEY Target key name already exists.\r\n");
  run({"RESTORE", "b", std::to_string(keyspace.now_ms + 7), payload, "ABSTTL", "REPLACE"});
  EXPECT_EQ(run({"PTTL", "b"}), ":7\r\n");
  // In the past: nothing is made, and what was there goes.
  EXPECT_EQ(run({"RESTORE", "b", "1", payload, "ABSTTL", "REPLACE"}), "+OK\r\n");
  EXPECT_EQ(run({"EXISTS", "b"}), ":0\r\n");
}

TEST_F(DumpCommands, LittleThatStandsForMuchIsRefusedBeyondHalfOfTheMemory) {
  constexpr std::string_view kRefusal =
      "-OOM the payload's value takes more memory than one RESTORE may\r\n";
  // Elements of two bytes each, in nodes that are alike within.
  std::vector<std::string_view> push{"RPUSH", "list"};
  push.resize(20'002, "1");
  keyspace.run(Args(push));
  const std::string payload = dump("list");
  ASSERT_LT(payload.size(), 1000u);
  keyspace.memory_limit = 16 << 20;
  EXPECT_EQ(records({"RESTORE", "copy", "0", payload}), 0u);
  EXPECT_EQ(run({"RESTORE", "copy", "0", payload}), kRefusal);
  EXPECT_EQ(run({"EXISTS", "copy"}), ":0\r\n");
  EXPECT_EQ(run({"RESTORE", "list", "0", payload, "REPLACE"}), kRefusal);
  EXPECT_EQ(run({"LLEN", "list"}), ":20000\r\n");
  for (const std::uint64_t limit : {32ull << 20, 0ull}) {
    keyspace.memory_limit = limit;
    EXPECT_EQ(run({"RESTORE", "copy", "0", payload, "REPLACE"}), "+OK\r\n");
    EXPECT_EQ(run({"LLEN", "copy"}), ":20000\r\n");
  }
}

TEST_F(DumpCommands, AsManyElementsAsRequestsWouldHaveNeedNoLeave) {
  for (int i = 0; i < 2000; ++i) run({"SADD", "set", "member" + std::to_string(i)});
  const std::string payload = dump("set");
  keyspace.memory_limit = 1;
  EXPECT_EQ(run({"RESTORE", "copy", "0", payload}), "+OK\r\n");
  EXPECT_EQ(run({"SCARD", "copy"}), ":2000\r\n");
}

TEST_F(DumpCommands, ADamagedPayloadLeavesEverythingAsItWas) {
  run({"SET", "a", "v"});
  std::string payload = dump("a");
  payload[1] = static_cast<char>(payload[1] ^ 4);
  EXPECT_EQ(records({"RESTORE", "a", "0", payload, "REPLACE"}), 0u);
  EXPECT_EQ(run({"RESTORE", "a", "0", payload, "REPLACE"}),
            "-ERR DUMP payload version or checksum are wrong\r\n");
  EXPECT_EQ(run({"GET", "a"}), bulk("v"));
}

}  // namespace
}  // namespace even
