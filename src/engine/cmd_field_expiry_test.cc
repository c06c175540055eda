#include <gmock/gmock.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

using ::testing::HasSubstr;

struct FieldExpiryTest : CommandFixture {
  void SetUp() override { run({"hset", "h", "a", "1", "b", "2", "n", "5"}); }
  // Milliseconds until these expire, in a line.
  std::string left(std::initializer_list<std::string_view> fields) {
    const std::string count = std::to_string(fields.size());
    std::vector<std::string_view> words{"hpttl", "h", "fields", count};
    words.insert(words.end(), fields);
    std::string text = keyspace.run(words);
    std::ranges::replace(text, '\r', ' ');
    std::erase(text, '\n');
    return text.substr(text.find(' ') + 1);
  }
};

TEST_F(FieldExpiryTest, AFieldIsGoneFromItsInstantOn) {
  EXPECT_EQ(run({"hpexpire", "h", "100", "fields", "2", "a", "none"}), "*2\r\n:1\r\n:-2\r\n");
  EXPECT_EQ(left({"a", "b", "none"}), ":100 :-1 :-2 ");
  keyspace.now_ms += 99;
  EXPECT_EQ(run({"hget", "h", "a"}), bulk("1"));
  keyspace.now_ms += 1;
  EXPECT_EQ(run({"hget", "h", "a"}), "$-1\r\n");
  EXPECT_EQ(run({"hlen", "h"}), ":2\r\n");
  EXPECT_EQ(run({"hmget", "h", "a", "b"}), "*2\r\n$-1\r\n" + bulk("2"));
  EXPECT_EQ(left({"a"}), ":-2 ");
}

TEST_F(FieldExpiryTest, AHashWhoseFieldsHaveAllExpiredIsWrittenAnew) {
  run({"hpexpire", "h", "100", "fields", "3", "a", "b", "n"});
  run({"pexpire", "h", "1000"});
  keyspace.now_ms += 100;
  EXPECT_EQ(run({"exists", "h"}), ":0\r\n");
  EXPECT_EQ(run({"hincrby", "h", "n", "1"}), ":1\r\n");
  EXPECT_EQ(run({"hgetall", "h"}), "*2\r\n" + bulk("n") + bulk("1"));
  EXPECT_EQ(run({"pttl", "h"}), ":-1\r\n");
}

TEST_F(FieldExpiryTest, WhatIsWrittenToAFieldThatHasExpiredBeginsWithNothing) {
  run({"hincrby", "h", "n", "7"});
  run({"hpexpire", "h", "100", "fields", "2", "a", "n"});
  keyspace.now_ms += 100;
  EXPECT_EQ(run({"hincrby", "h", "n", "1"}), ":1\r\n");
  EXPECT_EQ(run({"hincrby", "h", "n", "1"}), ":2\r\n");
  EXPECT_EQ(run({"hincrbyfloat", "h", "a", "0.5"}), bulk("0.5"));
  EXPECT_EQ(left({"n", "a"}), ":-1 :-1 ");
  EXPECT_EQ(run({"hgetall", "h"}).substr(0, 4), "*6\r\n");
}

TEST_F(FieldExpiryTest, AFieldThatACommandNamesTwiceIsAsTheFirstTimeLeftIt) {
  EXPECT_EQ(run({"hpexpire", "h", "100", "nx", "fields", "2", "a", "a"}), "*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(run({"hpersist", "h", "fields", "2", "a", "a"}), "*2\r\n:1\r\n:-1\r\n");
  EXPECT_EQ(run({"hgetdel", "h", "fields", "2", "a", "a"}), "*2\r\n" + bulk("1") + "$-1\r\n");
  EXPECT_EQ(run({"hexpire", "h", "0", "fields", "3", "b", "b", "n"}), "*3\r\n:2\r\n:-2\r\n:2\r\n");
  EXPECT_EQ(run({"exists", "h"}), ":0\r\n");
}

TEST_F(FieldExpiryTest, WhatIsLeftOfAHashWithoutFieldsIsNoKeyAndCostsNothing) {
  run({"hpexpire", "h", "100", "fields", "3", "a", "b", "n"});
  EXPECT_EQ(run({"hdel", "h", "a", "b", "n"}), ":3\r\n");
  EXPECT_EQ(run({"exists", "h"}), ":0\r\n");
  EXPECT_EQ(keyspace.state(keyspace.partition_of("h")).object_count(), 0u);
}

TEST_F(FieldExpiryTest, AHashWithoutExpiriesOfFieldsIsAsItWas) {
  const auto memory = [this] { return run({"memory", "usage", "h"}); };
  const std::string before = memory();
  run({"hpexpire", "h", "100", "fields", "2", "a", "b"});
  EXPECT_NE(memory(), before);
  run({"hpersist", "h", "fields", "1", "a"});
  run({"hset", "h", "b", "2"});
  EXPECT_EQ(memory(), before);
  EXPECT_EQ(keyspace.state(keyspace.partition_of("h")).keys_with_field_expiry(), 0u);
}

TEST_F(FieldExpiryTest, TheWordsOfHgetexAreChecked) {
  EXPECT_THAT(run({"hgetex", "h", "ex", "10", "fields"}), HasSubstr("wrong number of arguments"));
  EXPECT_THAT(run({"hgetex", "h", "ex", "10", "a"}), HasSubstr("FIELDS is missing"));
  EXPECT_THAT(run({"hgetex", "h", "persist", "fields", "2", "a"}), HasSubstr("must match"));
}

}  // namespace
}  // namespace even
