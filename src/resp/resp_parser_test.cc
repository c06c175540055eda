#include "resp/resp_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace even {
namespace {

// Everything that a stream of bytes means to the parser: its requests and, at the end, the error.
struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

// Feeds `bytes` in pieces that end at `cuts`.
Outcome feed(std::string_view bytes, const std::vector<std::size_t>& cuts, RespLimits limits = {}) {
  Outcome outcome;
  RespParser parser;
  std::size_t begin = 0;
  for (std::size_t cut : cuts) {
    while (true) {
      // A copy: the parser must not depend on the buffer staying where it was.
      const std::string input(bytes.substr(begin, cut - begin));
      const RespParser::Status status = parser.parse(input, limits);
      if (status == RespParser::Status::kIncomplete) {
        EXPECT_GT(parser.needed(), input.size());
        break;
      }
      if (status == RespParser::Status::kError) {
        outcome.error = parser.error();
        return outcome;
      }
      if (!parser.args().empty()) {
        outcome.requests.emplace_back(parser.args().begin(), parser.args().end());
      }
      begin += parser.consumed();
    }
  }
  return outcome;
}

Outcome at_once(std::string_view bytes, RespLimits limits = {}) {
  return feed(bytes, {bytes.size()}, limits);
}

Outcome byte_by_byte(std::string_view bytes, RespLimits limits = {}) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i <= bytes.size(); ++i) cuts.push_back(i);
  return feed(bytes, cuts, limits);
}

std::string error_of(std::string_view bytes, RespLimits limits = {}) {
  const Outcome outcome = at_once(bytes, limits);
  EXPECT_EQ(byte_by_byte(bytes, limits), outcome);
  return outcome.error;
}

using Requests = std::vector<std::vector<std::string>>;

TEST(RespParser, ReadsPipelinedRequestsOfBothKinds) {
  const Outcome outcome = at_once(
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\nPING\r\n*1\r\n$0\r\n\r\nset a 'it\\'s' "
      "\"\\x41\\n\"\n");
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.requests,
            (Requests{{"SET", "k", "a\r\nb"}, {"PING"}, {""}, {"set", "a", "it's", "A\n"}}));
}

TEST(RespParser, ACutAnywhereChangesNothing) {
  const std::string bytes =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n*0\r\n*-1\r\n\r\necho \"a b\" c\r\n"
      "*2\r\n$3\r\nGET\r\n$12\r\n012345678901\r\nPING\n*1\r\nx\r\n";
  const Outcome whole = at_once(bytes);
  EXPECT_EQ(whole.requests.size(), 4u);
  EXPECT_EQ(whole.error, "ERR Protocol error: expected '$', got 'x'");
  EXPECT_EQ(byte_by_byte(bytes), whole);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    EXPECT_EQ(feed(bytes, {cut, bytes.size()}), whole) << "cut at " << cut;
  }
}

TEST(RespParser, AnEmptyRequestAsksForNothing) {
  EXPECT_EQ(at_once("*0\r\n*-7\r\n\r\n   \r\nPING\r\n").requests, (Requests{{"PING"}}));
}

TEST(RespParser, WhatFollowsAWordIsSkippedUnseen) {
  EXPECT_EQ(at_once("*1\r\n$4\r\nPINGxx*1\rX$4\rXPING\r\n").requests,
            (Requests{{"PING"}, {"PING"}}));
}

// With more behind it a header that is as usual is read another way than byte by byte.
TEST(RespParser, MoreBehindAHeaderChangesNothing) {
  const std::string more = "$3\r\nget\r\n$3\r\nkey\r\n*1\r\n$4\r\nping\r\n";
  for (const std::string header :
       {"2", "02", "+2", "-2", " 2", "2 ", "2x", "", "0", "-0", "999999999", "1234567890",
        "99999999999999999999", "2\n", "2\rx"}) {
    const std::string count = "*" + header + "\r\n" + more;
    EXPECT_EQ(at_once(count), byte_by_byte(count)) << header;
    const std::string length = "*2\r\n$" + header + "\r\nab\r\n" + more;
    EXPECT_EQ(at_once(length), byte_by_byte(length)) << header;
    const std::string type = "*2\r\n" + header + "\r\n" + more;
    EXPECT_EQ(at_once(type), byte_by_byte(type)) << header;
  }
  EXPECT_EQ(at_once("*2\r\n" + more).requests.size(), 2u);
}

TEST(RespParser, RefusesBadCounts) {
  for (const char* count :
       {"x", "", "1x", "+1", "01", " 1", "2147483648", "--1", "-", "99999999999999999999"}) {
    EXPECT_EQ(error_of(std::string("*") + count + "\r\n"),
              "ERR Protocol error: invalid multibulk length")
        << count;
  }
  EXPECT_EQ(error_of("*2147483647\r\n"), "");
}

TEST(RespParser, RefusesBadLengths) {
  for (const char* length : {"x", "", "-1", "01", "536870913", "99999999999999999999"}) {
    EXPECT_EQ(error_of(std::string("*1\r\n$") + length + "\r\n"),
              "ERR Protocol error: invalid bulk length")
        << length;
  }
  EXPECT_EQ(error_of("*1\r\n$536870912\r\n"), "");
  EXPECT_EQ(error_of("*1\r\n$5\r\n", {.max_bulk_bytes = 4}),
            "ERR Protocol error: invalid bulk length");
  EXPECT_EQ(error_of("*1\r\n\r\n"), "ERR Protocol error: expected '$', got '\r'");
}

TEST(RespParser, RefusesEndlessLines) {
  const std::string digits(65536, '1');
  EXPECT_EQ(at_once("*" + digits.substr(1)).error, "");
  EXPECT_EQ(at_once("*" + digits).error, "ERR Protocol error: too big mbulk count string");
  EXPECT_EQ(at_once("*1\r\n$" + digits).error, "ERR Protocol error: too big bulk count string");
  const std::string letters(65536, 'a');
  EXPECT_EQ(at_once(letters).error, "");
  EXPECT_EQ(at_once(letters + "\n").requests.size(), 1u);
  EXPECT_EQ(at_once(letters + "a").error, "ERR Protocol error: too big inline request");
  EXPECT_EQ(at_once(letters + "a\n").error, "ERR Protocol error: too big inline request");
}

TEST(RespParser, ALineWithANulByteNeverEnds) {
  using namespace std::string_literals;
  for (const auto& [begin, error] : {std::pair{"PI\0NG\r\n"s, "too big inline request"},
                                     std::pair{"\0\n"s, "too big inline request"},
                                     std::pair{"*\0001\r\n"s, "too big mbulk count string"},
                                     std::pair{"*1\0\r\n"s, "too big mbulk count string"},
                                     std::pair{"*1\r\n$4\0\r\n"s, "too big bulk count string"},
                                     std::pair{"*1\r\n\0004\r\n"s, "too big bulk count string"}}) {
    EXPECT_EQ(error_of("PING\r\n" + begin + "PING\r\nPING\r\n"), "") << begin;
    EXPECT_EQ(byte_by_byte("PING\r\n" + begin + "PING\r\n").requests, (Requests{{"PING"}}))
        << begin;
    EXPECT_EQ(at_once(begin + std::string(65536, 'x')).error, "ERR Protocol error: "s + error);
  }
}

TEST(RespParser, RefusesUnbalancedQuotes) {
  for (const char* line :
       {"\"abc\n", "set a \"b\"c\n", "'abc\n", "'a'b\n", "\"a\\\"\n", "a\"b\n"}) {
    EXPECT_EQ(error_of(line), "ERR Protocol error: unbalanced quotes in request") << line;
  }
}

TEST(RespParser, HoldsUnauthenticatedClientsToSmallRequests) {
  const RespLimits limits{.authenticated = false};
  EXPECT_EQ(error_of("*10\r\n", limits), "");
  EXPECT_EQ(error_of("*11\r\n", limits), "ERR Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(error_of("*1\r\n$16384\r\n", limits), "");
  EXPECT_EQ(error_of("*1\r\n$16385\r\n", limits),
            "ERR Protocol error: unauthenticated bulk length");
}

TEST(RespParser, SaysHowMuchALargeArgumentNeeds) {
  RespParser parser;
  EXPECT_EQ(parser.parse("*1\r\n$1000000\r\nabc", {}), RespParser::Status::kIncomplete);
  EXPECT_EQ(parser.needed(), 4u + 10u + 1000000u + 2u);
}

TEST(SplitWords, KnowsBothKindsOfQuotes) {
  std::vector<std::string> words;
  ASSERT_TRUE(split_words("  a\tb\"c d\" '' \"\\x4a\\t\\q\\\"\" '\\n\\''  ", words));
  EXPECT_EQ(words, (std::vector<std::string>{"a", "bc d", "", "J\tq\"", "\\n'"}));
}

}  // namespace
}  // namespace even
