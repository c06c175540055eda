// Rows of the commands that run scripts (src/script executes them), and of SCRIPT, which the server
// executes. docs/scripting.md
#include "engine/command.h"

namespace even {
namespace {

constexpr std::uint32_t kScriptFlags =
    kNoScript | kStale | kSkipMonitor | kNoMandatoryKeys | kMovableKeys;

constexpr Subcommand kScriptSubcommands[] = {
    {.name = "debug",
     .arity = 3,
     .flags = kNoScript,
     .acl = "@scripting",
     .docs = {.since = "3.2.0",
              .summary = "Refused but for NO: scripts are not stopped amid an execution",
              .complexity = "O(1)",
              .arguments = "mode(YES|SYNC|NO)"}},
    {.name = "exists",
     .arity = -3,
     .flags = kNoScript,
     .acl = "@scripting",
     .docs = {.since = "2.6.0",
              .summary = "Which of these scripts this node knows",
              .complexity = "O(N) with N being the number of scripts to check",
              .arguments = "sha1:string...",
              .tips = "request_policy:all_shards response_policy:agg_logical_and"}},
    {.name = "flush",
     .arity = -2,
     .flags = kNoScript,
     .acl = "@scripting",
     .docs = {.since = "2.6.0",
              .summary = "Forget all scripts, at this node",
              .complexity = "O(N) with N being the number of scripts in cache",
              .arguments = "[async(ASYNC|SYNC)]",
              .tips = "request_policy:all_nodes response_policy:all_succeeded"}},
    {.name = "kill",
     .arity = 2,
     .flags = kNoScript | kAllowBusy,
     .acl = "@scripting",
     .docs = {.since = "2.6.0",
              .summary = "End scripts of this node that take too long and have written nothing",
              .complexity = "O(1)",
              .tips = "request_policy:all_shards response_policy:one_succeeded"}},
    {.name = "load",
     .arity = 3,
     .flags = kNoScript | kStale,
     .acl = "@scripting",
     .docs = {.since = "2.6.0",
              .summary = "Have this node know a script, for EVALSHA",
              .complexity = "O(N) with N being the length in bytes of the script body",
              .arguments = "script:string",
              .tips = "request_policy:all_nodes response_policy:all_succeeded"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .acl = "@scripting",
     .docs = {.since = "5.0.0", .summary = "Prints this help", .complexity = "O(1)"}},
};

constexpr Command script_row(std::string_view name, std::uint32_t flags, std::string_view since,
                             std::string_view summary, std::string_view arguments,
                             std::string_view key_spec) {
  return {.name = name,
          .group = "scripting",
          .arity = -3,
          .flags = kScriptFlags | flags,
          .acl = "@scripting",
          .keys = {.count = 2},
          .script = true,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = "Depends on the script that is executed.",
                   .arguments = arguments,
                   .key_spec = key_spec}};
}

constexpr Command kScriptCommands[] = {
    script_row("eval", 0, "2.6.0", "Execute a script",
               "script:string numkeys:integer [key...] [arg:string...]", "RW access update"),
    script_row("evalsha", 0, "2.6.0", "Execute a script that this node knows",
               "sha1:string numkeys:integer [key...] [arg:string...]", "RW access update"),
    script_row("eval_ro", kReadonly, "7.0.0", "Execute a script that writes nothing",
               "script:string numkeys:integer [key...] [arg:string...]", "RO access"),
    script_row("evalsha_ro", kReadonly, "7.0.0",
               "Execute a script that this node knows and that writes nothing",
               "sha1:string numkeys:integer [key...] [arg:string...]", "RO access"),
    {.name = "script",
     .group = "scripting",
     .arity = -2,
     .scope = Scope::kConnection,
     .subcommands = kScriptSubcommands,
     .docs = {.since = "2.6.0",
              .summary = "The scripts that this node knows",
              .complexity = "Depends on the subcommand"}},
};

}  // namespace

std::span<const Command> script_commands() { return kScriptCommands; }

}  // namespace even
