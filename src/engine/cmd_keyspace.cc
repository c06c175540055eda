// Rows of the commands about keyspaces and their consistency; the server executes them.
#include "engine/command.h"

namespace even {
namespace {

constexpr Subcommand kKeyspaceSubcommands[] = {
    {.name = "create",
     .arity = -5,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Have keys with a prefix kept in another way than others",
              .complexity = "O(N) where N is the number of keys",
              .arguments =
                  "name PREFIX prefix [MODE mode(EVENTUAL|STRONG)] [REPLICAS "
                  "replicas:integer] [PARTITIONS partitions:integer] [READ read-level] "
                  "[WRITE write-level] [CONFLICT conflict(LWW|SIBLINGS)] [SLOPPY "
                  "sloppy(YES|NO)] [DELAY milliseconds:integer] [DEADLINE milliseconds:integer] "
                  "[FEED topic] [SNAPSHOT snapshot(YES|NO)]"}},
    {.name = "alter",
     .arity = -5,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Change what can be changed of a keyspace",
              .complexity = "O(1)",
              .arguments =
                  "name setting(READ read-level|WRITE write-level|CONFLICT "
                  "conflict(LWW|SIBLINGS)|SLOPPY sloppy(YES|NO)|DELAY milliseconds:integer|"
                  "DEADLINE milliseconds:integer|FEED topic|SNAPSHOT snapshot(YES|NO))..."}},
    {.name = "drop",
     .arity = -3,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Give a keyspace up; with FORCE, also one that has keys, and them with it",
              .complexity = "O(N) where N is the number of its partitions",
              .arguments = "name [FORCE]"}},
    {.name = "list",
     .arity = 2,
     .flags = kNoScript,
     .docs = {.since = "0.1.0", .summary = "The names of all keyspaces", .complexity = "O(N)"}},
    {.name = "info",
     .arity = 3,
     .flags = kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "What was said when a keyspace was created",
              .complexity = "O(1)",
              .arguments = "name"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "0.1.0", .summary = "Prints this help", .complexity = "O(1)"}},
};

constexpr Subcommand kTopicSubcommands[] = {
    {.name = "create",
     .arity = -3,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Creates a topic",
              .complexity = "O(N) where N is the number of partitions",
              .arguments = "name [PARTITIONS partitions:integer] [REPLICAS replicas:integer] "
                           "[RETENTION milliseconds:integer] [BYTES bytes:integer] "
                           "[CLEANUP cleanup:string] "
                           "[TOMBSTONES milliseconds:integer] [DIRTY ratio:double] "
                           "[MINLAG milliseconds:integer] [MAXLAG milliseconds:integer]"}},
    {.name = "alter",
     .arity = -5,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Changes how much of a topic stays, or gives it more partitions",
              .complexity = "O(1)",
              .arguments = "name change(PARTITIONS partitions:integer|"
                           "RETENTION milliseconds:integer|BYTES bytes:integer|"
                           "CLEANUP cleanup:string|TOMBSTONES milliseconds:integer|"
                           "DIRTY ratio:double|MINLAG milliseconds:integer|"
                           "MAXLAG milliseconds:integer)..."}},
    {.name = "drop",
     .arity = 3,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Gives up a topic and its records",
              .complexity = "O(N) where N is the number of partitions",
              .arguments = "name"}},
    {.name = "list",
     .arity = 2,
     .flags = kNoScript,
     .docs = {.since = "0.1.0", .summary = "The topics", .complexity = "O(N)"}},
    {.name = "info",
     .arity = 3,
     .flags = kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "What a topic is, and of each partition that this node has: who leads it, "
                         "and its offsets",
              .complexity = "O(N) where N is the number of partitions",
              .arguments = "name"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "0.1.0", .summary = "Prints this help", .complexity = "O(1)"}},
};

constexpr Subcommand kQuotaSubcommands[] = {
    {.name = "set",
     .arity = -5,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary =
                  "Limits how many bytes a second clients of topics produce and consume; NONE "
                  "lifts a limit",
              .complexity = "O(N) where N is the number of quotas",
              .arguments = "entity(USER user-name:string|USER-DEFAULTS|CLIENT client-id:string|"
                           "CLIENT-DEFAULTS)... "
                           "rate(PRODUCER bytes:integer|CONSUMER bytes:integer)..."}},
    {.name = "del",
     .arity = -3,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "Lifts what was set for just these",
              .complexity = "O(N) where N is the number of quotas",
              .arguments = "entity(USER user-name:string|USER-DEFAULTS|CLIENT client-id:string|"
                           "CLIENT-DEFAULTS)..."}},
    {.name = "get",
     .arity = -3,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "What was set for just these",
              .complexity = "O(N) where N is the number of quotas",
              .arguments = "entity(USER user-name:string|USER-DEFAULTS|CLIENT client-id:string|"
                           "CLIENT-DEFAULTS)..."}},
    {.name = "list",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .docs = {.since = "0.1.0",
              .summary = "All quotas, each as the words that set it",
              .complexity = "O(N)"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "0.1.0", .summary = "Prints this help", .complexity = "O(1)"}},
};

constexpr Command kKeyspaceCommands[] = {
    {.name = "even.consistency",
     .group = "connection",
     .arity = -1,
     .flags = kNoScript | kFast,
     .scope = Scope::kConnection,
     .docs = {.since = "0.1.0",
              .summary = "The consistency levels of this connection",
              .complexity = "O(1)",
              .arguments = "[READ read-level] [WRITE write-level]"}},
    {.name = "even.emit",
     .group = "generic",
     .arity = -4,
     .flags = kDenyOom | kNoScript | kFast,
     .acl = "@write",
     .scope = Scope::kConnection,
     .docs = {.since = "0.1.0",
              .summary = "Append a record to a topic; in a transaction, together with what that "
                         "changes and exactly once",
              .complexity = "O(1)",
              .arguments = "topic record-key record-value [HEADER header(header-name "
                           "header-value)...]"}},
    {.name = "even.fetch",
     .group = "generic",
     .arity = -4,
     .flags = kNoMulti | kNoScript,
     .acl = "@read",
     .scope = Scope::kConnection,
     .docs = {.since = "0.1.0",
              .summary = "Records of a topic's partition from an offset on",
              .complexity = "O(N) where N is the number of records",
              .arguments = "topic partition:integer offset:integer [COUNT count:integer] [BLOCK "
                           "milliseconds:integer]"}},
    {.name = "even.groups",
     .group = "server",
     .arity = 1,
     .flags = kNoScript,
     .scope = Scope::kConnection,
     .docs = {.since = "0.1.0",
              .summary = "The groups of strong keyspaces that this node is a member of",
              .complexity = "O(N) where N is the number of groups",
              .tips = "nondeterministic_output"}},
    {.name = "even.keyspace",
     .group = "server",
     .arity = -2,
     .flags = kNoMulti,
     .scope = Scope::kConnection,
     .subcommands = kKeyspaceSubcommands,
     .docs = {.since = "0.1.0",
              .summary = "Keyspaces: which keys are kept how",
              .complexity = "Depends on the subcommand"}},
    {.name = "even.once",
     .group = "generic",
     .arity = -3,
     .flags = kNoScript | kMovableKeys,
     .scope = Scope::kInner,
     .docs = {.since = "0.1.0",
              .summary = "Execute a command, or the EXEC of a transaction, once for an id; a "
                         "repetition gets the first reply",
              .complexity = "That of the command",
              .arguments = "id [PX milliseconds:integer] command argument..."}},
    {.name = "even.quota",
     .group = "server",
     .arity = -2,
     .flags = kNoMulti,
     .scope = Scope::kConnection,
     .subcommands = kQuotaSubcommands,
     .docs = {.since = "0.1.0",
              .summary = "Quotas of clients of Kafka's protocol",
              .complexity = "Depends on the subcommand"}},
    {.name = "even.session",
     .group = "connection",
     .arity = -1,
     .flags = kNoScript | kNoMulti | kFast,
     .scope = Scope::kConnection,
     .docs = {.since = "0.1.0",
              .summary = "A token of all that this connection has seen and written, or another "
                         "one's to go on with",
              .complexity = "O(N) where N is the number of partitions of keys that it has used",
              .arguments = "[how(token|RESET)]"}},
    {.name = "even.topic",
     .group = "server",
     .arity = -2,
     .flags = kNoMulti,
     .scope = Scope::kConnection,
     .subcommands = kTopicSubcommands,
     .docs = {.since = "0.1.0",
              .summary = "Topics, which clients of Kafka's protocol use",
              .complexity = "Depends on the subcommand"}},
    {.name = "even.with",
     .group = "generic",
     .arity = -3,
     .flags = kNoScript | kMovableKeys,
     .scope = Scope::kInner,
     .docs = {.since = "0.1.0",
              .summary = "Execute a command with this consistency level",
              .complexity = "That of the command",
              .arguments = "level(ONE|TWO|THREE|number:integer|QUORUM|ALL|SESSION|CAUSAL|BOUNDED "
                           "milliseconds:integer|SEQUENTIAL|LINEARIZABLE) command argument..."}},
};

}  // namespace

std::span<const Command> keyspace_commands() { return kKeyspaceCommands; }

}  // namespace even
