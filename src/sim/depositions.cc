#include "sim/depositions.h"

#include <utility>

namespace even::sim {
namespace {

// How long a leader is cut off at most.
constexpr std::int64_t kDepositionUs = 3'000'000;
// Until its successor is cut off: before that has come as far as what the former has proposed, or
// when it is well behind that.
constexpr std::int64_t kAtOnceUs = 10'000;
constexpr std::int64_t kInItsTurnUs = 150'000;

}  // namespace

void Depositions::depose() {
  const auto& groups = cluster_.groups->groups();
  depose(groups[run_.random.below(groups.size())]);
}

void Depositions::depose(PartitionId group) {
  const auto leader = cluster_.groups->leader(group);
  if (!leader || std::exchange(deposing_, true)) return;
  const double away = run_.options.consumers ? 0.45 : 0.3;
  const Cluster::Cut direction = run_.random.chance(away)  ? Cluster::Cut::kBoth
                                 : run_.random.chance(0.8) ? Cluster::Cut::kInward
                                                           : Cluster::Cut::kOutward;
  run_.event("n{} is cut off{}, as it leads group {} in term {}", leader->node,
             direction == Cluster::Cut::kBoth     ? ""
             : direction == Cluster::Cut::kInward ? " (inward)"
                                                  : " (outward)",
             group, leader->term);
  cluster_.cut(leader->node, direction);
  // What nobody else has: its successor goes by other entries in these places.
  if (run_.random.chance(0.5)) cluster_.burst(group, leader->node);
  follow({.group = group,
          .leader = *leader,
          .until_us = run_.scheduler.now_us() + kDepositionUs,
          .until_index = {}});
}

void Depositions::follow(Deposition deposition) {
  if (run_.settling) return;
  const auto now = cluster_.groups->leader(deposition.group);
  const bool deposed = now && now->term > deposition.leader.term;
  if (deposed && !deposition.until_index) {
    deposition.until_index =
        now->committed + (run_.random.chance(0.4) ? 0 : 5 + run_.random.below(30));
  }
  if ((!deposed || now->committed < *deposition.until_index) &&
      run_.scheduler.now_us() < deposition.until_us) {
    run_.scheduler.after(run_.around(10'000), [this, deposition] { follow(deposition); });
    return;
  }
  run_.event("n{} is connected again", deposition.leader.node);
  cluster_.heal(deposition.leader.node);
  deposing_ = false;
  const Node& former = cluster_.node(deposition.leader.node);
  // What it had logged is replaced while a pass of its store is under way.
  if (run_.options.store_behind > 0 && run_.options.damage_every_us == 0 && former.up() &&
      run_.random.chance(0.7)) {
    crash_behind_pass(former.number, deposition.group, former.passes(deposition.group) + 1);
  }
  // Its successor in its turn, which may bring it back.
  if (deposed && run_.random.chance(0.5)) {
    const std::int64_t after_us = run_.random.chance(0.5) ? kAtOnceUs : kInItsTurnUs;
    run_.scheduler.after(run_.around(after_us), [this, group = deposition.group] {
      if (!run_.settling) depose(group);
    });
  }
}

// As soon as so many passes of this run of the node have been stored, and no later one.
void Depositions::crash_behind_pass(NodeNumber number, PartitionId group, std::uint64_t passes) {
  Node& n = cluster_.node(number);
  if (run_.settling || !n.up() || n.passes(group) > passes) return;
  if (n.passes(group) < passes) {
    run_.scheduler.after(2'000, [=, this] { crash_behind_pass(number, group, passes); });
    return;
  }
  n.crash(run_.random.chance(0.5) ? Loss::kProcess : Loss::kPower);
  cluster_.restart_at_once(n);
}

}  // namespace even::sim
