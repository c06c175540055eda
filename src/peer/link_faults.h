// Faults that EVEN.FAULT puts on the links to other nodes, for tests and trials of what the cluster
// does when the network fails. Both directions of a link are affected. Safe from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/ids.h"

namespace even {

struct LinkFault {
  bool down = false;           // the link is closed and new ones are refused
  std::uint32_t delay_ms = 0;  // messages are held for so long
  double drop = 0;             // share of messages that are lost, 0 to 1

  bool any() const { return down || delay_ms > 0 || drop > 0; }
  // "DOWN", "DELAY 20 ms", "DROP 5 %", or empty.
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
