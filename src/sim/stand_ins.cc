#include "sim/stand_ins.h"

#include <fmt/format.h>

#include <algorithm>

namespace even::sim {
namespace {

// How long others stand in for owners that are away, and until what they keep is handed over.
constexpr std::int64_t kStandInUs = 2'500'000;
// Who has the owners in reach again hands over what they lack after about so long.
constexpr std::int64_t kHandedOverUs = 380'000;
constexpr std::int64_t kHandingOverUs = 150'000;
// A sync of a disk that is slow, and for how long what is not synced may be given to others.
constexpr std::int64_t kSlowSyncUs = 100'000;
constexpr std::int64_t kGivenUs = 40'000;
// What an owner has is reported by then, and not yet folded.
constexpr std::int64_t kReportedUs = 40'000;

}  // namespace

void StandIns::sent_by(NodeNumber node) {
  // What it has handed over it has still to keep.
  if (node == keeper_) run_.scheduler.after(1, [this] { hints_.check(); });
}

void StandIns::begin() {
  const auto partition = static_cast<PartitionId>(run_.random.below(run_.options.partitions));
  const auto owners = run_.placement.replicas(partition);
  if (cluster_.occupied) return;
  const std::size_t first = run_.random.below(owners.size());
  StandIn standing{.partition = partition, .maker = &cluster_.node(owners[first])};
  for (const NodeNumber owner : owners) {
    if (owner != owners[first]) standing.others.push_back(&cluster_.node(owner));
  }
  const bool all_up =
      std::ranges::all_of(cluster_.nodes, [](const auto& n) { return n->serves(); });
  if (!all_up || standing.maker->replaying()) return;
  const std::string key = cluster_.any_key("kept", partition);
  cluster_.occupied = true;
  for (const Node* other : standing.others) cluster_.cut(other->number, Cluster::Cut::kBoth);
  const std::string_view words[] = {"SET", key, "v"};
  const auto made = standing.maker->change(partition, words);
  standing.until_us = run_.scheduler.now_us() + kStandInUs;
  if (made) {
    standing.made = *made;
    hints_.write(partition, *standing.maker);
    return follow(standing);
  }
  standing.until_us = 0;
  follow(standing);
}

void StandIns::follow(const StandIn& standing) {
  if (run_.settling) return;
  const PartitionId partition = standing.partition;
  const Dot& made = standing.made;
  const Node& maker = *standing.maker;
  const bool kept = standing.kept;
  const bool over = run_.scheduler.now_us() >= standing.until_us;
  const Node& back = *standing.others.front();
  const auto holder = hints_.holder_of(partition, made);
  if (!kept && !over && holder) {
    StandIn next = standing;
    next.keeper = &cluster_.node(*holder);
    if (run_.random.chance(0.3)) return lose_power(std::move(next));
    run_.event("n{} is kept for, and n{} away", back.number, maker.number);
    cluster_.cut(maker.number, Cluster::Cut::kBoth);
    bring_back(standing);
    keeper_ = *holder;
    next.kept = true;
    next.until_us = run_.scheduler.now_us() + kStandInUs;
    if (run_.random.chance(0.6)) {
      next.until_us = run_.scheduler.now_us() + kHandedOverUs +
                      static_cast<std::int64_t>(run_.random.below(kHandingOverUs));
    }
    return run_.scheduler.after(1'000, [this, next] { follow(next); });
  }
  const bool handed_over = kept && back.up() && back.state(partition).vector().covers(made);
  if (!over && !handed_over) {
    return run_.scheduler.after(kept ? 1'000 : 10'000, [this, standing] { follow(standing); });
  }
  if (!kept && !holder && made.seq > 0 && run_.options.undisturbed) {
    violated(fmt::format("nobody stands in for the owners that n{} does not reach", maker.number));
  }
  run_.event("n{} and n{} are back, what was kept is {}handed over", maker.number, back.number,
             handed_over ? "" : "not ");
  end(standing);
}

void StandIns::bring_back(const StandIn& standing) {
  const NodeNumber back = standing.others.front()->number;
  for (const auto& n : cluster_.nodes) {
    if (n.get() == standing.maker ||
        std::ranges::find(standing.others, n.get()) != standing.others.end())
      continue;
    cluster_.network.heal(back, n->number);
    cluster_.network.heal(n->number, back);
  }
}

void StandIns::end(const StandIn& standing) {
  hints_.check();
  keeper_ = 0;
  cluster_.heal(standing.maker->number);
  for (const Node* other : standing.others) cluster_.heal(other->number);
  cluster_.occupied = false;
}

// --- What the maker loses

void StandIns::lose_power(StandIn standing) {
  Node& maker = *standing.maker;
  if (!maker.serves()) return end(standing);
  maker.disk.faults.sync_us = kSlowSyncUs;
  const std::string key = cluster_.any_key("lost", standing.partition);
  const std::string_view words[] = {"SET", key, "v"};
  standing.lost = maker.change(standing.partition, words);
  if (standing.lost) hints_.write(standing.partition, maker);
  standing.until_us = run_.scheduler.now_us() + kGivenUs;
  await_loss(std::move(standing));
}

void StandIns::await_loss(StandIn standing) {
  Node& maker = *standing.maker;
  if (run_.settling) return;
  const bool given = standing.lost && standing.keeper->up() &&
                     standing.keeper->hosting(standing.partition)
                         .shard()
                         .keeps_hint(standing.partition, *standing.lost);
  if (standing.lost && !given && maker.up() && run_.scheduler.now_us() < standing.until_us) {
    return run_.scheduler.after(200, [this, standing] { await_loss(standing); });
  }
  maker.disk.faults.sync_us = run_.options.sync_us;
  if (!standing.lost || !maker.up()) return end(standing);
  run_.event("n{} loses power, n{} has {}what it loses", maker.number, standing.keeper->number,
             given ? "" : "not ");
  maker.crash(Loss::kPower);
  cluster_.restart_at_once(maker);
  // Who is not an owner hands nothing over before.
  cluster_.cut(maker.number, Cluster::Cut::kBoth);
  for (const Node* other : standing.others) {
    cluster_.network.heal(maker.number, other->number);
    cluster_.network.heal(other->number, maker.number);
  }
  standing.until_us = run_.scheduler.now_us() + kStandInUs;
  await_folding(std::move(standing));
}

void StandIns::await_folding(StandIn standing) {
  if (run_.settling) return;
  const PartitionId partition = standing.partition;
  Node& maker = *standing.maker;
  if (!standing.anew && maker.serves() && !maker.replaying()) {
    const std::string key = cluster_.any_key("anew", partition);
    const std::string_view words[] = {"SET", key, "v"};
    standing.anew = maker.change(partition, words);
  }
  const bool told = standing.anew && std::ranges::all_of(standing.others, [&](const Node* other) {
                      return other->up() && other->state(partition).vector().covers(*standing.anew);
                    });
  if (!told && run_.scheduler.now_us() < standing.until_us) {
    return run_.scheduler.after(1'000, [this, standing] { await_folding(standing); });
  }
  run_.scheduler.after(run_.around(kReportedUs), [this, standing] {
    if (run_.settling) return;
    const NodeNumber back = standing.others.front()->number;
    run_.event("n{} does not hear n{} any more, but n{}", back, standing.maker->number,
               standing.keeper->number);
    cluster_.network.cut(standing.maker->number, back);
    bring_back(standing);
    StandIn next = standing;
    next.kept = true;
    next.made = *standing.lost;
    next.until_us = run_.scheduler.now_us() + kStandInUs;
    follow(next);
  });
}

}  // namespace even::sim
