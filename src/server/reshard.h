// Changes the number of shards of a data directory, before the node serves.
//
// The rows of the store do not know of shards, but logs do: a record is in the log of the shard
// that its partition had. So the old shards are started once more, bring the store up to date, and
// remove their logs; only then does the identity file get the new number. A crash in between leaves
// a directory of the old number. Peers that lack something are given snapshots, since the logs are
// gone.
#pragma once

#include "base/result.h"
#include "server/identity.h"
#include "server/node_context.h"

namespace even::server {

// From `found.shards` to the number of `node`. The store is open, and nothing runs yet. Shows its
// progress in the log.
Result<> reshard(const NodeContext& node, Disk& disk, Identity found);
// Has the store forget the positions of shards from `first` on: what it holds is then completed by
// logs from their beginning. Nothing runs yet.
Result<> forget_positions(RocksDatabase& store, ShardId first);
// Removes what shards that do not exist any more have left: logs, positions in the store.
Result<> remove_old_shards(const NodeContext& node, Disk& disk);

}  // namespace even::server
