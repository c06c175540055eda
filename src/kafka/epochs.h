// Leader epochs, which are the terms of a partition's group: whether a client knows of the right
// leader, and where the records of an epoch end. See docs/topics.md, "Leader epochs".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/ids.h"
#include "consensus/entry.h"
#include "topic/kafka_error.h"

namespace even {
class ShardThread;
}

namespace even::kafka {

// Of a leader that knows itself to be one in `term`, what a client says that it expects.
ErrorCode check_epoch(std::int32_t epoch, consensus::Term term);

// Looks for the end of an epoch among the records from `start` to `end` - 1, whose epochs ascend
// with their offsets, by bisection. Pure logic.
class EpochSearch {
 public:
  EpochSearch(std::int32_t epoch, std::int64_t start, std::int64_t end)
      : epoch_(epoch), start_(start), low_(start), high_(end), end_(end) {}

  // The offset of which it has to know; none: it is over.
  std::optional<std::int64_t> next() const {
    if (low_ >= high_) return std::nullopt;
    return low_ + (high_ - low_) / 2;
  }
  // The batch with the records from next() on has the offsets from `base` to `behind` - 1: it has
  // that one, or, where compaction has left no record of it, comes next.
  void take(std::int64_t base, std::int64_t behind, std::int32_t epoch);

  // When it is over. The largest epoch with records that is not beyond the one that is looked for;
  // none: there is none.
  std::optional<std::int32_t> epoch() const { return found_; }
  // Where records of later epochs begin.
  std::int64_t end() const { return end_; }

 private:
  const std::int32_t epoch_;
  const std::int64_t start_;
  std::int64_t low_;
  std::int64_t high_;
  std::int64_t end_;
  std::optional<std::int32_t> found_;
};

// Both on the thread of the partition, while it has its shard; `done` is called there, at once or
// later, with an error where this node does not lead the partition, or cannot read it.
struct EpochEnd {
  ErrorCode error = ErrorCode::kNone;
  std::int32_t epoch = -1;  // none: there was no such epoch yet
  std::int64_t end = -1;
};
using EpochFound = std::move_only_function<void(EpochEnd)>;
// As Kafka's leader answers who asks for the end of an epoch.
void find_epoch_end(ShardThread& owner, PartitionId id, std::int32_t epoch, EpochFound done);
// The epoch of the record at this offset, or of the leader, if it is the end.
void find_epoch_at(ShardThread& owner, PartitionId id, std::int64_t offset, EpochFound done);

}  // namespace even::kafka
