#include "env/random.h"

#include <gtest/gtest.h>

#include <random>

namespace even {
namespace {

// Entries of groups are executed with the numbers of their seed, by nodes of any version.
TEST(Random, GivesTheNumbersOfItsSeedWheneverItIsAsked) {
  Random random(42);
  Random copy = random;
  std::mt19937_64 engine(42);
  for (int i = 0; i < 1'000; ++i) {
    const auto number = engine();
    EXPECT_EQ(random.next(), number);
    EXPECT_EQ(copy.below(1'000), number % 1'000);
  }
  Random late = random;
  EXPECT_EQ(late.next(), engine());
}

}  // namespace
}  // namespace even
