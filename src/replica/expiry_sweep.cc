#include "replica/expiry_sweep.h"

#include <algorithm>
#include <deque>
#include <string>

#include "base/mutant.h"

namespace even {
namespace {

constexpr std::int64_t kSweepIntervalUs = 50'000;
// The first replica of a partition purges what has expired; the next steps in when it has not done
// so for this long.
constexpr std::int64_t kSweepRankDelayMs = 1'000;
constexpr std::size_t kSweptAtOnce = 128;
constexpr std::size_t kLapsedKept = 1'024;  // of a partition, however few are alive
// Leaves of fields that were given up, in all that one pass looks at; and how long a pass that has
// passed over so many of them is put off: for about a hundred times as long as that took.
constexpr std::size_t kLeftOverKept = 16'384;
constexpr std::size_t kLeftOverPerMs = 100;
constexpr std::int64_t kLongestPutOffMs = 60'000;

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
    const bool any_keys = state.lapsed_keys() + state.leftover_expiries() > 0;
    const auto first_field = state.next_field_expiry_ms();
    const bool any_fields = first_field && *first_field <= now_ms;
    if ((!any_keys && !any_fields) || partition->damaged()) continue;
    const Due due = this->due(*partition, now_ms);
    if (any_keys) sweep(*partition, due, now_ms);
    if (any_fields) sweep_fields(*partition, due, now_ms);
  }
}

ExpirySweep::Due ExpirySweep::due(const Partition& partition, std::int64_t now_ms) const {
  const auto& replicas = partition.replicas;
  const auto rank = std::ranges::find(replicas, core_.options.node) - replicas.begin();
  const std::int64_t due_ms = now_ms - rank * kSweepRankDelayMs;
  const std::int64_t heard_ms = replication_.heard_until_ms(partition, now_ms);
  const std::int64_t certain_ms = EVEN_MUTANT(kPurgeUnheard) ? due_ms : std::min(due_ms, heard_ms);
  return {certain_ms, due_ms - core_.options.expiry_wait_ms};
}

void ExpirySweep::sweep(Partition& partition, const Due& due, std::int64_t now_ms) {
  const PartitionState& state = partition.state;
  const auto [certain_ms, waited_ms] = due;

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

void ExpirySweep::sweep_fields(Partition& partition, const Due& due, std::int64_t now_ms) {
  if (const auto put_off = fields_put_off_.find(partition.id); put_off != fields_put_off_.end()) {
    if (now_ms < put_off->second) return;
    fields_put_off_.erase(put_off);
  }
  decltype(Delta::keys) purged;
  decltype(Delta::keys) given_up;
  std::deque<std::string> names;  // what is removed must not be what names it
  std::size_t left = kSweptAtOnce;
  std::size_t passed_over = 0;
  const auto certain_ms = EVEN_MUTANT(kFieldPurgeUnheard) ? now_ms : due.certain_ms;
  partition.state.with_lapsed_fields(
      std::max(certain_ms, due.waited_ms), kSweptAtOnce,
      [&](std::string_view key, const Object& object) {
        if (left == 0) return;
        KeyDelta purge;
        KeyDelta give_up;
        const HashView fields = object.hash();
        std::size_t removed = 0;
        object.for_each_lapsed_field(
            std::max(certain_ms, due.waited_ms), [&](std::string_view field, std::int64_t at_ms) {
              const ScalarView value = fields.find(field);
              const bool certain = at_ms <= certain_ms;
              const bool left_over = !value.live();
              const bool waited = at_ms <= due.waited_ms - core_.options.expiry_wait_ms;
              if (!certain && left_over && !waited && ++passed_over <= kLeftOverKept) return true;
              const std::string& name = names.emplace_back(field);
              const bool keeps_expiry = !certain && !left_over;
              remove_lapsed_field(value, name, keeps_expiry, keeps_expiry ? give_up : purge);
              removed += value.live() ? 1 : 0;
              return --left > 0;
            });
        core_.stats.fields_expired += removed;
        const bool all = removed > 0 && removed == fields.live() && object.expiry() != nullptr;
        if (all) remove_leftover_expiry(give_up.leaves.empty() ? purge : give_up);
        for (auto [delta, out] : {std::pair(&purge, &purged), std::pair(&give_up, &given_up)}) {
          if (delta->leaves.empty()) continue;
          delta->key = names.emplace_back(key);
          out->push_back(std::move(*delta));
        }
      });
  if (passed_over > 0) {
    const auto put_off = static_cast<std::int64_t>(passed_over / kLeftOverPerMs) + 1;
    fields_put_off_[partition.id] = now_ms + std::min(put_off, kLongestPutOffMs);
  }
  if (!purged.empty()) core_.write(partition, std::move(purged), RecordOrigin::kPurge);
  if (!given_up.empty()) core_.write(partition, std::move(given_up), RecordOrigin::kGiveUp);
}

}  // namespace even
