// SLOWLOG: the commands of this node that took long. See slow_log.h for what is measured.
#include <fmt/format.h>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::size_t kDefaultCount = 10;

void get(Connection& connection, Args args) {
  Reply reply = connection.reply();
  if (args.size() > 3) {
    return reply.error(fmt::format(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.",
        args[1]));
  }
  std::size_t count = kDefaultCount;
  if (args.size() == 3) {
    std::int64_t wanted = 0;
    if (!parse_strict_integer(args[2], wanted) || wanted < -1) {
      return reply.error("ERR count should be greater than or equal to -1");
    }
    count = static_cast<std::size_t>(wanted);  // -1: all
  }
  const std::vector<SlowLog::Entry> entries = connection.thread().node().slow_log.latest(count);
  reply.array(entries.size());
  for (const SlowLog::Entry& entry : entries) {
    reply.array(6);
    reply.integer(static_cast<std::int64_t>(entry.id));
    reply.integer(entry.at_s);
    reply.integer(entry.us);
    reply.array(entry.args.size());
    for (const std::string& arg : entry.args) reply.bulk(arg);
    reply.bulk(entry.address);
    reply.bulk(entry.name);
  }
}

}  // namespace

void execute_slowlog(Connection& connection, Args args) {
  SlowLog& log = connection.thread().node().slow_log;
  if (equals_ignore_case(args[1], "get")) return get(connection, args);
  if (equals_ignore_case(args[1], "len")) {
    return connection.reply().integer(static_cast<std::int64_t>(log.size()));
  }
  if (equals_ignore_case(args[1], "reset")) {
    log.reset();
    return connection.reply().ok();
  }
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "SLOWLOG");
  reply_unknown_subcommand(connection, "SLOWLOG", args[1]);
}

}  // namespace even
