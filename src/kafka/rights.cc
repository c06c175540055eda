#include "kafka/rights.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "kafka/connection.h"
#include "kafka/coordinator.h"
#include "kafka/transactions.h"
#include "node/shard_thread.h"

namespace even::kafka {
namespace {

constexpr bool kQuietly = false;

bool may(Connection& client, std::initializer_list<std::string_view> words, bool note = true) {
  return client.may({words.begin(), words.size()}, note);
}

}  // namespace

bool may_produce(Connection& client, std::string_view topic) {
  return may(client, {"even.emit", topic, "key", "value"});
}

bool may_produce_somewhere(Connection& client) {
  if (may(client, {"even.emit", "", "key", "value"}, kQuietly)) return true;
  const auto topics = client.thread().keyspaces().topics();
  const bool any = std::ranges::any_of(topics, [&client](const cluster::Keyspace& topic) {
    return may(client, {"even.emit", topic.name, "key", "value"}, kQuietly);
  });
  return any || may(client, {"even.emit", "", "key", "value"});
}

bool may_fetch(Connection& client, std::string_view topic) {
  return may(client, {"even.fetch", topic, "0", "0"});
}

bool may_create(Connection& client, std::string_view topic) {
  return may(client, {"even.topic", "create", topic});
}

bool may_drop(Connection& client, std::string_view topic) {
  return may(client, {"even.topic", "drop", topic});
}

bool may_alter(Connection& client, std::string_view topic) {
  return may(client, {"even.topic", "alter", topic, "retention", "0"});
}

bool may_inspect(Connection& client, std::string_view topic) {
  return may(client, {"even.topic", "info", topic});
}

bool may_know(Connection& client, std::string_view topic) {
  return may(client, {"even.topic", "info", topic}, kQuietly) ||
         may(client, {"even.fetch", topic, "0", "0"}, kQuietly) ||
         may(client, {"even.emit", topic, "key", "value"}, kQuietly);
}

bool may_look_at_group(Connection& client, std::string_view group) {
  return may(client, {"hgetall", std::string(kOffsetsPrefix).append(group)});
}

bool may_know_group(Connection& client, std::string_view group) {
  return may(client, {"hgetall", std::string(kOffsetsPrefix).append(group)}, kQuietly);
}

bool may_delete_group(Connection& client, std::string_view group) {
  return may(client, {"del", std::string(kOffsetsPrefix).append(group)});
}

bool may_join_group(Connection& client, std::string_view group) {
  return may(client, {"hset", std::string(kOffsetsPrefix).append(group), "field", "value"});
}

bool may_see_quotas(Connection& client) { return may(client, {"even.quota", "list"}); }

bool may_set_quotas(Connection& client) {
  return may(client, {"even.quota", "set", "user", "name", "producer", "1"});
}

bool may_use_transactional_id(Connection& client, std::string_view id) {
  return may(client, {"set", std::string(kTransactionsPrefix).append(id), "value"});
}

}  // namespace even::kafka
