// EVEN.KEYSPACE: see docs/operations.md. CREATE, ALTER and DROP are entries of the metadata group
// (cmd_meta.h) and reply when the nodes in reach serve by what has come of them; LIST and INFO show
// what this node serves by.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <chrono>

#include "client/connection_commands.h"
#include "engine/cmd_meta.h"
#include "engine/databases.h"
#include "engine/text.h"
#include "node/keyspace_closing.h"
#include "node/keyspace_keys.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"
#include "topic/event_topic.h"

namespace even {
namespace {

using cluster::Level;
using Kind = Level::Kind;

constexpr std::uint16_t kStrongPartitions = 16;
constexpr std::int64_t kDeadlineMs = 5'000;
constexpr std::int64_t kMostDeadlineMs = 600'000;
constexpr std::int64_t kMostDelayMs = 3'600'000;
constexpr std::int64_t kMetaDeadlineMs = 5'000;
constexpr std::chrono::milliseconds kAgain{100};

std::string error_reply(std::string_view message) {
  std::string out;
  Reply(out, false).error(message);
  return out;
}

// "*3\r\n..." and ":3\r\n" count three.
Result<std::uint64_t> counted(std::string_view reply) {
  std::uint64_t count = 0;
  if (reply.size() > 1 && (reply[0] == '*' || reply[0] == ':')) {
    const auto [stop, error] =
        std::from_chars(reply.data() + 1, reply.data() + reply.size(), count);
    if (error == std::errc()) return count;
  }
  return fail(std::string(reply));
}

// --- The words.

struct Wanted {
  cluster::Keyspace keyspace;
  std::optional<std::uint16_t> replicas, partitions;
};

Result<std::int64_t> read_number(std::string_view option, std::string_view word, std::int64_t most,
                                 std::int64_t least = 1) {
  std::int64_t number = 0;
  if (parse_strict_integer(word, number) && number >= least && number <= most) return number;
  return fail(fmt::format("ERR {} is a number from {} to {}, not '{}'", option, least, most,
                          word.substr(0, 64)));
}

// Reads the option at args[i] and goes behind it.
Result<> read_option(Args args, std::size_t& i, Wanted& wanted) {
  const std::string_view option = args[i++];
  const auto is = [option](std::string_view name) { return equals_ignore_case(option, name); };
  if (i == args.size()) {
    return fail(fmt::format("ERR a value must follow '{}'", option.substr(0, 64)));
  }
  const std::string_view value = args[i];
  if (is("read") || is("write")) {
    const auto level = cluster::leading_level(args.subspan(i));
    if (!level) return fail("ERR " + level.error().message);
    (is("read") ? wanted.keyspace.read : wanted.keyspace.write) = level->level;
    i += level->words;
    return {};
  }
  ++i;
  if (is("prefix")) {
    wanted.keyspace.prefix = value;
  } else if (is("mode")) {
    wanted.keyspace.strong = equals_ignore_case(value, "strong");
    if (!wanted.keyspace.strong && !equals_ignore_case(value, "eventual")) {
      return fail(fmt::format("ERR MODE is EVENTUAL or STRONG, not '{}'", value.substr(0, 64)));
    }
  } else if (is("replicas") || is("partitions")) {
    const std::int64_t most = is("replicas") ? UINT16_MAX : cluster::kSlots;
    const auto number = read_number(is("replicas") ? "REPLICAS" : "PARTITIONS", value, most);
    if (!number) return std::unexpected(number.error());
    (is("replicas") ? wanted.replicas : wanted.partitions) = static_cast<std::uint16_t>(*number);
  } else if (is("deadline")) {
    const auto number = read_number("DEADLINE", value, kMostDeadlineMs);
    if (!number) return std::unexpected(number.error());
    wanted.keyspace.deadline_ms = *number;
  } else if (is("sloppy")) {
    wanted.keyspace.sloppy = equals_ignore_case(value, "yes");
    if (!wanted.keyspace.sloppy && !equals_ignore_case(value, "no")) {
      return fail(fmt::format("ERR SLOPPY is YES or NO, not '{}'", value.substr(0, 64)));
    }
  } else if (is("conflict")) {
    wanted.keyspace.siblings = equals_ignore_case(value, "siblings");
    if (!wanted.keyspace.siblings && !equals_ignore_case(value, "lww")) {
      return fail(fmt::format("ERR CONFLICT is LWW or SIBLINGS, not '{}'", value.substr(0, 64)));
    }
  } else if (is("feed")) {
    const bool none = equals_ignore_case(value, "none");
    if (!none && !cluster::valid_topic_name(value)) {
      return fail(
          fmt::format("ERR FEED is the name of a topic, or NONE, not '{}'", value.substr(0, 64)));
    }
    wanted.keyspace.feed = none ? std::string_view() : value;
  } else if (is("snapshot")) {
    wanted.keyspace.feed_snapshot = equals_ignore_case(value, "yes");
    if (!wanted.keyspace.feed_snapshot && !equals_ignore_case(value, "no")) {
      return fail(fmt::format("ERR SNAPSHOT is YES or NO, not '{}'", value.substr(0, 64)));
    }
  } else if (is("delay")) {
    const auto number = read_number("DELAY", value, kMostDelayMs, 0);
    if (!number) return std::unexpected(number.error());
    wanted.keyspace.delay_ms = *number;
  } else {
    return fail(
        fmt::format("ERR unknown option '{}'. Try EVEN.KEYSPACE HELP.", option.substr(0, 64)));
  }
  return {};
}

Result<Wanted> read_options(Args args, std::size_t first) {
  Wanted wanted;
  wanted.keyspace.name = args[2];
  wanted.keyspace.deadline_ms = kDeadlineMs;
  for (std::size_t i = first; i < args.size();) {
    if (Result<> read = read_option(args, i, wanted); !read) return std::unexpected(read.error());
  }
  return wanted;
}

// A node of an earlier version would not know this one: see docs/delay.md.
Result<> check_delay(const cluster::Keyspace& keyspace, ShardThread& thread) {
  return keyspace.delay_ms == 0 ? Result<>() : all_know(thread, kInflatesRecords, "DELAY");
}

// Whether the mode can have the levels.
Result<> check_levels(const cluster::Keyspace& keyspace) {
  if (keyspace.strong && keyspace.sloppy) {
    return fail(
        "CONSISTENCY SLOPPY is for eventual keyspaces: a write to a strong one is at a majority of "
        "its own replicas");
  }
  if (keyspace.strong && keyspace.siblings) {
    return fail(
        "CONSISTENCY CONFLICT SIBLINGS is for eventual keyspaces: in a strong one no two writes "
        "are made at the same time");
  }
  if (keyspace.strong && keyspace.delay_ms > 0) {
    return fail(
        "CONSISTENCY DELAY is for eventual keyspaces: a write to a strong one is at a majority of "
        "its replicas before it is answered");
  }
  if (!keyspace.strong) {
    for (const Level level : {keyspace.read, keyspace.write}) {
      if (level.kind == Kind::kOne || level.kind == Kind::kDefault ||
          level.kind == Kind::kSession || level.kind == Kind::kCausal) {
        continue;
      }
      if (level.kind == Kind::kBounded) {
        if (keyspace.write.kind != Kind::kBounded) continue;
        return fail("CONSISTENCY BOUNDED is a level of reads: a write has no age");
      }
      if (is_quorum(level)) {
        if (const auto replicas = replicas_of(level, keyspace.replicas); !replicas) {
          return fail(replicas.error().message);
        }
        continue;
      }
      return fail(fmt::format(
          "CONSISTENCY {} is not supported in eventual keyspaces yet: there are ONE, "
          "TWO, THREE, numbers, QUORUM, ALL, SESSION, CAUSAL and BOUNDED ms; MODE STRONG has more",
          cluster::to_string(level)));
    }
    return {};
  }
  if (const auto read = read_level(keyspace, keyspace.read); !read)
    return fail(read.error().message);
  if (keyspace.write.kind == Kind::kLinearizable || keyspace.write.kind == Kind::kDefault)
    return {};
  return fail(
      fmt::format("CONSISTENCY writes of strong keyspaces are LINEARIZABLE: WRITE {} cannot be had",
                  cluster::to_string(keyspace.write)));
}

Result<cluster::Keyspace> keyspace_to_create(Args args, const cluster::ClusterMap& map) {
  Result<Wanted> read = read_options(args, 3);
  if (!read) return std::unexpected(read.error());
  cluster::Keyspace& keyspace = read->keyspace;
  if (keyspace.prefix.empty()) {
    return fail("ERR a keyspace needs a PREFIX: the empty one is that of 'default'");
  }
  if (!keyspace.strong &&
      (read->partitions || read->replicas.value_or(map.replicas) != map.replicas)) {
    return fail(
        "ERR REPLICAS and PARTITIONS of eventual keyspaces are not supported yet: they are those "
        "of the cluster; leave them out");
  }
  keyspace.replicas = read->replicas.value_or(map.replicas);
  if (keyspace.strong) keyspace.partitions = read->partitions.value_or(kStrongPartitions);
  for (Level* level : {&keyspace.read, &keyspace.write}) {
    if (level->kind == Kind::kDefault) {
      *level = {keyspace.strong ? Kind::kLinearizable : Kind::kOne};
    }
  }
  if (Result<> levels = check_levels(keyspace); !levels) return std::unexpected(levels.error());
  return std::move(keyspace);
}

// --- A change under way.

class Change : public std::enable_shared_from_this<Change> {
 public:
  explicit Change(Connection& connection)
      : connection_(connection.weak_from_this()),
        thread_(connection.thread()),
        command_(connection.last_command()),
        address_(connection.label().address),
        name_(connection.label().name),
        slot_(connection.open_slot()),
        deadline_us_(thread_.clock().monotonic_us() + kMetaDeadlineMs * 1000) {}

  void create(const cluster::Keyspace& keyspace);
  void alter(Args args);
  void drop(const cluster::Keyspace* keyspace, std::string_view name, bool force);
  void finish(std::string reply) {
    if (const auto connection = connection_.lock()) {
      connection->complete(slot_, std::move(reply), command_);
    }
  }

 private:
  // To the metadata group; then until all serve by it.
  void submit(std::vector<std::string> words);
  void submit_again();
  void applied(const std::string& reply);
  // The keyspace has been found without keys.
  void close_and_drop(const cluster::Keyspace& keyspace);
  void refuse_keys(const std::string& name, std::uint64_t keys);
  // All serve by the keyspace that has been created: counts what it hides nevertheless.
  void look_for_hidden();

  const std::weak_ptr<Connection> connection_;
  ShardThread& thread_;
  CommandStats::Entry* const command_;
  const std::string address_, name_;  // of the client
  const std::uint64_t slot_;
  const std::int64_t deadline_us_;
  std::vector<std::string> words_;  // of the entry
  std::string hidden_;              // prefix of the keys that a new strong keyspace would hide
  // That is closed, to be dropped.
  std::optional<cluster::Keyspace> closed_;
  std::uint64_t attempt_ = 0;
};

void Change::submit(std::vector<std::string> words) {
  words_ = std::move(words);
  const std::vector<std::string_view> views(words_.begin(), words_.end());
  const PartitionId meta = meta_partition(thread_.node().placement.partitions());
  StrongCall call{.group = meta, .writes = true, .deadline_ms = kMetaDeadlineMs};
  call.request =
      OwnedRequest::copy(*find_command("even.keyspace"), views, false, {address_, name_});
  thread_.strong().submit(std::move(call),
                          [self = shared_from_this()](const std::string& reply, std::uint64_t) {
                            self->applied(reply);
                          });
}

void Change::submit_again() {
  auto timer = std::make_shared<asio::steady_timer>(thread_.io(), kAgain);
  timer->async_wait([self = shared_from_this(), timer](error_code error) {
    if (!error) self->submit(std::move(self->words_));
  });
}

// The reply of the metadata group is the version of what has come of the change.
void Change::applied(const std::string& reply) {
  const Result<std::uint64_t> version = counted(reply);
  // Nodes that have just been started join within a moment.
  if (reply.starts_with("-TRYAGAIN ") && thread_.clock().monotonic_us() < deadline_us_) {
    return submit_again();
  }
  if (!version && closed_ && !reply.starts_with("-UNCERTAIN ")) {
    // It is certain that it is not dropped.
    return open_keyspace(thread_, *closed_, attempt_,
                         [self = shared_from_this(), reply] { self->finish(reply); });
  }
  if (!version) return finish(reply);
  thread_.strong().await_served(
      *version, [self = shared_from_this()](const std::vector<std::string>& missing) {
        if (missing.empty()) {
          return self->hidden_.empty() ? self->finish("+OK\r\n") : self->look_for_hidden();
        }
        self->finish(error_reply(fmt::format(
            "PARTIAL the keyspaces have been changed, but {} can be reached and does not serve by "
            "that yet",
            fmt::join(missing, ", "))));
      });
}

void Change::look_for_hidden() {
  // What others have written until they served by it is here a moment later.
  auto timer = std::make_shared<asio::steady_timer>(thread_.io(), kAgain);
  timer->async_wait([self = shared_from_this(), timer](error_code error) {
    if (error) return;
    count_eventual_keys(self->thread_, self->hidden_, [self](const Result<std::uint64_t>& count) {
      if (!count) return self->finish(count.error().message);
      if (*count == 0) return self->finish("+OK\r\n");
      self->finish(error_reply(
          fmt::format("PARTIAL the keyspace has been created, but {} keys that were written "
                      "meanwhile under its "
                      "prefix are hidden by it: they are there again when it is dropped",
                      *count)));
    });
  });
}

void Change::create(const cluster::Keyspace& keyspace) {
  // Those that the keyspace takes over are where keys with its prefix are now.
  auto create = [self = shared_from_this(), keyspace](const Result<std::uint64_t>& count) {
    if (!count) return self->finish(count.error().message);
    if (*count > 0) {
      return self->finish(error_reply(fmt::format(
          "ERR there are {} keys under the prefix '{}' already, which the new keyspace would hide: "
          "delete or rename them, or choose another prefix",
          *count, keyspace.prefix.substr(0, 64))));
    }
    const NodeContext& node = self->thread_.node();
    std::vector<std::string> words = {std::string(kMetaCommand), "CREATE",
                                      cluster::encode(keyspace),
                                      std::to_string(node.placement.partitions() + 1)};
    for (const cluster::Node& each : node.config.cluster.nodes) {
      words.push_back(std::to_string(each.number));
      words.push_back(each.name);
    }
    if (keyspace.strong) self->hidden_ = keyspace.prefix;
    self->submit(std::move(words));
  };
  count_keys_to_hide(thread_, keyspace.prefix, std::move(create));
}

void Change::alter(Args args) {
  std::vector<std::string> words = {std::string(kMetaCommand), "ALTER"};
  words.insert(words.end(), args.begin() + 2, args.end());
  submit(std::move(words));
}

void Change::refuse_keys(const std::string& name, std::uint64_t keys) {
  if (name == cluster::kTransactionsKeyspace) {
    return finish(error_reply(
        fmt::format("ERR the keyspace '{}' has {} keys, without which nobody would end the "
                    "transactions of topics",
                    name, keys)));
  }
  finish(error_reply(
      fmt::format("ERR the keyspace '{}' has {} keys: EVEN.KEYSPACE DROP {} FORCE gives them up",
                  name, keys, name)));
}

void Change::close_and_drop(const cluster::Keyspace& keyspace) {
  close_keyspace(thread_, keyspace,
                 [self = shared_from_this(), keyspace](const Result<ClosedKeyspace>& closed) {
                   if (!closed) return self->finish(closed.error().message);
                   if (closed->keys > 0) return self->refuse_keys(keyspace.name, closed->keys);
                   self->closed_ = keyspace;
                   self->attempt_ = closed->attempt;
                   self->submit({std::string(kMetaCommand), "DROP", keyspace.name,
                                 std::to_string(closed->attempt), std::to_string(keyspace.first)});
                 });
}

void Change::drop(const cluster::Keyspace* keyspace, std::string_view name, bool force) {
  if (force) return submit({std::string(kMetaCommand), "DROP", std::string(name)});
  // Keys of an eventual one lie among those of `default`, and stay. A strong one may have been made
  // in its place, of which this node has not heard.
  if (!keyspace->strong) {
    return submit({std::string(kMetaCommand), "DROP", std::string(name), "0",
                   std::to_string(keyspace->first)});
  }
  // Who has many keys is not closed for nothing.
  count_keys_in_groups(
      thread_, *keyspace, keyspace->prefix,
      [self = shared_from_this(), keyspace = *keyspace](const Result<std::uint64_t>& count) {
        if (!count) return self->finish(count.error().message);
        *count > 0 ? self->refuse_keys(keyspace.name, *count) : self->close_and_drop(keyspace);
      });
}

// --- The subcommands.

void create(Connection& connection, Args args) {
  const Result<cluster::Keyspace> keyspace =
      keyspace_to_create(args, connection.thread().node().config.cluster);
  if (!keyspace) return connection.reply().error(keyspace.error().message);
  if (const Result<> known = check_delay(*keyspace, connection.thread()); !known) {
    return connection.reply().error(known.error().message);
  }
  std::make_shared<Change>(connection)->create(*keyspace);
}

void alter(Connection& connection, Args args) {
  Reply reply = connection.reply();
  const cluster::Keyspace* keyspace = connection.thread().keyspaces().find(args[2]);
  if (keyspace == nullptr) {
    return reply.error(fmt::format("ERR there is no keyspace '{}'", args[2].substr(0, 64)));
  }
  for (std::size_t i = 3; i < args.size(); ++i) {
    for (const std::string_view fixed : {"prefix", "mode", "partitions", "replicas"}) {
      if (!equals_ignore_case(args[i], fixed)) continue;
      return reply.error(fmt::format(
          "ERR {} cannot be altered: create another keyspace and copy the keys", args[i]));
    }
  }
  const Result<Wanted> wanted = read_options(args, 3);
  if (!wanted) return reply.error(wanted.error().message);
  cluster::Keyspace altered = wanted->keyspace;
  altered.strong = keyspace->strong;
  if (const Result<> levels = check_levels(altered); !levels) {
    return reply.error(levels.error().message);
  }
  if (const Result<> known = check_delay(altered, connection.thread()); !known) {
    return reply.error(known.error().message);
  }
  std::make_shared<Change>(connection)->alter(args);
}

void drop(Connection& connection, Args args) {
  const bool force = args.size() == 4 && equals_ignore_case(args[3], "force");
  if (args.size() > 3 && !force) return connection.reply().error(kSyntaxError);
  const cluster::Keyspace* keyspace = connection.thread().keyspaces().find(args[2]);
  if (force && args[2] == cluster::kTransactionsKeyspace) {
    return connection.reply().error(
        "ERR the keyspace '__transactions' cannot be given up while it has keys: nobody would end "
        "the transactions that it has open, and readers of their topics would wait for ever. "
        "Without FORCE it is dropped when it has none: those of an id go seven days after its last "
        "transaction");
  }
  // This node may have not heard of it yet: then it would be dropped whatever is in it.
  if (!force && keyspace == nullptr) {
    return connection.reply().error(
        fmt::format("ERR there is no keyspace '{}'", args[2].substr(0, 64)));
  }
  if (!force) {
    const Result<> known = all_know(connection.thread(), kMeansKeyspaces, "DROP without FORCE");
    if (!known) return connection.reply().error(known.error().message);
  }
  std::make_shared<Change>(connection)->drop(keyspace, args[2], force);
}

void list(Connection& connection, Args) {
  const auto keyspaces = connection.thread().keyspaces().keyspaces();
  Reply reply = connection.reply();
  reply.array(1 + keyspaces.size());
  reply.bulk("default");
  for (const cluster::Keyspace& keyspace : keyspaces) reply.bulk(keyspace.name);
}

void info(Connection& connection, Args args) {
  const NodeContext& node = connection.thread().node();
  const cluster::Keyspace of_default{.name = "default",
                                     .replicas = node.config.cluster.replicas,
                                     .partitions = node.placement.partitions(),
                                     .read = {Kind::kOne},
                                     .write = {Kind::kOne}};
  const cluster::Keyspace* keyspace =
      args[2] == "default" ? &of_default : connection.thread().keyspaces().find(args[2]);
  Reply reply = connection.reply();
  if (keyspace == nullptr) {
    return reply.error(fmt::format("ERR there is no keyspace '{}': EVEN.KEYSPACE LIST names all",
                                   args[2].substr(0, 64)));
  }
  const auto text = [&reply](std::string_view name, std::string_view value) {
    reply.bulk(name);
    reply.bulk(value);
  };
  const auto number = [&reply](std::string_view name, std::int64_t value) {
    reply.bulk(name);
    reply.integer(value);
  };
  reply.map(13);
  text("name", keyspace->name);
  text("prefix", keyspace->prefix);
  text("mode", keyspace->strong ? "strong" : "eventual");
  number("replicas", keyspace->replicas);
  number("partitions", keyspace->strong ? keyspace->partitions : node.placement.partitions());
  number("first partition", keyspace->first);
  text("read", cluster::to_string(keyspace->read));
  text("write", cluster::to_string(keyspace->write));
  number("deadline", keyspace->deadline_ms);
  text("sloppy", keyspace->sloppy ? "yes" : "no");
  text("conflict", keyspace->siblings ? "siblings" : "lww");
  number("delay", keyspace->delay_ms);
  text("feed", topic::read_event_topic(keyspace->feed).name);
}

void help(Connection& connection, Args) { reply_help(connection, "EVEN.KEYSPACE"); }

}  // namespace

void execute_keyspace(Connection& connection, Args args) {
  constexpr std::pair<std::string_view, void (*)(Connection&, Args)> kSubcommands[] = {
      {"create", create}, {"alter", alter}, {"drop", drop},
      {"list", list},     {"info", info},   {"help", help}};
  if (args.size() < 2) return help(connection, args);
  for (const auto& [name, execute] : kSubcommands) {
    if (equals_ignore_case(args[1], name)) return execute(connection, args);
  }
  reply_unknown_subcommand(connection, "EVEN.KEYSPACE", args[1]);
}

}  // namespace even
