#include "sim/checks.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "sim/difference.h"

namespace even::sim {
namespace {

constexpr std::int64_t kTurnUs = 100'000;

// Reads all objects, so that damage comes to light.
void look_for_damage(const Node& node) {
  for (const PartitionStatus& p : node.partitions()) {
    try {
      (void)node.state(p.partition).recompute_digest();
    } catch (const Unreadable&) {
    }
  }
}

// `victim`: what it holds may be false. `read`: the node whose objects are all read; none: those of
// all nodes.
void check_digests(const Run& run, const Nodes& nodes, const Node* victim, const Node* read) {
  std::map<PartitionId, std::vector<std::pair<const Node*, PartitionStatus>>> all;
  for (const auto& n : nodes) {
    const bool is_read = read == nullptr || read == n.get();
    if (run.options.damage_every_us > 0 && is_read) look_for_damage(*n);
    if (n.get() == victim) continue;
    for (PartitionStatus& p : n->partitions()) {
      if (p.damage) continue;
      const PartitionState& state = n->state(p.partition);
      if (is_read && state.recompute_digest() != p.digest) {
        violated(fmt::format("n{}: the digest of partition {} is not that of its content",
                             n->number, p.partition));
      }
      for (const auto& [other, q] : all[p.partition]) {
        if (q.vector == p.vector && q.digest != p.digest) {
          violated(fmt::format("partition {}: n{} and n{} have seen the same but differ:{}",
                               p.partition, other->number, n->number,
                               difference(other->state(p.partition), state)));
        }
      }
      all[p.partition].emplace_back(n.get(), p);
    }
  }
}

void check_residue(const Node& node, PartitionId partition, const char* when) {
  const PartitionState& state = node.state(partition);
  if (state.residue_keys() == 0) return;
  std::string keys;
  state.for_each([&](std::string_view key, const Object& object) {
    if (object.has_residue()) keys += fmt::format(" '{}' (live: {})", key, object.live());
  });
  violated(fmt::format("{}, n{}: partition {} still keeps residue of {} keys:{}", when, node.number,
                       partition, state.residue_keys(), keys));
}

// What the nodes' earlier runs have made is everywhere: it has been folded where there is something
// to fold it under.
void check_folded(const Nodes& nodes, const Node& node, const PartitionStatus& p,
                  const char* when) {
  for (const auto& maker : nodes) {
    const ReplicaId now = maker->replica();
    if (p.vector[now] == 0 || !p.vector.names_before(now)) continue;
    violated(fmt::format("{}, n{}: partition {} has not folded what precedes {}: {}", when,
                         node.number, p.partition, now.to_string(), p.vector.to_string()));
  }
}

// What a node takes for seen by all replicas of a partition, each of them that is complete has
// seen: else what comes after it could be shown there at CAUSAL without it. See docs/causality.md.
void check_everywhere(const Run& run, const Nodes& nodes, PartitionId partition, const Node& knows,
                      Node& replica) {
  const PartitionId ids[] = {partition};
  if (!replica.hosting(partition).shard().is_complete(ids)) return;
  const VersionVector& seen = replica.state(partition).vector();
  for (const auto& maker : nodes) {
    // What nobody has any more cannot be waited for.
    if (!maker->up() || !run.placement.holds(maker->number, partition)) continue;
    for (const VersionVector::Entry& entry : maker->state(partition).vector().entries()) {
      if (seen.covers_entry(entry)) continue;
      const Dot lacking{entry.replica, seen[entry.replica] + 1};
      if (lacking.seq > entry.seq || !knows.knows_everywhere(partition, lacking)) continue;
      violated(
          fmt::format("n{} takes {} of partition {} for seen everywhere; n{} is complete without "
                      "it, and n{} has it",
                      knows.number, lacking.to_string(), partition, replica.number, maker->number));
    }
  }
}

void check_everywhere(const Run& run, const Nodes& nodes) {
  // See CausalClients::check().
  if (run.options.restore > 0 && run.options.fsync != FsyncPolicy::kAlways) return;
  for (PartitionId partition = 0; partition < run.options.partitions; ++partition) {
    for (const auto& replica : nodes) {
      if (!replica->up() || replica->replaying()) continue;
      if (!run.placement.holds(replica->number, partition)) continue;
      for (const auto& knows : nodes) {
        if (!knows->up() || knows == replica) continue;
        check_everywhere(run, nodes, partition, *knows, *replica);
      }
    }
  }
}

// What the victim puts right has been made false.
void check_findings(const Run& run, Node& victim) {
  for (ShardId id = 0; id < victim.shards(); ++id) {
    const PartitionId held = id;  // of the shard
    for (const CheckFinding& finding : victim.hosting(held).shard().check_status().findings) {
      if (run.oracle.was_falsified(finding.key)) continue;
      violated(fmt::format("n{} has found '{}' wrong, which nobody has made so", victim.number,
                           finding.key));
    }
  }
}

}  // namespace

void check_running(const Run& run, const Nodes& nodes, std::size_t victim, bool checked) {
  StoreFaults& faults = nodes[victim]->rows.faults;
  const double failing_read = std::exchange(faults.failing_read, 0);
  const bool falsified = run.options.falsify_every_us > 0;
  // To read everything takes most of a run's time: one node after another, but at the end.
  const auto turn = static_cast<std::size_t>(run.scheduler.now_us() / kTurnUs) % nodes.size();
  check_digests(run, nodes, falsified && !checked ? nodes[victim].get() : nullptr,
                checked ? nullptr : nodes[turn].get());
  if (run.options.causal_every_us > 0) check_everywhere(run, nodes);
  for (const auto& n : nodes) {
    if (n->digest_mismatches() > 0 && !falsified)
      violated(fmt::format("n{} reported a digest mismatch", n->number));
    if (n->found_wrong() > 0 && (!falsified || n != nodes[victim]))
      violated(fmt::format("n{} has found wrong what is right", n->number));
    // Impossible unless disks are lost: see docs/folding.md.
    if (n->ends_exceeded() > 0 && !run.options.loses_disks())
      violated(fmt::format("n{} has more of a run than the record that folds it", n->number));
  }
  if (falsified) check_findings(run, *nodes[victim]);
  faults.failing_read = failing_read;
}

bool converged(const Run& run, const Nodes& nodes) {
  // Where disks are lost, something may be held that depends on what nobody has any more.
  const bool all_handed_over = !run.options.loses_disks();
  const bool all_joined = all_handed_over || run.options.hint_every_us == 0;
  std::map<PartitionId, VersionVector> vectors;
  for (const auto& n : nodes) {
    if (!n->up() || n->replaying() || n->replies_held() > 0) return false;
    if (all_joined && n->records_pending() > 0) return false;
    if (all_handed_over && n->hints() > 0) return false;
    for (const PartitionStatus& p : n->partitions()) {
      if (p.damage) return false;
      const auto [at, first] = vectors.try_emplace(p.partition, p.vector);
      if (!first && at->second != p.vector) return false;
    }
  }
  return true;
}

std::string progress(const Nodes& nodes) {
  std::string text;
  for (const auto& n : nodes) {
    text += fmt::format("\n  n{} is {}", n->number, n->up() ? "up" : "not up");
    for (const PartitionStatus& p : n->partitions()) {
      text += fmt::format("\n  n{} partition {}: {} {}", n->number, p.partition,
                          p.vector.to_string(), p.damage.value_or(""));
    }
    text += fmt::format("\n  n{}: {} pending, {} replies held, {} hints", n->number,
                        n->records_pending(), n->replies_held(), n->hints());
  }
  return text;
}

void check_content(const Run& run, const Nodes& nodes, const char* when) {
  for (const auto& n : nodes) {
    for (const PartitionStatus& p : n->partitions()) {
      if (p.partition >= run.options.partitions) continue;  // strong: see strong_history.h
      check_residue(*n, p.partition, when);
      check_folded(nodes, *n, p, when);
      // Last: it brings what is cold into memory, and residue with it.
      if (const auto right = run.oracle.check(p.partition, n->state(p.partition)); !right) {
        violated(fmt::format("{}, n{}: {}", when, n->number, right.error().message));
      }
    }
  }
}

}  // namespace even::sim
