#include "sim/unheard_losses.h"

namespace even::sim {
namespace {

// How long who has lost its disk may take to be complete; and how long it is alone then.
constexpr std::int64_t kCompletionUs = 3'000'000;
constexpr std::int64_t kAloneUs = 500'000;

}  // namespace

void UnheardLosses::begin() {
  const auto partition = static_cast<PartitionId>(run_.random.below(run_.options.partitions));
  const auto all = run_.placement.replicas(partition);
  if (all.size() < 3 || cluster_.occupied) return;
  const std::size_t first = run_.random.below(all.size());
  const auto at = [&](std::size_t i) { return &cluster_.node(all[(first + i) % all.size()]); };
  UnheardLoss loss{partition, at(0), at(1), at(2), 0};
  if (!loss.lost->serves() || !loss.maker->serves() || !loss.third->serves()) return;
  if (!cluster_.may_lose_disk(loss.lost->number)) return;
  cluster_.occupied = true;
  for (const auto& other : cluster_.nodes) {
    // Nor from others.
    if (other.get() == loss.maker || other.get() == loss.lost) continue;
    cluster_.network.cut(loss.maker->number, other->number);
    cluster_.network.cut(loss.lost->number, other->number);
  }
  const std::string key = cluster_.any_key("unheard", partition);
  const std::string_view words[] = {"SET", key, "v"};
  (void)loss.maker->change(partition, words);
  // It reports it before.
  run_.scheduler.after(4 * run_.options.delay_us + 50'000 + run_.around(10'000),
                       [this, loss] { lose(loss); });
}

void UnheardLosses::lose(UnheardLoss loss) {
  if (run_.settling) return;
  loss.lost->crash(Loss::kDisk);
  cluster_.cut(loss.maker->number, Cluster::Cut::kBoth);
  for (const auto& other : cluster_.nodes) {
    if (other.get() != loss.maker && other.get() != loss.lost) {
      cluster_.network.heal(loss.lost->number, other->number);
    }
  }
  cluster_.restart_at_once(*loss.lost);
  loss.until_us = run_.scheduler.now_us() + kCompletionUs;
  follow(loss);
}

void UnheardLosses::follow(UnheardLoss loss) {
  if (run_.settling) return;
  const PartitionId ids[] = {loss.partition};
  const bool complete =
      loss.lost->up() && loss.lost->hosting(loss.partition).shard().is_complete(ids);
  if (!complete && run_.scheduler.now_us() < loss.until_us) {
    run_.scheduler.after(run_.around(10'000), [this, loss] { follow(loss); });
    return;
  }
  run_.event("n{} is {}complete without n{}", loss.lost->number, complete ? "" : "not ",
             loss.maker->number);
  cluster_.heal(loss.maker->number);
  cluster_.cut(loss.lost->number, Cluster::Cut::kBoth);
  run_.scheduler.after(run_.around(kAloneUs), [this, loss] {
    cluster_.occupied = false;
    cluster_.heal(loss.lost->number);
  });
}

}  // namespace even::sim
