// Idempotent producers of a topic, transactions with events in strong and eventual partitions, and
// the ways of relays to the topic, beside everything else that happens to a simulated cluster; and
// what must hold of the topic in the end: each record that was acknowledged is there, none is there
// twice, those of a producer are in the order in which it sent them, and the events are those of
// the changes that there are. Records go by retention and are deleted meanwhile; so a consumer
// reads along, which knows them, and of which offsets it was too late. See docs/topics.md and
// docs/emit.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/outbox.h"
#include "engine/reserved_keys.h"
#include "sim/checks.h"
#include "sim/strong_groups.h"

namespace even::sim {

class TopicClients {
 public:
  // The references outlive this.
  TopicClients(Run& run, const Nodes& nodes, const KeyspaceTables& tables,
               const StrongGroups& groups, std::uint64_t seed)
      : run_(run),
        nodes_(nodes),
        tables_(tables),
        groups_(groups),
        random_(seed),
        grows_(random_.chance(kGrows)),
        outboxes_(kOutboxKey, run.options.partitions) {}

  void begin();
  // The node serves keyspaces one of which has a feed.
  void feed_known(NodeNumber node) { feeding_.insert(node); }
  // Faults have ended, everything that was sent is answered, and no event waits.
  bool idle() const;
  // Leads a batch of events to the topic: Shard::on_relay() of a node.
  void relay(PartitionId group, std::vector<std::string> words, Shard::RelayDone done);
  // In the end, when the cluster is quiet. Throws Violation.
  void check(const char* when);

 private:
  static constexpr double kGrows = 0.3;  // of runs
  // A request that follows a group's leader until somebody has an answer, or for too long.
  struct Asked {
    PartitionId group = 0;
    std::vector<std::vector<std::string>> commands;
    std::vector<std::vector<std::string_view>> views;
    std::string batch;
    std::optional<std::int64_t> trim_to;
    std::int64_t until_us = 0;
    std::function<void(const std::string& reply)> done;  // empty: nobody knows
  };
  struct Producer {
    std::int64_t id = 0;
    std::int32_t sequence = 0;  // of the next batch
    std::uint64_t sent = 0;     // values
    std::vector<std::string> batch;
  };

  void ask(std::shared_ptr<Asked> asked, NodeNumber to);
  void ask_again(std::shared_ptr<Asked> asked);
  void finish(const std::shared_ptr<Asked>& asked, const std::string& reply);
  void produce(std::size_t producer);
  void send(std::size_t producer);
  void consume();
  void check_start(const Node& node, PartitionId partition, const TopicStatus& status) const;
  void delete_records();
  // The topic is given more partitions.
  void grow();
  // Of a partition whole batches, the first of which has this offset; the offset behind them.
  std::int64_t take(NodeNumber node, std::size_t partition, std::string_view bytes,
                    std::int64_t offset);
  void emit();
  void emit_strong();
  void emit_eventual();
  // A change of a key that has no other, in a keyspace with a change feed, or that is to be one.
  void change_fed();
  std::string fed_key(PartitionId partition, const std::string& value) const;
  bool feeds_are_quiet() const;
  void check_feed(const char* when, const std::set<std::string>& there) const;
  std::string event_of(const std::string& value);
  NodeNumber any_node() { return static_cast<NodeNumber>(1 + random_.below(nodes_.size())); }
  std::size_t waiting() const;
  void read_all(Node& node, std::size_t partition);
  void await_agreement(const char* when, PartitionId topic);
  std::set<std::string> strong_changes() const;
  bool has_change(PartitionId partition, const Dot& dot) const;
  void check_order() const;

  Run& run_;
  const Nodes& nodes_;
  const KeyspaceTables& tables_;
  const StrongGroups& groups_;
  Random random_;
  const bool grows_;
  const ReservedKeys outboxes_;
  std::vector<Producer> producers_;
  std::size_t under_way_ = 0;
  std::uint64_t values_ = 0;            // that were emitted
  std::set<std::string> acknowledged_;  // that must be there
  // By the number of the partition and the offset, as far as they have been read.
  std::map<std::pair<std::size_t, std::int64_t>, std::string> values_at_;
  std::map<std::size_t, std::int64_t> next_offsets_;  // that the consumer wants, by partition
  bool missed_ = false;  // it was too late for some, or they were deleted before it came
  // Events of eventual partitions, by the records of their changes.
  std::map<std::string, std::pair<PartitionId, Dot>> emitted_;
  // Values of keys that were changed by nodes that did not know of the feed yet.
  std::map<std::string, std::pair<PartitionId, Dot>> before_feed_;
  std::set<NodeNumber> feeding_;  // that have known of it, in any run of theirs
};

}  // namespace even::sim
