// EVEN.SIBLINGS and EVEN.RESOLVE. In a TestKeyspace keys that begin with "sib" keep siblings.
#include "engine/cmd_siblings.h"

#include <gmock/gmock.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string siblings_reply(std::string_view context, const std::vector<std::string>& values) {
  std::string out = "*2\r\n" + bulk(context) + "*" + std::to_string(values.size()) + "\r\n";
  for (const std::string& value : values) out += bulk(value);
  return out;
}

// Two replicas that have written a key at the same time, and know of it; "b" is shown.
class Siblings : public testing::Test {
 protected:
  Siblings() {
    b_.now_ms += 10;
    a_.run({"SET", "sib", "a"});
    b_.run({"SET", "sib", "b"});
    a_.run({"SET", "plain", "a"});
    b_.run({"SET", "plain", "b"});
    meet();
  }
  void TearDown() override { EXPECT_TRUE(a_.digests_hold() && b_.digests_hold()); }
  void meet() {
    a_.merge(b_);
    b_.merge(a_);
  }
  static std::string context(TestKeyspace& at, std::string_view key = "sib") {
    const std::string reply = at.run({"EVEN.SIBLINGS", key});
    const std::size_t begin = reply.find('\n', 4) + 1;
    return reply.substr(begin, reply.find('\r', begin) - begin);
  }
  void expect_values(const std::vector<std::string>& values) {
    EXPECT_EQ(a_.run({"EVEN.SIBLINGS", "sib"}), siblings_reply(context(a_), values));
    EXPECT_EQ(b_.run({"EVEN.SIBLINGS", "sib"}), siblings_reply(context(a_), values));
  }

  TestKeyspace a_{1};
  TestKeyspace b_{2};
};

TEST_F(Siblings, AllAreShownTheLastOneFirst) {
  expect_values({"b", "a"});
  EXPECT_EQ(a_.run({"GET", "sib"}), bulk("b"));
  EXPECT_EQ(a_.run({"EVEN.SIBLINGS", "absent"}), siblings_reply("-", {}));
  a_.run({"SADD", "set", "x"});
  EXPECT_THAT(a_.run({"EVEN.SIBLINGS", "set"}), StartsWith("-WRONGTYPE"));
}

TEST_F(Siblings, AWriteTakesThePlaceOfTheOneThatIsShown) {
  a_.now_ms += 20;
  EXPECT_EQ(a_.run({"SET", "sib", "c"}), "+OK\r\n");
  meet();
  expect_values({"c", "a"});
  EXPECT_EQ(b_.run({"APPEND", "sib", "d"}), ":2\r\n");
  meet();
  EXPECT_EQ(a_.run({"SET", "plain", "c"}), "+OK\r\n");
  EXPECT_THAT(a_.run({"EVEN.SIBLINGS", "plain"}), HasSubstr("*1\r\n$1\r\nc"));
  EXPECT_EQ(a_.run({"DEL", "sib"}), ":1\r\n");
  meet();
  expect_values({});
}

TEST_F(Siblings, AResolutionTakesThePlaceOfWhatItHasSeenAndOfNothingElse) {
  const std::string seen = context(a_);
  b_.now_ms += 20;
  b_.run({"SET", "sib", "c"});  // in the place of b
  a_.now_ms += 40;
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", seen, "ab"}), "+OK\r\n");
  meet();
  expect_values({"ab", "c"});
  a_.now_ms += 40;
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", "-", "d"}), "+OK\r\n");
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", seen, "e"}), "+OK\r\n");
  meet();
  EXPECT_THAT(a_.run({"EVEN.SIBLINGS", "sib"}), HasSubstr("*4\r\n"));
  EXPECT_EQ(b_.run({"EVEN.RESOLVE", "sib", context(b_), "all"}), "+OK\r\n");
  meet();
  expect_values({"all"});
}

TEST_F(Siblings, WhatANodeHasNotGotItCannotReplace) {
  b_.run({"SET", "sib", "c"});
  EXPECT_THAT(a_.run({"EVEN.RESOLVE", "sib", context(b_), "x"}),
              StartsWith("-UNAVAILABLE nothing was done"));
  meet();
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", context(b_), "x"}), "+OK\r\n");
  meet();
  expect_values({"x"});
}

TEST_F(Siblings, AnExpiryStays) {
  a_.run({"PEXPIRE", "sib", "5000"});
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", context(a_), "x"}), "+OK\r\n");
  EXPECT_EQ(a_.run({"PTTL", "sib"}), ":5000\r\n");
}

TEST_F(Siblings, TheirNumberAndSizeAreBounded) {
  for (int i = 2; i < 16; ++i) {
    EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", "-", std::to_string(i)}), "+OK\r\n");
  }
  EXPECT_THAT(a_.run({"EVEN.RESOLVE", "sib", "-", "16"}),
              StartsWith("-ERR the key would have 17 values"));
  EXPECT_EQ(a_.run({"SET", "sib", "x"}), "+OK\r\n");  // in the place of one
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", context(a_), "one"}), "+OK\r\n");
  const std::string large((1 << 20) - 2, 'x');
  EXPECT_THAT(a_.run({"EVEN.RESOLVE", "sib", "-", large}), StartsWith("-ERR the key would have 2"));
  EXPECT_EQ(a_.run({"EVEN.RESOLVE", "sib", context(a_), large}), "+OK\r\n");
}

TEST(SiblingContext, IsWhatItWasMadeOfAndNothingElseIsOne) {
  const std::vector<Dot> dots = {{ReplicaId::make(1, 77, 3), 5}, {ReplicaId::make(65535, 1), 1}};
  std::vector<Dot> decoded;
  EXPECT_TRUE(decode_sibling_context(encode_sibling_context(dots), decoded));
  EXPECT_EQ(decoded, dots);
  for (const std::string_view text : {"", "x", "-1", "-1.", "-.1", "-1.0", "-0.1", "-1.1-x",
                                      "-1.1.1", "--1.1", "-11111111111111111.1"}) {
    std::vector<Dot> none;
    EXPECT_FALSE(decode_sibling_context(text, none)) << text;
  }
}

}  // namespace
}  // namespace even
