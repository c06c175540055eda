#include "cluster/level.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace even::cluster {
namespace {

using Kind = Level::Kind;

Result<LeadingLevel> leading(std::initializer_list<std::string_view> words) {
  return leading_level(std::span(words.begin(), words.size()));
}

TEST(Level, IsReadFromOneOrTwoWords) {
  EXPECT_EQ(leading({"one", "GET"})->level, Level{Kind::kOne});
  EXPECT_EQ(leading({"1"})->level, Level{Kind::kOne});
  EXPECT_EQ(leading({"TWO"})->level, (Level{Kind::kReplicas, 2}));
  EXPECT_EQ(leading({"5", "GET"})->level, (Level{Kind::kReplicas, 5}));
  EXPECT_EQ(leading({"Linearizable", "GET"})->words, 1u);
  const auto bounded = leading({"bounded", "500", "GET"});
  EXPECT_EQ(bounded->level, (Level{Kind::kBounded, 500}));
  EXPECT_EQ(bounded->words, 2u);
}

TEST(Level, AnythingElseIsRefused) {
  for (const auto& words :
       std::initializer_list<std::initializer_list<std::string_view>>{{},
                                                                      {""},
                                                                      {"0"},
                                                                      {"-1"},
                                                                      {"ON"},
                                                                      {"ONES"},
                                                                      {"BOUNDED"},
                                                                      {"BOUNDED", "x"},
                                                                      {"BOUNDED", "-5"},
                                                                      {"99999999999"}}) {
    EXPECT_FALSE(leading(words));
  }
}

TEST(Level, IsWrittenAsItIsRead) {
  for (const Level level :
       {Level{}, Level{Kind::kOne}, Level{Kind::kReplicas, 2}, Level{Kind::kReplicas, 7},
        Level{Kind::kQuorum}, Level{Kind::kAll}, Level{Kind::kSession}, Level{Kind::kCausal},
        Level{Kind::kBounded, 0}, Level{Kind::kSequential}, Level{Kind::kLinearizable}}) {
    const std::string text = to_string(level);
    const std::size_t space = text.find(' ');
    const std::string_view words[] = {
        std::string_view(text).substr(0, space),
        space == std::string::npos ? "" : std::string_view(text).substr(space + 1)};
    EXPECT_EQ(leading_level(words)->level, level) << text;
  }
}

}  // namespace
}  // namespace even::cluster
