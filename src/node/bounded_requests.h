// Reads of eventual keyspaces at BOUNDED, where this node holds their keys: see docs/sessions.md.
// They are executed once this node is known to have all that any replica of their partitions had,
// no longer ago than the bound; or by another node, if this one cannot reach all replicas.
//
// One per shard thread; all calls on that thread. Other shards are asked by messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "node/owned_request.h"

namespace even {

class ShardThread;

class BoundedRequests {
 public:
  explicit BoundedRequests(ShardThread& thread) : thread_(thread) {}

  // Of a request that only reads, and whose level is BOUNDED. Replies by its deadline.
  void submit(OwnedRequest request, ReplySink sink);
  // Whether this node's shard of this thread is fresh enough at once.
  bool is_fresh(const std::vector<PartitionId>& partitions, std::uint32_t bound_ms) const;
  // That have been put to other replicas; reads that were given to another node.
  std::uint64_t questions() const { return questions_; }
  std::uint64_t handed_on() const { return handed_on_; }

 private:
  struct Share {
    ShardId shard = 0;
    std::vector<PartitionId> partitions;  // ascending
  };
  struct Call {
    OwnedRequest request;
    ReplySink sink;
    std::uint32_t bound_ms = 0;
    std::int64_t since_us = 0;
    std::int64_t deadline_ms = 0;
    std::int64_t deadline_us = 0;
    std::vector<Share> shares;
    std::size_t missing = 0;  // shares that have not been answered
    bool stale = false;
    std::vector<NodeNumber> helpers;  // to be asked in its place, the last one first
  };
  using CallPointer = std::shared_ptr<Call>;

  // Whether all replicas are within reach of this thread's shard.
  static bool reaches_all(ShardThread& owner, const std::vector<PartitionId>& partitions);
  // On the thread of the share; answers whether it is stale.
  static void freshen(ShardThread& owner, const Call& call, const Share& share,
                      std::move_only_function<void(bool stale)> answer);
  void answered(const CallPointer& call);
  void ask_for_help(CallPointer call);
  std::string refusal(const Call& call) const;

  ShardThread& thread_;
  std::uint64_t questions_ = 0;  // of this thread's shard
  std::uint64_t handed_on_ = 0;
};

}  // namespace even
