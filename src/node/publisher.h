// Brings what is published to the subscribers: those of this thread, of the other threads of the
// node, and, of what clients of this thread publish, of all other nodes. docs/pubsub.md says what
// is promised and why it holds.
//
// One per shard thread; all calls on that thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "client/subscriptions.h"
#include "replica/key_events.h"

namespace even {

class ShardThread;

class Publisher {
 public:
  explicit Publisher(ShardThread& thread) : thread_(thread) {}

  // For a client. Returns how many subscriptions of this node the message met.
  std::uint64_t publish(const Published& published);
  // What another node has published. The error says that it is not that.
  Result<> receive(std::string_view frame);
  // What has happened to a key at this node is published to the node's own clients, in the end of
  // the turn.
  void note(const KeyEvent& event);
  // Publishes the turn's events, and hands what has been published in this turn to the links.
  void flush();

  struct Stats {
    std::uint64_t received = 0;  // messages of other nodes
    std::uint64_t dropped = 0;   // since too much waited on a link; for each such link
  };
  const Stats& stats() const { return stats_; }

 private:
  std::uint64_t deliver(const Published& published);
  void send_frame();

  ShardThread& thread_;
  struct Event {
    std::uint32_t kind;
    std::string_view name;  // a literal
    std::string key;
  };
  std::vector<Event> events_;
  std::string frame_;               // for the links
  std::uint64_t messages_ = 0;      // that are in it
  std::vector<ShardId> receivers_;  // kept for its memory
  Stats stats_;
};

}  // namespace even
