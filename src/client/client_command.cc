// CLIENT: what connections say about themselves, listing and closing them.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

// The types of CLIENT LIST and CLIENT KILL. No replica or master is among the clients of a node.
enum class ClientType : std::uint8_t { kNormal, kPubsub, kOther };

std::optional<ClientType> parse_type(std::string_view text) {
  if (equals_ignore_case(text, "normal")) return ClientType::kNormal;
  if (equals_ignore_case(text, "pubsub")) return ClientType::kPubsub;
  for (std::string_view other : {"slave", "replica", "master"}) {
    if (equals_ignore_case(text, other)) return ClientType::kOther;
  }
  return std::nullopt;
}

std::optional<bool> parse_switch(std::string_view text, std::string_view on, std::string_view off) {
  if (equals_ignore_case(text, on)) return true;
  if (equals_ignore_case(text, off)) return false;
  return std::nullopt;
}

void set_info(Connection& connection, Args args) {
  Session& session = connection.session();
  const bool name = equals_ignore_case(args[2], "lib-name");
  if (!name && !equals_ignore_case(args[2], "lib-ver")) {
    return connection.reply().error(fmt::format("ERR Unrecognized option '{}'", args[2]));
  }
  if (!valid_client_name(args[3])) {
    return connection.reply().error(
        fmt::format("ERR {} cannot contain spaces, newlines or special characters.",
                    name ? "lib-name" : "lib-ver"));
  }
  (name ? session.library_name : session.library_version) = args[3];
  connection.reply().ok();
}

// Which clients CLIENT LIST shows or CLIENT KILL closes; an empty filter matches all.
struct Filter {
  std::set<std::uint64_t> ids;
  std::optional<std::string> address;
  std::optional<std::string> local_address;
  std::optional<ClientType> type;
  std::optional<std::string> user;
  std::optional<std::string> name;
  std::optional<std::string> library_name;
  std::optional<std::string> library_version;
  std::optional<std::int64_t> least_age_s;
  std::uint64_t skipped_id = 0;

  bool matches(Connection& client, std::int64_t now_us) const {
    const Session& session = client.session();
    const ClientType its = client.subscribed() ? ClientType::kPubsub : ClientType::kNormal;
    const std::int64_t age_s = (now_us - session.created_us) / 1'000'000;
    return (ids.empty() || ids.contains(session.id)) && (!address || *address == session.address) &&
           (!local_address || *local_address == session.local_address) && (!type || *type == its) &&
           (!user || *user == session.user_name()) && (!name || *name == session.name) &&
           (!library_name || *library_name == session.library_name) &&
           (!library_version || *library_version == session.library_version) &&
           (!least_age_s || age_s >= *least_age_s) && session.id != skipped_id;
  }
};

// Reads the options of CLIENT LIST or CLIENT KILL; false after an error reply.
bool parse_filter(Connection& connection, Args args, bool skip_me, Filter& filter) {
  Reply reply = connection.reply();
  auto failed = [&reply](std::string_view error) {
    reply.error(error);
    return false;
  };
  std::size_t i = 2;
  const auto take_ids = [&] {
    // One at least; as many more as there are numbers.
    for (const std::size_t first = i; i < args.size(); ++i) {
      std::int64_t id = 0;
      if (!parse_strict_integer(args[i], id)) return i > first;
      if (id < 1) return false;
      filter.ids.insert(static_cast<std::uint64_t>(id));
    }
    return true;
  };
  while (i < args.size()) {
    const std::string_view option = args[i];
    if (++i >= args.size()) return failed(kSyntaxError);
    if (equals_ignore_case(option, "id")) {
      filter.ids.clear();
      if (!take_ids()) return failed("ERR client-id should be greater than 0");
      continue;
    }
    const std::string_view value = args[i++];
    if (equals_ignore_case(option, "type")) {
      filter.type = parse_type(value);
      if (!filter.type) return failed(fmt::format("ERR Unknown client type '{}'", value));
    } else if (equals_ignore_case(option, "addr")) {
      filter.address = value;
    } else if (equals_ignore_case(option, "laddr")) {
      filter.local_address = value;
    } else if (equals_ignore_case(option, "user")) {
      const bool known =
          value == kDefaultUser || connection.thread().users().find(value) != nullptr;
      if (!known) return failed(fmt::format("ERR No such user '{}'", value));
      filter.user = value;
    } else if (equals_ignore_case(option, "name")) {
      filter.name = value;
    } else if (equals_ignore_case(option, "lib-name")) {
      filter.library_name = value;
    } else if (equals_ignore_case(option, "lib-ver")) {
      filter.library_version = value;
    } else if (equals_ignore_case(option, "maxage")) {
      std::int64_t age_s = 0;
      if (!parse_strict_integer(value, age_s)) {
        return failed("ERR maxage is not an integer or out of range");
      }
      if (age_s <= 0) return failed("ERR maxage should be greater than 0");
      filter.least_age_s = age_s;
    } else if (equals_ignore_case(option, "skipme")) {
      const std::optional<bool> skip = parse_switch(value, "yes", "no");
      if (!skip) return failed(kSyntaxError);
      skip_me = *skip;
    } else {
      return failed(kSyntaxError);
    }
  }
  if (skip_me) filter.skipped_id = connection.session().id;
  return true;
}

using Lines = std::vector<std::pair<std::uint64_t, std::string>>;  // by client id

void list(Connection& connection, Args args) {
  Filter filter;
  // Its words for a wrong number are other ones.
  if (args.size() > 3 && equals_ignore_case(args[2], "id")) {
    std::int64_t id = 0;
    if (!parse_strict_integer(args[3], id))
      return connection.reply().error("ERR Invalid client ID");
  }
  if (!parse_filter(connection, args, false, filter)) return;
  reply_gathered<Lines>(
      connection,
      [filter](ShardThread& thread) {
        Lines lines;
        const std::int64_t now_us = thread.clock().monotonic_us();
        for (const auto& [id, client] : thread.clients()) {
          if (filter.matches(*client, now_us)) lines.emplace_back(id, client->describe());
        }
        return lines;
      },
      [](Reply& reply, std::vector<Lines> answers) {
        std::map<std::uint64_t, std::string> lines;
        for (Lines& answer : answers) {
          for (auto& [id, line] : answer) lines.emplace(id, std::move(line));
        }
        std::string text;
        for (const auto& [id, line] : lines) text += line;
        reply.verbatim("txt", text);
      });
}

void kill(Connection& connection, Args args) {
  Filter filter;
  const bool old_style = args.size() == 3;  // CLIENT KILL address, which does not spare the caller
  if (old_style) {
    filter.address = args[2];
  } else if (!parse_filter(connection, args, true, filter)) {
    return;
  }
  reply_gathered<std::int64_t>(
      connection,
      [filter, self = connection.session().id](ShardThread& thread) {
        std::vector<std::shared_ptr<Connection>> matching;
        const std::int64_t now_us = thread.clock().monotonic_us();
        for (const auto& [id, client] : thread.clients()) {
          if (filter.matches(*client, now_us)) matching.push_back(client);
        }
        for (const auto& client : matching) {
          // The caller gets its reply first.
          client->session().id == self ? client->close_after_replies()
                                       : client->close("CLIENT KILL");
        }
        return static_cast<std::int64_t>(matching.size());
      },
      [old_style](Reply& reply, const std::vector<std::int64_t>& answers) {
        std::int64_t killed = 0;
        for (std::int64_t count : answers) killed += count;
        if (!old_style) return reply.integer(killed);
        killed > 0 ? reply.ok() : reply.error("ERR No such client");
      });
}

void unblock(Connection& connection, Args args) {
  std::int64_t id = 0;
  if (!parse_strict_integer(args[2], id)) return connection.reply().error(kNotInteger);
  bool error = false;
  if (args.size() == 4) {
    error = equals_ignore_case(args[3], "error");
    if (!error && !equals_ignore_case(args[3], "timeout")) {
      return connection.reply().error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  } else if (args.size() > 4) {
    return connection.reply().error(kSyntaxError);
  }
  reply_gathered<std::int64_t>(
      connection,
      [id = static_cast<std::uint64_t>(id), error](ShardThread& thread) {
        const auto client = thread.clients().find(id);
        const bool found = client != thread.clients().end();
        return std::int64_t{found &&
                            client->second->unblock_request(
                                error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : "")};
      },
      [](Reply& reply, const std::vector<std::int64_t>& answers) {
        reply.integer(*std::ranges::max_element(answers));
      });
}

// Connection leaves the replies out, this one included.
void set_replies(Connection& connection, std::string_view which) {
  Session& session = connection.session();
  if (equals_ignore_case(which, "on")) {
    session.no_replies = session.skips_reply = false;
    connection.reply().ok();
  } else if (equals_ignore_case(which, "off")) {
    session.no_replies = true;
  } else if (equals_ignore_case(which, "skip")) {
    session.skips_next_reply = !session.no_replies;
  } else {
    connection.reply().error(kSyntaxError);
  }
}

}  // namespace

void execute_client(Connection& connection, Args args) {
  Session& session = connection.session();
  auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  Reply reply = connection.reply();
  if (is("id")) return reply.integer(static_cast<std::int64_t>(session.id));
  if (is("getname")) return session.name.empty() ? reply.null() : reply.bulk(session.name);
  if (is("setname")) {
    if (!valid_client_name(args[2])) return reply.error(kBadClientName);
    session.name = args[2];
    return reply.ok();
  }
  if (is("setinfo")) return set_info(connection, args);
  if (is("capa")) return reply.ok();
  if (is("info")) return reply.verbatim("txt", connection.describe());
  if (is("list")) return list(connection, args);
  if (is("kill")) return kill(connection, args);
  if (is("unblock")) return unblock(connection, args);
  if (is("no-evict") || is("no-touch")) {
    const std::optional<bool> on = parse_switch(args[2], "on", "off");
    if (!on) return reply.error(kSyntaxError);
    (is("no-evict") ? session.no_evict : session.no_touch) = *on;
    return reply.ok();
  }
  if (is("reply")) return set_replies(connection, args[2]);
  if (is("tracking")) return execute_tracking(connection, args);
  if (is("caching")) return execute_caching(connection, args[2]);
  if (is("trackinginfo")) return execute_trackinginfo(connection);
  if (is("getredir")) return execute_getredir(connection);
  if (is("pause")) return execute_pause(connection, args);
  if (is("unpause")) return execute_unpause(connection);
  if (is("help")) return reply_help(connection, "CLIENT");
  reply_unknown_subcommand(connection, "CLIENT", args[1]);
}

}  // namespace even
