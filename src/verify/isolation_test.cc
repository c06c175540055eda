#include "verify/isolation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "verify/linearizable.h"
#include "verify/test_histories.h"

namespace even::verify {
namespace {

using testing::HasSubstr;

// Sessions are separated by |, transactions by ;, and what they do by commas: "w x 1, r y 2"; what
// reads - reads null.
std::string lines_of(std::string_view text) {
  const auto split = [](std::string_view whole, char at) {
    std::vector<std::string> parts;
    std::istringstream in{std::string(whole)};
    for (std::string part; std::getline(in, part, at);) parts.push_back(part);
    return parts;
  };
  std::string lines;
  int process = 0;
  for (const std::string& session : split(text, '|')) {
    ++process;
    for (const std::string& transaction : split(session, ';')) {
      std::vector<std::string> accesses;
      for (const std::string& access : split(transaction, ',')) {
        std::istringstream words(access);
        std::string f;
        std::string key;
        std::string value;
        words >> f >> key >> value;
        accesses.push_back(
            fmt::format(R"(["{}", "{}", {}])", f, key, value == "-" ? "null" : value));
      }
      lines += fmt::format(R"({{"process": {}, "type": "ok", "f": "txn", "value": [{}]}})"
                           "\n",
                           process, fmt::join(accesses, ", "));
    }
  }
  return lines;
}

TransactionHistory transactions(const std::string& lines) {
  std::istringstream in(lines);
  Result<TransactionHistory> history = read_transactions(in);
  if (!history) {
    ADD_FAILURE() << history.error().message << "\n" << lines;
    return {};
  }
  return std::move(*history);
}

IsolationResult check(const std::string& lines, Property property) {
  return check_isolation(transactions(lines), property, {});
}

// The levels that a history has, as letters: read-(c)ommitted, read-(a)tomic, c(A)usal, (s)ession,
// (q) sequential.
std::string levels_of(std::string_view text) {
  std::string levels;
  for (const auto& [letter, property] :
       {std::pair('c', Property::kReadCommitted), std::pair('a', Property::kReadAtomic),
        std::pair('A', Property::kCausal), std::pair('s', Property::kSession),
        std::pair('q', Property::kSequential)}) {
    const IsolationResult result = check(lines_of(text), property);
    EXPECT_NE(result.verdict, Verdict::kUndecided) << text;
    EXPECT_EQ(result.verdict == Verdict::kViolated, !result.explanation.empty()) << text;
    if (result.verdict == Verdict::kHolds) levels += letter;
  }
  return levels;
}

struct Example {
  const char* name;
  const char* history;
  const char* levels;
};

// Where they are from: AE Adve and Gharachorloo, Shared Memory Consistency Models (1996), and
// Maranget et al., A Tutorial Introduction to the ARM and POWER Relaxed Memory Models (2012); A
// Adya, Weak Consistency (1999); B Berenson et al., A Critique of ANSI SQL Isolation Levels (1995);
// BE Biswas and Enea (2019); C Lloyd et al., COPS (2011); R Bailis et al., RAMP (2014); S Sovran et
// al., Walter (2011); T Terry et al. (1994).
constexpr Example kExamples[] = {
    {"one after the other", "w x 1; w x 2; r x 2", "caAsq"},
    {"AE: store buffering, Dekker", "w x 1; r y - | w y 1; r x -", "caAs"},
    {"AE: message passing", "w x 1; w y 1 | r y 1; r x -", "cas"},
    {"AE: independent reads of independent writes", "w x 1 | w y 1 | r x 1; r y - | r y 1; r x -",
     "caAs"},
    {"AE: write to read causality", "w x 1 | r x 1; w y 1 | r y 1; r x -", "cas"},
    {"AE: load buffering", "r y 1; w x 1 | r x 1; w y 1", "s"},
    {"AE: coherence of two reads", "w x 1; w x 2 | r x 2; r x 1", "ca"},
    {"AE: coherence of two writers", "w x 1 | w x 2 | r x 1; r x 2 | r x 2; r x 1", "ca"},
    {"T: read your writes", "w x 1; r x -", "c"},
    {"T: monotonic reads", "w x 1 | w x 2 | r x 1; r x 2; r x 1", "ca"},
    {"T: monotonic writes", "w x 1; w x 2 | r x 2; r x 1; r x 1", "ca"},
    {"T: writes follow reads", "w x 1 | r x 1; w x 2 | r x 2; r x 1", "ca"},
    {"C: the photo and who may see it", "w acl 1; w acl 2; w photo 1 | r photo 1; r acl 1", "cas"},
    {"R: fractured read", "w x 1, w y 1 | r y -, r x 1", "cs"},
    {"the same, the other way round", "w x 1, w y 1 | r x 1, r y -", "s"},
    {"A: intermediate read, G1b", "w x 1, w x 2 | r x 1", "s"},
    {"A: aborted read, G1a", "w x 1 | r x 2", ""},
    {"A: circular information flow, G1c", "w x 1, r y 1 | w y 1, r x 1", "s"},
    {"A: dirty write, G0", "w x 1, w y 1 | w x 2, w y 2 | r x 2, r y 1", "cs"},
    {"B: fuzzy read, P2", "w x 1; w x 2 | r x 1, r x 2", "cs"},
    {"B: read skew, A5A", "w x 1, w y 1; w x 2, w y 2 | r x 1, r y 2", "cs"},
    {"B: lost update, P4", "w x 0 | r x 0, w x 1 | r x 0, w x 2", "caAs"},
    {"B: write skew, A5B", "w x 0, w y 0 | r x 0, r y 0, w x 1 | r x 0, r y 0, w y 1", "caAs"},
    {"S: long fork", "w x 1 | w y 1 | r x 1, r y - | r x -, r y 1", "caAs"},
    {"own write", "w x 1, r x 1", "caAsq"},
    {"own write not seen", "w x 0 | r x 0, w x 1, r x 0", ""},
};

// What the examples say of their levels, as it was worked out by hand.
TEST(Isolation, DecidesTheExamplesOfTheLiterature) {
  for (const Example& example : kExamples) {
    EXPECT_EQ(levels_of(example.history), example.levels) << example.name;
  }
}

TEST(Isolation, SaysWhatIsWrong) {
  const auto violated = [](std::string_view text, Property property) {
    return check(lines_of(text), property).explanation;
  };
  EXPECT_THAT(violated("w x 1; r x -", Property::kSession), HasSubstr("has read null of key x"));
  EXPECT_THAT(violated("w x 1; r x -", Property::kCausal),
              HasSubstr("although T1 has written it: T1 comes before T2"));
  EXPECT_THAT(violated("w x 1; r x -", Property::kReadAtomic),
              HasSubstr("T1 precedes T2 in its session"));
  EXPECT_THAT(violated("w x 1 | w x 2 | r x 1; r x 2; r x 1", Property::kSession),
              HasSubstr("monotonic reads"));
  EXPECT_THAT(violated("w x 1; w x 2 | r x 2; r x 1; r x 1", Property::kSession),
              HasSubstr("monotonic writes"));
  EXPECT_THAT(violated("w x 1 | r x 1; w x 2 | r x 2; r x 1", Property::kSession),
              HasSubstr("writes follow reads"));
  EXPECT_THAT(violated("w acl 1; w acl 2; w photo 1 | r photo 1; r acl 1", Property::kCausal),
              HasSubstr("T2 before T1: both have written acl, T5 has read T1's, and T2 comes "
                        "before T5"));
  EXPECT_THAT(violated("w x 1 | r x 2", Property::kReadCommitted),
              HasSubstr("T2 has read 2 of key x, which nobody has written"));
  EXPECT_THAT(violated("w x 0 | r x 0, w x 1, r x 0", Property::kReadCommitted),
              HasSubstr("after it had written 1 there itself"));
  EXPECT_THAT(violated("r x 1, w x 1", Property::kReadCommitted),
              HasSubstr("before it wrote that itself"));
  EXPECT_THAT(violated("w x 1; r y - | w y 1; r x -", Property::kSequential),
              HasSubstr("None of the orders"));
}

TEST(Isolation, AgreesWithOtherProjects) {
  const std::vector<Conformance> all = conformance();
  if (all.empty()) GTEST_SKIP() << "no histories; EVEN_CONFORMANCE names another folder";
  int decided = 0;
  for (const Conformance& each : all) {
    if (each.model != "transactions") continue;
    std::ifstream in(each.file);
    const Result<TransactionHistory> history = read_transactions(in);
    ASSERT_TRUE(history) << each.file << ": " << history.error().message;
    std::string strongest = "none";
    for (const auto& [name, property] : {std::pair("read-committed", Property::kReadCommitted),
                                         std::pair("read-atomic", Property::kReadAtomic),
                                         std::pair("causal", Property::kCausal)}) {
      if (check_isolation(*history, property, {}).verdict == Verdict::kHolds) strongest = name;
    }
    EXPECT_EQ("strongest level that holds: " + strongest, each.verdict) << each.file;
    ++decided;
  }
  EXPECT_GT(decided, 0);
}

// --- Figures of M. Kleppmann, Designing Data-Intensive Applications (2017), chapter 9

Verdict linearizable(const std::string& lines) {
  return check_linearizable(parse_history(Model::kRegister, lines), {}).verdict;
}
std::string begins(int process, std::string_view f, std::string_view value = "null") {
  return event(process, "invoke", f, value);
}
std::string ends(int process, std::string_view f, std::string_view value) {
  return event(process, "ok", f, value);
}

TEST(Isolation, DecidesTheFiguresOfDesigningDataIntensiveApplications) {
  // 9-1: Alice is told the result of the match, and Bob, who asks after her, is not.
  const std::string match = whole(1, "write", "1", "1") + whole(2, "read", "null", "1") +
                            whole(3, "read", "null", "null");
  EXPECT_EQ(linearizable(match), Verdict::kViolated);
  // 9-2: while a write is under way reads may see either; after it they may not.
  const std::string before = begins(3, "write", "1") + whole(1, "read", "null", "null") +
                             whole(2, "read", "null", "1") + ends(3, "write", "1");
  EXPECT_EQ(linearizable(before + whole(1, "read", "null", "1")), Verdict::kHolds);
  EXPECT_EQ(linearizable(before + whole(1, "read", "null", "null")), Verdict::kViolated);
  // 9-3: once somebody has read the new value, everybody does, though the write is under way yet.
  EXPECT_EQ(linearizable(begins(3, "write", "1") + whole(1, "read", "null", "1") +
                         whole(2, "read", "null", "null") + ends(3, "write", "1")),
            Verdict::kViolated);
  // 9-4: B's last read is of what C's compare-and-set had replaced before A read 4.
  const std::string points =
      begins(4, "write", "1") + begins(2, "read") + whole(1, "read", "null", "1") +
      ends(2, "read", "1") + ends(4, "write", "1") + whole(2, "write", "2", "2") +
      whole(3, "cas", "[2, 4]", "[2, 4]") + begins(2, "read") + whole(1, "read", "null", "4");
  EXPECT_EQ(linearizable(points + ends(2, "read", "4")), Verdict::kHolds);
  EXPECT_EQ(linearizable(points + ends(2, "read", "4") + whole(2, "read", "null", "2")),
            Verdict::kViolated);
  // 9-5: the resizer is told of the new image by another way, and reads the old one.
  EXPECT_EQ(linearizable(whole(1, "write", "1", "1") + whole(1, "write", "2", "2") +
                         whole(2, "read", "null", "1")),
            Verdict::kViolated);
  // 9-6: quorums of two out of three, and yet B reads the old value after A has read the new one.
  const std::string quorum = whole(1, "write", "0", "0") + begins(1, "write", "1") +
                             whole(2, "read", "null", "1") + whole(3, "read", "null", "0") +
                             ends(1, "write", "1");
  EXPECT_EQ(linearizable(quorum), Verdict::kViolated);
  // Which is sequential all the same.
  const auto history = transactions_of(parse_history(Model::kRegister, quorum));
  ASSERT_TRUE(history);
  EXPECT_EQ(check_isolation(*history, Property::kSequential, {}).verdict, Verdict::kHolds);
}

TEST(Isolation, TellsWhoDoesNotConverge) {
  const std::string written = whole(1, "write", "1", "1") + whole(2, "write", "2", "2");
  const auto converges = [&](const std::string& reads) {
    return check_convergence(parse_history(Model::kRegister, written + reads));
  };
  EXPECT_EQ(converges(whole(1, "read", "null", "1") + whole(2, "read", "null", "2") +
                      whole(1, "read", "null", "2"))
                .verdict,
            Verdict::kHolds);
  const IsolationResult apart =
      converges(whole(1, "read", "null", "1") + whole(2, "read", "null", "2"));
  EXPECT_EQ(apart.verdict, Verdict::kViolated);
  EXPECT_THAT(apart.explanation, HasSubstr("process 1's (line 5) is read → 1, and process 2's "
                                           "(line 7) is read → 2"));
  EXPECT_EQ(converges(begins(3, "write", "3") + whole(1, "read", "null", "1") +
                      whole(2, "read", "null", "3"))
                .verdict,
            Verdict::kUndecided);
}

TEST(Isolation, OfRegistersWhatHasNotEndedCountsWhenItWasSeen) {
  const auto session = [](const std::string& lines) {
    const auto history = transactions_of(parse_history(Model::kRegister, lines));
    return history ? std::to_string(history->transactions.size()) : history.error().message;
  };
  EXPECT_EQ(session(begins(1, "write", "1") + whole(2, "read", "null", "null")), "1");
  EXPECT_EQ(session(begins(1, "write", "1") + whole(2, "read", "null", "1")), "2");
  // A compare-and-set that was seen has seen the value before.
  EXPECT_EQ(
      session(begins(1, "write", "1") + begins(2, "cas", "[1, 2]") + whole(3, "read", "null", "2")),
      "3");
  EXPECT_THAT(session(whole(1, "write", "1", "1") + whole(2, "write", "1", "1")),
              HasSubstr("line 3: 1 is written to key x again, as in line 1"));
}

TEST(Isolation, RefusesWhatIsNoHistoryOfTransactions) {
  const auto error = [](const std::string& lines) {
    std::istringstream in(lines);
    const auto history = read_transactions(in);
    return history ? std::string() : history.error().message;
  };
  EXPECT_EQ(error("\n"), "");
  EXPECT_THAT(error("x"), HasSubstr("line 1: it is no JSON object"));
  EXPECT_THAT(error(R"({"process": 1, "type": "ok", "f": "read"})"), HasSubstr("\"txn\""));
  EXPECT_THAT(error(R"({"process": "a", "type": "ok", "f": "txn", "value": []})"),
              HasSubstr("\"process\""));
  EXPECT_THAT(error(R"({"process": 1, "type": "info", "f": "txn", "value": []})"),
              HasSubstr("\"type\""));
  EXPECT_THAT(error(R"({"process": 1, "type": "ok", "f": "txn", "value": [["r", "x"]]})"),
              HasSubstr("[\"r\" or \"w\", key, value]"));
  EXPECT_THAT(error(lines_of("w x 1 | w x 1")), HasSubstr("line 2: it writes 1 to key x"));
  EXPECT_THAT(error(lines_of("w x -")), HasSubstr("null is what"));
}

// A store with one copy, which executes one transaction after the other. `broken`: now and then it
// shows the version before the last one.
std::string run_of_store(std::mt19937& random, int sessions, int count, bool broken) {
  std::map<std::string, std::vector<std::string>> versions;
  std::string lines;
  int value = 0;
  for (int i = 0; i < count; ++i) {
    const auto session = random() % static_cast<unsigned>(sessions);
    std::vector<std::string> accesses;
    for (unsigned j = 0, of = 1 + random() % 3; j < of; ++j) {
      const std::string key = fmt::format("k{}", random() % 5);
      std::vector<std::string>& known = versions[key];
      if (random() % 2 == 0) {
        known.push_back(std::to_string(++value));
        accesses.push_back(fmt::format(R"(["w", "{}", {}])", key, value));
        continue;
      }
      std::size_t shown = known.size();
      if (broken && shown > 0 && random() % 20 == 0) --shown;
      accesses.push_back(
          fmt::format(R"(["r", "{}", {}])", key, shown == 0 ? "null" : known[shown - 1]));
    }
    lines += fmt::format(R"({{"process": {}, "type": "ok", "f": "txn", "value": [{}]}})"
                         "\n",
                         session, fmt::join(accesses, ", "));
  }
  return lines;
}

// Stronger levels imply weaker ones; and what is serial has all of them.
TEST(Isolation, LevelsImplyOneAnother) {
  std::mt19937 random(7);
  int violated = 0;
  for (int run = 0; run < 300; ++run) {
    const bool broken = run % 2 == 1;
    const std::string lines = run_of_store(random, 3, 12, broken);
    const auto holds = [&](Property property) {
      return check(lines, property).verdict == Verdict::kHolds;
    };
    const bool committed = holds(Property::kReadCommitted);
    const bool atomic = holds(Property::kReadAtomic);
    const bool causal = holds(Property::kCausal);
    const bool sequential = holds(Property::kSequential);
    EXPECT_TRUE(committed || !atomic) << lines;
    EXPECT_TRUE(atomic || !causal) << lines;
    EXPECT_TRUE(causal || !sequential) << lines;
    EXPECT_TRUE(holds(Property::kSession) || !sequential) << lines;
    EXPECT_TRUE(sequential || broken) << lines;
    violated += sequential ? 0 : 1;
  }
  EXPECT_GT(violated, 30);
}

TEST(Isolation, CounterExamplesAreSmall) {
  std::mt19937 random(11);
  const std::string good = run_of_store(random, 5, 2'000, false);
  EXPECT_EQ(check(good, Property::kCausal).verdict, Verdict::kHolds);
  const std::string bad =
      R"({"process": 100, "type": "ok", "f": "txn", "value": [["w", "x", 1]]})"
      "\n"
      R"({"process": 100, "type": "ok", "f": "txn", "value": [["w", "y", 1]]})"
      "\n"
      R"({"process": 101, "type": "ok", "f": "txn", "value": [["r", "y", 1]]})"
      "\n" +
      good + R"({"process": 101, "type": "ok", "f": "txn", "value": [["r", "x", null]]})" + "\n";
  const IsolationResult result = check(bad, Property::kCausal);
  ASSERT_EQ(result.verdict, Verdict::kViolated);
  EXPECT_THAT(result.explanation, HasSubstr("These 4 transactions cannot be"));
}

}  // namespace
}  // namespace even::verify
