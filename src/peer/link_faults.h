// Faults that EVEN.FAULT puts on the links to other nodes, for tests and trials of what the cluster
// does when the network fails. Safe from any thread.
//
// A link that is down is down in both directions, as a cut cable is. What loses or delays messages
// has a direction: a link that loses all of one is what is left of a network that fails in that
// direction alone, a simplex partition (Alquraan et al., An Analysis of Network-Partitioning
// Failures in Cloud Systems, OSDI 2018). It acts on the messages of a session, above TCP, which
// would itself need both directions; so it stays in one direction however long it lasts.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/ids.h"

namespace even {

struct LinkFault {
  struct Direction {
    std::uint32_t delay_ms = 0;  // messages are held for so long
    double drop = 0;             // share of messages that are lost, 0 to 1

    bool any() const { return delay_ms > 0 || drop > 0; }
    bool operator==(const Direction&) const = default;
  };

  bool down = false;  // the link is closed and new ones are refused
  Direction in;       // what comes from the other node
  Direction out;      // what is sent to it

  bool any() const { return down || in.any() || out.any(); }
  // "DOWN", "DELAY 20 ms", "DROP 100 % OUT", "DROP 5 % IN, DROP 10 % OUT", or empty.
  std::string to_text() const;
  bool operator==(const LinkFault&) const = default;
};

class LinkFaults {
 public:
  LinkFault get(NodeNumber peer) const {
    if (!any_.load(std::memory_order_acquire)) return {};
    std::lock_guard lock(mutex_);
    const auto found = faults_.find(peer);
    return found == faults_.end() ? LinkFault{} : found->second;
  }
  void set(NodeNumber peer, const LinkFault& fault) {
    std::lock_guard lock(mutex_);
    if (fault.any()) {
      faults_[peer] = fault;
    } else {
      faults_.erase(peer);
    }
    any_.store(!faults_.empty(), std::memory_order_release);
  }

 private:
  mutable std::mutex mutex_;
  std::map<NodeNumber, LinkFault> faults_;
  std::atomic<bool> any_{false};  // spares the lock where there are no faults, which is everywhere
};

}  // namespace even
