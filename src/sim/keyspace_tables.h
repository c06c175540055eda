// What the nodes of a simulated cluster know of keyspaces, and whether it can be right: a version
// is one table wherever it is served, versions do not go back at a node that keeps its disk, ids of
// partitions are never given out twice, what was acknowledged is in the tables, and groups are
// founded once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/keyspace_table.h"
#include "sim/node.h"

namespace even::sim {

// The keyspace whose partitions clients of strong partitions use: the first that is created.
cluster::Keyspace base_keyspace(const RunOptions& options);
// The topic that there is in some runs.
cluster::Keyspace events_topic(const RunOptions& options);
// The one that is compacted by key, if there is to be one.
cluster::Keyspace compacted_topic(const RunOptions& options);
// The eventual keyspace whose changes are told to it, those before it was created too.
cluster::Keyspace fed_keyspace();
// Those whose records are held back, for so long, in runs with a metadata group.
std::size_t lazy_keyspaces(const RunOptions& options);
cluster::Keyspace lazy_keyspace(std::size_t index, std::int64_t delay_ms);
// Ids of partitions of keyspaces begin here, behind the metadata group.
inline PartitionId first_group(const RunOptions& options) {
  return static_cast<PartitionId>(options.partitions + 1);
}

class KeyspaceTables {
 public:
  using Table = std::shared_ptr<const cluster::KeyspaceTable>;

  // All that is referred to outlives it.
  KeyspaceTables(const Run& run, const std::vector<std::unique_ptr<Node>>& nodes)
      : run_(run), nodes_(nodes) {}

  // All of these throw Violation.
  // A shard looks keys up by this table from now on.
  void served(const Node& node, ShardId shard, const Table& table);
  // A change that led to this version was acknowledged: from then on there is a keyspace of this
  // name with this prefix, or, without one, none of that name.
  void acknowledged(std::uint64_t version, std::string_view name,
                    const std::optional<std::string>& prefix);
  // A node has begun a group, as one of its first voters.
  void founded(const Node& node, PartitionId group);

  // Of the newest table.
  // The first partition of the topic, if there is one.
  std::optional<PartitionId> topic() const;
  // That one, and those that the topic has been given, by their numbers.
  std::vector<PartitionId> topic_partitions() const;
  // The topic as an event that is made now says it, or as one did before it was given any.
  std::string event_topic(bool before) const;
  std::optional<PartitionId> compacted() const;
  bool has(std::string_view name) const;
  // In the newest table; null: there is none.
  const cluster::Keyspace* find(std::string_view name) const {
    return newest() == nullptr ? nullptr : newest()->find(name);
  }
  std::vector<PartitionId> groups() const;
  // Whether all shards serve the newest table, and nodes have the groups that it says, no others.
  bool agreed() const;
  // Whether all nodes know of the base keyspace, and its replicas have its groups. Once they have,
  // so it stays.
  bool established() const { return established_; }
  // How things are, for people.
  std::string progress() const;

 private:
  struct Change {
    std::string name;
    std::optional<std::string> prefix;
  };

  const cluster::KeyspaceTable* newest() const {
    return tables_.empty() ? nullptr : tables_.rbegin()->second.get();
  }
  void check_new(const cluster::KeyspaceTable& table);
  static void check_change(const cluster::KeyspaceTable& table, const Change& change);
  std::set<PartitionId> groups_of(const Node& node) const;
  bool base_is_everywhere() const;

  const Run& run_;
  const std::vector<std::unique_ptr<Node>>& nodes_;
  std::map<std::uint64_t, Table> tables_;               // by version, as they were seen first
  std::map<std::uint64_t, Change> changes_;             // that were acknowledged, by version
  std::map<PartitionId, std::string> owners_;           // prefixes, of which no two are alike
  std::map<NodeNumber, std::map<ShardId, Table>> now_;  // as served
  // As served last by a member.
  std::map<std::pair<consensus::MemberId, ShardId>, std::uint64_t> last_;
  std::set<consensus::MemberId> founders_;  // of the metadata group
  bool established_ = false;
};

}  // namespace even::sim
