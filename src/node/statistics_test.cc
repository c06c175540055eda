#include "node/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/rate_meter.h"

namespace even {
namespace {

TEST(Statistics, AfterAResetOnlyWhatHasHappenedSinceCounts) {
  Statistics before;
  before.keyspace_hits = 5;
  before.commands["get"] = {.calls = 5, .rejected = 1, .failed = 1, .us = 10};
  before.commands["set"] = {.calls = 7, .us = 20};
  before.errors["ERR"] = 2;
  StatisticsReset reset;
  EXPECT_EQ(reset.since_reset(before).calls(), 12u);
  reset.reset(before);
  EXPECT_EQ(reset.since_reset(before).calls(), 0u);
  EXPECT_TRUE(reset.since_reset(before).commands.empty());
  EXPECT_TRUE(reset.since_reset(before).errors.empty());

  Statistics later = before;
  later.keyspace_hits += 2;
  later.commands["get"].calls += 3;
  later.commands["get"].us += 6;
  later.commands["del"].rejected = 1;
  later.errors["ERR"] += 1;
  later.errors["WRONGTYPE"] = 4;
  const Statistics since = reset.since_reset(later);
  EXPECT_EQ(since.keyspace_hits, 2u);
  EXPECT_EQ(since.calls(), 3u);
  EXPECT_EQ(since.error_replies(), 5u);
  ASSERT_EQ(since.commands.size(), 2u);
  EXPECT_EQ(since.commands.at("get").calls, 3u);
  EXPECT_EQ(since.commands.at("get").failed, 0u);
  EXPECT_DOUBLE_EQ(since.commands.at("get").us, 6);
  EXPECT_EQ(since.commands.at("del").rejected, 1u);
  EXPECT_THAT(since.errors,
              testing::ElementsAre(testing::Pair("ERR", 1u), testing::Pair("WRONGTYPE", 4u)));
}

TEST(RateMeter, IsTheMeanOverTheLastSamples) {
  RateMeter meter;
  EXPECT_EQ(meter.per_second(), 0);
  std::int64_t now_us = 5'000'000;
  std::uint64_t count = 100;
  const auto go_on = [&](std::uint64_t more) {
    count += more;
    meter.sample(count, now_us += RateMeter::kIntervalUs);
  };
  go_on(0);
  EXPECT_EQ(meter.per_second(), 0);
  go_on(50);
  EXPECT_DOUBLE_EQ(meter.per_second(), 500);
  for (int i = 0; i < 16; ++i) go_on(10);
  EXPECT_DOUBLE_EQ(meter.per_second(), 100);
  for (int i = 0; i < 8; ++i) go_on(0);
  EXPECT_DOUBLE_EQ(meter.per_second(), 50);
  for (int i = 0; i < 8; ++i) go_on(0);
  EXPECT_DOUBLE_EQ(meter.per_second(), 0);
}

}  // namespace
}  // namespace even
