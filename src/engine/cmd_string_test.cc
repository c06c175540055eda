#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

constexpr std::string_view kOk = "+OK\r\n";
constexpr std::string_view kNull = "$-1\r\n";
constexpr std::string_view kWrongTypeReply =
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
constexpr std::string_view kNotIntegerReply = "-ERR value is not an integer or out of range\r\n";
constexpr std::string_view kSyntaxErrorReply = "-ERR syntax error\r\n";

class StringCommands : public CommandFixture {};

TEST_F(StringCommands, WhatIsSetIsRead) {
  EXPECT_EQ(run({"GET", "k"}), kNull);
  EXPECT_EQ(run({"SET", "k", "v"}), kOk);
  EXPECT_EQ(run({"GET", "k"}), bulk("v"));
  keyspace.resp3 = true;
  EXPECT_EQ(run({"GET", "absent"}), "_\r\n");
}

TEST_F(StringCommands, SetOptionsDecideOnWhatIsThere) {
  EXPECT_EQ(run({"SET", "k", "1", "XX"}), kNull);
  EXPECT_EQ(run({"SET", "k", "1", "NX"}), kOk);
  EXPECT_EQ(run({"SET", "k", "2", "NX"}), kNull);
  EXPECT_EQ(run({"SET", "k", "2", "xx", "get"}), bulk("1"));
  EXPECT_EQ(run({"SET", "k", "3", "NX", "GET"}), bulk("2"));
  EXPECT_EQ(run({"GET", "k"}), bulk("2"));
  EXPECT_EQ(run({"SET", "k", "2", "NX", "XX"}), kSyntaxErrorReply);
  EXPECT_EQ(run({"SET", "k", "2", "EX"}), kSyntaxErrorReply);
  EXPECT_EQ(run({"SET", "k", "2", "EX", "10", "KEEPTTL"}), kSyntaxErrorReply);
  EXPECT_EQ(run({"SET", "k", "2", "EX", "10", "PX", "10"}), kSyntaxErrorReply);
  EXPECT_EQ(run({"SET", "k", "2", "PERSIST"}), kSyntaxErrorReply);
}

TEST_F(StringCommands, CompareAndSetAndDelete) {
  EXPECT_EQ(run({"SET", "k", "1", "IFEQ", ""}), kNull);
  EXPECT_EQ(run({"DELIFEQ", "k", ""}), ":0\r\n");
  EXPECT_EQ(run({"SET", "k", "1"}), kOk);
  EXPECT_EQ(run({"SET", "k", "2", "IFEQ", "0"}), kNull);
  EXPECT_EQ(run({"SET", "k", "2", "ifeq", "1", "EX", "100"}), kOk);
  EXPECT_EQ(run({"TTL", "k"}), ":100\r\n");
  EXPECT_EQ(run({"SET", "k", "3", "GET", "IFEQ", "1", "KEEPTTL"}), bulk("2"));
  EXPECT_EQ(run({"SET", "k", "3", "KEEPTTL", "IFEQ", "2", "GET"}), bulk("2"));
  EXPECT_EQ(run({"TTL", "k"}), ":100\r\n");
  run({"INCR", "k"});
  EXPECT_EQ(run({"DELIFEQ", "k", "3"}), ":0\r\n");
  EXPECT_EQ(run({"DELIFEQ", "k", "4"}), ":1\r\n");
  EXPECT_EQ(run({"GET", "k"}), kNull);
  for (const std::string_view other : {"NX", "XX", "IFEQ"}) {
    EXPECT_EQ(run({"SET", "k", "1", "IFEQ", "0", other, "1"}), kSyntaxErrorReply);
    EXPECT_EQ(run({"SET", "k", "1", other, "IFEQ", "0"}), kSyntaxErrorReply);
  }
  EXPECT_EQ(run({"SET", "k", "1", "IFEQ"}), kSyntaxErrorReply);
  run({"SADD", "s", "1"});
  EXPECT_EQ(run({"SET", "s", "1", "IFEQ", "1"}), kWrongTypeReply);
  EXPECT_EQ(run({"DELIFEQ", "s", "1"}), kWrongTypeReply);
}

TEST_F(StringCommands, SetGetOfAnotherTypeFailsAndSetReplacesIt) {
  run({"SADD", "k", "m"});
  EXPECT_EQ(run({"SET", "k", "v", "GET"}), kWrongTypeReply);
  EXPECT_EQ(run({"GET", "k"}), kWrongTypeReply);
  EXPECT_EQ(run({"SET", "k", "v"}), kOk);
  EXPECT_EQ(run({"TYPE", "k"}), "+string\r\n");
}

TEST_F(StringCommands, ExpiryTimesAreChecked) {
  EXPECT_EQ(run({"SET", "k", "v", "EX", "0"}), "-ERR invalid expire time in 'set' command\r\n");
  EXPECT_EQ(run({"SETEX", "k", "-1", "v"}), "-ERR invalid expire time in 'setex' command\r\n");
  EXPECT_EQ(run({"PSETEX", "k", "9223372036854775807", "v"}),
            "-ERR invalid expire time in 'psetex' command\r\n");
  EXPECT_EQ(run({"SET", "k", "v", "EX", "9223372036854776"}),
            "-ERR invalid expire time in 'set' command\r\n");
  EXPECT_EQ(run({"SET", "k", "v", "EX", "x"}), kNotIntegerReply);
  EXPECT_EQ(keyspace.records, 0u);
}

TEST_F(StringCommands, SettingWithAnExpiryInThePastDeletes) {
  run({"SET", "k", "old"});
  EXPECT_EQ(run({"SET", "k", "v", "EXAT", "1"}), kOk);
  EXPECT_EQ(run({"GET", "k"}), kNull);
  EXPECT_EQ(keyspace.live_keys(), 0u);
  EXPECT_EQ(records({"SET", "absent", "v", "PXAT", "1"}), 0u);
}

TEST_F(StringCommands, SetDropsTheExpiryUnlessToldToKeepIt) {
  run({"SET", "k", "v", "PX", "1000"});
  run({"SET", "k", "w", "KEEPTTL"});
  EXPECT_EQ(run({"PTTL", "k"}), ":1000\r\n");
  run({"APPEND", "k", "x"});
  run({"SETRANGE", "k", "0", "y"});
  EXPECT_EQ(run({"PTTL", "k"}), ":1000\r\n");
  EXPECT_EQ(run({"GETSET", "k", "z"}), bulk("yx"));
  EXPECT_EQ(run({"PTTL", "k"}), ":-1\r\n");
}

TEST_F(StringCommands, AnExpiredStringIsGoneAndWritingStartsFromNothing) {
  run({"SET", "k", "10", "PX", "1000"});
  run({"INCRBY", "k", "5"});
  keyspace.now_ms += 999;
  EXPECT_EQ(run({"GET", "k"}), bulk("15"));
  keyspace.now_ms += 1;
  EXPECT_EQ(run({"GET", "k"}), kNull);
  EXPECT_EQ(run({"INCR", "k"}), ":1\r\n");
  EXPECT_EQ(run({"TTL", "k"}), ":-1\r\n");
}

TEST_F(StringCommands, GetexChangesTheExpiryOnlyWhenAsked) {
  run({"SET", "k", "v"});
  EXPECT_EQ(records({"GETEX", "k"}), 0u);
  EXPECT_EQ(records({"GETEX", "k", "PERSIST"}), 0u);
  EXPECT_EQ(run({"GETEX", "k", "EX", "5"}), bulk("v"));
  EXPECT_EQ(run({"TTL", "k"}), ":5\r\n");
  EXPECT_EQ(run({"GETEX", "k", "PERSIST"}), bulk("v"));
  EXPECT_EQ(run({"TTL", "k"}), ":-1\r\n");
  EXPECT_EQ(run({"GETEX", "k", "EXAT", "1"}), bulk("v"));
  EXPECT_EQ(run({"EXISTS", "k"}), ":0\r\n");
}

TEST_F(StringCommands, PartsAreReadAndWritten) {
  run({"SET", "k", "Hello World"});
  EXPECT_EQ(run({"GETRANGE", "k", "-5", "-1"}), bulk("World"));
  EXPECT_EQ(run({"GETRANGE", "k", "5", "2"}), bulk(""));
  EXPECT_EQ(run({"GETRANGE", "k", "-1", "-5"}), bulk(""));
  EXPECT_EQ(run({"SUBSTR", "k", "0", "100"}), bulk("Hello World"));
  EXPECT_EQ(run({"SETRANGE", "k", "6", "Redis"}), ":11\r\n");
  EXPECT_EQ(run({"SETRANGE", "new", "2", "x"}), ":3\r\n");
  EXPECT_EQ(run({"GET", "new"}), bulk(std::string_view("\0\0x", 3)));
  EXPECT_EQ(run({"SETRANGE", "k", "-1", "x"}), "-ERR offset is out of range\r\n");
  EXPECT_EQ(run({"SETRANGE", "k", "536870912", "x"}),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
  EXPECT_EQ(run({"SETRANGE", "k", "9223372036854775807", "x"}),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
  EXPECT_EQ(records({"SETRANGE", "k", "3", ""}), 0u);
  EXPECT_EQ(records({"SETRANGE", "absent", "3", ""}), 0u);
  EXPECT_EQ(records({"APPEND", "k", ""}), 0u);
  EXPECT_EQ(run({"APPEND", "empty", ""}), ":0\r\n");
  EXPECT_EQ(run({"EXISTS", "empty"}), ":1\r\n");
}

TEST_F(StringCommands, SeveralKeysAreWrittenInOneRecordForEachPartition) {
  EXPECT_EQ(run({"MSET", "a", "1", "b", "2", "a", "3"}), kOk);
  EXPECT_EQ(run({"MGET", "a", "b", "c"}), "*3\r\n" + bulk("3") + bulk("2") + std::string(kNull));
  EXPECT_EQ(run({"MSETNX", "c", "1", "a", "1"}), ":0\r\n");
  EXPECT_EQ(run({"EXISTS", "c"}), ":0\r\n");
  EXPECT_EQ(run({"MSETNX", "c", "1", "d", "1"}), ":1\r\n");
  EXPECT_EQ(run({"MSET", "a", "1", "b"}), "-ERR wrong number of arguments for 'mset' command\r\n");

  TestKeyspace one(1, 1);
  one.run({"MSET", "a", "1", "b", "2", "c", "3"});
  EXPECT_EQ(one.records, 1u);
}

TEST_F(StringCommands, IncrementsStopAtTheLimits) {
  run({"SET", "k", "9223372036854775806"});
  EXPECT_EQ(run({"INCR", "k"}), ":9223372036854775807\r\n");
  EXPECT_EQ(run({"INCR", "k"}), "-ERR increment or decrement would overflow\r\n");
  EXPECT_EQ(run({"GET", "k"}), bulk("9223372036854775807"));
  EXPECT_EQ(run({"DECRBY", "k", "-9223372036854775808"}), "-ERR decrement would overflow\r\n");
  run({"SET", "k", " 1"});
  EXPECT_EQ(run({"INCR", "k"}), kNotIntegerReply);
  EXPECT_EQ(run({"INCRBY", "k", "01"}), kNotIntegerReply);
}

TEST_F(StringCommands, RealsAreTrimmedAsRedisDoes) {
  run({"SET", "k", "10.50"});
  EXPECT_EQ(run({"INCRBYFLOAT", "k", "0.1"}), bulk("10.6"));
  EXPECT_EQ(run({"INCRBYFLOAT", "k", "-5"}), bulk("5.6"));
  run({"SET", "k", "5.0e3"});
  EXPECT_EQ(run({"INCRBYFLOAT", "k", "2.0e2"}), bulk("5200"));
  EXPECT_EQ(run({"INCR", "k"}), ":5201\r\n");
  EXPECT_EQ(run({"INCRBYFLOAT", "k", "inf"}), "-ERR increment would produce NaN or Infinity\r\n");
  EXPECT_EQ(run({"INCRBYFLOAT", "k", "x"}), "-ERR value is not a valid float\r\n");
  EXPECT_EQ(run({"GET", "k"}), bulk("5201"));
}

TEST_F(StringCommands, AnIntegerThatHasRealIncrementsStaysExactToTheLimits) {
  run({"INCRBYFLOAT", "k", "200"});
  EXPECT_EQ(run({"DECRBY", "k", "9223372036854775806"}), ":-9223372036854775606\r\n");
  EXPECT_EQ(run({"DECRBY", "k", "8"}), ":-9223372036854775614\r\n");
  EXPECT_EQ(run({"DECR", "k"}), ":-9223372036854775615\r\n");
}

TEST_F(StringCommands, ARealOfHundredsOfDigitsCanBeIncrementedAgain) {
  run({"SET", "k", "1e300"});
  run({"INCRBYFLOAT", "k", "1"});
  run({"APPEND", "k", "0"});
  const std::string sum = run({"INCRBYFLOAT", "k", "1"});
  EXPECT_EQ(sum.substr(0, 14), "$301\r\n99999999");
  EXPECT_EQ(run({"GET", "k"}), sum);
}

TEST_F(StringCommands, ASmallRealKeepsItsDigitsAfterALargeOneWasRemoved) {
  run({"INCRBYFLOAT", "k", "1e300"});
  run({"SET", "k", "10"});
  EXPECT_EQ(run({"INCRBYFLOAT", "k", "63.6"}), bulk("73.6"));
  EXPECT_EQ(run({"GET", "k"}), bulk("73.6"));
  run({"INCRBYFLOAT", "e", "1e300"});
  run({"PEXPIRE", "e", "10"});
  keyspace.now_ms += 10;
  run({"INCRBYFLOAT", "e", "0.5"});
  EXPECT_EQ(run({"GET", "e"}), bulk("0.5"));
}

// The tie of Counter::join: the point up to which others have removed the old curve is where the
// new one begins.
TEST_F(StringCommands, ANewCurveIsToldFromTheResidueOfTheOldOneEverywhere) {
  TestKeyspace remover(2);
  TestKeyspace late(3);
  run({"INCRBY", "k", "7"});
  remover.merge(keyspace);
  remover.run({"DEL", "k"});
  late.merge(remover);
  keyspace.merge(remover);
  run({"INCRBY", "k", "1"});
  late.merge(keyspace);
  EXPECT_EQ(late.run({"GET", "k"}), bulk("1"));
  late.merge(remover);
  keyspace.merge(remover);
  EXPECT_EQ(late.run({"GET", "k"}), bulk("1"));
  EXPECT_EQ(run({"GET", "k"}), bulk("1"));
}

TEST_F(StringCommands, ConcurrentIncrementsAddUpAndAConcurrentDeleteTakesOnlyWhatItSaw) {
  TestKeyspace other(2);
  run({"INCRBY", "k", "10"});
  other.merge(keyspace);
  run({"INCRBY", "k", "1"});
  other.run({"INCRBY", "k", "2"});
  keyspace.merge(other);
  EXPECT_EQ(run({"GET", "k"}), bulk("13"));

  other.merge(keyspace);
  run({"DEL", "k"});
  other.run({"INCRBY", "k", "5"});
  keyspace.merge(other);
  EXPECT_EQ(run({"GET", "k"}), bulk("5"));
}

}  // namespace
}  // namespace even
