#include "node/level_meter.h"

#include <algorithm>
#include <utility>

namespace even {

std::string_view name_of_kind(cluster::Level::Kind kind) {
  static constexpr std::array<std::string_view, kKindsOfLevels> kNames = {
      "default", "one",    "number",  "quorum",     "all",
      "session", "causal", "bounded", "sequential", "linearizable"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view refusal_code(std::string_view reply) {
  // TRYAGAIN: a node that executes for another has not answered.
  static constexpr std::string_view kCodes[] = {
      "UNAVAILABLE", "PARTIAL", "STALE", "UNCERTAIN", "CONSISTENCY", "CLUSTERDOWN", "TRYAGAIN"};
  if (!reply.starts_with('-')) return {};
  reply.remove_prefix(1);
  const std::string_view word = reply.substr(0, reply.find_first_of(" \r\n"));
  const auto* const code = std::ranges::find(kCodes, word);
  return code == std::end(kCodes) ? std::string_view() : *code;
}

void ConsistencyCounters::merge(const ConsistencyCounters& other) {
  for (std::size_t i = 0; i < levels.size(); ++i) {
    levels[i].requests += other.levels[i].requests;
    levels[i].refused += other.levels[i].refused;
    levels[i].latency.merge(other.levels[i].latency);
  }
  for (const auto& [reason, more] : other.refusals) {
    Refusals& all = refusals[reason];
    all.count += more.count;
    all.linked += more.linked;
    for (const auto& [node, count] : more.unreachable) all.unreachable[node] += count;
  }
  for (const auto& [node, more] : other.arrivals) {
    ArrivalCounters& all = arrivals[node];
    all.buckets.resize(std::max(all.buckets.size(), more.buckets.size()));
    for (std::size_t i = 0; i < more.buckets.size(); ++i) all.buckets[i] += more.buckets[i];
    all.below_zero += more.below_zero;
  }
  records_joined += other.records_joined;
  conflicts += other.conflicts;
  type_conflicts += other.type_conflicts;
  keys_repaired += other.keys_repaired;
  hints_kept += other.hints_kept;
  hints_handed_over += other.hints_handed_over;
}

void ConsistencyCounters::take_off(const ConsistencyCounters& earlier) {
  for (std::size_t i = 0; i < levels.size(); ++i) {
    levels[i].requests -= earlier.levels[i].requests;
    levels[i].refused -= earlier.levels[i].refused;
    levels[i].latency.take_off(earlier.levels[i].latency);
  }
  for (const auto& [reason, before] : earlier.refusals) {
    Refusals& now = refusals[reason];
    now.count -= before.count;
    now.linked -= before.linked;
    for (const auto& [node, count] : before.unreachable) now.unreachable[node] -= count;
    std::erase_if(now.unreachable, [](const auto& each) { return each.second == 0; });
  }
  std::erase_if(refusals, [](const auto& each) { return each.second.count == 0; });
  for (const auto& [node, before] : earlier.arrivals) {
    ArrivalCounters& now = arrivals[node];
    now.buckets.resize(std::max(now.buckets.size(), before.buckets.size()));
    for (std::size_t i = 0; i < before.buckets.size(); ++i) now.buckets[i] -= before.buckets[i];
    now.below_zero -= before.below_zero;
  }
  records_joined -= earlier.records_joined;
  conflicts -= earlier.conflicts;
  type_conflicts -= earlier.type_conflicts;
  keys_repaired -= earlier.keys_repaired;
  hints_kept -= earlier.hints_kept;
  hints_handed_over -= earlier.hints_handed_over;
}

void LevelMeter::executed(const LevelOfRequest& level) {
  set_aside(level.writes);
  const std::size_t place = ConsistencyCounters::place(level);
  const auto known =
      std::ranges::find(in_turn_, place, [](const auto& each) { return each.first; });
  if (known != in_turn_.end()) {
    ++known->second;
  } else {
    in_turn_.emplace_back(place, 1);
  }
}

bool LevelMeter::answered(const LevelOfRequest& level, std::int64_t took_us,
                          std::string_view reply) {
  LevelCounters& counters = counters_.at(level);
  ++counters.requests;
  if (!refusal_code(reply).empty()) {
    ++counters.refused;
    return true;
  }
  counters.latency.add(took_us, 1);
  return false;
}

void LevelMeter::note_refusal(const Call& call, std::string_view code,
                              const std::vector<NodeNumber>& unreachable) {
  RefusalReason reason{call.keyspace, call.level, std::string(code)};
  if (counters_.refusals.size() >= kMostReasons && !counters_.refusals.contains(reason)) {
    reason.keyspace = "...";
  }
  Refusals& refusals = counters_.refusals[std::move(reason)];
  ++refusals.count;
  if (unreachable.empty()) ++refusals.linked;
  for (const NodeNumber node : unreachable) ++refusals.unreachable[node];
}

void LevelMeter::end_turn(std::int64_t us, std::uint64_t reads, std::uint64_t writes) {
  for (const bool of_writes : {false, true}) {
    const std::uint64_t all = of_writes ? writes : reads;
    const std::uint64_t others = std::exchange(set_aside_[of_writes ? 1 : 0], 0);
    if (all <= others) continue;
    LevelCounters& one = counters_.at({cluster::Level::Kind::kOne, false, of_writes});
    one.requests += all - others;
    one.latency.add(us, all - others);
  }
  for (const auto& [place, requests] : in_turn_) {
    counters_.levels[place].requests += requests;
    counters_.levels[place].latency.add(us, requests);
  }
  in_turn_.clear();
}

void LevelMeter::sample(ConsistencyCounters now, std::int64_t now_us) {
  if (samples_.size() < kSamples) samples_.resize(kSamples);
  samples_[taken_++ % kSamples] = {now_us, std::move(now)};
}

std::pair<ConsistencyCounters, double> LevelMeter::recent(ConsistencyCounters now,
                                                          std::int64_t now_us) const {
  if (taken_ == 0) return {};
  const Sample& earliest = samples_[taken_ < kSamples ? 0 : taken_ % kSamples];
  now.take_off(earliest.counters);
  return {std::move(now), static_cast<double>(now_us - earliest.at_us) * 1e-6};
}

}  // namespace even
