// What a shard keeps for owners of partitions that it does not own: records as they came, those of
// one giver in a causal order, each once. In the log and in memory, and in the store from the next
// pass on. See docs/hints.md.
//
// Invariants: of each maker, what one giver has given has no gap behind that giver's base; a base
// says nothing to another giver; nothing goes but by forget() or by age.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "replica/core.h"
#include "store/row_batch.h"

namespace even {

class HintStore {
 public:
  struct Hint {
    Dot dot;
    std::int64_t kept_ms;  // wall clock of when it came
    std::string record;
  };
  // Numbers of a maker's records, both included.
  struct Span {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  struct Held {
    // Which records are kept. Of one maker mostly one span: there are more where two givers are not
    // at the same place.
    absl::btree_map<ReplicaId, absl::InlinedVector<Span, 1>> kept;
    // What owners are to have seen before all of it may go. Not the bases: a record that an owner
    // had reported may be lost with all who had it, before it was durable anywhere.
    VersionVector records;
    // By giver, in this session of its link: what comes from it comes behind this. It is what all
    // owners have, and what the giver's log does not have any more.
    absl::btree_map<NodeNumber, VersionVector> bases;
    std::deque<Hint> hints;
    std::uint64_t first = 1;  // number of the first of them

    // --- HintStore's.
    std::int64_t begun_us = 0;
    bool dirty = false;                            // the store does not have it all, or too much
    bool taken = false;                            // by the pass under way
    std::uint64_t row_first = 0, row_end = 0;      // records that have rows
    std::uint64_t taken_first = 0, taken_end = 0;  // when the pass is done

    std::uint64_t next() const { return first + hints.size(); }
  };
  using AllHeld = absl::btree_map<PartitionId, Held>;

  explicit HintStore(ShardCore& core) : core_(core) {}

  // At the start: what is stored, then what the log has from the store's position on. What of the
  // rows cannot be read is left to the owners, with a warning.
  void restore(RowStore& store);
  Result<> replay(std::string_view entry);

  const AllHeld& held() const { return held_; }
  const VersionVector& records(PartitionId partition) const;
  // The giver's base, and what is kept behind it without a gap. Of what it has not begun: nothing.
  VersionVector line(PartitionId partition, NodeNumber giver) const;
  bool keeps(PartitionId partition, const Dot& dot) const;
  // Whether all of this is, but for what is in the giver's base.
  bool keeps_for(NodeNumber giver, PartitionId partition, const VersionVector& wanted) const;

  // What is to come of a partition from this giver comes behind this.
  void begin(PartitionId partition, NodeNumber giver, const VersionVector& base);
  enum class Kept : std::uint8_t { kKept, kSeen, kEarly, kFull };
  // Keeps a record of a partition that the giver has begun. From the log's barrier on, it is.
  Kept keep(NodeNumber giver, std::string_view record, const RecordHead& head);
  // It has a new link, and begins anew.
  void forget_bases(NodeNumber giver);
  // Every owner has all that is held of it.
  void forget(PartitionId partition);
  // Drops what is too old.
  void tick();

  // --- Of passes; see Projection.
  void take(RowBatch& rows);
  void end_pass(bool stored);
  bool changed() const;

  const HintStats& stats() const { return stats_; }
  HintStats& stats() { return stats_; }

 private:
  void add(Held& held, std::int64_t kept_ms, std::string_view record, const RecordHead& head);
  void clear(Held& held);
  void drop_front(Held& held);

  ShardCore& core_;
  AllHeld held_;
  HintStats stats_;
};

}  // namespace even
