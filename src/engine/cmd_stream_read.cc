// Streams: XREAD and XREADGROUP. One that may wait is executed again until it replies something
// (blocking.h).
#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/stream.h"

namespace even {
namespace {

struct ReadOptions {
  std::size_t count = std::numeric_limits<std::size_t>::max();
  bool no_ack = false;
  std::string_view group;  // of XREADGROUP
  std::string_view consumer;
  Args keys;
  Args ids;
};

bool read_fails(Context& context, std::string_view error) {
  context.reply.error(error);
  return false;
}

bool check_block(Context& context, std::string_view word) {
  const auto ms = parse_integer(word);
  if (!ms) return read_fails(context, "ERR timeout is not an integer or out of range");
  if (*ms < 0) return read_fails(context, "ERR timeout is negative");
  return *ms <= std::numeric_limits<std::int64_t>::max() - context.now_ms ||
         read_fails(context, "ERR timeout is out of range");
}

// Replies an error and returns false when these are not such.
bool read_options(Context& context, Args args, bool of_group, ReadOptions& out) {
  for (std::size_t i = 1; i < args.size(); ++i) {
    const std::size_t more = args.size() - 1 - i;
    if (more > 0 && equals_ignore_case(args[i], "block")) {
      if (!check_block(context, args[++i])) return false;
    } else if (more > 0 && equals_ignore_case(args[i], "count")) {
      std::int64_t count;
      if (!read_integer(context, args[++i], count)) return false;
      out.count =
          count > 0 ? static_cast<std::size_t>(count) : std::numeric_limits<std::size_t>::max();
    } else if (more > 0 && equals_ignore_case(args[i], "streams")) {
      if (more % 2 != 0) {
        return read_fails(context,
                          "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' "
                          "must be specified.");
      }
      out.keys = args.subspan(i + 1, more / 2);
      out.ids = args.subspan(i + 1 + more / 2);
      break;
    } else if (more >= 2 && equals_ignore_case(args[i], "group")) {
      if (!of_group) {
        return read_fails(context,
                          "ERR The GROUP option is only supported by XREADGROUP. You called XREAD "
                          "instead.");
      }
      out.group = args[i + 1];
      out.consumer = args[i + 2];
      i += 2;
    } else if (equals_ignore_case(args[i], "noack")) {
      if (!of_group) {
        return read_fails(context,
                          "ERR The NOACK option is only supported by XREADGROUP. You called XREAD "
                          "instead.");
      }
      out.no_ack = true;
    } else {
      return read_fails(context, kSyntaxError);
    }
  }
  if (out.keys.empty()) return read_fails(context, kSyntaxError);
  if (of_group && out.group.data() == nullptr) {
    return read_fails(context, "ERR Missing GROUP option for XREADGROUP");
  }
  return true;
}

// What a request replies of one stream.
struct Found {
  std::string_view key;
  std::vector<StreamEntry> entries;
  std::vector<bool> deleted = {};  // of XREADGROUP with an id: entries that are no more
};

void reply_found(Context& context, const std::vector<Found>& all) {
  Reply& reply = context.reply;
  if (all.empty()) return reply.null_array();
  reply.resp3() ? reply.map(all.size()) : reply.array(all.size());
  for (const Found& found : all) {
    if (!reply.resp3()) reply.array(2);
    reply.key(found.key);
    reply.array(found.entries.size());
    for (std::size_t i = 0; i < found.entries.size(); ++i) {
      if (i < found.deleted.size() && found.deleted[i]) {
        reply.array(2);
        reply_id(reply, found.entries[i].id);
        reply.null_array();
      } else {
        reply_entry(reply, found.entries[i]);
      }
    }
  }
}

void xread_command(Context& context, Args args) {
  ReadOptions options;
  if (!read_options(context, args, false, options)) return;
  std::vector<StreamId> ids(options.ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (options.ids[i] == ">") {
      return context.reply.error(
          "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
          "<consumer> option.");
    }
    if (options.ids[i] == "$") {
      const auto stream = find_stream(context, options.keys[i]);
      if (!stream) return;
      ids[i] = stream->last_id();
    } else if (options.ids[i] == "+") {
      continue;  // the last entry, whatever its id
    } else if (!read_id(context, options.ids[i], 0, ids[i])) {
      return;
    }
  }
  std::vector<Found> all;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto stream = find_stream(context, options.keys[i]);
    if (!stream) return;
    Found found{.key = options.keys[i], .entries = {}};
    if (options.ids[i] == "+") {
      stream->all_entries(true, [&found](const StreamEntry& entry) {
        found.entries.push_back(entry);
        return false;
      });
      if (!found.entries.empty()) all.push_back(std::move(found));
      continue;
    }
    const auto first = next_id(ids[i]);
    if (!first) continue;
    stream->entries(*first, StreamId::greatest(), false, [&](const StreamEntry& entry) {
      found.entries.push_back(entry);
      return found.entries.size() < options.count;
    });
    if (!found.entries.empty()) all.push_back(std::move(found));
  }
  reply_found(context, all);
}

void lastid_command(Context& context, Args args) {
  std::vector<StreamId> ids;
  for (const std::string_view key : args.subspan(1)) {
    const auto stream = find_stream(context, key);
    if (!stream) return;
    ids.push_back(stream->last_id());
  }
  context.reply.array(ids.size());
  for (const StreamId id : ids) reply_id(context.reply, id);
}

// What the group has not been given yet, or what is pending of the consumer behind `from`.
Found read_for(Context& context, std::string_view key, const Stream& stream,
               const StreamGroup& group, const ReadOptions& options, std::optional<StreamId> from) {
  Found found{.key = key, .entries = {}};
  if (from) {
    if (const auto first = next_id(*from)) {
      group.pending(*first, [&](const PendingEntry& pending) {
        if (pending.consumer != options.consumer) return true;
        const auto entry = stream.entry_of(pending.id, pending.writer);
        found.entries.push_back(entry.value_or(StreamEntry{.id = pending.id, .content = {}}));
        found.deleted.push_back(!entry);
        return found.entries.size() < options.count;
      });
    }
    return found;
  }
  const auto delivered = [&group](ReplicaId writer) { return group.delivered_of(writer); };
  stream.entries_behind(delivered, [&](const StreamEntry& entry) {
    found.entries.push_back(entry);
    return found.entries.size() < options.count;
  });
  write_delivered(context, key, group, found.entries);
  if (!options.no_ack) {
    for (const StreamEntry& entry : found.entries) {
      write_pending(context, key, group,
                    {.id = entry.id,
                     .writer = entry.writer,
                     .delivered_ms = context.now_ms,
                     .deliveries = 1,
                     .consumer = options.consumer});
    }
  }
  return found;
}

void xreadgroup_command(Context& context, Args args) {
  ReadOptions options;
  if (!read_options(context, args, true, options)) return;
  std::vector<std::optional<StreamId>> ids(options.ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // All of the keys and groups are looked at before anything is read.
    const auto stream = find_stream(context, options.keys[i]);
    if (!stream) return;
    if (!StreamGroup(*stream, options.group).there()) {
      std::string error = "NOGROUP No such key '";
      error.append(quotable(user_key(options.keys[i])))
          .append("' or consumer group '")
          .append(quotable(options.group));
      return context.reply.error(error.append("' in XREADGROUP with GROUP option"));
    }
    if (options.ids[i] == "$") {
      return context.reply.error(
          "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history "
          "of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ "
          "ID would just return an empty result set.");
    }
    if (options.ids[i] == ">") continue;
    if (!read_id(context, options.ids[i], 0, ids[i].emplace())) return;
  }
  std::vector<Found> all;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string_view key = options.keys[i];
    // What stands twice is read once.
    const bool again = std::ranges::find(options.keys.first(i), key) != options.keys.begin() + i;
    if (again && !ids[i]) continue;
    const auto stream = find_stream(context, key);
    const StreamGroup group(*stream, options.group);
    Found found = read_for(context, key, *stream, group, options, ids[i]);
    if (!group.has_consumer(options.consumer) || !found.entries.empty()) {
      write_consumer(context, key, group, options.consumer);
    }
    if (ids[i] || !found.entries.empty()) all.push_back(std::move(found));
  }
  reply_found(context, all);
}

constexpr Command kReadCommands[] = {
    {.name = "xread",
     .group = "stream",
     .arity = -4,
     .flags = kReadonly | kBlocking | kMovableKeys,
     .keys = {.keyword = "streams", .from = 1},
     .handler = xread_command,
     .docs = {.since = "5.0.0",
              .summary = "Entries of streams behind an id of each, or wait for some",
              .complexity = "O(log(N)+M) for each stream, where M is the number of entries",
              .arguments = "[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS "
                           "streams(key... id...)",
              .key_spec = "RO access"}},
    {.name = "xreadgroup",
     .group = "stream",
     .arity = -7,
     .flags = kWrite | kBlocking | kMovableKeys,
     .keys = {.keyword = "streams", .from = 4},
     .handler = xreadgroup_command,
     .docs = {.since = "5.0.0",
              .summary = "Entries that a consumer group has not been given yet, or those that are "
                         "pending of a consumer; or wait for some",
              .complexity = "O(M*log(N)) for each stream, where M is the number of entries",
              .arguments = "GROUP group_consumer(group consumer) [COUNT count:integer] [BLOCK "
                           "milliseconds:integer] [NOACK] STREAMS streams(key... id...)",
              .key_spec = "RO access"}},
    {.name = "even.lastid",
     .group = "stream",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = kAllWords,
     .split = Split::kGather,
     .handler = lastid_command,
     .docs = {.since = "0.1.0",
              .summary = "The last id of each stream; what $ stands for in XREAD",
              .complexity = "O(log(N)) for each stream",
              .arguments = "key...",
              .key_spec = "RO"}},
};

}  // namespace

std::span<const Command> stream_read_commands() { return kReadCommands; }

}  // namespace even
