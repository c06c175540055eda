// The state of a group that a member is given, from when its first bytes come until it takes the
// place of what is there. It is written into the store as it comes, as rows of a generation that
// does not count (store/partition_rows.h), and takes a bounded amount of memory, but for one key,
// which is decoded and written in one go. See docs/groups.md, "Snapshots".
//
// Invariant: nothing of it is seen by anybody before ShardCore::take_staged(), for which all of its
// rows are in the store, durable, and its bytes are those that were named.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "consensus/log.h"
#include "lattice/state_stream.h"
#include "replica/core.h"
#include "replica/peer_message.h"

namespace even {

class StagedState : public std::enable_shared_from_this<StagedState> {
 public:
  // `core` and `partition` outlive this. `index`: the entry that the state is as of.
  StagedState(ShardCore& core, Partition& partition, consensus::Index index,
              const SnapshotName& name);
  StagedState(const StagedState&) = delete;

  // The next bytes.
  void add(std::string_view bytes);
  // How many there have been.
  std::uint64_t received() const { return received_; }
  // Whether more of them are of use now.
  bool wants_more() const;
  // Goes on for about kSliceUs. An error: it is not what was named; nothing comes of it any more.
  Result<> step();
  // Whether there is something to go on with, or the store is at it.
  bool busy() const { return retry_us_ == 0 && !wants_more(); }
  // All of it is in the store.
  bool whole() const { return stage_ == Stage::kWhole; }
  // Whether the partition still is what it was when this began.
  bool fits() const { return partition_.rows->is_newest(generation_); }

  consensus::Index index() const { return index_; }
  std::uint64_t generation() const { return generation_; }
  PartitionState& state() { return state_; }

 private:
  enum class Stage : std::uint8_t { kComing, kStoring, kWhole, kFailed };
  Result<> go_on();
  Result<> take_part(Record& part);
  void gather();
  Result<> verify() const;
  void store();
  void stored(const Result<>& outcome);

  ShardCore& core_;
  Partition& partition_;
  const consensus::Index index_;
  const SnapshotName name_;
  const std::uint64_t generation_;
  PartitionRows rows_;
  PartitionState state_;  // what has been decoded; all of it is in `gathered_`, or cold
  StateStream stream_;
  Hash64 hash_;
  std::uint64_t received_ = 0;
  std::uint64_t highest_ = 0;  // hash of any key so far
  bool any_key_ = false;
  bool dry_ = false;         // what has come has no more whole keys
  bool decoded_ = false;     // all of it has been
  bool any_stored_ = false;  // or is being
  Stage stage_ = Stage::kComing;
  std::string error_;
  std::int64_t retry_us_ = 0;  // the store has failed
  // Rows that the store is to be given, in their order; none: the row goes.
  absl::btree_map<std::string, std::optional<std::string>> gathered_;
  std::size_t gathered_bytes_ = 0;
};

}  // namespace even
