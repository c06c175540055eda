#include "cli/nemesis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace even::cli {
namespace {

TEST(Nemesis, KnowsItsFaultsByName) {
  const auto faults = parse_faults("clock,kill-all,one-way,kill,cut,pause,restart");
  ASSERT_TRUE(faults);
  EXPECT_THAT(*faults,
              testing::ElementsAre(Fault::kClock, Fault::kKillAll, Fault::kOneWay, Fault::kKill,
                                   Fault::kCut, Fault::kPause, Fault::kRestart));
  EXPECT_EQ(fault_name(Fault::kOneWay), "one-way");
}

TEST(Nemesis, SaysWhichFaultsThereAre) {
  for (const char* list : {"fire", "", "kill,", "kill,fire"}) {
    const auto faults = parse_faults(list);
    ASSERT_FALSE(faults) << list;
    EXPECT_THAT(faults.error().message,
                testing::EndsWith("there are kill, kill-all, restart, pause, cut, one-way, clock"));
  }
}

}  // namespace
}  // namespace even::cli
