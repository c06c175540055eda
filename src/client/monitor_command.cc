// MONITOR: what the clients of this node ask for, as in Redis 7: without what is administrative,
// and with passwords hidden. Of a script the call is shown, not the commands that it makes.
#include <fmt/format.h>

#include "client/connection_commands.h"
#include "engine/command_entry.h"
#include "env/posix_clock.h"

namespace even {
namespace {

void append_quoted(std::string& out, std::string_view word) {
  out += '"';
  for (const char c : word) {
    switch (c) {
      case '\\':
      case '"':
        out += '\\';
        out += c;
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c >= ' ' && c <= '~') {
          out += c;
        } else {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
  }
  out += '"';
}

}  // namespace

void Connection::show_to_monitors(const Command& command, Args args, DatabaseNumber database) {
  const CommandEntry entry = entry_of_request(args).value_or(CommandEntry{command});
  if ((entry.flags() & kAdmin) != 0) return;
  const std::int64_t now_us = PosixClock(&thread_.node().clock_skew).wall_us();
  std::string line = fmt::format("+{}.{:06} [{} {}]", now_us / 1'000'000, now_us % 1'000'000,
                                 database, session_.address);
  for (std::size_t i = 0; i < args.size(); ++i) {
    line += ' ';
    append_quoted(line, is_secret(command, args, i) ? kRedacted : args[i]);
  }
  line += "\r\n";
  const Monitors& monitors = thread_.node().monitors;
  const auto shared = std::make_shared<const std::string>(std::move(line));
  for (ShardId thread = 0; thread < monitors.threads(); ++thread) {
    if (!monitors.any_at(thread)) continue;
    if (thread == thread_.id()) {
      thread_.show_to_monitors(*shared);
    } else {
      thread_.send_to(thread, [shared](ShardThread& other) { other.show_to_monitors(*shared); });
    }
  }
}

void Connection::begin_monitoring() {
  if (std::exchange(session_.monitors, true)) return;
  thread_.add_monitor(weak_from_this());
}

void Connection::end_monitoring() {
  if (!std::exchange(session_.monitors, false)) return;
  thread_.remove_monitor(session_.id);
}

// Like what is published: it comes between the replies.
void Connection::receive_line(const std::string& line) {
  if (closing_ || closed_) return;
  note_dirty();
  const OutputLimit& limit = thread_.node().options.output_limit(ClientClass::kReplica);
  // It will be closed in the end of the turn.
  if (limit.exceeded_by(replies_.size() + held_pushes_.size())) return;
  if (in_batch_ || in_exec_) {  // behind the reply under way
    held_pushes_.add(line, line);
    return;
  }
  replies_.begin_reply();
  replies_.tail() += line;
}

void execute_monitor(Connection& connection, Args) {
  if (connection.in_exec()) {
    return connection.reply().error("ERR MONITOR isn't allowed for DENY BLOCKING client");
  }
  connection.begin_monitoring();
  connection.reply().ok();
}

}  // namespace even
