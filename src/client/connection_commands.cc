#include "client/connection_commands.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "base/check.h"
#include "base/version.h"
#include "client/compatibility.h"
#include "engine/text.h"
#include "env/posix_clock.h"
#include "node/login.h"

namespace even {
namespace {

void ping(Connection& connection, Args args) {
  Reply reply = connection.reply();
  if (args.size() > 2) return reply.error(wrong_arity("ping"));
  if (connection.subscribed() && !connection.session().resp3) {
    reply.array(2);
    reply.bulk("pong");
    return reply.bulk(args.size() == 2 ? args[1] : "");
  }
  args.size() == 2 ? reply.bulk(args[1]) : reply.simple("PONG");
}

void echo(Connection& connection, Args args) { connection.reply().bulk(args[1]); }

void quit(Connection& connection, Args) {
  connection.reply().ok();
  connection.close_after_replies();
}

// `what`: the command, for ACL LOG.
bool authenticate(Connection& connection, std::string_view what, std::string_view user,
                  std::string_view password) {
  std::optional<Login> login = log_in(connection.thread(), user, password);
  if (!login) {
    if (const std::string why = why_no_login(connection.thread(), user); !why.empty()) {
      connection.reply().error(why);
      return false;
    }
    connection.note_denial(AclDenial::Reason::kAuth, what, user);
    connection.reply().error("WRONGPASS invalid username-password pair or user is disabled.");
    return false;
  }
  connection.session().become(std::move(login->user));
  connection.session().authenticated = true;
  return true;
}

void auth(Connection& connection, Args args) {
  if (args.size() > 3) return connection.reply().error(kSyntaxError);
  const AclUserPointer first = find_user(connection.thread(), kDefaultUser);
  const bool needs_none = first == nullptr ? !connection.thread().node().options.has_password()
                                           : first->needs_no_password();
  if (args.size() == 2 && needs_none && why_no_login(connection.thread()).empty()) {
    return connection.reply().error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  const std::string_view user = args.size() == 3 ? args[1] : kDefaultUser;
  if (authenticate(connection, args[0], user, args.back())) connection.reply().ok();
}

void hello(Connection& connection, Args args) {
  Session& session = connection.session();
  std::int64_t version = 0;
  if (args.size() >= 2) {
    if (!parse_strict_integer(args[1], version)) {
      return connection.reply().error("ERR Protocol version is not an integer or out of range");
    }
    if (version < 2 || version > 3) {
      return connection.reply().error("NOPROTO unsupported protocol version");
    }
  }
  const std::string_view *user = nullptr, *password = nullptr, *name = nullptr;
  for (std::size_t i = 2; i < args.size(); ++i) {
    const std::size_t more = args.size() - 1 - i;
    if (equals_ignore_case(args[i], "auth") && more >= 2) {
      user = &args[i + 1];
      password = &args[i + 2];
      i += 2;
    } else if (equals_ignore_case(args[i], "setname") && more >= 1) {
      name = &args[i + 1];
      if (!valid_client_name(*name)) return connection.reply().error(kBadClientName);
      i += 1;
    } else {
      return connection.reply().error(
          fmt::format("ERR Syntax error in HELLO option '{}'", args[i]));
    }
  }
  if (user != nullptr && !authenticate(connection, args[0], *user, *password)) return;
  if (!session.authenticated) {
    if (const std::string why = why_no_login(connection.thread()); !why.empty()) {
      return connection.reply().error(why);
    }
    return connection.reply().error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
        "protocol version at the same time");
  }
  if (name != nullptr) session.name = *name;
  if (version != 0) session.resp3 = version == 3;

  Reply reply = connection.reply();
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(session.resp3 ? 3 : 2);
  reply.bulk("id");
  reply.integer(static_cast<std::int64_t>(session.id));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

void reset(Connection& connection, Args) {
  connection.transaction().forget();
  connection.thread().subscriptions().unsubscribe_all(connection);
  connection.end_monitoring();
  connection.end_tracking();
  Session& session = connection.session();
  session.name.clear();
  connection.become_default_user();
  session.resp3 = false;
  session.database = 0;
  session.no_evict = false;
  session.no_touch = false;
  session.no_replies = session.skips_next_reply = false;
  session.read_level = session.write_level = {};
  connection.forget_session();
  connection.reply().simple("RESET");
}

void multi(Connection& connection, Args) {
  if (connection.transaction().open()) {
    return connection.reply().error("ERR MULTI calls can not be nested");
  }
  connection.transaction().begin(connection.session().database);
  connection.reply().ok();
}

void discard(Connection& connection, Args) {
  if (!connection.transaction().open()) {
    return connection.reply().error("ERR DISCARD without MULTI");
  }
  connection.transaction().forget();
  connection.reply().ok();
}

void unwatch(Connection& connection, Args) {
  connection.transaction().unwatch();
  connection.reply().ok();
}

void time(Connection& connection, Args) {
  const std::int64_t now = PosixClock(&connection.thread().node().clock_skew).wall_us();
  Reply reply = connection.reply();
  reply.array(2);
  reply.bulk(std::to_string(now / 1'000'000));
  reply.bulk(std::to_string(now % 1'000'000));
}

// DEBUG SLEEP stops the whole thread, as it stops the whole of Redis: other clients of the thread
// and its shard's replication wait.
void debug(Connection& connection, Args args) {
  Reply reply = connection.reply();
  if (equals_ignore_case(args[1], "help") && args.size() == 2) {
    reply.array(7);
    reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    reply.simple("ERROR <string>");
    reply.simple("    Reply this as an error, as tests of client libraries have it.");
    reply.simple("SLEEP <seconds>");
    reply.simple("    Stop the thread of this connection for <seconds>. Decimals allowed.");
    reply.simple("HELP");
    return reply.simple("    Prints this help.");
  }
  if (equals_ignore_case(args[1], "error") && args.size() == 3) return reply.error(args[2]);
  if (!equals_ignore_case(args[1], "sleep") || args.size() != 3) {
    return connection.reply().error(fmt::format(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.", args[1]));
  }
  const double seconds = std::strtod(std::string(args[2]).c_str(), nullptr);
  if (std::isfinite(seconds) && seconds > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, 86400.0)));
  }
  reply.ok();
}

// Clients ask for it to see which commands there are.
void module_command(Connection& connection, Args args) {
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "MODULE");
  connection.reply().array(0);
}

// OBJECT HELP; what is about keys has rows of its own.
void object(Connection& connection, Args) { reply_help(connection, "OBJECT"); }
void xgroup(Connection& connection, Args) { reply_help(connection, "XGROUP"); }
void xinfo(Connection& connection, Args) { reply_help(connection, "XINFO"); }

using Execute = void (*)(Connection&, Args);

const absl::flat_hash_map<std::string_view, Execute>& table() {
  static const absl::flat_hash_map<std::string_view, Execute> commands = {
      {"acl", execute_acl},
      {"function", execute_function},
      {"latency", execute_latency},
      {"lolwut", execute_lolwut},
      {"monitor", execute_monitor},
      {"ping", ping},
      {"echo", echo},
      {"quit", quit},
      {"auth", auth},
      {"hello", hello},
      {"reset", reset},
      {"multi", multi},
      {"discard", discard},
      {"unwatch", unwatch},
      {"select", execute_select},
      {"swapdb", execute_swapdb},
      {"time", time},
      {"debug", debug},
      {"cluster", execute_cluster},
      {"readonly", execute_of_cluster},
      {"readwrite", execute_of_cluster},
      {"asking", execute_of_cluster},
      {"object", object},
      {"module", module_command},
      {"xgroup", xgroup},
      {"xinfo", xinfo},
      {"lastsave", execute_lastsave},
      {"role", execute_role},
      {"shutdown", execute_shutdown},
      {"info", execute_info},
      {"client", execute_client},
      {"config", execute_config},
      {"memory", execute_memory},
      {"script", execute_script},
      {"slowlog", execute_slowlog},
      {"wait", execute_wait},
      {"waitaof", execute_waitaof},
      {"even.backup", execute_backup},
      {"even.check", execute_check},
      {"even.consistency", execute_consistency},
      {"even.groups", execute_groups},
      {"even.keyspace", execute_keyspace},
      {"even.quota", execute_quota},
      {"even.session", execute_session},
      {"even.topic", execute_topic},
      {"even.emit", execute_emit},
      {"even.fetch", execute_fetch},
      {"even.fault", execute_fault},
      {"subscribe", execute_subscribe},
      {"psubscribe", execute_psubscribe},
      {"ssubscribe", execute_ssubscribe},
      {"unsubscribe", execute_unsubscribe},
      {"punsubscribe", execute_punsubscribe},
      {"sunsubscribe", execute_sunsubscribe},
      {"publish", execute_publish},
      {"spublish", execute_spublish},
      {"pubsub", execute_pubsub},
  };
  return commands;
}

}  // namespace

void execute_connection_command(Connection& connection, const Command& command, Args args) {
  const auto found = table().find(command.name);
  EVEN_CHECK(found != table().end(), command.name);
  found->second(connection, args);
}

void reply_unknown_subcommand(Connection& connection, std::string_view container,
                              std::string_view subcommand) {
  connection.reply().error(fmt::format("ERR unknown subcommand '{}'. Try {} HELP.",
                                       subcommand.substr(0, 128), container));
}

void reply_help(Connection& connection, std::string_view container) {
  Reply reply = connection.reply();
  even::reply_help(reply, *find_command(container));
}

TableChanged reply_when_changed(Connection& connection) {
  return [weak = connection.weak_from_this(), slot = connection.open_slot(),
          command = connection.last_command()](std::string reply) {
    if (const auto client = weak.lock()) client->complete(slot, std::move(reply), command);
  };
}

}  // namespace even
