#include "verify/linearizable.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "verify/test_histories.h"
#include "verify/unique_register.h"

namespace even::verify {
namespace {

Verdict check(const History& history) { return check_linearizable(history, {}).verdict; }

struct Case {
  const char* name;
  Generator generator;
};

const Case kCases[] = {
    {"register", {}},
    {"register without cas", {.cas = false}},
    {"register, much unknown", {.operations = 9, .info = 0.5}},
    {"register, each value once", {.clients = 4, .values = 0}},
    {"register, each value once, without cas", {.clients = 4, .values = 0, .cas = false}},
    {"register, each value once, much unknown",
     {.clients = 4, .operations = 9, .values = 0, .info = 0.5}},
    {"append", {.model = Model::kAppend, .cas = false}},
    {"append and write", {.model = Model::kAppend}},
    {"append, each value once", {.model = Model::kAppend, .values = 0, .cas = false}},
    {"counter that grows", {.model = Model::kCounter, .cas = false}},
    {"counter", {.model = Model::kCounter}},
    {"set", {.model = Model::kSet}},
    {"set that grows", {.model = Model::kSet, .removes = false}},
    {"set of single elements", {.model = Model::kSet, .whole_reads = false}},
};

TEST(Linearizable, WhatAnObjectDidAtOneMomentEachIsAccepted) {
  for (const Case& it : kCases) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      Generator generator = it.generator;
      generator.clients = 6;
      generator.operations = 60;
      const std::string lines = generator.make(seed);
      ASSERT_EQ(check(parse_history(generator.model, lines)), Verdict::kHolds)
          << it.name << ", seed " << seed << "\n"
          << lines;
    }
  }
}

TEST(Linearizable, TheVerdictIsThatOfTryingEveryOrder) {
  for (const Case& it : kCases) {
    int violated = 0;
    int held = 0;
    for (std::uint64_t seed = 0; seed < 1500; ++seed) {
      Generator generator = it.generator;
      generator.damage = 0.15;
      const std::string lines = generator.make(seed);
      const History history = parse_history(generator.model, lines);
      bool holds = true;
      for (const Problem& problem : split_by_key(history)) holds &= EveryOrder(problem).exists();
      ASSERT_EQ(check(history), holds ? Verdict::kHolds : Verdict::kViolated)
          << it.name << ", seed " << seed << "\n"
          << lines;
      ++(holds ? held : violated);
    }
    // Otherwise one of the two verdicts was not put to the test.
    EXPECT_GT(violated, 100) << it.name;
    EXPECT_GT(held, 100) << it.name;
  }
}

TEST(Linearizable, TheOperationsGivenForAViolationHaveNoOrderEither) {
  for (const Case& it : kCases) {
    for (std::uint64_t seed = 0; seed < 1500; ++seed) {
      Generator generator = it.generator;
      generator.damage = 0.15;
      const std::string lines = generator.make(seed);
      const History history = parse_history(generator.model, lines);
      const CheckResult result = check_linearizable(history, {});
      if (result.verdict != Verdict::kViolated) continue;
      ASSERT_FALSE(EveryOrder(*result.violation).exists()) << it.name << ", seed " << seed << "\n"
                                                           << lines;
    }
  }
}

TEST(Linearizable, OperationsOnDifferentKeysHaveNothingToDoWithEachOther) {
  const std::string lines =
      event(1, "invoke", "write", "1", "x") + event(1, "ok", "write", "1", "x") +
      event(2, "invoke", "read", "null", "y") + event(2, "ok", "read", "null", "y");
  EXPECT_EQ(check(parse_history(Model::kRegister, lines)), Verdict::kHolds);
}

TEST(Linearizable, ASearchThatMayNotGoOnSaysThatItDidNotFindOut) {
  Generator generator{
      .model = Model::kCounter, .clients = 20, .operations = 60, .cas = false, .info = 0};
  const History history = parse_history(generator.model, generator.make(1));
  CheckOptions few_steps;
  few_steps.limits.most_steps = 5;
  const CheckResult stopped = check_linearizable(history, few_steps);
  EXPECT_EQ(stopped.verdict, Verdict::kUndecided);
  EXPECT_EQ(stopped.undecided_keys, 1u);
  EXPECT_EQ(stopped.first_undecided, "x");
  CheckOptions little_memory;
  little_memory.limits.memory_bytes = 10;
  EXPECT_EQ(check_linearizable(history, little_memory).verdict, Verdict::kUndecided);
}

// The histories of other projects, which are no part of this one.
TEST(Linearizable, HistoriesOfOtherProjectsDecideAsTheySay) {
  const std::vector<Conformance> all = conformance();
  if (all.empty()) GTEST_SKIP() << "no histories; EVEN_CONFORMANCE names another folder";
  int decided = 0;
  for (const Conformance& each : all) {
    const auto model = parse_model(each.model);
    if (!model) continue;
    std::ifstream in(each.file);
    const Result<History> history = read_history(in, *model);
    ASSERT_TRUE(history) << each.file << ": " << history.error().message;
    EXPECT_EQ(check(*history), each.verdict == "ok" ? Verdict::kHolds : Verdict::kViolated)
        << each.file;
    ++decided;
  }
  EXPECT_GT(decided, 0);
  RecordProperty("decided", decided);
}

}  // namespace
}  // namespace even::verify
