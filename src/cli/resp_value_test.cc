#include "cli/resp_value.h"

#include <gtest/gtest.h>

namespace even::cli {
namespace {

TEST(RespValueTest, NestedArraysAndNullsAreRead) {
  const auto value = decode_value("*4\r\n$1\r\na\r\n*2\r\n:5\r\n$-1\r\n$1\r\nb\r\n$2\r\n\r\n\r\n");
  ASSERT_TRUE(value);
  const RespValue* a = value->find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->elements[0].number(), 5);
  EXPECT_TRUE(a->elements[1].null);
  EXPECT_EQ(value->text_of("b"), "\r\n");
  EXPECT_EQ(value->find("c"), nullptr);
  EXPECT_EQ(value->number_of("c"), 0);
}

TEST(RespValueTest, ErrorsAndWhatIsNoReplyFail) {
  EXPECT_EQ(decode_value("-ERR no\r\n").error().message, "ERR no");
  for (const char* bytes :
       {"", "+", "$5\r\nab\r\n", "*2\r\n:1\r\n", "?x\r\n", ":1\r\n:2\r\n", "$x\r\n"}) {
    EXPECT_FALSE(decode_value(bytes)) << bytes;
  }
  std::string deep;
  for (int i = 0; i < 1'000; ++i) deep += "*1\r\n";
  EXPECT_FALSE(decode_value(deep + ":1\r\n"));
}

}  // namespace
}  // namespace even::cli
