#include "verify/reduce.h"

#include <gtest/gtest.h>

#include "verify/linearizable.h"
#include "verify/test_histories.h"

namespace even::verify {
namespace {

constexpr auto kNoDeadline = std::chrono::steady_clock::time_point::max();

const Generator kGenerators[] = {
    {},
    {.values = 0},
    {.cas = false},
    {.values = 0, .info = 0.4},
    {.model = Model::kAppend, .cas = false},
    {.model = Model::kAppend},
    {.model = Model::kAppend, .values = 0, .cas = false},
    {.model = Model::kCounter, .cas = false},
    {.model = Model::kCounter},
    {.model = Model::kSet},
    {.model = Model::kSet, .removes = false},
    {.model = Model::kSet, .whole_reads = false},
};

TEST(Reduce, WhatIsLeftHasNoOrder) {
  int reduced = 0;
  for (const Generator& base : kGenerators) {
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
      Generator generator = base;
      generator.operations = 12;
      generator.clients = 4;
      generator.damage = 0.15;
      const std::string lines = generator.make(seed);
      const History history = parse_history(generator.model, lines);
      for (Problem& problem : split_by_key(history)) {
        if (search(problem, {}) != Verdict::kViolated) continue;
        const Problem rest = reduce(problem, kNoDeadline);
        ASSERT_FALSE(EveryOrder(rest).exists()) << "seed " << seed << "\n" << lines;
        ASSERT_LE(rest.operations.size(), problem.operations.size());
        ++reduced;
      }
    }
  }
  EXPECT_GT(reduced, 500);
}

std::string shown(const Problem& problem) {
  std::string text;
  for (const Operation& it : problem.operations) {
    text += fmt::format("{} to {}: {}\n", it.invoked, it.completed,
                        operation_text(*problem.history, it));
  }
  return text;
}

// Leaving out what was needed would make a violation of operations that have an order.
TEST(Reduce, OperationsThatHaveAnOrderAreNeverMadeIntoAViolation) {
  int reduced = 0;
  for (const Generator& base : kGenerators) {
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
      Generator generator = base;
      generator.operations = 14;
      generator.clients = 4;
      std::string lines = generator.make(seed);
      const auto sound = std::ranges::count(lines, '\n');
      // What is wrong comes after them and would be wrong without them.
      const bool is_string = generator.model == Model::kAppend;
      const bool is_set = generator.model == Model::kSet;
      const std::string_view f = is_set ? "contains" : "read";
      const std::string_view argument = is_set ? "777" : "null";
      const std::string_view result = is_string ? "\"777\"" : is_set ? "[777, true]" : "777";
      lines += event(900, "invoke", f, argument) + event(900, "ok", f, result);
      const History history = parse_history(generator.model, lines);
      // All of the key: what decide() would single out is small already.
      const Problem rest = reduce(split_by_key(history).front(), kNoDeadline);
      // (Or what it returned is taken for what the key holds at first.)
      const bool begins_with_it = rest.initial != split_by_key(history).front().initial &&
                                  value_text(history, rest.initial) == result;
      ASSERT_TRUE(begins_with_it || std::ranges::any_of(rest.operations,
                                                        [&](const Operation& it) {
                                                          return it.invoked >
                                                                 static_cast<Position>(sound);
                                                        }))
          << "seed " << seed << "\n"
          << lines << shown(rest);
      ++reduced;
    }
  }
  EXPECT_GT(reduced, 500);
}

TEST(Reduce, AStaleReadInALongHistoryIsShownWithWhatMakesItStaleOnly) {
  Generator generator{.clients = 5, .operations = 3000, .values = 0, .info = 0.01};
  const std::string before = generator.make(1);
  std::string lines = before;
  lines += event(900'001, "invoke", "write", "700001") + event(900'001, "ok", "write", "700001");
  lines += event(900'001, "invoke", "write", "700002") + event(900'001, "ok", "write", "700002");
  lines += event(900'002, "invoke", "read", "null") + event(900'002, "ok", "read", "700001");
  lines += event(900'002, "invoke", "write", "700003") + event(900'002, "ok", "write", "700003");
  const History history = parse_history(Model::kRegister, lines);
  const CheckResult result = check_linearizable(history, {});
  ASSERT_EQ(result.verdict, Verdict::kViolated);
  const Problem rest = reduce(*result.violation, kNoDeadline);
  ASSERT_EQ(rest.operations.size(), 3u);
  EXPECT_EQ(operation_text(history, rest.operations[0]), "write 700001");
  EXPECT_EQ(operation_text(history, rest.operations[1]), "write 700002");
  EXPECT_EQ(operation_text(history, rest.operations[2]), "read → 700001");
}

TEST(Reduce, LongHistoriesWithRepeatedValuesBecomeShortToo) {
  Generator generator{.clients = 5, .operations = 2000, .values = 4, .info = 0};
  std::string lines = generator.make(1);
  lines += event(900, "invoke", "write", "1") + event(900, "ok", "write", "1");
  lines += event(900, "invoke", "cas", "[1, 2]") + event(900, "fail", "cas", "[1, 2]");
  const History history = parse_history(Model::kRegister, lines);
  const CheckResult result = check_linearizable(history, {});
  ASSERT_EQ(result.verdict, Verdict::kViolated);
  EXPECT_EQ(reduce(*result.violation, kNoDeadline).operations.size(), 2u);
}

TEST(Reduce, StringsAndCountersBeginWithWhatWasReadLate) {
  std::string lines;
  std::string text;
  for (int i = 1; i <= 300; ++i) {
    const std::string value = fmt::format("[{}]", i);
    text += value;
    lines += event(1, "invoke", "append", '"' + value + '"') +
             event(1, "ok", "append", '"' + value + '"');
  }
  lines += event(2, "invoke", "read", "null") + event(2, "ok", "read", '"' + text + '"');
  // Nobody appended that.
  lines += event(2, "invoke", "read", "null") + event(2, "ok", "read", '"' + text + "[999]\"");
  const History appends = parse_history(Model::kAppend, lines);
  CheckResult result = check_linearizable(appends, {});
  ASSERT_EQ(result.verdict, Verdict::kViolated);
  Problem rest = reduce(*result.violation, kNoDeadline);
  EXPECT_EQ(rest.operations.size(), 1u) << shown(rest);
  EXPECT_EQ(appends.values.text(rest.initial), text);

  lines.clear();
  for (int i = 1; i <= 300; ++i) {
    lines += event(1, "invoke", "add", "2") + event(1, "ok", "add", fmt::format("[2, {}]", 2 * i));
  }
  // What may have been added is not what is missing.
  lines += event(3, "invoke", "add", "5") + event(3, "info", "add", "null");
  lines += event(2, "invoke", "read", "null") + event(2, "ok", "read", "602");
  const History counter = parse_history(Model::kCounter, lines);
  result = check_linearizable(counter, {});
  ASSERT_EQ(result.verdict, Verdict::kViolated);
  rest = reduce(*result.violation, kNoDeadline);
  EXPECT_EQ(rest.operations.size(), 2u) << shown(rest);
  EXPECT_EQ(rest.initial, 600);
}

}  // namespace
}  // namespace even::verify
