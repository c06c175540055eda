#include "replica/strong.h"

#include <gtest/gtest.h>

namespace even {
namespace {

using Kind = StrongOutcome::Kind;

TEST(Strong, ARefusalSaysNothingOfARequestThatAnEarlierAttemptMayHaveExecuted) {
  EXPECT_EQ(next_of(Kind::kRefused, /*unknown=*/false, true), StrongNext::kAnswered);
  EXPECT_EQ(next_of(Kind::kRefused, /*unknown=*/true, true), StrongNext::kAgain);
  EXPECT_EQ(next_of(Kind::kReply, /*unknown=*/true, true), StrongNext::kAnswered);
}

TEST(Strong, WhatMayHaveBeenExecutedIsTriedAgainOnlyIfThatDoesNoHarm) {
  EXPECT_EQ(next_of(Kind::kUnknown, true, /*repeatable=*/true), StrongNext::kAgain);
  EXPECT_EQ(next_of(Kind::kUnknown, true, /*repeatable=*/false), StrongNext::kUncertain);
  for (const Kind kind : {Kind::kElsewhere, Kind::kStale}) {
    EXPECT_EQ(next_of(kind, false, false), StrongNext::kAgain);
  }
}

TEST(Strong, AnIdIsKeptForLongerThanItsRequestIsRepeated) {
  EXPECT_GT(kept_ms(1, 5'000), 5'001);
  EXPECT_GT(kept_ms(600'000, 60'000), 660'000);
}

}  // namespace
}  // namespace even
