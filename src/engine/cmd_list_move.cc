// Lists: commands that move an element from one to another, or take from the first of several; and
// those that wait for one (blocking.h).
#include <algorithm>
#include <optional>
#include <string_view>

#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/list.h"
#include "engine/text.h"

namespace even {
namespace {

std::optional<bool> parse_left(std::string_view word) {
  if (equals_ignore_case(word, "left")) return true;
  if (equals_ignore_case(word, "right")) return false;
  return std::nullopt;
}

void move_item(Context& context, std::string_view from, std::string_view to, bool from_left,
               bool to_left) {
  List source;
  if (!find_list(context, from, source)) return;
  if (source.size == 0) return context.reply.null();
  List target;
  if (!find_list(context, to, target)) return;
  const ListItem item = end_of(source, from_left);
  // Written first: where both are the same list and this was its only element, the key stays.
  const std::string_view value[] = {item.value()};
  push_items(context, to, target, to_left, value);
  context.write(from).remove_item(item.position());
  if (source.size == 1 && from != to) context.write(from).persist();
  context.reply.bulk(value[0]);
}

void lmove_command(Context& context, Args args) {
  const auto from_left = parse_left(args[3]);
  const auto to_left = parse_left(args[4]);
  if (!from_left || !to_left) return context.reply.error(kSyntaxError);
  move_item(context, args[1], args[2], *from_left, *to_left);
}

void rpoplpush_command(Context& context, Args args) {
  move_item(context, args[1], args[2], false, true);
}

constexpr std::string_view kEnds[] = {"left", "right"};

void take_from_first(Context& context, const MultiPop& what) {
  for (const std::string_view key : what.keys) {
    List list;
    if (!find_list(context, key, list)) return;
    if (list.size == 0) continue;
    const std::size_t taken = std::min(what.count, list.size);
    context.reply.array(2);
    context.reply.key(key);
    context.reply.array(taken);
    return pop_items(context, key, list, what.first_end, taken);
  }
  context.reply.null_array();
}

void lmpop_command(Context& context, Args args) {
  MultiPop what;
  if (read_multi_pop(context, args.subspan(1), kEnds, what)) take_from_first(context, what);
}

template <bool kLeft>
void blocking_lpop_command(Context& context, Args args) {
  if (!check_timeout(context, args.back())) return;
  for (const std::string_view key : args.subspan(1, args.size() - 2)) {
    List list;
    if (!find_list(context, key, list)) return;
    if (list.size == 0) continue;
    context.reply.array(2);
    context.reply.key(key);
    return pop_items(context, key, list, kLeft, 1);
  }
  context.reply.null_array();
}

void blmove_command(Context& context, Args args) {
  if (!parse_left(args[3]) || !parse_left(args[4])) return context.reply.error(kSyntaxError);
  if (check_timeout(context, args[5])) lmove_command(context, args);
}

void brpoplpush_command(Context& context, Args args) {
  if (check_timeout(context, args[3])) rpoplpush_command(context, args);
}

void blmpop_command(Context& context, Args args) {
  MultiPop what;
  if (!read_multi_pop(context, args.subspan(2), kEnds, what)) return;
  if (check_timeout(context, args[1])) take_from_first(context, what);
}

constexpr KeyPositions kKeysOfLists = {.first = 1, .last = -2, .step = 1};

constexpr Command kMoveCommands[] = {
    {.name = "lmove",
     .group = "list",
     .arity = 5,
     .flags = kWrite | kDenyOom,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = lmove_command,
     .moves = true,
     .docs = {.since = "6.2.0",
              .summary = "Move an element from an end of a list to an end of another one",
              .complexity = "O(log(N))",
              .arguments = "source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)",
              .key_spec = "RW access delete; RW insert"}},
    {.name = "rpoplpush",
     .group = "list",
     .arity = 3,
     .flags = kWrite | kDenyOom,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = rpoplpush_command,
     .moves = true,
     .docs = {.since = "1.2.0",
              .summary = "Move the last element of a list to the beginning of another one",
              .complexity = "O(log(N))",
              .arguments = "source:key destination:key",
              .key_spec = "RW access delete; RW insert"}},
    {.name = "lmpop",
     .group = "list",
     .arity = -4,
     .flags = kWrite | kMovableKeys,
     .keys = {.count = 1},
     .handler = lmpop_command,
     .docs = {.since = "7.0.0",
              .summary = "Remove elements from the first of several lists that has some",
              .complexity = "O(K+M*log(N)) where K is the number of keys, N the length of the list "
                            "and M the number of elements returned",
              .arguments = "numkeys:integer key... where(LEFT|RIGHT) [COUNT count:integer]",
              .key_spec = "RW access delete"}},
    {.name = "blpop",
     .group = "list",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking,
     .keys = kKeysOfLists,
     .handler = blocking_lpop_command<true>,
     .docs = {.since = "2.0.0",
              .summary = "Remove the first element of the first of several lists that has one, or "
                         "wait for one",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key... timeout:double",
              .key_spec = "RW access delete"}},
    {.name = "brpop",
     .group = "list",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking,
     .keys = kKeysOfLists,
     .handler = blocking_lpop_command<false>,
     .docs = {.since = "2.0.0",
              .summary = "Remove the last element of the first of several lists that has one, or "
                         "wait for one",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key... timeout:double",
              .key_spec = "RW access delete"}},
    {.name = "blmove",
     .group = "list",
     .arity = 6,
     .flags = kWrite | kDenyOom | kNoScript | kBlocking,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = blmove_command,
     .moves = true,
     .docs = {.since = "6.2.0",
              .summary = "Move an element from an end of a list to an end of another one, or wait "
                         "for one",
              .complexity = "O(log(N))",
              .arguments = "source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) "
                           "timeout:double",
              .key_spec = "RW access delete; RW insert"}},
    {.name = "brpoplpush",
     .group = "list",
     .arity = 4,
     .flags = kWrite | kDenyOom | kNoScript | kBlocking,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = brpoplpush_command,
     .moves = true,
     .docs = {.since = "2.2.0",
              .summary = "Move the last element of a list to the beginning of another one, or wait "
                         "for one",
              .complexity = "O(log(N))",
              .arguments = "source:key destination:key timeout:double",
              .key_spec = "RW access delete; RW insert"}},
    {.name = "blmpop",
     .group = "list",
     .arity = -5,
     .flags = kWrite | kBlocking | kMovableKeys,
     .keys = {.count = 2},
     .handler = blmpop_command,
     .docs = {.since = "7.0.0",
              .summary = "Remove elements from the first of several lists that has some, or wait "
                         "for some",
              .complexity = "O(K+M*log(N)) where K is the number of keys, N the length of the list "
                            "and M the number of elements returned",
              .arguments = "timeout:double numkeys:integer key... where(LEFT|RIGHT) [COUNT "
                           "count:integer]",
              .key_spec = "RW access delete"}},
};

}  // namespace

std::span<const Command> list_move_commands() { return kMoveCommands; }

}  // namespace even
