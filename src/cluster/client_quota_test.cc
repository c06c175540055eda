#include "cluster/client_quota.h"

#include <gtest/gtest.h>

#include <vector>

namespace even::cluster {
namespace {

constexpr QuotaName::Kind kAbsent = QuotaName::Kind::kAbsent;
const QuotaName kDefaultName = QuotaName::of_default();

QuotaEntity entity(QuotaName user, QuotaName client_id) {
  return {std::move(user), std::move(client_id)};
}

TEST(QuotaEntity, HasOneText) {
  const QuotaName odd = QuotaName::exact("a b&c=%\xff\n");
  const std::pair<QuotaEntity, std::string> cases[] = {
      {entity(QuotaName::exact("alice"), {}), "user=alice"},
      {entity(kDefaultName, {}), "user"},
      {entity({}, QuotaName::exact("web.1")), "client-id=web.1"},
      {entity({}, kDefaultName), "client-id"},
      {entity(kDefaultName, kDefaultName), "user&client-id"},
      {entity(QuotaName::exact("<default>"), kDefaultName), "user=%3cdefault%3e&client-id"},
      {entity(odd, odd), "user=a%20b%26c%3d%25%ff%0a&client-id=a%20b%26c%3d%25%ff%0a"}};
  for (const auto& [each, text] : cases) {
    EXPECT_EQ(to_text(each), text);
    const auto read = parse_quota_entity(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, each) << text;
  }
}

TEST(QuotaEntity, OtherTextsAreNone) {
  for (const char* text : {"", "user=", "client-id=", "user=a&user=b", "client-id&user", "user=a&",
                           "&user=a", "ip=1.2.3.4", "user=%", "user=%4", "user=%zz", "user=%61",
                           "user=a b", "User=a", "user==a", "user=%3D"}) {
    EXPECT_FALSE(parse_quota_entity(text)) << text;
  }
}

TEST(ClientQuota, HasOneText) {
  ClientQuota quota;
  EXPECT_EQ(to_text(quota), "");
  EXPECT_EQ(*parse_client_quota(""), quota);
  quota.rate(QuotaKind::kFetch) = INT64_MAX;
  EXPECT_EQ(to_text(quota), "consumer_byte_rate=9223372036854775807");
  EXPECT_EQ(*parse_client_quota(to_text(quota)), quota);
  quota.rate(QuotaKind::kProduce) = 1;
  EXPECT_EQ(to_text(quota), "producer_byte_rate=1&consumer_byte_rate=9223372036854775807");
  EXPECT_EQ(*parse_client_quota(to_text(quota)), quota);
  for (const char* text :
       {"producer_byte_rate", "producer_byte_rate=", "producer_byte_rate=0",
        "producer_byte_rate=-1", "producer_byte_rate=1.5", "producer_byte_rate=01",
        "producer_byte_rate=1&", "producer_byte_rate=9223372036854775808", "request_percentage=1",
        "consumer_byte_rate=1&producer_byte_rate=1"}) {
    EXPECT_FALSE(parse_client_quota(text)) << text;
  }
}

TEST(FindQuota, KeepsKafkasOrder) {
  const QuotaName alice = QuotaName::exact("alice");
  const QuotaName web = QuotaName::exact("web");
  // Kafka's order, and who shares each.
  const std::vector<std::pair<QuotaEntity, QuotaEntity>> order = {
      {{alice, web}, {alice, web}},
      {{alice, kDefaultName}, {alice, web}},
      {{alice, {}}, {alice, {}}},
      {{kDefaultName, web}, {alice, web}},
      {{kDefaultName, kDefaultName}, {alice, web}},
      {{kDefaultName, {}}, {alice, {}}},
      {{{}, web}, {{}, web}},
      {{{}, kDefaultName}, {{}, web}}};
  ClientQuotas quotas;
  for (const auto& [each, shared] : order) {
    ClientQuota quota;
    quota.rate(QuotaKind::kProduce) = static_cast<std::int64_t>(quotas.size()) + 1;
    quotas.emplace(each, quota);
  }
  // Of somebody else, and of the other kind: they do not matter.
  ClientQuota other;
  other.rate(QuotaKind::kProduce) = 99;
  quotas.emplace(entity(QuotaName::exact("bob"), {}), other);
  quotas.emplace(entity(alice, QuotaName::exact("mobile")), other);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto found = find_quota(quotas, QuotaKind::kProduce, "alice", "web");
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(found->rate, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(found->entity, order[i].first) << i;
    EXPECT_EQ(found->shared, order[i].second) << i;
    EXPECT_FALSE(find_quota(quotas, QuotaKind::kFetch, "alice", "web")) << i;
    // A quota of the other kind alone is passed over as well.
    ClientQuota& its = quotas.at(order[i].first);
    its = {};
    its.rate(QuotaKind::kFetch) = 7;
    EXPECT_EQ(find_quota(quotas, QuotaKind::kFetch, "alice", "web")->rate, 7);
    quotas.erase(order[i].first);
  }
  EXPECT_FALSE(find_quota(quotas, QuotaKind::kProduce, "alice", "web"));
}

TEST(FindQuota, ADefaultIsForThoseThatHaveNoneOfTheirOwn) {
  ClientQuotas quotas;
  quotas[entity({}, kDefaultName)].rate(QuotaKind::kFetch) = 10;
  quotas[entity({}, QuotaName::exact("web"))].rate(QuotaKind::kFetch) = 20;
  const auto none = find_quota(quotas, QuotaKind::kFetch, "alice", "");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->rate, 10);
  EXPECT_EQ(none->shared, entity({}, QuotaName::exact("")));
  EXPECT_EQ(find_quota(quotas, QuotaKind::kFetch, "bob", "web")->rate, 20);
  EXPECT_EQ(find_quota(quotas, QuotaKind::kFetch, "bob", "web")->shared.user.kind, kAbsent);
}

}  // namespace
}  // namespace even::cluster
