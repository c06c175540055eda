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
#include <vector>

#include "base/ids.h"
#include "node/owned_request.h"
#include "peer/failure_detector.h"
#include "peer/forward_message.h"

namespace even {

class ShardThread;

class Forwarder {
 public:
  explicit Forwarder(ShardThread& thread) : thread_(thread) {}

  void forward(NodeNumber node, const OwnedRequest& request, ReplySink sink);
  // The same of one that only reads, which any of these nodes can answer: the first is asked, and
  // the next ones too when that is late or lost. See docs/hedging.md.
  void forward_read(std::vector<NodeNumber> nodes, OwnedRequest request, ReplySink sink);
  void receive_reply(NodeNumber node, const ForwardReply& reply);
  // Executes a request of another node and sends the reply back.
  void receive_request(NodeNumber node, const ForwardRequest& request);
  void link_down(NodeNumber node);
  // Gives up on what has waited for too long; called now and then.
  void tick(std::int64_t now_us);
  // How many reads another node was asked for, too, as the first was late; and how many of those
  // that one answered first.
  std::uint64_t hedged() const { return hedged_; }
  std::uint64_t hedges_won() const { return hedges_won_; }

 private:
  // A read that several nodes may be asked for.
  struct Hedge {
    OwnedRequest request;
    ReplySink sink;  // empty: it has been answered
    std::vector<NodeNumber> nodes;
    std::size_t asked = 0;  // so many of them
    std::size_t open = 0;   // so many have not answered
    bool at_one = false;    // what the next node has seen may be less
  };
  struct Pending {
    NodeNumber node;
    std::int64_t sent_us;
    std::int64_t deadline_us;
    ReplySink sink;
    std::shared_ptr<Hedge> hedge;           // in the place of a sink
    std::shared_ptr<SessionReach> session;  // of the client, if it has one
    bool writes = false;
  };

  void send(NodeNumber node, const OwnedRequest& request, ReplySink sink,
            std::shared_ptr<Hedge> hedge);
  // Asks the next node that there is a link to.
  bool ask_next(const std::shared_ptr<Hedge>& hedge);
  void hedge_late(std::int64_t now_us);
  // `lost`: the reply, of which nobody knows more.
  void answer(Pending pending, std::string bytes, std::string_view session, bool lost);

  // What the request's session has seen of its keys' partitions, encoded; empty: it has none.
  std::string session_of(const OwnedRequest& request) const;

  ShardThread& thread_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Pending> pending_;  // ids ascend, and with them deadlines
  std::map<NodeNumber, AnswerTime> answer_times_;
  std::multimap<std::int64_t, std::weak_ptr<Hedge>> late_;  // by when they are
  double hedges_left_ = 10;                                 // so many may be sent now
  std::uint64_t hedged_ = 0;
  std::uint64_t hedges_won_ = 0;
};

}  // namespace even
