// Rows of the commands that concern one connection; the server executes them.
#include "engine/command.h"

namespace even {
namespace {

constexpr Subcommand kClientSubcommands[] = {
    {"id", 2, kNoScript | kLoading | kStale, "5.0.0", "Number of this connection", "@connection",
     ""},
    {"getname", 2, kNoScript | kLoading | kStale, "2.6.9", "Name of this connection", "@connection",
     ""},
    {"setname", 3, kNoScript | kLoading | kStale, "2.6.9", "Name this connection", "@connection",
     ""},
    {"setinfo", 4, kNoScript | kLoading | kStale, "7.2.0",
     "Note the name and version of the client library", "@connection", ""},
    {"info", 2, kNoScript | kLoading | kStale, "6.2.0", "Facts about this connection",
     "@connection", "nondeterministic_output"},
    {"list", -2, kAdmin | kNoScript | kLoading | kStale, "2.4.0", "Facts about all connections",
     "@connection", "nondeterministic_output"},
    {"kill", -3, kAdmin | kNoScript | kLoading | kStale, "2.4.0", "Close connections that match",
     "@connection", ""},
    {"no-evict", 3, kAdmin | kNoScript | kLoading | kStale, "7.0.0",
     "Keep this connection when memory for clients runs out", "@connection", ""},
    {"no-touch", 3, kNoScript | kLoading | kStale, "7.2.0",
     "Do not count the reads of this connection as use of a key", "@connection", ""},
    {"help", 2, kLoading | kStale, "5.0.0", "What the subcommands do", "@connection", ""},
};
constexpr Command kCommands[] = {
    {"auth", -2, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "1.0.0", "Log in with a password", "@connection", "", "", Scope::kConnection,
     Split::kNever, nullptr},
    {"client", -2, 0, 0, 0, 0, "connection", "2.4.0", "Look at and control client connections", "",
     "", "", Scope::kConnection, Split::kNever, nullptr, kClientSubcommands},
    {"echo", 2, kLoading | kStale | kFast, 0, 0, 0, "connection", "1.0.0",
     "Answer the given message", "@connection", "", "", Scope::kConnection, Split::kNever, nullptr},
    {"hello", -1, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "6.0.0",
     "Agree on the protocol version; optionally log in and name the connection", "@connection", "",
     "", Scope::kConnection, Split::kNever, nullptr},
    {"ping", -1, kFast, 0, 0, 0, "connection", "1.0.0", "Answer PONG, or the given message",
     "@connection", "", "request_policy:all_shards response_policy:all_succeeded",
     Scope::kConnection, Split::kNever, nullptr},
    {"quit", -1, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "1.0.0", "Close the connection", "@connection", "", "", Scope::kConnection,
     Split::kNever, nullptr},
    {"reset", 1, kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy, 0, 0, 0,
     "connection", "6.2.0", "Put the connection back into the state of a new one", "@connection",
     "", "", Scope::kConnection, Split::kNever, nullptr},
    {"select", 2, kLoading | kStale | kFast, 0, 0, 0, "connection", "1.0.0",
     "Choose the database; there is only number 0", "@connection", "", "", Scope::kConnection,
     Split::kNever, nullptr},
};

}  // namespace

std::span<const Command> connection_commands() { return kCommands; }

}  // namespace even
