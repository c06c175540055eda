// Purging: what nobody prolonged is removed once its expiry has come, here and in the store.
//
// No reader sees a key from its expiry on, by the clock of its node. That needs no purge, and
// removes nothing: whether a key has expired follows from its joined expiry alone. A purge removes
// what its maker has seen, so it may only be made when nobody can have prolonged the key without
// this node knowing it: every replica has said, at a time of its own clock after the expiry, what
// it had seen, and this node has seen that too (Replication::heard_until_ms). Until then the key
// stays as it is, invisible: it has *lapsed*.
//
// A replica that is away would keep what lapses for ever. So a key is given up when its expiry is
// ShardOptions::expiry_wait_ms ago, or when in its partition more have lapsed than are alive, and
// more than kLapsedKept: then the earliest go. Of such a key the expiry is kept, until all replicas
// have been heard or for as long again, so that an update which had seen it, and comes later,
// expires as well. docs/consistency.md says what that means to users.
//
// One thread: the shard's.
#pragma once

#include <cstdint>

#include "replica/core.h"
#include "replica/replication.h"

namespace even {

class ExpirySweep {
 public:
  // The references must outlive this.
  ExpirySweep(ShardCore& core, const Replication& replication)
      : core_(core), replication_(replication) {}

  // Purges what is due, a batch of each partition at a time. Within a turn, all records closed and
  // the log writable. May throw Unreadable.
  void tick();

 private:
  void sweep(Partition& partition, std::int64_t now_ms);

  ShardCore& core_;
  const Replication& replication_;
  std::int64_t last_us_ = 0;
};

}  // namespace even
