// DUMP and RESTORE, in what the comparison with redis-server does not see; the form itself is
// tested in rdb/value_test.cc.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/command_fixture.h"

namespace even {
namespace {

using testing::StartsWith;

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

TEST_F(DumpCommands, AStreamIsRestoredWithItsGroups) {
  for (int i = 1; i <= 250; ++i) {
    const std::string id = "1-" + std::to_string(i);
    run({"XADD", "s", id, "field", "v" + id, i % 7 == 0 ? "other" : "same", std::to_string(i)});
  }
  run({"XADD", "s", "18446744073709551615-3", "alone", std::string(5000, 'x')});
  run({"XGROUP", "CREATE", "s", "g", "0"});
  run({"XREADGROUP", "GROUP", "g", "c", "COUNT", "120", "STREAMS", "s", ">"});
  run({"XREADGROUP", "GROUP", "g", "d", "COUNT", "3", "STREAMS", "s", ">"});
  run({"XGROUP", "CREATECONSUMER", "s", "g", "idle"});
  run({"XGROUP", "CREATE", "s", "new", "$"});
  run({"XACK", "s", "g", "1-2"});
  run({"XDEL", "s", "1-3", "18446744073709551615-3"});
  run({"XSETID", "s", "18446744073709551615-9", "ENTRIESADDED", "300", "MAXDELETEDID", "8-0"});
  const std::string payload = dump("s");
  keyspace.now_ms += 1000;
  EXPECT_EQ(run({"RESTORE", "copy", "0", payload}), "+OK\r\n");
  for (const std::vector<std::string_view>& words :
       std::vector<std::vector<std::string_view>>{{"XRANGE", "s", "-", "+"},
                                                  {"XINFO", "STREAM", "s", "FULL", "COUNT", "0"},
                                                  {"XINFO", "GROUPS", "s"},
                                                  {"XINFO", "CONSUMERS", "s", "g"},
                                                  {"XPENDING", "s", "g"},
                                                  {"XPENDING", "s", "g", "-", "+", "1000"}}) {
    std::vector<std::string_view> of_copy = words;
    *std::ranges::find(of_copy, "s") = "copy";
    EXPECT_EQ(keyspace.run(Args(of_copy)), keyspace.run(Args(words))) << words[0] << words[1];
  }
  EXPECT_EQ(dump("copy"), payload);
  // It goes on where it was.
  EXPECT_EQ(run({"XACK", "copy", "g", "1-1", "1-3"}), ":2\r\n");
  EXPECT_EQ(run({"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "copy", ">"}),
            "*1\r\n*2\r\n$4\r\ncopy\r\n*1\r\n*2\r\n$5\r\n1-124\r\n*4\r\n"
            "$5\r\nfield\r\n$6\r\nv1-124\r\n$4\r\nsame\r\n$3\r\n124\r\n");
  EXPECT_THAT(run({"XADD", "copy", "18446744073709551615-9", "f", "v"}), StartsWith("-ERR"));
  EXPECT_EQ(run({"XADD", "copy", "18446744073709551615-10", "f", "v"}),
            bulk("18446744073709551615-10"));
}

TEST_F(DumpCommands, AStreamWithoutEntriesIsRestored) {
  run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  EXPECT_EQ(run({"RESTORE", "copy", "0", dump("s")}), "+OK\r\n");
  EXPECT_EQ(run({"TYPE", "copy"}), "+stream\r\n");
  EXPECT_EQ(run({"XINFO", "STREAM", "copy"}), run({"XINFO", "STREAM", "s"}));
  EXPECT_EQ(run({"XINFO", "GROUPS", "copy"}), run({"XINFO", "GROUPS", "s"}));
  run({"XADD", "s", "5-1", "f", "v"});
  run({"XGROUP", "DESTROY", "s", "g"});
  run({"XDEL", "s", "5-1"});
  EXPECT_EQ(run({"RESTORE", "copy", "0", dump("s"), "REPLACE"}), "+OK\r\n");
  EXPECT_EQ(run({"XINFO", "STREAM", "copy"}), run({"XINFO", "STREAM", "s"}));
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
