// Streams: consumer groups, all but XREADGROUP.
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/stream.h"

namespace even {
namespace {

void no_group(Context& context, std::string_view key, std::string_view group) {
  std::string error = "NOGROUP No such key '";
  error.append(quotable(user_key(key))).append("' or consumer group '").append(quotable(group));
  context.reply.error(error.append("'"));
}

// The stream of an XGROUP subcommand. Replies an error and returns nothing when there is none; with
// `group`, also when that is none of its groups.
std::optional<Stream> stream_of(Context& context, std::string_view key,
                                std::optional<std::string_view> group) {
  auto stream = find_stream(context, key);
  if (!stream) return std::nullopt;
  if (!stream->there()) {
    context.reply.error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to "
        "use the MKSTREAM option to create an empty stream automatically.");
    return std::nullopt;
  }
  if (group && !StreamGroup(*stream, *group).there()) {
    std::string error = "NOGROUP No such consumer group '";
    error.append(quotable(*group)).append("' for key name '").append(quotable(user_key(key)));
    context.reply.error(error.append("'"));
    return std::nullopt;
  }
  return stream;
}

// Replies an error and returns false when the words behind the id are none of [MKSTREAM]
// [ENTRIESREAD n]. How many entries a group has read is counted, not told.
bool read_group_options(Context& context, Args args, bool creates, bool& make) {
  const Args words = args.subspan(5);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (creates && equals_ignore_case(words[i], "mkstream")) {
      make = true;
    } else if (i + 1 < words.size() && equals_ignore_case(words[i], "entriesread")) {
      std::int64_t read;
      if (!read_integer(context, words[++i], read)) return false;
      if (read < -1) {
        context.reply.error("ERR value for ENTRIESREAD must be positive or -1");
        return false;
      }
    } else {
      context.reply.error(std::string("ERR unknown subcommand or wrong number of arguments for '")
                              .append(args[1])
                              .append("'. Try XGROUP HELP."));
      return false;
    }
  }
  return true;
}

bool read_group_id(Context& context, std::string_view word, const Stream& stream, StreamId& out) {
  // As in Redis, "-" and "+" are ids here.
  if (word == "-" || word == "+") return read_range_end(context, word, true, out);
  if (word != "$") return read_id(context, word, 0, out);
  out = stream.last_id();
  return true;
}

void xgroup_create_command(Context& context, Args args) {
  bool make = false;
  if (!read_group_options(context, args, true, make)) return;
  auto stream = make ? find_stream(context, args[2]) : stream_of(context, args[2], std::nullopt);
  if (!stream) return;
  StreamId base;
  if (!read_group_id(context, args[4], *stream, base)) return;
  if (StreamGroup(*stream, args[3]).there()) {
    return context.reply.error("BUSYGROUP Consumer Group name already exists");
  }
  if (!stream->there()) note_last_id(context, args[2], *stream, {});
  create_group(context, args[2], *stream, args[3], base);
  context.reply.ok();
}

void xgroup_setid_command(Context& context, Args args) {
  bool make = false;
  if (!read_group_options(context, args, false, make)) return;
  const auto stream = stream_of(context, args[2], args[3]);
  if (!stream) return;
  StreamId base;
  if (!read_group_id(context, args[4], *stream, base)) return;
  remove_fields(context, args[2], *stream, group_prefix(args[3]) + kGroupDelivered);
  write_base(context, args[2], StreamGroup(*stream, args[3]), base);
  context.reply.ok();
}

void xgroup_destroy_command(Context& context, Args args) {
  const auto stream = stream_of(context, args[2], std::nullopt);
  if (!stream) return;
  const bool there = StreamGroup(*stream, args[3]).there();
  if (there) {
    // So that the key stays.
    if (stream->length() == 0) note_last_id(context, args[2], *stream, stream->last_id());
    remove_fields(context, args[2], *stream, group_prefix(args[3]));
  }
  context.reply.integer(there ? 1 : 0);
}

void xgroup_createconsumer_command(Context& context, Args args) {
  const auto stream = stream_of(context, args[2], args[3]);
  if (!stream) return;
  const StreamGroup group(*stream, args[3]);
  const bool there = group.has_consumer(args[4]);
  if (!there) write_consumer(context, args[2], group, args[4]);
  context.reply.integer(there ? 0 : 1);
}

void xgroup_delconsumer_command(Context& context, Args args) {
  const auto stream = stream_of(context, args[2], args[3]);
  if (!stream) return;
  const StreamGroup group(*stream, args[3]);
  std::vector<PendingEntry> pending;
  group.pending({}, [&](const PendingEntry& entry) {
    if (entry.consumer == args[4]) pending.push_back(entry);
  });
  for (const PendingEntry& entry : pending) remove_pending(context, args[2], group, entry);
  if (group.has_consumer(args[4])) remove_consumer(context, args[2], group, args[4]);
  context.reply.integer(static_cast<std::int64_t>(pending.size()));
}

void xack_command(Context& context, Args args) {
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  const StreamGroup group(*stream, args[2]);
  if (!group.there()) return context.reply.integer(0);
  std::vector<StreamId> ids;
  for (const std::string_view word : args.subspan(3)) {
    if (!read_id(context, word, 0, ids.emplace_back())) return;
  }
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::int64_t acknowledged = 0;
  for (const StreamId id : ids) {
    const std::vector<PendingEntry> pending = group.pending_at(id);
    for (const PendingEntry& entry : pending) remove_pending(context, args[1], group, entry);
    acknowledged += pending.empty() ? 0 : 1;
  }
  context.reply.integer(acknowledged);
}

void reply_pending_summary(Context& context, const StreamGroup& group) {
  std::map<std::string_view, std::size_t> by_consumer;
  std::optional<StreamId> first;
  StreamId last;
  std::size_t count = 0;
  group.pending({}, [&](const PendingEntry& entry) {
    if (!first) first = entry.id;
    last = entry.id;
    ++count;
    ++by_consumer[entry.consumer];
  });
  Reply& reply = context.reply;
  reply.array(4);
  reply.integer(static_cast<std::int64_t>(count));
  if (!first) {
    reply.null();
    reply.null();
    return reply.null_array();
  }
  reply_id(reply, *first);
  reply_id(reply, last);
  reply.array(by_consumer.size());
  for (const auto& [consumer, pending] : by_consumer) {
    reply.array(2);
    reply.bulk(consumer);
    reply.bulk(std::to_string(pending));
  }
}

void xpending_command(Context& context, Args args) {
  const bool summary = args.size() == 3;
  std::int64_t idle_ms = 0;
  std::int64_t count = 0;
  std::string_view consumer;
  StreamId first;
  StreamId last;
  if (!summary) {
    // Like Redis, with room for one word too many.
    if (args.size() < 6 || args.size() > 9) return context.reply.error(kSyntaxError);
    Args words = args.subspan(3);
    if (equals_ignore_case(words[0], "idle")) {
      if (!read_integer(context, words[1], idle_ms)) return;
      if (words.size() < 5) return context.reply.error(kSyntaxError);
      words = words.subspan(2);
    }
    if (!read_integer(context, words[2], count)) return;
    if (!read_range_end(context, words[0], true, first)) return;
    if (!read_range_end(context, words[1], false, last)) return;
    if (words.size() > 3) consumer = words[3];
  }
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  const StreamGroup group(*stream, args[2]);
  if (!group.there()) return no_group(context, args[1], args[2]);
  if (summary) return reply_pending_summary(context, group);
  std::vector<PendingEntry> found;
  if (count > 0) {
    group.pending(first, [&](const PendingEntry& entry) {
      if (entry.id > last) return false;
      const bool mine = consumer.data() == nullptr || entry.consumer == consumer;
      if (mine && context.now_ms - entry.delivered_ms >= idle_ms) found.push_back(entry);
      return found.size() < static_cast<std::size_t>(count);
    });
  }
  context.reply.array(found.size());
  for (const PendingEntry& entry : found) {
    context.reply.array(4);
    reply_id(context.reply, entry.id);
    context.reply.bulk(entry.consumer);
    context.reply.integer(std::max<std::int64_t>(0, context.now_ms - entry.delivered_ms));
    context.reply.integer(static_cast<std::int64_t>(entry.deliveries));
  }
}

struct ClaimOptions {
  std::optional<std::int64_t> delivered_ms;
  std::optional<std::uint64_t> deliveries;
  std::optional<StreamId> last;
  bool force = false;
  bool just_id = false;
};

// The words behind the ids. Replies an error and returns false when they are not such.
bool read_claim_options(Context& context, Args words, ClaimOptions& out) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    std::int64_t value;
    if (equals_ignore_case(words[i], "force")) {
      out.force = true;
    } else if (equals_ignore_case(words[i], "justid")) {
      out.just_id = true;
    } else if (has_value && equals_ignore_case(words[i], "idle")) {
      if (!read_integer(context, words[++i], value,
                        "ERR Invalid IDLE option argument for XCLAIM")) {
        return false;
      }
      // Of no time that there is: now.
      std::int64_t at_ms = 0;
      out.delivered_ms = __builtin_sub_overflow(context.now_ms, value, &at_ms) ? -1 : at_ms;
    } else if (has_value && equals_ignore_case(words[i], "time")) {
      if (!read_integer(context, words[++i], value,
                        "ERR Invalid TIME option argument for XCLAIM")) {
        return false;
      }
      out.delivered_ms = value;
    } else if (has_value && equals_ignore_case(words[i], "retrycount")) {
      if (!read_integer(context, words[++i], value,
                        "ERR Invalid RETRYCOUNT option argument for XCLAIM")) {
        return false;
      }
      if (value >= 0) out.deliveries = static_cast<std::uint64_t>(value);
    } else if (has_value && equals_ignore_case(words[i], "lastid")) {
      if (!read_id(context, words[++i], 0, out.last.emplace())) return false;
    } else {
      context.reply.error(
          std::string("ERR Unrecognized XCLAIM option '").append(words[i]).append("'"));
      return false;
    }
  }
  // Not later than now, nor before there was time.
  if (out.delivered_ms && (*out.delivered_ms < 0 || *out.delivered_ms > context.now_ms)) {
    out.delivered_ms = context.now_ms;
  }
  return true;
}

// Makes a pending entry the consumer's.
void claim(Context& context, Args args, const StreamGroup& group, PendingEntry pending,
           const ClaimOptions& options) {
  if (!options.just_id) ++pending.deliveries;
  pending.deliveries = options.deliveries.value_or(pending.deliveries);
  pending.delivered_ms = options.delivered_ms.value_or(context.now_ms);
  pending.consumer = args[3];
  write_pending(context, args[1], group, pending);
}

void reply_claimed(Context& context, const std::vector<StreamEntry>& claimed, bool just_id) {
  context.reply.array(claimed.size());
  for (const StreamEntry& entry : claimed) {
    just_id ? reply_id(context.reply, entry.id) : reply_entry(context.reply, entry);
  }
}

void xclaim_command(Context& context, Args args) {
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  const StreamGroup group(*stream, args[2]);
  if (!group.there()) return no_group(context, args[1], args[2]);
  std::int64_t idle_ms;
  if (!read_integer(context, args[4], idle_ms, "ERR Invalid min-idle-time argument for XCLAIM")) {
    return;
  }
  std::vector<StreamId> ids;
  std::size_t i = 5;
  for (; i < args.size(); ++i) {
    const auto id = parse_id(args[i], 0);
    if (!id) break;
    ids.push_back(*id);
  }
  ClaimOptions options;
  if (!read_claim_options(context, args.subspan(i), options)) return;
  // What stands twice is claimed once.
  absl::flat_hash_set<std::pair<std::uint64_t, std::uint64_t>> seen;
  std::vector<StreamEntry> claimed;
  for (const StreamId id : ids) {
    if (!seen.emplace(id.ms, id.seq).second) continue;
    const std::vector<PendingEntry> all_pending = group.pending_at(id);
    for (const PendingEntry& pending : all_pending) {
      if (!stream->entry_of(id, pending.writer)) {
        remove_pending(context, args[1], group, pending);
      }
    }
    for (const StreamEntry& entry : stream->entries_at(id)) {
      const auto found = std::ranges::find(all_pending, entry.writer, &PendingEntry::writer);
      if (found == all_pending.end() && !options.force) continue;
      const bool idle = found == all_pending.end() || idle_ms <= 0 ||
                        context.now_ms - found->delivered_ms >= idle_ms;
      if (!idle) continue;
      // Redis counts making it pending as a delivery.
      const PendingEntry anew{.id = id, .writer = entry.writer, .deliveries = 1};
      claim(context, args, group, found == all_pending.end() ? anew : *found, options);
      claimed.push_back(entry);
    }
  }
  if (options.last) {
    std::vector<StreamEntry> delivered;
    const auto behind = [&group](ReplicaId writer) { return group.delivered_of(writer); };
    stream->entries_behind(behind, [&](const StreamEntry& entry) {
      if (entry.id > *options.last) return false;
      delivered.push_back(entry);
      return true;
    });
    write_delivered(context, args[1], group, delivered);
  }
  if (!claimed.empty() || !group.has_consumer(args[3])) {
    write_consumer(context, args[1], group, args[3]);
  }
  reply_claimed(context, claimed, options.just_id);
}

void xautoclaim_command(Context& context, Args args) {
  std::int64_t idle_ms;
  if (!read_integer(context, args[4], idle_ms,
                    "ERR Invalid min-idle-time argument for XAUTOCLAIM")) {
    return;
  }
  StreamId start;
  if (!read_range_end(context, args[5], true, start)) return;
  std::int64_t count = 100;
  ClaimOptions options;
  for (std::size_t i = 6; i < args.size(); ++i) {
    if (i + 1 < args.size() && equals_ignore_case(args[i], "count")) {
      constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 32;
      if (!read_integer(context, args[++i], count, "ERR COUNT must be > 0")) return;
      if (count < 1 || count > kMost) return context.reply.error("ERR COUNT must be > 0");
    } else if (equals_ignore_case(args[i], "justid")) {
      options.just_id = true;
    } else {
      return context.reply.error(kSyntaxError);
    }
  }
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  const StreamGroup group(*stream, args[2]);
  if (!group.there()) return no_group(context, args[1], args[2]);
  std::vector<StreamEntry> claimed;
  std::vector<StreamId> deleted;
  StreamId next;
  auto attempts = static_cast<std::uint64_t>(count) * 10;
  auto wanted = static_cast<std::uint64_t>(count);
  group.pending(start, [&](const PendingEntry& pending) {
    if (attempts == 0 || wanted == 0) {
      next = pending.id;
      return false;
    }
    --attempts;
    const auto entry = stream->entry_of(pending.id, pending.writer);
    if (!entry) {
      remove_pending(context, args[1], group, pending);
      deleted.push_back(pending.id);
      --wanted;
      return true;
    }
    if (idle_ms > 0 && context.now_ms - pending.delivered_ms < idle_ms) return true;
    claim(context, args, group, pending, options);
    claimed.push_back(*entry);
    --wanted;
    return true;
  });
  if (!claimed.empty() || !group.has_consumer(args[3])) {
    write_consumer(context, args[1], group, args[3]);
  }
  context.reply.array(3);
  reply_id(context.reply, next);
  reply_claimed(context, claimed, options.just_id);
  context.reply.array(deleted.size());
  for (const StreamId id : deleted) reply_id(context.reply, id);
}

constexpr KeyPositions kSecondWord = {.first = 2, .last = 2, .step = 1};

constexpr Command group_row(std::string_view name, int arity, std::uint32_t flags, Handler handler,
                            std::string_view summary, std::string_view complexity,
                            std::string_view arguments, std::string_view key_spec,
                            std::string_view since = "5.0.0") {
  return {.name = name,
          .group = "stream",
          .arity = arity,
          .flags = flags,
          .keys = kSecondWord,
          .handler = handler,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = complexity,
                   .arguments = arguments,
                   .key_spec = key_spec}};
}

constexpr Command kGroupRows[] = {
    group_row("xgroup|create", -5, kWrite | kDenyOom, xgroup_create_command,
              "Create a consumer group", "O(log(N))",
              "key groupname id(id|$) [MKSTREAM] [ENTRIESREAD entries_read:integer]", "RW insert"),
    group_row("xgroup|createconsumer", 5, kWrite | kDenyOom, xgroup_createconsumer_command,
              "Create a consumer in a consumer group", "O(log(N))", "key groupname consumername",
              "RW insert", "6.2.0"),
    group_row("xgroup|delconsumer", 5, kWrite, xgroup_delconsumer_command,
              "Delete a consumer, and what is pending of it",
              "O(M*log(N)) where M is the number of pending entries", "key groupname consumername",
              "RW delete"),
    group_row("xgroup|destroy", 4, kWrite, xgroup_destroy_command, "Destroy a consumer group",
              "O(M*log(N)) where M is the number of its pending entries and consumers",
              "key groupname", "RW delete"),
    group_row("xgroup|setid", -5, kWrite, xgroup_setid_command,
              "Set up to where a consumer group has been given the entries", "O(log(N))",
              "key groupname id(id|$) [ENTRIESREAD entries_read:integer]", "RW update"),
};
constexpr Subcommand kGroupSubcommands[] = {
    subcommand_of("create", kGroupRows[0], "@stream"),
    subcommand_of("createconsumer", kGroupRows[1], "@stream"),
    subcommand_of("delconsumer", kGroupRows[2], "@stream"),
    subcommand_of("destroy", kGroupRows[3], "@stream"),
    subcommand_of("setid", kGroupRows[4], "@stream"),
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .acl = "@stream",
     .docs = {.since = "5.0.0", .summary = "Prints this help", .complexity = "O(1)"}},
};

constexpr Command kGroupCommands[] = {
    {.name = "xgroup",
     .group = "stream",
     .arity = -2,
     .scope = Scope::kConnection,
     .subcommands = kGroupSubcommands,
     .docs = {.since = "5.0.0",
              .summary = "Consumer groups of streams",
              .complexity = "Depends on the subcommand"}},
    {.name = "xack",
     .group = "stream",
     .arity = -4,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = xack_command,
     .docs = {.since = "5.0.0",
              .summary = "Acknowledge entries that a consumer group has been given",
              .complexity = "O(log(N)) for each id",
              .arguments = "key group id...",
              .key_spec = "RW update"}},
    {.name = "xpending",
     .group = "stream",
     .arity = -3,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = xpending_command,
     .docs = {.since = "5.0.0",
              .summary = "Entries that a consumer group has been given and not acknowledged",
              .complexity = "O(N) where N is the number of entries looked at",
              .arguments = "key group [filters([IDLE min-idle-time:integer] start end "
                           "count:integer [consumer])]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "xclaim",
     .group = "stream",
     .arity = -6,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = xclaim_command,
     .docs = {.since = "5.0.0",
              .summary = "Make entries that are pending those of another consumer",
              .complexity = "O(log(N)) for each id",
              .arguments = "key group consumer min-idle-time id... [IDLE ms:integer] [TIME "
                           "unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] [FORCE] "
                           "[JUSTID] [LASTID id]",
              .key_spec = "RW update",
              .tips = "nondeterministic_output"}},
    {.name = "xautoclaim",
     .group = "stream",
     .arity = -6,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = xautoclaim_command,
     .docs = {.since = "6.2.0",
              .summary = "Make entries that have been pending for long those of another consumer",
              .complexity = "O(log(N)) for each entry looked at",
              .arguments = "key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
              .key_spec = "RW delete",
              .tips = "nondeterministic_output"}},
};

}  // namespace

std::span<const Command> stream_group_commands() { return kGroupCommands; }

}  // namespace even
