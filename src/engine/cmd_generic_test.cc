// Keys of any type: expiry, scanning, flushing, and what EVEN.* and COMMAND say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/version.h"
#include "engine/command_fixture.h"

namespace even {
namespace {

using testing::HasSubstr;

class GenericCommands : public CommandFixture {};

// One page of a scan: the cursor and the elements.
struct Page {
  std::string cursor;
  std::vector<std::string> found;
};
Page page(std::string_view reply) {
  const auto line = [&reply] {
    const std::size_t end = reply.find("\r\n");
    const std::string_view out = reply.substr(0, end);
    reply.remove_prefix(end + 2);
    return std::string(out);
  };
  EXPECT_EQ(line(), "*2");
  line();
  Page out;
  out.cursor = line();
  const int count = std::stoi(line().substr(1));
  for (int i = 0; i < count; ++i) {
    line();
    out.found.push_back(line());
  }
  return out;
}

TEST_F(GenericCommands, AKeyNamedTwiceIsDeletedOnceAndFoundTwice) {
  run({"MSET", "a", "1", "b", "2"});
  EXPECT_EQ(run({"EXISTS", "a", "a", "b", "c"}), ":3\r\n");
  EXPECT_EQ(run({"TOUCH", "a", "a"}), ":2\r\n");
  EXPECT_EQ(run({"DEL", "a", "a", "b", "c"}), ":2\r\n");
  EXPECT_EQ(run({"UNLINK", "a"}), ":0\r\n");
  EXPECT_EQ(run({"TYPE", "a"}), "+none\r\n");
}

TEST_F(GenericCommands, ExpiryOptionsCompareWithWhatIsThere) {
  run({"SET", "k", "v"});
  EXPECT_EQ(run({"EXPIRE", "k", "100", "XX"}), ":0\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "100", "GT"}), ":0\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "100", "LT"}), ":1\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "50", "NX"}), ":0\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "50", "GT"}), ":0\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "200", "GT", "XX"}), ":1\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "300", "lt"}), ":0\r\n");
  EXPECT_EQ(run({"TTL", "k"}), ":200\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "1", "NX", "XX"}),
            "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "1", "GT", "LT"}),
            "-ERR GT and LT options at the same time are not compatible\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "1", "Foo"}), "-ERR Unsupported option Foo\r\n");
  EXPECT_EQ(run({"EXPIRE", "k", "9223372036854775807"}),
            "-ERR invalid expire time in 'expire' command\r\n");
  EXPECT_EQ(run({"PEXPIRE", "k", "9223372036854775807"}),
            "-ERR invalid expire time in 'pexpire' command\r\n");
}

TEST_F(GenericCommands, AnExpiryInThePastDeletes) {
  for (auto expire :
       {std::initializer_list<std::string_view>{"EXPIRE", "k", "-1"},
        std::initializer_list<std::string_view>{"PEXPIRE", "k", "0"},
        std::initializer_list<std::string_view>{"EXPIREAT", "k", "1"},
        std::initializer_list<std::string_view>{"PEXPIREAT", "k", "-9223372036854775808"}}) {
    run({"SET", "k", "v"});
    EXPECT_EQ(run(expire), ":1\r\n");
    EXPECT_EQ(run({"EXISTS", "k"}), ":0\r\n");
    EXPECT_EQ(run(expire), ":0\r\n");
  }
}

TEST_F(GenericCommands, TimesToLiveAreRoundedToTheNearestSecond) {
  run({"SET", "k", "v", "PX", "1500"});
  EXPECT_EQ(run({"TTL", "k"}), ":2\r\n");
  keyspace.now_ms += 1;
  EXPECT_EQ(run({"TTL", "k"}), ":1\r\n");
  EXPECT_EQ(run({"PTTL", "k"}), ":1499\r\n");
  EXPECT_EQ(run({"PEXPIRETIME", "k"}), ":1700000001500\r\n");
  EXPECT_EQ(run({"EXPIRETIME", "k"}), ":1700000002\r\n");
  EXPECT_EQ(run({"PERSIST", "k"}), ":1\r\n");
  EXPECT_EQ(run({"PERSIST", "k"}), ":0\r\n");
  EXPECT_EQ(run({"TTL", "k"}), ":-1\r\n");
  EXPECT_EQ(run({"TTL", "absent"}), ":-2\r\n");
}

TEST_F(GenericCommands, ExpiredKeysAreSeenByNobody) {
  run({"SET", "k", "v", "PX", "10"});
  run({"SADD", "s", "m"});
  run({"PEXPIRE", "s", "10"});
  keyspace.now_ms += 10;
  EXPECT_EQ(run({"KEYS", "*"}), "*0\r\n");
  EXPECT_EQ(run({"RANDOMKEY"}), "$-1\r\n");
  EXPECT_TRUE(page(run({"SCAN", "0", "COUNT", "1000"})).found.empty());
  EXPECT_EQ(run({"SCARD", "s"}), ":0\r\n");
  EXPECT_EQ(records({"DEL", "k"}), 0u);
  EXPECT_EQ(run({"SADD", "s", "n"}), ":1\r\n");
  EXPECT_EQ(run({"SCARD", "s"}), ":1\r\n");
}

TEST_F(GenericCommands, AScanReturnsWhatStaysOnceHoweverTheKeysChange) {
  std::set<std::string> stay;
  for (int i = 0; i < 300; ++i) {
    stay.insert("stay" + std::to_string(i));
    run({"SET", "stay" + std::to_string(i), "v"});
    run({"SET", "go" + std::to_string(i), "v"});
  }
  std::multiset<std::string> found;
  std::string cursor = "0";
  int pages = 0;
  do {
    const Page next = page(run({"SCAN", cursor, "COUNT", "7", "MATCH", "stay*"}));
    EXPECT_LE(next.found.size(), 7u);
    found.insert(next.found.begin(), next.found.end());
    cursor = next.cursor;
    run({"DEL", "go" + std::to_string(pages)});
    run({"SET", "new" + std::to_string(pages), "v"});
    ++pages;
  } while (cursor != "0" && pages < 1000);
  EXPECT_EQ(cursor, "0");
  EXPECT_GT(pages, 50);
  EXPECT_EQ(found, std::multiset<std::string>(stay.begin(), stay.end()));
}

TEST_F(GenericCommands, MembersAndFieldsAreScannedInSteps) {
  for (int i = 0; i < 200; ++i) {
    run({"SADD", "s", "m" + std::to_string(i)});
    run({"HINCRBY", "h", "f" + std::to_string(i), std::to_string(i)});
  }
  for (std::string_view command : {"SSCAN", "HSCAN"}) {
    std::set<std::string> found;
    std::size_t total = 0;
    std::string cursor = "0";
    int pages = 0;
    do {
      const Page next = page(run({command, command == "SSCAN" ? "s" : "h", cursor}));
      cursor = next.cursor;
      found.insert(next.found.begin(), next.found.end());
      total += next.found.size();
      ++pages;
    } while (cursor != "0" && pages < 100);
    EXPECT_EQ(total, command == "SSCAN" ? 200u : 400u);
    EXPECT_EQ(found.size(), total);
    EXPECT_GE(pages, 10);
  }
}

TEST_F(GenericCommands, WhatRedisKeepsCompactIsScannedWholeWhateverTheCursor) {
  run({"HSET", "h", "f", "v", "g", std::string(64, 'w')});
  run({"SADD", "s", "1", "-20"});
  for (std::string_view cursor :
       {"-1", "1", "+7", "9223372036854775808", "18446744073709551615", "-18446744073709551615"}) {
    const Page fields = page(run({"HSCAN", "h", cursor, "COUNT", "1"}));
    EXPECT_EQ(fields.cursor, "0") << cursor;
    EXPECT_EQ(fields.found.size(), 4u) << cursor;
    const Page members = page(run({"SSCAN", "s", cursor, "COUNT", "1"}));
    EXPECT_EQ(members.cursor, "0") << cursor;
    EXPECT_THAT(members.found, testing::UnorderedElementsAre("1", "-20")) << cursor;
  }
  EXPECT_EQ(run({"HSCAN", "h", "18446744073709551616"}), "-ERR invalid cursor\r\n");
  run({"HSET", "h", "g", std::string(65, 'w')});
  EXPECT_TRUE(page(run({"HSCAN", "h", "-1"})).found.empty());
  run({"SADD", "s", "x"});
  EXPECT_TRUE(page(run({"SSCAN", "s", "-1"})).found.empty());
}

TEST_F(GenericCommands, ScansRefuseBadWords) {
  EXPECT_EQ(run({"SCAN", "x"}), "-ERR invalid cursor\r\n");
  EXPECT_EQ(run({"SCAN", "0", "COUNT", "0"}), "-ERR syntax error\r\n");
  EXPECT_EQ(run({"SCAN", "0", "COUNT", "x"}), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(run({"SCAN", "0", "MATCH"}), "-ERR syntax error\r\n");
  run({"SADD", "s", "m"});
  EXPECT_EQ(run({"SSCAN", "s", "0", "TYPE", "set"}), "-ERR syntax error\r\n");
}

TEST_F(GenericCommands, ScanFiltersByType) {
  run({"SET", "string", "v"});
  run({"SADD", "set", "m"});
  run({"HSET", "hash", "f", "v"});
  EXPECT_THAT(page(run({"SCAN", "0", "COUNT", "100", "TYPE", "HASH"})).found,
              testing::ElementsAre("hash"));
  EXPECT_TRUE(page(run({"SCAN", "0", "COUNT", "100", "TYPE", "list"})).found.empty());
}

TEST_F(GenericCommands, FlushingDeletesEveryKeyButNotWhatIsAddedElsewhereMeanwhile) {
  TestKeyspace other(2);
  run({"SET", "k", "v"});
  run({"HINCRBY", "h", "f", "5"});
  run({"SADD", "s", "m"});
  other.merge(keyspace);
  other.run({"HINCRBY", "h", "f", "2"});
  other.run({"SET", "new", "v"});
  EXPECT_EQ(run({"FLUSHALL", "ASYNC"}), "+OK\r\n");
  EXPECT_EQ(run({"DBSIZE"}), ":0\r\n");
  EXPECT_EQ(records({"FLUSHDB", "both", "x"}), 0u);
  keyspace.merge(other);
  EXPECT_EQ(run({"HGET", "h", "f"}), "$1\r\n2\r\n");
  EXPECT_EQ(run({"EXISTS", "k", "s", "new"}), ":1\r\n");
}

TEST_F(GenericCommands, RandomKeysAreFoundAmongResidue) {
  for (int i = 0; i < 50; ++i) run({"INCR", "k" + std::to_string(i)});
  for (int i = 0; i < 49; ++i) run({"DEL", "k" + std::to_string(i)});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(run({"RANDOMKEY"}), "$3\r\nk49\r\n");
}

TEST_F(GenericCommands, ExplainTellsOfEverySiblingAndWhichWins) {
  TestKeyspace other(2);
  run({"SET", "k", "first"});
  other.now_ms += 5;
  other.run({"SET", "k", "second\n"});
  keyspace.merge(other);
  const std::string text = run({"EVEN.EXPLAIN", "k"});
  EXPECT_THAT(text, HasSubstr("on nodes 1 2 3"));
  EXPECT_THAT(text, HasSubstr("loses: value \"first\" written by 1/"));
  EXPECT_THAT(text, HasSubstr("wins: value \"second\\x0a\" written by 2/"));
  EXPECT_THAT(text, HasSubstr("2023-11-14T22:13:20.005Z"));
  EXPECT_THAT(run({"EVEN.EXPLAIN", "absent"}), HasSubstr("type: none"));

  for (int i = 0; i < 150; ++i) run({"SADD", "s", std::to_string(i)});
  EXPECT_THAT(run({"EVEN.EXPLAIN", "s"}), HasSubstr("the first 100 of 150 members"));

  run({"HINCRBY", "h", "f", "3"});
  run({"HINCRBYFLOAT", "h", "f", "0.5"});
  EXPECT_THAT(run({"EVEN.EXPLAIN", "h"}), HasSubstr("reads as \"3.5\""));
  run({"DEL", "h"});
  EXPECT_THAT(run({"EVEN.EXPLAIN", "h"}), HasSubstr("all removed as of"));
}

TEST_F(GenericCommands, DigestsAgreeAfterAMerge) {
  TestKeyspace other(2);
  run({"SET", "a", "1"});
  other.run({"SADD", "b", "1"});
  keyspace.merge(other);
  other.merge(keyspace);
  EXPECT_EQ(run({"EVEN.DIGEST"}), other.run({"EVEN.DIGEST"}));
  EXPECT_EQ(run({"EVEN.DIGEST", "3"}).substr(0, 12), "*1\r\n*3\r\n:3\r\n");
  EXPECT_EQ(run({"EVEN.DIGEST", "16"}), "-ERR partition 16 is not kept by this node\r\n");
  EXPECT_EQ(run({"EVEN.DIGEST", "-1"}), "-ERR partition -1 is not kept by this node\r\n");
}

TEST_F(GenericCommands, TheVersionIsThatOfTheProject) {
  const std::string text = "even " + std::string(version());
  EXPECT_EQ(run({"EVEN.VERSION"}), "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
}

TEST_F(GenericCommands, CommandDescribesTheTable) {
  EXPECT_EQ(run({"COMMAND", "COUNT"}), ":" + std::to_string(all_commands().size()) + "\r\n");
  EXPECT_EQ(run({"COMMAND", "INFO", "nosuch"}), "*1\r\n$-1\r\n");
  EXPECT_EQ(run({"COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2"}),
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_THAT(run({"COMMAND", "DOCS", "config"}), HasSubstr("config|get"));
  EXPECT_THAT(run({"COMMAND", "LIST", "FILTERBY", "ACLCAT", "set"}), HasSubstr("sadd"));
  EXPECT_THAT(run({"COMMAND", "HELP"}), HasSubstr("GETKEYS"));
}

}  // namespace
}  // namespace even
