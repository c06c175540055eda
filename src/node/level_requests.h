// Notes requests of clients in the thread's LevelMeter: at which level they really are, and, of
// those that are refused, which replicas of their first key cannot be reached.
#pragma once

#include <cstdint>
#include <string_view>

#include "node/level_meter.h"
#include "node/owned_request.h"

namespace even {

class ShardThread;

// By what is asked for (null: nothing), and else by the keyspace of `partition`.
LevelOfRequest level_of_request(const ShardThread& thread, const RequestOptions* options,
                                bool strong, bool writes, PartitionId partition);

// A request that is not executed at once begins.
LevelMeter::Call begin_call(ShardThread& thread, const Command& command, Args args, bool strong,
                            const RequestOptions* options);
// The same of a transaction.
LevelMeter::Call begin_call(ShardThread& thread, const OwnedRequest& request, bool strong);
void end_call(ShardThread& thread, const LevelMeter::Call& call, std::string_view reply);

}  // namespace even
