#include "client/tracking_table.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/database.h"
#include "base/reserved.h"

namespace even {
namespace {

// Of a thread that does not come to empty its box: then everything is invalid.
constexpr std::size_t kMostInBox = 100'000;
// From so many clients of a key on, it is looked whether they are still there.
constexpr std::size_t kManyClients = 8;
// That are let go when one is added: more than one, should the bound have been lowered.
constexpr std::size_t kLetGo = 16;

}  // namespace

thread_local std::uint64_t TrackingTable::Writer::current_ = 0;

TrackingTable::TrackingTable(ShardId threads)
    : threads_(threads), boxes_(std::make_unique<Mail[]>(threads)) {}

void TrackingTable::add(const Client& client) {
  std::lock_guard lock(clients_mutex_);
  if (ids_.insert(client.id).second) ++clients_;
}

void TrackingTable::add_prefixes(const Client& client, std::span<const std::string> prefixes) {
  std::lock_guard lock(clients_mutex_);
  for (const std::string& prefix : prefixes) {
    const auto [at, is_new] = prefixes_.try_emplace(prefix);
    at->second[client.id] = client.thread;
    if (is_new) ++lengths_[prefix.size()];
  }
  prefix_count_ = prefixes_.size();
}

void TrackingTable::remove(const Client& client, std::span<const std::string> prefixes) {
  std::lock_guard lock(clients_mutex_);
  for (const std::string& prefix : prefixes) {
    const auto at = prefixes_.find(prefix);
    if (at == prefixes_.end()) continue;
    at->second.erase(client.id);
    if (!at->second.empty()) continue;
    prefixes_.erase(at);
    if (--lengths_[prefix.size()] == 0) lengths_.erase(prefix.size());
  }
  prefix_count_ = prefixes_.size();
  // While the next one cannot come yet, of whom nothing may be forgotten.
  if (ids_.erase(client.id) > 0 && --clients_ == 0) forget_keys();
}

void TrackingTable::remember(const Client& client, std::string_view key) {
  {
    Stripe& stripe = stripe_of(key);
    std::lock_guard lock(stripe.mutex);
    const auto [at, is_new] = stripe.keys.try_emplace(key);
    if (is_new) ++keys_;
    Clients& clients = at->second;
    if (const auto known = std::ranges::find(clients, client.id, &Client::id);
        known != clients.end()) {
      known->no_loop = client.no_loop;
      return;
    }
    if (clients.size() >= kManyClients && std::has_single_bit(clients.size())) drop_gone(clients);
    clients.push_back(client);
    ++items_;
  }
  keep_bound(kLetGo);
}

// Entries of clients that have gone stay until their keys change; but there must not be more and
// more of them.
void TrackingTable::drop_gone(Clients& clients) {
  // remove() locks in the other order.
  std::shared_lock lock(clients_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  const std::size_t before = clients.size();
  const auto gone = [this](const Client& client) { return !ids_.contains(client.id); };
  clients.erase(std::remove_if(clients.begin(), clients.end(), gone), clients.end());
  items_ -= before - clients.size();
}

void TrackingTable::keep_bound(std::size_t limit) {
  for (; limit > 0; --limit) {
    const std::uint64_t most = most_keys_.load(std::memory_order_relaxed);
    if (most == 0 || keys_.load(std::memory_order_relaxed) <= most) return;
    for (std::size_t tried = 0; tried < kStripes; ++tried) {
      Stripe& stripe = stripes_[next_stripe_++ % kStripes];
      std::string key;
      Clients clients;
      {
        std::lock_guard lock(stripe.mutex);
        if (stripe.keys.empty()) continue;
        auto node = stripe.keys.extract(stripe.keys.begin());
        key = std::move(node.key());
        clients = std::move(node.mapped());
        --keys_;
        items_ -= clients.size();
      }
      for (const Client& client : clients) tell(client, {.client = client.id, .key = key});
      break;
    }
  }
}

void TrackingTable::key_changed(std::string_view stored) {
  if (is_reserved(stored)) return;
  // As in Redis, a key is the same in all databases.
  const std::string_view key = user_key(stored);
  const std::uint64_t writer = Writer::current_;
  if (keys_.load(std::memory_order_relaxed) > 0) {
    Clients clients;
    {
      Stripe& stripe = stripe_of(key);
      std::lock_guard lock(stripe.mutex);
      if (const auto at = stripe.keys.find(key); at != stripe.keys.end()) {
        // Whom nothing is told goes on to be remembered: a read that it has sent behind its own
        // change may be executed behind that.
        Clients kept;
        for (const Client& client : at->second) {
          (client.no_loop && client.id == writer ? kept : clients).push_back(client);
        }
        items_ -= clients.size();
        if (kept.empty()) {
          stripe.keys.erase(at);
          --keys_;
        } else {
          at->second = std::move(kept);
        }
      }
    }
    for (const Client& client : clients) {
      tell(client, {.client = client.id, .key = std::string(key), .own = writer == client.id});
    }
  }
  if (prefix_count_.load(std::memory_order_relaxed) == 0) return;
  std::vector<std::pair<Client, std::size_t>> broadcast;  // with the length of the prefix
  {
    std::shared_lock lock(clients_mutex_);
    for (const auto& [length, count] : lengths_) {
      if (length > key.size()) continue;
      const auto at = prefixes_.find(key.substr(0, length));
      if (at == prefixes_.end()) continue;
      for (const auto& [id, thread] : at->second) broadcast.push_back({{id, thread}, length});
    }
  }
  for (const auto& [client, length] : broadcast) {
    tell(client, {.client = client.id,
                  .key = std::string(key),
                  .broadcast = true,
                  .prefix = std::string(key.substr(0, length)),
                  .own = writer == client.id});
  }
}

template <typename What>
void TrackingTable::put(ShardId thread, What what) {
  Mail& mail = boxes_[thread];
  {
    std::lock_guard lock(mail.mutex);
    what(mail.box);
    if (mail.full.exchange(true)) return;
  }
  if (wake_) wake_(thread);
}

void TrackingTable::all_changed() {
  // First the keys: who is remembered for one from now on reads what is there from now on.
  forget_keys();
  for (ShardId thread = 0; thread < threads_; ++thread) {
    put(thread, [](Box& box) {
      box.all = true;
      box.some.clear();
    });
  }
}

void TrackingTable::forget_keys() {
  if (keys_.load(std::memory_order_relaxed) == 0) return;
  for (Stripe& stripe : stripes_) {
    Keys keys;
    std::lock_guard lock(stripe.mutex);
    keys.swap(stripe.keys);
    keys_ -= keys.size();
    for (const auto& [key, clients] : keys) items_ -= clients.size();
  }
}

void TrackingTable::tell(const Client& client, Invalidation invalidation) {
  put(client.thread, [&invalidation](Box& box) {
    if (box.all) return;
    box.some.push_back(std::move(invalidation));
    if (box.some.size() < kMostInBox) return;
    box.all = true;
    box.some = {};
  });
}

TrackingTable::Box TrackingTable::take(ShardId thread) {
  Mail& mail = boxes_[thread];
  std::lock_guard lock(mail.mutex);
  mail.full = false;
  return std::exchange(mail.box, {});
}

std::uint64_t TrackingTable::prefixes() const {
  return prefix_count_.load(std::memory_order_relaxed);
}

}  // namespace even
