// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]: ends the node as SIGTERM does. The client gets no
// reply but the end of its connection, which is when the process ends.
//
// What Redis saves is in the log here, so nothing is lost either way: NOSAVE means that the store
// is not brought up to date first, and the next start replays more of the log. Without FORCE a node
// whose log cannot be written goes on instead. Once it has begun it is not to be stopped, since no
// client is heard any more; so there is never anything to ABORT.
#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {

void execute_shutdown(Connection& connection, Args args) {
  StopRequest request{.reason = "SHUTDOWN"};
  bool save = false, force = false, abort = false;
  for (std::string_view word : args.subspan(1)) {
    if (equals_ignore_case(word, "nosave")) {
      request.store_changes = false;
    } else if (equals_ignore_case(word, "save")) {
      save = true;
    } else if (equals_ignore_case(word, "now")) {
      request.wait_for_clients = false;
    } else if (equals_ignore_case(word, "force")) {
      force = true;
    } else if (equals_ignore_case(word, "abort")) {
      abort = true;
    } else {
      return connection.reply().error(kSyntaxError);
    }
  }
  const bool other = !request.store_changes || save || !request.wait_for_clients || force;
  if ((abort && other) || (save && !request.store_changes)) {
    return connection.reply().error(kSyntaxError);
  }
  if (abort) return connection.reply().error("ERR No shutdown in progress.");
  request.reason += " of client " + connection.session().address;

  // Its place in the replies stays open if the node stops, so that nothing behind it is executed.
  const std::uint64_t slot = connection.open_slot();
  ShardThread& thread = connection.thread();
  gather<bool>(
      thread.node(), [](ShardThread& asked) { return asked.shard().write_error().has_value(); },
      [&thread](auto task) { thread.post(std::move(task)); },
      [weak = connection.weak_from_this(), &node = thread.node(), slot, force,
       request = std::move(request),
       command = connection.last_command()](const std::vector<bool>& cannot_write) {
        const bool good = std::ranges::find(cannot_write, true) == cannot_write.end();
        const auto self = weak.lock();
        if (good || force) {
          if (self) self->wait_for_stop();
          return node.stop(request);
        }
        if (self) {
          self->complete(slot, "-ERR Errors trying to SHUTDOWN. Check logs.\r\n", command);
        }
      });
}

}  // namespace even
