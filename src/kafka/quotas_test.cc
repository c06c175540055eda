#include "kafka/quotas.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace even::kafka {
namespace {

using cluster::QuotaKind;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kStart = 1'000'000 * kSecond;

TEST(ByteRateBucket, TenSecondsWorthMayBeTakenAtOnceAndTheRestIsWaitedFor) {
  ByteRateBucket bucket(1'000);
  EXPECT_TRUE(bucket.full(kStart));
  EXPECT_EQ(bucket.wait_us(kStart), 0);
  EXPECT_EQ(bucket.take(10'000, kStart), 0);
  EXPECT_FALSE(bucket.full(kStart));
  EXPECT_EQ(bucket.take(500, kStart), kSecond / 2);
  EXPECT_EQ(bucket.wait_us(kStart + kSecond / 4), kSecond / 4);
  EXPECT_EQ(bucket.wait_us(kStart + kSecond / 2), 0);
  EXPECT_EQ(bucket.take(1, kStart + kSecond / 2), 1'000);
}

TEST(ByteRateBucket, WhoStaysWithinTheRateNeverWaits) {
  ByteRateBucket bucket(1'000);
  // All that ten seconds allow, in one go at their end.
  for (std::int64_t now = kStart; now < kStart + 1'000 * kSecond; now += 10 * kSecond) {
    EXPECT_EQ(bucket.take(10'000, now), 0) << now;
  }
}

TEST(ByteRateBucket, OverALongTimeTheRateIsKept) {
  ByteRateBucket bucket(1'000);
  std::int64_t now = kStart;
  std::int64_t bytes = 0;
  while (now < kStart + 1'000 * kSecond) {
    now += bucket.take(3'333, now);
    bytes += 3'333;
  }
  EXPECT_GE(bytes, 1'000 * 1'000);
  EXPECT_LE(bytes, 1'000 * (1'000 + 10) + 2 * 3'333);
}

TEST(ByteRateBucket, ARestFillsItAgainAndNoMore) {
  ByteRateBucket bucket(1'000);
  EXPECT_EQ(bucket.take(15'000, kStart), 5 * kSecond);
  EXPECT_FALSE(bucket.full(kStart + 14 * kSecond));
  EXPECT_TRUE(bucket.full(kStart + 15 * kSecond));
  EXPECT_EQ(bucket.take(10'001, kStart + 1'000 * kSecond), 1'000);
}

TEST(ByteRateBucket, WhatIsOwedHasAnEnd) {
  ByteRateBucket slow(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(slow.take(100 << 20, kStart), 3'600 * kSecond);
  EXPECT_EQ(slow.wait_us(kStart + 3'600 * kSecond), 0);
  ByteRateBucket fast(INT64_MAX);
  EXPECT_EQ(fast.portion(kStart), INT64_MAX);
  EXPECT_EQ(fast.take(SIZE_MAX / 4, kStart), 0);
}

TEST(ByteRateBucket, APortionIsWhatIsLeftOrASecondsWorth) {
  ByteRateBucket bucket(1'000);
  EXPECT_EQ(bucket.portion(kStart), 10'000);
  bucket.take(6'500, kStart);
  EXPECT_EQ(bucket.portion(kStart), 3'000);
  bucket.take(10'000, kStart);
  EXPECT_EQ(bucket.portion(kStart), 1'000);
  EXPECT_EQ(bucket.portion(kStart + 100 * kSecond), 10'000);
}

TEST(ByteRateBucket, ThreadsTakeFromOne) {
  ByteRateBucket bucket(1'000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&bucket] {
      for (int k = 0; k < 25'000; ++k) bucket.take(1, kStart);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bucket.wait_us(kStart), 90 * kSecond);
}

TEST(Quotas, ThereAreNoneUntilOneIsSet) {
  Quotas quotas;
  EXPECT_EQ(quotas.version(), 0u);
  EXPECT_EQ(quotas.find(QuotaKind::kProduce, "alice", "web", kStart), nullptr);
  quotas.set({{"user=alice", "producer_byte_rate=1000"}});
  EXPECT_NE(quotas.version(), 0u);
  EXPECT_NE(quotas.find(QuotaKind::kProduce, "alice", "web", kStart), nullptr);
  EXPECT_EQ(quotas.find(QuotaKind::kFetch, "alice", "web", kStart), nullptr);
  EXPECT_EQ(quotas.find(QuotaKind::kProduce, "bob", "web", kStart), nullptr);
  quotas.set({});
  EXPECT_EQ(quotas.version(), 0u);
  EXPECT_EQ(quotas.meters(), 0u);
}

TEST(Quotas, WhoSharesOneTakesFromOneBucket) {
  Quotas quotas;
  quotas.set({{"user=alice", "producer_byte_rate=1000"},
              {"user&client-id", "producer_byte_rate=1000"},
              {"client-id=web", "consumer_byte_rate=1000"}});
  const auto find = [&quotas](QuotaKind kind, const char* user, const char* client) {
    return quotas.find(kind, user, client, kStart).get();
  };
  EXPECT_EQ(find(QuotaKind::kProduce, "alice", "web"), find(QuotaKind::kProduce, "alice", "app"));
  EXPECT_EQ(find(QuotaKind::kProduce, "bob", "web"), find(QuotaKind::kProduce, "bob", "web"));
  EXPECT_NE(find(QuotaKind::kProduce, "bob", "web"), find(QuotaKind::kProduce, "bob", "app"));
  EXPECT_NE(find(QuotaKind::kProduce, "bob", "web"), find(QuotaKind::kProduce, "carol", "web"));
  EXPECT_EQ(find(QuotaKind::kFetch, "bob", "web"), find(QuotaKind::kFetch, "alice", "web"));
  EXPECT_NE(find(QuotaKind::kFetch, "bob", "web"), find(QuotaKind::kProduce, "bob", "web"));
}

TEST(Quotas, WhatWasTakenStaysUntilTheQuotaIsChanged) {
  Quotas quotas;
  const std::pair<std::string, std::string> alice = {"user=alice", "producer_byte_rate=1000"};
  quotas.set({alice});
  const auto meter = quotas.find(QuotaKind::kProduce, "alice", "web", kStart);
  EXPECT_EQ(meter->charge(11'000, kStart), kSecond);
  const std::uint64_t version = quotas.version();
  quotas.set({{"client-id=x", "consumer_byte_rate=7"}, alice});
  EXPECT_NE(quotas.version(), version);
  EXPECT_EQ(quotas.find(QuotaKind::kProduce, "alice", "web", kStart), meter);
  quotas.set({{"user=alice", "producer_byte_rate=2000"}});
  const auto changed = quotas.find(QuotaKind::kProduce, "alice", "web", kStart);
  EXPECT_EQ(changed->hold_back(kStart), 0);
  EXPECT_EQ(changed->found().rate, 2'000);
}

TEST(Quotas, WhatIsThrottledIsCounted) {
  Quotas quotas;
  quotas.set({{"user", "producer_byte_rate=1000&consumer_byte_rate=1000"}});
  const auto alice = quotas.find(QuotaKind::kFetch, "alice", "web", kStart);
  const auto bob = quotas.find(QuotaKind::kFetch, "bob", "web", kStart);
  EXPECT_EQ(alice->charge(10'000, kStart), 0);
  EXPECT_EQ(alice->hold_back(kStart), 0);
  EXPECT_EQ(alice->charge(2'000, kStart), 2 * kSecond);
  EXPECT_EQ(alice->hold_back(kStart), 2 * kSecond);
  EXPECT_EQ(bob->charge(11'000, kStart), kSecond);
  const auto rows = quotas.rows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].kind, QuotaKind::kProduce);
  EXPECT_EQ(rows[0].counters->bytes, 0u);
  EXPECT_EQ(rows[1].counters->bytes, 23'000u);
  EXPECT_EQ(rows[1].counters->throttled, 3u);
  EXPECT_EQ(rows[1].counters->throttled_us, 5u * kSecond);
}

// Clients say what their ids are, as many as they like.
TEST(Quotas, BucketsThatAreFullAreForgottenOthersAreNot) {
  Quotas quotas;
  quotas.set({{"client-id", "producer_byte_rate=1000"}});
  const auto find = [&quotas](int number, std::int64_t now_us) {
    return quotas.find(QuotaKind::kProduce, "alice", std::to_string(number), now_us);
  };
  const auto kept = find(0, kStart);
  find(1, kStart)->charge(100'000, kStart);
  for (int i = 2; i < 20'000; ++i) find(i, kStart)->charge(1'000, kStart + i);
  EXPECT_EQ(quotas.meters(), 20'000u);
  const std::int64_t later = kStart + 50 * kSecond;
  for (int i = 20'000; i < 60'000; ++i) find(i, later);
  EXPECT_LE(quotas.meters(), 2'048u);
  EXPECT_EQ(find(0, later), kept);
  EXPECT_EQ(find(1, later)->hold_back(later), 40 * kSecond);
}

TEST(Quotas, WhatCannotBeReadIsPassedOver) {
  Quotas quotas;
  quotas.set({{"user=alice", "producer_byte_rate=many"},
              {"ip=127.0.0.1", "producer_byte_rate=1"},
              {"user=bob", "producer_byte_rate=5"}});
  EXPECT_EQ(quotas.find(QuotaKind::kProduce, "alice", "", kStart), nullptr);
  EXPECT_EQ(quotas.find(QuotaKind::kProduce, "bob", "", kStart)->found().rate, 5);
}

}  // namespace
}  // namespace even::kafka
