// Streams: entries. Reading that may wait is in cmd_stream_read.cc, consumer groups are in
// cmd_stream_group.cc.
#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/mutant.h"
#include "engine/command.h"
#include "engine/stream.h"

namespace even {
namespace {

struct EntryOptions {
  TrimOptions trim;
  bool only_present = false;  // NOMKSTREAM
  // Of XADD: the id, as far as it is given, and where the words behind it begin.
  bool given_ms = false;
  bool given_seq = false;
  StreamId id;
  std::size_t behind_id = 0;
};

bool fails(Context& context, std::string_view error) {
  context.reply.error(error);
  return false;
}

// The id of XADD, or all but its sequence: "5-*".
bool read_new_id(Context& context, std::string_view word, EntryOptions& out) {
  out.given_ms = word != "*";
  if (!out.given_ms) return true;
  out.given_seq = !word.ends_with("-*");
  return read_id(context, out.given_seq ? word : word.substr(0, word.size() - 2), 0, out.id);
}

// Replies an error and returns false when these are not such.
bool read_add_or_trim(Context& context, Args args, bool adds, EntryOptions& out) {
  TrimOptions& trim = out.trim;
  bool limited = false;
  std::size_t i = 2;
  for (; i < args.size(); ++i) {
    const std::size_t more = args.size() - 1 - i;
    if (adds && args[i] == "*") break;
    const bool by_length = equals_ignore_case(args[i], "maxlen");
    std::int64_t number;
    if (more > 0 && (by_length || equals_ignore_case(args[i], "minid"))) {
      if (trim.by != TrimOptions::By::kNothing) {
        return fails(context,
                     "ERR syntax error, MAXLEN and MINID options at the same time are not "
                     "compatible");
      }
      trim.by = by_length ? TrimOptions::By::kLength : TrimOptions::By::kId;
      if (more >= 2 && (args[i + 1] == "~" || args[i + 1] == "=")) {
        trim.about = args[i + 1] == "~";
        ++i;
      }
      ++i;
      if (by_length) {
        if (!read_integer(context, args[i], number)) return false;
        if (number < 0) return fails(context, "ERR The MAXLEN argument must be >= 0.");
        trim.length = static_cast<std::uint64_t>(number);
      } else if (!read_id(context, args[i], 0, trim.id)) {
        return false;
      }
    } else if (more > 0 && equals_ignore_case(args[i], "limit")) {
      if (!read_integer(context, args[++i], number)) return false;
      if (number < 0) return fails(context, "ERR The LIMIT argument must be >= 0.");
      trim.limit = static_cast<std::uint64_t>(number);
      limited = true;
    } else if (adds && equals_ignore_case(args[i], "nomkstream")) {
      out.only_present = true;
    } else if (adds) {
      break;
    } else {
      return fails(context, kSyntaxError);
    }
  }
  if (adds && i < args.size() && !read_new_id(context, args[i], out)) return false;
  out.behind_id = i + 1;
  const bool trims = trim.by != TrimOptions::By::kNothing;
  if (limited && !trims) {
    return fails(context,
                 "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
  }
  if (!adds && !trims) {
    return fails(context, "ERR syntax error, XTRIM must be called with a trimming strategy");
  }
  if (limited && !trim.about) {
    return fails(context, "ERR syntax error, LIMIT cannot be used without the special ~ option");
  }
  if (trim.about && !limited) trim.limit = 10'000;
  return true;
}

// The least id beyond `last` with these milliseconds, that no other node makes at the same time:
// where several nodes may write, the lowest 16 bits of the sequence are the node's number.
std::optional<StreamId> least_behind(StreamId last, std::uint64_t ms, NodeNumber node) {
  if (ms < last.ms) return std::nullopt;
  if (node == 0 || EVEN_MUTANT(kIdsOfSeveralNodes)) {
    if (ms > last.ms) return StreamId{ms, ms == 0 ? 1u : 0u};
    return last.seq == UINT64_MAX ? std::nullopt : std::optional(StreamId{ms, last.seq + 1});
  }
  if (ms > last.ms) return StreamId{ms, node};
  std::uint64_t count = last.seq >> 16;
  if ((count << 16 | node) <= last.seq && ++count == 1ull << 48) return std::nullopt;
  return StreamId{ms, count << 16 | node};
}

// The id that stands for a moment at a node: greater than those of all that the node had seen then,
// also of what has been deleted since. Other nodes may have groups that have read that.
StreamId id_at(Hlc time, NodeNumber node) {
  return {static_cast<std::uint64_t>(time.wall_ms()), std::uint64_t{time.logical()} << 16 | node};
}

// `now`: the least id that this moment may have.
std::optional<StreamId> new_id(const EntryOptions& options, StreamId last, StreamId now,
                               NodeNumber node) {
  if (options.given_seq) return options.id > last ? std::optional(options.id) : std::nullopt;
  if (options.given_ms) return least_behind(last, options.id.ms, node);
  if (node != 0 && now > last && !EVEN_MUTANT(kIdsOfSeveralNodes)) return now;
  const std::uint64_t ms = std::max(last.ms, now.ms);
  const auto id = least_behind(last, ms, node);
  return id || ms == UINT64_MAX ? id : least_behind(last, ms + 1, node);
}

void xadd_command(Context& context, Args args) {
  EntryOptions options;
  if (!read_add_or_trim(context, args, true, options)) return;
  const std::size_t words = args.size() - std::min(args.size(), options.behind_id);
  if (words < 2 || words % 2 == 1) return context.reply.error(wrong_arity("xadd"));
  if (options.given_seq && options.id == StreamId::least()) {
    return context.reply.error("ERR The ID specified in XADD must be greater than 0-0");
  }
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  if (options.only_present && !stream->there()) return context.reply.null();
  const StreamId last = stream->last_id();
  if (last == StreamId::greatest()) {
    return context.reply.error(
        "ERR The stream has exhausted the last possible ID, unable to add more items");
  }
  constexpr std::string_view kNotBehind =
      "ERR The ID specified in XADD is equal or smaller than the target stream top item";
  // Said before anything is written.
  if (options.given_seq ? options.id <= last : options.given_ms && options.id.ms < last.ms) {
    return context.reply.error(kNotBehind);
  }
  ReplicaId maker;
  StreamId now{static_cast<std::uint64_t>(context.now_ms), 0};
  if (context.shared(args[1])) {
    const KeyWriter& writer = context.write(args[1]);
    maker = writer.dot().replica;
    now = id_at(writer.time(), maker.node());
  }
  const auto id = new_id(options, last, now, maker.node());
  if (!id) return context.reply.error(kNotBehind);
  const TrimOptions& trim = options.trim;
  const bool at_once =  // it is trimmed away itself
      (trim.by == TrimOptions::By::kLength && trim.length == 0 && !trim.about) ||
      (trim.by == TrimOptions::By::kId && *id < trim.id && !trim.about);
  if (at_once) {
    note_last_id(context, args[1], *stream, *id);
  } else {
    std::string content;
    append_content(args.subspan(options.behind_id), content);
    context.write(args[1]).set_stream_field(context.keep(stream_entry(maker, *id)),
                                            context.keep(std::move(content)));
  }
  const auto gone = trimmed(*stream, trim, at_once ? 0 : 1);
  KeyWriter& writer = context.write(args[1]);
  for (const StreamEntry& entry : gone) {
    writer.remove_stream_field(context.keep(stream_entry(entry.writer, entry.id)));
  }
  reply_id(context.reply, *id);
}

void xlen_command(Context& context, Args args) {
  const auto stream = find_stream(context, args[1]);
  if (stream) context.reply.integer(static_cast<std::int64_t>(stream->length()));
}

template <bool kDownwards>
void xrange_command(Context& context, Args args) {
  StreamId first;
  StreamId last;
  if (!read_range_end(context, args[kDownwards ? 3 : 2], true, first)) return;
  if (!read_range_end(context, args[kDownwards ? 2 : 3], false, last)) return;
  std::int64_t count = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 4; i < args.size(); i += 2) {
    if (i + 1 == args.size() || !equals_ignore_case(args[i], "count")) {
      return context.reply.error(kSyntaxError);
    }
    if (!read_integer(context, args[i + 1], count)) return;
  }
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  if (!stream->there()) return context.reply.array(0);
  if (count <= 0) return context.reply.null_array();
  std::vector<StreamEntry> found;
  stream->entries(first, last, kDownwards, [&](const StreamEntry& entry) {
    found.push_back(entry);
    return found.size() < static_cast<std::uint64_t>(count);
  });
  context.reply.array(found.size());
  for (const StreamEntry& entry : found) reply_entry(context.reply, entry);
}

void xdel_command(Context& context, Args args) {
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  std::vector<StreamId> ids;
  for (const std::string_view word : args.subspan(2)) {
    if (!stream->there()) break;
    if (!read_id(context, word, 0, ids.emplace_back())) return;
  }
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<StreamEntry> gone;
  for (const StreamId id : ids) {
    for (const StreamEntry& entry : stream->entries_at(id)) gone.push_back(entry);
  }
  remove_entries(context, args[1], *stream, gone);
  if (!gone.empty() && gone.back().id > stream->max_deleted()) {
    write_mark(context, args[1], *stream, kStreamDeleted, gone.back().id);
  }
  context.reply.integer(static_cast<std::int64_t>(gone.size()));
}

void xtrim_command(Context& context, Args args) {
  EntryOptions options;
  if (!read_add_or_trim(context, args, false, options)) return;
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  const auto gone = trimmed(*stream, options.trim, 0);
  remove_entries(context, args[1], *stream, gone);
  context.reply.integer(static_cast<std::int64_t>(gone.size()));
}

void xsetid_command(Context& context, Args args) {
  StreamId id;
  if (!read_id(context, args[2], 0, id)) return;
  std::optional<std::int64_t> added;
  std::optional<StreamId> deleted;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    const bool has_value = i + 1 < args.size();
    if (has_value && equals_ignore_case(args[i], "entriesadded")) {
      if (!read_integer(context, args[i + 1], added.emplace())) return;
      if (*added < 0) return context.reply.error("ERR entries_added must be positive");
    } else if (has_value && equals_ignore_case(args[i], "maxdeletedid")) {
      if (!read_id(context, args[i + 1], 0, deleted.emplace())) return;
      if (id < *deleted) {
        return context.reply.error(
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
      }
    } else {
      return context.reply.error(kSyntaxError);
    }
  }
  const auto stream = find_stream(context, args[1]);
  if (!stream) return;
  if (!stream->there()) return context.reply.error("ERR no such key");
  StreamId top;
  stream->all_entries(true, [&top](const StreamEntry& entry) {
    top = entry.id;
    return false;
  });
  if (id < top) {
    return context.reply.error(
        "ERR The ID specified in XSETID is smaller than the target stream top item");
  }
  if (added && static_cast<std::uint64_t>(*added) < stream->length()) {
    return context.reply.error(
        "ERR The entries_added specified in XSETID is smaller than the target stream length");
  }
  write_mark(context, args[1], *stream, kStreamLast, id);
  if (added) {
    std::string value;
    put_big_endian(value, static_cast<std::uint64_t>(*added));
    context.write(args[1]).set_stream_field(context.keep(std::string(1, kStreamAdded)),
                                            context.keep(std::move(value)));
  }
  if (deleted) write_mark(context, args[1], *stream, kStreamDeleted, *deleted);
  context.reply.ok();
}

constexpr Command kStreamCommands[] = {
    {.name = "xadd",
     .group = "stream",
     .arity = -5,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = xadd_command,
     .elements = Elements::kFresh,
     .docs = {.since = "5.0.0",
              .summary = "Append an entry to a stream",
              .complexity = "O(log(N)), and as much for each entry that is trimmed",
              .arguments =
                  "key [NOMKSTREAM] [trim(strategy(MAXLEN|MINID) [operator(=|~)] "
                  "threshold [LIMIT count:integer])] id_or_auto(*|id) field_value(field value)...",
              .key_spec = "RW update",
              .tips = "nondeterministic_output"}},
    {.name = "xlen",
     .group = "stream",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = xlen_command,
     .docs = {.since = "5.0.0",
              .summary = "Number of entries of a stream",
              .complexity = "O(log(N))",
              .arguments = "key",
              .key_spec = "RO"}},
    {.name = "xrange",
     .group = "stream",
     .arity = -4,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = xrange_command<false>,
     .docs = {.since = "5.0.0",
              .summary = "Entries of a stream in a range of ids",
              .complexity = "O(log(N)+M) where M is the number of elements returned",
              .arguments = "key start end [COUNT count:integer]",
              .key_spec = "RO access"}},
    {.name = "xrevrange",
     .group = "stream",
     .arity = -4,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = xrange_command<true>,
     .docs = {.since = "5.0.0",
              .summary = "Entries of a stream in a range of ids, the last one first",
              .complexity = "O(log(N)+M) where M is the number of elements returned",
              .arguments = "key end start [COUNT count:integer]",
              .key_spec = "RO access"}},
    {.name = "xdel",
     .group = "stream",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = xdel_command,
     .elements = Elements::kFresh,
     .docs = {.since = "5.0.0",
              .summary = "Remove entries of a stream by their ids",
              .complexity = "O(log(N)) for each id",
              .arguments = "key id...",
              .key_spec = "RW delete"}},
    {.name = "xtrim",
     .group = "stream",
     .arity = -4,
     .flags = kWrite,
     .keys = kFirstWord,
     .handler = xtrim_command,
     .elements = Elements::kFresh,
     .docs = {.since = "5.0.0",
              .summary = "Remove the oldest entries of a stream",
              .complexity = "O(M*log(N)) where M is the number of entries removed",
              .arguments = "key trim(strategy(MAXLEN|MINID) [operator(=|~)] threshold [LIMIT "
                           "count:integer])",
              .key_spec = "RW delete",
              .tips = "nondeterministic_output"}},
    {.name = "xsetid",
     .group = "stream",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = xsetid_command,
     .docs = {.since = "5.0.0",
              .summary = "Set the last id of a stream",
              .complexity = "O(log(N))",
              .arguments = "key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID "
                           "max_deleted_entry_id]",
              .key_spec = "RW update"}},
};

}  // namespace

std::span<const Command> stream_commands() { return kStreamCommands; }

}  // namespace even
