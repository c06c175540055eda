// What a connection does while its thread executes a script that takes long: it is answered -BUSY,
// and may have the script ended. docs/scripting.md, "Time"
#include <fmt/format.h>
#include <sys/socket.h>

#include "client/connection.h"
#include "client/connection_commands.h"
#include "engine/text.h"
#include "node/login.h"
#include "node/shard_thread.h"

namespace even {
namespace {

// That are received at a time.
constexpr std::size_t kBusyChunk = 16 * 1024;

// What does not touch keys; EXEC only ends a transaction, as it cannot be executed. A MULTI that
// were refused would leave those behind it to be executed one by one, once the script has ended.
bool is_of_transaction(const Command& command) {
  return command.name == "multi" || command.name == "exec" || command.name == "discard";
}

bool allowed_while_busy(const Command& command, Args args) {
  if (command.name == "script" || command.name == "function")
    return args.size() == 2 && equals_ignore_case(args[1], "kill");
  return command.name == "auth" || command.name == "hello" || command.name == "quit" ||
         command.name == "unwatch" || is_of_transaction(command);
}

}  // namespace

void Connection::serve_while_busy() {
  // Who is in the middle of something has to wait for that.
  const bool free = plain_ >= 0 && may_read() && !in_batch_ && !replies_.has_open_slots() &&
                    !blocked_request_ && !executing_ && !writing_;
  if (!free) return;
  char bytes[kBusyChunk];
  const ssize_t count = ::recv(plain_, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count <= 0) {
    flush(thread_.released(), {});
    return;
  }
  thread_.traffic().input_bytes += static_cast<std::size_t>(count);
  input_.append(bytes, static_cast<std::size_t>(count));
  RequestBatch& batch = thread_.busy_batch();
  const RespLimits limits{
      .max_bulk_bytes = thread_.node().options.max_request_bytes.load(std::memory_order_relaxed),
      .authenticated = session_.authenticated};
  std::size_t used = 0;
  for (bool more = true; more && used < input_.size() && !closing_ && !closed_;) {
    const RespParser::Status status =
        batch.parse(parser_, std::string_view(input_).substr(used), limits);
    more = status == RespParser::Status::kRequest;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      execute_while_busy(batch.command(i), batch.args(i));
      used += batch.bytes(i);
    }
    if (status != RespParser::Status::kError) continue;
    replies_.begin_reply();
    reply().error(parser_.error());
    closing_ = true;
  }
  if (closed_) return;
  input_.erase(0, used);
  flush(thread_.released(), {});
}

void Connection::execute_while_busy(const Command* command, Args args) {
  if (args.empty()) return;
  replies_.begin_reply();
  const auto refuse = [this](std::string_view error) {
    transaction_.fail();
    reply().error(error);
  };
  if (command == nullptr) return refuse(unknown_command(args));
  if (const std::string error = check_arity(*command, args); !error.empty()) return refuse(error);
  if (!session_.authenticated && (command->flags & kNoAuth) == 0) {
    return refuse(refusal_of_strangers(thread_));
  }
  if (session_.limited) {
    if (const std::optional<AclDenial> denial = denied(args)) return refuse(denial->reply());
  }
  const bool queued =
      transaction_.open() && !is_of_transaction(*command) && command->name != "quit";
  if (command->name == "watch") {
    if (transaction_.open()) return reply().error("ERR WATCH inside MULTI is not allowed");
    // Its keys cannot be looked at. What stands behind it counts on it, and may be executed.
    transaction_.watch_failed();
    replies_.tail() += kBusyReply;
    return;
  }
  if (queued || !allowed_while_busy(*command, args)) {
    transaction_.fail();
    replies_.tail() += kBusyReply;
    return;
  }
  if (command->name == "exec") {
    transaction_.forget();
    constexpr std::string_view kBusy = kBusyReply.substr(1, kBusyReply.size() - 3);
    return reply().error(fmt::format("EXECABORT Transaction discarded because of: {}", kBusy));
  }
  last_command_ = &thread_.stats().find(*command, args);
  execute_connection_command(*this, *command, args);
}

}  // namespace even
