// Commands that range over the whole keyspace: SCAN, KEYS, RANDOMKEY, DBSIZE, FLUSHALL.
#include "engine/cmd_scan.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>

#include "base/reserved.h"
#include "engine/command.h"
#include "engine/databases.h"
#include "engine/text.h"

namespace even {

namespace {

// The keyspace's cursor: the partition in the upper 16 bits, the upper bits of a hash in the
// lower 48. Keys whose hashes agree in those bits are returned together. A position inside a
// partition is above 0, so no cursor but the first is 0.
constexpr int kPositionBits = 48;
constexpr int kDroppedBits = 64 - kPositionBits;

std::optional<std::uint64_t> parse_cursor(std::string_view text) {
  // Redis leaves it to strtoul what a cursor may look like.
  const std::string terminated(text);
  char* end = nullptr;
  errno = 0;
  const std::uint64_t cursor = std::strtoull(terminated.c_str(), &end, 10);
  if (std::isspace(static_cast<unsigned char>(terminated.c_str()[0])) || *end != '\0' ||
      errno == ERANGE) {
    return std::nullopt;
  }
  return cursor;
}

}  // namespace

std::optional<PartitionId> scan_partition_of(std::string_view cursor) {
  const std::optional<std::uint64_t> parsed = parse_cursor(cursor);
  if (!parsed) return std::nullopt;
  return static_cast<PartitionId>(*parsed >> kPositionBits);
}

std::uint64_t scan_cursor_of(PartitionId partition) {
  return std::uint64_t{partition} << kPositionBits;
}

bool read_cursor(Context& context, std::string_view text, std::uint64_t& cursor) {
  const std::optional<std::uint64_t> parsed = parse_cursor(text);
  if (!parsed) {
    context.reply.error("ERR invalid cursor");
    return false;
  }
  cursor = *parsed;
  return true;
}

bool read_scan_options(Context& context, Args args, std::size_t first, bool with_type,
                       ScanOptions& out) {
  for (std::size_t i = first; i < args.size(); i += 2) {
    const bool more = i + 1 < args.size();
    if (!out.names_only_option.empty() && equals_ignore_case(args[i], out.names_only_option)) {
      out.names_only = true;
      --i;  // it has no argument
    } else if (more && equals_ignore_case(args[i], "count")) {
      if (!read_integer(context, args[i + 1], out.count)) return false;
      if (out.count < 1) break;
    } else if (more && equals_ignore_case(args[i], "match")) {
      out.pattern = args[i + 1];
      out.has_pattern = out.pattern != "*";
    } else if (more && with_type && equals_ignore_case(args[i], "type")) {
      out.type = args[i + 1];
      out.has_type = true;
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  if (out.count >= 1) return true;
  context.reply.error(kSyntaxError);
  return false;
}

void reply_scan(Context& context, std::uint64_t next, std::span<const std::string_view> found) {
  char buffer[24];
  const char* end = std::to_chars(buffer, buffer + sizeof buffer, next).ptr;
  context.reply.array(2);
  context.reply.bulk({buffer, end});
  context.reply.array(found.size());
  for (std::string_view element : found) context.reply.bulk(element);
}

std::string_view type_name(ObjectType type) {
  switch (type) {
    case ObjectType::kNone:
      return "none";
    case ObjectType::kString:
      return "string";
    case ObjectType::kSet:
      return "set";
    case ObjectType::kHash:
      return "hash";
    case ObjectType::kSortedSet:
      return "zset";
    case ObjectType::kList:
      return "list";
    case ObjectType::kStream:
      return "stream";
  }
  return "none";
}

namespace {

bool visible(const Context& context, std::string_view key, const Object& object,
             const DatabaseOfAll& all) {
  return object.live() && !object.expired(context.now_ms) && all.has(key) &&
         !context.keyspace().hides(key);
}

// Keys of a partition that readers see.
std::size_t keys_in(const Context& context, PartitionId partition, const DatabaseOfAll& all) {
  const PartitionState& state = context.keyspace().state(partition);
  if (all.number != 0 && all.number != kAnyDatabase) return state.visible_keys_of(all.number);
  const std::size_t keys = state.visible_keys() - context.keyspace().hidden_keys(partition);
  return all.number == 0 ? keys - state.visible_keys_beside_0() : keys;
}

// Scans one partition from `position` on. Returns the position to go on with, 0 at its end.
template <typename Visit>
std::uint64_t scan_partition(const PartitionState& state, std::uint64_t position,
                             std::int64_t& left, Visit visit) {
  bool full = false;
  std::uint64_t last = 0;
  std::uint64_t next = 0;
  state.scan(position << kDroppedBits,
             [&](std::uint64_t hash, std::string_view key, const Object& object) {
               const std::uint64_t at = hash >> kDroppedBits;
               if (full && at != last) {
                 next = at;
                 return false;
               }
               last = at;
               visit(key, object);
               full = --left <= 0;
               return true;
             });
  return next;
}

template <bool kOfDatabase>
void scan_command(Context& context, Args words) {
  const DatabaseOfAll all = database_of_all(words, kOfDatabase);
  const Args args = all.words;
  ScanOptions options;
  if (!read_cursor(context, args[1], options.cursor)) return;
  if (!read_scan_options(context, args, 2, true, options)) return;
  std::uint64_t partition = options.cursor >> kPositionBits;
  std::uint64_t position = options.cursor & ((1ull << kPositionBits) - 1);
  std::vector<std::string_view> found;
  std::uint64_t next = 0;
  std::uint64_t at_end = 0;
  for (PartitionId id : context.keyspace().partitions()) {
    if (id < partition) continue;
    if (options.count <= 0) {
      next = std::uint64_t{id} << kPositionBits;
      break;
    }
    if (id != partition) position = 0;
    position = scan_partition(
        context.keyspace().state(id), position, options.count,
        [&](std::string_view key, const Object& object) {
          if (!visible(context, key, object, all) || !options.matches(user_key(key))) return;
          if (options.has_type && !equals_ignore_case(options.type, type_name(object.type()))) {
            return;
          }
          found.push_back(context.keep(std::string(user_key(key))));
        });
    if (position != 0) {
      next = std::uint64_t{id} << kPositionBits | position;
      break;
    }
    // Behind the last in reach there may be others out of it.
    const PartitionId behind = id + 1;
    at_end = behind == context.keyspace().partition_count() ? 0 : std::uint64_t{behind};
  }
  if (next == 0) next = at_end << kPositionBits;
  reply_scan(context, next, found);
}

template <bool kOfDatabase>
void keys_command(Context& context, Args args) {
  const DatabaseOfAll all = database_of_all(args, kOfDatabase);
  const bool any = args[1] == "*";
  std::vector<std::string> found;  // copies: what is cold is only lent
  for (PartitionId partition : context.keyspace().partitions()) {
    context.keyspace().state(partition).for_each([&](std::string_view key, const Object& object) {
      if (visible(context, key, object, all) && (any || glob_match(args[1], user_key(key)))) {
        found.emplace_back(key);
      }
    });
  }
  context.reply.array(found.size());
  for (std::string_view key : found) context.reply.key(key);
}

template <bool kOfDatabase>
void dbsize_command(Context& context, Args args) {
  const DatabaseOfAll all = database_of_all(args, kOfDatabase);
  std::size_t keys = 0;
  for (PartitionId partition : context.keyspace().partitions()) {
    keys += keys_in(context, partition, all);
  }
  context.reply.integer(static_cast<std::int64_t>(keys));
}

// Draws a partition in proportion to its keys, then keys of it until one is visible. Where nearly
// all have expired or are residue, it counts them out instead.
template <bool kOfDatabase>
void randomkey_command(Context& context, Args args) {
  const DatabaseOfAll all = database_of_all(args, kOfDatabase);
  constexpr int kDraws = 100;
  std::uint64_t total = 0;
  for (PartitionId partition : context.keyspace().partitions()) {
    total += keys_in(context, partition, all);
  }
  for (int draw = 0; total > 0 && draw < kDraws; ++draw) {
    std::uint64_t place = context.random.below(total);
    for (PartitionId partition : context.keyspace().partitions()) {
      const std::size_t keys = keys_in(context, partition, all);
      if (place >= keys) {
        place -= keys;
        continue;
      }
      bool drawn = false;
      context.keyspace().state(partition).random(context.random,
                                                 [&](std::string_view key, const Object& object) {
                                                   drawn = visible(context, key, object, all);
                                                   if (drawn) context.reply.key(key);
                                                 });
      if (drawn) return;
      break;
    }
  }
  std::vector<std::string> found;
  for (PartitionId partition : context.keyspace().partitions()) {
    context.keyspace().state(partition).for_each([&](std::string_view key, const Object& object) {
      if (visible(context, key, object, all)) found.emplace_back(key);
    });
  }
  if (found.empty()) return context.reply.null();
  context.reply.key(found[context.random.below(found.size())]);
}

bool reads_flush_options(Context& context, Args args) {
  const bool known =
      args.size() == 1 || (args.size() == 2 && (equals_ignore_case(args[1], "sync") ||
                                                equals_ignore_case(args[1], "async")));
  if (!known) context.reply.error(kSyntaxError);
  return known;
}

void flushall_command(Context& context, Args args) {
  if (!reads_flush_options(context, args)) return;
  context.flush_all();
  context.reply.ok();
}

template <bool kOfDatabase>
void flushdb_command(Context& context, Args args) {
  const DatabaseOfAll all = database_of_all(args, kOfDatabase);
  if (!reads_flush_options(context, all.words)) return;
  context.flush_database(all.number);
  context.reply.ok();
}

const Command& row_of_database(const Command& command, Args args);

constexpr Command kScanCommands[] = {
    {.name = "scan",
     .group = "generic",
     .arity = -2,
     .flags = kReadonly,
     .scope = Scope::kAll,
     .split = Split::kCursor,
     .handler = scan_command<false>,
     .docs = {.since = "2.8.0",
              .summary = "Walk over all keys in steps",
              .complexity =
                  "O(1) for each call, O(N) for all of a scan, where N is the number of elements",
              .arguments =
                  "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type]",
              .tips = "nondeterministic_output request_policy:special"},
     .row_of = row_of_database},
    {.name = "keys",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly,
     .acl = "@dangerous",
     .scope = Scope::kAll,
     .split = Split::kConcatenate,
     .handler = keys_command<false>,
     .docs = {.since = "1.0.0",
              .summary = "All keys that match a pattern",
              .complexity = "O(N) where N is the number of keys in the database",
              .arguments = "pattern:pattern",
              .tips = "request_policy:all_shards nondeterministic_output_order"},
     .row_of = row_of_database},
    {.name = "randomkey",
     .group = "generic",
     .arity = 1,
     .flags = kReadonly,
     .scope = Scope::kAll,
     .split = Split::kAny,
     .handler = randomkey_command<false>,
     .docs = {.since = "1.0.0",
              .summary = "A key chosen at random",
              .complexity = "O(N) where N is the number of partitions",
              .tips = "request_policy:all_shards nondeterministic_output"},
     .row_of = row_of_database},
    {.name = "dbsize",
     .group = "server",
     .arity = 1,
     .flags = kReadonly | kFast,
     .acl = "@keyspace",
     .scope = Scope::kAll,
     .split = Split::kSum,
     .handler = dbsize_command<false>,
     .docs = {.since = "1.0.0",
              .summary = "Number of keys",
              .complexity = "O(N) where N is the number of partitions",
              .tips = "request_policy:all_shards response_policy:agg_sum"},
     .row_of = row_of_database},
    {.name = "flushall",
     .group = "server",
     .arity = -1,
     .flags = kWrite,
     .acl = "@keyspace @dangerous",
     .scope = Scope::kAll,
     .split = Split::kOk,
     .handler = flushall_command,
     .docs = {.since = "1.0.0",
              .summary = "Delete every key",
              .complexity = "O(N) where N is the number of keys in the database",
              .arguments = "[async(ASYNC|SYNC)]",
              .tips = "request_policy:all_shards response_policy:all_succeeded"}},
    {.name = "flushdb",
     .group = "server",
     .arity = -1,
     .flags = kWrite,
     .acl = "@keyspace @dangerous",
     .scope = Scope::kAll,
     .split = Split::kOk,
     .handler = flushdb_command<false>,
     .docs = {.since = "1.0.0",
              .summary = "Delete every key of the selected database",
              .complexity = "O(N) where N is the number of keys in the database",
              .arguments = "[async(ASYNC|SYNC)]",
              .tips = "request_policy:all_shards response_policy:all_succeeded"},
     .row_of = row_of_database},
};

// The same of another database than 0, which the last word says (databases.h).
template <std::size_t kPlace>
constexpr Command of_database_row(Handler handler) {
  Command row = kScanCommands[kPlace];
  row.arity += row.arity < 0 ? -1 : 1;
  row.handler = handler;
  row.of_stored_words = true;
  return row;
}
constexpr Command kDatabaseCommands[] = {
    of_database_row<0>(scan_command<true>), of_database_row<1>(keys_command<true>),
    of_database_row<2>(randomkey_command<true>), of_database_row<3>(dbsize_command<true>),
    of_database_row<5>(flushdb_command<true>)};
static_assert(kDatabaseCommands[4].name == "flushdb");

const Command& row_of_database(const Command& command, Args args) {
  const Command* row = std::ranges::find(kDatabaseCommands, command.name, &Command::name);
  const bool fits = command.arity < 0 ? args.size() >= static_cast<std::size_t>(-row->arity)
                                      : args.size() == static_cast<std::size_t>(row->arity);
  if (!fits || !ends_with_database_word(args)) return command;
  return *row;
}

}  // namespace

std::span<const Command> scan_commands() { return kScanCommands; }

}  // namespace even
