// Keyspaces: which keys they have, how those are kept, and in which partitions. A plain value that
// threads share as const; it is replaced as a whole when the metadata group changes it.
//
// `default` has the empty prefix, is eventual and lies in partitions 0 to its number - 1; it is not
// in the table.
//
// Beside them the table has what else all nodes are to know: users and what they may do, by their
// definitions (engine/acl.h), libraries of functions, by their text (docs/scripting.md), which
// database is which (docs/databases.md), and quotas of clients of topics, as texts
// (client_quota.h).
//
// Topics are rows of the same table, with names of their own: what holds for the partitions of a
// strong keyspace holds for theirs, but no key is in them (docs/topics.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/database.h"
#include "base/ids.h"
#include "base/result.h"
#include "cluster/cluster_map.h"
#include "cluster/level.h"

namespace even::cluster {

// What becomes of the records of a topic's partition that have gone old (docs/topics.md).
struct Cleanup {
  bool deletes = true;    // they go by how long they stay, and how many bytes
  bool compacts = false;  // of each key the latest one stays
  // Of compaction: how long a tombstone stays in what is compacted; the share of what is not, in
  // millionths, from which on it is compacted; and how old a record is at least, and at most, by
  // then (none: no limit).
  std::int64_t delete_retention_ms = 86'400'000;
  std::uint32_t min_dirty_millionths = 500'000;
  std::int64_t min_lag_ms = 0;
  std::optional<std::int64_t> max_lag_ms;

  bool operator==(const Cleanup&) const = default;
};

// As Kafka has it: "compact", "delete" or "compact,delete".
std::string policy_text(const Cleanup& cleanup);
bool read_policy(std::string_view text, Cleanup& cleanup);
// Sets what EVEN.TOPIC calls so: CLEANUP, TOMBSTONES, DIRTY, MINLAG or MAXLAG; "": it has been set.
// None: there is no such option. Else what its value may be.
std::optional<std::string> set_cleanup(Cleanup& cleanup, std::string_view option,
                                       std::string_view value);
std::string ratio_text(std::uint32_t millionths);
// All of it, in these words.
std::vector<std::string> cleanup_words(const Cleanup& cleanup);

// What consumer groups have committed and who is in them; what is known of transactional ids. See
// docs/topics.md.
inline constexpr const char* kOffsetsKeyspace = "__consumer_groups";
inline constexpr const char* kTransactionsKeyspace = "__transactions";

struct Keyspace {
  std::string name;
  std::string prefix;
  bool strong = false;
  // A topic: it has no prefix, and counts as strong.
  bool topic = false;
  std::uint16_t replicas = 0;
  std::uint16_t partitions = 0;
  // The keyspace's partitions are numbered from here on. An eventual keyspace has no partitions of
  // its own so far: its keys lie in those of `default`, and `partitions` is 0.
  PartitionId first = 0;
  Level read;
  Level write;
  std::int64_t deadline_ms = 5'000;  // for a request, until it is given up
  // Even's own, which holds what clients of topics have entrusted to it. Commands that delete all
  // keys do not delete its.
  bool internal() const { return name == kOffsetsKeyspace || name == kTransactionsKeyspace; }
  // Of an eventual one: other nodes stand in for replicas that are away (docs/hints.md).
  bool sloppy = false;
  // Of an eventual one: values of strings that are written at the same time are all kept, until
  // somebody replaces them who has seen them (docs/siblings.md).
  bool siblings = false;
  // Of an eventual one: how long its records may be held back before they are sent to other
  // replicas (docs/delay.md).
  std::int64_t delay_ms = 0;
  // Of a topic: how long records stay at least, in milliseconds, and of how many bytes the latest
  // of a partition stay; none: all (docs/topics.md).
  std::optional<std::int64_t> retention_ms;
  std::optional<std::int64_t> retention_bytes;
  Cleanup cleanup;
  // The topic that every change of the keyspace is told to; empty: none (docs/feeds.md).
  std::string feed;
  // The version of the table that said so, which names this life of the feed; 0: there was none.
  std::uint64_t feed_epoch = 0;
  // Whether the keys that there were then are told as well.
  bool feed_snapshot = false;
  // The members that its nodes had when it was created, by node: those found its groups.
  std::vector<std::pair<NodeNumber, std::uint16_t>> lines;

  bool operator==(const Keyspace&) const = default;
};

// As the metadata group holds it.
std::string encode(const Keyspace& keyspace);
Result<Keyspace> decode_keyspace(std::string_view bytes);

// Texts by name, ascending.
using Definitions = std::vector<std::pair<std::string, std::string>>;

class KeyspaceTable {
 public:
  KeyspaceTable() = default;
  // `version`: the index in the metadata group. `keyspaces`: with the topics.
  // `next`: partitions of strong keyspaces, former ones included, have ids below it.
  KeyspaceTable(std::uint64_t version, std::vector<Keyspace> keyspaces, std::uint32_t next = 0,
                std::string session_key = {}, Definitions users = {}, Definitions libraries = {},
                DatabaseMap databases = {}, Definitions quotas = {});

  std::uint64_t version() const { return version_; }
  std::span<const Keyspace> keyspaces() const { return keyspaces_; }  // by name
  const Keyspace* find(std::string_view name) const;
  std::span<const Keyspace> topics() const { return topics_; }  // by name
  const Keyspace* find_topic(std::string_view name) const;
  // The keyspace of a key, which may be a stored name (base/database.h): that with the longest
  // prefix that fits the key as its user writes it, in whatever database. Null: `default`.
  const Keyspace* of_key(std::string_view key) const;
  // Of topics, too. Null: `default`, or none.
  const Keyspace* of_partition(PartitionId partition) const;
  bool any_strong() const { return any_strong_; }
  // Whether requests to some eventual keyspace are at another level than ONE.
  bool any_levels() const { return any_levels_; }
  // Whether some keyspace keeps siblings.
  bool any_siblings() const { return any_siblings_; }
  // Whether some eventual keyspace has a change feed.
  bool any_eventual_feeds() const { return any_eventual_feeds_; }
  // Whether records of some eventual keyspace may be held back.
  bool any_delayed() const { return any_delayed_; }
  // What session tokens are sealed with; empty: it is not known yet.
  const std::string& session_key() const { return session_key_; }
  const Definitions& users() const { return users_; }
  const Definitions& libraries() const { return libraries_; }
  // What SWAPDB has made of the databases.
  DatabaseMap databases() const { return databases_; }
  const Definitions& quotas() const { return quotas_; }
  // Whether it was of a keyspace that has been dropped.
  bool was_dropped(PartitionId partition) const {
    return partition < next_ && of_partition(partition) == nullptr;
  }

  PartitionId partition_of(std::string_view key, PartitionId default_partitions) const {
    if (!any_strong_) return key_partition_of_default(key, default_partitions);
    return partition_among(key, default_partitions);
  }

 private:
  static PartitionId key_partition_of_default(std::string_view key, PartitionId partitions);
  PartitionId partition_among(std::string_view key, PartitionId default_partitions) const;

  std::uint64_t version_ = 0;
  std::vector<Keyspace> keyspaces_;
  std::vector<Keyspace> topics_;
  std::vector<std::size_t> by_prefix_;  // places in keyspaces_, longest prefix first
  std::uint32_t next_ = 0;
  std::string session_key_;
  Definitions users_;
  Definitions libraries_;
  DatabaseMap databases_;
  Definitions quotas_;
  bool any_strong_ = false;
  bool any_levels_ = false;
  bool any_siblings_ = false;
  bool any_eventual_feeds_ = false;
  bool any_delayed_ = false;
};

// The nodes that keep a partition of a strong keyspace, in order of preference: the first of the
// map's ranking of it.
std::vector<NodeNumber> replicas_of(const ClusterMap& map, const Keyspace& keyspace,
                                    PartitionId partition);

// What Kafka lets a topic be called: 1 to 249 letters, digits, '-', '_' and '.', but not "." or
// "..".
bool valid_topic_name(std::string_view name);
inline constexpr std::string_view kTopicNameRule = "1 to 249 letters, digits, '-', '_' or '.'";

}  // namespace even::cluster
