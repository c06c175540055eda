#include "client/subscriptions.h"

#include <algorithm>

#include "base/check.h"
#include "engine/glob.h"
#include "engine/reply.h"

namespace even {

const std::string& MessageFrame::in(bool resp3) {
  std::string& frame = frames_[resp3 ? 1 : 0];
  if (!frame.empty()) return frame;
  constexpr std::size_t kHeaders = 64;
  frame.reserve(kHeaders + published_.channel.size() + published_.message.size() +
                (pattern_ == nullptr ? 0 : pattern_->size()));
  Reply reply(frame, resp3);
  reply.push(pattern_ == nullptr ? 3 : 4);
  if (pattern_ != nullptr) {
    reply.bulk("pmessage");
    reply.bulk(*pattern_);
  } else {
    reply.bulk(published_.kind == SubscriptionKind::kShardChannel ? "smessage" : "message");
  }
  reply.bulk(published_.channel);
  reply.bulk(published_.message);
  return frame;
}

bool Subscriptions::subscribe(Subscriber& client, SubscriptionKind kind, std::string_view name) {
  if (client.own_ == nullptr) {
    client.own_ = std::make_unique<Subscriber::Own>();
    clients_.insert(&client);
  }
  const auto [own, added] =
      (*client.own_)[static_cast<std::size_t>(kind)].try_emplace(name, next_number_);
  if (!added) return false;
  of(kind)[own->first].emplace(next_number_++, &client);
  index_.add(kind, name, thread_);
  return true;
}

void Subscriptions::remove(SubscriptionKind kind, const std::string& name, std::uint64_t number) {
  const auto found = of(kind).find(name);
  EVEN_CHECK(found != of(kind).end() && found->second.erase(number) == 1,
             "a client's subscription is in the registry");
  if (found->second.empty()) of(kind).erase(found);
  index_.remove(kind, name, thread_);
}

bool Subscriptions::unsubscribe(Subscriber& client, SubscriptionKind kind, std::string_view name) {
  if (client.own_ == nullptr) return false;
  Subscriber::Numbers& own = (*client.own_)[static_cast<std::size_t>(kind)];
  const auto found = own.find(name);
  if (found == own.end()) return false;
  remove(kind, found->first, found->second);
  own.erase(found);
  if (!std::ranges::all_of(*client.own_, [](const auto& names) { return names.empty(); })) {
    return true;
  }
  client.own_.reset();
  clients_.erase(&client);
  return true;
}

void Subscriptions::unsubscribe_all(Subscriber& client) {
  if (client.own_ == nullptr) return;
  for (std::size_t kind = 0; kind < kSubscriptionKinds; ++kind) {
    for (const auto& [name, number] : (*client.own_)[kind]) {
      remove(static_cast<SubscriptionKind>(kind), name, number);
    }
  }
  client.own_.reset();
  clients_.erase(&client);
}

std::vector<std::string> Subscriptions::names_of(const Subscriber& client,
                                                 SubscriptionKind kind) const {
  if (client.own_ == nullptr) return {};
  const Subscriber::Numbers& own = (*client.own_)[static_cast<std::size_t>(kind)];
  std::vector<std::pair<std::uint64_t, std::string>> numbered;
  for (const auto& [name, number] : own) numbered.emplace_back(number, name);
  std::ranges::sort(numbered);
  std::vector<std::string> names;
  for (auto& [number, name] : numbered) names.push_back(std::move(name));
  return names;
}

std::uint64_t Subscriptions::deliver(const Published& published) {
  if (clients_.empty()) return 0;
  std::uint64_t given = 0;
  const auto give = [&](const Clients& clients, const std::string* pattern) {
    MessageFrame frame(published, pattern);
    for (const auto& [number, client] : clients) client->receive(frame);
    given += clients.size();
  };
  const Names& channels = of(published.kind);
  if (const auto found = channels.find(published.channel); found != channels.end()) {
    give(found->second, nullptr);
  }
  if (published.kind == SubscriptionKind::kShardChannel) return given;
  for (const auto& [pattern, clients] : of(SubscriptionKind::kPattern)) {
    if (glob_match(pattern, published.channel)) give(clients, &pattern);
  }
  return given;
}

}  // namespace even
