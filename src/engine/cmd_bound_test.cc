// EVEN.BOUND, and what commands do to bounded counters, at one replica and at several.
#include <gmock/gmock.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class BoundCommands : public CommandFixture {
 protected:
  // With all rights here.
  void begin(std::string_view key, std::string_view word, std::string_view bound,
             std::string_view number) {
    EXPECT_EQ(run({"SET", key, number}), "+OK\r\n");
    EXPECT_EQ(run({"EVEN.BOUND", key, word, bound}), "+OK\r\n");
  }
};

TEST_F(BoundCommands, IncrementsStopAtTheBound) {
  begin("low", "MIN", "0", "5");
  EXPECT_EQ(run({"DECRBY", "low", "5"}), ":0\r\n");
  EXPECT_EQ(run({"DECR", "low"}), "-NORIGHTS the counter is 0 from its bound 0: 1 are needed\r\n");
  EXPECT_EQ(run({"INCRBY", "low", "-1"}).substr(0, 9), "-NORIGHTS");
  EXPECT_EQ(run({"INCR", "low"}), ":1\r\n");
  EXPECT_EQ(run({"GET", "low"}), bulk("1"));
  begin("high", "max", "10", "9");
  EXPECT_EQ(run({"INCRBY", "high", "2"}).substr(0, 9), "-NORIGHTS");
  EXPECT_EQ(run({"INCR", "high"}), ":10\r\n");
  EXPECT_EQ(run({"DECRBY", "high", "100"}), ":-90\r\n");
  EXPECT_EQ(run({"EVEN.BOUND", "fresh", "MIN", "-3"}), "+OK\r\n");
  EXPECT_EQ(run({"DECRBY", "fresh", "3"}), ":-3\r\n");
}

TEST_F(BoundCommands, WordsAndNumbersAreChecked) {
  EXPECT_THAT(run({"EVEN.BOUND", "k", "MIN"}), StartsWith("-ERR"));
  EXPECT_THAT(run({"EVEN.BOUND", "k", "LEAST", "1"}), StartsWith("-ERR syntax"));
  EXPECT_THAT(run({"EVEN.BOUND", "k", "MIN", "x"}), HasSubstr("not an integer"));
  run({"SET", "text", "abc"});
  EXPECT_THAT(run({"EVEN.BOUND", "text", "MIN", "1"}), HasSubstr("not an integer"));
  run({"SADD", "set", "x"});
  EXPECT_THAT(run({"EVEN.BOUND", "set", "MIN", "1"}), StartsWith("-WRONGTYPE"));
  run({"SET", "n", "5"});
  EXPECT_THAT(run({"EVEN.BOUND", "n", "MIN", "6"}), HasSubstr("the value is 5"));
  EXPECT_EQ(run({"EVEN.BOUND", "n", "NONE"}), "+OK\r\n");
  EXPECT_EQ(run({"EVEN.BOUND", "absent", "NONE"}), "+OK\r\n");
  EXPECT_EQ(run({"EXISTS", "absent"}), ":0\r\n");
}

TEST_F(BoundCommands, TheBoundMovesAsFarAsThereAreRights) {
  begin("k", "MIN", "0", "10");
  EXPECT_THAT(run({"EVEN.BOUND", "k", "MIN", "11"}), StartsWith("-NORIGHTS"));
  EXPECT_EQ(run({"EVEN.BOUND", "k", "MIN", "8"}), "+OK\r\n");
  EXPECT_THAT(run({"DECRBY", "k", "3"}), StartsWith("-NORIGHTS the counter is 2 from its bound 8"));
  EXPECT_EQ(run({"EVEN.BOUND", "k", "MIN", "-5"}), "+OK\r\n");
  EXPECT_EQ(run({"DECRBY", "k", "15"}), ":-5\r\n");
  EXPECT_EQ(records({"EVEN.BOUND", "k", "MIN", "-5"}), 0u);
  EXPECT_THAT(run({"EVEN.BOUND", "k", "MAX", "5"}), StartsWith("-ERR the counter has a lowest"));
}

TEST_F(BoundCommands, OtherWritesKeepTheBoundOrAreRefused) {
  begin("k", "MIN", "1", "10");
  EXPECT_EQ(
      run({"SET", "k", "0"}),
      "-ERR a bounded counter takes integers from 1 only: EVEN.BOUND key NONE takes the bound "
      "away\r\n");
  EXPECT_THAT(run({"APPEND", "k", "x"}), StartsWith("-ERR a bounded counter"));
  EXPECT_THAT(run({"SETRANGE", "k", "5", "x"}), StartsWith("-ERR a bounded counter"));
  EXPECT_THAT(run({"SETBIT", "k", "1", "1"}), StartsWith("-ERR a bounded counter"));
  EXPECT_THAT(run({"GETSET", "k", "x"}), StartsWith("-ERR a bounded counter"));
  EXPECT_THAT(run({"INCRBYFLOAT", "k", "1"}), StartsWith("-ERR a bounded counter"));
  EXPECT_EQ(records({"MSET", "a", "1", "k", "x", "b", "1"}), 0u);
  EXPECT_EQ(run({"GET", "k"}), bulk("10"));
  EXPECT_EQ(run({"APPEND", "k", "0"}), ":3\r\n");
  EXPECT_EQ(run({"DECRBY", "k", "99"}), ":1\r\n");
  EXPECT_EQ(run({"SET", "k", "3"}), "+OK\r\n");
  EXPECT_THAT(run({"DECRBY", "k", "3"}), StartsWith("-NORIGHTS"));
  EXPECT_EQ(run({"SET", "k", "5", "KEEPTTL", "GET"}), bulk("3"));
  EXPECT_EQ(run({"OBJECT", "ENCODING", "k"}), bulk("int"));
  EXPECT_EQ(run({"STRLEN", "k"}), ":1\r\n");
  EXPECT_EQ(run({"EVEN.BOUND", "k", "NONE"}), "+OK\r\n");
  EXPECT_EQ(run({"DECRBY", "k", "10"}), ":-5\r\n");
}

TEST_F(BoundCommands, CopiesHaveTheBoundAndReplacedOnesLoseIt) {
  begin("k", "MIN", "0", "4");
  EXPECT_EQ(run({"COPY", "k", "l"}), ":1\r\n");
  EXPECT_EQ(run({"RENAME", "k", "m"}), "+OK\r\n");
  for (const std::string_view key : {"l", "m"}) {
    EXPECT_THAT(run({"DECRBY", key, "5"}), StartsWith("-NORIGHTS"));
    EXPECT_EQ(run({"DECRBY", key, "4"}), ":0\r\n");
  }
  run({"SET", "plain", "7"});
  EXPECT_EQ(run({"COPY", "plain", "l", "REPLACE"}), ":1\r\n");
  EXPECT_EQ(run({"DECRBY", "l", "10"}), ":-3\r\n");
  EXPECT_EQ(run({"DEL", "m"}), ":1\r\n");
  EXPECT_EQ(run({"DECR", "m"}), ":-1\r\n");
  EXPECT_THAT(run({"EVEN.EXPLAIN", "m"}), testing::Not(HasSubstr("bounded")));
}

TEST_F(BoundCommands, AnExpiryStays) {
  begin("k", "MIN", "0", "4");
  run({"PEXPIRE", "k", "1000"});
  EXPECT_EQ(run({"DECR", "k"}), ":3\r\n");
  EXPECT_EQ(run({"EVEN.BOUND", "k", "MIN", "1"}), "+OK\r\n");
  EXPECT_EQ(run({"PTTL", "k"}), ":1000\r\n");
  keyspace.now_ms += 1000;
  EXPECT_EQ(run({"GET", "k"}), "$-1\r\n");
  EXPECT_EQ(run({"DECRBY", "k", "9"}), ":-9\r\n");
}

TEST(BoundReplicas, OneHasNoRightsUntilItIsGivenSome) {
  TestKeyspace a(1);
  TestKeyspace b(2);
  a.run({"SET", "k", "10"});
  a.run({"EVEN.BOUND", "k", "MIN", "0"});
  b.merge(a);
  EXPECT_EQ(b.run({"GET", "k"}), bulk("10"));
  EXPECT_THAT(b.run({"DECR", "k"}),
              StartsWith("-NORIGHTS this node has the rights to 0 of the 10"));
  EXPECT_EQ(b.run({"INCRBY", "k", "2"}), ":12\r\n");
  EXPECT_EQ(b.run({"DECRBY", "k", "2"}), ":10\r\n");
  EXPECT_EQ(a.run({"DECRBY", "k", "10"}), ":0\r\n");
  a.merge(b);
  b.merge(a);
  EXPECT_EQ(a.run({"GET", "k"}), bulk("0"));
  EXPECT_EQ(b.run({"GET", "k"}), bulk("0"));
  EXPECT_TRUE(a.digests_hold() && b.digests_hold());
  EXPECT_THAT(a.run({"EVEN.EXPLAIN", "k"}), HasSubstr("0 may be used here"));
}

TEST(BoundReplicas, APlainNumberWrittenAtTheSameTimeIsHidden) {
  TestKeyspace a(1);
  TestKeyspace b(2);
  a.run({"SET", "k", "10"});
  b.merge(a);
  b.now_ms += 10;
  b.run({"SET", "k", "-7"});
  b.run({"DECRBY", "k", "100"});
  a.run({"EVEN.BOUND", "k", "MIN", "0"});
  a.merge(b);
  EXPECT_EQ(a.run({"GET", "k"}), bulk("10"));
  EXPECT_EQ(a.run({"SET", "k", "3"}), "+OK\r\n");
  b.merge(a);
  EXPECT_EQ(b.run({"GET", "k"}), bulk("3"));
  EXPECT_THAT(b.run({"EVEN.EXPLAIN", "k"}), testing::Not(HasSubstr("conflict")));
}

TEST(BoundReplicas, OfTwoMadeAtTheSameTimeEachIsWithinItsBound) {
  TestKeyspace a(1);
  TestKeyspace b(2);
  a.run({"SET", "k", "10"});
  b.merge(a);
  b.now_ms += 10;
  a.run({"EVEN.BOUND", "k", "MIN", "0"});
  b.run({"EVEN.BOUND", "k", "MIN", "5"});
  a.run({"DECRBY", "k", "10"});
  b.run({"DECRBY", "k", "5"});
  a.merge(b);
  b.merge(a);
  EXPECT_EQ(a.run({"GET", "k"}), bulk("5"));
  EXPECT_EQ(b.run({"GET", "k"}), bulk("5"));
  EXPECT_THAT(a.run({"EVEN.EXPLAIN", "k"}), HasSubstr("1 more"));
}

}  // namespace
}  // namespace even
