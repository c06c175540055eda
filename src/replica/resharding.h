// Makes a data directory one of so many shards, before they are started: changes the number if it
// was another, and removes what shards that do not exist any more have left.
//
// The rows of the store do not know of shards, but logs do: a record is in the log of the shard
// that its partition had. So the old shards are started once more, one after the other; each brings
// the store up to date and removes its log. Only then does the identity file get the new number. A
// crash in between leaves a directory of the old number. Peers that lack something are given
// snapshots, since the logs are gone.
//
// What a shard that does not exist any more has left, an empty log and its position in the store,
// would be believed by the next shard of its number. So it is removed before the number changes, or
// the number does not change.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "replica/identity.h"
#include "replica/shard.h"

namespace even {

class Resharding {
 public:
  struct Host {
    Disk& disk;
    Clock& clock;
    Random& random;
    // A handle of the store for a shard.
    std::function<std::unique_ptr<RowStore>(ShardId)> store;
    // Of a shard among so many.
    std::function<ShardOptions(ShardId shard, ShardId shards)> options;
    std::function<void(const std::string&)> inform;
    std::function<void(const std::string&)> warn;
  };

  // `found` is what the directory says of itself. What the host refers to must outlive this.
  Resharding(Host host, Identity found, ShardId wanted);
  ~Resharding();

  // Goes on as far as it can without waiting for the disk or the store; to be called again, every
  // few milliseconds, until it returns true: shards may be started. After an error all that is left
  // to do is to begin anew, from what the directory then says.
  Result<bool> step();
  // That the directory is noted to have by now.
  ShardId shards() const { return identity_.shards; }

 private:
  // What step() does next.
  enum class Stage {
    kForgetting,  // what shards that the directory does not have have left
    kStoring,     // what its shards have in their logs, one after the other
    kNoting,      // the new number; and then kForgetting again
    kDone,
  };
  struct Old;  // a shard of the old number

  Result<> store_log();
  Result<> forget();

  const Host host_;
  Identity identity_;  // as in the directory
  const ShardId wanted_;
  Stage stage_ = Stage::kForgetting;
  ShardId next_ = 0;  // old shard
  std::unique_ptr<Old> old_;
  std::unique_ptr<RowStore> forgetting_;
  std::optional<Result<>> forgotten_;
};

}  // namespace even
