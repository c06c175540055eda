// Requests that this node sends to another one because it holds none of the replicas, and the
// replies that come back. Sent on the link of this thread's shard.
//
// One per shard thread; all calls on that thread. A request whose link ends, or that is not
// answered in time, is answered with an error: whether it was executed is then unknown, as after
// any lost connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/ids.h"
#include "node/owned_request.h"
#include "peer/forward_message.h"

namespace even {

class ShardThread;

class Forwarder {
 public:
  explicit Forwarder(ShardThread& thread) : thread_(thread) {}

  void forward(NodeNumber node, const OwnedRequest& request, ReplySink sink);
  void receive_reply(NodeNumber node, const ForwardReply& reply);
  // Executes a request of another node and sends the reply back.
  void receive_request(NodeNumber node, const ForwardRequest& request);
  void link_down(NodeNumber node);
  // Gives up on what has waited for too long; called now and then.
  void tick(std::int64_t now_us);

 private:
  struct Pending {
    NodeNumber node;
    std::int64_t deadline_us;
    ReplySink sink;
    std::shared_ptr<SessionReach> session;  // of the client, if it has one
    bool writes = false;
  };

  // What the request's session has seen of its keys' partitions, encoded; empty: it has none.
  std::string session_of(const OwnedRequest& request) const;

  ShardThread& thread_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Pending> pending_;  // ids ascend, and with them deadlines
};

}  // namespace even
