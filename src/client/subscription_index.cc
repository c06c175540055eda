#include "client/subscription_index.h"

#include <algorithm>
#include <mutex>

#include "base/check.h"
#include "engine/glob.h"

namespace even {

void SubscriptionIndex::add(SubscriptionKind kind, std::string_view name, ShardId thread) {
  std::lock_guard lock(mutex_);
  ByThread& counts = of(kind).try_emplace(name, threads_, 0).first->second;
  ++counts[thread];
  total_.fetch_add(1, std::memory_order_release);
}

void SubscriptionIndex::remove(SubscriptionKind kind, std::string_view name, ShardId thread) {
  std::lock_guard lock(mutex_);
  const auto found = of(kind).find(name);
  EVEN_CHECK(found != of(kind).end() && found->second[thread] > 0, "no such subscription");
  --found->second[thread];
  if (std::ranges::all_of(found->second, [](std::uint32_t count) { return count == 0; })) {
    of(kind).erase(found);
  }
  total_.fetch_sub(1, std::memory_order_release);
}

std::uint64_t SubscriptionIndex::receivers_beside(ShardId thread, SubscriptionKind kind,
                                                  std::string_view channel,
                                                  std::vector<ShardId>& others) const {
  others.clear();
  if (threads_ == 1 || !any()) return 0;
  std::shared_lock lock(mutex_);
  std::uint64_t receivers = 0;
  const auto add = [&](const ByThread& counts) {
    for (ShardId other = 0; other < threads_; ++other) {
      if (other == thread || counts[other] == 0) continue;
      receivers += counts[other];
      if (std::ranges::find(others, other) == others.end()) others.push_back(other);
    }
  };
  const auto elsewhere = [&](const ByThread& counts) {
    for (ShardId other = 0; other < threads_; ++other) {
      if (other != thread && counts[other] > 0) return true;
    }
    return false;
  };
  if (const auto found = of(kind).find(channel); found != of(kind).end()) add(found->second);
  if (kind == SubscriptionKind::kShardChannel) return receivers;
  for (const auto& [pattern, counts] : of(SubscriptionKind::kPattern)) {
    if (elsewhere(counts) && glob_match(pattern, channel)) add(counts);
  }
  return receivers;
}

std::uint64_t SubscriptionIndex::count(SubscriptionKind kind, std::string_view name) const {
  std::shared_lock lock(mutex_);
  const auto found = of(kind).find(name);
  if (found == of(kind).end()) return 0;
  std::uint64_t sum = 0;
  for (const std::uint32_t count : found->second) sum += count;
  return sum;
}

std::size_t SubscriptionIndex::names(SubscriptionKind kind) const {
  std::shared_lock lock(mutex_);
  return of(kind).size();
}

std::vector<std::string> SubscriptionIndex::names_matching(
    SubscriptionKind kind, std::optional<std::string_view> pattern) const {
  std::shared_lock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, counts] : of(kind)) {
    if (!pattern || glob_match(*pattern, name)) out.push_back(name);
  }
  return out;
}

}  // namespace even
