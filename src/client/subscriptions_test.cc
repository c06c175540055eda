#include "client/subscriptions.h"

#include <gtest/gtest.h>

#include "client/output_limit.h"

namespace even {
namespace {

using namespace std::string_literals;
using Kind = SubscriptionKind;

class Client final : public Subscriber {
 public:
  explicit Client(std::vector<std::string>& log, std::string name, bool resp3 = false)
      : log_(log), name_(std::move(name)), resp3_(resp3) {}
  void receive(MessageFrame& frame) override { log_.push_back(name_ + " " + frame.in(resp3_)); }

 private:
  std::vector<std::string>& log_;
  const std::string name_;
  const bool resp3_;
};

class SubscriptionsTest : public testing::Test {
 protected:
  std::uint64_t publish(std::string_view channel, std::string_view message,
                        Kind kind = Kind::kChannel) {
    log_.clear();
    return subscriptions_.deliver({kind, channel, message});
  }

  std::vector<std::string> log_;
  SubscriptionIndex index_{2};
  Subscriptions subscriptions_{index_, 0};
  Client a_{log_, "a"};
  Client b_{log_, "b", true};
};

using Log = std::vector<std::string>;

TEST_F(SubscriptionsTest, AMessageGoesToItsChannelsSubscribersInTheOrderOfTheirSubscriptions) {
  EXPECT_EQ(publish("news", "x"), 0u);
  EXPECT_TRUE(subscriptions_.subscribe(b_, Kind::kChannel, "news"));
  EXPECT_TRUE(subscriptions_.subscribe(a_, Kind::kChannel, "news"));
  EXPECT_TRUE(subscriptions_.subscribe(a_, Kind::kChannel, "other"));
  EXPECT_EQ(publish("news", "x"), 2u);
  EXPECT_EQ(log_, (Log{"b >3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n",
                       "a *3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"}));
  EXPECT_EQ(publish("New", "x"), 0u);
  // Who leaves and comes back is last.
  subscriptions_.unsubscribe(b_, Kind::kChannel, "news");
  subscriptions_.subscribe(b_, Kind::kChannel, "news");
  EXPECT_EQ(publish("news", ""), 2u);
  EXPECT_EQ(log_[0].front(), 'a');
}

TEST_F(SubscriptionsTest, AClientGetsAMessageOncePerSubscriptionThatItMeets) {
  subscriptions_.subscribe(a_, Kind::kPattern, "n*");
  subscriptions_.subscribe(a_, Kind::kPattern, "x?");
  subscriptions_.subscribe(a_, Kind::kChannel, "news");
  EXPECT_EQ(publish("news", "1\0\n"s), 2u);
  EXPECT_EQ(log_, (Log{"a *3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\n1\0\n\r\n"s,
                       "a *4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$3\r\n1\0\n\r\n"s}));
  // A second subscription to the same name changes nothing.
  EXPECT_FALSE(subscriptions_.subscribe(a_, Kind::kPattern, "n*"));
  EXPECT_EQ(publish("net", "y"), 1u);
  EXPECT_EQ(a_.subscriptions(Kind::kPattern), 2u);
}

TEST_F(SubscriptionsTest, ShardChannelsAreANamespaceWithoutPatterns) {
  subscriptions_.subscribe(a_, Kind::kShardChannel, "news");
  subscriptions_.subscribe(b_, Kind::kPattern, "*");
  EXPECT_EQ(publish("news", "x", Kind::kShardChannel), 1u);
  EXPECT_EQ(log_, (Log{"a *3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"}));
  EXPECT_EQ(publish("news", "x"), 1u);
  EXPECT_EQ(log_.front().front(), 'b');
}

TEST_F(SubscriptionsTest, WhatEndsIsForgottenHereAndInTheIndex) {
  EXPECT_FALSE(subscriptions_.unsubscribe(a_, Kind::kChannel, "news"));
  EXPECT_FALSE(a_.subscribed());
  subscriptions_.subscribe(a_, Kind::kChannel, "c");
  subscriptions_.subscribe(a_, Kind::kChannel, "a");
  subscriptions_.subscribe(a_, Kind::kChannel, "b");
  EXPECT_EQ(subscriptions_.names_of(a_, Kind::kChannel), (Log{"c", "a", "b"}));
  EXPECT_TRUE(subscriptions_.unsubscribe(a_, Kind::kChannel, "c"));
  EXPECT_TRUE(a_.subscribed());
  EXPECT_EQ(index_.names(Kind::kChannel), 2u);
  subscriptions_.subscribe(a_, Kind::kPattern, "p*");
  subscriptions_.subscribe(a_, Kind::kShardChannel, "a");
  subscriptions_.subscribe(b_, Kind::kChannel, "a");
  subscriptions_.unsubscribe_all(a_);
  EXPECT_FALSE(a_.subscribed());
  EXPECT_EQ(index_.names(Kind::kPattern) + index_.names(Kind::kShardChannel), 0u);
  EXPECT_EQ(index_.count(Kind::kChannel, "a"), 1u);
  EXPECT_EQ(publish("a", "x"), 1u);
  EXPECT_TRUE(subscriptions_.unsubscribe(b_, Kind::kChannel, "a"));
  EXPECT_FALSE(b_.subscribed());
  EXPECT_EQ(index_.names(Kind::kChannel), 0u);
  EXPECT_EQ(publish("a", "x"), 0u);
}

TEST_F(SubscriptionsTest, AVisitorMayEndThem) {
  subscriptions_.subscribe(a_, Kind::kChannel, "a");
  subscriptions_.subscribe(b_, Kind::kChannel, "a");
  std::size_t visited = 0;
  subscriptions_.for_each([&](Subscriber& client) {
    ++visited;
    subscriptions_.unsubscribe_all(client);
  });
  EXPECT_EQ(visited, 2u);
  EXPECT_EQ(index_.names(Kind::kChannel), 0u);
}

TEST(SubscriptionIndex, TellsWhichOtherThreadsAMessageGoesTo) {
  SubscriptionIndex index(3);
  std::vector<ShardId> others{9};
  EXPECT_EQ(index.receivers_beside(0, Kind::kChannel, "news", others), 0u);
  EXPECT_TRUE(others.empty());
  index.add(Kind::kChannel, "news", 0);
  index.add(Kind::kChannel, "news", 2);
  index.add(Kind::kChannel, "news", 2);
  index.add(Kind::kPattern, "n*", 1);
  index.add(Kind::kPattern, "n?ws", 2);
  index.add(Kind::kPattern, "x*", 1);
  EXPECT_EQ(index.receivers_beside(0, Kind::kChannel, "news", others), 4u);
  EXPECT_EQ(others, (std::vector<ShardId>{2, 1}));
  EXPECT_EQ(index.receivers_beside(2, Kind::kChannel, "news", others), 2u);
  EXPECT_EQ(others, (std::vector<ShardId>{0, 1}));
  EXPECT_EQ(index.receivers_beside(0, Kind::kShardChannel, "news", others), 0u);
  EXPECT_TRUE(others.empty());
  index.add(Kind::kShardChannel, "news", 1);
  EXPECT_EQ(index.receivers_beside(0, Kind::kShardChannel, "news", others), 1u);
  EXPECT_EQ(others, (std::vector<ShardId>{1}));
  index.remove(Kind::kChannel, "news", 2);
  EXPECT_EQ(index.count(Kind::kChannel, "news"), 2u);
}

TEST(SubscriptionIndex, ListsWhatThereAreSubscriptionsTo) {
  SubscriptionIndex index(1);
  index.add(Kind::kChannel, "ab", 0);
  index.add(Kind::kChannel, "", 0);
  EXPECT_EQ(index.names_matching(Kind::kChannel, "a*"), (Log{"ab"}));
  EXPECT_EQ(index.names_matching(Kind::kChannel, std::nullopt).size(), 2u);
  index.remove(Kind::kChannel, "ab", 0);
  EXPECT_EQ(index.names_matching(Kind::kChannel, std::nullopt), (Log{""}));
  EXPECT_EQ(index.count(Kind::kChannel, "ab"), 0u);
}

TEST(OutputLimit, TheSoftOneIsAboutTimeWithoutABreak) {
  OutputLimit limit{100, 10, 2};
  EXPECT_FALSE(limit.exceeded_by(100));
  EXPECT_TRUE(limit.exceeded_by(101));
  SoftLimit soft;
  constexpr std::int64_t kSecond = 1'000'000;
  EXPECT_FALSE(soft.exceeded_by(11, limit, 0));
  EXPECT_FALSE(soft.exceeded_by(99, limit, 2 * kSecond));
  EXPECT_TRUE(soft.exceeded_by(11, limit, 2 * kSecond + 1));
  EXPECT_FALSE(soft.exceeded_by(10, limit, 3 * kSecond));
  EXPECT_FALSE(soft.exceeded_by(11, limit, 4 * kSecond));
  EXPECT_TRUE(soft.exceeded_by(11, limit, 7 * kSecond));
  limit.hard = 0;
  limit.soft = 0;
  EXPECT_FALSE(limit.exceeded_by(SIZE_MAX));
  EXPECT_FALSE(soft.exceeded_by(SIZE_MAX, limit, 100 * kSecond));
}

}  // namespace
}  // namespace even
