// Takes events out of the outboxes of a shard's partitions to the topics that they are for, and
// removes them when these have them. See docs/emit.md for who relays what, and why each event gets
// there once.
//
// One per shard, on its thread, within its ticks.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/outbox.h"
#include "engine/reserved_keys.h"
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
  // All records are closed. Throws Unreadable in the end, if there was any: what has something that
  // cannot be read is tried again later, and nothing else waits for it.
  void tick();
  // Of the replicas in reach, the first.
  bool is_preferred(const Partition& partition) const;
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
    std::uint32_t failures = 0;      // in a row
    std::int64_t not_before_us = 0;  // after a failure
    bool under_way() const { return !ids.empty(); }
  };
  // Of an eventual partition that another replica is to relay: the first event for a topic's
  // partition. Once it has waited for too long this node has taken over, and lets others wait for a
  // short while only, until it sees that another one relays again.
  struct First {
    topic::EventId id;
    std::int64_t since_us = 0;  // that it has been the first
    bool removed_here = false;
    bool taken_over = false;
    bool is_ours = false;  // to be relayed here, as of the last reading
  };
  // A partition with an outbox.
  struct Source {
    absl::btree_map<PartitionId, Flow> flows;    // by the topic's partition
    absl::btree_map<PartitionId, First> firsts;  // the same
    std::size_t waiting = 0;                     // that this node is to relay
    std::int64_t oldest_ms = 0;                  // of these
    // When it was last read: how many there were, and the version of the table of topics.
    std::size_t live = 0;
    std::uint64_t topics = 0;
    // It is read again then; or earlier when it has changed, but not before `rest_until_us`, so
    // that a long one does not take all of the shard's time; or when something has become of a
    // flow.
    std::int64_t look_again_us = 0;
    std::int64_t pause_us = 0;
    std::int64_t rest_until_us = 0;
    bool woken = false;
    bool preferred = false;             // this node is to relay it
    std::int64_t damaged_until_us = 0;  // something of it could not be read
    bool stands_in() const {
      return std::ranges::any_of(firsts, [](const auto& each) { return each.second.taken_over; });
    }
  };
  // An event in an outbox, without its content.
  struct Waiting {
    topic::EventId id;
    Hlc time;
    std::size_t bytes = 0;
    std::optional<PartitionId> target;  // none: the topic is not here yet, or gone
  };
  struct Outcome {
    PartitionId source = 0;
    PartitionId target = 0;
    std::uint64_t flow = 0;
    bool removed = false;  // by an entry; else of a batch
    std::string reply;
  };

  void take_outcomes();
  void take(const Outcome& outcome, Source& source, Flow& flow);
  void look(Partition& partition, std::int64_t now_us);
  // Whether the outbox is to be read now.
  bool is_due(const Source& source, std::size_t live, bool relays, std::int64_t now_us) const;
  // Notes how long the first event for each target has waited for another relay.
  void note_firsts(Source& source, std::span<const Waiting> events, const Object& outbox,
                   std::int64_t now_us) const;
  Group* leading_group(PartitionId partition) const;
  std::string_view outbox_of(const Partition& partition) const;
  const Object* find_outbox(const Partition& partition) const;
  // In an order that agrees with causality, and of one origin with that of their ids.
  std::vector<Waiting> read(PartitionId source, const Object& outbox) const;
  // Sends what the flows have room for, a batch for each; false: there was none.
  bool send(const Partition& partition, Source& source, const Object& outbox,
            std::span<const Waiting> events, bool preferred, std::int64_t now_us);
  // What is under way of the flow is given up, and tried again later.
  void fail(Source& source, Flow& flow);
  void remove(Partition& partition, PartitionId target, Source& source, Flow& flow,
              std::vector<topic::EventId> ids);
  Shard::RelayDone outcome_of(PartitionId source, PartitionId target, const Flow& flow);
  void release(PartitionId source, PartitionId target, Flow& flow);
  void note_stats(std::int64_t now_ms);

  ShardCore& core_;
  Groups& groups_;
  const ReservedKeys keys_;
  std::vector<std::uint64_t> hashes_;  // of these
  Shard::RelayTo relay_to_;
  absl::btree_set<NodeNumber> linked_;
  absl::btree_map<PartitionId, Source> sources_;
  // Partitions that were seen to have no outbox: with which digest, and for how long that counts.
  struct Empty {
    std::uint64_t digest = 0;
    std::int64_t until_us = 0;
  };
  absl::flat_hash_map<PartitionId, Empty> empty_;
  std::uint64_t flows_ = 0;  // so many there have been
  bool syncing_ = false;     // some are not durable yet
  std::vector<Outcome> outcomes_;
  std::optional<Unreadable> unreadable_;  // of this tick
  // Whoever answers may do so when this is gone.
  const std::shared_ptr<Relay*> self_ = std::make_shared<Relay*>(this);
};

}  // namespace even
