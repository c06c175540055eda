#include "sim/hint_clients.h"

#include <fmt/format.h>

#include <algorithm>

namespace even::sim {
namespace {

constexpr std::int64_t kHintDeadlineUs = 2'000'000;

// What it has seen is more than it can say then.
bool damaged(const Node& node, PartitionId partition) {
  const auto all = node.partitions();
  return std::ranges::any_of(all, [partition](const PartitionStatus& each) {
    return each.partition == partition && each.damage.has_value();
  });
}

}  // namespace

HintClients::HintClients(Run& run, const Nodes& nodes, std::uint64_t seed)
    : run_(run), nodes_(nodes), random_(seed) {
  run_.hint_counted = [this](PartitionId partition, NodeNumber giver, NodeNumber holder,
                             const VersionVector& vector) {
    counted(partition, holder, vector);
    // What is lost by the one or the other then has been given away too early.
    on_kept(random_.chance(0.5) ? giver : holder);
  };
}

void HintClients::begin() {
  run_.scheduler.after(run_.around(run_.options.hint_every_us), [this] { act(); });
}

void HintClients::act() {
  if (run_.settling) return;
  begin();
  check();
  const auto partition =
      static_cast<PartitionId>(random_.below(static_cast<std::uint64_t>(run_.options.partitions)));
  const auto owners = run_.placement.replicas(partition);
  Node& node = *nodes_[owners[random_.below(owners.size())] - 1u];
  if (node.serves()) write(partition, node);
}

void HintClients::write(PartitionId partition, Node& node) {
  Shard& shard = node.hosting(partition).shard();
  const std::size_t others = run_.placement.replicas(partition).size() / 2;
  shard.await_written(
      {&partition, 1}, others, node.clock.monotonic_us() + kHintDeadlineUs,
      [this, others](std::size_t answered) {
        if (answered >= others) ++run_.outcome.sloppy_writes;
      },
      true);
  node.hosting(partition).need_turn();
}

void HintClients::counted(PartitionId partition, NodeNumber holder, const VersionVector& vector) {
  run_.event("n{} counts as holder of {} of partition {}", holder, vector.to_string(), partition);
  ++run_.outcome.hints_counted;
  Kept kept{partition, holder, vector, {}};
  for (const auto& node : nodes_) kept.lines[node->number] = node->replica().first_of_line();
  kept_.push_back(std::move(kept));
}

std::optional<NodeNumber> HintClients::holder_of(PartitionId partition, const Dot& dot) const {
  for (const Kept& kept : kept_) {
    if (kept.partition == partition && kept.vector.covers(dot)) return kept.holder;
  }
  return std::nullopt;
}

bool HintClients::has_line(NodeNumber node, const Kept& kept) const {
  return nodes_[node - 1u]->replica().first_of_line() == kept.lines.at(node);
}

bool HintClients::settled(const Kept& kept) const {
  Node& holder = *nodes_[kept.holder - 1u];
  if (!has_line(kept.holder, kept)) return true;
  // A hint may have been the only copy here; what is damaged is read nowhere, and its maker has it.
  if (holder.rows_damaged) return true;
  if (!holder.up()) return false;
  const Shard& shard = holder.hosting(kept.partition).shard();
  bool everywhere = true;
  for (const NodeNumber number : run_.placement.replicas(kept.partition)) {
    const Node& owner = *nodes_[number - 1u];
    if (!has_line(number, kept)) continue;
    if (!owner.up() || owner.replaying() || damaged(owner, kept.partition)) {
      everywhere = false;
      continue;
    }
    const VersionVector& seen = owner.state(kept.partition).vector();
    if (seen.covers(kept.vector)) continue;
    everywhere = false;
    for (const VersionVector::Entry& entry : kept.vector.entries()) {
      if (seen.covers(entry.dot()) || shard.keeps_hint(kept.partition, entry.dot())) continue;
      violated(fmt::format(
          "n{} has said that it keeps {} of partition {}, has not {}, and n{} lacks it: {}",
          kept.holder, kept.vector.to_string(), kept.partition, entry.dot().to_string(), number,
          seen.to_string()));
    }
  }
  return everywhere;
}

void HintClients::check() {
  std::erase_if(kept_, [this](const Kept& kept) { return settled(kept); });
}

}  // namespace even::sim
