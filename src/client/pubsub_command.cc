// SUBSCRIBE and PUBLISH with their kin, and PUBSUB. Replies are those of Redis 7.0.15.
#include <fmt/format.h>

#include <optional>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

// The reply to one name: what was done, and how many subscriptions the client has now. Of shard
// channels that is a count of its own.
void reply_changed(Connection& connection, SubscriptionKind kind, std::string_view what,
                   const std::optional<std::string_view>& name) {
  Reply reply = connection.reply();
  reply.push(3);
  reply.bulk(what);
  name ? reply.bulk(*name) : reply.null();
  const std::size_t count = kind == SubscriptionKind::kShardChannel
                                ? connection.subscriptions(kind)
                                : connection.subscriptions(SubscriptionKind::kChannel) +
                                      connection.subscriptions(SubscriptionKind::kPattern);
  reply.integer(static_cast<std::int64_t>(count));
  connection.mark_pushes();
}

void subscribe(Connection& connection, SubscriptionKind kind, std::string_view what, Args names) {
  for (const std::string_view name : names) {
    connection.thread().subscriptions().subscribe(connection, kind, name);
    reply_changed(connection, kind, what, name);
  }
}

void unsubscribe(Connection& connection, SubscriptionKind kind, std::string_view what, Args names) {
  Subscriptions& all = connection.thread().subscriptions();
  const auto end = [&](std::string_view name) {
    all.unsubscribe(connection, kind, name);
    reply_changed(connection, kind, what, name);
  };
  if (!names.empty()) {
    for (const std::string_view name : names) end(name);
    return;
  }
  const std::vector<std::string> own = all.names_of(connection, kind);
  for (const std::string& name : own) end(name);
  if (own.empty()) reply_changed(connection, kind, what, std::nullopt);
}

void publish(Connection& connection, SubscriptionKind kind, Args args) {
  const std::uint64_t receivers = connection.thread().publisher().publish(
      {.kind = kind, .channel = args[1], .message = args[2]});
  connection.reply().integer(static_cast<std::int64_t>(receivers));
}

void reply_names(Connection& connection, SubscriptionKind kind, Args args) {
  Reply reply = connection.reply();
  if (args.size() > 3) {
    return reply.error(
        fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB "
                    "HELP.",
                    args[1].substr(0, 128)));
  }
  const std::vector<std::string> names = connection.thread().node().subscriptions.names_matching(
      kind, args.size() == 3 ? std::optional(args[2]) : std::nullopt);
  reply.array(names.size());
  for (const std::string& name : names) reply.bulk(name);
}

void reply_counts(Connection& connection, SubscriptionKind kind, Args names) {
  Reply reply = connection.reply();
  reply.array(2 * names.size());
  for (const std::string_view name : names) {
    reply.bulk(name);
    reply.integer(
        static_cast<std::int64_t>(connection.thread().node().subscriptions.count(kind, name)));
  }
}

}  // namespace

void execute_subscribe(Connection& connection, Args args) {
  subscribe(connection, SubscriptionKind::kChannel, "subscribe", args.subspan(1));
}

void execute_psubscribe(Connection& connection, Args args) {
  subscribe(connection, SubscriptionKind::kPattern, "psubscribe", args.subspan(1));
}

void execute_ssubscribe(Connection& connection, Args args) {
  // The replies of EXEC are one for each command. Redis allows the other two for the sake of
  // programs from before it minded.
  if (connection.in_exec()) {
    return connection.reply().error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
  }
  subscribe(connection, SubscriptionKind::kShardChannel, "ssubscribe", args.subspan(1));
}

void execute_unsubscribe(Connection& connection, Args args) {
  unsubscribe(connection, SubscriptionKind::kChannel, "unsubscribe", args.subspan(1));
}

void execute_punsubscribe(Connection& connection, Args args) {
  unsubscribe(connection, SubscriptionKind::kPattern, "punsubscribe", args.subspan(1));
}

void execute_sunsubscribe(Connection& connection, Args args) {
  unsubscribe(connection, SubscriptionKind::kShardChannel, "sunsubscribe", args.subspan(1));
}

void execute_publish(Connection& connection, Args args) {
  publish(connection, SubscriptionKind::kChannel, args);
}

void execute_spublish(Connection& connection, Args args) {
  publish(connection, SubscriptionKind::kShardChannel, args);
}

void execute_pubsub(Connection& connection, Args args) {
  const auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  if (is("channels")) return reply_names(connection, SubscriptionKind::kChannel, args);
  if (is("shardchannels")) return reply_names(connection, SubscriptionKind::kShardChannel, args);
  if (is("numsub")) return reply_counts(connection, SubscriptionKind::kChannel, args.subspan(2));
  if (is("shardnumsub"))
    return reply_counts(connection, SubscriptionKind::kShardChannel, args.subspan(2));
  if (is("numpat")) {
    const std::size_t patterns =
        connection.thread().node().subscriptions.names(SubscriptionKind::kPattern);
    return connection.reply().integer(static_cast<std::int64_t>(patterns));
  }
  if (is("help")) return reply_help(connection, "PUBSUB");
  reply_unknown_subcommand(connection, "PUBSUB", args[1]);
}

bool allowed_while_subscribed(const Command& command) {
  return command.name.ends_with("subscribe") || command.name == "ping" || command.name == "quit" ||
         command.name == "reset";
}

std::string refusal_while_subscribed(const Command& command, std::string_view name) {
  return fmt::format(
      "{}Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
      "allowed in this context",
      command.name == "exec" ? "EXECABORT Transaction discarded because of: " : "ERR ", name);
}

}  // namespace even
