// MEMORY: what keys take in memory. The subcommands about the node are executed by the server.
#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::size_t kDefaultSamples = 5;

void memory_usage_command(Context& context, Args args) {
  std::size_t samples = kDefaultSamples;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    if (!equals_ignore_case(args[i], "samples") || i + 1 == args.size()) {
      return context.reply.error(kSyntaxError);
    }
    std::int64_t count = 0;
    if (!read_integer(context, args[i + 1], count)) return;
    if (count < 0) return context.reply.error(kSyntaxError);
    samples = static_cast<std::size_t>(count);
  }
  const std::string_view key = args[2];
  const Object* object = context.find(key);
  if (object == nullptr) return context.reply.null();
  const Keyspace& keyspace = context.keyspace();
  const PartitionState& state = keyspace.state(keyspace.partition_of(key));
  const std::size_t node = state.in_memory().find_node(key, hash64(key))->memory_bytes();
  context.reply.integer(static_cast<std::int64_t>(node + object->footprint(samples).bytes));
}

constexpr std::string_view kAllShards =
    "nondeterministic_output request_policy:all_shards response_policy:special";

constexpr Command kMemoryRows[] = {
    {.name = "memory|usage",
     .group = "server",
     .arity = -3,
     .flags = kReadonly,
     .keys = {.first = 2, .last = 2, .step = 1},
     .handler = memory_usage_command,
     .docs = {.since = "4.0.0",
              .summary = "Bytes that a key and what it holds take in memory",
              .complexity = "O(N) where N is the number of samples",
              .arguments = "key [SAMPLES count:integer]",
              .key_spec = "RO"}},
};
constexpr Subcommand kMemorySubcommands[] = {
    {.name = "doctor",
     .arity = 2,
     .docs = {.since = "4.0.0",
              .summary = "What there is to say about the memory of this node",
              .complexity = "O(1)",
              .tips = kAllShards}},
    {.name = "malloc-stats",
     .arity = 2,
     .docs = {.since = "4.0.0",
              .summary = "Statistics of the allocator, which has none to show",
              .complexity = "O(1)",
              .tips = kAllShards}},
    {.name = "purge",
     .arity = 2,
     .docs = {.since = "4.0.0",
              .summary = "Give memory that is free back to the operating system",
              .complexity = "Depends on how much memory is allocated",
              .tips = "request_policy:all_shards response_policy:all_succeeded"}},
    {.name = "stats",
     .arity = 2,
     .docs = {.since = "4.0.0",
              .summary = "Figures about the memory of this node",
              .complexity = "O(1)",
              .tips = kAllShards}},
    subcommand_of("usage", kMemoryRows[0]),
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "4.0.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Command kMemoryCommands[] = {
    {.name = "memory",
     .group = "server",
     .arity = -2,
     .scope = Scope::kConnection,
     .subcommands = kMemorySubcommands,
     .docs = {.since = "4.0.0",
              .summary = "Memory of this node and of keys",
              .complexity = "Depends on the subcommand"}},
};

}  // namespace

std::span<const Command> memory_commands() { return kMemoryCommands; }

}  // namespace even
