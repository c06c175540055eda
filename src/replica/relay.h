// Takes events out of the outboxes of a shard's partitions to the topics that they are for, and
// removes them when these have them. See docs/emit.md for who relays what, and why each event gets
// there once.
//
// One per shard, on its thread, within its ticks.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/outbox.h"
#include "replica/core.h"
#include "replica/groups.h"
#include "topic/event_id.h"

namespace even {

class Relay {
 public:
  // The references outlive this.
  Relay(ShardCore& core, Groups& groups);

  void on_relay(Shard::RelayTo relay_to) { relay_to_ = std::move(relay_to); }
  void link_up(NodeNumber node) { linked_.insert(node); }
  void link_down(NodeNumber node) { linked_.erase(node); }
  // All records are closed. May throw Unreadable.
  void tick();
  // Whether the log is to be synced, for events that wait for that.
  bool sync_wanted() const { return syncing_; }

 private:
  // A batch on its way to a topic's partition, and its removal.
  struct Flow {
    std::uint64_t number = 0;  // no other has it
    std::vector<topic::EventId> ids;
    // Of an eventual partition: what is to be sent once the log is durable up to `after`, so that
    // no power failure takes a change whose event is out.
    std::vector<std::string> words;
    LogPosition after = 0;
    bool removing = false;           // in a strong partition, by an entry under way
    std::int64_t not_before_us = 0;  // after a failure
    bool under_way() const { return !ids.empty(); }
  };
  // A partition with an outbox.
  struct Source {
    absl::btree_map<PartitionId, Flow> flows;  // by the topic's partition
    std::size_t waiting = 0;                   // when it was last looked at
    std::int64_t oldest_ms = 0;                // of these
    topic::EventId first;                      // of these
    std::int64_t first_since_us = 0;           // that this one has been the first
    std::int64_t look_again_us = 0;
  };
  struct Outcome {
    PartitionId source = 0;
    PartitionId target = 0;
    std::uint64_t flow = 0;
    bool removed = false;  // by an entry; else of a batch
    std::string reply;
  };

  void take_outcomes();
  void take(const Outcome& outcome);
  void look(Partition& partition);
  // None: another one relays this partition.
  bool is_relay(const Partition& partition, const Source& source, std::int64_t now_us) const;
  Group* leading_group(PartitionId partition) const;
  std::string_view outbox_of(const Partition& partition) const;
  const Object* find_outbox(const Partition& partition) const;
  // In an order that agrees with causality, and of one origin with that of their ids.
  static std::vector<WaitingEvent> read(const Object& outbox, std::vector<std::string>& kept);
  void send(const Partition& partition, Source& source, const Object& outbox, std::int64_t now_us);
  void remove(Partition& partition, PartitionId target, Flow& flow,
              std::vector<topic::EventId> ids);
  Shard::RelayDone outcome_of(PartitionId source, PartitionId target, const Flow& flow);
  void release(PartitionId source, PartitionId target, Flow& flow);
  void note_stats(std::int64_t now_ms);

  ShardCore& core_;
  Groups& groups_;
  const OutboxKeys keys_;
  std::vector<std::uint64_t> hashes_;  // of these
  Shard::RelayTo relay_to_;
  absl::btree_set<NodeNumber> linked_;
  absl::btree_map<PartitionId, Source> sources_;
  std::uint64_t flows_ = 0;  // so many there have been
  bool syncing_ = false;     // some are not durable yet
  std::vector<Outcome> outcomes_;
  // Whoever answers may do so when this is gone.
  const std::shared_ptr<Relay*> self_ = std::make_shared<Relay*>(this);
};

}  // namespace even
