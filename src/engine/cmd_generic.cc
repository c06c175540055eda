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

constexpr Command kCommands[] = {
    {"del", -2, kWrite, 1, -1, 1, "generic", "1.0.0", "Delete keys",
     "O(N) where N is the number of keys, and of the elements of those that are collections",
     "key...", "", "RM delete", "request_policy:multi_shard response_policy:agg_sum", Scope::kKeys,
     Split::kSum, del_command},
    {"unlink", -2, kWrite | kFast, 1, -1, 1, "generic", "4.0.0", "Delete keys",
     "O(N) where N is the number of keys, and of the elements of those that are collections",
     "key...", "", "RM delete", "request_policy:multi_shard response_policy:agg_sum", Scope::kKeys,
     Split::kSum, del_command},
    {"exists", -2, kReadonly | kFast, 1, -1, 1, "generic", "1.0.0",
     "Count how many of the keys exist", "O(N) where N is the number of keys", "key...", "", "RO",
     "request_policy:multi_shard response_policy:agg_sum", Scope::kKeys, Split::kSum,
     exists_command},
    {"touch", -2, kReadonly | kFast, 1, -1, 1, "generic", "3.2.1",
     "Count how many of the keys exist", "O(N) where N is the number of keys", "key...", "", "RO",
     "request_policy:multi_shard response_policy:agg_sum", Scope::kKeys, Split::kSum,
     exists_command},
    {"type", 2, kReadonly | kFast, 1, 1, 1, "generic", "1.0.0", "Type of what a key holds", "O(1)",
     "key", "", "RO", "", Scope::kKeys, Split::kNever, type_command},
};

}  // namespace

std::span<const Command> generic_commands() { return kCommands; }

}  // namespace even
