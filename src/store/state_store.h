// Where the state of a shard's partitions rests between runs, so that the log need not be kept from
// its beginning. A store holds, for each partition, a state that contains everything the log held
// before the store's position; the log from that position on may be contained as well, which is
// harmless because records are recognised by their dots.
//
// CheckpointStore is the first implementation: one file, rewritten now and then. A projection into
// RocksDB is to take over behind this interface.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "env/disk.h"
#include "log/log.h"

namespace even {

class StateStore {
 public:
  virtual ~StateStore() = default;
  // Calls visit(state) with the encoded state of every partition held. Returns the position from
  // which the log completes it; 0 when nothing is held.
  virtual Result<LogPosition> load(const std::function<Result<>(std::string_view)>& visit) = 0;
  // Replaces what is held: begin, one add for each partition, commit. `position` is the log's end
  // at or before the first add. A round that fails leaves the previous content in place.
  virtual Result<> begin(LogPosition position) = 0;
  virtual Result<> add(std::string_view state) = 0;
  // Makes it durable; done(position) or done(error) is called later on the same thread.
  virtual void commit(std::function<void(Result<LogPosition>)> done) = 0;
};

// The file "checkpoint-SSSS": see docs/formats/checkpoint.md.
std::unique_ptr<StateStore> make_checkpoint_store(ShardId shard, Disk& disk);

}  // namespace even
