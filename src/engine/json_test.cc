#include "engine/json.h"

#include <gtest/gtest.h>

#include "engine/reply.h"

namespace even {
namespace {

std::string json_text_of(std::string_view bytes, JsonText text = JsonText::kUtf8) {
  std::string out;
  put_json_text(out, bytes, text);
  return out;
}

TEST(JsonTest, TextIsEscaped) {
  using namespace std::string_literals;
  EXPECT_EQ(json_text_of("a\"b\\c\n\0d"s), R"("a\"b\\c\u000a\u0000d")");
  EXPECT_EQ(json_text_of("Zürich"), "\"Zürich\"");
}

TEST(JsonTest, BytesAreWrittenInBase64) {
  EXPECT_EQ(json_text_of("", JsonText::kBase64), "\"\"");
  EXPECT_EQ(json_text_of("f", JsonText::kBase64), "\"Zg==\"");
  EXPECT_EQ(json_text_of("fo", JsonText::kBase64), "\"Zm8=\"");
  EXPECT_EQ(json_text_of("foo", JsonText::kBase64), "\"Zm9v\"");
  EXPECT_EQ(json_text_of("foob", JsonText::kBase64), "\"Zm9vYg==\"");
  EXPECT_EQ(json_text_of("\xff\xfe\xfd", JsonText::kBase64), "\"//79\"");
}

TEST(JsonTest, TellsUtf8FromOtherBytes) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (const std::string_view bytes : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80", "\xf5", "a\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bytes));
  }
}

TEST(JsonTest, RepliesBecomeValues) {
  std::string reply;
  Reply writer(reply, true);
  writer.map(2);
  writer.bulk("b");
  writer.array(3);
  writer.integer(-3);
  writer.real(1.5);
  writer.null();
  writer.bulk("a");
  writer.set(2);
  writer.bulk("y");
  writer.bulk("x");
  std::string json;
  put_json_reply(json, reply, JsonText::kUtf8);
  EXPECT_EQ(json, R"({"a":["x","y"],"b":[-3,1.5,null]})");
  EXPECT_TRUE(reply_is_utf8(reply));
}

TEST(JsonTest, AnInfiniteNumberIsAString) {
  std::string reply;
  Reply(reply, true).real("-inf");
  std::string json;
  put_json_reply(json, reply, JsonText::kUtf8);
  EXPECT_EQ(json, R"("-inf")");
}

TEST(JsonTest, ARepliesBytesCanBeSeenToBeNoText) {
  std::string reply;
  Reply writer(reply, true);
  writer.array(2);
  writer.bulk("a");
  writer.bulk("\xff");
  EXPECT_FALSE(reply_is_utf8(reply));
  std::string json;
  put_json_reply(json, reply, JsonText::kBase64);
  EXPECT_EQ(json, R"(["YQ==","/w=="])");
}

}  // namespace
}  // namespace even
