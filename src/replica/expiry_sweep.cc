#include "replica/expiry_sweep.h"

#include <algorithm>

#include "base/mutant.h"

namespace even {
namespace {

constexpr std::int64_t kSweepIntervalUs = 50'000;
// The first replica of a partition purges what has expired; the next steps in when it has not done
// so for this long.
constexpr std::int64_t kSweepRankDelayMs = 1'000;
constexpr std::size_t kSweptAtOnce = 128;
constexpr std::size_t kLapsedKept = 1'024;  // of a partition, however few are alive

}  // namespace

void ExpirySweep::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (now_us - last_us_ < kSweepIntervalUs) return;
  last_us_ = now_us;
  const std::int64_t now_ms = core_.turn_ms();
  for (const auto& partition : core_.partitions()) {
    if (!partition->replayed) continue;
    PartitionState& state = partition->state;
    state.lapse(now_ms);
    if (state.lapsed_keys() + state.leftover_expiries() == 0 || partition->damaged()) continue;
    sweep(*partition, now_ms);
  }
}

void ExpirySweep::sweep(Partition& partition, std::int64_t now_ms) {
  const PartitionState& state = partition.state;
  const auto& replicas = partition.replicas;
  const auto rank = std::ranges::find(replicas, core_.options.node) - replicas.begin();
  const std::int64_t due_ms = now_ms - rank * kSweepRankDelayMs;
  const std::int64_t heard_ms = replication_.heard_until_ms(partition, now_ms);
  const std::int64_t certain_ms = EVEN_MUTANT(kPurgeUnheard) ? due_ms : std::min(due_ms, heard_ms);
  const std::int64_t waited_ms = due_ms - core_.options.expiry_wait_ms;

  decltype(Delta::keys) purged;
  decltype(Delta::keys) given_up;
  const auto purge = [&](std::string_view key, const Object& object) {
    ++core_.stats.keys_expired;
    if (*object.expires_at_ms() <= certain_ms) {
      KeyDelta& out = purged.emplace_back();
      out.key = key;
      remove_all(&object, out);
    } else {
      KeyDelta& out = given_up.emplace_back();
      out.key = key;
      purge_expired(object, out);
    }
  };
  state.lapsed(std::max(certain_ms, waited_ms), kSweptAtOnce, purge);
  const std::size_t kept = std::max(state.visible_keys(), kLapsedKept);
  if (purged.empty() && given_up.empty() && state.lapsed_keys() > kept) {
    state.lapsed(now_ms, std::min(kSweptAtOnce, state.lapsed_keys() - kept), purge);
  }
  state.left_over(std::max(certain_ms, waited_ms - core_.options.expiry_wait_ms), kSweptAtOnce,
                  [&](std::string_view key, const Object&) {
                    KeyDelta& out = purged.emplace_back();
                    out.key = key;
                    remove_leftover_expiry(out);
                  });
  if (!purged.empty()) core_.write(partition, std::move(purged), RecordOrigin::kPurge);
  if (!given_up.empty()) core_.write(partition, std::move(given_up), RecordOrigin::kGiveUp);
}

}  // namespace even
