// Rows of the commands that concern the node as a whole; the server executes them.
#include "engine/command.h"

namespace even {
namespace {

constexpr Subcommand kConfigSubcommands[] = {
    {"get", -3, kAdmin | kNoScript | kLoading | kStale, "2.0.0",
     "Values of the parameters that match a pattern", "", ""},
    {"set", -4, kAdmin | kNoScript | kLoading | kStale, "2.0.0", "Set parameters", "",
     "request_policy:all_nodes response_policy:all_succeeded"},
    {"help", 2, kLoading | kStale, "5.0.0", "What the subcommands do", "", ""},
};
constexpr Command kCommands[] = {
    {"config", -2, 0, 0, 0, 0, "server", "2.0.0", "Read and change the configuration of this node",
     "", "", "", Scope::kConnection, Split::kNever, nullptr, kConfigSubcommands},
    {"debug", -2, kAdmin | kNoScript | kLoading | kStale, 0, 0, 0, "server", "1.0.0",
     "Aids for testing", "", "", "", Scope::kConnection, Split::kNever, nullptr},
    {"info", -1, kLoading | kStale, 0, 0, 0, "server", "1.0.0",
     "Facts and counters of this node, by section", "@dangerous", "",
     "nondeterministic_output request_policy:all_shards response_policy:special",
     Scope::kConnection, Split::kNever, nullptr},
    {"time", 1, kLoading | kStale | kFast, 0, 0, 0, "server", "2.6.0",
     "The wall clock of this node", "", "", "nondeterministic_output", Scope::kConnection,
     Split::kNever, nullptr},
};

}  // namespace

std::span<const Command> server_commands() { return kCommands; }

}  // namespace even
