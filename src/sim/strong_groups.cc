#include "sim/strong_groups.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "lattice/partition_state.h"

namespace even::sim {

StrongGroups::StrongGroups(Run& run, const std::vector<std::unique_ptr<Node>>& nodes,
                           KeyspaceTables* tables)
    : run_(run), nodes_(nodes), tables_(tables) {
  const RunOptions& options = run.options;
  const auto count = static_cast<std::size_t>(options.nodes);
  for (int i = 0; i < options.groups; ++i) {
    const auto group = static_cast<PartitionId>(first_group(options) + i);
    groups_.push_back(group);
    if (tables_ != nullptr) {
      replicas_[group] = cluster::replicas_of(run.map, base_keyspace(options), group);
      continue;
    }
    for (std::size_t k = 0; k < static_cast<std::size_t>(options.group_replicas); ++k) {
      replicas_[group].push_back(
          static_cast<NodeNumber>(1 + (static_cast<std::size_t>(i) + k + 1) % count));
    }
  }
  if (options.group_replicas >= 3) {
    unsafe_ = static_cast<NodeNumber>(1 + options.seed % count);
    // The first one founds the metadata group.
    if (tables_ != nullptr && run.random.chance(0.3)) unsafe_ = 1;
  }
}

bool StrongGroups::may_lose_disk(NodeNumber node) const {
  if (tables_ != nullptr) return node == unsafe_ && tables_->established();
  if (node == unsafe_) return founded();
  return std::ranges::none_of(replicas_, [node](const auto& each) {
    return std::ranges::find(each.second, node) != each.second.end();
  });
}

void StrongGroups::started(Node& node) {
  if (tables_ != nullptr) return;
  if (founded()) return found_on(node);
  lines_[node.number] = node.member();
  if (!founded()) return;
  for (const auto& each : nodes_) {
    if (each->up()) found_on(*each);
  }
}

// A member that has been up before knows its group, unless it crashed before that was durable.
void StrongGroups::found_on(Node& node) {
  for (const PartitionId group : groups_) {
    const std::vector<NodeNumber>& nodes = replicas(group);
    if (std::ranges::find(nodes, node.number) == nodes.end()) continue;
    std::vector<consensus::MemberId> voters;
    if (lines_.at(node.number) == node.member()) {
      for (const NodeNumber each : nodes) voters.push_back(lines_.at(each));
    }
    node.found_group(group, voters, nodes);
  }
}

bool StrongGroups::led(PartitionId group) const {
  int leaders = 0;
  for (const auto& node : nodes_) {
    for (const GroupStatus& status : node->groups()) {
      if (status.group == group && status.leads) ++leaders;
    }
  }
  return leaders == 1;
}

std::optional<StrongGroups::Leader> StrongGroups::leader(PartitionId group) const {
  std::optional<Leader> found;
  for (const auto& node : nodes_) {
    for (const GroupStatus& status : node->groups()) {
      if (status.group != group || !status.leads || (found && found->term > status.term)) continue;
      found = {node->number, status.term, status.committed};
    }
  }
  return found;
}

std::string StrongGroups::progress() const {
  std::string text;
  for (const auto& node : nodes_) {
    for (const GroupStatus& s : node->groups()) {
      text += fmt::format(
          "\n  n{} group {}: term {}, {}, committed {}, applied {}, voters {}, learners {}",
          node->number, s.group, s.term,
          s.leads ? std::string("leads") : fmt::format("follows n{}", s.leader), s.committed,
          s.applied, fmt::join(s.voters, " "), fmt::join(s.learners, " "));
    }
  }
  return text;
}

void StrongGroups::check(const Node& node, const HostedShard& shard) {
  for (const GroupStatus& status : shard.shard().groups()) {
    const bool is_new_member = members_.insert({status.group, node.member()}).second;
    // Who joins later begins without knowing of any member.
    if (tables_ != nullptr && is_new_member && status.applied <= 1 && !status.voters.empty()) {
      tables_->founded(node, status.group);
    }
    if (status.leads) {
      const auto [leader, is_new] =
          leaders_.try_emplace({status.group, status.term}, node.member());
      if (is_new) ++run_.outcome.leaders;
      if (leader->second != node.member()) {
        violated(fmt::format("group {}: members {:x} and {:x} both lead in term {}", status.group,
                             leader->second, node.member(), status.term));
      }
    }
    check_state(node, shard, status);
  }
}

void StrongGroups::check_state(const Node& node, const HostedShard& shard,
                               const GroupStatus& status) {
  Seen& seen = seen_[{status.group, node.number}];
  if (seen.run != node.run_number()) seen = {.run = node.run_number()};
  if (status.term < seen.term || status.committed < seen.committed ||
      status.applied < seen.applied) {
    violated(
        fmt::format("n{}: group {} went back, from term {}, committed {}, applied {} to {}, {}, {}",
                    node.number, status.group, seen.term, seen.committed, seen.applied, status.term,
                    status.committed, status.applied));
  }
  const bool same = status.applied == seen.applied;
  seen = {seen.run, status.term, status.committed, status.applied};
  if (same) return;
  const std::uint64_t digest = shard.shard().state(status.group)->digest();
  const auto [known, is_new] = digests_[status.group].try_emplace(status.applied, digest);
  if (known->second != digest) {
    violated(
        fmt::format("n{}: group {}: the state at index {} is not the one that another member "
                    "had, or that it has had before",
                    node.number, status.group, status.applied));
  }
}

}  // namespace even::sim
