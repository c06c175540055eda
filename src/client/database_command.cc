// SELECT and SWAPDB (docs/databases.md).
#include "client/connection_commands.h"
#include "engine/cmd_meta.h"
#include "engine/databases.h"
#include "engine/text.h"
#include "node/shard_thread.h"
#include "node/table_change.h"

namespace even {
namespace {

constexpr std::string_view kNoSuchDatabase = "ERR DB index is out of range";

bool is_index(std::string_view word) {
  std::int64_t index = 0;
  return parse_strict_integer(word, index) && index >= INT32_MIN && index <= INT32_MAX;
}

}  // namespace

void execute_select(Connection& connection, Args args) {
  if (!is_index(args[1])) return connection.reply().error(kNotInteger);
  const auto database = read_database(args[1]);
  if (!database) return connection.reply().error(kNoSuchDatabase);
  connection.session().database = *database;
  connection.reply().ok();
}

void execute_swapdb(Connection& connection, Args args) {
  Reply reply = connection.reply();
  if (!is_index(args[1])) return reply.error("ERR invalid first DB index");
  if (!is_index(args[2])) return reply.error("ERR invalid second DB index");
  const auto first = read_database(args[1]), second = read_database(args[2]);
  if (!first || !second) return reply.error(kNoSuchDatabase);
  if (*first == *second) return reply.ok();
  const std::uint64_t slot = connection.open_slot();
  change_table(
      connection.thread(),
      {std::string(kMetaCommand), "SWAPDB", std::to_string(*first), std::to_string(*second)},
      "databases",
      [weak = connection.weak_from_this(), slot,
       command = connection.last_command()](std::string outcome) mutable {
        const auto self = weak.lock();
        if (self) self->complete(slot, std::move(outcome), command);
      });
}

}  // namespace even
