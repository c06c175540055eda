// The links of one shard to the same shard of every other node: dials, keeps, and carries messages.
// Of each pair of nodes, the one with the smaller number dials; it tries again for as long as there
// is no link, after 50 ms at first and up to 1 s later on.
//
// One per shard thread; all calls on that thread. Problems are logged when they are new, not at
// every attempt.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "peer/failure_detector.h"
#include "peer/peer_link.h"
#include "replica/shard.h"

namespace even {

class ShardThread;

class PeerHub final : public Transport {
 public:
  explicit PeerHub(ShardThread& thread);

  // Begins to dial. The shard has been recovered.
  void start();
  // Ends all links and begins no more.
  void stop();
  // Takes over an accepted socket whose preamble has been read.
  void adopt(int socket);
  // EVEN.FAULT has changed the fault of the link to `node`.
  void fault_changed(NodeNumber node);

  bool up(NodeNumber node) const { return links_.contains(node); }
  bool any_up() const { return !links_.empty(); }
  // Whether a node that there is a link to has been silent for so long that others are to be asked
  // first: docs/hedging.md.
  bool suspects(NodeNumber node) const { return suspected_.contains(node); }
  // What a node has said to know (encode_welcome()), the last time that there was a link to it.
  std::uint8_t abilities(NodeNumber node) const {
    const auto found = abilities_.find(node);
    return found == abilities_.end() ? std::uint8_t{0} : found->second;
  }
  // Bytes of frames that have been sent over links to a node.
  std::uint64_t sent_bytes(NodeNumber node) const {
    const auto found = sent_bytes_.find(node);
    return found == sent_bytes_.end() ? 0 : found->second;
  }
  // Looks who is silent; called every few milliseconds.
  void tick(std::int64_t now_us);

  // Transport: messages of this thread's shard. Without a link the message is lost.
  void send(NodeNumber peer, std::string message) override;
  void send(NodeNumber peer, FrameType type, std::string body);
  // The same to every node that there is a link to, but for those on whose links more than `most`
  // bytes wait. Returns how many these are.
  std::size_t send_to_all(FrameType type, std::string_view body, std::size_t most);
  // Sends what the turn has queued.
  void flush() override;
  bool sends_to(NodeNumber node) const override;

  ShardThread& thread() { return thread_; }
  Hello hello() const;

  // For PeerLink.
  void note_sent(NodeNumber node, std::size_t bytes) { sent_bytes_[node] += bytes; }
  void link_begins(PeerLink& link);
  void link_ends(PeerLink& link, const std::string& reason);
  void receive(PeerLink& link, FrameType type, std::string_view body);

 private:
  void receive_shard_message(PeerLink& link, std::string_view body);
  struct Dial {
    std::unique_ptr<asio::steady_timer> timer;
    std::chrono::milliseconds wait{0};
    std::string problem;  // the last one logged
  };

  void dial(NodeNumber node);
  void dial_after(NodeNumber node, std::chrono::milliseconds wait);
  void connect(NodeNumber node, const tcp::endpoint& endpoint);
  void dial_failed(NodeNumber node, const std::string& problem, bool refused);
  std::string name(NodeNumber node) const;

  ShardThread& thread_;
  bool stopped_ = false;
  std::map<NodeNumber, std::shared_ptr<PeerLink>> links_;  // in session
  std::set<std::shared_ptr<PeerLink>> handshakes_;
  std::map<NodeNumber, Dial> dials_;
  std::map<NodeNumber, FailureDetector> detectors_;
  std::map<NodeNumber, std::uint8_t> abilities_;
  std::map<NodeNumber, std::uint64_t> sent_bytes_;
  std::set<NodeNumber> suspected_;  // as of the last look
  std::int64_t ticked_us_ = 0;
  std::int64_t looked_us_ = 0;
  std::string last_refusal_;  // of a link that the other side dialed
};

}  // namespace even
