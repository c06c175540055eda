#include "node/level_meter.h"

#include <gtest/gtest.h>

namespace even {
namespace {

using Kind = cluster::Level::Kind;

constexpr LevelOfRequest kReadAtOne = {Kind::kOne, false, false};
constexpr LevelOfRequest kWriteAtOne = {Kind::kOne, false, true};
constexpr LevelOfRequest kWriteAtQuorum = {Kind::kQuorum, false, true};

TEST(LevelMeter, WhatATurnHasExecutedIsAtOneUnlessSomethingElseIsNotedOfIt) {
  LevelMeter meter;
  meter.executed({Kind::kSession, false, false});
  meter.executed({Kind::kSession, false, false});
  meter.set_aside(true);  // a write at a quorum, which is answered later
  meter.end_turn(80, 10, 3);
  EXPECT_EQ(meter.counters().at(kReadAtOne).requests, 8u);
  EXPECT_EQ(meter.counters().at(kWriteAtOne).requests, 2u);
  EXPECT_EQ(meter.counters().at({Kind::kSession, false, false}).requests, 2u);
  EXPECT_EQ(meter.counters().at({Kind::kSession, false, false}).latency.buckets[1], 2u);
  EXPECT_EQ(meter.counters().at(kWriteAtQuorum).requests, 0u);
  EXPECT_FALSE(meter.answered(kWriteAtQuorum, 700, "+OK\r\n"));
  EXPECT_EQ(meter.counters().at(kWriteAtQuorum).requests, 1u);
  EXPECT_EQ(meter.counters().at(kWriteAtQuorum).refused, 0u);
  meter.end_turn(80, 1, 0);
  EXPECT_EQ(meter.counters().at(kReadAtOne).requests, 9u);
}

TEST(LevelMeter, ARefusalIsWhatALevelWasNotHadByAndNoOtherError) {
  EXPECT_EQ(refusal_code("-UNAVAILABLE QUORUM needs 2 of 3\r\n"), "UNAVAILABLE");
  EXPECT_EQ(refusal_code("-PARTIAL x\r\n"), "PARTIAL");
  EXPECT_EQ(refusal_code("-STALE\r\n"), "STALE");
  EXPECT_EQ(refusal_code("-WRONGTYPE x\r\n"), "");
  EXPECT_EQ(refusal_code("-UNAVAILABLES x\r\n"), "");
  EXPECT_EQ(refusal_code("$11\r\nUNAVAILABLE\r\n"), "");
  LevelMeter meter;
  EXPECT_FALSE(meter.answered(kWriteAtQuorum, 1, "-WRONGTYPE x\r\n"));
  EXPECT_TRUE(meter.answered(kWriteAtQuorum, 1, "-PARTIAL x\r\n"));
  EXPECT_EQ(meter.counters().at(kWriteAtQuorum).refused, 1u);
  // How long it takes to be refused is no cost of the level.
  EXPECT_EQ(meter.counters().at(kWriteAtQuorum).latency.buckets[0], 1u);
}

TEST(LevelMeter, SaysWhoCouldNotBeReachedWhenItRefused) {
  LevelMeter meter;
  const LevelMeter::Call call = {kWriteAtQuorum, "k", 7, 0};
  meter.note_refusal(call, "UNAVAILABLE", {3, 4});
  meter.note_refusal(call, "UNAVAILABLE", {4});
  meter.note_refusal(call, "UNAVAILABLE", {});
  ASSERT_EQ(meter.counters().refusals.size(), 1u);
  const auto& [reason, refusals] = *meter.counters().refusals.begin();
  EXPECT_EQ(reason.keyspace, "k");
  EXPECT_EQ(reason.code, "UNAVAILABLE");
  EXPECT_EQ(refusals.count, 3u);
  EXPECT_EQ(refusals.linked, 1u);
  EXPECT_EQ(refusals.unreachable, (std::map<NodeNumber, std::uint64_t>{{3, 1}, {4, 2}}));
}

TEST(LevelMeter, KeepsKeyspacesApartUpToANumber) {
  LevelMeter meter;
  for (int i = 0; i < 10'000; ++i) {
    meter.note_refusal({kWriteAtQuorum, "k" + std::to_string(i), 0, 0}, "STALE", {});
  }
  EXPECT_LE(meter.counters().refusals.size(), 300u);
  std::uint64_t all = 0;
  for (const auto& [reason, refusals] : meter.counters().refusals) all += refusals.count;
  EXPECT_EQ(all, 10'000u);
}

// Ten requests and a refusal in each interval, a conflict in all but the first ones.
TEST(LevelMeter, RecentIsAboutTheLastMinuteAndNoMore) {
  LevelMeter meter;
  const LevelMeter::Call call = {kWriteAtQuorum, "k", 7, 0};
  std::uint64_t conflicts = 0;
  std::int64_t now_us = 5;
  const auto counters = [&] {
    ConsistencyCounters all = meter.counters();
    all.conflicts = conflicts;
    all.arrivals[2] = {{conflicts, 0}, 0};
    return all;
  };
  EXPECT_EQ(meter.recent(counters(), now_us).second, 0);
  for (int interval = 0; interval < 40; ++interval) {
    meter.sample(counters(), now_us);
    if (interval < 30) meter.note_refusal(call, "UNAVAILABLE", {3});
    meter.end_turn(80, 10, 0);
    conflicts += 5;
    now_us += LevelMeter::kSampleUs;
    const auto [recent, seconds] = meter.recent(counters(), now_us);
    const int intervals = std::min(interval + 1, 13);
    EXPECT_EQ(seconds, 5.0 * intervals);
    EXPECT_EQ(recent.at(kReadAtOne).requests, 10u * static_cast<unsigned>(intervals));
    EXPECT_EQ(recent.at(kReadAtOne).latency.buckets[1], 10u * static_cast<unsigned>(intervals));
    EXPECT_EQ(recent.conflicts, 5u * static_cast<unsigned>(intervals));
    EXPECT_EQ(recent.arrivals.at(2).buckets[0], recent.conflicts);
  }
  // The last ten had none: they are 65 s, of which 50 without.
  const auto [recent, seconds] = meter.recent(counters(), now_us);
  ASSERT_EQ(recent.refusals.size(), 1u);
  EXPECT_EQ(recent.refusals.begin()->second.count, 3u);
  for (int interval = 0; interval < 13; ++interval) {
    meter.sample(counters(), now_us);
    now_us += LevelMeter::kSampleUs;
  }
  EXPECT_TRUE(meter.recent(counters(), now_us).first.refusals.empty());
}

TEST(LevelMeter, CountersOfThreadsAddUp) {
  LevelMeter one;
  LevelMeter two;
  one.end_turn(80, 3, 0);
  two.end_turn(80, 4, 1);
  two.note_refusal({kWriteAtQuorum, "k", 7, 0}, "PARTIAL", {3});
  ConsistencyCounters all = one.counters();
  all.arrivals[2] = {{1, 2}, 1};
  ConsistencyCounters other = two.counters();
  other.arrivals[2] = {{1, 0}, 0};
  all.merge(other);
  EXPECT_EQ(all.at(kReadAtOne).requests, 7u);
  EXPECT_EQ(all.at(kWriteAtOne).requests, 1u);
  EXPECT_EQ(all.refusals.size(), 1u);
  EXPECT_EQ(all.arrivals.at(2).buckets, (std::vector<std::uint64_t>{2, 2}));
  EXPECT_EQ(all.arrivals.at(2).below_zero, 1u);
}

TEST(LevelMeter, PlacesOfLevelsTellThemApart) {
  for (std::size_t i = 0; i < ConsistencyCounters::Levels().size(); ++i) {
    EXPECT_EQ(ConsistencyCounters::place(ConsistencyCounters::level_at(i)), i);
  }
}

}  // namespace
}  // namespace even
