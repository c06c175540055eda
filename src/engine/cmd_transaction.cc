// Transactions: MULTI and what belongs to it. A connection executes them, but for WATCH, which has
// to look at keys.
#include "base/hash.h"
#include "engine/command.h"

namespace even {
namespace {

// Replies, for the connection only, with what tells whether a key has changed: of each key a hash
// of what a reader sees, the dots included, so that no two writes come to the same.
void watch_command(Context& context, Args args) {
  context.reply.array(args.size() - 1);
  for (std::string_view key : args.subspan(1)) {
    const Object* object = context.find(key);
    const std::uint64_t seen =
        object == nullptr ? 0 : PartitionState::digest_of(hash64(key), *object);
    context.reply.integer(static_cast<std::int64_t>(seen));
  }
}

constexpr Command kTransactionCommands[] = {
    {.name = "discard",
     .group = "transactions",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .acl = "@transaction",
     .scope = Scope::kConnection,
     .docs = {.since = "2.0.0",
              .summary = "Forget the commands since MULTI",
              .complexity = "O(N) where N is the number of queued commands"}},
    {.name = "exec",
     .group = "transactions",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kSkipSlowlog,
     .acl = "@transaction",
     .scope = Scope::kConnection,
     .docs = {.since = "1.2.0",
              .summary =
                  "Execute the commands since MULTI as one, unless a watched key has changed",
              .complexity = "Depends on the commands"}},
    {.name = "multi",
     .group = "transactions",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .acl = "@transaction",
     .scope = Scope::kConnection,
     .docs = {.since = "1.2.0",
              .summary = "Begin a transaction: commands are queued until EXEC",
              .complexity = "O(1)"}},
    {.name = "unwatch",
     .group = "transactions",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .acl = "@transaction",
     .scope = Scope::kConnection,
     .docs = {.since = "2.2.0", .summary = "Watch no key any more", .complexity = "O(1)"}},
    {.name = "watch",
     .group = "transactions",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .acl = "@transaction",
     .keys = kAllWords,
     .handler = watch_command,
     .docs = {.since = "2.2.0",
              .summary = "Have the next EXEC do nothing if one of these keys has changed",
              .complexity = "O(1) for every key",
              .arguments = "key...",
              .key_spec = "RO"}},
};

}  // namespace

std::span<const Command> transaction_commands() { return kTransactionCommands; }

}  // namespace even
