// Sees to it that partitions follow what the table of keyspaces says of change feeds, and has the
// keys of a keyspace told where a snapshot is asked for: see docs/feeds.md.
//
// One per shard, on its thread, within its ticks.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/reserved_keys.h"
#include "replica/core.h"
#include "replica/groups.h"
#include "replica/relay.h"
#include "replica/replication.h"

namespace even {

class Feeds {
 public:
  // The references outlive this.
  Feeds(ShardCore& core, Groups& groups, const Relay& relay, const Replication& replication);

  // All records are closed. Throws Unreadable in the end, if there was any.
  void tick();

 private:
  // A life of a feed in an eventual partition.
  struct Life {
    bool done = false;  // all its keys have been told
    std::int64_t again_us = 0;
  };

  void look(Partition& partition, const cluster::Keyspace& keyspace, Life& life);
  // Says that this node tells its changes from here on. Removes what is left of former lives.
  void follow(Partition& partition, std::uint64_t epoch);
  // Since when the first of its replicas has told its changes; none: not all of them do.
  std::optional<Hlc> followed_since(const Partition& partition, std::uint64_t epoch) const;
  // `since`: the time of the events, which is before that of any change that is told and has not
  // been seen here.
  void step(Partition& partition, const cluster::Keyspace& keyspace, std::uint64_t first,
            Hlc since);
  void look(Group& group);
  void propose(Group& group, std::vector<std::string> words);
  const Object* find(const Partition& partition) const;
  std::size_t waiting(const Partition& partition) const;

  ShardCore& core_;
  Groups& groups_;
  const Relay& relay_;
  const Replication& replication_;
  const ReservedKeys keys_;
  absl::btree_map<std::pair<std::uint64_t, PartitionId>, Life> lives_;
  absl::btree_map<PartitionId, std::int64_t> proposed_us_;  // by group; until it is answered
  std::size_t next_ = 0;  // of the shard's partitions: whose snapshot has its turn
  std::uint64_t table_ = 0;
  bool feeds_ = false;  // the table has, or had, some
  // Whoever answers may do so when this is gone.
  const std::shared_ptr<Feeds*> self_ = std::make_shared<Feeds*>(this);
};

}  // namespace even
