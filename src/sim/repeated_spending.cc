#include "sim/repeated_spending.h"

#include <algorithm>

#include "sim/workload.h"

namespace even::sim {
namespace {

// For rights to be on the disk, and to be shared out.
constexpr std::int64_t kRightsDurableUs = 100'000;
constexpr std::int64_t kSpentUnsyncedUs = 500'000;
constexpr std::int64_t kSpenderAloneUs = 250'000;
constexpr int kSpentAtMost = 40;

}  // namespace

void RepeatedSpending::begin() {
  const auto partition = static_cast<PartitionId>(run_.random.below(run_.options.partitions));
  const auto replicas = run_.placement.replicas(partition);
  Node& spender = cluster_.node(replicas[run_.random.below(replicas.size())]);
  if (cluster_.occupied || !spender.serves() || spender.write_error() || spender.replaying())
    return;
  const std::string key = cluster_.any_key(kBoundedPrefix, partition);
  cluster_.occupied = true;
  (void)spender.execute(kNobody, {{"SET", key, "60"}, {}});
  (void)spender.execute(kNobody, {{"EVEN.BOUND", key, "MIN", "0"}, {}});
  const bool synced_at_once = run_.options.fsync == FsyncPolicy::kAlways;
  run_.scheduler.after(synced_at_once ? kRightsDurableUs : 1'000'000 + kRightsDurableUs,
                       [this, spending = Spending{&spender, key, partition, spender.run_number(),
                                                  0}] { spend(spending); });
}

void RepeatedSpending::spend(const Spending& spending) {
  if (run_.settling) return;
  Node& spender = *spending.spender;
  if (!spender.serves() || spender.run_number() != spending.run_number) {
    cluster_.occupied = false;
    return;
  }
  spender.disk.faults.sync_us = 2 * kSpentUnsyncedUs;
  spend_all(spender, spending.key);
  const ReplicaId replica = spender.replica();
  const VersionVector& seen = spender.state(spending.partition).vector();
  Spending next = spending;
  next.spent = {replica, seen[replica]};
  next.until_us = run_.scheduler.now_us() + kSpentUnsyncedUs;
  follow(next);
}

void RepeatedSpending::spend_all(Node& spender, const std::string& key) {
  for (int i = 0; i < kSpentAtMost; ++i) {
    (void)spender.execute(kNobody,
                          {{"DECR", key}, Operation::Increment{LeafKind::kString, key, "", -1}});
  }
}

void RepeatedSpending::follow(const Spending& spending) {
  if (run_.settling) return;
  Node& spender = *spending.spender;
  const bool same_run = spender.up() && spender.run_number() == spending.run_number;
  const bool heard = same_run && std::ranges::any_of(cluster_.nodes, [&](const auto& n) {
                       return n.get() != &spender && n->up() &&
                              run_.placement.holds(n->number, spending.partition) &&
                              n->state(spending.partition).vector().covers(spending.spent);
                     });
  if (same_run && !heard && run_.scheduler.now_us() < spending.until_us) {
    return run_.scheduler.after(1'000, [this, spending] { follow(spending); });
  }
  spender.disk.faults.sync_us = run_.options.sync_us;
  cluster_.occupied = false;
  if (!heard) return;
  cluster_.occupied = true;
  run_.event("n{} shall not know what it has spent", spender.number);
  spender.crash(Loss::kPower);
  cluster_.cut(spender.number, Cluster::Cut::kBoth);
  spender.start();
  run_.scheduler.after(kSpenderAloneUs, [this, spending] {
    cluster_.occupied = false;
    cluster_.heal(spending.spender->number);
    if (!run_.settling && spending.spender->serves()) spend_all(*spending.spender, spending.key);
  });
}

}  // namespace even::sim
