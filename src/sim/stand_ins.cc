#include "sim/stand_ins.h"

#include <algorithm>

namespace even::sim {
namespace {

// How long others stand in for owners that are away, and until what they keep is handed over.
constexpr std::int64_t kStandInUs = 2'500'000;
// Who has the owners in reach again hands over what they lack after about so long.
constexpr std::int64_t kHandedOverUs = 380'000;
constexpr std::int64_t kHandingOverUs = 150'000;

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
  StandIn standing{partition, &cluster_.node(owners[first]), {}, {}, 0};
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
  const auto& [partition, maker, others, made, until_us, kept] = standing;
  const bool over = run_.scheduler.now_us() >= until_us;
  Node& back = *others.front();
  if (!kept && !over && hints_.holder_of(partition, made)) {
    run_.event("n{} is kept for, and n{} away", back.number, maker->number);
    cluster_.cut(maker->number, Cluster::Cut::kBoth);
    for (const auto& n : cluster_.nodes) {
      const bool away = n.get() == maker || std::ranges::find(others, n.get()) != others.end();
      if (away) continue;
      cluster_.network.heal(back.number, n->number);
      cluster_.network.heal(n->number, back.number);
    }
    keeper_ = *hints_.holder_of(partition, made);
    StandIn next = standing;
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
  run_.event("n{} and n{} are back, what was kept is {}handed over", maker->number, back.number,
             handed_over ? "" : "not ");
  hints_.check();
  keeper_ = 0;
  cluster_.heal(maker->number);
  for (const Node* other : others) cluster_.heal(other->number);
  cluster_.occupied = false;
}

}  // namespace even::sim
