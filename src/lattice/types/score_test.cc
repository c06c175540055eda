#include "lattice/types/score.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace even {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const ReplicaId kScoredOne = ReplicaId::make(1, 1);
const ReplicaId kScoredTwo = ReplicaId::make(2, 1);

TEST(Score, ItsBytesHaveNoZeroAtTheEnd) {
  EXPECT_EQ(ScoreBytes(0).view(), "");
  EXPECT_EQ(ScoreBytes(1).view(), "\x3f\xf0");
  EXPECT_EQ(ScoreBytes(-1.5).view(), "\xbf\xf8");
  EXPECT_EQ(ScoreBytes(-0.0).view(), "\x80");
  EXPECT_EQ(ScoreBytes(1000).view().size(), 3u);
  EXPECT_EQ(ScoreBytes(0.1).view().size(), 8u);
}

RC_GTEST_PROP(Score, ComesBackFromItsBytes, (std::uint64_t bits)) {
  const auto score = std::bit_cast<double>(bits);
  RC_PRE(!std::isnan(score));
  const ScoreBytes bytes(score);
  RC_ASSERT(is_score(bytes.view()));
  RC_ASSERT(std::bit_cast<std::uint64_t>(score_in(bytes.view())) == bits);
}

TEST(Score, IsWrittenAndReadAsRedisDoes) {
  for (const auto& [score, text] :
       std::vector<std::pair<double, std::string>>{{0, "0"},
                                                   {-0.0, "-0"},
                                                   {3, "3"},
                                                   {-17, "-17"},
                                                   {0.1, "0.10000000000000001"},
                                                   {1e15, "1000000000000000"},
                                                   {1e17, "1e+17"},
                                                   {123456789012345678, "1.2345678901234568e+17"},
                                                   {1e-5, "1.0000000000000001e-05"},
                                                   {kInfinity, "inf"},
                                                   {-kInfinity, "-inf"}}) {
    EXPECT_EQ(score_text(score), text);
    EXPECT_EQ(parse_score(text), score) << text;
  }
  EXPECT_EQ(parse_score("+2"), 2);
  EXPECT_EQ(parse_score("0x10"), 16);
  EXPECT_EQ(parse_score("+inf"), kInfinity);
  EXPECT_EQ(parse_score("Infinity"), kInfinity);
  for (const char* text : {"", " 1", "1 ", "nan", "1e400", "1e-5000", "x", "1x", "--1"}) {
    EXPECT_EQ(parse_score(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_score(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Score, IsTheRegistersWithTheIncrementsAdded) {
  Scalar member;
  member.siblings.push_back({{kScoredOne, 1}, Hlc::at(5), std::string(ScoreBytes(10).view())});
  EXPECT_EQ(score_of(member), 10);
  member.siblings.push_back({{kScoredTwo, 1}, Hlc::at(6), std::string(ScoreBytes(-2.5).view())});
  EXPECT_EQ(score_of(member), -2.5);
  const VersionVector nothing;
  member.integers.join(member.integers.view().incremented(kScoredOne, 2, 3, false), nothing);
  EXPECT_EQ(score_of(member), 0.5);
  member.reals.join(member.reals.view().incremented(kScoredTwo, 2, Real{0.25L}, false), nothing);
  EXPECT_EQ(score_of(member), 0.75);
  // To infinity nothing can be added.
  member.siblings.push_back(
      {{kScoredTwo, 3}, Hlc::at(7), std::string(ScoreBytes(-kInfinity).view())});
  EXPECT_EQ(score_of(member), -kInfinity);
  EXPECT_EQ(exact_score_of(member), std::nullopt);
}

TEST(Score, OfIncrementsAloneIsTheirSum) {
  EXPECT_EQ(score_of(ScalarView(CounterEntry<std::int64_t>{kScoredOne, 4, 7, 2, 3})), 4);
}

}  // namespace
}  // namespace even
