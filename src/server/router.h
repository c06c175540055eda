// Decides where a request runs and brings its reply back: on this thread's shard, on another shard
// of the node, on several shards at once, or on other nodes.
//
// One per shard thread; all calls on that thread. A connection asks route() first and runs what
// belongs here by itself, which is the fast path; everything else it hands to submit().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "engine/command.h"
#include "log/log.h"
#include "server/owned_request.h"

namespace even::server {

class ShardThread;

struct Route {
  enum class Where : std::uint8_t {
    kHere,           // all keys are in this thread's shard, or there are no keys
    kOtherShard,     // all keys are in `shard` of this node
    kSeveralShards,  // all keys are on this node, in several shards
    kOtherNodes,     // some key is not on this node
  };
  Where where = Where::kHere;
  ShardId shard = 0;
};

class Router {
 public:
  explicit Router(ShardThread& thread) : thread_(thread) {}

  // Of a command of scope kKeys or kAll whose arity has been checked.
  Route route(const Command& command, Args args) const;

  // Runs a request of scope kKeys or kAll, wherever that is, and gives the reply to `sink` when it
  // may be shown. `may_forward` is false for what another node forwarded to this one.
  void submit(OwnedRequest request, ReplySink sink, bool may_forward = true);

  // No command over several shards is under way.
  bool idle() const { return across_ == 0; }

 private:
  struct Across;
  void run_here(OwnedRequest request, ReplySink sink);
  void run_on(ShardId shard, OwnedRequest request, ReplySink sink);
  void run_across(std::vector<ShardId> shards, OwnedRequest request, ReplySink sink);
  void borrow_next(std::unique_ptr<Across> across);
  void execute_across(std::unique_ptr<Across> across);
  void run_elsewhere(OwnedRequest request, ReplySink sink);
  void run_split(OwnedRequest request, ReplySink sink);
  std::vector<ShardId> shards_of(const OwnedRequest& request) const;
  // The first reachable node, this one included, that holds all `partitions`; 0: none.
  NodeNumber node_for(std::span<const PartitionId> partitions) const;

  ShardThread& thread_;
  std::size_t across_ = 0;
};

}  // namespace even::server
