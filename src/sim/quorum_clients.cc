#include "sim/quorum_clients.h"

#include <fmt/format.h>

namespace even::sim {
namespace {

constexpr std::int64_t kDeadlineUs = 2'000'000;

}  // namespace

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
  node.process.execute_for_client([this, &node, partition, replicas = replicas.size()] {
    const bool majority = random_.chance(0.5);
    if (random_.chance(0.5)) {
      write(node, partition, majority ? replicas / 2 : replicas - 1);
    } else {
      read(node, partition, majority ? replicas / 2 : 0);
    }
    shard(node, partition).need_turn();
  });
}

void QuorumClients::started(Node& node) {
  if (run_.settling) return;
  for (PartitionId partition = 0; partition < run_.options.partitions; ++partition) {
    if (!run_.placement.holds(node.number, partition)) continue;
    read(node, partition, 0);
    shard(node, partition).need_turn();
  }
}

std::string QuorumClients::key_in(PartitionId partition) {
  for (;;) {
    std::string key = fmt::format("quorum:{}", random_.below(10'000));
    if (run_.placement.partition_of(key) == partition) return key;
  }
}

void QuorumClients::write(Node& node, PartitionId partition, std::size_t others) {
  const std::string key = key_in(partition);
  const std::string_view words[] = {"SET", key, "v"};
  const std::optional<Dot> dot = node.change(partition, words);
  if (!dot) return;
  VersionVector made;
  made.add(*dot);
  const bool all = others + 1 == run_.placement.replicas(partition).size();
  Established& established = all ? at_all_ : at_majority_;
  shard(node, partition)
      .shard()
      .await_written({&partition, 1}, others, node.clock.monotonic_us() + kDeadlineUs,
                     take_seen(node, {{partition, made}}, others, established));
}

void QuorumClients::spread(Node& node, const PartitionReach& reach, std::size_t others,
                           Established& established) {
  shard(node, reach.front().first)
      .shard()
      .await_seen(reach, others, {.deadline_us = node.clock.monotonic_us() + kDeadlineUs},
                  take_seen(node, reach, others, established));
}

Shard::Answered QuorumClients::take_seen(const Node& node, const PartitionReach& reach,
                                         std::size_t others, Established& established) {
  const auto& [partition, vector] = reach.front();
  return
      [this, &established, partition, vector, others, number = node.number](std::size_t answered) {
        if (answered < others) return;
        run_.event("n{}: {} others have {} of partition {}", number, others, vector.to_string(),
                   partition);
        ++run_.outcome.quorum_writes;
        established[partition].merge(vector);
        if (on_seen) on_seen(number);
      };
}

// At one replica, what all have is to be seen; at a majority, also what a majority has.
void QuorumClients::read(Node& node, PartitionId partition, std::size_t others) {
  VersionVector expected = at_all_[partition];
  if (others > 0) expected.merge(at_majority_[partition]);
  const std::int64_t deadline_us = node.clock.monotonic_us() + kDeadlineUs;
  shard(node, partition)
      .shard()
      .catch_up(
          {partition}, others, deadline_us,
          [this, &node, partition, others, expected, deadline_us](std::size_t answered) {
            // Of no others, all have answered in any case: what it waited for is its own log.
            const bool late = others == 0 && node.clock.monotonic_us() >= deadline_us;
            if (answered < others || late) return;
            run_.event("n{}: a read of partition {}, {} others heard", node.number, partition,
                       others);
            ++run_.outcome.quorum_reads;
            const PartitionReach seen =
                shard(node, partition).shard().reach_of({&partition, 1}, false);
            if (!seen.front().second.covers(expected)) {
              violated(fmt::format(
                  "n{}: a read of partition {}, with {} others heard, has seen {}, but {} was "
                  "there when it began",
                  node.number, partition, others, seen.front().second.to_string(),
                  expected.to_string()));
            }
            if (others > 0) spread(node, seen, others, at_majority_);
          });
}

}  // namespace even::sim
