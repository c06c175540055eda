// Commands that work on keys of any type. Expiry is in cmd_expire.cc, what ranges over all keys in
// cmd_scan.cc.
#include <absl/container/flat_hash_set.h>

#include "engine/cmd_scan.h"
#include "engine/command.h"

namespace even {
namespace {

void del_command(Context& context, Args args) {
  // A key that is named twice is there only the first time.
  absl::flat_hash_set<std::string_view> seen;
  std::int64_t deleted = 0;
  for (std::string_view key : args.subspan(1)) {
    if (context.find(key) == nullptr) continue;
    if (args.size() > 2 && !seen.insert(key).second) continue;
    context.write(key).remove();
    ++deleted;
  }
  context.reply.integer(deleted);
}

void exists_command(Context& context, Args args) {
  std::int64_t found = 0;
  for (std::string_view key : args.subspan(1)) found += context.find(key) != nullptr;
  context.reply.integer(found);
}

void type_command(Context& context, Args args) {
  const Object* object = context.find(args[1]);
  context.reply.simple(type_name(object == nullptr ? ObjectType::kNone : object->type()));
}

constexpr Command kGenericCommands[] = {
    {.name = "del",
     .group = "generic",
     .arity = -2,
     .flags = kWrite,
     .keys = kAllWords,
     .split = Split::kSum,
     .handler = del_command,
     .docs = {.since = "1.0.0",
              .summary = "Delete keys",
              .complexity = "O(N) where N is the number of keys, and of the elements of those "
                            "that are collections",
              .arguments = "key...",
              .key_spec = "RM delete",
              .tips = "request_policy:multi_shard response_policy:agg_sum"}},
    {.name = "unlink",
     .group = "generic",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = kAllWords,
     .split = Split::kSum,
     .handler = del_command,
     .docs = {.since = "4.0.0",
              .summary = "Delete keys",
              .complexity = "O(N) where N is the number of keys, and of the elements of those "
                            "that are collections",
              .arguments = "key...",
              .key_spec = "RM delete",
              .tips = "request_policy:multi_shard response_policy:agg_sum"}},
    {.name = "exists",
     .group = "generic",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = kAllWords,
     .split = Split::kSum,
     .handler = exists_command,
     .docs = {.since = "1.0.0",
              .summary = "Count how many of the keys exist",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key...",
              .key_spec = "RO",
              .tips = "request_policy:multi_shard response_policy:agg_sum"}},
    {.name = "touch",
     .group = "generic",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = kAllWords,
     .split = Split::kSum,
     .handler = exists_command,
     .docs = {.since = "3.2.1",
              .summary = "Count how many of the keys exist",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key...",
              .key_spec = "RO",
              .tips = "request_policy:multi_shard response_policy:agg_sum"}},
    {.name = "type",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = type_command,
     .docs = {.since = "1.0.0",
              .summary = "Type of what a key holds",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO"}},
};

}  // namespace

std::span<const Command> generic_commands() { return kGenericCommands; }

}  // namespace even
