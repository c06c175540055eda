#include "resp/request_batch.h"

#include <gtest/gtest.h>

#include <string>

namespace even {
namespace {

using Status = RespParser::Status;

std::string request(std::initializer_list<std::string_view> words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string_view word : words) {
    out += "$" + std::to_string(word.size()) + "\r\n" + std::string(word) + "\r\n";
  }
  return out;
}

struct RequestBatchTest : testing::Test {
  Status parse(std::string_view bytes) { return batch.parse(parser, bytes, {}); }
  RespParser parser;
  RequestBatch batch;
};

TEST_F(RequestBatchTest, TakesTheCompleteRequestsAndSaysWhatTheyLookUp) {
  const std::string bytes = request({"set", "a", "1"}) + request({"sadd", "b", "member", "more"}) +
                            request({"get", "c"}) + "*2\r\n$3\r\nget\r\n$5\r\nca";
  EXPECT_EQ(parse(bytes), Status::kIncomplete);
  ASSERT_EQ(batch.size(), 3u);
  EXPECT_EQ(batch.command(1)->name, "sadd");
  EXPECT_EQ(batch.args(0)[2], "1");
  EXPECT_EQ(batch.args(1)[3], "more");
  EXPECT_EQ(batch.bytes(2), request({"get", "c"}).size());
  ASSERT_EQ(batch.lookups().size(), 3u);
  EXPECT_EQ(batch.lookups()[0].element, "");
  EXPECT_EQ(batch.lookups()[1].key, "b");
  EXPECT_EQ(batch.lookups()[1].element, "member");
}

TEST_F(RequestBatchTest, FindsEachSubcommand) {
  EXPECT_EQ(parse(request({"object", "encoding", "a"}) + request({"object", "refcount", "a"}) +
                  request({"object", "refcount", "b"})),
            Status::kRequest);
  ASSERT_EQ(batch.size(), 3u);
  EXPECT_EQ(batch.command(0)->name, "object|encoding");
  EXPECT_EQ(batch.command(1)->name, "object|refcount");
  EXPECT_EQ(batch.command(2)->name, "object|refcount");
}

TEST_F(RequestBatchTest, FindsARowByAllWordsWhereOneIsSoFound) {
  const std::string plain = request({"sort", "a"});
  const std::string by_pattern = request({"sort", "a", "by", "w_*"});
  EXPECT_EQ(parse(plain + by_pattern + plain + request({"move", "a", "1", "b"}) +
                  request({"move", "a", "1"})),
            Status::kRequest);
  ASSERT_EQ(batch.size(), 5u);
  EXPECT_EQ(batch.command(0)->scope, Scope::kKeys);
  EXPECT_EQ(batch.command(1)->scope, Scope::kAll);
  EXPECT_EQ(batch.command(2), batch.command(0));
  EXPECT_NE(batch.command(4), batch.command(3));
}

TEST_F(RequestBatchTest, EndsWithARequestAboutTheConnection) {
  const std::string first = request({"get", "a"}) + request({"auth", "secret"});
  EXPECT_EQ(parse(first + request({"get", "b"})), Status::kRequest);
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch.bytes(0) + batch.bytes(1), first.size());
}

TEST_F(RequestBatchTest, EndsWithAnInlineRequest) {
  EXPECT_EQ(parse("get 'a b'\r\nget 'c d'\r\n"), Status::kRequest);
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch.args(0)[1], "a b");
}

TEST_F(RequestBatchTest, EndsWithAnUnknownOrEmptyRequest) {
  EXPECT_EQ(parse(request({"nonesuch"}) + request({"get", "a"})), Status::kRequest);
  EXPECT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch.command(0), nullptr);
  EXPECT_EQ(parse("\r\n" + request({"get", "a"})), Status::kRequest);
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_TRUE(batch.args(0).empty());
}

TEST_F(RequestBatchTest, KeepsWhatComesBeforeAnError) {
  EXPECT_EQ(parse(request({"get", "a"}) + "*1\r\n%3\r\n"), Status::kError);
  EXPECT_EQ(batch.size(), 1u);
}

TEST_F(RequestBatchTest, IsBounded) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += request({"get", "a"});
  EXPECT_EQ(parse(bytes), Status::kRequest);
  EXPECT_EQ(batch.size(), 16u);
}

}  // namespace
}  // namespace even
