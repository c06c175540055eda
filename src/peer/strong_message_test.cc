#include "peer/strong_message.h"

#include <gtest/gtest.h>

namespace even {
namespace {

using namespace std::string_literals;

const std::string kBinary = "a\0\r\n\xff"s;
const std::vector<std::string_view> kSet = {"set", kBinary, ""};
const std::vector<std::string_view> kGet = {"get", "k"};
const std::vector<std::string_view> kWatch = {"watch", "k", "l"};

StrongRequest transaction() {
  return {.group = 65535,
          .resp3 = true,
          .transaction = true,
          .commands = {kSet, kGet},
          .watched = {{kWatch, "*2\r\n:1\r\n:2\r\n"}},
          .once = "order 17",
          .once_ms = 60'000,
          .read = StrongRead::kBounded,
          .bound_ms = 500,
          .after = UINT64_MAX,
          .behind = true};
}

std::vector<std::string> copied(Args words) { return {words.begin(), words.end()}; }

TEST(StrongMessage, ARequestIsReadBackAsItWasWritten) {
  const auto message = decode_strong_request(encode_strong_request(77, transaction()));
  ASSERT_TRUE(message);
  EXPECT_EQ((*message)->id(), 77u);
  const StrongRequest& read = (*message)->request();
  EXPECT_EQ(read.group, 65535);
  EXPECT_TRUE(read.resp3);
  EXPECT_TRUE(read.transaction);
  ASSERT_EQ(read.commands.size(), 2u);
  EXPECT_EQ(copied(read.commands[0]), copied(kSet));
  EXPECT_EQ(copied(read.commands[1]), copied(kGet));
  ASSERT_EQ(read.watched.size(), 1u);
  EXPECT_EQ(copied(read.watched[0].words), copied(kWatch));
  EXPECT_EQ(read.watched[0].reply, "*2\r\n:1\r\n:2\r\n");
  EXPECT_EQ(read.once, "order 17");
  EXPECT_EQ(read.once_ms, 60'000);
  EXPECT_EQ(read.read, StrongRead::kBounded);
  EXPECT_EQ(read.bound_ms, 500);
  EXPECT_EQ(read.after, UINT64_MAX);
  EXPECT_TRUE(read.behind);
}

TEST(StrongMessage, RepliesAreReadBackAsTheyWereWritten) {
  const StrongOutcome outcome{.kind = StrongOutcome::Kind::kElsewhere,
                              .reply = kBinary,
                              .leader = 3,
                              .index = 1234567890123};
  const auto reply = decode_strong_reply(encode_strong_reply(5, outcome));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id, 5u);
  EXPECT_EQ(reply->outcome.kind, outcome.kind);
  EXPECT_EQ(reply->outcome.reply, outcome.reply);
  EXPECT_EQ(reply->outcome.leader, outcome.leader);
  EXPECT_EQ(reply->outcome.index, outcome.index);
  const auto serves = decode_serves_request(encode_serves_request({6, 7}));
  ASSERT_TRUE(serves);
  EXPECT_EQ(serves->id, 6u);
  EXPECT_EQ(serves->version, 7u);
}

TEST(StrongMessage, AnythingElseIsRefused) {
  const std::string request = encode_strong_request(1, transaction());
  for (std::size_t length = 0; length < request.size(); ++length) {
    EXPECT_FALSE(decode_strong_request(std::string_view(request).substr(0, length)));
  }
  EXPECT_FALSE(decode_strong_request(request + "x"));
  EXPECT_FALSE(decode_strong_request(encode_strong_request(1, {})));  // no command
  StrongRequest several = transaction();
  several.transaction = false;
  EXPECT_FALSE(decode_strong_request(encode_strong_request(1, several)));
  StrongRequest empty = transaction();
  empty.commands = {Args{}};
  EXPECT_FALSE(decode_strong_request(encode_strong_request(1, empty)));
  EXPECT_FALSE(decode_strong_reply(request));
  EXPECT_FALSE(decode_serves_request(request));
  // Any one byte changed is refused or is another request; nothing is read beyond its end.
  for (std::size_t i = 0; i < request.size(); ++i) {
    for (const char value : {'\x00', '\x01', '\x7f', '\x90', '\xc4', '\xdd', '\xff'}) {
      std::string other = request;
      other[i] = value;
      if (const auto read = decode_strong_request(other)) {
        EXPECT_TRUE(
            decode_strong_request(encode_strong_request((*read)->id(), (*read)->request())));
      }
    }
  }
}

}  // namespace
}  // namespace even
