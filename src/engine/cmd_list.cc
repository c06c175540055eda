// Lists: one key at a time. What takes from several keys, or moves elements, is in
// cmd_list_move.cc.
#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/list.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::string_view kNoRank =
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
    "negative to start from the end of the list";

template <bool kLeft, bool kOnlyPresent>
void push_command(Context& context, Args args) {
  List list;
  if (!find_list(context, args[1], list)) return;
  if (kOnlyPresent && list.size == 0) return context.reply.integer(0);
  const Args values = args.subspan(2);
  push_items(context, args[1], list, kLeft, values);
  context.reply.integer(static_cast<std::int64_t>(list.size + values.size()));
}

template <bool kLeft>
void lpop_command(Context& context, Args args) {
  if (args.size() > 3) return context.reply.error(wrong_arity(kLeft ? "lpop" : "rpop"));
  std::int64_t count = 1;
  const bool counted = args.size() == 3;
  if (counted && !read_integer(context, args[2], count, kNotPositive)) return;
  if (count < 0) return context.reply.error(kNotPositive);
  List list;
  if (!find_list(context, args[1], list)) return;
  if (list.size == 0) return counted ? context.reply.null_array() : context.reply.null();
  const std::size_t taken = std::min(static_cast<std::size_t>(count), list.size);
  if (counted) context.reply.array(taken);
  if (taken > 0) pop_items(context, args[1], list, kLeft, taken);
}

void llen_command(Context& context, Args args) {
  List list;
  if (find_list(context, args[1], list)) {
    context.reply.integer(static_cast<std::int64_t>(list.size));
  }
}

void lrange_command(Context& context, Args args) {
  std::int64_t start, stop;
  if (!read_integer(context, args[2], start) || !read_integer(context, args[3], stop)) return;
  List list;
  if (!find_list(context, args[1], list)) return;
  const RankRange range = rank_range(start, stop, list.size);
  context.reply.array(range.count);
  if (range.count == 0) return;
  ListOrder(list).visit(range.first, range.count, false,
                        [&context](const ListItem& item) { context.reply.bulk(item.value()); });
}

// The place of an index that counts from the end where it is negative; nothing: there is none.
std::optional<std::size_t> place_of(std::int64_t index, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  if (index < -length || index >= length) return std::nullopt;
  return static_cast<std::size_t>(index < 0 ? index + length : index);
}

void lindex_command(Context& context, Args args) {
  List list;
  if (!find_list(context, args[1], list)) return;
  if (list.size == 0) return context.reply.null();
  std::int64_t index;
  if (!read_integer(context, args[2], index)) return;
  const auto place = place_of(index, list.size);
  if (!place) return context.reply.null();
  context.reply.bulk(ListOrder(list).at(*place).value());
}

void lset_command(Context& context, Args args) {
  List list;
  if (!find_list(context, args[1], list)) return;
  if (list.size == 0) return context.reply.error("ERR no such key");
  std::int64_t index;
  if (!read_integer(context, args[2], index)) return;
  const auto place = place_of(index, list.size);
  if (!place) return context.reply.error("ERR index out of range");
  const std::string_view position = ListOrder(list).at(*place).position();
  context.write(args[1]).set_item(position, args[3]);
  context.reply.ok();
}

void linsert_command(Context& context, Args args) {
  const bool behind = equals_ignore_case(args[2], "after");
  if (!behind && !equals_ignore_case(args[2], "before")) return context.reply.error(kSyntaxError);
  List list;
  if (!find_list(context, args[1], list)) return;
  if (list.size == 0) return context.reply.integer(0);
  const ListOrder order(list);
  std::size_t place = 0;
  bool found = false;
  order.visit(0, list.size, false, [&](const ListItem& item) {
    found = item.value() == args[3];
    place += !found || behind;
    return !found;
  });
  if (!found) return context.reply.integer(-1);
  context.write(args[1]).insert_item(order.left_of(place), order.right_of(place), args[4]);
  context.reply.integer(static_cast<std::int64_t>(list.size) + 1);
}

void lrem_command(Context& context, Args args) {
  std::int64_t count;
  if (!read_integer(context, args[2], count)) return;
  List list;
  if (!find_list(context, args[1], list)) return;
  if (list.size == 0) return context.reply.integer(0);
  const bool downwards = count < 0;
  const std::uint64_t wanted = count == 0  ? std::numeric_limits<std::uint64_t>::max()
                               : downwards ? -static_cast<std::uint64_t>(count)
                                           : static_cast<std::uint64_t>(count);
  std::vector<std::string_view> found;
  ListOrder(list).visit(downwards ? list.size - 1 : 0, list.size, downwards,
                        [&](const ListItem& item) {
                          if (item.value() == args[3]) found.push_back(item.position());
                          return found.size() < wanted;
                        });
  for (const std::string_view position : found) context.write(args[1]).remove_item(position);
  if (found.size() == list.size) context.write(args[1]).persist();
  context.reply.integer(static_cast<std::int64_t>(found.size()));
}

void ltrim_command(Context& context, Args args) {
  std::int64_t start, stop;
  if (!read_integer(context, args[2], start) || !read_integer(context, args[3], stop)) return;
  List list;
  if (!find_list(context, args[1], list)) return;
  const RankRange kept = rank_range(start, stop, list.size);
  if (list.size > kept.count) {
    const ListOrder order(list);
    const std::size_t behind = kept.count == 0 ? 0 : kept.first + kept.count;
    if (kept.count > 0) remove_items(context, args[1], order, 0, kept.first);
    remove_items(context, args[1], order, behind, list.size - behind);
  }
  context.reply.ok();
}

struct PosOptions {
  std::int64_t rank = 1;
  std::optional<std::int64_t> count;
  std::int64_t most_compared = 0;  // 0: all
};

// Replies an error and returns false when they are not such.
bool read_pos_options(Context& context, Args words, PosOptions& out) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const bool has_value = i + 1 < words.size();
    std::int64_t value = 0;
    if (has_value && equals_ignore_case(words[i], "rank")) {
      if (!read_integer(context, words[i + 1], out.rank)) return false;
      if (out.rank < -kMost) {
        context.reply.error(
            "ERR value is out of range, value must between -9223372036854775807 and "
            "9223372036854775807");
        return false;
      }
      if (out.rank == 0) {
        context.reply.error(kNoRank);
        return false;
      }
    } else if (has_value && equals_ignore_case(words[i], "count")) {
      constexpr std::string_view kError = "ERR COUNT can't be negative";
      if (!read_integer(context, words[i + 1], value, kError)) return false;
      if (value < 0) {
        context.reply.error(kError);
        return false;
      }
      out.count = value;
    } else if (has_value && equals_ignore_case(words[i], "maxlen")) {
      constexpr std::string_view kError = "ERR MAXLEN can't be negative";
      if (!read_integer(context, words[i + 1], value, kError)) return false;
      if (value < 0) {
        context.reply.error(kError);
        return false;
      }
      out.most_compared = value;
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  return true;
}

void lpos_command(Context& context, Args args) {
  PosOptions options;
  if (!read_pos_options(context, args.subspan(3), options)) return;
  List list;
  if (!find_list(context, args[1], list)) return;
  std::vector<std::size_t> found;
  if (list.size > 0) {
    const bool downwards = options.rank < 0;
    auto passed = static_cast<std::uint64_t>(downwards ? -options.rank : options.rank) - 1;
    const auto limit = static_cast<std::uint64_t>(options.most_compared);
    const std::size_t compared =
        limit == 0 ? list.size
                   : static_cast<std::size_t>(std::min<std::uint64_t>(limit, list.size));
    const std::int64_t wanted = options.count.value_or(1);
    std::size_t place = downwards ? list.size - 1 : 0;
    ListOrder(list).visit(place, compared, downwards, [&](const ListItem& item) {
      if (item.value() == args[2]) passed > 0 ? void(--passed) : found.push_back(place);
      place += downwards ? std::size_t(-1) : 1;
      return wanted == 0 || found.size() < static_cast<std::size_t>(wanted);
    });
  }
  if (options.count) {
    context.reply.array(found.size());
    for (const std::size_t place : found) context.reply.integer(static_cast<std::int64_t>(place));
  } else if (found.empty()) {
    context.reply.null();
  } else {
    context.reply.integer(static_cast<std::int64_t>(found[0]));
  }
}

constexpr Command list_row(std::string_view name, int arity, std::uint32_t flags, Handler handler,
                           std::string_view since, std::string_view summary,
                           std::string_view complexity, std::string_view arguments,
                           std::string_view key_spec, Elements elements = Elements::kUnknown) {
  return {.name = name,
          .group = "list",
          .arity = arity,
          .flags = flags,
          .keys = kFirstWord,
          .handler = handler,
          .elements = elements,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = complexity,
                   .arguments = arguments,
                   .key_spec = key_spec}};
}

constexpr std::string_view kPushComplexity = "O(log(N)) for each element given";

constexpr Command kListCommands[] = {
    list_row("lpush", -3, kWrite | kDenyOom | kFast, push_command<true, false>, "1.0.0",
             "Prepend elements to a list", kPushComplexity, "key element...", "RW insert",
             Elements::kFresh),
    list_row("rpush", -3, kWrite | kDenyOom | kFast, push_command<false, false>, "1.0.0",
             "Append elements to a list", kPushComplexity, "key element...", "RW insert",
             Elements::kFresh),
    list_row("lpushx", -3, kWrite | kDenyOom | kFast, push_command<true, true>, "2.2.0",
             "Prepend elements to a list only if it exists", kPushComplexity, "key element...",
             "RW insert", Elements::kFresh),
    list_row("rpushx", -3, kWrite | kDenyOom | kFast, push_command<false, true>, "2.2.0",
             "Append elements to a list only if it exists", kPushComplexity, "key element...",
             "RW insert", Elements::kFresh),
    list_row("lpop", -2, kWrite | kFast, lpop_command<true>, "1.0.0",
             "Remove elements from the beginning of a list",
             "O(M*log(N)) where M is the number of elements returned", "key [count:integer]",
             "RW access delete", Elements::kFresh),
    list_row("rpop", -2, kWrite | kFast, lpop_command<false>, "1.0.0",
             "Remove elements from the end of a list",
             "O(M*log(N)) where M is the number of elements returned", "key [count:integer]",
             "RW access delete", Elements::kFresh),
    list_row("llen", 2, kReadonly | kFast, llen_command, "1.0.0", "Number of elements of a list",
             "O(1)", "key", "RO"),
    list_row("lrange", 4, kReadonly, lrange_command, "1.0.0",
             "Elements of a list in a range of indexes",
             "O(log(N)+M) where N is the length of the list and M the number of elements returned",
             "key start:integer stop:integer", "RO access"),
    list_row("lindex", 3, kReadonly, lindex_command, "1.0.0", "Element of a list at an index",
             "O(log(N)) where N is the length of the list", "key index:integer", "RO access"),
    list_row("lset", 4, kWrite | kDenyOom, lset_command, "1.0.0",
             "Set the element of a list at an index", "O(log(N)) where N is the length of the list",
             "key index:integer element", "RW update"),
    list_row("linsert", 5, kWrite | kDenyOom, linsert_command, "2.2.0",
             "Insert an element before or after another one of a list",
             "O(N) where N is the number of elements before the one that is looked for",
             "key where(BEFORE|AFTER) pivot element", "RW insert", Elements::kFresh),
    list_row("lrem", 4, kWrite, lrem_command, "1.0.0",
             "Remove elements of a list that equal a value",
             "O(N+M*log(N)) where N is the length of the list and M the number of elements removed",
             "key count:integer element", "RW delete", Elements::kFresh),
    list_row("ltrim", 4, kWrite, ltrim_command, "1.0.0",
             "Remove elements outside a range of indexes",
             "O(M*log(N)) where N is the length of the list and M the number of elements removed",
             "key start:integer stop:integer", "RW delete", Elements::kFresh),
    list_row("lpos", -3, kReadonly, lpos_command, "6.0.6",
             "Indexes of elements of a list by their value",
             "O(N) where N is the number of elements compared",
             "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
             "RO access"),
};

}  // namespace

std::span<const Command> list_commands() { return kListCommands; }

}  // namespace even
