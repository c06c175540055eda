// Rows of the commands that concern the node as a whole; the server executes them.
#include "engine/command.h"

namespace even {
namespace {

constexpr Subcommand kConfigSubcommands[] = {
    {"get", -3, kAdmin | kNoScript | kLoading | kStale, "2.0.0",
     "Values of the parameters that match a pattern", "O(N) where N is the number of patterns",
     "parameter(parameter)...", "", ""},
    {"set", -4, kAdmin | kNoScript | kLoading | kStale, "2.0.0", "Set parameters",
     "O(N) where N is the number of parameters", "parameter_value(parameter value)...", "",
     "request_policy:all_nodes response_policy:all_succeeded"},
    {"resetstat", 2, kAdmin | kNoScript | kLoading | kStale, "2.0.0",
     "Have the counters of INFO begin at 0", "O(1)", "", "", ""},
    {"help", 2, kLoading | kStale, "5.0.0", "Prints this help", "O(1)", "", "", ""},
};
constexpr Subcommand kSlowlogSubcommands[] = {
    {"get", -2, kAdmin | kLoading | kStale, "2.2.12", "The latest commands that took long",
     "O(N) where N is the number of entries replied", "[count:integer]", "",
     "request_policy:all_nodes nondeterministic_output"},
    {"len", 2, kAdmin | kLoading | kStale, "2.2.12", "Number of entries of the slow log", "O(1)",
     "", "", "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
    {"reset", 2, kAdmin | kLoading | kStale, "2.2.12", "Forget the entries of the slow log",
     "O(N) where N is the number of entries", "", "",
     "request_policy:all_nodes response_policy:all_succeeded"},
    {"help", 2, kLoading | kStale, "6.2.0", "Prints this help", "O(1)", "", "", ""},
};
constexpr Command kCommands[] = {
    {"cluster", -2, 0, 0, 0, 0, "cluster", "3.0.0",
     "Replies that this is no cluster in the sense of Redis: clients talk to any node", "O(1)", "",
     "", "", "", Scope::kConnection, Split::kNever, nullptr},
    {"config", -2, 0, 0, 0, 0, "server", "2.0.0", "Read and change the configuration of this node",
     "Depends on the subcommand", "", "", "", "", Scope::kConnection, Split::kNever, nullptr,
     kConfigSubcommands},
    {"debug", -2, kAdmin | kNoScript | kLoading | kStale, 0, 0, 0, "server", "1.0.0",
     "Aids for testing", "Depends on the subcommand", "", "", "", "", Scope::kConnection,
     Split::kNever, nullptr},
    {"info", -1, kLoading | kStale, 0, 0, 0, "server", "1.0.0",
     "Facts and counters of this node, by section", "O(1)", "[section...]", "@dangerous", "",
     "nondeterministic_output request_policy:all_shards response_policy:special",
     Scope::kConnection, Split::kNever, nullptr},
    {"lastsave", 1, kLoading | kStale | kFast, 0, 0, 0, "server", "1.0.0",
     "When the last backup of this node was made, or else when the node started", "O(1)", "",
     "@admin @dangerous", "", "nondeterministic_output", Scope::kConnection, Split::kNever,
     nullptr},
    {"role", 1, kNoScript | kLoading | kStale | kFast, 0, 0, 0, "server", "2.8.12",
     "The role of this node, master like all others, and the nodes that follow it", "O(1)", "",
     "@admin @dangerous", "", "", Scope::kConnection, Split::kNever, nullptr},
    {"shutdown", -1, kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy, 0, 0, 0,
     "server", "1.0.0", "Stop this node",
     "O(N) where N is what has changed since the store was last brought up to date",
     "[nosave_save(NOSAVE|SAVE)] [NOW] [FORCE] [ABORT]", "", "", "", Scope::kConnection,
     Split::kNever, nullptr},
    {"slowlog", -2, 0, 0, 0, 0, "server", "2.2.12", "The commands of this node that took long",
     "Depends on the subcommand", "", "", "", "", Scope::kConnection, Split::kNever, nullptr,
     kSlowlogSubcommands},
    {"time", 1, kLoading | kStale | kFast, 0, 0, 0, "server", "2.6.0",
     "The wall clock of this node", "O(1)", "", "", "", "nondeterministic_output",
     Scope::kConnection, Split::kNever, nullptr},
};

}  // namespace

std::span<const Command> server_commands() { return kCommands; }

}  // namespace even
