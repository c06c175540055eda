#include "node/level_requests.h"

#include <span>

#include "node/shard_thread.h"

namespace even {
namespace {

using Kind = cluster::Level::Kind;

LevelMeter::Call begin(ShardThread& thread, std::string_view first_key, bool strong, bool writes,
                       const RequestOptions* options) {
  const cluster::KeyspaceTable& keyspaces = thread.keyspaces();
  LevelMeter::Call call;
  call.partition = keyspaces.partition_of(first_key, thread.node().placement.partitions());
  const cluster::Keyspace* keyspace =
      keyspaces.keyspaces().empty() ? nullptr : keyspaces.of_key(first_key);
  call.keyspace = keyspace == nullptr ? "default" : keyspace->name;
  call.level = level_of_request(thread, options, strong, writes, call.partition);
  // That of the turn: of those of a pipeline nobody asks for the time.
  call.began_us = thread.turn_time_us();
  return call;
}

std::string_view first_key_of(const Command& command, Args args) {
  std::string_view first;
  for_each_key(command, args, [&first](std::string_view key) {
    if (first.empty()) first = key;
  });
  return first;
}

}  // namespace

LevelOfRequest level_of_request(const ShardThread& thread, const RequestOptions* options,
                                bool strong, bool writes, PartitionId partition) {
  Kind kind = options == nullptr ? Kind::kDefault : options->level.kind;
  if (kind == Kind::kDefault && !strong) kind = Kind::kOne;
  if (kind == Kind::kDefault && !writes) {
    const cluster::Keyspace* keyspace = thread.keyspaces().of_partition(partition);
    if (keyspace != nullptr) kind = keyspace->read.kind;
  }
  if (kind == Kind::kDefault || (strong && writes)) kind = Kind::kLinearizable;
  return {kind, strong, writes};
}

LevelMeter::Call begin_call(ShardThread& thread, const Command& command, Args args, bool strong,
                            const RequestOptions* options) {
  return begin(thread, first_key_of(command, args), strong, may_write(command), options);
}

LevelMeter::Call begin_call(ShardThread& thread, const OwnedRequest& request, bool strong) {
  std::string_view first;
  request.for_each_part([&first](const OwnedRequest& part) {
    if (first.empty()) first = first_key_of(*part.command, part.args);
  });
  return begin(thread, first, strong, request.writes(), request.options.get());
}

void end_call(ShardThread& thread, const LevelMeter::Call& call, std::string_view reply) {
  LevelMeter& meter = thread.levels();
  if (!meter.answered(call.level, thread.clock().monotonic_us() - call.began_us, reply)) return;
  std::vector<NodeNumber> unreachable;
  const auto look_at = [&](std::span<const NodeNumber> replicas) {
    for (const NodeNumber replica : replicas) {
      if (replica != thread.node().number && !thread.peers().up(replica)) {
        unreachable.push_back(replica);
      }
    }
  };
  if (call.partition < thread.node().placement.partitions()) {
    look_at(thread.node().placement.replicas(call.partition));
  } else if (const auto* keyspace = thread.keyspaces().of_partition(call.partition)) {
    look_at(cluster::replicas_of(thread.node().config.cluster, *keyspace, call.partition));
  }
  meter.note_refusal(call, refusal_code(reply), unreachable);
}

}  // namespace even
