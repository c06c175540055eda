// What a shard is to do, from a node's configuration.
#pragma once

#include "node/node_context.h"
#include "replica/shard.h"

namespace even {

// Of shard `id` among `shards`.
ShardOptions shard_options(const NodeContext& node, ShardId id, ShardId shards);

}  // namespace even
