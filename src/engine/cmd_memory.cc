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

constexpr Command kRows[] = {
    {"memory|usage", -3, kReadonly, 2, 2, 1, "server", "4.0.0",
     "Bytes that a key and what it holds take in memory", "O(N) where N is the number of samples",
     "key [SAMPLES count:integer]", "", "RO", "", Scope::kKeys, Split::kNever,
     memory_usage_command},
};
constexpr Subcommand kMemorySubcommands[] = {
    {"doctor", 2, 0, "4.0.0", "What there is to say about the memory of this node", "O(1)", "", "",
     kAllShards},
    {"malloc-stats", 2, 0, "4.0.0", "Statistics of the allocator, which has none to show", "O(1)",
     "", "", kAllShards},
    {"purge", 2, 0, "4.0.0", "Give memory that is free back to the operating system",
     "Depends on how much memory is allocated", "", "",
     "request_policy:all_shards response_policy:all_succeeded"},
    {"stats", 2, 0, "4.0.0", "Figures about the memory of this node", "O(1)", "", "", kAllShards},
    {"usage", kRows[0].arity, kRows[0].flags, kRows[0].since, kRows[0].summary, kRows[0].complexity,
     kRows[0].arguments, kRows[0].acl, kRows[0].tips, &kRows[0]},
    {"help", 2, kLoading | kStale, "4.0.0", "Prints this help", "O(1)", "", "", ""},
};
constexpr Command kCommands[] = {
    {"memory", -2, 0, 0, 0, 0, "server", "4.0.0", "Memory of this node and of keys",
     "Depends on the subcommand", "", "", "", "", Scope::kConnection, Split::kNever, nullptr,
     kMemorySubcommands},
};

}  // namespace

std::span<const Command> memory_commands() { return kCommands; }

}  // namespace even
