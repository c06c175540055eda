#include "engine/databases.h"

#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

std::vector<std::string> stored_of(const std::vector<std::string>& request, DatabaseNumber number) {
  const std::vector<std::string_view> words(request.begin(), request.end());
  StoredWords out;
  store_words(*find_command(words), words, {DatabaseMap(), number}, out);
  return {out.words.begin(), out.words.end()};
}
std::string in(DatabaseNumber number, std::string_view key) { return stored_key(number, key); }

TEST(Databases, KeysAreStoredUnderTheNumberOfTheirDatabaseAndNothingElseIsTouched) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(stored_of({"set", "k", "v"}, 2), (Words{"set", in(2, "k"), "v"}));
  EXPECT_EQ(stored_of({"mset", "", "", "", ""}, 2), (Words{"mset", in(2, ""), "", in(2, ""), ""}));
  EXPECT_EQ(stored_of({"xread", "streams", "a", "b", "0", "0"}, 1),
            (Words{"xread", "streams", in(1, "a"), in(1, "b"), "0", "0"}));
  EXPECT_EQ(stored_of({"zinterstore", "d", "1", "k", "weights", "2"}, 1),
            (Words{"zinterstore", in(1, "d"), "1", in(1, "k"), "weights", "2"}));
  EXPECT_EQ(stored_of({"sort", "k", "by", "w_*", "get", "#", "get", "g_*", "store", "d"}, 3),
            (Words{"sort", in(3, "k"), "by", in(3, "w_*"), "get", "#", "get", in(3, "g_*"), "store",
                   in(3, "d")}));
  EXPECT_EQ(stored_of({"copy", "k", "l", "DB", "5"}, 3),
            (Words{"copy", in(3, "k"), in(5, "l"), "DB", "5"}));
  EXPECT_EQ(stored_of({"move", "k", "0"}, 3), (Words{"move", in(3, "k"), "0", "k"}));
  EXPECT_EQ(stored_of({"keys", "*"}, 0), (Words{"keys", "*"}));
  EXPECT_EQ(stored_of({"keys", "*"}, 4), (Words{"keys", "*", std::string(database_word(4))}));
  EXPECT_EQ(stored_of({"flushall"}, 4), (Words{"flushall"}));
}

TEST(Databases, OnlyRequestsThatNeedItAreRewritten) {
  const auto needs = [](const std::vector<std::string>& request, DatabaseNumber number) {
    const std::vector<std::string_view> words(request.begin(), request.end());
    return needs_stored_words(*find_command(words), words, number);
  };
  EXPECT_FALSE(needs({"get", "k"}, 0));
  EXPECT_FALSE(needs({"ping"}, 3));
  EXPECT_TRUE(needs({"get", "k"}, 3));
  EXPECT_TRUE(needs({"get", in(1, "k")}, 0));
  EXPECT_TRUE(needs({"move", "k", "1"}, 0));
}

TEST(Databases, LogsShowWhatTheClientHasWritten) {
  using Words = std::vector<std::string>;
  for (const Words& request :
       {Words{"set", "k", "v"}, Words{"move", "k", "1"}, Words{"scan", "0", "match", "*"},
        Words{"copy", "k", "l", "db", "3"}, Words{"sort", "k", "by", "w_*"}, Words{"dbsize"}}) {
    const Words stored = stored_of(request, 2);
    EXPECT_NE(stored, request);
    const std::vector<std::string_view> words(stored.begin(), stored.end());
    const auto shown = user_words(*find_command(words), words);
    EXPECT_EQ(Words(shown.begin(), shown.end()), request);
  }
}

TEST(Databases, AScriptTakesItsDatabaseAlongUnlessItIsPlain) {
  EXPECT_EQ(with_database({}, "user ~*"), "user ~*");
  DatabaseMap map;
  map.swap(2, 0);
  const Database database{map, 7};
  for (const std::string_view rights : {"", "user ~*"}) {
    const std::string word = with_database(database, rights);
    const auto read = database_of_script(word);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->database.map, map);
    EXPECT_EQ(read->database.number, 7);
    EXPECT_EQ(read->rights, rights);
  }
  const std::string word = with_database(database, "");
  EXPECT_FALSE(database_of_script(std::string_view(word).substr(0, 12)));
}

class DatabasesOfKeys : public CommandFixture {
 protected:
  std::string in_database(DatabaseNumber number, const std::vector<std::string>& request) {
    const std::vector<std::string_view> words(request.begin(), request.end());
    StoredWords stored;
    store_words(*find_command(words), words, {DatabaseMap(), number}, stored);
    return keyspace.run(stored.words);
  }
};

TEST_F(DatabasesOfKeys, CommandsAboutAllKeysAreAboutThoseOfOneDatabase) {
  for (int i = 0; i < 20; ++i) {
    const std::string key = "k" + std::to_string(i);
    in_database(0, {"set", key, "v"});
    if (i < 5) in_database(9, {"set", key, "v"});
  }
  EXPECT_EQ(in_database(0, {"dbsize"}), ":20\r\n");
  EXPECT_EQ(in_database(9, {"dbsize"}), ":5\r\n");
  EXPECT_EQ(in_database(3, {"dbsize"}), ":0\r\n");
  EXPECT_EQ(in_database(9, {"keys", "*3"}), "*1\r\n" + bulk("k3"));
  EXPECT_EQ(in_database(3, {"randomkey"}), "$-1\r\n");
  EXPECT_EQ(in_database(9, {"move", "k1", "3"}), ":1\r\n");
  EXPECT_EQ(in_database(9, {"move", "k2", "0"}), ":0\r\n");
  EXPECT_EQ(in_database(3, {"randomkey"}), bulk("k1"));
  EXPECT_EQ(in_database(0, {"flushdb"}), "+OK\r\n");
  EXPECT_EQ(in_database(0, {"dbsize"}), ":0\r\n");
  EXPECT_EQ(in_database(9, {"dbsize"}), ":4\r\n");
  EXPECT_EQ(in_database(9, {"flushdb"}), "+OK\r\n");
  EXPECT_EQ(in_database(3, {"dbsize"}), ":1\r\n");
  EXPECT_EQ(in_database(9, {"flushall"}), "+OK\r\n");
  EXPECT_EQ(in_database(3, {"dbsize"}), ":0\r\n");
}

TEST_F(DatabasesOfKeys, RepliesNameKeysAsTheirUsersDo) {
  in_database(2, {"rpush", "l", "a"});
  EXPECT_EQ(in_database(2, {"lmpop", "1", "l", "left"}),
            "*2\r\n" + bulk("l") + "*1\r\n" + bulk("a"));
  in_database(2, {"xadd", "s", "1-1", "f", "v"});
  EXPECT_NE(in_database(2, {"xread", "streams", "s", "0"}).find("\r\n$1\r\ns\r\n"),
            std::string::npos);
  EXPECT_EQ(in_database(2, {"xinfo", "consumers", "s", "g"}),
            "-NOGROUP No such consumer group 'g' for key name 's'\r\n");
}

TEST_F(DatabasesOfKeys, WhatSortMakesOfElementsAreKeysOfItsDatabase) {
  in_database(1, {"set", "w", "of 1"});
  in_database(0, {"rpush", "l", stored_key(1, "w")});
  EXPECT_EQ(in_database(0, {"sort", "l", "by", "nosort", "get", "*"}), "*1\r\n$-1\r\n");
  in_database(1, {"rpush", "l", "w"});
  EXPECT_EQ(in_database(1, {"sort", "l", "by", "nosort", "get", "*"}), "*1\r\n" + bulk("of 1"));
}

}  // namespace
}  // namespace even
