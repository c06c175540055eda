// XINFO: what a stream and its consumer groups are made of.
#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/stream.h"

namespace even {
namespace {

std::optional<Stream> stream_to_show(Context& context, std::string_view key) {
  auto stream = find_stream(context, key);
  if (!stream || stream->there()) return stream;
  context.reply.error("ERR no such key");
  return std::nullopt;
}

void reply_count(Reply& reply, std::string_view name, std::size_t count) {
  reply.bulk(name);
  reply.integer(static_cast<std::int64_t>(count));
}

void reply_named_id(Reply& reply, std::string_view name, StreamId id) {
  reply.bulk(name);
  reply_id(reply, id);
}

// Of a stream, "entries-read" and "lag" of a group. As in Redis, a group that has been given
// nothing yet has no count.
void reply_progress(Reply& reply, const Stream& stream, const StreamGroup& group) {
  const std::size_t lag = group.lag();
  const std::uint64_t added = stream.added();
  reply.bulk("entries-read");
  added > lag ? reply.integer(static_cast<std::int64_t>(added - lag)) : reply.null();
  reply_count(reply, "lag", lag);
}

std::optional<StreamEntry> outermost(const Stream& stream, bool last) {
  std::optional<StreamEntry> out;
  stream.all_entries(last, [&out](const StreamEntry& entry) {
    out = entry;
    return false;
  });
  return out;
}

void reply_outermost(Reply& reply, std::string_view name, const std::optional<StreamEntry>& entry) {
  reply.bulk(name);
  entry ? reply_entry(reply, *entry) : reply.null();
}

// What there is beside entries and groups.
void reply_head(Reply& reply, const Stream& stream, const std::optional<StreamEntry>& first) {
  const std::size_t length = stream.length();
  reply_count(reply, "length", length);
  // Redis's form in memory, of which there is nothing here: as for blocks of 100 entries.
  const std::size_t blocks = (length + 99) / 100;
  reply_count(reply, "radix-tree-keys", blocks);
  reply_count(reply, "radix-tree-nodes", blocks + 1);
  reply_named_id(reply, "last-generated-id", stream.last_id());
  reply_named_id(reply, "max-deleted-entry-id", stream.max_deleted());
  reply_count(reply, "entries-added", stream.added());
  reply_named_id(reply, "recorded-first-entry-id", first ? first->id : StreamId());
}

void reply_full(Context& context, const Stream& stream, std::size_t count) {
  Reply& reply = context.reply;
  reply.map(9);
  reply_head(reply, stream, outermost(stream, false));
  std::vector<StreamEntry> entries;
  stream.all_entries(false, [&](const StreamEntry& entry) {
    entries.push_back(entry);
    return entries.size() < count;
  });
  reply.bulk("entries");
  reply.array(entries.size());
  for (const StreamEntry& entry : entries) reply_entry(reply, entry);

  const std::vector<std::string_view> groups = stream.groups();
  reply.bulk("groups");
  reply.array(groups.size());
  for (const std::string_view name : groups) {
    const StreamGroup group(stream, name);
    reply.map(7);
    reply.bulk("name");
    reply.bulk(name);
    reply_named_id(reply, "last-delivered-id", group.last_delivered());
    reply_progress(reply, stream, group);
    std::vector<PendingEntry> pending;
    group.pending({}, [&pending](const PendingEntry& entry) { pending.push_back(entry); });
    reply_count(reply, "pel-count", pending.size());
    reply.bulk("pending");
    reply.array(std::min(pending.size(), count));
    for (std::size_t i = 0; i < std::min(pending.size(), count); ++i) {
      reply.array(4);
      reply_id(reply, pending[i].id);
      reply.bulk(pending[i].consumer);
      reply.integer(pending[i].delivered_ms);
      reply.integer(static_cast<std::int64_t>(pending[i].deliveries));
    }
    const auto consumers = group.consumers();
    reply.bulk("consumers");
    reply.array(consumers.size());
    for (const StreamGroup::Consumer& consumer : consumers) {
      std::vector<PendingEntry> of_consumer;
      std::ranges::copy_if(
          pending, std::back_inserter(of_consumer),
          [&](const PendingEntry& entry) { return entry.consumer == consumer.name; });
      reply.map(4);
      reply.bulk("name");
      reply.bulk(consumer.name);
      reply.bulk("seen-time");
      reply.integer(consumer.seen_ms);
      reply_count(reply, "pel-count", of_consumer.size());
      of_consumer.resize(std::min(of_consumer.size(), count));
      reply.bulk("pending");
      reply.array(of_consumer.size());
      for (const PendingEntry& entry : of_consumer) {
        reply.array(3);
        reply_id(reply, entry.id);
        reply.integer(entry.delivered_ms);
        reply.integer(static_cast<std::int64_t>(entry.deliveries));
      }
    }
  }
}

void xinfo_stream_command(Context& context, Args args) {
  const auto stream = stream_to_show(context, args[2]);
  if (!stream) return;
  if (args.size() > 3) {
    std::int64_t count = 10;
    const bool counted = args.size() == 6 && equals_ignore_case(args[4], "count");
    if (!equals_ignore_case(args[3], "full") || (args.size() > 4 && !counted)) {
      return context.reply.error(
          "ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.");
    }
    if (counted && !read_integer(context, args[5], count)) return;
    if (count < 0) count = 10;
    return reply_full(
        context, *stream,
        count == 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(count));
  }
  Reply& reply = context.reply;
  const auto first = outermost(*stream, false);
  reply.map(10);
  reply_head(reply, *stream, first);
  reply_count(reply, "groups", stream->groups().size());
  reply_outermost(reply, "first-entry", first);
  reply_outermost(reply, "last-entry", outermost(*stream, true));
}

void xinfo_groups_command(Context& context, Args args) {
  const auto stream = stream_to_show(context, args[2]);
  if (!stream) return;
  const std::vector<std::string_view> groups = stream->groups();
  context.reply.array(groups.size());
  for (const std::string_view name : groups) {
    const StreamGroup group(*stream, name);
    std::size_t pending = 0;
    group.pending({}, [&pending](const PendingEntry&) { ++pending; });
    context.reply.map(6);
    context.reply.bulk("name");
    context.reply.bulk(name);
    reply_count(context.reply, "consumers", group.consumers().size());
    reply_count(context.reply, "pending", pending);
    reply_named_id(context.reply, "last-delivered-id", group.last_delivered());
    reply_progress(context.reply, *stream, group);
  }
}

void xinfo_consumers_command(Context& context, Args args) {
  const auto stream = stream_to_show(context, args[2]);
  if (!stream) return;
  const StreamGroup group(*stream, args[3]);
  if (!group.there()) {
    std::string error = "NOGROUP No such consumer group '";
    error.append(quotable(args[3])).append("' for key name '").append(quotable(user_key(args[2])));
    return context.reply.error(error.append("'"));
  }
  const auto consumers = group.consumers();
  context.reply.array(consumers.size());
  for (const StreamGroup::Consumer& consumer : consumers) {
    std::size_t pending = 0;
    group.pending({},
                  [&](const PendingEntry& entry) { pending += entry.consumer == consumer.name; });
    context.reply.map(3);
    context.reply.bulk("name");
    context.reply.bulk(consumer.name);
    reply_count(context.reply, "pending", pending);
    context.reply.bulk("idle");
    context.reply.integer(std::max<std::int64_t>(0, context.now_ms - consumer.seen_ms));
  }
}

constexpr Command info_row(std::string_view name, int arity, Handler handler,
                           std::string_view summary, std::string_view complexity,
                           std::string_view arguments, std::string_view tips = "") {
  return {.name = name,
          .group = "stream",
          .arity = arity,
          .flags = kReadonly,
          .keys = {.first = 2, .last = 2, .step = 1},
          .handler = handler,
          .docs = {.since = "5.0.0",
                   .summary = summary,
                   .complexity = complexity,
                   .arguments = arguments,
                   .key_spec = "RO access",
                   .tips = tips}};
}

constexpr Command kInfoRows[] = {
    info_row("xinfo|consumers", 4, xinfo_consumers_command, "Consumers of a consumer group",
             "O(N) where N is the number of consumers and of pending entries", "key groupname",
             "nondeterministic_output"),
    info_row("xinfo|groups", 3, xinfo_groups_command, "Consumer groups of a stream",
             "O(N) where N is the number of groups and of their pending entries", "key"),
    info_row("xinfo|stream", -3, xinfo_stream_command, "About a stream",
             "O(log(N)), with FULL as much for all that is shown",
             "key [FULL full([COUNT count:integer])]"),
};
constexpr Subcommand kInfoSubcommands[] = {
    subcommand_of("consumers", kInfoRows[0], "@stream"),
    subcommand_of("groups", kInfoRows[1], "@stream"),
    subcommand_of("stream", kInfoRows[2], "@stream"),
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .acl = "@stream",
     .docs = {.since = "5.0.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Command kInfoCommands[] = {
    {.name = "xinfo",
     .group = "stream",
     .arity = -2,
     .scope = Scope::kConnection,
     .subcommands = kInfoSubcommands,
     .docs = {.since = "5.0.0",
              .summary = "About streams, their groups and consumers",
              .complexity = "Depends on the subcommand"}},
};

}  // namespace

std::span<const Command> stream_info_commands() { return kInfoCommands; }

}  // namespace even
