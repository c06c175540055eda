// The simulated network: sessions between pairs of nodes, and messages that are delayed, lost,
// repeated and reordered within a session. A message never reaches a later session than the one it
// was sent in, as with TCP.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/ids.h"
#include "env/sim_scheduler.h"
#include "sim/options.h"

namespace even::sim {

class Network {
 public:
  struct Callbacks {
    std::function<void(NodeNumber at, NodeNumber peer)> up;
    std::function<void(NodeNumber at, NodeNumber peer)> down;
    std::function<void(NodeNumber at, NodeNumber peer, const std::string& message)> receive;
    std::function<bool(NodeNumber)> alive;
  };

  Network(const RunOptions& options, Scheduler& scheduler, Random& random, Callbacks callbacks);

  void send(NodeNumber from, NodeNumber to, std::string message);
  // The node stopped or started: its sessions end, new ones begin.
  void node_stopped(NodeNumber node);
  void node_started(NodeNumber node);
  // Nothing passes from `from` to `to` any more; sessions end after a while if it stays so.
  void cut(NodeNumber from, NodeNumber to);
  // Undoes all cuts; from now on nothing is lost, repeated or reordered.
  void heal(NodeNumber from, NodeNumber to);
  void become_reliable() { reliable_ = true; }

 private:
  struct Pair {  // unordered: first < second
    bool up = false;
    std::uint64_t session = 0;
  };
  struct Direction {
    bool cut = false;
    std::int64_t last_arrival_us = 0;
  };
  static std::pair<NodeNumber, NodeNumber> ordered(NodeNumber a, NodeNumber b) {
    return a < b ? std::pair{a, b} : std::pair{b, a};
  }
  void connect(NodeNumber a, NodeNumber b);
  void disconnect(NodeNumber a, NodeNumber b);

  const RunOptions& options_;
  Scheduler& scheduler_;
  Random& random_;
  Callbacks callbacks_;
  std::map<std::pair<NodeNumber, NodeNumber>, Pair> pairs_;
  std::map<std::pair<NodeNumber, NodeNumber>, Direction> directions_;
  bool reliable_ = false;
};

}  // namespace even::sim
