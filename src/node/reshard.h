// What is done to a data directory before its shards are started, on this thread and until it is
// done.
#pragma once

#include "base/result.h"
#include "node/node_context.h"
#include "replica/identity.h"

namespace even {

// Makes it one of as many shards as the node has; see replica/resharding.h. `found` is what it says
// of itself. The store is open, and nothing runs yet. Shows its progress in the log.
Result<> settle_shards(const NodeContext& node, const Identity& found);
// Has the store forget all positions; see store/partition_rows.h.
Result<> forget_positions(RocksDatabase& store);

}  // namespace even
