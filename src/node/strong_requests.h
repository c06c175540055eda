// Requests to strong partitions on their way to where they are executed: this node's member of the
// group, or its leader on another node, by way of who knows it. See docs/groups.md, "Reads and
// writes".
//
// One per shard thread, for the groups of this shard, on this node and on others: the links of a
// shard lead to the same shard of other nodes. submit() and await_served() are for any group; all
// calls on the thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/keyspace_table.h"
#include "node/owned_request.h"
#include "node/strong_lane.h"
#include "peer/strong_message.h"
#include "replica/strong.h"

namespace even {

class ShardThread;

// How a request with this level is served in a strong keyspace. The error is a reply's text:
// "CONSISTENCY ...".
struct ReadLevel {
  StrongRead read = StrongRead::kLinearizable;
  std::int64_t bound_ms = 0;
};
Result<ReadLevel> read_level(const cluster::Keyspace& keyspace, cluster::Level level);

struct StrongCall {
  OwnedRequest request;
  PartitionId group = 0;
  bool writes = false;
  ReadLevel level;
  consensus::Index after = 0;
  std::string once;
  std::int64_t once_ms = 0;  // how long clients may repeat it; the call itself needs no more
  std::int64_t deadline_ms = 5'000;
  std::shared_ptr<StrongLane> lane;  // of the client and the group; none: one of its own
};

// Takes the reply, and up to where the group had been applied when it was made, or 0.
using StrongSink = std::move_only_function<void(std::string reply, consensus::Index index)>;

class StrongRequests {
 public:
  explicit StrongRequests(ShardThread& thread);

  // Replies by the call's deadline, to this thread.
  void submit(StrongCall call, StrongSink sink);
  // Calls done() once all nodes that this thread has a link to, and this one, serve by this version
  // of the keyspaces or a later one; at a deadline with the names of those that do not.
  using Served = std::move_only_function<void(std::vector<std::string> missing)>;
  void await_served(std::uint64_t version, Served done);

  void receive_request(NodeNumber node, std::shared_ptr<const StrongMessage> message);
  void receive_serves(NodeNumber node, const ServesRequest& request);
  void receive_reply(NodeNumber node, StrongReply reply);
  void link_down(NodeNumber node);
  void tick(std::int64_t now_us);

  // The name of the keyspace that a group belongs to.
  std::string keyspace_of(PartitionId group) const;

 private:
  // A call of this shard's groups.
  struct Call : StrongTurn {
    std::uint64_t attempt = 0;  // its place among the calls
    StrongCall call;
    StrongSink sink;
    std::int64_t deadline_us = 0;
    std::int64_t asked_us = 0;
    std::int64_t again_us = 0;  // not to be asked again before: it has been refused
    bool too_stale = false;     // no member that was asked was fresh enough
    NodeNumber leader = 0;      // who was named last
    std::size_t turns = 0;      // to other nodes, in a row
    std::size_t candidate = 0;
    StrongRequest request() const;
  };
  using Calls = std::map<std::uint64_t, std::shared_ptr<Call>>;  // by the number of their attempt

  void begin(StrongCall call, StrongSink sink);
  // Of a call that nobody is at, if its lane lets it go. Gives it a new number.
  void attempt(Calls::iterator at);
  // Sends on to the leader what has been sent back by another member.
  void advance(std::shared_ptr<StrongLane> lane);
  // The same of what has waited for others of its lane, in a turn of its own.
  void advance_later(std::shared_ptr<StrongLane> lane);
  NodeNumber leader_elsewhere(PartitionId group) const;
  void ask_here(Calls::iterator at);
  void ask_node(Calls::iterator at, NodeNumber node);
  Calls::iterator renumber(Calls::iterator at, NodeNumber asked);
  void take(std::uint64_t attempt, NodeNumber from, StrongOutcome outcome);
  // This attempt did nothing and will not. If an earlier one may have, the call goes on.
  void take_refusal(Calls::iterator at, std::string reply);
  // `executed`: perhaps.
  void finish(Calls::iterator at, std::string reply, consensus::Index index, bool executed);
  void scan(std::int64_t now_us);
  void give_up(Calls::iterator at);
  std::string uncertain(const Call& call) const;
  std::string unavailable(const Call& call) const;
  std::vector<NodeNumber> members(PartitionId group) const;
  bool is_dropped(PartitionId group) const;  // its keyspace, as far as this thread knows

  std::string name(NodeNumber node) const;

  // Versions of keyspaces that are waited for.
  struct Awaited {
    std::uint64_t version = 0;
    std::int64_t deadline_us = 0;
    std::set<NodeNumber> missing;
    Served done;
  };
  void served_by(std::map<std::uint64_t, Awaited>::iterator at, NodeNumber node);
  // Of other nodes, about this one.
  struct Asking {
    NodeNumber node = 0;
    ServesRequest request;
    std::int64_t deadline_us = 0;
  };

  ShardThread& thread_;
  // Begins at random: a late reply to an earlier run is none to this one.
  std::uint64_t next_;
  Calls calls_;
  std::int64_t next_scan_us_ = 0;  // of the calls, for what takes too long
  bool any_waits_ = false;         // some call may be one that nobody is at
  std::vector<std::shared_ptr<StrongLane>> to_advance_;
  std::map<std::uint64_t, Awaited> awaited_;
  std::vector<Asking> asking_;
};

}  // namespace even
