// CLIENT PAUSE: which commands of this node's clients wait for now. While none do, a command costs
// one look at a number.
//
// All calls from any thread. Times are of the monotonic clock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "engine/command.h"

namespace even {

// Whether it waits while writes are paused: what may write, and what Redis's replicas hear of.
constexpr bool is_paused_as_write(const Command& command) {
  return may_write(command) || command.name == "even.emit" || command.name == "publish" ||
         command.name == "spublish" || command.name == "pfcount";
}

class ClientPause {
 public:
  enum class Mode : std::uint8_t { kNone, kWrites, kAll };

  Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  bool any() const { return mode() != Mode::kNone; }
  // As in Redis, of two pauses the longer time and the stricter mode hold.
  void begin(Mode mode, std::int64_t until_us) {
    std::lock_guard lock(mutex_);
    until_us_ = any() ? std::max(until_us_, until_us) : until_us;
    mode_ = std::max(this->mode(), mode);
  }
  void end() {
    std::lock_guard lock(mutex_);
    mode_ = Mode::kNone;
  }
  // Ends it if it is over.
  void expire(std::int64_t now_us) {
    if (!any()) return;
    std::lock_guard lock(mutex_);
    if (now_us >= until_us_) mode_ = Mode::kNone;
  }

  // Clients that it holds up, for INFO: told by the threads on which they live.
  std::atomic<std::size_t> held{0};

 private:
  std::atomic<Mode> mode_{Mode::kNone};
  std::mutex mutex_;
  std::int64_t until_us_ = 0;
};

}  // namespace even
