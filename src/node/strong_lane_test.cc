#include "node/strong_lane.h"

#include <gtest/gtest.h>

namespace even {
namespace {

StrongTurn write() { return {.writes = true, .repeatable = false}; }
StrongTurn read() { return {}; }

// Adds it, and sends it if that is allowed; returns whether it was.
bool go(StrongLane& lane, StrongTurn& turn) {
  lane.add(turn);
  turn.out = lane.may_go(turn);
  return turn.out;
}

TEST(StrongLane, WritesAndTheReadsBehindThemGoTogetherButNoWriteBehindARead) {
  StrongLane lane;
  StrongTurn first = write(), second = write(), third = read(), fourth = read(), fifth = write();
  EXPECT_TRUE(go(lane, first));
  EXPECT_FALSE(lane.is_behind(first));
  EXPECT_TRUE(go(lane, second));
  EXPECT_TRUE(go(lane, third));
  EXPECT_TRUE(lane.is_behind(third));
  EXPECT_TRUE(go(lane, fourth));
  EXPECT_FALSE(go(lane, fifth));
  lane.remove(first, true);
  lane.remove(second, true);
  lane.remove(third, true);
  EXPECT_FALSE(lane.may_go(fifth));
  lane.remove(fourth, true);
  EXPECT_TRUE(lane.may_go(fifth));
  EXPECT_FALSE(lane.is_behind(fifth));
}

TEST(StrongLane, AReadThatAnyMemberMayAnswerWaitsForAllAheadOfIt) {
  StrongLane lane;
  StrongTurn first = write(), second{.any_member = true};
  EXPECT_TRUE(go(lane, first));
  EXPECT_FALSE(go(lane, second));
  lane.remove(first, true);
  EXPECT_TRUE(lane.may_go(second));
}

TEST(StrongLane, NothingIsBehindAReadThatAnyMemberMayAnswer) {
  StrongLane lane;
  StrongTurn first{.any_member = true}, second = read(), third{.any_member = true};
  EXPECT_TRUE(go(lane, first));
  EXPECT_FALSE(go(lane, second));  // the first may show what is applied after the second's round
  EXPECT_FALSE(go(lane, third));
}

TEST(StrongLane, WhatALaterOneMayHaveBeenExecutedBeforeIsNotSentAgain) {
  StrongLane lane;
  StrongTurn first = write(), second{.writes = true};  // which can be repeated: EVEN.ONCE
  go(lane, first);
  go(lane, second);
  first.out = false;   // refused
  second.out = false;  // nobody knows
  second.unknown = true;
  EXPECT_TRUE(lane.is_passed(first));
  EXPECT_FALSE(lane.may_go(first));
  lane.remove(first, false);
  EXPECT_FALSE(lane.is_passed(second));
  EXPECT_TRUE(lane.may_go(second));
}

TEST(StrongLane, OneBehindOthersGoesWhereTheOneAheadOfItWent) {
  StrongLane lane;
  StrongTurn first = write(), second = write();
  go(lane, first);
  first.asked = 3;
  go(lane, second);
  EXPECT_EQ(lane.asked_ahead_of(second), 3);
}

TEST(StrongLane, WhatWasSentBackGoesAheadOfWhatCameLaterAndNotBehindIt) {
  StrongLane lane;
  StrongTurn first = write(), second = write(), third = write();
  EXPECT_TRUE(go(lane, first));
  EXPECT_TRUE(go(lane, second));
  first.out = false;  // sent back, while the second is still out
  EXPECT_FALSE(lane.may_go(first));
  EXPECT_FALSE(go(lane, third));
  second.out = false;  // so is the second
  EXPECT_FALSE(lane.may_go(second));
  EXPECT_TRUE(lane.may_go(first));
  first.out = true;
  EXPECT_TRUE(lane.may_go(second));
  EXPECT_FALSE(lane.may_go(third));
}

TEST(StrongLane, WhatALaterOneWasExecutedBeforeIsNotSentAgain) {
  StrongLane lane;
  StrongTurn first = write(), second = write(), third = write();
  go(lane, first);
  go(lane, second);
  go(lane, third);
  first.out = false;
  lane.remove(second, false);  // refused
  third.out = false;
  EXPECT_TRUE(lane.may_go(first));
  EXPECT_FALSE(first.overtaken);
  lane.remove(third, true);
  EXPECT_TRUE(first.overtaken);
  EXPECT_FALSE(lane.may_go(first));
}

TEST(StrongLane, ReadsAreRecalledWithTheReadsBehindThem) {
  StrongLane lane;
  StrongTurn first = write(), second = read(), third = read();
  go(lane, first);
  go(lane, second);
  go(lane, third);
  EXPECT_FALSE(lane.recall(first));
  EXPECT_TRUE(lane.recall(second));
  EXPECT_TRUE(first.out);
  EXPECT_FALSE(second.out);
  EXPECT_FALSE(third.out);
  EXPECT_TRUE(third.unknown);
  EXPECT_TRUE(lane.may_go(second));
  EXPECT_FALSE(lane.may_go(third));
}

}  // namespace
}  // namespace even
