#include "engine/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace even {
namespace {

struct Case {
  std::string_view pattern;
  std::string_view text;
  bool matches;
};

TEST(Glob, MatchesAsRedisDoes) {
  const Case cases[] = {
      {"*", "abc", true},
      {"a*", "abc", true},
      {"*c", "abc", true},
      {"a*c", "abc", true},
      {"a*b", "abc", false},
      {"?b?", "abc", true},
      {"???", "ab", false},
      {"a[bx]c", "abc", true},
      {"a[^bx]c", "abc", false},
      {"a[a-c]c", "abc", true},
      {"a[c-a]c", "abc", true},
      {"a[^a-c]c", "adc", true},
      {"a\\*c", "a*c", true},
      {"a\\*c", "abc", false},
      {"a[\\]]c", "a]c", true},
      {"a[bc", "ab", true},
      {"a[", "ab", false},
      {"a\\", "a\\", true},
      {"a[b-", "a-", true},
      {"", "", true},
      {"", "a", false},
      {"abc", "abc", true},
      {"abc", "ABC", false},
      {"abc*", "abc", true},
      {"*a*b*c*", "xaybzc", true},
      {"*a*b*c*", "xcyb", false},
      {"[]a", "a", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(glob_match(c.pattern, c.text), c.matches) << c.pattern << " on " << c.text;
  }
}

TEST(Glob, AStarMatchesNothingBehindTextButNotAllOfNothing) {
  EXPECT_TRUE(glob_match("a**", "a"));
  EXPECT_FALSE(glob_match("**", ""));
}

TEST(Glob, IgnoresCaseWhenAsked) {
  EXPECT_TRUE(glob_match("A[B-C]*", "abx", true));
  EXPECT_FALSE(glob_match("A[B-C]*", "abx", false));
}

TEST(Glob, BytesAboveAsciiAndNulAreOrdinary) {
  EXPECT_TRUE(glob_match("\xc3[\x80-\xff]", "\xc3\xa9"));
  EXPECT_TRUE(glob_match(std::string_view("a\0b", 3), std::string_view("a\0b", 3)));
}

TEST(Glob, ManyStarsTakeNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "a*";
  pattern += "b";
  EXPECT_FALSE(glob_match(pattern, std::string(20000, 'a')));
}

}  // namespace
}  // namespace even
