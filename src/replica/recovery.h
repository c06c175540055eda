// Brings a shard back to what its log says, beside its service: the log is gone through once, and
// from then on its records are replayed, partition by partition, as soon as somebody needs one and
// otherwise bit by bit. See docs/storage.md.
//
// Invariants: a partition is not looked at on behalf of anybody, and nothing is added to its log,
// before all that the log has of it has been replayed (ShardCore::replayed()). Until that goes for
// all of them, the store is told nothing and no part of the log is removed. So a crash meanwhile
// leaves what recovery had found, and behind it what has been appended since.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replica/core.h"

namespace even {

class Recovery {
 public:
  // `core` must outlive this.
  explicit Recovery(ShardCore& core);

  // Opens the log and notes what of it has to be replayed, which it keeps in memory; when that is
  // more than options.replay_bytes, it replays, too. `from`: the position from which the log
  // completes the store, if that is known.
  Result<> scan(const std::optional<LogPosition>& from,
                const std::function<void(std::uint64_t, std::uint64_t)>& progress);

  // Called with what the log has of groups from `from` on, in its order, while it is gone through.
  // The same of a hint.
  void on_hint(std::function<Result<>(std::string_view)> take) { on_hint_ = std::move(take); }
  void on_group_entry(std::function<Result<>(std::string_view)> take) {
    on_group_entry_ = std::move(take);
  }
  // Whether everything has been replayed.
  bool done() const { return left_.empty(); }
  // Replays for about options.replay_slice_us, at least a batch of records. Within a turn.
  void step();
  // All that is left.
  void finish();
  // Has these partitions replayed before others, and calls `done` from a later step(). False: they
  // have been already, and it is not called.
  bool await(std::span<const PartitionId> partitions, std::function<void()> done);

  // Bytes of records that had to be replayed when the log had been gone through, and that have
  // been.
  ReplayProgress progress() const { return {total_, total_ - bytes_}; }

 private:
  // What the log has of a partition. `first` and `last`: of each replica run's records, without
  // gaps.
  struct InLog {
    VersionVector first;
    VersionVector last;
    std::map<ReplicaId, VersionVector> folded;  // contexts of records that fold, by origin
    std::vector<std::string> chunks;            // bytes of records to replay; they do not move
    std::vector<std::string_view> records;
    std::size_t next = 0;  // of them
  };
  struct Waiting {
    std::vector<PartitionId> partitions;
    std::function<void()> done;
  };

  Result<> note(LogPosition from, LogPosition frame, std::string_view record);
  void keep(InLog& in_log, std::string_view record);
  InLog& in_log(const Partition& partition) {
    if (in_log_.size() <= partition.id) in_log_.resize(std::size_t{partition.id} + 1);
    return in_log_[partition.id];
  }
  Partition& next() const;
  void replay(Partition& partition);
  void replay_batch(Partition& partition);
  void replay_records(Partition& partition, std::span<const std::string_view> records);
  void forget_records(InLog& in_log);
  void end(Partition& partition);
  void answer();

  ShardCore& core_;
  std::function<Result<>(std::string_view)> on_group_entry_;
  std::function<Result<>(std::string_view)> on_hint_;
  RecordDecoder decoder_;
  std::vector<InLog> in_log_;    // by partition
  std::deque<Partition*> left_;  // those that have not been replayed
  std::vector<Waiting> waiting_;
  std::uint64_t bytes_ = 0;  // of records to replay
  std::uint64_t total_ = 0;
};

}  // namespace even
