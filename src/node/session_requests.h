// Requests to eventual keyspaces of clients that have a session, where this node holds their keys:
// see docs/sessions.md. One at level SESSION waits until this node has seen all that the session
// has; and of each request it is noted what its partitions have seen then. One at CAUSAL waits for
// the causes of what it will see, too, and leaves those of what it writes (docs/causality.md).
//
// One per shard thread; all calls on that thread. Other shards are asked by messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "cluster/placement.h"
#include "node/owned_request.h"
#include "replica/session_reach.h"

namespace even {

class ShardThread;

// Of the keys of a request to eventual keyspaces, ascending.
std::vector<PartitionId> partitions_of(const Command& command, Args args,
                                       const cluster::Placement& placement);
std::vector<PartitionId> partitions_of(const OwnedRequest& request,
                                       const cluster::Placement& placement);

class SessionRequests {
 public:
  explicit SessionRequests(ShardThread& thread) : thread_(thread) {}

  // The request's options have a session. Replies by its deadline.
  void submit(OwnedRequest request, ReplySink sink);
  // How often this thread's shard had to be waited for.
  std::uint64_t waits() const { return waits_; }

 private:
  // Partitions that one shard owns, ascending, and what the session has seen of them.
  struct Share {
    ShardId shard = 0;
    std::vector<PartitionId> partitions;
    PartitionReach reach;
    PartitionReach seen;  // at CAUSAL: before the request is executed
  };
  struct Call {
    OwnedRequest request;
    ReplySink sink;
    std::shared_ptr<SessionReach> session;
    bool writes = false;
    bool causal = false;
    std::int64_t deadline_ms = 0;
    std::int64_t deadline_us = 0;
    std::vector<Share> shares;
    std::size_t missing = 0;  // of the step that is under way: shares without an answer
    std::string lacking;      // the first thing that has not come in time
    std::string error;        // a reply: why it cannot be executed
    PartitionReach causes;    // at CAUSAL: of all shares
    std::string reply;
  };
  using CallPointer = std::shared_ptr<Call>;

  void await(const CallPointer& call);
  // Calls answer() on the share's thread, with what has not come in time.
  static void await_share(ShardThread& owner, const Share& share, std::int64_t deadline_us,
                          std::move_only_function<void(std::string lacking)> answer);
  // The same, until the share has the causes of its own partitions, and answers with those of all
  // partitions and what the share has seen then.
  struct CausalAnswer {
    std::string lacking;
    std::string error;
    PartitionReach causes;
    PartitionReach seen;
  };
  static void await_causes(ShardThread& owner, const Share& share, std::int64_t deadline_us,
                           std::move_only_function<void(CausalAnswer)> answer);
  // What the causes of the call require of a share beyond what it had seen.
  static PartitionReach required(const Call& call, const Share& share);
  // All shares have answered at CAUSAL.
  void check_causes(const CallPointer& call);
  // Of a write at CAUSAL, before it.
  void leave_causes(const CallPointer& call);
  void execute(CallPointer call);
  void note(const CallPointer& call);
  void finish(const CallPointer& call);
  // Runs task(owner) on the share's thread while that holds its shard.
  template <typename Task>
  void on_owner(ShardId shard, Task task);

  ShardThread& thread_;
  std::uint64_t waits_ = 0;
};

}  // namespace even
