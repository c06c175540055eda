// The subscriptions of the clients of one thread: from channels, shard channels and patterns to
// clients and back. Redis's semantics: https://redis.io/docs/latest/develop/interact/pubsub/
//
// Pure logic on one thread, but for the index that all threads share, which it keeps up to date.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "client/subscription_index.h"

namespace even {

// A message on its way to subscribers. Views what it is made from.
struct Published {
  SubscriptionKind kind = SubscriptionKind::kChannel;  // or kShardChannel
  std::string_view channel;
  std::string_view message;
};

// What a subscriber gets of it, written once for each protocol that one of them speaks.
class MessageFrame {
 public:
  // `pattern`: that the subscribers are subscribed to; null: to the channel itself.
  MessageFrame(const Published& published, const std::string* pattern)
      : published_(published), pattern_(pattern) {}
  const std::string& in(bool resp3);

 private:
  const Published& published_;
  const std::string* const pattern_;
  std::array<std::string, 2> frames_;
};

class Subscriptions;

// A client, as far as it is subscribed. Owned by its thread; to be taken out of the registry
// (unsubscribe_all) before it ends.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // A message that it is subscribed to; does not change any subscription.
  virtual void receive(MessageFrame& frame) = 0;

  std::size_t subscriptions(SubscriptionKind kind) const {
    return own_ == nullptr ? 0 : (*own_)[static_cast<std::size_t>(kind)].size();
  }
  bool subscribed() const { return own_ != nullptr; }

 private:
  friend Subscriptions;
  // By name: the number under which the registry has it.
  using Numbers = ByName<std::uint64_t>;
  using Own = std::array<Numbers, kSubscriptionKinds>;

  std::unique_ptr<Own> own_;  // null: none
};

class Subscriptions {
 public:
  Subscriptions(SubscriptionIndex& index, ShardId thread) : index_(index), thread_(thread) {}

  // False: it was subscribed already, or was not.
  bool subscribe(Subscriber& client, SubscriptionKind kind, std::string_view name);
  bool unsubscribe(Subscriber& client, SubscriptionKind kind, std::string_view name);
  void unsubscribe_all(Subscriber& client);
  // What the client is subscribed to, in the order in which it has subscribed.
  std::vector<std::string> names_of(const Subscriber& client, SubscriptionKind kind) const;

  // Gives a message to the subscribers of its channel, in the order in which they have subscribed,
  // then to those of patterns that match; one that has several such subscriptions gets it as often.
  // Returns how often it was given to somebody.
  std::uint64_t deliver(const Published& published);

  // Calls visit(subscriber) for every client that is subscribed. It may end subscriptions.
  template <typename Visit>
  void for_each(Visit visit) {
    for (Subscriber* client : std::vector(clients_.begin(), clients_.end())) visit(*client);
  }

 private:
  using Clients = absl::btree_map<std::uint64_t, Subscriber*>;  // by number, so in order
  using Names = ByName<Clients>;

  Names& of(SubscriptionKind kind) { return names_[static_cast<std::size_t>(kind)]; }
  void remove(SubscriptionKind kind, const std::string& name, std::uint64_t number);

  SubscriptionIndex& index_;
  const ShardId thread_;
  std::uint64_t next_number_ = 0;
  std::array<Names, kSubscriptionKinds> names_;
  absl::flat_hash_set<Subscriber*> clients_;
};

}  // namespace even
