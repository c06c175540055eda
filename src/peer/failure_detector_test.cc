#include "peer/failure_detector.h"

#include <gtest/gtest.h>

#include <random>

namespace even {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

struct FailureDetectorTest : ::testing::Test {
  FailureDetectorTest() { detector.begin(now_us); }
  void hear_after(std::int64_t us) {
    now_us += us;
    detector.heard(now_us);
  }
  // How long it takes from now on until a silent node is suspected.
  std::int64_t patience_us() const {
    std::int64_t us = 0;
    while (!detector.suspects(now_us + us)) us += 10'000;
    return us;
  }

  FailureDetector detector;
  std::int64_t now_us = 5'000'000;
};

TEST_F(FailureDetectorTest, SuspectsWhoIsSilentForMuchLongerThanEver) {
  for (int i = 0; i < 50; ++i) hear_after(kSecond);
  EXPECT_FALSE(detector.suspects(now_us + kSecond));
  EXPECT_FALSE(detector.suspects(now_us + 2 * kSecond));
  EXPECT_TRUE(detector.suspects(now_us + 3 * kSecond));
  EXPECT_TRUE(detector.suspects(now_us + 300 * kSecond));  // however long
}

TEST_F(FailureDetectorTest, BusyTrafficThatEndsIsNoReasonForDoubt) {
  for (int i = 0; i < 100'000; ++i) hear_after(50);
  for (int i = 0; i < 1'000; ++i) hear_after(60'000);
  EXPECT_FALSE(detector.suspects(now_us + 2 * kSecond));
  for (int i = 0; i < 20; ++i) {
    hear_after(kSecond);
    EXPECT_FALSE(detector.suspects(now_us));
  }
}

TEST_F(FailureDetectorTest, HasMorePatienceWithALinkThatIsUneven) {
  for (int i = 0; i < 50; ++i) hear_after(kSecond);
  const std::int64_t even_link_us = patience_us();
  for (int i = 0; i < 25; ++i) {
    hear_after(kSecond / 5);
    hear_after(2 * kSecond);
  }
  EXPECT_GT(patience_us(), even_link_us + kSecond);
  EXPECT_LT(patience_us(), 20 * kSecond);
}

// A slow link delays all the same: nothing is late by that.
TEST_F(FailureDetectorTest, ASlowLinkIsNotASilentOne) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 10'000; ++i) {
    hear_after(kSecond + static_cast<std::int64_t>(random() % 300'000) - 150'000);
    ASSERT_FALSE(detector.suspects(now_us)) << i;
    ASSERT_FALSE(detector.suspects(now_us + kSecond)) << i;
  }
}

TEST_F(FailureDetectorTest, OneThatComesAndGoesIsNotSwitchedToAndFro) {
  for (int i = 0; i < 20; ++i) hear_after(kSecond);
  int switches = 0;
  bool suspected = false;
  for (int i = 0; i < 20; ++i) {
    for (std::int64_t silent_us = 0; silent_us < 15 * kSecond; silent_us += 100'000) {
      switches += detector.suspects(now_us + silent_us) != suspected ? 1 : 0;
      suspected = detector.suspects(now_us + silent_us);
    }
    hear_after(15 * kSecond);
    hear_after(kSecond);  // not for long enough
    EXPECT_TRUE(detector.suspects(now_us));
  }
  EXPECT_LE(switches, 2);
  for (int i = 0; i < 10; ++i) hear_after(kSecond);
  EXPECT_FALSE(detector.suspects(now_us));
}

TEST_F(FailureDetectorTest, OwnSleepIsNobodysSilence) {
  for (int i = 0; i < 20; ++i) hear_after(kSecond);
  now_us += 60 * kSecond;
  EXPECT_TRUE(detector.suspects(now_us));
  detector.slept(60 * kSecond);
  EXPECT_FALSE(detector.suspects(now_us));
}

TEST_F(FailureDetectorTest, ANewLinkBeginsAnew) {
  now_us += 60 * kSecond;
  EXPECT_TRUE(detector.suspects(now_us));
  detector.begin(now_us);
  EXPECT_FALSE(detector.suspects(now_us));
}

TEST(AnswerTime, IsLateWhatTakesMuchLongerThanItMostlyDoes) {
  AnswerTime time;
  EXPECT_EQ(time.late_us(), AnswerTime::kUnknownUs);
  for (int i = 0; i < 100; ++i) time.add(200);
  EXPECT_EQ(time.late_us(), AnswerTime::kLeastUs);
  for (int i = 0; i < 100; ++i) time.add(i % 2 == 0 ? 40'000 : 60'000);
  EXPECT_GT(time.late_us(), 60'000);
  EXPECT_LT(time.late_us(), 200'000);
  for (int i = 0; i < 100; ++i) time.add(3'000'000);
  EXPECT_EQ(time.late_us(), AnswerTime::kMostUs);
}

}  // namespace
}  // namespace even
