// Moves the rights of bounded counters between nodes: to where they run short, ahead of need, and
// to where a command waits for them. See docs/bounds.md.
//
// Who runs short asks a node that has more; that gives in a record like any other, which takes the
// rights to where they are to be. A question that is lost is asked again; one that is asked twice
// may be answered twice, which moves more than was asked for and makes no rights.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/numeric/int128.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/context.h"
#include "replica/core.h"
#include "replica/peer_message.h"

namespace even {

class Rights {
 public:
  // Takes whether the rights are there. Called in a turn of the shard.
  using Done = std::function<void(bool there)>;

  // The references outlive this.
  Rights(ShardCore& core, Transport& transport) : core_(core), transport_(transport) {}

  // A bounded counter has changed, or has lacked rights: they are looked after from now on, until
  // there are enough.
  void watch(PartitionId partition, std::string_view key);
  // Waits until this node may use so many rights of the counter, as long as nodes within reach have
  // enough of them.
  void await(Context::Lack lack, std::int64_t deadline_us, Done done);

  // --- Links, turns and time, as of the shard.
  void link_up(ReplicaId peer) { peers_[peer.node()] = peer; }
  void link_down(NodeNumber node) { peers_.erase(node); }
  Result<> receive(NodeNumber node, const RightsMessage& message);
  void end_turn();
  void tick();

  std::uint64_t asked() const { return asked_; }
  std::uint64_t given() const { return given_; }

 private:
  using Name = std::pair<PartitionId, std::string>;
  struct Waiter {
    absl::int128 amount = 0;
    std::int64_t deadline_us = 0;
    Done done;
  };
  struct Watched {
    std::int64_t asked_us = 0;
    int in_vain = 0;  // questions since the rights last grew
    absl::int128 had = 0;
    std::deque<Waiter> waiters;
  };
  // A counter as this node sees it; null: it is not there, or not in memory.
  struct Seen {
    Partition* partition = nullptr;
    const BoundedCounter* counter = nullptr;
  };

  Seen find(PartitionId id, std::string_view key);
  absl::int128 of_peer(const Seen& seen, ReplicaId peer) const;
  absl::int128 own(const Seen& seen) const;
  bool holds(const Partition& partition, NodeNumber node) const;
  // What could come here: from nodes within reach, and from earlier runs of this one.
  absl::int128 within_reach(const Seen& seen) const;
  // Sees to it that earlier runs are folded whose rights this one would then have. Returns whether
  // there are any.
  bool claim_earlier(const Seen& seen, const Name& name);
  void ask(const Seen& seen, const Name& name, absl::int128 needed, absl::int128 wanted);
  // Makes a record of this run's entry with so many given to `to`, or none.
  void write(const Seen& seen, std::string_view key, ReplicaId to, std::uint64_t amount);
  // Returns whether it is still to be watched.
  bool look(const Name& name, Watched& watched, std::int64_t now_us);
  void settle(const Seen& seen, Watched& watched, std::int64_t now_us);

  ShardCore& core_;
  Transport& transport_;
  absl::btree_map<NodeNumber, ReplicaId> peers_;  // that are linked
  absl::btree_map<Name, Watched> watched_;
  absl::btree_set<Name> with_waiters_;
  Name next_;  // to be looked at
  std::int64_t looked_us_ = 0;
  std::vector<std::function<void()>> due_;
  std::uint64_t asked_ = 0;
  std::uint64_t given_ = 0;
};

}  // namespace even
