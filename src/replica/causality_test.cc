// What every replica has, as CAUSAL takes it to be: docs/causality.md, "Causes that all replicas
// have".
#include <gtest/gtest.h>

#include "replica/test_members.h"

namespace even::test {
namespace {

struct Everywhere : Members {
  void cut(Member& one, Member& other) {
    one.shard->link_down(other.number);
    other.shard->link_down(one.number);
  }
  // Whether `at` takes the record to be everywhere.
  bool is_everywhere(Member& at, const Dot& dot) {
    at.stable.want(world.clock.monotonic_us());
    converse(60);  // long enough for what is relayed
    VersionVector vector;
    vector.add(dot);
    return at.stable.beyond(0, vector).empty();
  }
};

TEST_F(Everywhere, IsWhatAllHaveReportedAndARestartDoesNotChangeThat) {
  link_all();
  converse();
  b.run({"set", "k", "v"});
  const Dot dot{b.id(), 1};
  EXPECT_TRUE(is_everywhere(a, dot));
  restart(b);
  restart(c);
  EXPECT_TRUE(is_everywhere(a, dot));
  restart(a);
  EXPECT_TRUE(is_everywhere(a, dot));
}

// b has lost its disk, and heard from c that it has all there is. a, which is cut off from b, has
// the report of b's former life.
TEST_F(Everywhere, IsNotWhatAReplicaHadInALifeThatOthersKnowToBeOver) {
  link_all();
  converse();
  cut(b, c);
  cut(a, c);
  b.run({"set", "k", "v"});
  const Dot dot{b.id(), 1};
  converse();
  ASSERT_EQ(a.vector()[dot.replica], dot.seq);
  a.shard->link_down(b.number);
  b.lose_disk();
  b.start();
  link(b, c);
  converse();
  link(a, c);
  EXPECT_FALSE(is_everywhere(a, dot));
  ASSERT_EQ(c.vector()[dot.replica], dot.seq);
  cut(b, c);
  EXPECT_FALSE(is_everywhere(a, dot)) << "a cut does not make c forget";
  link(a, b);
  EXPECT_TRUE(is_everywhere(a, dot)) << "b has it again";
  EXPECT_FALSE(is_everywhere(c, dot)) << "b has not told c";
  link(b, c);
  EXPECT_TRUE(is_everywhere(c, dot));
}

// Whom c's next life asks, has it.
TEST_F(Everywhere, StaysSoWhoeverIsAway) {
  link_all();
  converse();
  b.run({"set", "k", "v"});
  const Dot dot{b.id(), 1};
  ASSERT_TRUE(is_everywhere(a, dot));
  c.stop();
  for (Member* other : {&a, &b}) other->shard->link_down(c.number);
  restart(b);  // it knows of no run of c any more
  EXPECT_TRUE(is_everywhere(a, dot));
  b.run({"set", "k", "w"});
  EXPECT_FALSE(is_everywhere(a, {b.id(), 1}));
}

}  // namespace
}  // namespace even::test
