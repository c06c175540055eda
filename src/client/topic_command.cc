// EVEN.TOPIC: see docs/topics.md. CREATE, ALTER and DROP are entries of the metadata group and
// reply when the nodes in reach serve by what has come of them; LIST and INFO show what this node
// serves by.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "client/connection_commands.h"
#include "cluster/placement.h"
#include "cluster/topic_ranges.h"
#include "engine/cmd_meta.h"
#include "engine/text.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"

namespace even {
namespace {

Result<std::uint16_t> read_number(std::string_view option, std::string_view word,
                                  std::int64_t most) {
  std::int64_t number = 0;
  if (parse_strict_integer(word, number) && number >= 1 && number <= most) {
    return static_cast<std::uint16_t>(number);
  }
  return fail(
      fmt::format("ERR {} is a number from 1 to {}, not '{}'", option, most, word.substr(0, 64)));
}

// The option at args[i], if it says how much of the topic stays, with its value: "" if it is that
// and has been set, or what is wrong; none: it is another option.
std::optional<std::string> set_limit(Args args, std::size_t i, cluster::Keyspace& topic) {
  const std::string_view option = args[i];
  const std::string_view value = args[i + 1];
  if (const auto wrong = cluster::set_cleanup(topic.cleanup, option, value)) {
    if (wrong->empty()) return "";
    return fmt::format("ERR {} {}, not '{}'", option, *wrong, value.substr(0, 64));
  }
  const bool is_time = equals_ignore_case(option, "retention");
  if (!is_time && !equals_ignore_case(option, "bytes")) return std::nullopt;
  std::int64_t limit = 0;
  if (!parse_strict_integer(value, limit) || limit < -1) {
    return fmt::format("ERR {} is a number from 0 on, or -1 for no limit, not '{}'",
                       is_time ? "RETENTION" : "BYTES", value.substr(0, 64));
  }
  (is_time ? topic.retention_ms : topic.retention_bytes) =
      limit == -1 ? std::nullopt : std::optional(limit);
  return "";
}

void create(Connection& connection, Args args) {
  Reply reply = connection.reply();
  std::uint16_t partitions = 0;
  std::uint16_t replicas = 0;
  cluster::Keyspace limits;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    const std::string_view option = args[i];
    if (i + 1 == args.size()) {
      return reply.error(fmt::format("ERR a value must follow '{}'", option.substr(0, 64)));
    }
    Result<std::uint16_t> number = fail("");
    if (equals_ignore_case(option, "partitions")) {
      number = read_number("PARTITIONS", args[i + 1], cluster::kSlots);
      if (number) partitions = *number;
    } else if (equals_ignore_case(option, "replicas")) {
      number = read_number("REPLICAS", args[i + 1], UINT16_MAX);
      if (number) replicas = *number;
    } else if (const auto wrong = set_limit(args, i, limits)) {
      if (!wrong->empty()) return reply.error(*wrong);
      continue;
    } else {
      return reply.error(
          fmt::format("ERR unknown option '{}'. Try EVEN.TOPIC HELP.", option.substr(0, 64)));
    }
    if (!number) return reply.error(number.error().message);
  }
  cluster::Keyspace topic =
      new_topic(connection.thread(), std::string(args[2]), partitions, replicas);
  topic.retention_ms = limits.retention_ms;
  topic.retention_bytes = limits.retention_bytes;
  topic.cleanup = limits.cleanup;
  create_in_table(connection.thread(), topic, reply_when_changed(connection));
}

void reply_no_topic(Connection& connection, std::string_view name) {
  connection.reply().error(
      fmt::format("ERR there is no topic '{}': EVEN.TOPIC LIST names all", name.substr(0, 64)));
}

void alter(Connection& connection, Args args) {
  ShardThread& thread = connection.thread();
  const cluster::Keyspace* found = thread.keyspaces().find_topic(args[2]);
  if (found == nullptr) return reply_no_topic(connection, args[2]);
  cluster::Keyspace topic = *found;
  std::vector<std::string> words = {std::string(kMetaCommand), "ALTERTOPIC", topic.name};
  for (std::size_t i = 3; i < args.size(); i += 2) {
    Reply reply = connection.reply();
    if (i + 1 == args.size()) {
      return reply.error(fmt::format("ERR a value must follow '{}'", args[i].substr(0, 64)));
    }
    if (equals_ignore_case(args[i], "partitions")) {
      const auto number = read_number("PARTITIONS", args[i + 1], cluster::kSlots);
      if (!number) return reply.error(number.error().message);
      const Result<> known = all_know(thread, kGrowsTopics, "PARTITIONS of a topic");
      if (!known) return reply.error(known.error().message);
    } else if (const auto wrong = set_limit(args, i, topic); !wrong) {
      return reply.error(
          fmt::format("ERR '{}' cannot be altered. Try EVEN.TOPIC HELP.", args[i].substr(0, 64)));
    } else if (!wrong->empty()) {
      return reply.error(*wrong);
    }
    words.emplace_back(args[i]);
    words.emplace_back(args[i + 1]);
  }
  change_table(thread, std::move(words), "topics", reply_when_changed(connection));
}

void drop(Connection& connection, Args args) {
  drop_topic(connection.thread(), std::string(args[2]), reply_when_changed(connection));
}

void list(Connection& connection, Args) {
  std::vector<std::string_view> names;
  for (const cluster::Keyspace& topic : connection.thread().keyspaces().topics()) {
    if (!cluster::is_added_range(topic)) names.push_back(topic.name);
  }
  Reply reply = connection.reply();
  reply.array(names.size());
  for (const std::string_view name : names) reply.bulk(name);
}

using Statuses = std::vector<std::pair<PartitionId, TopicStatus>>;

void info(Connection& connection, Args args) {
  const cluster::Keyspace* found = connection.thread().keyspaces().find_topic(args[2]);
  if (found == nullptr) return reply_no_topic(connection, args[2]);
  const cluster::Keyspace topic = *found;
  const auto partitions =
      cluster::partitions_of_topic(connection.thread().keyspaces().topics(), topic.name);
  const auto ask = [partitions](ShardThread& thread) {
    Statuses statuses;
    for (const PartitionId id : partitions) {
      if (const auto status = thread.shard().topic(id)) statuses.emplace_back(id, *status);
    }
    return statuses;
  };
  reply_gathered<Statuses>(
      connection, ask,
      [topic, partitions, &map = connection.thread().node().config.cluster](
          Reply& reply, const std::vector<Statuses>& threads) {
        Statuses all;
        for (const Statuses& statuses : threads)
          all.insert(all.end(), statuses.begin(), statuses.end());
        // Ids ascend with the numbers.
        std::ranges::sort(all, {}, [](const auto& each) { return each.first; });
        const std::vector<std::string> cleanup = cluster::cleanup_words(topic.cleanup);
        reply.map(6 + cleanup.size() / 2);
        reply.bulk("name");
        reply.bulk(topic.name);
        reply.bulk("replicas");
        reply.integer(topic.replicas);
        reply.bulk("partitions");
        reply.integer(static_cast<std::int64_t>(partitions.size()));
        reply.bulk("retention");
        reply.integer(topic.retention_ms.value_or(-1));
        reply.bulk("bytes");
        reply.integer(topic.retention_bytes.value_or(-1));
        for (const std::string& word : cleanup) {
          std::string lower = word;
          for (char& c : lower) c = to_lower(c);
          reply.bulk(lower);
        }
        reply.bulk("here");
        reply.array(all.size());
        for (const auto& [id, status] : all) {
          const cluster::Node* leader = map.find(status.leader);
          reply.map(8);
          reply.bulk("partition");
          reply.integer(std::ranges::lower_bound(partitions, id) - partitions.begin());
          reply.bulk("group");
          reply.integer(id);
          reply.bulk("leader");
          leader == nullptr ? reply.null() : reply.bulk(leader->name);
          reply.bulk("start");
          reply.integer(status.start);
          reply.bulk("end");
          reply.integer(status.end);
          reply.bulk("bytes");
          reply.integer(static_cast<std::int64_t>(status.bytes));
          reply.bulk("compacted");
          reply.integer(status.compacted);
          reply.bulk("compacted-bytes");
          reply.integer(static_cast<std::int64_t>(status.compacted_bytes));
        }
      });
}

void help(Connection& connection, Args) { reply_help(connection, "EVEN.TOPIC"); }

}  // namespace

void execute_topic(Connection& connection, Args args) {
  constexpr std::pair<std::string_view, void (*)(Connection&, Args)> kSubcommands[] = {
      {"create", create}, {"alter", alter}, {"drop", drop},
      {"list", list},     {"info", info},   {"help", help}};
  if (args.size() < 2) return help(connection, args);
  for (const auto& [name, execute] : kSubcommands) {
    if (equals_ignore_case(args[1], name)) return execute(connection, args);
  }
  reply_unknown_subcommand(connection, "EVEN.TOPIC", args[1]);
}

}  // namespace even
