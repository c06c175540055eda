// Sets of sets, in what the comparison with redis-server does not see: records, expiry, and what
// concurrent replicas make of them.
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

class SetAlgebraCommands : public CommandFixture {};

TEST_F(SetAlgebraCommands, AResultMayTakeThePlaceOfOneOfItsInputs) {
  run({"SADD", "a", "x", "y"});
  run({"SADD", "b", "y", "z"});
  EXPECT_EQ(run({"SUNIONSTORE", "a", "a", "b"}), ":3\r\n");
  EXPECT_EQ(run({"SCARD", "a"}), ":3\r\n");
  EXPECT_EQ(run({"SDIFFSTORE", "a", "a", "b"}), ":1\r\n");
  EXPECT_EQ(run({"SMEMBERS", "a"}), "*1\r\n" + bulk("x"));
  EXPECT_EQ(run({"SINTERSTORE", "a", "a", "b"}), ":0\r\n");
  EXPECT_EQ(run({"EXISTS", "a"}), ":0\r\n");
}

TEST_F(SetAlgebraCommands, WhatIsStoredHasNoExpiryAndMayBeOfAnotherTypeBefore) {
  run({"SADD", "a", "x"});
  run({"SET", "b", "text", "EX", "100"});
  EXPECT_EQ(run({"SUNIONSTORE", "b", "a"}), ":1\r\n");
  EXPECT_EQ(run({"TTL", "b"}), ":-1\r\n");
  EXPECT_EQ(run({"SISMEMBER", "b", "x"}), ":1\r\n");
}

TEST_F(SetAlgebraCommands, AnEmptyResultForAnAbsentKeyMakesNoRecord) {
  run({"SADD", "a", "x"});
  EXPECT_EQ(records({"SINTERSTORE", "b", "a", "absent"}), 0u);
}

TEST_F(SetAlgebraCommands, ALastMemberThatMovesTakesItsKeyAndItsExpiryAlong) {
  run({"SADD", "a", "x"});
  run({"EXPIRE", "a", "100"});
  EXPECT_EQ(run({"SMOVE", "a", "b", "x"}), ":1\r\n");
  EXPECT_EQ(run({"EXISTS", "a"}), ":0\r\n");
  EXPECT_EQ(run({"SISMEMBER", "b", "x"}), ":1\r\n");
  run({"SADD", "a", "y"});
  EXPECT_EQ(run({"TTL", "a"}), ":-1\r\n");
}

TEST_F(SetAlgebraCommands, AMoveWithinOneSetMakesNoRecord) {
  run({"SADD", "a", "x"});
  EXPECT_EQ(records({"SMOVE", "a", "a", "x"}), 0u);
  EXPECT_EQ(run({"SMOVE", "a", "a", "x"}), ":1\r\n");
  EXPECT_EQ(run({"SMOVE", "a", "b", "absent"}), ":0\r\n");
}

TEST_F(SetAlgebraCommands, AMemberThatIsMovedInTwoDirectionsIsInBoth) {
  run({"SADD", "a", "x"});
  TestKeyspace other(2);
  other.merge(keyspace);
  run({"SMOVE", "a", "b", "x"});
  other.run({"SMOVE", "a", "c", "x"});
  keyspace.merge(other);
  EXPECT_EQ(run({"SISMEMBER", "a", "x"}), ":0\r\n");
  EXPECT_EQ(run({"SISMEMBER", "b", "x"}), ":1\r\n");
  EXPECT_EQ(run({"SISMEMBER", "c", "x"}), ":1\r\n");
}

TEST_F(SetAlgebraCommands, WhatIsAddedWhileAResultIsStoredStays) {
  run({"SADD", "a", "x"});
  run({"SADD", "r", "old"});
  TestKeyspace other(2);
  other.merge(keyspace);
  run({"SUNIONSTORE", "r", "a"});
  other.run({"SADD", "r", "new"});
  keyspace.merge(other);
  EXPECT_EQ(run({"SMISMEMBER", "r", "x", "new", "old"}), "*3\r\n:1\r\n:1\r\n:0\r\n");
}

TEST_F(SetAlgebraCommands, AnIntersectionIsCountedUpToALimit) {
  run({"SADD", "a", "1", "2", "3", "4"});
  run({"SADD", "b", "2", "3", "4", "5"});
  EXPECT_EQ(run({"SINTERCARD", "2", "a", "b"}), ":3\r\n");
  EXPECT_EQ(run({"SINTERCARD", "2", "a", "b", "LIMIT", "2"}), ":2\r\n");
  EXPECT_EQ(run({"SINTERCARD", "2", "a", "absent", "LIMIT", "2"}), ":0\r\n");
}

}  // namespace
}  // namespace even
