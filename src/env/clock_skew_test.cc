#include "env/clock_skew.h"

#include <gtest/gtest.h>

#include "env/posix_clock.h"

namespace even {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

TEST(ClockSkew, IsNoneUntilItIsSet) {
  const ClockSkew skew;
  EXPECT_FALSE(skew.any());
  EXPECT_EQ(skew.offset_us(5 * kSecond), 0);
}

TEST(ClockSkew, AClockThatWasPutStaysOffByThat) {
  ClockSkew skew;
  skew.set(-3 * kSecond, 1, 100 * kSecond);
  EXPECT_TRUE(skew.any());
  EXPECT_EQ(skew.offset_us(100 * kSecond), -3 * kSecond);
  EXPECT_EQ(skew.offset_us(500 * kSecond), -3 * kSecond);
  skew.set(0, 1, 600 * kSecond);
  EXPECT_FALSE(skew.any());
  EXPECT_EQ(skew.offset_us(601 * kSecond), 0);
}

TEST(ClockSkew, AClockThatRunsFastOrSlowIsOffByMoreAndMore) {
  ClockSkew skew;
  skew.set(0, 1.5, 100 * kSecond);
  EXPECT_EQ(skew.offset_us(100 * kSecond), 0);
  EXPECT_EQ(skew.offset_us(110 * kSecond), 5 * kSecond);
  skew.set(kSecond, 0, 200 * kSecond);
  EXPECT_EQ(skew.offset_us(203 * kSecond), -2 * kSecond) << "it stands still";
}

TEST(PosixClock, WhatMakesTheWallClockWrongLeavesMonotonicTimeAlone) {
  ClockSkew skew;
  const PosixClock right, wrong(&skew);
  skew.set(-3'600 * kSecond, 1, right.monotonic_us());
  const std::int64_t before_us = right.monotonic_us();
  // One after the other: the arguments of a call are evaluated in any order.
  const std::int64_t wrong_us = wrong.wall_us(), right_us = right.wall_us();
  EXPECT_LE(wrong_us, right_us - 3'600 * kSecond);
  const std::int64_t wrong_ms = wrong.wall_ms(), right_ms = right.wall_ms();
  EXPECT_LE(wrong_ms, right_ms - 3'600'000);
  const std::int64_t now_us = wrong.monotonic_us();
  EXPECT_LE(before_us, now_us);
  EXPECT_LE(now_us, right.monotonic_us());
}

}  // namespace
}  // namespace even
