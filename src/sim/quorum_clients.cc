#include "sim/quorum_clients.h"

#include <fmt/format.h>

namespace even::sim {
namespace {

constexpr std::int64_t kDeadlineUs = 2'000'000;

}  // namespace

std::size_t QuorumClients::others(PartitionId partition) const {
  return run_.placement.replicas(partition).size() / 2;
}

void QuorumClients::begin() {
  run_.scheduler.after(run_.around(run_.options.quorum_every_us), [this] { act(); });
}

void QuorumClients::act() {
  if (run_.settling) return;
  begin();
  const auto partition =
      static_cast<PartitionId>(random_.below(static_cast<std::uint64_t>(run_.options.partitions)));
  const auto replicas = run_.placement.replicas(partition);
  Node& node = *nodes_[replicas[random_.below(replicas.size())] - 1u];
  if (!node.up()) return;
  if (random_.chance(0.5)) {
    write(node, partition);
  } else {
    read(node, partition);
  }
  shard(node, partition).need_turn();
}

void QuorumClients::write(Node& node, PartitionId partition) {
  spread(node, partition, shard(node, partition).shard().reach_of({&partition, 1}, true));
}

void QuorumClients::spread(Node& node, PartitionId partition, PartitionReach reach) {
  Shard& shard = this->shard(node, partition).shard();
  const std::size_t count = others(partition);
  const VersionVector vector = reach.front().second;
  shard.await_seen(
      std::move(reach), count, {.deadline_us = node.clock.monotonic_us() + kDeadlineUs},
      [this, partition, vector, count, number = node.number](std::size_t answered) {
        if (answered < count) return;
        run_.event("n{}: a majority has {} of partition {}", number, vector.to_string(), partition);
        ++run_.outcome.quorum_writes;
        established_[partition].merge(vector);
      });
}

void QuorumClients::read(Node& node, PartitionId partition) {
  const std::size_t count = others(partition);
  shard(node, partition)
      .shard()
      .catch_up(
          {partition}, count, node.clock.monotonic_us() + kDeadlineUs,
          [this, &node, partition, count,
           expected = established_[partition]](std::size_t answered) {
            if (answered < count) return;
            ++run_.outcome.quorum_reads;
            run_.event("n{}: a read of partition {} at a majority", node.number, partition);
            PartitionReach seen = shard(node, partition).shard().reach_of({&partition, 1}, false);
            if (!seen.front().second.covers(expected)) {
              violated(fmt::format(
                  "n{}: a read of partition {} at a majority has seen {}, but {} was there "
                  "when it began",
                  node.number, partition, seen.front().second.to_string(), expected.to_string()));
            }
            spread(node, partition, std::move(seen));
          });
}

}  // namespace even::sim
