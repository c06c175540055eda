// What a shard is to do, from a node's configuration.
#pragma once

#include "replica/shard.h"
#include "server/node_context.h"

namespace even::server {

// Of shard `id` among `shards`.
ShardOptions shard_options(const NodeContext& node, ShardId id, ShardId shards);

}  // namespace even::server
