// Commands that concern a connection or the node rather than keys: their rows are in the engine's
// command table, their execution is here. Replies are those of Redis 7.0.15; CLIENT SETINFO and
// CLIENT NO-TOUCH are of 7.2.
//
// Run on the connection's thread. A command that needs other threads opens a slot in the
// connection's replies and fills it later.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "node/gather.h"
#include "node/report.h"
#include "node/table_change.h"

namespace even {

class Connection;

// `command` is of scope kConnection; arity and authentication have been checked.
void execute_connection_command(Connection& connection, const Command& command, Args args);

// In the files of these names: backup_command.cc and so on, LASTSAVE with ROLE.
void execute_acl(Connection& connection, Args args);
// Replies when the user `default`, who is not as the configuration says any more, has it.
void set_default_password(Connection& connection, std::string_view password);
void execute_backup(Connection& connection, Args args);
void execute_check(Connection& connection, Args args);
void execute_client(Connection& connection, Args args);
void execute_cluster(Connection& connection, Args args);
void execute_of_cluster(Connection& connection, Args args);  // READONLY and its like
void execute_consistency(Connection& connection, Args args);
void execute_groups(Connection& connection, Args args);
void execute_keyspace(Connection& connection, Args args);
void execute_quota(Connection& connection, Args args);
void execute_session(Connection& connection, Args args);
void execute_topic(Connection& connection, Args args);
// In emit_command.cc.
void execute_emit(Connection& connection, Args args);
// In fetch_command.cc.
void execute_fetch(Connection& connection, Args args);
void execute_config(Connection& connection, Args args);
void execute_latency(Connection& connection, Args args);
void execute_lolwut(Connection& connection, Args args);
void execute_monitor(Connection& connection, Args args);
void execute_lastsave(Connection& connection, Args args);
void execute_role(Connection& connection, Args args);
void execute_shutdown(Connection& connection, Args args);
void execute_function(Connection& connection, Args args);
void execute_info(Connection& connection, Args args);
void execute_memory(Connection& connection, Args args);
void execute_script(Connection& connection, Args args);
void execute_select(Connection& connection, Args args);
void execute_slowlog(Connection& connection, Args args);
void execute_fault(Connection& connection, Args args);
void execute_wait(Connection& connection, Args args);
// Of CLIENT: in tracking_command.cc.
void execute_tracking(Connection& connection, Args args);
void execute_caching(Connection& connection, std::string_view mode);
void execute_trackinginfo(Connection& connection);
void execute_getredir(Connection& connection);
void execute_pause(Connection& connection, Args args);
void execute_unpause(Connection& connection);
void execute_waitaof(Connection& connection, Args args);

// In pubsub_command.cc.
void execute_subscribe(Connection& connection, Args args);
void execute_psubscribe(Connection& connection, Args args);
void execute_ssubscribe(Connection& connection, Args args);
void execute_swapdb(Connection& connection, Args args);
void execute_unsubscribe(Connection& connection, Args args);
void execute_punsubscribe(Connection& connection, Args args);
void execute_sunsubscribe(Connection& connection, Args args);
void execute_publish(Connection& connection, Args args);
void execute_spublish(Connection& connection, Args args);
void execute_pubsub(Connection& connection, Args args);
// Whether a client that is subscribed to something and speaks RESP2 may use a command, and what it
// is told if not; `name`: with the subcommand.
bool allowed_while_subscribed(const Command& command);
std::string refusal_while_subscribed(const Command& command, std::string_view name);

// What EVEN.WITH and EVEN.ONCE ask for, of words that begin with one of them, into `options`;
// returns the words of the command that they are about. The error is a reply's text.
Result<Args> read_options(const Command& command, Args args, RequestOptions& options);

// Of a client's script, an error's text, or empty: functions are called by their names only.
std::string refusal_of_script(std::string_view text);

// Replies that there is no such subcommand; `container` in upper case.
void reply_unknown_subcommand(Connection& connection, std::string_view container,
                              std::string_view subcommand);
// The reply of HELP, from the command table.
void reply_help(Connection& connection, std::string_view container);

// Takes the outcome of a change of the table to the client.
TableChanged reply_when_changed(Connection& connection);

// Asks all threads, then replies with what format(reply, answers) writes.
template <typename Answer, typename Ask, typename Format>
void reply_gathered(Connection& connection, Ask ask, Format format);

}  // namespace even

#include "client/connection.h"

namespace even {

template <typename Answer, typename Ask, typename Format>
void reply_gathered(Connection& connection, Ask ask, Format format) {
  ShardThread& thread = connection.thread();
  const std::uint64_t slot = connection.open_slot();
  gather<Answer>(
      thread.node(), std::move(ask), [&thread](auto task) { thread.post(std::move(task)); },
      [weak = connection.weak_from_this(), slot, command = connection.last_command(),
       format = std::move(format),
       resp3 = connection.session().resp3](std::vector<Answer> answers) mutable {
        const auto self = weak.lock();
        if (!self) return;
        std::string bytes;
        Reply reply(bytes, resp3);
        format(reply, std::move(answers));
        self->complete(slot, std::move(bytes), command);
      });
}

}  // namespace even
