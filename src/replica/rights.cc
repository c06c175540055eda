#include "replica/rights.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"

namespace even {
namespace {

constexpr std::int64_t kLookAtRightsUs = 10'000;
constexpr std::size_t kMostLooks = 256;  // at a time
constexpr std::int64_t kAskForRightsUs = 100'000;
constexpr std::int64_t kAskUrgentlyUs = 20'000;  // while commands wait
// A counter that gets nothing so often is looked after again when something happens to it.
constexpr int kInVain = 20;
constexpr std::size_t kMostWatched = 10'000;
// In one question or gift, and in all gifts of a run to another.
constexpr std::uint64_t kMostRights = std::uint64_t{1} << 62;

std::uint64_t limited(absl::int128 amount) {
  return static_cast<std::uint64_t>(std::clamp<absl::int128>(amount, 0, kMostRights));
}

}  // namespace

void Rights::watch(PartitionId partition, std::string_view key) {
  if (core_.is_strong(partition) || core_.at(partition).replicas.size() < 2) return;
  if (watched_.size() >= kMostWatched) return;
  watched_.try_emplace({partition, std::string(key)});
}

Rights::Seen Rights::find(PartitionId id, std::string_view key) {
  Partition* partition = core_.find(id);
  if (partition == nullptr || !partition->replayed || partition->damaged()) return {};
  const std::uint64_t hash = hash64(key);
  if (partition->state.is_cold(hash)) return {};
  const Object* object = partition->state.find(key, hash);
  if (object == nullptr || object->expired(core_.clock.wall_ms())) return {};
  return {partition, object->bounded()};
}

absl::int128 Rights::own(const Seen& seen) const {
  return seen.counter->rights(core_.self, seen.partition->state.vector());
}

// With what it will have once earlier runs of it are folded.
absl::int128 Rights::of_peer(const Seen& seen, ReplicaId peer) const {
  const VersionVector& vector = seen.partition->state.vector();
  absl::int128 sum = seen.counter->rights(peer, vector);
  for (const ReplicaId run : seen.counter->runs()) {
    if (run.precedes(peer) && !BoundedCounter::may_use(peer, run, vector)) {
      sum += seen.counter->rights_alone(run);
    }
  }
  return sum;
}

bool Rights::holds(const Partition& partition, NodeNumber node) const {
  return std::ranges::find(partition.replicas, node) != partition.replicas.end();
}

absl::int128 Rights::within_reach(const Seen& seen) const {
  absl::int128 sum = std::max<absl::int128>(own(seen), 0);
  for (const auto& [node, run] : peers_) {
    if (holds(*seen.partition, node)) sum += std::max<absl::int128>(of_peer(seen, run), 0);
  }
  // To be folded, all replicas have to be heard.
  const bool all = std::ranges::all_of(seen.partition->replicas, [this](NodeNumber node) {
    return node == core_.options.node || peers_.contains(node);
  });
  if (!all) return sum;
  for (const ReplicaId run : seen.counter->runs()) {
    if (run.precedes(core_.self) &&
        !BoundedCounter::may_use(core_.self, run, seen.partition->state.vector())) {
      sum += seen.counter->rights_alone(run);
    }
  }
  return sum;
}

bool Rights::claim_earlier(const Seen& seen, const Name& name) {
  absl::int128 left = 0;
  for (const ReplicaId run : seen.counter->runs()) {
    if (run.precedes(core_.self) &&
        !BoundedCounter::may_use(core_.self, run, seen.partition->state.vector())) {
      left += seen.counter->rights_alone(run);
    }
  }
  seen.partition->rights_wait |= left > 0;  // fold_runs() takes it back
  if (left <= 0) return false;
  // Runs are folded under an entry of this one.
  if (seen.partition->state.vector()[core_.self] == 0) write(seen, name.second, {}, 0);
  return true;
}

void Rights::write(const Seen& seen, std::string_view key, ReplicaId to, std::uint64_t amount) {
  Partition& partition = *seen.partition;
  if (core_.log.error()) return;
  core_.close(partition);
  const BoundedCounter& counter = *seen.counter;
  BoundedNumber changed{counter.number.is_max, counter.number.limit, counter.number.base, {}};
  BoundEntry& entry = changed.entries.emplace_back();
  if (const BoundEntry* mine = counter.number.find(core_.self)) entry = *mine;
  entry.replica = core_.self;
  entry.seq = partition.state.vector()[core_.self] + 1;
  if (amount > 0) entry.give(to, amount);
  const std::string bytes = encode_bounded(changed);
  decltype(Delta::keys) keys;
  KeyDelta& delta = keys.emplace_back();
  delta.key = key;
  LeafDelta& leaf = delta.leaves.emplace_back();
  leaf.kind = LeafKind::kBound;
  leaf.partial = true;
  leaf.siblings.push_back({counter.dot, counter.time, bytes, 0});
  core_.write(partition, std::move(keys), RecordOrigin::kRights);
}

Result<> Rights::receive(NodeNumber node, const RightsMessage& message) {
  Partition* partition = core_.find(message.partition);
  if (partition == nullptr || core_.is_strong(message.partition) || !holds(*partition, node)) {
    return fail(fmt::format("a question for rights in partition {}, which the two do not share",
                            message.partition));
  }
  const auto peer = peers_.find(node);
  if (peer == peers_.end() || !partition->replayed || partition->damaged()) return {};
  const Object* object = partition->state.find(message.key, hash64(message.key));
  if (object == nullptr || object->bounded() == nullptr) return {};
  if (object->expired(core_.clock.wall_ms())) return {};
  const Seen seen{partition, object->bounded()};
  const absl::int128 mine = std::max<absl::int128>(own(seen), 0);
  const absl::int128 fair = seen.counter->number.distance() / partition->replicas.size();
  if (mine < message.needed) watch(message.partition, message.key);
  const absl::int128 spare = std::max<absl::int128>(mine - fair, 0);
  absl::int128 amount = std::min<absl::int128>(message.wanted, spare);
  amount = std::max(amount, std::min<absl::int128>(message.needed, mine));
  const BoundEntry* entry = seen.counter->number.find(core_.self);
  if (entry != nullptr) {
    const auto so_far = std::ranges::find(entry->gifts, peer->second, &BoundEntry::Gift::to);
    if (so_far != entry->gifts.end()) {
      amount = std::min<absl::int128>(amount, absl::int128(kMostRights) - so_far->amount);
    }
  }
  if (amount <= 0) return {};
  write(seen, message.key, peer->second, limited(amount));
  ++given_;
  return {};
}

void Rights::ask(const Seen& seen, const Name& name, absl::int128 needed, absl::int128 wanted) {
  std::vector<std::pair<absl::int128, NodeNumber>> richest;
  for (const auto& [node, run] : peers_) {
    if (!holds(*seen.partition, node)) continue;
    const absl::int128 rights = of_peer(seen, run);
    if (rights > 0) richest.emplace_back(rights, node);
  }
  std::ranges::sort(richest, std::greater());
  for (const auto& [rights, node] : richest) {
    if (needed <= 0 && wanted <= 0) return;
    RightsMessage message;
    message.partition = name.first;
    message.needed = limited(needed);
    message.wanted = limited(wanted);
    message.key = name.second;
    transport_.send(node, encode_rights(message));
    ++asked_;
    needed -= rights;
    wanted -= rights;
  }
}

void Rights::settle(const Seen& seen, Watched& watched, std::int64_t now_us) {
  if (watched.waiters.empty()) return;
  absl::int128 left = seen.counter == nullptr ? 0 : own(seen);
  const absl::int128 reach = seen.counter == nullptr ? 0 : within_reach(seen);
  std::deque<Waiter> rest;
  for (Waiter& waiter : watched.waiters) {
    const bool there = left >= waiter.amount;
    // One that is not there any more, or cannot be had, is looked at by its command.
    if (there || waiter.deadline_us <= now_us || reach < waiter.amount) {
      if (there) left -= waiter.amount;
      due_.emplace_back([done = std::move(waiter.done), there] { done(there); });
    } else {
      rest.push_back(std::move(waiter));
    }
  }
  watched.waiters = std::move(rest);
}

bool Rights::look(const Name& name, Watched& watched, std::int64_t now_us) {
  const Seen seen = find(name.first, name.second);
  settle(seen, watched, now_us);
  if (seen.counter == nullptr) return !watched.waiters.empty();
  const absl::int128 mine = own(seen);
  if (mine > watched.had) watched.in_vain = 0;
  watched.had = mine;
  absl::int128 needed = 0;
  for (const Waiter& waiter : watched.waiters) needed += waiter.amount;
  const absl::int128 fair = seen.counter->number.distance() / seen.partition->replicas.size();
  if (needed == 0 && (fair == 0 || mine * 2 >= fair)) return false;
  const std::int64_t again_us = needed > 0 ? kAskUrgentlyUs : kAskForRightsUs;
  if (watched.asked_us != 0 && now_us - watched.asked_us < again_us) return true;
  const bool claims = claim_earlier(seen, name);
  watched.asked_us = now_us;
  ask(seen, name, needed - mine, fair - mine);
  return ++watched.in_vain < kInVain || claims || !watched.waiters.empty();
}

void Rights::await(Context::Lack lack, std::int64_t deadline_us, Done done) {
  const PartitionId partition = core_.partition_of(lack.key);
  const Name name{partition, lack.key};
  Watched& watched = watched_[name];
  watched.waiters.push_back({lack.amount, deadline_us, std::move(done)});
  with_waiters_.insert(name);
  if (watched.waiters.size() == 1) watched.asked_us = 0;
  if (!look(name, watched, core_.clock.monotonic_us())) watched_.erase(name);
}

void Rights::end_turn() {
  for (auto name = with_waiters_.begin(); name != with_waiters_.end();) {
    const auto watched = watched_.find(*name);
    if (watched == watched_.end() || watched->second.waiters.empty()) {
      name = with_waiters_.erase(name);
      continue;
    }
    settle(find(name->first, name->second), watched->second, core_.clock.monotonic_us());
    ++name;
  }
  if (due_.empty()) return;
  for (const auto& done : std::exchange(due_, {})) done();
}

void Rights::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (watched_.empty() || now_us - looked_us_ < kLookAtRightsUs) return;
  looked_us_ = now_us;
  auto at = watched_.lower_bound(next_);
  for (std::size_t looks = 0; looks < kMostLooks && at != watched_.end(); ++looks) {
    at = look(at->first, at->second, now_us) ? std::next(at) : watched_.erase(at);
  }
  next_ = at == watched_.end() ? Name() : at->first;
}

}  // namespace even
