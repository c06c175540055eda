// For tests of command families: a keyspace of one replica, whose digests are checked at the end of
// each test, and the forms of replies.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "engine/test_keyspace.h"

namespace even {

class CommandFixture : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(keyspace.digests_hold()); }
  std::string run(std::initializer_list<std::string_view> words) { return keyspace.run(words); }
  // How many records the command makes.
  std::size_t records(std::initializer_list<std::string_view> words) {
    const std::size_t before = keyspace.records;
    keyspace.run(words);
    return keyspace.records - before;
  }

  TestKeyspace keyspace;
};

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

}  // namespace even
