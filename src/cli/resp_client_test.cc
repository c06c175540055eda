#include "cli/resp_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace even::cli {
namespace {

using ::testing::ElementsAre;

TEST(RespClient, RepliesAreTheirTexts) {
  EXPECT_THAT(*decode_reply("+OK\r\n"), ElementsAre("OK"));
  EXPECT_THAT(*decode_reply(":17\r\n"), ElementsAre("17"));
  EXPECT_THAT(*decode_reply("$4\r\na\r\nb\r\n"), ElementsAre("a\r\nb"));
  EXPECT_THAT(*decode_reply("$-1\r\n"), ElementsAre(""));
  EXPECT_THAT(*decode_reply("*3\r\n$1\r\na\r\n:2\r\n$0\r\n\r\n"), ElementsAre("a", "2", ""));
  EXPECT_TRUE(decode_reply("*0\r\n")->empty());
}

TEST(RespClient, AnErrorOfTheNodeIsAnError) {
  EXPECT_EQ(decode_reply("-ERR no\r\n").error().message, "ERR no");
}

TEST(RespClient, WhatIsNoFlatReplyIsRefused) {
  for (const char* bytes :
       {"", "OK\r\n", "+OK", "$5\r\nabc\r\n", "+OK\r\n+OK\r\n", "%1\r\n+a\r\n+b\r\n",
        "*1\r\n*0\r\n", "*1\r\n-ERR\r\n", "*2\r\n+a\r\n"}) {
    EXPECT_FALSE(decode_reply(bytes)) << bytes;
  }
}

}  // namespace
}  // namespace even::cli
