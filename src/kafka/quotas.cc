#include "kafka/quotas.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace even::kafka {
namespace {

constexpr std::int64_t kNsPerUs = 1'000;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// As Kafka's quota.window.num and quota.window.size.seconds have it.
constexpr std::int64_t kBurstSeconds = 10;
// That is owed. So sums stay far from overflowing, too.
constexpr std::int64_t kMostOwedSeconds = 3'600;
// Who shares quotas is looked through once there are so many, and then twice what has stayed.
constexpr std::size_t kFewMeters = 1'024;

std::int64_t saturated_product(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

}  // namespace

std::int64_t ByteRateBucket::wait_us(std::int64_t now_us) const {
  const std::int64_t wait =
      paid_at_ns_.load(std::memory_order_relaxed) - now_us * kNsPerUs + (kNsPerUs - 1);
  return std::max<std::int64_t>(wait, 0) / kNsPerUs;
}

std::int64_t ByteRateBucket::take(std::size_t bytes, std::int64_t now_us) {
  const std::int64_t now = now_us * kNsPerUs;
  const std::int64_t cost =
      saturated_product(static_cast<std::int64_t>(bytes), kNsPerSecond) / rate_;
  std::int64_t before = paid_at_ns_.load(std::memory_order_relaxed);
  std::int64_t after = 0;
  do {
    const std::int64_t from = std::max(before, now - kBurstSeconds * kNsPerSecond);
    const std::int64_t most = now + kMostOwedSeconds * kNsPerSecond;
    after = cost >= most - from ? most : from + cost;
  } while (!paid_at_ns_.compare_exchange_weak(before, after, std::memory_order_relaxed));
  return std::max<std::int64_t>(after - now + (kNsPerUs - 1), 0) / kNsPerUs;
}

bool ByteRateBucket::full(std::int64_t now_us) const {
  return paid_at_ns_.load(std::memory_order_relaxed) <=
         now_us * kNsPerUs - kBurstSeconds * kNsPerSecond;
}

std::int64_t ByteRateBucket::portion(std::int64_t now_us) const {
  const std::int64_t saved = now_us * kNsPerUs - paid_at_ns_.load(std::memory_order_relaxed);
  const std::int64_t seconds = std::clamp<std::int64_t>(saved / kNsPerSecond, 1, kBurstSeconds);
  return saturated_product(rate_, seconds);
}

std::int64_t QuotaMeter::charge(std::size_t bytes, std::int64_t now_us) {
  counters_->bytes.fetch_add(bytes, std::memory_order_relaxed);
  return counted(bucket_.take(bytes, now_us));
}

std::int64_t QuotaMeter::hold_back(std::int64_t now_us) { return counted(bucket_.wait_us(now_us)); }

std::int64_t QuotaMeter::counted(std::int64_t wait_us) {
  if (wait_us == 0) return 0;
  counters_->throttled.fetch_add(1, std::memory_order_relaxed);
  counters_->throttled_us.fetch_add(static_cast<std::uint64_t>(wait_us), std::memory_order_relaxed);
  return wait_us;
}

void Quotas::set(const cluster::Definitions& quotas) {
  cluster::ClientQuotas read;
  for (const auto& [entity, rates] : quotas) {
    const auto key = cluster::parse_quota_entity(entity);
    const auto quota = cluster::parse_client_quota(rates);
    if (key && quota) {
      read.emplace(*key, *quota);
    } else {
      spdlog::error("the quota '{}' of '{}' is not known to this version: it is not enforced",
                    rates, entity);
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase_if(counters_, [&read](const auto& each) {
    const auto& [entity, kind] = each.first;
    const auto found = read.find(entity);
    return found == read.end() || !found->second.rate(kind);
  });
  for (const auto& [entity, quota] : read) {
    for (const auto kind : {cluster::QuotaKind::kProduce, cluster::QuotaKind::kFetch}) {
      if (!quota.rate(kind)) continue;
      auto& counters = counters_[{entity, kind}];
      if (counters == nullptr) counters = std::make_shared<QuotaCounters>();
    }
  }
  quotas_ = std::move(read);
  version_.store(quotas_.empty() ? 0 : ++changes_, std::memory_order_release);
  if (quotas_.empty()) meters_.clear();
}

std::shared_ptr<QuotaMeter> Quotas::find(cluster::QuotaKind kind, std::string_view user,
                                         std::string_view client_id, std::int64_t now_us) {
  const std::lock_guard lock(mutex_);
  auto found = cluster::find_quota(quotas_, kind, user, client_id);
  if (!found) return nullptr;
  if (meters_.size() >= std::max(forget_at_, kFewMeters)) forget_full(now_us);
  std::shared_ptr<QuotaMeter>& meter = meters_[{kind, cluster::to_text(found->shared)}];
  const bool same = meter != nullptr && meter->found().rate == found->rate &&
                    meter->found().entity == found->entity;
  if (!same) {
    auto counters = counters_.at({found->entity, kind});
    meter = std::make_shared<QuotaMeter>(std::move(*found), std::move(counters));
  }
  return meter;
}

std::size_t Quotas::meters() const {
  const std::lock_guard lock(mutex_);
  return meters_.size();
}

std::vector<Quotas::Row> Quotas::rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<Row> all;
  for (const auto& [key, counters] : counters_) all.push_back({key.first, key.second, counters});
  return all;
}

// Nobody has them, and a new one would be the same: client ids are whatever clients say.
void Quotas::forget_full(std::int64_t now_us) {
  absl::erase_if(meters_, [now_us](const auto& each) {
    const std::shared_ptr<QuotaMeter>& meter = each.second;
    return meter.use_count() == 1 && meter->bucket().full(now_us);
  });
  forget_at_ = 2 * meters_.size();
}

}  // namespace even::kafka
