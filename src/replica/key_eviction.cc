#include "replica/key_eviction.h"

#include <algorithm>
#include <limits>

#include "base/mutant.h"
#include "base/reserved.h"
#include "replica/slices.h"

namespace even {
namespace {

// Keys that the hand passes at a time, and those deleted by one record at most.
constexpr std::size_t kPassed = 256;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kSoonestBatch = 16;  // fewer: partitions take turns in the order of instants
constexpr std::size_t kBatchBytes = 64 << 10;

constexpr unsigned kMostRank = 3;  // replicas beyond that are treated alike
// With LFU, rounds of the hand for what has been used once, and for what is used most often.
constexpr unsigned kRoundsForOneUse = 3;
constexpr unsigned kMostRounds = 12;
static_assert(kMostRank + kMostRounds <= HashOrderedMap<Object>::Node::kMostUses);
constexpr std::int64_t kRankDelayMs = 1'000;

// Keys that are gone are stored when there are more, and more than one of so many in memory.
constexpr std::size_t kGoneKept = 1'000;
constexpr std::uint64_t kToldAtOnce = 1'000;  // events of a change feed
constexpr std::size_t kGoneShare = 8;

bool is_random(CachePolicy policy) {
  return policy == CachePolicy::kAllKeysRandom || policy == CachePolicy::kVolatileRandom;
}

PartitionState::UseCounts use_counts(CachePolicy policy, unsigned rank) {
  const auto rounds = [rank](unsigned count) { return static_cast<std::uint8_t>(count + rank); };
  switch (policy) {
    case CachePolicy::kNoEviction:
    case CachePolicy::kVolatileTtl:
      return {};
    case CachePolicy::kAllKeysLru:
    case CachePolicy::kVolatileLru:
      return {.fresh = rounds(1), .first = rounds(1), .most = rounds(1)};
    case CachePolicy::kAllKeysLfu:
    case CachePolicy::kVolatileLfu:
      return {.fresh = rounds(0), .first = rounds(kRoundsForOneUse), .most = rounds(kMostRounds)};
    case CachePolicy::kAllKeysRandom:
    case CachePolicy::kVolatileRandom:
      return {.fresh = rounds(0), .first = rounds(1), .most = 0};
  }
  return {};
}

// What one record deletes: so many keys at most, and not much more than kBatchBytes.
struct Batch {
  Batch(std::size_t most, std::int64_t now_ms) : most_(most), now_ms_(now_ms) {}

  // Returns whether there is room for more. What has lapsed is not the policy's to delete: somebody
  // may have prolonged it.
  bool add(std::string_view name, const Object& object) {
    if (object.expired(now_ms_) && !EVEN_MUTANT(kPolicyDeletesLapsed)) return true;
    if (is_reserved(name)) return true;
    KeyDelta& key = keys.emplace_back();
    key.key = name;
    remove_all(&object, key);
    bytes_ += name.size() + object.footprint(1).bytes;
    return has_room();
  }
  bool has_room() const { return keys.size() < most_ && bytes_ < kBatchBytes; }

  decltype(Delta::keys) keys;

 private:
  std::size_t most_;
  std::int64_t now_ms_;
  std::size_t bytes_ = 0;
};

}  // namespace

KeyEviction::KeyEviction(ShardCore& core) : core_(core) {
  for (const auto& partition : core_.partitions()) {
    const auto& replicas = partition->replicas;
    const auto rank = std::ranges::find(replicas, core_.options.node) - replicas.begin();
    ranks_.push_back(std::min(static_cast<unsigned>(rank), kMostRank));
  }
}

void KeyEviction::adopt(CachePolicy policy) {
  policy_ = policy;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    core_.partitions()[i]->state.count_uses(use_counts(policy, ranks_[i]));
  }
}

void KeyEviction::tick() {
  const auto& wanted = core_.options.cache_policy;
  if (wanted && wanted() != policy_) adopt(wanted());
  wants_pass_ = false;
  leaves_the_rest_ = true;
  const auto& pressure = core_.options.memory_pressure;
  if (policy_ == CachePolicy::kNoEviction || stopped_ || !pressure || ranks_.empty() ||
      core_.log.error()) {
    return;
  }
  leaves_the_rest_ = false;
  const double enough = has_its_share() ? 1 : kHighPressure;
  if (pressure() <= enough) return;
  leaves_the_rest_ = !relieve() && only_expiring(policy_);
  wants_pass_ = much_is_gone();
}

bool KeyEviction::relieve() {
  const std::int64_t started_us = core_.clock.monotonic_us();
  const std::uint64_t told = core_.stats.feed_changes;
  double now = 0;
  while ((now = core_.options.memory_pressure()) > 1) {
    // Of keys with an expiry there may be few: more time would not find more of them.
    const bool hurry = now > kHighPressure && !only_expiring(policy_);
    const std::int64_t slice_us = hurry ? kLongSliceUs : kSliceUs;
    if (core_.clock.monotonic_us() - started_us > slice_us) return now <= kHighPressure;
    // Where a change feed tells of what is evicted, that takes memory until it is told.
    if (core_.stats.feed_changes - told >= kToldAtOnce ||
        core_.stats.events_waiting > kToldAtOnce) {
      return now <= kHighPressure;
    }
    const bool found = policy_ == CachePolicy::kVolatileTtl ? delete_next_to_expire() : turn_hand();
    if (!found) return false;
  }
  return true;
}

bool KeyEviction::has_its_share() const {
  CacheShares* shares = core_.options.cache_shares;
  if (shares == nullptr) return true;
  std::size_t keys = 0;
  for (const auto& partition : core_.partitions()) {
    const PartitionState& state = partition->state;
    keys +=
        only_expiring(policy_) ? state.keys_with_expiry() : state.in_memory().size() - state.gone();
  }
  return shares->note(core_.options.shard,
                      static_cast<double>(keys) / static_cast<double>(ranks_.size()));
}

bool KeyEviction::much_is_gone() const {
  std::size_t gone = 0;
  std::size_t held = 0;
  for (const auto& partition : core_.partitions()) {
    gone += partition->state.gone();
    held += partition->state.in_memory().size();
  }
  return gone > kGoneKept && gone > held / kGoneShare;
}

bool KeyEviction::turn_hand() {
  const auto& partitions = core_.partitions();
  const bool expiring = only_expiring(policy_) && !EVEN_MUTANT(kVolatilePolicyTakesAny);
  if (is_random(policy_)) {
    hand_partition_ = core_.random.below(partitions.size());
    hand_ = core_.random.next();
  }
  // Once around, if all partitions are small; the one where it begins may come in two parts.
  for (std::size_t tries = 0; tries <= partitions.size(); ++tries) {
    // One key for each place that is drawn: with more, those of low hashes would be deleted less.
    Batch batch(is_random(policy_) ? 1 : kBatch, core_.turn_ms());
    const std::size_t index = hand_partition_;
    Partition& partition = *partitions[index];
    std::size_t seen = 0;
    if (partition.damaged() || !partition.replayed ||
        (expiring && partition.state.keys_with_expiry() == 0)) {
      hand_ = 0;
    } else {
      seen = partition.state.unused(
          hand_, kPassed, expiring,
          [&batch](std::string_view key, const Object& object) { return batch.add(key, object); });
    }
    if (hand_ == 0) hand_partition_ = (index + 1) % partitions.size();
    const std::size_t count = batch.keys.size();
    remove(partition, std::move(batch.keys));
    if (!expiring && ranks_[index] == 0) delete_cold(partition, count);
    if (seen > 0) return true;
  }
  return false;
}

bool KeyEviction::delete_next_to_expire() {
  Partition* soonest = nullptr;
  std::int64_t soonest_ms = 0;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    Partition& partition = *core_.partitions()[i];
    const auto next = partition.state.next_expiry_ms();
    if (!next || partition.damaged() || !partition.replayed) continue;
    const std::int64_t delay_ms = ranks_[i] * kRankDelayMs;
    const std::int64_t at_ms =
        std::min(*next, std::numeric_limits<std::int64_t>::max() - delay_ms) + delay_ms;
    if (soonest != nullptr && at_ms >= soonest_ms) continue;
    soonest = &partition;
    soonest_ms = at_ms;
  }
  if (soonest == nullptr) return false;
  Batch batch(kSoonestBatch, core_.turn_ms());
  const auto add = [&batch](std::string_view key, const Object& object) {
    return batch.add(key, object);
  };
  soonest->state.next_to_expire(kPassed, add);
  const bool found = !batch.keys.empty();
  if (!found) {
    // The store alone has those that come first. To delete them frees no memory: one batch in each
    // tick, until it is the turn of what is in memory.
    soonest->state.soonest(kSoonestBatch, add);
  }
  remove(*soonest, std::move(batch.keys));
  return found;
}

// Nobody has used these since they left memory or since this node was started. To delete them frees
// no memory, but were they kept, the store would grow with each restart.
void KeyEviction::delete_cold(Partition& partition, std::size_t count) {
  const PartitionState& state = partition.state;
  if (count == 0 || state.cold() == 0) return;
  constexpr std::size_t kRowsForEach = 4;  // of which some are of objects in memory
  std::size_t rows_left = count * kRowsForEach;
  std::vector<std::string> names;
  partition.rows->scan(core_.random.next(),
                       [&](std::uint64_t hash, std::string_view key, const Object& object) {
                         if (object.live() && state.is_cold(hash)) names.emplace_back(key);
                         return names.size() < count && --rows_left > 0;
                       });
  Batch batch(count, core_.turn_ms());
  for (const std::string& name : names) {
    const Object* object = state.find(name, hash64(name));
    if (object != nullptr && !batch.add(name, *object)) break;
  }
  remove(partition, std::move(batch.keys));
}

void KeyEviction::remove(Partition& partition, Keys keys) {
  if (keys.empty()) return;
  core_.stats.keys_evicted += keys.size();
  if (EVEN_MUTANT(kPolicyDeletesUnlogged)) {
    partition.state.join({.keys = std::move(keys)}, partition.state.vector());
    return;
  }
  core_.write(partition, std::move(keys), RecordOrigin::kCachePolicy);
}

}  // namespace even
