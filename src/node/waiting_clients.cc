#include "node/waiting_clients.h"

#include <algorithm>
#include <utility>

namespace even {
namespace {

// After which there may be something to take that was not there before.
constexpr std::string_view kAdding[] = {
    "lpush", "rpush", "linsert", "new", "zadd", "zincr", "zunionstore", "zinterstore", "zdiffstore",
    "zrangestore", "xadd",
    // One that was there under another name, or elsewhere.
    "rename_to", "copy_to", "move_to", "restore", "sortstore", "geosearchstore", "georadiusstore",
    // What waits for a group that is no more is told so.
    "xgroup-destroy", "xgroup-setid"};

}  // namespace

bool WaitingClients::first_tries(std::string_view key) const {
  const auto line = by_key_.find(std::string(key));
  return line != by_key_.end() && waiters_.at(*line->second.begin()).woken;
}

bool WaitingClients::all_trying(const std::vector<std::string>& keys) const {
  const std::lock_guard lock(mutex_);
  return !keys.empty() &&
         std::ranges::all_of(keys, [this](const std::string& key) { return first_tries(key); });
}

WaitingClients::Place WaitingClients::add(std::vector<std::string> keys, std::function<void()> wake,
                                          Wait wait, bool takes, bool tried) {
  const std::lock_guard lock(mutex_);
  const Ticket ticket = next_++;
  const bool tries =
      !takes || wait == Wait::kAnyChange || keys.empty() ||
      !std::ranges::all_of(keys, [this](const std::string& key) { return first_tries(key); });
  for (const std::string& key : keys) by_key_[key].insert(ticket);
  const bool untried = !tries && !tried;
  untried_ += untried ? 1 : 0;
  const bool settled = !tries && tried;
  settled_ += settled ? 1 : 0;
  waiters_[ticket] = {.keys = std::move(keys),
                      .wake = std::move(wake),
                      .wait = wait,
                      .woken = tries,
                      .untried = untried,
                      .settled = settled};
  if (wait == Wait::kAnyChange) ++for_any_change_;
  if (size_.fetch_add(1) == 0) wanted_.fetch_or(kAwaited);
  return {.ticket = ticket, .tries = tries};
}

bool WaitingClients::poll(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  Waiter& waiter = waiters_.at(ticket);
  note_tried(waiter);
  return !std::exchange(waiter.woken, true);
}

bool WaitingClients::failed(Ticket ticket, bool pass_on) {
  const std::lock_guard lock(mutex_);
  Waiter& waiter = waiters_.at(ticket);
  if (pass_on) {
    for (const std::string& key : waiter.keys) wake_first(key, ticket);
  }
  if (untried_ > 0) {
    for (const std::string& key : waiter.keys) wake_untried(key, ticket);
  }
  if (std::exchange(waiter.again, false)) return true;
  waiter.woken = false;
  settled_ += std::exchange(waiter.settled, true) ? 0 : 1;
  return false;
}

void WaitingClients::remove(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = waiters_.find(ticket);
  if (found == waiters_.end()) return;
  note_tried(found->second);
  const Waiter waiter = std::move(found->second);
  waiters_.erase(found);
  if (waiter.wait == Wait::kAnyChange) --for_any_change_;
  settled_ -= waiter.settled ? 1 : 0;
  if (size_.fetch_sub(1) == 1) wanted_.fetch_and(~kAwaited);
  for (const std::string& key : waiter.keys) {
    const auto line = by_key_.find(std::string(key));
    if (line == by_key_.end()) continue;  // it was named twice
    line->second.erase(ticket);
    if (line->second.empty()) {
      by_key_.erase(line);
    } else if (waiter.woken) {
      wake_first(key, 0);
    }
  }
}

void WaitingClients::note(const KeyEvent& event) {
  if (size_.load(std::memory_order_relaxed) == 0) return;
  const bool puts = std::ranges::find(kAdding, event.name) != std::end(kAdding);
  if (!puts && for_any_change_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  if (puts) return wake_first(event.key, 0);
  const auto line = by_key_.find(std::string(event.key));
  if (line == by_key_.end()) return;
  for (const Ticket ticket : line->second) {
    if (Waiter& waiter = waiters_.at(ticket); waiter.wait == Wait::kAnyChange) wake(waiter);
  }
}

WaitingClients::Keys WaitingClients::keys() const {
  const std::lock_guard lock(mutex_);
  Keys out{.all = by_key_.size()};
  for (const auto& [key, line] : by_key_) {
    out.for_any_change += std::ranges::any_of(
        line, [this](Ticket ticket) { return waiters_.at(ticket).wait == Wait::kAnyChange; });
  }
  return out;
}

std::size_t WaitingClients::settled() const {
  const std::lock_guard lock(mutex_);
  return settled_;
}

// The first one whose ticket is beyond `behind`.
void WaitingClients::wake_first(std::string_view key, Ticket behind) {
  const auto line = by_key_.find(std::string(key));
  if (line == by_key_.end()) return;
  const auto first = line->second.upper_bound(behind);
  if (first == line->second.end()) return;
  wake(waiters_.at(*first));
}

// Who waits for a first try behind one that has tried in vain.
void WaitingClients::wake_untried(std::string_view key, Ticket behind) {
  const auto line = by_key_.find(std::string(key));
  if (line == by_key_.end()) return;
  for (auto at = line->second.upper_bound(behind); at != line->second.end(); ++at) {
    if (Waiter& waiter = waiters_.at(*at); waiter.untried) wake(waiter);
  }
}

void WaitingClients::note_tried(Waiter& waiter) {
  untried_ -= std::exchange(waiter.untried, false) ? 1 : 0;
}

void WaitingClients::wake_all() {
  if (size_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  for (auto& [ticket, waiter] : waiters_) wake(waiter);
}

void WaitingClients::wake_for_any_change() {
  if (for_any_change_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  for (auto& [ticket, waiter] : waiters_) {
    if (waiter.wait == Wait::kAnyChange) wake(waiter);
  }
}

void WaitingClients::wake(Waiter& waiter) {
  note_tried(waiter);
  if (std::exchange(waiter.woken, true)) {
    waiter.again = true;
  } else {
    waiter.wake();
  }
}

}  // namespace even
