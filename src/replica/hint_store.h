// What a shard keeps for owners of partitions that it does not own: records as they came, in a
// causal order, and of each partition a vector that says what they are. In the log and in memory,
// and in the store from the next pass on. See docs/hints.md.
//
// Invariants: of each maker, what is held has no gap behind the base; nothing goes but by forget()
// or by age.
#pragma once

#include <absl/container/btree_map.h>

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
  struct Held {
    VersionVector vector;  // the base, and the records
    // What owners are to have seen before all of it may go. Not the base: a record that an owner
    // had reported may be lost with all who had it, before it was durable anywhere.
    VersionVector records;
    std::deque<Hint> hints;
    std::uint64_t first = 1;  // number of the first of them

    // --- HintStore's.
    bool base_due = false;  // the log does not have all of the base yet
    std::int64_t begun_us = 0;
    bool dirty = false;                            // something is not as in the store
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

  // What is held of a partition: nothing, or not less than its vector says.
  const AllHeld& held() const { return held_; }
  const VersionVector& vector(PartitionId partition) const;
  const VersionVector& records(PartitionId partition) const;

  // What is to come of a partition comes behind this.
  void begin(PartitionId partition, const VersionVector& base);
  enum class Kept : std::uint8_t { kKept, kSeen, kEarly, kFull };
  // Keeps a record of a partition for which begin() has been called. From the log's barrier on, it
  // is.
  Kept keep(std::string_view record, const RecordHead& head);
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
