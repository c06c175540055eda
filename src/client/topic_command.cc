// EVEN.TOPIC: see docs/topics.md. CREATE and DROP are entries of the metadata group and reply when
// the nodes in reach serve by what has come of them; LIST and INFO show what this node serves by.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "client/connection_commands.h"
#include "cluster/placement.h"
#include "engine/text.h"
#include "node/table_change.h"

namespace even {
namespace {

// Takes the outcome of a change to the client.
TableChanged reply_to(Connection& connection) {
  return [weak = connection.weak_from_this(), slot = connection.open_slot(),
          command = connection.last_command()](std::string reply) {
    if (const auto client = weak.lock()) client->complete(slot, std::move(reply), command);
  };
}

Result<std::uint16_t> read_number(std::string_view option, std::string_view word,
                                  std::int64_t most) {
  std::int64_t number = 0;
  if (parse_strict_integer(word, number) && number >= 1 && number <= most) {
    return static_cast<std::uint16_t>(number);
  }
  return fail(
      fmt::format("ERR {} is a number from 1 to {}, not '{}'", option, most, word.substr(0, 64)));
}

void create(Connection& connection, Args args) {
  Reply reply = connection.reply();
  std::uint16_t partitions = 0;
  std::uint16_t replicas = 0;
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
    } else if (equals_ignore_case(option, "retention") || equals_ignore_case(option, "bytes") ||
               equals_ignore_case(option, "cleanup")) {
      return reply.error(fmt::format("ERR {} is not supported yet: leave it out", option));
    } else {
      return reply.error(
          fmt::format("ERR unknown option '{}'. Try EVEN.TOPIC HELP.", option.substr(0, 64)));
    }
    if (!number) return reply.error(number.error().message);
  }
  create_in_table(connection.thread(),
                  new_topic(connection.thread(), std::string(args[2]), partitions, replicas),
                  reply_to(connection));
}

void drop(Connection& connection, Args args) {
  drop_topic(connection.thread(), std::string(args[2]), reply_to(connection));
}

void list(Connection& connection, Args) {
  const auto topics = connection.thread().keyspaces().topics();
  Reply reply = connection.reply();
  reply.array(topics.size());
  for (const cluster::Keyspace& topic : topics) reply.bulk(topic.name);
}

using Statuses = std::vector<std::pair<PartitionId, TopicStatus>>;

void info(Connection& connection, Args args) {
  const cluster::Keyspace* found = connection.thread().keyspaces().find_topic(args[2]);
  if (found == nullptr) {
    return connection.reply().error(fmt::format(
        "ERR there is no topic '{}': EVEN.TOPIC LIST names all", args[2].substr(0, 64)));
  }
  const cluster::Keyspace topic = *found;
  const auto ask = [topic](ShardThread& thread) {
    Statuses statuses;
    for (std::uint16_t i = 0; i < topic.partitions; ++i) {
      const auto id = static_cast<PartitionId>(topic.first + i);
      if (const auto status = thread.shard().topic(id)) statuses.emplace_back(id, *status);
    }
    return statuses;
  };
  reply_gathered<Statuses>(connection, ask,
                           [topic, &map = connection.thread().node().config.cluster](
                               Reply& reply, const std::vector<Statuses>& threads) {
                             Statuses all;
                             for (const Statuses& statuses : threads)
                               all.insert(all.end(), statuses.begin(), statuses.end());
                             std::ranges::sort(all, {},
                                               [](const auto& each) { return each.first; });
                             reply.map(4);
                             reply.bulk("name");
                             reply.bulk(topic.name);
                             reply.bulk("replicas");
                             reply.integer(topic.replicas);
                             reply.bulk("partitions");
                             reply.integer(topic.partitions);
                             reply.bulk("here");
                             reply.array(all.size());
                             for (const auto& [id, status] : all) {
                               const cluster::Node* leader = map.find(status.leader);
                               reply.map(5);
                               reply.bulk("partition");
                               reply.integer(id - topic.first);
                               reply.bulk("group");
                               reply.integer(id);
                               reply.bulk("leader");
                               leader == nullptr ? reply.null() : reply.bulk(leader->name);
                               reply.bulk("start");
                               reply.integer(status.start);
                               reply.bulk("end");
                               reply.integer(status.end);
                             }
                           });
}

void help(Connection& connection, Args) { reply_help(connection, "EVEN.TOPIC"); }

}  // namespace

void execute_topic(Connection& connection, Args args) {
  constexpr std::pair<std::string_view, void (*)(Connection&, Args)> kSubcommands[] = {
      {"create", create}, {"drop", drop}, {"list", list}, {"info", info}, {"help", help}};
  if (args.size() < 2) return help(connection, args);
  for (const auto& [name, execute] : kSubcommands) {
    if (equals_ignore_case(args[1], name)) return execute(connection, args);
  }
  reply_unknown_subcommand(connection, "EVEN.TOPIC", args[1]);
}

}  // namespace even
