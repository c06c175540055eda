#include "verify/growing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/search.h"
#include "verify/test_histories.h"

namespace even::verify {
namespace {

using testing::HasSubstr;

TEST(Growing, WhatIsFoundIsAViolation) {
  int found = 0;
  for (const Model model : {Model::kAppend, Model::kCounter}) {
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      Generator generator{
          .model = model, .values = static_cast<int>(seed % 3), .cas = false, .damage = 0.1};
      const std::string lines = generator.make(seed);
      const History history = parse_history(model, lines);
      for (const Problem& problem : split_by_key(history)) {
        const auto contradiction = find_contradiction(problem);
        if (!contradiction) continue;
        ASSERT_FALSE(EveryOrder(problem).exists()) << lines << contradiction->reason;
        EXPECT_EQ(contradiction->operations.size(), 2u);
        EXPECT_FALSE(contradiction->reason.empty());
        ++found;
      }
    }
  }
  EXPECT_GT(found, 300);
}

std::string reason(Model model, const std::string& lines) {
  const History history = parse_history(model, lines);
  const auto contradiction = find_contradiction(split_by_key(history).front());
  return contradiction ? contradiction->reason : "";
}

TEST(Growing, EachContradictionIsNamed) {
  const std::string three = whole(1, "add", "3", "[3, 3]");
  EXPECT_THAT(reason(Model::kCounter,
                     three + whole(2, "read", "null", "3") + whole(3, "read", "null", "0")),
              HasSubstr("process 3's read → 0 came after process 2's read → 3"));
  EXPECT_THAT(reason(Model::kCounter,
                     event(2, "invoke", "read", "null") + three + event(2, "ok", "read", "1")),
              HasSubstr("process 1's add 3 → 3 went past"));
  const std::string a = whole(1, "append", "\"a\"", "\"a\"");
  const std::string b = whole(2, "append", "\"b\"", "\"b\"");
  EXPECT_THAT(reason(Model::kAppend, a + b + whole(3, "read", "null", "\"ab\"") +
                                         whole(4, "read", "null", "\"ba\"")),
              HasSubstr("neither is the beginning of the other"));
  EXPECT_THAT(reason(Model::kAppend, a + b + whole(3, "read", "null", "\"a\"")),
              HasSubstr("3's read → \"a\" lacks what process 2's append \"b\" had added"));
  EXPECT_EQ(reason(Model::kAppend, a + b + whole(3, "read", "null", "\"ab\"")), "");
}

TEST(Growing, CountersThatShrinkAndStringsThatAreReplacedAreLeftToTheSearch) {
  EXPECT_EQ(
      reason(Model::kCounter, whole(1, "add", "3", "[3, 3]") + whole(1, "read", "null", "3") +
                                  whole(1, "add", "-3", "[-3, 0]") + whole(1, "read", "null", "0")),
      "");
  EXPECT_EQ(reason(Model::kAppend,
                   whole(1, "append", "\"a\"", "\"a\"") + whole(1, "read", "null", "\"a\"") +
                       whole(1, "write", "\"\"", "\"\"") + whole(1, "read", "null", "\"\"")),
            "");
}

}  // namespace
}  // namespace even::verify
