// EVEN.CONSISTENCY [READ level] [WRITE level], and the words before a command that say how it is to
// be executed: EVEN.WITH level command ..., EVEN.ONCE id [PX ms] command ...
#include <fmt/format.h>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

// Of EVEN.ONCE: how long an id is remembered, and how long it may be.
constexpr std::int64_t kOnceMs = 600'000;
constexpr std::int64_t kMostOnceMs = 86'400'000;
constexpr std::size_t kMostIdBytes = 256;

Result<Args> read_once(Args args, RequestOptions& options) {
  if (args[1].empty() || args[1].size() > kMostIdBytes) {
    return fail(fmt::format("ERR an id of EVEN.ONCE has 1 to {} bytes", kMostIdBytes));
  }
  options.once = args[1];
  options.once_ms = kOnceMs;
  args = args.subspan(2);
  if (!equals_ignore_case(args[0], "px")) return args;
  if (args.size() < 3) return fail(std::string(kSyntaxError));
  if (!parse_strict_integer(args[1], options.once_ms) || options.once_ms < 1 ||
      options.once_ms > kMostOnceMs) {
    return fail(fmt::format("ERR PX of EVEN.ONCE is 1 to {} milliseconds", kMostOnceMs));
  }
  return args.subspan(2);
}

}  // namespace

Result<Args> read_options(const Command& command, Args args, RequestOptions& options) {
  if (command.name == "even.once") return read_once(args, options);
  const Result<cluster::LeadingLevel> level = cluster::leading_level(args.subspan(1));
  if (!level) return fail("ERR " + level.error().message);
  options.level = level->level;
  args = args.subspan(1 + level->words);
  if (args.empty()) return fail(wrong_arity(command.name) + ": a command must follow the level");
  return args;
}

void execute_consistency(Connection& connection, Args args) {
  Session& session = connection.session();
  Reply reply = connection.reply();
  cluster::Level read = session.read_level, write = session.write_level;
  for (std::size_t i = 1; i < args.size();) {
    const bool of_read = equals_ignore_case(args[i], "read");
    if (!of_read && !equals_ignore_case(args[i], "write")) {
      return reply.error(
          fmt::format("ERR '{}' is not READ or WRITE: EVEN.CONSISTENCY [READ level] [WRITE level]",
                      args[i].substr(0, 64)));
    }
    const Result<cluster::LeadingLevel> level = cluster::leading_level(args.subspan(i + 1));
    if (!level) return reply.error("ERR " + level.error().message);
    (of_read ? read : write) = level->level;
    i += 1 + level->words;
  }
  session.read_level = read;
  session.write_level = write;
  if (args.size() > 1) return reply.ok();
  reply.map(2);
  reply.bulk("read");
  reply.bulk(cluster::to_string(read));
  reply.bulk("write");
  reply.bulk(cluster::to_string(write));
}

}  // namespace even
