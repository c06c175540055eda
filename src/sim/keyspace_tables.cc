#include "sim/keyspace_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cluster/topic_ranges.h"
#include "engine/cmd_meta.h"
#include "topic/event_topic.h"

namespace even::sim {
namespace {

using cluster::Keyspace;
using cluster::KeyspaceTable;

std::string text_of(const KeyspaceTable& table) {
  std::string text = fmt::format("version {}:", table.version());
  for (const Keyspace& each : table.keyspaces()) {
    text += fmt::format(" {} ({}) {} + {}, {} ms;", each.name, each.prefix, each.first,
                        each.partitions, each.deadline_ms);
  }
  return text;
}

}  // namespace

Keyspace base_keyspace(const RunOptions& options) {
  Keyspace keyspace;
  keyspace.name = "base";
  keyspace.prefix = "strong:base:";
  keyspace.strong = true;
  keyspace.replicas = static_cast<std::uint16_t>(options.group_replicas);
  keyspace.partitions = static_cast<std::uint16_t>(options.groups);
  return keyspace;
}

Keyspace events_topic(const RunOptions& options) {
  Keyspace topic;
  topic.name = "events";
  topic.strong = topic.topic = true;
  topic.replicas = static_cast<std::uint16_t>(options.group_replicas);
  topic.partitions = 1;
  if (options.topic_retention_ms >= 0) topic.retention_ms = options.topic_retention_ms;
  if (options.topic_retention_bytes >= 0) topic.retention_bytes = options.topic_retention_bytes;
  return topic;
}

Keyspace compacted_topic(const RunOptions& options) {
  Keyspace topic;
  topic.name = "compacted";
  topic.strong = topic.topic = true;
  topic.replicas = static_cast<std::uint16_t>(options.group_replicas);
  topic.partitions = 1;
  topic.cleanup.deletes = false;
  topic.cleanup.compacts = true;
  topic.cleanup.delete_retention_ms = options.tombstones_ms;
  topic.cleanup.min_dirty_millionths = options.dirty_millionths;
  topic.cleanup.min_lag_ms = options.min_lag_ms;
  return topic;
}

Keyspace fed_keyspace() {
  Keyspace keyspace;
  keyspace.name = "fed";
  keyspace.prefix = "fed:";
  keyspace.replicas = 1;
  keyspace.feed = "events";
  keyspace.feed_snapshot = true;
  return keyspace;
}

// The first one is of the probes of delayed_keyspaces.h.
constexpr const char* kLazyPrefixes[] = {"lazy:", "lst", "num", "set", "map"};

std::size_t lazy_keyspaces(const RunOptions& options) {
  if (!options.keyspaces || options.delay_ms == 0) return 0;
  return std::size(kLazyPrefixes) - static_cast<std::size_t>(options.prompt_types);
}

Keyspace lazy_keyspace(std::size_t index, std::int64_t delay_ms) {
  Keyspace keyspace;
  keyspace.name = fmt::format("lazy{}", index);
  keyspace.prefix = kLazyPrefixes[index];
  keyspace.replicas = 1;
  keyspace.delay_ms = delay_ms;
  return keyspace;
}

void KeyspaceTables::served(const Node& node, ShardId shard, const Table& table) {
  const std::uint64_t version = table->version();
  std::uint64_t& last = last_[{node.member(), shard}];
  if (version < last) {
    violated(fmt::format("n{}, shard {}: serves version {} of the keyspaces after version {}",
                         node.number, shard, version, last));
  }
  last = version;
  now_[node.number][shard] = table;
  const auto [known, is_new] = tables_.try_emplace(version, table);
  established_ = established_ || base_is_everywhere();
  if (is_new) return check_new(*table);
  if (!std::ranges::equal(known->second->keyspaces(), table->keyspaces())) {
    violated(fmt::format("n{}: two tables of keyspaces have the same version: {} and {}",
                         node.number, text_of(*known->second), text_of(*table)));
  }
}

void KeyspaceTables::check_new(const KeyspaceTable& table) {
  for (const Keyspace& keyspace : table.keyspaces()) {
    for (std::uint32_t i = 0; i < keyspace.partitions; ++i) {
      const auto id = static_cast<PartitionId>(keyspace.first + i);
      const auto [owner, is_new] = owners_.try_emplace(id, keyspace.prefix);
      if (owner->second == keyspace.prefix) continue;
      violated(fmt::format("partition {} of the keyspace {} had been one of {}", id,
                           keyspace.prefix, owner->second));
    }
  }
  if (const auto change = changes_.find(table.version()); change != changes_.end()) {
    check_change(table, change->second);
  }
}

void KeyspaceTables::check_change(const KeyspaceTable& table, const Change& change) {
  const Keyspace* found = table.find(change.name);
  const bool is_there = found != nullptr && change.prefix && found->prefix == *change.prefix;
  if (change.prefix ? is_there : found == nullptr) return;
  violated(fmt::format("after a change of {}, {} was acknowledged, the keyspaces are {}",
                       change.name, change.prefix.value_or("which was dropped"), text_of(table)));
}

void KeyspaceTables::acknowledged(std::uint64_t version, std::string_view name,
                                  const std::optional<std::string>& prefix) {
  const auto [change, is_new] = changes_.try_emplace(version, Change{std::string(name), prefix});
  if (!is_new) {
    violated(fmt::format("changes of {} and of {} both led to version {} of the keyspaces", name,
                         change->second.name, version));
  }
  if (const auto table = tables_.find(version); table != tables_.end()) {
    check_change(*table->second, change->second);
  }
}

// The first voters of the metadata group are the nodes as they are when it is founded; those of
// other groups are in the definition of their keyspace.
void KeyspaceTables::founded(const Node& node, PartitionId group) {
  const auto refuse = [&] {
    violated(fmt::format("n{} founds group {}, of which it is no first voter", node.number, group));
  };
  if (group == meta_partition(run_.options.partitions)) {
    if (founders_.empty()) {
      for (const auto& each : nodes_) founders_.insert(each->member());
    }
    if (!founders_.contains(node.member())) refuse();
    return;
  }
  for (const auto& [version, table] : tables_) {
    const Keyspace* keyspace = table->of_partition(group);
    if (keyspace == nullptr) continue;
    const bool is_voter = std::ranges::any_of(keyspace->lines, [&](const auto& line) {
      return member_of(ReplicaId::make(line.first, 0, line.second)) == node.member();
    });
    if (!is_voter) refuse();
    return;
  }
  violated(fmt::format("n{} founds group {}, which is of no keyspace", node.number, group));
}

bool KeyspaceTables::has(std::string_view name) const {
  return newest() != nullptr && newest()->find(name) != nullptr;
}

std::optional<PartitionId> KeyspaceTables::topic() const {
  const Keyspace* topic = newest() == nullptr ? nullptr : newest()->find_topic("events");
  return topic == nullptr ? std::nullopt : std::optional(topic->first);
}

std::vector<PartitionId> KeyspaceTables::topic_partitions() const {
  if (newest() == nullptr) return {};
  return cluster::partitions_of_topic(newest()->topics(), "events");
}

std::string KeyspaceTables::event_topic(bool before) const {
  const std::vector<PartitionId> all = topic_partitions();
  if (before || all.size() <= 1) return "events";
  return topic::event_topic_text({"events", static_cast<std::uint16_t>(all.size()), all[0]});
}

std::optional<PartitionId> KeyspaceTables::compacted() const {
  const Keyspace* topic = newest() == nullptr ? nullptr : newest()->find_topic("compacted");
  return topic == nullptr ? std::nullopt : std::optional(topic->first);
}

std::vector<PartitionId> KeyspaceTables::groups() const {
  std::vector<PartitionId> all{meta_partition(run_.options.partitions)};
  if (newest() == nullptr) return all;
  for (const PartitionId events : topic_partitions()) all.push_back(events);
  if (const auto keys = compacted()) all.push_back(*keys);
  for (const Keyspace& keyspace : newest()->keyspaces()) {
    for (std::uint32_t i = 0; i < keyspace.partitions; ++i) {
      all.push_back(static_cast<PartitionId>(keyspace.first + i));
    }
  }
  return all;
}

// Those that it is to have.
std::set<PartitionId> KeyspaceTables::groups_of(const Node& node) const {
  std::set<PartitionId> all;
  for (const PartitionId group : groups()) {
    const Keyspace* keyspace = newest() == nullptr ? nullptr : newest()->of_partition(group);
    if (keyspace != nullptr) {
      const auto replicas = cluster::replicas_of(run_.map, *keyspace, group);
      if (std::ranges::find(replicas, node.number) == replicas.end()) continue;
    }
    all.insert(group);
  }
  return all;
}

bool KeyspaceTables::agreed() const {
  return std::ranges::all_of(nodes_, [this](const auto& node) {
    const auto served = now_.find(node->number);
    if (!node->up() || served == now_.end() || served->second.size() != node->shards()) {
      return false;
    }
    for (const auto& [shard, table] : served->second) {
      if (table->version() != newest()->version()) return false;
    }
    std::set<PartitionId> has;
    for (const GroupStatus& status : node->groups()) has.insert(status.group);
    return has == groups_of(*node);
  });
}

bool KeyspaceTables::base_is_everywhere() const {
  if (now_.size() < nodes_.size()) return false;
  return std::ranges::all_of(nodes_, [this](const auto& node) {
    const auto& served = now_.at(node->number);
    if (!node->up() || served.size() != node->shards()) return false;
    for (const auto& [shard, table] : served) {
      if (table->find("base") == nullptr) return false;
    }
    std::set<PartitionId> has;
    for (const GroupStatus& status : node->groups()) has.insert(status.group);
    const Keyspace* base = newest()->find("base");
    if (base == nullptr) return false;
    return std::ranges::all_of(groups_of(*node), [&](PartitionId group) {
      return newest()->of_partition(group) != base || has.contains(group);
    });
  });
}

std::string KeyspaceTables::progress() const {
  std::string text = "\n  keyspaces, " + (newest() == nullptr ? "none" : text_of(*newest()));
  for (const auto& [node, shards] : now_) {
    for (const auto& [shard, table] : shards) {
      text += fmt::format("\n  n{}, shard {}: version {}", node, shard, table->version());
    }
  }
  return text;
}

}  // namespace even::sim
