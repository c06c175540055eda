// The simulated network: sessions between pairs of nodes, one for each shard, and messages that are
// delayed, lost, repeated and reordered within a session. A message never reaches a later session
// than the one it was sent in, as with TCP. Nodes with different numbers of shards have no sessions
// with each other.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/ids.h"
#include "env/sim_scheduler.h"
#include "sim/options.h"

namespace even::sim {

class Network {
 public:
  struct Callbacks {
    // `session`: for enter(), when the process at `at` comes to it.
    std::function<void(NodeNumber at, NodeNumber peer, ShardId, std::uint64_t session)> up;
    std::function<void(NodeNumber at, NodeNumber peer, ShardId)> down;
    std::function<void(NodeNumber at, NodeNumber peer, ShardId, const std::string& message)>
        receive;
    std::function<ShardId(NodeNumber)> shards;  // 0: the node is down, or begins no session
  };

  Network(const RunOptions& options, Scheduler& scheduler, Random& random, Callbacks callbacks);

  // Nothing, if `from` has not entered the session that there is: what it sends goes into a socket
  // whose other end is gone.
  void send(NodeNumber from, NodeNumber to, ShardId shard, std::string message);
  // A process that was stopped comes to it late.
  void enter(NodeNumber at, NodeNumber peer, ShardId shard, std::uint64_t session);
  // Its sessions end, as it is about to stop, or those it has them with take it for gone.
  void end_sessions(NodeNumber node);
  // It takes sessions from now on: new ones begin, where there are none.
  void begin_sessions(NodeNumber node);
  // Nothing passes from `from` to `to` any more; sessions end after a while if it stays so.
  void cut(NodeNumber from, NodeNumber to);
  // Undoes a cut. A session of which it has swallowed something ends: TCP would not go on either.
  void heal(NodeNumber from, NodeNumber to);
  // From now on nothing is lost, repeated or reordered.
  void become_reliable() { reliable_ = true; }

 private:
  struct Session {
    bool up = false;
    std::uint64_t number = 0;
    std::map<NodeNumber, std::uint64_t> entered;         // the number of the one that a node is in
    bool was_cut = false;                                // something that was sent in it has gone
    std::map<NodeNumber, std::int64_t> last_arrival_us;  // at this node
  };
  struct Pair {  // unordered: first < second
    std::map<ShardId, Session> sessions;
  };
  Pair& pair_of(NodeNumber a, NodeNumber b) {
    return pairs_.at(a < b ? std::pair{a, b} : std::pair{b, a});
  }
  void connect(NodeNumber a, NodeNumber b);
  void begin(NodeNumber a, NodeNumber b, ShardId shard);
  void disconnect(NodeNumber a, NodeNumber b, bool if_cut = false);

  const RunOptions& options_;
  Scheduler& scheduler_;
  Random& random_;
  Callbacks callbacks_;
  std::map<std::pair<NodeNumber, NodeNumber>, Pair> pairs_;
  std::map<std::pair<NodeNumber, NodeNumber>, bool> cut_;  // from, to
  bool reliable_ = false;
};

}  // namespace even::sim
