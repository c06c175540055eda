// Sorted sets: commands that remove members from an end; and those that wait for some (blocking.h).
#include <algorithm>
#include <string_view>

#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {
namespace {

// Removes `count` members from one end of a set that has members, and replies with them: pairs, or
// one behind the other.
void pop(Context& context, std::string_view key, const SortedSet& set, bool highest,
         std::size_t count, bool pairs) {
  count = std::min(count, set.size);
  const ScoreOrder order(set);
  context.reply.array(pairs ? count : 2 * count);
  order.visit(highest ? set.size - 1 : 0, count, highest, [&](std::string_view name, double score) {
    if (pairs) context.reply.array(2);
    context.reply.bulk(name);
    context.reply.real(score);
  });
  remove_members(context, key, set, order, {highest ? set.size - count : 0, count});
}

template <bool kHighest>
void zpop_command(Context& context, Args args) {
  if (args.size() > 3) return context.reply.error(kSyntaxError);
  std::int64_t count = 1;
  const bool counted = args.size() == 3;
  if (counted && !read_integer(context, args[2], count, kNotPositive)) return;
  if (count < 0) return context.reply.error(kNotPositive);
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  if (set.size == 0 || count == 0) return context.reply.array(0);
  pop(context, args[1], set, kHighest, static_cast<std::size_t>(count),
      counted && context.reply.resp3());
}

constexpr std::string_view kScoreEnds[] = {"max", "min"};

void pop_from_first(Context& context, const MultiPop& what) {
  for (const std::string_view key : what.keys) {
    SortedSet set;
    if (!find_sorted_set(context, key, set)) return;
    if (set.size == 0) continue;
    context.reply.array(2);
    context.reply.key(key);
    return pop(context, key, set, what.first_end, what.count, true);
  }
  context.reply.null_array();
}

void zmpop_command(Context& context, Args args) {
  MultiPop what;
  if (read_multi_pop(context, args.subspan(1), kScoreEnds, what)) pop_from_first(context, what);
}

template <bool kHighest>
void blocking_zpop_command(Context& context, Args args) {
  if (!check_timeout(context, args.back())) return;
  for (const std::string_view key : args.subspan(1, args.size() - 2)) {
    SortedSet set;
    if (!find_sorted_set(context, key, set)) return;
    if (set.size == 0) continue;
    const ScoreOrder order(set);
    const std::size_t rank = kHighest ? set.size - 1 : 0;
    context.reply.array(3);
    context.reply.key(key);
    order.visit(rank, 1, false, [&context](std::string_view name, double score) {
      context.reply.bulk(name);
      context.reply.real(score);
    });
    return remove_members(context, key, set, order, {rank, 1});
  }
  context.reply.null_array();
}

void bzmpop_command(Context& context, Args args) {
  MultiPop what;
  if (!read_multi_pop(context, args.subspan(2), kScoreEnds, what)) return;
  if (check_timeout(context, args[1])) pop_from_first(context, what);
}

constexpr KeyPositions kBeforeTimeout = {.first = 1, .last = -2, .step = 1};

constexpr Command kPopCommands[] = {
    {.name = "zpopmin",
     .group = "sorted-set",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = zpop_command<false>,
     .docs = {.since = "5.0.0",
              .summary = "Remove the members with the lowest scores and return them",
              .complexity = "O(log(N)*M) where N is the size of the sorted set and M the count",
              .arguments = "key [count:integer]",
              .key_spec = "RW access delete"}},
    {.name = "zpopmax",
     .group = "sorted-set",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = zpop_command<true>,
     .docs = {.since = "5.0.0",
              .summary = "Remove the members with the highest scores and return them",
              .complexity = "O(log(N)*M) where N is the size of the sorted set and M the count",
              .arguments = "key [count:integer]",
              .key_spec = "RW access delete"}},
    {.name = "zmpop",
     .group = "sorted-set",
     .arity = -4,
     .flags = kWrite | kMovableKeys,
     .keys = {.count = 1},
     .handler = zmpop_command,
     .docs = {.since = "7.0.0",
              .summary = "Remove members from the first of several sorted sets that has some",
              .complexity = "O(K) + O(M*log(N)) where K is the number of keys, N the size of the "
                            "sorted set and M the count",
              .arguments = "numkeys:integer key... where(MIN|MAX) [COUNT count:integer]",
              .key_spec = "RW access delete"}},
    {.name = "bzpopmin",
     .group = "sorted-set",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking | kFast,
     .keys = kBeforeTimeout,
     .handler = blocking_zpop_command<false>,
     .docs = {.since = "5.0.0",
              .summary = "Remove the member with the lowest score from the first of several sorted "
                         "sets that has one, or wait for one",
              .complexity = "O(log(N)) where N is the size of the sorted set",
              .arguments = "key... timeout:double",
              .key_spec = "RW access delete"}},
    {.name = "bzpopmax",
     .group = "sorted-set",
     .arity = -3,
     .flags = kWrite | kNoScript | kBlocking | kFast,
     .keys = kBeforeTimeout,
     .handler = blocking_zpop_command<true>,
     .docs = {.since = "5.0.0",
              .summary = "Remove the member with the highest score from the first of several "
                         "sorted sets that has one, or wait for one",
              .complexity = "O(log(N)) where N is the size of the sorted set",
              .arguments = "key... timeout:double",
              .key_spec = "RW access delete"}},
    {.name = "bzmpop",
     .group = "sorted-set",
     .arity = -5,
     .flags = kWrite | kBlocking | kMovableKeys,
     .keys = {.count = 2},
     .handler = bzmpop_command,
     .docs = {.since = "7.0.0",
              .summary = "Remove members from the first of several sorted sets that has some, or "
                         "wait for some",
              .complexity = "O(K) + O(M*log(N)) where K is the number of keys, N the size of the "
                            "sorted set and M the count",
              .arguments = "timeout:double numkeys:integer key... where(MIN|MAX) [COUNT "
                           "count:integer]",
              .key_spec = "RW access delete"}},
};

}  // namespace

std::span<const Command> sorted_set_pop_commands() { return kPopCommands; }

}  // namespace even
