#include "replica/refounding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/mutant.h"

namespace even {
namespace {

constexpr std::int64_t kIntervalUs = 500'000;
// A group that has waited for so long is spoken of.
constexpr std::int64_t kPatienceUs = 10'000'000;
// What has been said is repeated as long as it holds, and so holds no longer than this.
constexpr std::int64_t kStatementUs = 4 * kIntervalUs;
constexpr std::size_t kGroupsPerMessage = 1'000;

}  // namespace

void Refounding::wait(PartitionId id, const std::vector<NodeNumber>& replicas) {
  waiting_.try_emplace(id, Waiting{replicas, core_.clock.monotonic_us()});
}

void Refounding::called(PartitionId id) {
  const auto group = waiting_.find(id);
  if (group == waiting_.end()) return;
  const std::vector<NodeNumber> replicas = group->second.replicas;
  waiting_.erase(group);
  take_back(id, replicas);
  if (const auto begun = groups_.found(id, replicas, {}); !begun) {
    return core_.warn(begun.error().message);
  }
  groups_.want(id, replicas, {});
}

Result<> Refounding::receive(NodeNumber node, const FormerMessage& message) {
  for (const auto& [group, state] : message.groups) {
    if (shard_of_partition(group, core_.options.shards) != core_.options.shard) {
      return fail(fmt::format("a message about group {}, which is of another shard", group));
    }
    if (state == kHasMember) {
      said_[node].erase(group);
    } else {
      said_[node][group] = {state, core_.clock.monotonic_us()};
    }
  }
  return {};
}

void Refounding::take_back(PartitionId id, const std::vector<NodeNumber>& replicas) {
  for (const NodeNumber node : replicas) {
    if (node == core_.options.node || groups_.member_at(node) == consensus::kNoMember) continue;
    transport_.send(node, encode_former({.groups = {{id, kHasMember}}}));
  }
}

const FormerState* Refounding::heard(NodeNumber node, PartitionId id) const {
  const auto said = said_.find(node);
  if (said == said_.end()) return nullptr;
  const auto of_group = said->second.find(id);
  if (of_group == said->second.end()) return nullptr;
  const auto& [state, at_us] = of_group->second;
  return core_.clock.monotonic_us() - at_us < kStatementUs ? &state : nullptr;
}

std::optional<NodeNumber> Refounding::founder(const std::vector<Said>& said) {
  const auto most = std::ranges::max_element(said, [](const Said& a, const Said& b) {
    return a.second != b.second ? a.second < b.second : a.first > b.first;
  });
  if (most == said.end() || most->second.index == 0) return std::nullopt;
  return most->first;
}

std::vector<NodeNumber> Refounding::unheard(PartitionId id, const Waiting& group) const {
  std::vector<NodeNumber> nodes;
  for (const NodeNumber node : group.replicas) {
    if (node == core_.options.node) continue;
    if (heard(node, id) == nullptr) nodes.push_back(node);
  }
  return nodes;
}

bool Refounding::is_founder(PartitionId id, const Waiting& group) const {
  const FormerState own = groups_.former(id);
  if (own.index == 0 || groups_.unreadable(id) || core_.log.error()) return false;
  if (EVEN_MUTANT(kRefoundedUnheard)) return true;
  if (!unheard(id, group).empty()) return false;
  std::vector<Said> all{{core_.options.node, own}};
  for (const NodeNumber node : group.replicas) {
    if (node != core_.options.node) all.emplace_back(node, *heard(node, id));
  }
  return founder(all) == core_.options.node;
}

void Refounding::tell() {
  absl::btree_map<NodeNumber, FormerMessage> messages;
  const auto send = [this](NodeNumber node, FormerMessage& message) {
    if (groups_.member_at(node) != consensus::kNoMember) {
      transport_.send(node, encode_former(message));
    }
    message.groups.clear();
  };
  for (const auto& [id, group] : waiting_) {
    for (const NodeNumber node : group.replicas) {
      if (node == core_.options.node) continue;
      FormerMessage& message = messages[node];
      message.groups.emplace_back(id, groups_.former(id));
      if (message.groups.size() >= kGroupsPerMessage) send(node, message);
    }
  }
  for (auto& [node, message] : messages) {
    if (!message.groups.empty()) send(node, message);
  }
}

void Refounding::tick() {
  if (waiting_.empty()) return;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (now_us - last_us_ < kIntervalUs) return;
  last_us_ = now_us;
  tell();
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto [id, group] = *at;
    if (!is_founder(id, group)) {
      warn(id, at->second);
      ++at;
      continue;
    }
    if (const auto begun = groups_.refound(id, group.replicas); !begun) {
      core_.warn(begun.error().message);
      ++at;
      continue;
    }
    take_back(id, group.replicas);
    at = waiting_.erase(at);
  }
}

void Refounding::warn(PartitionId id, Waiting& group) {
  if (group.warned || core_.clock.monotonic_us() - group.since_us < kPatienceUs) return;
  group.warned = true;
  const std::vector<NodeNumber> nodes = unheard(id, group);
  core_.warn(
      nodes.empty()
          ? fmt::format("group {}: no member of it is left, and no node has anything of it", id)
          : fmt::format("group {}: this node is no member of it yet, and waits for one to add it, "
                        "or for nodes {} to have none either",
                        id, fmt::join(nodes, ", ")));
}

}  // namespace even
