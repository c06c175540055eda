// Streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command_fixture.h"
#include "engine/stream.h"

namespace even {
namespace {

class StreamCommands : public CommandFixture {
 protected:
  // The ids in a reply, each of which is followed by what the entry holds.
  static std::vector<std::string> ids(const std::string& reply) {
    std::vector<std::string> out;
    for (std::size_t at = 0; (at = reply.find("*2\r\n$", at)) != std::string::npos;) {
      at = reply.find("\r\n", at + 5) + 2;
      out.push_back(reply.substr(at, reply.find("\r\n", at) - at));
    }
    return out;
  }
};

TEST_F(StreamCommands, ALargeStreamIsWhatASmallOneIs) {
  std::map<int, std::string> expected;
  Random random(5);
  int next = 1;
  for (int i = 0; i < 3000; ++i) {
    if (random.below(i < 1500 ? 8 : 3) > 0) {
      const std::string value = std::to_string(random.below(1000));
      EXPECT_EQ(run({"XADD", "s", std::to_string(next) + "-0", "f", value}),
                bulk(std::to_string(next) + "-0"));
      expected[next++] = value;
    } else if (!expected.empty()) {
      const auto gone = expected.lower_bound(static_cast<int>(random.below(next)));
      if (gone == expected.end()) continue;
      EXPECT_EQ(run({"XDEL", "s", std::to_string(gone->first) + "-0"}), ":1\r\n");
      expected.erase(gone);
    }
    if (i % 100 != 0) continue;
    std::string all = "*" + std::to_string(expected.size()) + "\r\n";
    std::string back;
    for (const auto& [id, value] : expected) {
      const std::string entry =
          "*2\r\n" + bulk(std::to_string(id) + "-0") + "*2\r\n" + bulk("f") + bulk(value);
      all += entry;
      back = entry + back;
    }
    ASSERT_EQ(run({"XRANGE", "s", "-", "+"}), all);
    ASSERT_EQ(run({"XREVRANGE", "s", "+", "-"}),
              "*" + std::to_string(expected.size()) + "\r\n" + back);
    ASSERT_EQ(run({"XLEN", "s"}), ":" + std::to_string(expected.size()) + "\r\n");
  }
}

TEST_F(StreamCommands, AShortStreamIsTrimmedAboutOnlyWhenNothingIsToStay) {
  for (const char* id : {"1-1", "2-1", "3-1"}) run({"XADD", "s", id, "f", "v"});
  EXPECT_EQ(run({"XTRIM", "s", "MAXLEN", "~", "1"}), ":0\r\n");
  EXPECT_EQ(run({"XTRIM", "s", "MINID", "~", "3-1"}), ":0\r\n");
  EXPECT_EQ(run({"XTRIM", "s", "MAXLEN", "~", "0", "LIMIT", "2"}), ":0\r\n");
  EXPECT_EQ(run({"XTRIM", "s", "MAXLEN", "~", "0"}), ":3\r\n");
  EXPECT_EQ(run({"XLEN", "s"}), ":0\r\n");
}

TEST_F(StreamCommands, AGroupThatHasBeenGivenNothingHasNoCount) {
  run({"XADD", "s", "1-1", "f", "v"});
  run({"XGROUP", "CREATE", "s", "g", "0"});
  EXPECT_THAT(run({"XINFO", "GROUPS", "s"}),
              testing::HasSubstr(bulk("entries-read") + "$-1\r\n" + bulk("lag") + ":1\r\n"));
  run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  EXPECT_THAT(run({"XINFO", "GROUPS", "s"}),
              testing::HasSubstr(bulk("entries-read") + ":1\r\n" + bulk("lag") + ":0\r\n"));
}

TEST_F(StreamCommands, APlusReadsTheLastEntryThatIsThere) {
  EXPECT_EQ(run({"XREAD", "STREAMS", "s", "+"}), "*-1\r\n");
  run({"XADD", "s", "1-1", "f", "a"});
  run({"XADD", "s", "2-18446744073709551615", "f", "b"});
  const std::string last = "*1\r\n*2\r\n" + bulk("s") + "*1\r\n*2\r\n" +
                           bulk("2-18446744073709551615") + "*2\r\n" + bulk("f") + bulk("b");
  EXPECT_EQ(run({"XREAD", "COUNT", "5", "STREAMS", "s", "+"}), last);
  run({"XDEL", "s", "2-18446744073709551615"});
  EXPECT_EQ(
      run({"XREAD", "STREAMS", "s", "+"}),
      "*1\r\n*2\r\n" + bulk("s") + "*1\r\n*2\r\n" + bulk("1-1") + "*2\r\n" + bulk("f") + bulk("a"));
}

TEST_F(StreamCommands, TheLastIdStaysWhenItsEntryGoes) {
  keyspace.set_replicated(false);
  run({"XADD", "s", "5-1", "f", "v"});
  EXPECT_EQ(run({"XDEL", "s", "5-1"}), ":1\r\n");
  EXPECT_EQ(run({"XLEN", "s"}), ":0\r\n");
  EXPECT_EQ(run({"TYPE", "s"}), "+stream\r\n");
  EXPECT_TRUE(run({"XADD", "s", "5-1", "f", "v"}).starts_with("-ERR The ID specified in XADD is"));
  EXPECT_EQ(run({"XADD", "s", "5-*", "f", "v"}), bulk("5-2"));
  EXPECT_EQ(run({"XTRIM", "s", "MAXLEN", "0"}), ":1\r\n");
  EXPECT_EQ(run({"EVEN.LASTID", "s", "none"}), "*2\r\n" + bulk("5-2") + bulk("0-0"));
  EXPECT_EQ(run({"XADD", "s", "MAXLEN", "0", "7-0", "f", "v"}), bulk("7-0"));
  EXPECT_EQ(run({"XLEN", "s"}), ":0\r\n");
  EXPECT_EQ(run({"EVEN.LASTID", "s"}), "*1\r\n" + bulk("7-0"));
}

TEST_F(StreamCommands, ACopyHasItsGroupsToo) {
  run({"XADD", "s", "5-1", "f", "v"});
  run({"XGROUP", "CREATE", "s", "g", "0"});
  run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  EXPECT_EQ(run({"COPY", "s", "t"}), ":1\r\n");
  EXPECT_EQ(run({"XRANGE", "t", "-", "+"}), run({"XRANGE", "s", "-", "+"}));
  EXPECT_EQ(run({"XPENDING", "t", "g"}), run({"XPENDING", "s", "g"}));
  EXPECT_EQ(run({"RENAME", "t", "u"}), "+OK\r\n");
  EXPECT_EQ(run({"XLEN", "u"}), ":1\r\n");
}

// What two nodes append at the same time.
class TwoStreams : public testing::Test {
 protected:
  TwoStreams() : one(1), two(2) {
    for (TestKeyspace* keyspace : {&one, &two}) keyspace->set_replicated(true);
  }
  void exchange() {
    one.merge(two);
    two.merge(one);
  }
  TestKeyspace one;
  TestKeyspace two;
};

TEST_F(TwoStreams, EntriesOfTwoNodesAreAllThereInOneOrderUnderIdsOfTheirOwn) {
  for (int i = 0; i < 40; ++i) {
    one.run({"XADD", "s", "*", "of", "one"});
    two.run({"XADD", "s", "*", "of", "two"});
    if (i % 10 == 0) exchange();
    if (i % 7 == 0) ++one.now_ms;
  }
  exchange();
  const std::string all = one.run({"XRANGE", "s", "-", "+"});
  EXPECT_EQ(all, two.run({"XRANGE", "s", "-", "+"}));
  EXPECT_EQ(one.run({"XLEN", "s"}), ":80\r\n");
  const Object* object = one.state(one.partition_of("s")).find("s", hash64("s"));
  std::set<StreamId> ids;
  StreamId before;
  Stream(object->stream()).all_entries(false, [&](const StreamEntry& entry) {
    EXPECT_GT(entry.id, before);
    before = entry.id;
    ids.insert(entry.id);
  });
  EXPECT_EQ(ids.size(), 80u);
}

TEST_F(TwoStreams, AnIdIsBehindAllThatAreThereWhoeverHasAddedOrRemovedThem) {
  const auto last_id = [this] { return one.run({"EVEN.LASTID", "s"}); };
  // Of a small stream, then of one that has an index.
  for (const int more : {0, 200}) {
    for (int i = 1; i <= more; ++i) {
      one.run({"XADD", "s", std::to_string(20 + i) + "-0", "f", "v"});
    }
    const std::string low = std::to_string(more * 10 + 1005) + "-0";
    const std::string high = std::to_string(more * 10 + 1009) + "-0";
    // The greatest id is of the first writer, then of the second.
    one.run({"XADD", "s", high, "f", "v"});
    two.run({"XADD", "s", low, "f", "v"});
    exchange();
    EXPECT_EQ(last_id(), "*1\r\n" + bulk(high));
    EXPECT_TRUE(two.run({"XADD", "s", high, "f", "v"}).starts_with("-ERR The ID specified"));
    const std::string higher = std::to_string(more * 10 + 1010) + "-0";
    two.run({"XADD", "s", higher, "f", "v"});
    exchange();
    EXPECT_EQ(last_id(), "*1\r\n" + bulk(higher));
    EXPECT_TRUE(one.run({"XADD", "s", higher, "f", "v"}).starts_with("-ERR The ID specified"));
    // It stays when its entry goes, and so when all entries do.
    two.run({"XDEL", "s", higher});
    exchange();
    EXPECT_EQ(last_id(), "*1\r\n" + bulk(higher));
    two.run({"XTRIM", "s", "MAXLEN", "0"});
    exchange();
    EXPECT_EQ(last_id(), "*1\r\n" + bulk(higher));
    EXPECT_TRUE(one.run({"XADD", "s", higher, "f", "v"}).starts_with("-ERR The ID specified"));
  }
}

TEST_F(TwoStreams, AnIdIsBehindThoseOfBeforeADeletionWhoseClocksWereAhead) {
  one.run({"XADD", "s", "*", "f", "v"});
  exchange();
  two.now_ms += 300;
  two.run({"XADD", "s", "*", "f", "v"});
  exchange();
  one.run({"XADD", "s", "*", "f", "before"});
  // A group of a later life at one node, that reads what the other one has appended and deletes.
  two.run({"DEL", "s"});
  two.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  two.merge(one);
  const auto read = [this] {
    return two.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  };
  EXPECT_NE(read().find("before"), std::string::npos);
  one.run({"DEL", "s"});
  one.now_ms -= 100;
  one.run({"XADD", "s", "*", "f", "behind"});
  exchange();
  EXPECT_NE(read().find("behind"), std::string::npos);
}

TEST_F(TwoStreams, AGroupIsGivenWhatArrivesLateUnderALowerId) {
  one.run({"XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"});
  exchange();
  two.run({"XADD", "s", "5-0", "of", "two"});
  one.run({"XADD", "s", "9-0", "of", "one"});
  const auto read = [this] {
    return one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  };
  EXPECT_NE(read().find("9-0"), std::string::npos);
  EXPECT_EQ(read(), "*-1\r\n");
  exchange();
  EXPECT_NE(read().find("5-0"), std::string::npos);
  EXPECT_EQ(read(), "*-1\r\n");
  exchange();
  EXPECT_EQ(two.run({"XREADGROUP", "GROUP", "g", "d", "STREAMS", "s", ">"}), "*-1\r\n");
  EXPECT_TRUE(two.run({"XPENDING", "s", "g"}).starts_with("*4\r\n:2\r\n"));
}

TEST_F(TwoStreams, ADumpLosesNothingThatArrivedLate) {
  const auto copy = [this] {
    std::string payload = one.run({"DUMP", "s"});
    if (payload.front() == '-') return payload;
    payload = payload.substr(payload.find("\r\n") + 2);
    payload.resize(payload.size() - 2);
    return one.run({"RESTORE", "copy", "0", payload, "REPLACE"});
  };
  one.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  exchange();
  two.run({"XADD", "s", "5-0", "of", "two"});
  one.run({"XADD", "s", "4-0", "of", "one"});
  one.run({"XADD", "s", "9-0", "of", "one"});
  one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  exchange();
  EXPECT_EQ(copy(), "+OK\r\n");
  const std::string read = one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "copy", ">"});
  EXPECT_EQ(read.find("4-0"), std::string::npos);
  EXPECT_NE(read.find("5-0"), std::string::npos);
  one.run({"XADD", "s", "10-1", "of", "one"});
  two.run({"XADD", "s", "10-1", "of", "two"});
  EXPECT_EQ(copy(), "+OK\r\n");
  exchange();
  EXPECT_TRUE(copy().starts_with("-ERR the stream has two entries with the id 10-1,"));
}

TEST_F(TwoStreams, WhatIsDeliveredNeverGoesBack) {
  one.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  for (const char* id : {"1-0", "2-0", "3-0"}) one.run({"XADD", "s", id, "f", "v"});
  exchange();
  one.run({"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">"});
  two.run({"XREADGROUP", "GROUP", "g", "d", "COUNT", "3", "STREAMS", "s", ">"});
  exchange();
  EXPECT_EQ(one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}), "*-1\r\n");
  EXPECT_EQ(two.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}), "*-1\r\n");
}

TEST_F(TwoStreams, AnAcknowledgementHoldsUnlessSomebodyClaimsAtTheSameTime) {
  one.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  for (const char* id : {"1-0", "2-0"}) one.run({"XADD", "s", id, "f", "v"});
  one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  exchange();
  EXPECT_EQ(one.run({"XACK", "s", "g", "1-0", "2-0"}), ":2\r\n");
  two.run({"XCLAIM", "s", "g", "d", "0", "2-0"});
  exchange();
  for (TestKeyspace* keyspace : {&one, &two}) {
    const std::string pending = keyspace->run({"XPENDING", "s", "g", "-", "+", "10"});
    EXPECT_EQ(pending.find("1-0"), std::string::npos);
    EXPECT_NE(pending.find("2-0"), std::string::npos);
  }
}

TEST_F(TwoStreams, AGroupThatIsMadeAnewIsGivenAllAgainWhateverOthersReadMeanwhile) {
  one.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  for (const char* id : {"1-0", "2-0"}) one.run({"XADD", "s", id, "f", "v"});
  exchange();
  one.run({"XGROUP", "DESTROY", "s", "g"});
  one.run({"XGROUP", "CREATE", "s", "g", "0"});
  two.run({"XREADGROUP", "GROUP", "g", "d", "STREAMS", "s", ">"});
  exchange();
  const std::string given = two.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  EXPECT_NE(given.find("1-0"), std::string::npos);
  EXPECT_NE(given.find("2-0"), std::string::npos);
}

TEST_F(TwoStreams, AGroupThatTwoNodesCreateIsOne) {
  for (const char* id : {"1-0", "2-0"}) one.run({"XADD", "s", id, "f", "v"});
  exchange();
  one.run({"XGROUP", "CREATE", "s", "g", "0"});
  two.run({"XGROUP", "CREATE", "s", "g", "0"});
  one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  exchange();
  for (TestKeyspace* keyspace : {&one, &two}) {
    EXPECT_TRUE(keyspace->run({"XPENDING", "s", "g"}).starts_with("*4\r\n:2\r\n"));
    EXPECT_EQ(keyspace->run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}), "*-1\r\n");
  }
  EXPECT_EQ(two.run({"XACK", "s", "g", "1-0", "2-0"}), ":2\r\n");
  exchange();
  EXPECT_TRUE(one.run({"XPENDING", "s", "g"}).starts_with("*4\r\n:0\r\n"));
  EXPECT_EQ(one.run({"XGROUP", "DESTROY", "s", "g"}), ":1\r\n");
  exchange();
  EXPECT_EQ(two.run({"XINFO", "GROUPS", "s"}), "*0\r\n");
}

TEST_F(TwoStreams, EntriesUnderOneIdAreEachGivenBackAndAcknowledged) {
  one.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  exchange();
  one.run({"XADD", "s", "5-1", "of", "one"});
  two.run({"XADD", "s", "5-1", "of", "two"});
  exchange();
  one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  for (const std::string& given : {one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0"}),
                                   one.run({"XAUTOCLAIM", "s", "g", "d", "0", "0"}),
                                   one.run({"XCLAIM", "s", "g", "e", "0", "5-1"})}) {
    EXPECT_NE(given.find("one"), std::string::npos);
    EXPECT_NE(given.find("two"), std::string::npos);
  }
  one.run({"XACK", "s", "g", "5-1"});
  EXPECT_TRUE(one.run({"XPENDING", "s", "g"}).starts_with("*4\r\n:0\r\n"));
}

// As after a crash that lost the end of the log.
TEST_F(TwoStreams, AnotherRunOfANodeOverwritesNothingOfAnEarlierOne) {
  one.run({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  exchange();
  one.run({"XADD", "s", "5-*", "f", "lost"});
  two.merge(one);
  two.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
  TestKeyspace restarted(3);
  restarted.set_replicated(true);
  restarted.run({"XADD", "s", "3-*", "f", "anew"});
  two.merge(restarted);
  EXPECT_EQ(two.run({"XLEN", "s"}), ":2\r\n");
  EXPECT_NE(two.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}).find("anew"),
            std::string::npos);
}

TEST_F(StreamCommands, KeysAreFoundBehindTheKeywordOnly) {
  const auto keys = [](std::initializer_list<std::string_view> words) {
    const Args args(words.begin(), words.size());
    std::string out;
    for_each_key(*find_command(args[0]), args, [&out](std::string_view key) { out += key; });
    return out;
  };
  EXPECT_EQ(keys({"xreadgroup", "noack", "group", "g", "streams", "streams", "k", ">"}), "k");
  EXPECT_EQ(keys({"xreadgroup", "count", "1", "group", "streams", "c", "streams", "k", ">"}), "k");
  EXPECT_EQ(keys({"xread", "count", "streams", "streams", "k", "l", "0", "0"}), "kl");
  EXPECT_EQ(keys({"xread", "streams", "k", "l", "0"}), "");
}

TEST_F(TwoStreams, AGroupThatIsMadeAnewHasNothingOfTheOneBefore) {
  one.run({"XADD", "s", "1-0", "f", "v"});
  one.run({"XGROUP", "CREATE", "s", "g", "0"});
  exchange();
  one.run({"XGROUP", "DESTROY", "s", "g"});
  two.run({"XREADGROUP", "GROUP", "g", "d", "STREAMS", "s", ">"});
  exchange();
  EXPECT_EQ(one.run({"XINFO", "GROUPS", "s"}), "*0\r\n");
  EXPECT_EQ(one.run({"XGROUP", "CREATE", "s", "g", "0"}), "+OK\r\n");
  EXPECT_TRUE(one.run({"XPENDING", "s", "g"}).starts_with("*4\r\n:0\r\n"));
  EXPECT_NE(one.run({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"}).find("1-0"),
            std::string::npos);
}

}  // namespace
}  // namespace even
