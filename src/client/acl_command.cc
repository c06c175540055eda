// ACL: see docs/operations.md, "Users". SETUSER, DELUSER and LOAD are entries of the metadata group
// (engine/cmd_meta.h) and reply when the nodes in reach serve by what has come of them; all else
// shows what this node serves by. Replies are those of Redis 7.0.15.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "client/acl_file.h"
#include "client/connection_commands.h"
#include "engine/cmd_meta.h"
#include "engine/text.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"

namespace even {
namespace {

constexpr std::string_view kNoFile =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users "
    "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration.";
constexpr std::int64_t kMostPasswordBits = 4096;
constexpr std::int64_t kUsualPasswordBits = 256;
constexpr std::int64_t kUsualLogEntries = 10;

void refuse_words(Connection& connection, std::string_view subcommand) {
  connection.reply().error(
      fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.",
                  subcommand.substr(0, 128)));
}

// `default`, as long as nobody has changed it.
AclUser unchanged_default(Connection& connection) {
  return AclUser::with_all_rights(std::string(kDefaultUser),
                                  connection.thread().node().options.password());
}

// Null: there is none.
AclUserPointer user_or_default(Connection& connection, std::string_view name) {
  AclUserPointer user = connection.thread().users().find(name);
  if (user != nullptr || name != kDefaultUser) return user;
  return std::make_shared<const AclUser>(unchanged_default(connection));
}

std::vector<AclUserPointer> users_and_default(Connection& connection) {
  std::vector<AclUserPointer> users;
  for (const auto& [name, user] : connection.thread().users().all()) users.push_back(user);
  if (connection.thread().users().find(kDefaultUser) == nullptr) {
    users.push_back(user_or_default(connection, kDefaultUser));
    std::ranges::sort(users, {}, [](const AclUserPointer& user) { return user->name(); });
  }
  return users;
}

std::string line_of(const AclUser& user) {
  return fmt::format("user {} {}", user.name(), user.definition());
}

// Has the users changed; `reply`: when they are.
void change_users(Connection& connection, std::vector<std::string> words, std::string reply) {
  // Else nodes of an earlier version would come to something else.
  if (words[0] != "DELUSER" && all_know(connection.thread(), kMarksUsers, {})) {
    if (words[0] == "SETUSER") {
      words.emplace_back(kCreatedRule);
    } else {
      for (std::size_t i = 2; i < words.size(); i += 2) words[i].append(" ").append(kCreatedRule);
    }
  }
  words.insert(words.begin(), std::string(kMetaCommand));
  const std::uint64_t slot = connection.open_slot();
  change_table(connection.thread(), std::move(words), "users",
               [weak = connection.weak_from_this(), slot, command = connection.last_command(),
                reply = std::move(reply)](std::string outcome) mutable {
                 const auto self = weak.lock();
                 if (!self) return;
                 if (outcome == "+OK\r\n") outcome = std::move(reply);
                 self->complete(slot, std::move(outcome), command);
               });
}

// Behind the rule of the password, to the words as to the user.
Result<> add_scram(AclUser& user, std::string_view password, std::vector<std::string>& words) {
  Result<std::string> rule = scram_rule(user, password);
  if (!rule) return std::unexpected(rule.error());
  if (Result<> applied = user.apply(*rule); !applied) return applied;
  words.push_back(std::move(*rule));
  return {};
}

void set_user(Connection& connection, Args args) {
  const std::string_view name = args[2];
  if (!valid_user_name(name)) {
    return connection.reply().error("ERR Usernames can't contain spaces or null characters");
  }
  const Result<std::vector<std::string>> rules = merge_selectors(args.subspan(3));
  if (!rules) return connection.reply().error("ERR " + rules.error().message);
  const AclUserPointer known = user_or_default(connection, name);
  // What is wrong with them is told in the words that were given, and no password leaves the node.
  AclUser user = known != nullptr ? *known : AclUser(std::string(name));
  if (const RuntimeOptions& options = connection.thread().node().options;
      name == kDefaultUser && connection.thread().users().find(name) == nullptr &&
      options.has_password()) {
    // What the password of the configuration has been good for, it goes on to be.
    const Result<std::string> rule = scram_rule(user, options.password());
    if (Result<> applied = rule ? user.apply(*rule) : std::unexpected(rule.error()); !applied) {
      return connection.reply().error("ERR " + applied.error().message);
    }
  }
  std::vector<std::string> words = {"SETUSER", std::string(name),
                                    name == kDefaultUser ? user.stored() : std::string()};
  for (const std::string& rule : *rules) {
    Result<> applied = is_inner_rule(rule) ? fail("Syntax error") : user.apply(rule);
    if (!applied) {
      return connection.reply().error(
          fmt::format("ERR Error in ACL SETUSER modifier '{}': {}", rule, applied.error().message));
    }
    words.push_back(without_password(rule));
    if (!rule.starts_with('>')) continue;
    if (Result<> added = add_scram(user, rule.substr(1), words); !added) {
      return connection.reply().error("ERR " + added.error().message);
    }
  }
  change_users(connection, std::move(words), "+OK\r\n");
}

void delete_users(Connection& connection, Args names) {
  std::int64_t count = 0;
  std::vector<std::string> words = {"DELUSER"};
  for (const std::string_view name : names) {
    if (name == kDefaultUser) {
      return connection.reply().error("ERR The 'default' user cannot be removed");
    }
    if (std::ranges::find(words.begin() + 1, words.end(), name) != words.end()) continue;
    count += connection.thread().users().find(name) != nullptr ? 1 : 0;
    words.emplace_back(name);
  }
  change_users(connection, std::move(words), fmt::format(":{}\r\n", count));
}

void reply_selector(Reply& reply, const AclSelector& selector) {
  reply.bulk("commands");
  reply.bulk(selector.commands());
  reply.bulk("keys");
  reply.bulk(selector.keys());
  reply.bulk("channels");
  reply.bulk(selector.channels());
}

void get_user(Connection& connection, std::string_view name) {
  const AclUserPointer user = user_or_default(connection, name);
  Reply reply = connection.reply();
  if (user == nullptr) return reply.null();
  reply.map(6);
  reply.bulk("flags");
  const std::vector<std::string_view> flags = user->flags();
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.bulk(flag);
  reply.bulk("passwords");
  reply.array(user->password_hashes().size());
  for (const std::string& hash : user->password_hashes()) reply.bulk(hash);
  reply_selector(reply, user->selectors().front());
  reply.bulk("selectors");
  reply.array(user->selectors().size() - 1);
  for (const AclSelector& selector : user->selectors().subspan(1)) {
    reply.map(3);
    reply_selector(reply, selector);
  }
}

void list_users(Connection& connection, bool names_only) {
  const std::vector<AclUserPointer> users = users_and_default(connection);
  Reply reply = connection.reply();
  reply.array(users.size());
  for (const AclUserPointer& user : users) {
    reply.bulk(names_only ? user->name() : line_of(*user));
  }
}

void list_categories(Connection& connection, Args args) {
  Reply reply = connection.reply();
  if (args.size() > 3) return refuse_words(connection, args[1]);
  if (args.size() == 2) {
    reply.array(std::size(kCategories));
    for (const std::string_view category : kCategories) reply.bulk(category.substr(1));
    return;
  }
  const auto names = commands_of_category(args[2]);
  if (!names) return reply.error(fmt::format("ERR Unknown category '{}'", args[2]));
  reply.array(names->size());
  for (const std::string& name : *names) reply.bulk(name);
}

void draw_password(Connection& connection, Args args) {
  if (args.size() > 3) return refuse_words(connection, args[1]);
  std::int64_t bits = kUsualPasswordBits;
  if (args.size() == 3) {
    if (!parse_strict_integer(args[2], bits)) return connection.reply().error(kNotInteger);
    if (bits <= 0 || bits > kMostPasswordBits) {
      return connection.reply().error(fmt::format(
          "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
          "number up to {}",
          kMostPasswordBits));
    }
  }
  unsigned char bytes[kMostPasswordBits / 8];
  const auto digits = static_cast<std::size_t>((bits + 3) / 4);
  const std::size_t wanted = (digits + 1) / 2;
  for (std::size_t drawn = 0; drawn < wanted;) {
    const ssize_t more = ::getrandom(bytes + drawn, wanted - drawn, 0);
    if (more < 0 && errno != EINTR) {
      return connection.reply().error("ERR the system gives no random numbers");
    }
    drawn += static_cast<std::size_t>(std::max<ssize_t>(more, 0));
  }
  std::string password;
  for (std::size_t i = 0; i < wanted; ++i) password += fmt::format("{:02x}", bytes[i]);
  password.resize(digits);
  connection.reply().bulk(password);
}

void dry_run_as(Connection& connection, Args args) {
  Reply reply = connection.reply();
  const AclUserPointer user = user_or_default(connection, args[2]);
  if (user == nullptr) return reply.error(fmt::format("ERR User '{}' not found", args[2]));
  const Args words = args.subspan(3);
  const Command* command = find_command(words);
  const bool known = command != nullptr && (command->subcommands.empty() || words.size() < 2 ||
                                            find_subcommand(*command, words[1]) != nullptr);
  if (!known) return reply.error(fmt::format("ERR Command '{}' not found", words[0]));
  if (const std::string error = check_arity(*command, words); !error.empty()) {
    return reply.error(error);
  }
  const std::optional<AclDenial> denial = user->check(words);
  denial ? reply.bulk(denial->reply_to_dry_run()) : reply.ok();
}

std::string_view acl_text_of(AclDenial::Reason reason) {
  switch (reason) {
    case AclDenial::Reason::kKey:
      return "key";
    case AclDenial::Reason::kAuth:
      return "auth";
    case AclDenial::Reason::kChannel:
      return "channel";
    default:
      return "command";
  }
}

std::string_view acl_text_of(AclLog::Where where) {
  return where == AclLog::Where::kMulti ? "multi"
         : where == AclLog::Where::kLua ? "lua"
                                        : "toplevel";
}

void reply_acl_log(Connection& connection, Args args) {
  if (args.size() > 3) return refuse_words(connection, args[1]);
  AclLog& entries = connection.thread().node().acl_log;
  std::int64_t count = kUsualLogEntries;
  if (args.size() == 3) {
    if (equals_ignore_case(args[2], "reset")) {
      entries.reset();
      return connection.reply().ok();
    }
    if (!parse_strict_integer(args[2], count)) return connection.reply().error(kNotInteger);
  }
  const std::int64_t now_ms = connection.thread().clock().wall_ms();
  const std::vector<AclLog::Entry> latest =
      entries.latest(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
  Reply reply = connection.reply();
  reply.array(latest.size());
  for (const AclLog::Entry& entry : latest) {
    reply.map(7);
    reply.bulk("count");
    reply.integer(static_cast<std::int64_t>(entry.count));
    reply.bulk("reason");
    reply.bulk(acl_text_of(entry.reason));
    reply.bulk("context");
    reply.bulk(acl_text_of(entry.where));
    reply.bulk("object");
    reply.bulk(entry.object);
    reply.bulk("username");
    reply.bulk(entry.user);
    reply.bulk("age-seconds");
    reply.real(static_cast<double>(std::max<std::int64_t>(now_ms - entry.at_ms, 0)) / 1000.0);
    reply.bulk("client-info");
    reply.bulk(entry.client);
  }
}

// The file is small, and this is an operator's command: the thread reads and writes it by itself.
void load_acl(Connection& connection) {
  const std::string& file = connection.thread().node().config.client.acl_file;
  if (file.empty()) return connection.reply().error(kNoFile);
  const Result<std::string> text = read_acl_file(file);
  if (!text) return connection.reply().error("ERR " + text.error().message);
  Result<cluster::Definitions> users = parse_acl_file(file, *text);
  if (!users) return connection.reply().error("ERR " + users.error().message);
  std::vector<std::string> words = {"LOADUSERS"};
  for (auto& [name, definition] : *users) {
    words.push_back(std::move(name));
    words.push_back(std::move(definition));
  }
  change_users(connection, std::move(words), "+OK\r\n");
}

void save_acl(Connection& connection) {
  const std::string& file = connection.thread().node().config.client.acl_file;
  if (file.empty()) return connection.reply().error(kNoFile);
  std::string text;
  for (const AclUserPointer& user : users_and_default(connection))
    text.append(line_of(*user)).append("\n");
  const Result<> written = write_acl_file(file, text);
  written ? connection.reply().ok() : connection.reply().error("ERR " + written.error().message);
}

}  // namespace

void execute_acl(Connection& connection, Args args) {
  const auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  if (is("setuser")) return set_user(connection, args);
  if (is("deluser")) return delete_users(connection, args.subspan(2));
  if (is("getuser")) return get_user(connection, args[2]);
  if (is("list")) return list_users(connection, false);
  if (is("users")) return list_users(connection, true);
  if (is("whoami")) return connection.reply().bulk(connection.session().user_name());
  if (is("cat")) return list_categories(connection, args);
  if (is("genpass")) return draw_password(connection, args);
  if (is("dryrun")) return dry_run_as(connection, args);
  if (is("log")) return reply_acl_log(connection, args);
  if (is("load")) return load_acl(connection);
  if (is("save")) return save_acl(connection);
  if (is("help")) return reply_help(connection, "ACL");
  reply_unknown_subcommand(connection, "ACL", args[1]);
}

void set_default_password(Connection& connection, std::string_view password) {
  std::vector<std::string> words = {"SETUSER",
                                    std::string(kDefaultUser),
                                    {},
                                    "resetpass",
                                    password.empty() ? "nopass" : "#" + password_hash(password)};
  if (!password.empty()) {
    AclUser user{std::string(kDefaultUser)};
    Result<> added = user.apply(words.back());
    if (added) added = add_scram(user, password, words);
    if (!added) return connection.reply().error("ERR " + added.error().message);
  }
  change_users(connection, std::move(words), "+OK\r\n");
}

}  // namespace even
