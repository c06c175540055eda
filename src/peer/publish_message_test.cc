#include "peer/publish_message.h"

#include <gtest/gtest.h>

namespace even {
namespace {

using namespace std::string_literals;

TEST(PublishMessage, SeveralAreReadBackInOrder) {
  const std::string binary = "a\0\r\n\xff"s;
  std::string bytes;
  append_published({SubscriptionKind::kChannel, "news", binary}, bytes);
  append_published({SubscriptionKind::kShardChannel, binary, ""}, bytes);
  append_published({SubscriptionKind::kChannel, "", "x"}, bytes);
  const auto read = decode_published(bytes);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ((*read)[0].kind, SubscriptionKind::kChannel);
  EXPECT_EQ((*read)[0].channel, "news");
  EXPECT_EQ((*read)[0].message, binary);
  EXPECT_EQ((*read)[1].kind, SubscriptionKind::kShardChannel);
  EXPECT_EQ((*read)[1].channel, binary);
  EXPECT_EQ((*read)[1].message, "");
  EXPECT_EQ((*read)[2].channel, "");
  EXPECT_EQ((*read)[2].message, "x");
  EXPECT_TRUE(decode_published("")->empty());
}

TEST(PublishMessage, AnythingElseIsRefused) {
  std::string bytes;
  append_published({SubscriptionKind::kShardChannel, "channel", "message"}, bytes);
  for (std::size_t length = 1; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_published(std::string_view(bytes).substr(0, length)));
  }
  EXPECT_FALSE(decode_published(bytes + "\x01"));
  bytes[0] = 2;
  EXPECT_FALSE(decode_published(bytes));
  // A channel that claims 2^32 - 1 bytes.
  EXPECT_FALSE(decode_published("\0\xff\xff\xff\xff\0\0\0\0"s));
}

}  // namespace
}  // namespace even
