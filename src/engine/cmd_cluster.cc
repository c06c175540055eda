// CLUSTER, as the node sees the cluster, and what is about the keys of a slot. The former is
// executed by the server (client/cluster_command.cc).
#include <algorithm>
#include <string_view>
#include <vector>

#include "base/reserved.h"
#include "cluster/placement.h"
#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

// Replies an error and returns false when it is no slot.
bool read_slot(Context& context, std::string_view word, std::uint16_t& out) {
  constexpr std::string_view kInvalid = "ERR Invalid slot";
  std::int64_t slot;
  if (!read_integer(context, word, slot)) return false;
  if (slot < 0 || slot >= cluster::kSlots) {
    context.reply.error(kInvalid);
    return false;
  }
  out = static_cast<std::uint16_t>(slot);
  return true;
}

// Calls visit(key) for the keys of a slot, as far as they are in reach, until it returns false.
template <typename Visit>
void keys_of_slot(const Context& context, std::uint16_t slot, Visit visit) {
  const Keyspace& keyspace = context.keyspace();
  const PartitionId partition = cluster::slot_partition(slot, keyspace.partition_count());
  const auto reach = keyspace.partitions();
  if (!std::ranges::binary_search(reach, partition)) return;
  bool more = true;
  keyspace.state(partition).for_each([&](std::string_view key, const Object& object) {
    if (!more || !object.live() || object.expired(context.now_ms)) return;
    if (is_reserved(key) || database_of(key) != 0) return;
    if (cluster::key_slot(key) == slot) more = visit(key);
  });
}

void countkeysinslot_command(Context& context, Args args) {
  std::uint16_t slot;
  if (!read_slot(context, args[2], slot)) return;
  std::int64_t keys = 0;
  keys_of_slot(context, slot, [&keys](std::string_view) { return ++keys > 0; });
  context.reply.integer(keys);
}

void getkeysinslot_command(Context& context, Args args) {
  std::uint16_t slot;
  std::int64_t count;
  if (!read_slot(context, args[2], slot) || !read_integer(context, args[3], count)) return;
  if (count < 0) return context.reply.error("ERR Invalid number of keys");
  std::vector<std::string_view> keys;
  if (count > 0) {
    keys_of_slot(context, slot, [&](std::string_view key) {
      keys.push_back(key);
      return keys.size() < static_cast<std::uint64_t>(count);
    });
  }
  context.reply.array(keys.size());
  for (const std::string_view key : keys) context.reply.key(key);
}

constexpr Command kSlotRows[] = {
    {.name = "cluster|countkeysinslot",
     .group = "cluster",
     .arity = 3,
     .flags = kReadonly,
     .scope = Scope::kAll,
     .split = Split::kSum,
     .handler = countkeysinslot_command,
     .docs = {.since = "3.0.0",
              .summary = "Number of keys of a hash slot",
              .complexity = "O(N) where N is the number of keys of its partition",
              .arguments = "slot:integer"}},
    {.name = "cluster|getkeysinslot",
     .group = "cluster",
     .arity = 4,
     .flags = kReadonly,
     .scope = Scope::kAll,
     .split = Split::kConcatenate,
     .handler = getkeysinslot_command,
     .docs = {.since = "3.0.0",
              .summary = "Keys of a hash slot",
              .complexity = "O(N) where N is the number of keys of its partition",
              .arguments = "slot:integer count:integer",
              .tips = "nondeterministic_output"}},
};

constexpr Subcommand of_node(std::string_view name, int arity, std::string_view summary,
                             std::string_view since, std::string_view tips = "",
                             std::string_view arguments = "") {
  return {.name = name,
          .arity = arity,
          .flags = kStale,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = "O(N) where N is the number of partitions and nodes",
                   .arguments = arguments,
                   .tips = tips}};
}

constexpr Subcommand kClusterSubcommands[] = {
    {.name = "countkeysinslot",
     .arity = 3,
     .flags = kStale,
     .row = &kSlotRows[0],
     .docs = kSlotRows[0].docs},
    {.name = "getkeysinslot",
     .arity = 4,
     .flags = kStale,
     .row = &kSlotRows[1],
     .docs = kSlotRows[1].docs},
    of_node("info", 2, "State of the cluster", "3.0.0", "nondeterministic_output"),
    of_node("keyslot", 3, "Hash slot of a key", "3.0.0", "", "key:string"),
    of_node("myid", 2, "Id of this node", "3.0.0"),
    of_node("myshardid", 2, "Id of this node's shard, which has no other", "7.2.0",
            "nondeterministic_output"),
    of_node("nodes", 2, "The nodes and their slots", "3.0.0", "nondeterministic_output"),
    of_node("shards", 2, "The nodes and their slots", "7.0.0", "nondeterministic_output"),
    of_node("slots", 2, "Ranges of slots and the nodes that keep them", "3.0.0",
            "nondeterministic_output"),
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .docs = {.since = "5.0.0", .summary = "Prints this help", .complexity = "O(1)"}},
};

constexpr Command connection_row(std::string_view name, std::uint32_t flags,
                                 std::string_view summary) {
  return {.name = name,
          .group = "cluster",
          .arity = 1,
          .flags = kFast | flags,
          .acl = "@connection",
          .scope = Scope::kConnection,
          .docs = {.since = "3.0.0", .summary = summary, .complexity = "O(1)"}};
}

constexpr Command kClusterCommands[] = {
    {.name = "cluster",
     .group = "cluster",
     .arity = -2,
     .scope = Scope::kConnection,
     .subcommands = kClusterSubcommands,
     .docs = {.since = "3.0.0",
              .summary = "Which nodes keep which hash slots",
              .complexity = "Depends on the subcommand"}},
    connection_row("asking", 0, "Has no effect: every node serves every key"),
    connection_row("readonly", kLoading | kStale, "Has no effect: every node serves every key"),
    connection_row("readwrite", kLoading | kStale, "Has no effect: every node serves every key"),
};

}  // namespace

std::span<const Command> cluster_commands() { return kClusterCommands; }

}  // namespace even
