// Rows of the commands that concern one connection; the server executes them.
#include "engine/command.h"

namespace even {
namespace {

constexpr Subcommand kClientSubcommands[] = {
    {"id", 2, kNoScript | kLoading | kStale, "5.0.0", "Number of this connection", "O(1)", "",
     "@connection", ""},
    {"getname", 2, kNoScript | kLoading | kStale, "2.6.9", "Name of this connection", "O(1)", "",
     "@connection", ""},
    {"setname", 3, kNoScript | kLoading | kStale, "2.6.9", "Name this connection", "O(1)",
     "connection-name", "@connection", ""},
    {"setinfo", 4, kNoScript | kLoading | kStale, "7.2.0",
     "Note the name and version of the client library", "O(1)",
     "attr(LIB-NAME libname|LIB-VER libver)", "@connection", ""},
    {"info", 2, kNoScript | kLoading | kStale, "6.2.0", "Facts about this connection", "O(1)", "",
     "@connection", "nondeterministic_output"},
    {"list", -2, kAdmin | kNoScript | kLoading | kStale, "2.4.0", "Facts about all connections",
     "O(N) where N is the number of connections",
     "[TYPE normal_master_replica_pubsub(NORMAL|MASTER|REPLICA|PUBSUB)] "
     "[ID id(client-id:integer...)]",
     "@connection", "nondeterministic_output"},
    {"kill", -3, kAdmin | kNoScript | kLoading | kStale, "2.4.0", "Close connections that match",
     "O(N) where N is the number of connections",
     "filter(ip:port:string|new-format([ID client-id:integer]|"
     "[TYPE normal_master_slave_pubsub(NORMAL|MASTER|SLAVE|REPLICA|PUBSUB)]|[USER username]|"
     "[ADDR ip:port:string]|[LADDR ip:port:string]|[SKIPME yes/no])...)",
     "@connection", ""},
    {"reply", 3, kNoScript | kLoading | kStale, "3.2.0",
     "Switch the replies to this connection on or off, or leave out the next one", "O(1)",
     "on_off_skip(ON|OFF|SKIP)", "@connection", ""},
    {"no-evict", 3, kAdmin | kNoScript | kLoading | kStale, "7.0.0",
     "Keep this connection when memory for clients runs out", "O(1)", "enabled(ON|OFF)",
     "@connection", ""},
    {"no-touch", 3, kNoScript | kLoading | kStale, "7.2.0",
     "Do not count the reads of this connection as use of a key", "O(1)", "enabled(ON|OFF)",
     "@connection", ""},
    {"help", 2, kLoading | kStale, "5.0.0", "Prints this help", "O(1)", "", "@connection", ""},
};
constexpr Command kCommands[] = {
    {"auth", -2, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "1.0.0", "Log in with a password", "O(1)", "[username] password", "@connection",
     "", "", Scope::kConnection, Split::kNever, nullptr},
    {"client", -2, 0, 0, 0, 0, "connection", "2.4.0", "Look at and control client connections",
     "Depends on the subcommand", "", "", "", "", Scope::kConnection, Split::kNever, nullptr,
     kClientSubcommands},
    {"echo", 2, kLoading | kStale | kFast, 0, 0, 0, "connection", "1.0.0",
     "Answer the given message", "O(1)", "message", "@connection", "", "", Scope::kConnection,
     Split::kNever, nullptr},
    {"hello", -1, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "6.0.0",
     "Agree on the protocol version; optionally log in and name the connection", "O(1)",
     "[arguments(protover:integer [AUTH username_password(username password)] "
     "[SETNAME clientname])]",
     "@connection", "", "", Scope::kConnection, Split::kNever, nullptr},
    {"ping", -1, kFast, 0, 0, 0, "connection", "1.0.0", "Answer PONG, or the given message", "O(1)",
     "[message]", "@connection", "", "request_policy:all_shards response_policy:all_succeeded",
     Scope::kConnection, Split::kNever, nullptr},
    {"quit", -1, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "1.0.0", "Close the connection", "O(1)", "", "@connection", "", "",
     Scope::kConnection, Split::kNever, nullptr},
    {"reset", 1, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "6.2.0", "Put the connection back into the state of a new one", "O(1)", "",
     "@connection", "", "", Scope::kConnection, Split::kNever, nullptr},
    {"select", 2, kLoading | kStale | kFast, 0, 0, 0, "connection", "1.0.0",
     "Choose the database; there is only number 0", "O(1)", "index:integer", "@connection", "", "",
     Scope::kConnection, Split::kNever, nullptr},
};

}  // namespace

std::span<const Command> connection_commands() { return kCommands; }

}  // namespace even
