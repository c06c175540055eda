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
// Fields of hashes are purged by the same rules (docs/field-expiry.md); of one that is given up the
// leaf with its expiry stays. As these leaves stand before what is still to come, a pass that has
// passed over many puts off the next one.
//
// One thread: the shard's.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
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
  // Up to when what has expired may be removed.
  struct Due {
    std::int64_t certain_ms;  // for good: nobody can have prolonged it unknown to this node
    std::int64_t waited_ms;   // it has waited for long enough
    std::int64_t until_ms() const { return std::max(certain_ms, waited_ms); }
  };

  Due due(const Partition& partition, std::int64_t now_ms) const;
  void sweep(Partition& partition, const Due& due, std::int64_t now_ms);
  void sweep_fields(Partition& partition, const Due& due, std::int64_t now_ms);

  ShardCore& core_;
  const Replication& replication_;
  std::int64_t last_us_ = 0;
  // Partitions whose fields are not swept before an instant of the wall clock.
  absl::flat_hash_map<PartitionId, std::int64_t> fields_put_off_;
};

}  // namespace even
