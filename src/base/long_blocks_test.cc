// Blocks that are made ready by another thread, and kept.
#include "base/long_blocks.h"

#include <gtest/gtest.h>

#include <thread>

namespace even::long_blocks {
namespace {

constexpr std::size_t kBytes = 20 << 20;

void wait_until_ready(Expectation expectation) {
  while (!ready(expectation)) std::this_thread::yield();
}

void wait_until_kept(std::size_t bytes) {
  while (kept_bytes() != bytes) std::this_thread::yield();
}

class LongBlocks : public ::testing::Test {
 protected:
  LongBlocks() { wait_until_kept(0); }
  ~LongBlocks() override { set_limit(kDefaultLimit); }
};

TEST_F(LongBlocks, AreThereWhenTheyWereExpected) {
  wait_until_ready(expect(kBytes, 2));
  const std::size_t kept = kept_bytes();
  EXPECT_GE(kept, 2 * kBytes);
  EXPECT_LT(kept, 2 * kBytes + (4 << 20));
  void* first = allocate(kBytes);
  void* second = allocate(kBytes);
  EXPECT_NE(first, second);
  EXPECT_EQ(kept_bytes(), 0);
  release(first);
  release(second);
  EXPECT_EQ(kept_bytes(), kept);
  // Those that are kept count.
  wait_until_ready(expect(kBytes, 2));
  EXPECT_LE(kept_bytes(), kept);
}

TEST_F(LongBlocks, AreNotMadeOfShortOnes) {
  EXPECT_EQ(expect(kLeast - 1, 1), 0);
  EXPECT_TRUE(ready(0));
}

TEST_F(LongBlocks, AreUsedForWhatTakesMostOfThem) {
  wait_until_ready(expect(kBytes, 1));
  const std::size_t kept = kept_bytes();
  void* longer = allocate(2 * kBytes);
  EXPECT_EQ(kept_bytes(), kept);
  void* shorter = allocate(17 << 20);  // fits, as that is more than four fifths of it
  EXPECT_EQ(kept_bytes(), 0);
  set_limit(0);
  release(longer);
  release(shorter);
  EXPECT_EQ(kept_bytes(), 0);
}

TEST_F(LongBlocks, AreKeptUpToALimitAndForAWhile) {
  set_limit(kBytes + (4 << 20));
  wait_until_ready(expect(kBytes, 3));
  EXPECT_GE(kept_bytes(), kBytes);
  EXPECT_LE(kept_bytes(), kBytes + (4 << 20));
  void* fresh = allocate(3 * kBytes);
  release(fresh);
  EXPECT_LE(kept_bytes(), kBytes + (4 << 20));
  wait_until_kept(0);  // soon
}

TEST_F(LongBlocks, AreMadeAgainWhereTheMessageTookLonger) {
  Expected expected;
  EXPECT_FALSE(expected);
  expected.expect(kBytes, 3);
  EXPECT_TRUE(expected);
  wait_until_ready(expected.latest());
  wait_until_kept(0);
  while (!expected.there(2)) std::this_thread::yield();
  EXPECT_GE(kept_bytes(), 2 * kBytes);
  EXPECT_LT(kept_bytes(), 3 * kBytes);
  // Once: what others take meanwhile is not made for ever.
  wait_until_kept(0);
  EXPECT_TRUE(expected.there(2));
}

TEST_F(LongBlocks, AreThereAtOnceWhereNothingIsExpected) {
  EXPECT_TRUE(Expected().there(1));
  Expected short_ones;
  short_ones.expect(kLeast - 1, 5);
  EXPECT_TRUE(short_ones.there(5));
}

}  // namespace
}  // namespace even::long_blocks
