// Lists.
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command_fixture.h"

namespace even {
namespace {

class ListCommands : public CommandFixture {
 protected:
  std::string all(std::string_view key) { return run({"LRANGE", key, "0", "-1"}); }
  static std::string items(const std::vector<std::string>& values) {
    std::string out = "*" + std::to_string(values.size()) + "\r\n";
    for (const std::string& value : values) out += bulk(value);
    return out;
  }
  static bool stands_together(const std::string& reply, const std::vector<std::string>& run) {
    std::string wanted;
    for (const std::string& value : run) wanted += bulk(value);
    return reply.find(wanted) != std::string::npos;
  }
};

TEST_F(ListCommands, ALargeListIsWhatASmallOneIs) {
  std::deque<std::string> expected;
  Random random(3);
  for (int i = 0; i < 3000; ++i) {
    const std::string value = std::to_string(i);
    const std::size_t at = random.below(expected.size() + 1);
    switch (random.below(i < 1500 ? 8 : 12)) {
      case 0:
      case 1:
      case 2:
        run({"RPUSH", "l", value});
        expected.push_back(value);
        break;
      case 3:
      case 4:
        run({"LPUSH", "l", value});
        expected.push_front(value);
        break;
      case 5:
      case 6: {
        if (at == expected.size()) break;
        run({"LINSERT", "l", "BEFORE", expected[at], value});
        expected.insert(expected.begin() + static_cast<std::ptrdiff_t>(at), value);
        break;
      }
      case 7: {
        if (at == expected.size()) break;
        EXPECT_EQ(run({"LSET", "l", std::to_string(at), value}), "+OK\r\n");
        expected[at] = value;
        break;
      }
      case 8:
      case 9:
        if (expected.empty()) break;
        EXPECT_EQ(run({"LPOP", "l"}), bulk(expected.front()));
        expected.pop_front();
        break;
      case 10:
        if (expected.empty()) break;
        EXPECT_EQ(run({"RPOP", "l"}), bulk(expected.back()));
        expected.pop_back();
        break;
      default:
        if (at == expected.size()) break;
        EXPECT_EQ(run({"LREM", "l", "0", expected[at]}), ":1\r\n");
        expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (i % 100 == 0) {
      ASSERT_EQ(all("l"), items({expected.begin(), expected.end()}));
    }
    if (at < expected.size()) {
      ASSERT_EQ(run({"LINDEX", "l", std::to_string(at)}), bulk(expected[at]));
    }
  }
  ASSERT_GT(expected.size(), 500u);
  EXPECT_EQ(all("l"), items({expected.begin(), expected.end()}));
}

TEST_F(ListCommands, TheLastElementTakesTheExpiryWithIt) {
  run({"RPUSH", "l", "a", "b"});
  run({"EXPIRE", "l", "100"});
  EXPECT_EQ(run({"LPOP", "l"}), bulk("a"));
  EXPECT_EQ(run({"TTL", "l"}), ":100\r\n");
  // The only element of a list stays a moment when it goes round.
  EXPECT_EQ(run({"LMOVE", "l", "l", "LEFT", "RIGHT"}), bulk("b"));
  EXPECT_EQ(run({"TTL", "l"}), ":100\r\n");
  EXPECT_EQ(run({"RPOP", "l"}), bulk("b"));
  EXPECT_EQ(keyspace.objects(), 0u);
  run({"RPUSH", "l", "a"});
  EXPECT_EQ(run({"TTL", "l"}), ":-1\r\n");
}

TEST_F(ListCommands, WhatTwoReplicasPushStandsTogetherOnBoth) {
  TestKeyspace other(2);
  run({"RPUSH", "l", "m"});
  other.merge(keyspace);
  run({"RPUSH", "l", "a1", "a2", "a3"});
  run({"LPUSH", "l", "A1", "A2"});
  other.run({"RPUSH", "l", "b1", "b2", "b3"});
  other.run({"LPUSH", "l", "B1", "B2"});
  keyspace.merge(other);
  other.merge(keyspace);
  const std::string reply = all("l");
  EXPECT_EQ(other.run({"LRANGE", "l", "0", "-1"}), reply);
  EXPECT_EQ(run({"LLEN", "l"}), ":11\r\n");
  for (const auto& part : std::vector<std::vector<std::string>>{
           {"a1", "a2", "a3"}, {"b1", "b2", "b3"}, {"A2", "A1"}, {"B2", "B1"}}) {
    EXPECT_TRUE(stands_together(reply, part)) << reply;
  }
}

TEST_F(ListCommands, WhatIsSetAtTheSameTimeSurvivesAPop) {
  TestKeyspace other(2);
  run({"RPUSH", "l", "a", "b"});
  other.merge(keyspace);
  run({"LPOP", "l"});
  other.run({"LSET", "l", "0", "A"});
  keyspace.merge(other);
  EXPECT_EQ(all("l"), items({"A", "b"}));
}

TEST_F(ListCommands, ABlockingCommandThatMayNotWaitRepliesNull) {
  EXPECT_EQ(run({"BLPOP", "l", "0"}), "*-1\r\n");
  EXPECT_EQ(run({"BLMOVE", "l", "m", "LEFT", "LEFT", "0"}), "$-1\r\n");
  EXPECT_EQ(run({"BLPOP", "l", "-1"}), "-ERR timeout is negative\r\n");
  EXPECT_EQ(run({"BLPOP", "l", "x"}), "-ERR timeout is not a float or out of range\r\n");
  run({"RPUSH", "l", "a", "b", "c"});
  EXPECT_EQ(run({"BRPOP", "k", "l", "0"}), items({"l", "c"}));
  EXPECT_EQ(run({"BLMPOP", "0", "2", "k", "l", "LEFT", "COUNT", "9"}),
            "*2\r\n" + bulk("l") + items({"a", "b"}));
  run({"ZADD", "z", "1", "a", "2", "b"});
  EXPECT_EQ(run({"BZPOPMAX", "k", "z", "0"}), items({"z", "b", "2"}));
  EXPECT_EQ(run({"BZMPOP", "0", "1", "z", "MIN"}),
            "*2\r\n" + bulk("z") + "*1\r\n" + items({"a", "1"}));
}

}  // namespace
}  // namespace even
