// Decides where a request runs and brings its reply back: on this thread's shard, on another shard
// of the node, on several shards at once, or on other nodes.
//
// One per shard thread; all calls on that thread. A connection asks route() first and runs what
// belongs here by itself, which is the fast path; everything else it hands to submit().
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "engine/command.h"
#include "log/log.h"
#include "node/owned_request.h"

namespace even {

class ShardThread;

struct Route {
  enum class Where : std::uint8_t {
    kHere,           // all keys are in this thread's shard, or there are no keys
    kOtherShard,     // all keys are in `shard` of this node
    kSeveralShards,  // all keys are on this node, in several shards
    kInParts,        // one partition after the other
    kOtherNodes,     // some key, or partition that the command is about, is not on this node
    kStrong,         // all keys are in `group`, a partition of a strong keyspace
    kAllKeyspaces,   // of scope kAll: in `default` and in the groups of strong keyspaces
    kSeveralGroups,  // some key is in a strong keyspace, but not all are in one group
  };
  Where where = Where::kHere;
  ShardId shard = 0;
  PartitionId group = 0;
};

class Router {
 public:
  explicit Router(ShardThread& thread) : thread_(thread) {}

  // Of a command of scope kKeys or kAll whose arity has been checked.
  Route route(const Command& command, Args args) const;
  // The same of a request, which may be a transaction.
  Route route(const OwnedRequest& request) const;

  // Runs a request of scope kKeys or kAll, wherever that is, and gives the reply to `sink` when it
  // may be shown. `may_forward` is false for what another node forwarded to this one.
  void submit(OwnedRequest request, ReplySink sink, bool may_forward = true);

  // No command over several shards and none in steps is under way, and none waits for the store.
  bool idle() const { return across_ == 0 && in_steps_ == 0 && parked_.empty(); }

 private:
  // Of scope kAll, about `default`.
  Route route_to_default(const Command& command) const;
  // If some key is in a strong keyspace.
  std::optional<Route> route_to_group(const OwnedRequest& request) const;
  struct Across;
  void run_here(OwnedRequest request, ReplySink sink);
  void execute_here(OwnedRequest request, ReplySink sink);
  // One that has lacked rights of a bounded counter waits for them and is executed again.
  bool await_rights(OwnedRequest& request, ReplySink& sink);
  // A command that is executed in steps.
  struct Steps;
  void take_steps(std::unique_ptr<Steps> steps);
  // Requests whose keys are being read from the store, in the order in which they came, and those
  // on the same keys that came behind them.
  struct Parked {
    std::uint64_t number;
    bool ready;
    OwnedRequest request;
    ReplySink sink;
    std::vector<std::string_view> keys;  // of the request
  };
  bool park(OwnedRequest& request, ReplySink& sink);
  void unpark();
  void run_on(ShardId shard, OwnedRequest request, ReplySink sink);
  void run_across(std::vector<ShardId> shards, OwnedRequest request, ReplySink sink);
  void borrow_next(std::unique_ptr<Across> across);
  void execute_across(std::unique_ptr<Across> across);
  // Gives all back, and replies when all have released what was written.
  void give_back(std::shared_ptr<Across> across);
  // done() when these shards have released what was written; they are given back, or no more in
  // use.
  void await_released(std::shared_ptr<Across> across, const std::vector<ShardId>& shards,
                      bool give_back, std::function<void(std::shared_ptr<Across>)> done);
  void run_within(OwnedRequest request, ReplySink sink);
  // Of scope kAll, about partitions of this node: one of them is asked after the other, and others
  // do not wait for all of it.
  struct Parts;
  void run_in_parts(OwnedRequest request, ReplySink sink);
  void ask_part(std::shared_ptr<Parts> parts);
  void run_elsewhere(OwnedRequest request, ReplySink sink);
  bool needs_all_shards(const Command& command, Args args) const;
  bool refuse_if_busy(std::span<const ShardId> shards, ReplySink& sink);
  // Before a request leaves the node, or is executed by others as well: puts the texts of scripts
  // in the places of their SHA-1. False: a script is not known, and that has been replied.
  bool carry_scripts(OwnedRequest& request, ReplySink& sink);
  void run_strong(PartitionId group, OwnedRequest request, ReplySink sink);
  // Of scope kAll, about `default` and all groups.
  struct AllKeyspaces;
  void run_in_all_keyspaces(OwnedRequest request, ReplySink sink);
  void scan_all_keyspaces(OwnedRequest request, ReplySink sink);
  void flush_all_keyspaces(std::shared_ptr<AllKeyspaces> all);
  void draw_key(std::shared_ptr<AllKeyspaces> all);
  // Asks with these words, and `like` a request in all else.
  void ask_default(const OwnedRequest& like, Args words, ReplySink sink);
  void ask_group(PartitionId group, const OwnedRequest& like, Args words, ReplySink sink);
  // The groups of `all`, and perhaps `default`; its replies are there when done() is called.
  void ask_all(std::shared_ptr<AllKeyspaces> all, bool with_default, Args words,
               std::move_only_function<void()> done);
  // Those of strong keyspaces in which keys can begin so, ascending.
  std::vector<PartitionId> groups_with_keys(std::string_view key_prefix, bool internal) const;
  void run_split(OwnedRequest request, ReplySink sink);
  // Of scope kAll, over several nodes.
  void run_everywhere(OwnedRequest request, ReplySink sink);
  void run_scan(OwnedRequest request, ReplySink sink);
  struct Gathering;
  struct Asking;
  void ask_any(std::shared_ptr<Asking> asking);
  void send_part(NodeNumber target, OwnedRequest part, ReplySink sink);
  std::string unreachable(PartitionId partition) const;
  std::vector<ShardId> shards_of(const OwnedRequest& request) const;
  // Asks `target` or, of what only reads, whoever holds all of its keys if that is late.
  void forward(NodeNumber target, OwnedRequest request, ReplySink sink);
  // The node to ask about a partition: this one if it holds it, else the first that can be reached
  // and is not suspected of being stopped, else the first that can be reached; 0: none. The same
  // for all commands while links are as they are, so that clients see their own writes.
  NodeNumber node_for(PartitionId partition) const;
  // The same for a command on several partitions that cannot be split.
  NodeNumber node_for_all(std::span<const PartitionId> partitions) const;

  ShardThread& thread_;
  std::size_t across_ = 0;
  std::size_t in_steps_ = 0;
  std::list<Parked> parked_;
  std::uint64_t next_parked_ = 0;
};

}  // namespace even
