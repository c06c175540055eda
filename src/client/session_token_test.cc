#include "client/session_token.h"

#include <gmock/gmock.h>

#include <random>

namespace even {
namespace {

using ::testing::HasSubstr;

SessionContent content(PartitionId partitions) {
  SessionContent content;
  for (PartitionId partition = 0; partition < partitions; ++partition) {
    VersionVector vector;
    for (NodeNumber node = 1; node <= 5; ++node) {
      vector.add({ReplicaId::make(node, 200'000'000, 0xabcd), 1'000'000'000u + partition});
    }
    content.seen.emplace_back(partition, vector);
  }
  content.groups = {{256, 3}};
  return content;
}

std::string error_of(std::string_view key, std::string_view token) {
  const auto opened = open_session(key, token);
  return opened ? "none" : opened.error().message;
}

TEST(SessionToken, IsOpenedWithTheKeyThatItWasSealedWith) {
  const std::string key = make_session_key(), other = make_session_key();
  EXPECT_EQ(key.size(), kSessionKeyBytes);
  EXPECT_NE(key, other);
  for (const PartitionId partitions : {0, 1, 2, 3, 256}) {
    const std::string token = seal_session(key, content(partitions));
    EXPECT_EQ(open_session(key, token), content(partitions));
    EXPECT_THAT(error_of(other, token), HasSubstr("another cluster"));
    EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
              std::string::npos);
  }
}

TEST(SessionToken, OfTwentyPartitionsAtFiveReplicasIsBelowAKilobyte) {
  EXPECT_LT(seal_session(make_session_key(), content(20)).size(), 1'024u);
}

TEST(SessionToken, EachChangeIsFound) {
  const std::string key = make_session_key();
  const std::string token = seal_session(key, content(3));
  for (std::size_t i = 0; i < token.size(); ++i) {
    for (const char c : {'A', 'B', 'z', '_', '=', ' ', '\0', '\xff'}) {
      std::string changed = token;
      changed[i] = c;
      EXPECT_EQ(open_session(key, changed).has_value(), changed == token) << i;
    }
    EXPECT_FALSE(open_session(key, std::string_view(token).substr(0, i)));
    EXPECT_FALSE(open_session(key, std::string_view(token).substr(i + 1)));
  }
  EXPECT_FALSE(open_session(key, token + "A"));
  EXPECT_FALSE(open_session(key, token + token));
  // One that was sealed with the right name of the key and another key.
  const std::string forged = seal_session(make_session_key(), content(3));
  EXPECT_THAT(error_of(key, token.substr(0, 8) + forged.substr(8)), HasSubstr("forged"));
}

TEST(SessionToken, AnyTextIsReadSafely) {
  const std::string key = make_session_key();
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 100, '\0');
    for (char& c : text) c = i % 2 == 0 ? static_cast<char>(random()) : "AQgw_-"[random() % 6];
    EXPECT_FALSE(open_session(key, text));
  }
  EXPECT_THAT(error_of(key, std::string(5 << 20, 'A')), HasSubstr("no session token"));
  EXPECT_THAT(error_of(key, "Ag"), HasSubstr("version 2"));
}

}  // namespace
}  // namespace even
