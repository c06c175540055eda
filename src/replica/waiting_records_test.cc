#include "replica/waiting_records.h"

#include <gtest/gtest.h>

namespace even {
namespace {

const ReplicaId kA = ReplicaId::make(1, 1);
const ReplicaId kB = ReplicaId::make(2, 1);
const ReplicaId kC = ReplicaId::make(3, 1);

struct Waiting : ::testing::Test {
  WaitingRecords waiting;
  VersionVector seen;

  void add(const Dot& dot, std::initializer_list<Dot> needed) {
    WaitingRecords::Lacking lacking;
    for (const Dot& each : needed) {
      if (!seen.covers(each)) lacking.push_back({each.replica, each.seq});
    }
    waiting.add(dot, "bytes", std::move(lacking));
  }
  void join(const Dot& dot) {
    seen.add(dot);
    waiting.joined(dot.replica, dot.seq, seen);
  }
};

TEST_F(Waiting, ARecordIsReadyWhenTheLastThingItLacksHasBeenJoined) {
  add({kC, 2}, {{kC, 1}, {kA, 1}, {kB, 3}});
  join({kB, 3});
  EXPECT_FALSE(waiting.any_ready());
  join({kA, 1});
  EXPECT_FALSE(waiting.any_ready());
  join({kC, 1});
  ASSERT_TRUE(waiting.any_ready());
  EXPECT_EQ(waiting.bytes(), 5u);
  EXPECT_EQ(waiting.take_ready().first, (Dot{kC, 2}));
  EXPECT_TRUE(waiting.empty());
  EXPECT_EQ(waiting.bytes(), 0u);
}

TEST_F(Waiting, LaterRecordsOfTheSameReplicaStandForEarlierOnes) {
  add({kB, 1}, {{kA, 2}});
  seen.add({kA, 7});
  join({kA, 7});
  EXPECT_TRUE(waiting.any_ready());
}

TEST_F(Waiting, NoneIsLookedAtInVainHoweverManyWait) {
  constexpr std::uint64_t kMany = 10'000;
  for (std::uint64_t i = 2; i <= kMany; ++i) add({kB, i}, {{kB, i - 1}, {kA, i}});
  for (std::uint64_t i = 1; i <= kMany; ++i) {
    join({kA, i});
    join({kB, i});
    while (waiting.any_ready()) waiting.take_ready();
  }
  EXPECT_TRUE(waiting.empty());
  EXPECT_EQ(waiting.take_looked_in_vain(), 0u);
}

TEST_F(Waiting, AWholeVectorWakesWhateverItCovers) {
  add({kB, 1}, {{kA, 1}});
  add({kC, 1}, {{kB, 9}});
  seen.add({kA, 1});
  seen.add({kB, 9});
  waiting.joined(seen);
  waiting.take_ready();
  waiting.take_ready();
  EXPECT_TRUE(waiting.empty());
}

}  // namespace
}  // namespace even
