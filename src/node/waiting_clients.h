// The clients of a node that wait for something to be put into one of the keys that they name
// (BLPOP and its like), by key, in the order in which they began to wait. Whoever changes a key
// tells; then the first one that waits for the key is woken, to try its command again.
//
// Who leaves after having been woken passes the word on to the next one, as there may be more.
//
// All calls from any thread.
#pragma once

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "replica/key_events.h"

namespace even {

class WaitingClients {
 public:
  // Orders those who wait.
  using Ticket = std::uint64_t;
  // A bit of the events that a node's shards are to tell of (KeyEventFlag), set while anybody
  // waits.
  static constexpr std::uint32_t kAwaited = 1u << 31;

  explicit WaitingClients(std::atomic<std::uint32_t>& wanted_events) : wanted_(wanted_events) {}

  enum class Wait : std::uint8_t {
    kPut,        // until something has been put into a key
    kAnyChange,  // until then, or until a key is changed in any other way, for instance deleted
  };

  // Whether the first in line at each of these keys is trying just now: what is there is for that
  // one, and who comes waits without having tried. Not so of no keys, as a request has whose number
  // of keys is wrong: it is to be told.
  bool all_trying(const std::vector<std::string>& keys) const;

  // One who has tried in vain, or not `tried` yet. `wake` is called on any thread, and calls
  // nothing of this. `tries`: what it waits for may have been put there since; it is to try once
  // more, and counts as woken. Not so if it takes what is there and the first in line at each of
  // its keys is trying just now: what has been put there is for that one, which passes the word on;
  // to one who has not tried yet also if it has tried in vain.
  struct Place {
    Ticket ticket = 0;
    bool tries = false;
  };
  Place add(std::vector<std::string> keys, std::function<void()> wake, Wait wait = Wait::kPut,
            bool takes = true, bool tried = true);
  // One who tries now and then is about to, and counts as woken. False: it has been woken already.
  bool poll(Ticket ticket);
  // One who was woken has tried in vain, and waits on. True: something has been put there in the
  // meantime, try again. `pass_on`: what is there is not for it, but may be for those behind it.
  bool failed(Ticket ticket, bool pass_on);
  void remove(Ticket ticket);
  // Of the shards' threads.
  void note(const KeyEvent& event);
  // Any key may have gone: of those who wait for that.
  void wake_for_any_change();
  // Something may have been put anywhere, or is told of elsewhere from now on.
  void wake_all();

  // How many keys somebody waits for; and for how many of these also for them to go.
  struct Keys {
    std::size_t all = 0;
    std::size_t for_any_change = 0;
  };
  Keys keys() const;
  // How many of them have looked since they stand in line, and found nothing: whatever comes from
  // now on is for them in their order. The others are about to look for the first time.
  std::size_t settled() const;

  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Waiter {
    std::vector<std::string> keys;
    std::function<void()> wake;
    Wait wait = Wait::kPut;
    bool woken = false;
    bool again = false;    // since it was woken
    bool untried = false;  // it waits for its first try
    bool settled = false;
  };
  bool first_tries(std::string_view key) const;
  void wake_first(std::string_view key, Ticket behind);
  void wake_untried(std::string_view key, Ticket behind);
  void wake(Waiter& waiter);
  void note_tried(Waiter& waiter);

  std::atomic<std::uint32_t>& wanted_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::size_t> for_any_change_{0};  // of these
  mutable std::mutex mutex_;                    // of what follows
  Ticket next_ = 1;
  std::size_t untried_ = 0;
  std::size_t settled_ = 0;
  absl::flat_hash_map<Ticket, Waiter> waiters_;
  absl::flat_hash_map<std::string, absl::btree_set<Ticket>> by_key_;
};

}  // namespace even
