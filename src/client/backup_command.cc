// EVEN.BACKUP START directory [KEEP number] | STATUS | CANCEL
#include <fmt/format.h>

#include "client/connection_commands.h"
#include "engine/text.h"
#include "node/backup_runner.h"

namespace even {
namespace {

void start(Connection& connection, Args args) {
  std::int64_t keep = 0;
  if (args.size() != 3) {
    const bool good = args.size() == 5 && equals_ignore_case(args[3], "keep") &&
                      parse_strict_integer(args[4], keep) && keep >= 1 && keep <= UINT32_MAX;
    if (!good) {
      return connection.reply().error(
          "ERR syntax error: EVEN.BACKUP START directory [KEEP number (at least 1)]");
    }
  }
  const auto run = connection.thread().node().backups->start(std::string(args[2]),
                                                             static_cast<std::uint32_t>(keep));
  if (!run) return connection.reply().error("ERR " + run.error().message);
  connection.reply().integer(static_cast<std::int64_t>(*run));
}

std::string_view name_of(BackupRunner::Stage stage) {
  switch (stage) {
    case BackupRunner::Stage::kIdle:
      return "idle";
    case BackupRunner::Stage::kStoring:
      return "storing";
    case BackupRunner::Stage::kCopying:
      return "copying";
  }
  return "";
}

void status(Connection& connection) {
  const BackupRunner::Status status = connection.thread().node().backups->status();
  Reply reply = connection.reply();
  const auto text = [&reply](std::string_view name, std::string_view value) {
    reply.bulk(name);
    reply.bulk(value);
  };
  const auto number = [&text](std::string_view name, auto value) {
    text(name, fmt::format("{}", value));
  };
  reply.map(status.last ? 13 : 5);
  text("stage", name_of(status.stage));
  number("run", status.run);
  text("directory", status.directory);
  number("copied_bytes", status.copied);
  number("expected_bytes", status.expected);
  if (!status.last) return;
  const BackupRunner::Outcome& last = *status.last;
  number("last_run", last.run);
  text("last_directory", last.directory);
  text("last_error", last.error.value_or(""));
  number("last_id", last.backup.id);
  number("last_bytes", last.backup.bytes);
  number("last_copied_bytes", last.copied);
  number("last_ended", last.ended_s);
  text("last_seconds", fmt::format("{:.3f}", last.seconds));
}

}  // namespace

void execute_backup(Connection& connection, Args args) {
  if (equals_ignore_case(args[1], "start") && args.size() >= 3) return start(connection, args);
  if (equals_ignore_case(args[1], "status") && args.size() == 2) return status(connection);
  if (equals_ignore_case(args[1], "cancel") && args.size() == 2) {
    if (connection.thread().node().backups->cancel()) return connection.reply().ok();
    return connection.reply().error("ERR no backup is under way");
  }
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "EVEN.BACKUP");
  reply_unknown_subcommand(connection, "EVEN.BACKUP", args[1]);
}

}  // namespace even
