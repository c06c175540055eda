// Sorted sets: ranges of members by rank, by score and by name. All are a range of ranks in the
// end.
#include <algorithm>
#include <limits>
#include <optional>

#include "engine/command.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {
namespace {

enum class By : std::uint8_t { kRank, kScore, kLex };

// What ZRANGE and its relatives are asked for.
struct Query {
  By by = By::kRank;
  bool downwards = false;
  bool with_scores = false;
  std::int64_t offset = 0;
  std::int64_t limit = -1;  // negative: none

  // Of By; as they are written.
  std::int64_t start = 0;
  std::int64_t stop = 0;
  ScoreRange scores;
  LexRange names;
};

// Which of a command's words are fixed: those of a command that does not say, its options may tell.
struct Given {
  std::optional<By> by;
  std::optional<bool> downwards;
  bool stores = false;
};

// Reads "min max [options]". Replies an error and returns nothing when it is none.
std::optional<Query> read_query(Context& context, Args args, const Given& given) {
  Query query;
  query.by = given.by.value_or(By::kRank);
  query.downwards = given.downwards.value_or(false);
  bool said_rev = given.downwards.has_value(), said_by = given.by.has_value();
  for (std::size_t i = 2; i < args.size(); ++i) {
    if (!given.stores && equals_ignore_case(args[i], "withscores")) {
      query.with_scores = true;
    } else if (equals_ignore_case(args[i], "limit") && i + 2 < args.size()) {
      if (!read_integer(context, args[i + 1], query.offset)) return std::nullopt;
      if (!read_integer(context, args[i + 2], query.limit)) return std::nullopt;
      i += 2;
    } else if (!said_rev && equals_ignore_case(args[i], "rev")) {
      query.downwards = said_rev = true;
    } else if (!said_by && equals_ignore_case(args[i], "bylex")) {
      query.by = By::kLex;
      said_by = true;
    } else if (!said_by && equals_ignore_case(args[i], "byscore")) {
      query.by = By::kScore;
      said_by = true;
    } else {
      context.reply.error(kSyntaxError);
      return std::nullopt;
    }
  }
  if (query.limit != -1 && query.by == By::kRank) {
    context.reply.error(
        "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    return std::nullopt;
  }
  if (query.with_scores && query.by == By::kLex) {
    context.reply.error("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    return std::nullopt;
  }
  const std::string_view min = args[query.downwards ? 1 : 0];
  const std::string_view max = args[query.downwards ? 0 : 1];
  switch (query.by) {
    case By::kRank:
      if (!read_integer(context, args[0], query.start)) return std::nullopt;
      if (!read_integer(context, args[1], query.stop)) return std::nullopt;
      break;
    case By::kScore:
      if (const auto scores = parse_score_range(min, max)) {
        query.scores = *scores;
        break;
      }
      context.reply.error(kNotScoreRange);
      return std::nullopt;
    case By::kLex:
      if (const auto names = parse_lex_range(min, max)) {
        query.names = *names;
        break;
      }
      context.reply.error(kNotLexRange);
      return std::nullopt;
  }
  return query;
}

// The ranks that a query asks for, in ascending order.
RankRange ranks_of(const Query& query, const ScoreOrder& order, std::size_t size) {
  RankRange range;
  switch (query.by) {
    case By::kRank:
      range = rank_range(query.start, query.stop, size);
      if (query.downwards) range.first = size - range.first - range.count;
      return range;
    case By::kScore:
      range = query.scores.in(order);
      break;
    case By::kLex:
      range = query.names.in(order);
      break;
  }
  if (query.offset < 0 || static_cast<std::uint64_t>(query.offset) >= range.count) return {};
  const auto offset = static_cast<std::size_t>(query.offset);
  std::size_t count = range.count - offset;
  if (query.limit >= 0) count = std::min(count, static_cast<std::size_t>(query.limit));
  return {query.downwards ? range.first + range.count - offset - count : range.first + offset,
          count};
}

void reply_range(Context& context, Args args, const Given& given) {
  const std::optional<Query> query = read_query(context, args.subspan(2), given);
  if (!query) return;
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  if (set.size == 0) return context.reply.array(0);
  const ScoreOrder order(set);
  const auto [first, count] = ranks_of(*query, order, set.size);
  begin_members(context.reply, count, query->with_scores);
  if (count == 0) return;
  order.visit(query->downwards ? first + count - 1 : first, count, query->downwards,
              [&](std::string_view name, double score) {
                reply_member(context.reply, {name, score}, query->with_scores);
              });
}

template <By kBy, bool kDownwards>
void range_command(Context& context, Args args) {
  reply_range(context, args, {.by = kBy, .downwards = kDownwards});
}

void zrange_command(Context& context, Args args) { reply_range(context, args, {}); }

void zrangestore_command(Context& context, Args args) {
  const std::optional<Query> query = read_query(context, args.subspan(3), {.stores = true});
  if (!query) return;
  SortedSet set;
  if (!find_sorted_set(context, args[2], set)) return;
  std::vector<ScoredMember> members;
  if (set.size > 0) {
    const ScoreOrder order(set);
    const auto [first, count] = ranks_of(*query, order, set.size);
    members.reserve(count);
    order.visit(first, count, false, [&members](std::string_view name, double score) {
      members.push_back({name, score});
    });
  }
  store_members(context, args[1], members, args[1] == args[2]);
}

// Ranges without options.
std::optional<RankRange> plain_range(Context& context, By by, std::string_view min,
                                     std::string_view max, std::string_view key, SortedSet& set) {
  const std::string_view words[] = {min, max};
  const std::optional<Query> read = read_query(context, words, {.by = by});
  if (!read || !find_sorted_set(context, key, set)) return std::nullopt;
  if (set.size == 0) return RankRange();
  return ranks_of(*read, ScoreOrder(set), set.size);
}

template <By kBy>
void count_command(Context& context, Args args) {
  SortedSet set;
  const auto range = plain_range(context, kBy, args[2], args[3], args[1], set);
  if (range) context.reply.integer(static_cast<std::int64_t>(range->count));
}

template <By kBy>
void remove_command(Context& context, Args args) {
  SortedSet set;
  const auto range = plain_range(context, kBy, args[2], args[3], args[1], set);
  if (!range) return;
  if (range->count > 0) remove_members(context, args[1], set, ScoreOrder(set), *range);
  context.reply.integer(static_cast<std::int64_t>(range->count));
}

constexpr std::string_view kComplexity =
    "O(log(N)+M) where N is the size of the sorted set and M the number of members returned";
constexpr std::string_view kRemovalComplexity =
    "O(log(N)*M) where N is the size of the sorted set and M the number of members removed";
constexpr std::string_view kCountComplexity = "O(log(N)) where N is the size of the sorted set";

constexpr Command row(std::string_view name, int arity, std::uint32_t flags, Handler handler,
                      std::string_view since, std::string_view summary, std::string_view complexity,
                      std::string_view arguments, std::string_view key_spec) {
  return {.name = name,
          .group = "sorted-set",
          .arity = arity,
          .flags = flags,
          .keys = kFirstWord,
          .handler = handler,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = complexity,
                   .arguments = arguments,
                   .key_spec = key_spec}};
}

constexpr Command kRangeCommands[] = {
    row("zcount", 4, kReadonly | kFast, count_command<By::kScore>, "2.0.0",
        "Number of members of a sorted set with scores in a range", kCountComplexity,
        "key min:double max:double", "RO access"),
    row("zlexcount", 4, kReadonly | kFast, count_command<By::kLex>, "2.8.9",
        "Number of members of a sorted set with names in a range", kCountComplexity, "key min max",
        "RO access"),
    row("zrange", -4, kReadonly, zrange_command, "1.2.0",
        "Members of a sorted set in a range of ranks, scores or names", kComplexity,
        "key start stop [sortby(BYSCORE|BYLEX)] [REV] [LIMIT offset_count(offset:integer "
        "count:integer)] [WITHSCORES]",
        "RO access"),
    row("zrevrange", -4, kReadonly, range_command<By::kRank, true>, "1.2.0",
        "Members of a sorted set in a range of ranks, from the highest score down", kComplexity,
        "key start:integer stop:integer [WITHSCORES]", "RO access"),
    row("zrangebyscore", -4, kReadonly, range_command<By::kScore, false>, "1.0.5",
        "Members of a sorted set with scores in a range", kComplexity,
        "key min:double max:double [WITHSCORES] [LIMIT offset_count(offset:integer "
        "count:integer)]",
        "RO access"),
    row("zrevrangebyscore", -4, kReadonly, range_command<By::kScore, true>, "2.2.0",
        "Members of a sorted set with scores in a range, from the highest score down", kComplexity,
        "key max:double min:double [WITHSCORES] [LIMIT offset_count(offset:integer "
        "count:integer)]",
        "RO access"),
    row("zrangebylex", -4, kReadonly, range_command<By::kLex, false>, "2.8.9",
        "Members of a sorted set with names in a range", kComplexity,
        "key min max [LIMIT offset_count(offset:integer count:integer)]", "RO access"),
    row("zrevrangebylex", -4, kReadonly, range_command<By::kLex, true>, "2.8.9",
        "Members of a sorted set with names in a range, from the last down", kComplexity,
        "key max min [LIMIT offset_count(offset:integer count:integer)]", "RO access"),
    row("zremrangebyrank", 4, kWrite, remove_command<By::kRank>, "2.0.0",
        "Remove members of a sorted set in a range of ranks", kRemovalComplexity,
        "key start:integer stop:integer", "RW delete"),
    row("zremrangebyscore", 4, kWrite, remove_command<By::kScore>, "1.2.0",
        "Remove members of a sorted set with scores in a range", kRemovalComplexity,
        "key min:double max:double", "RW delete"),
    row("zremrangebylex", 4, kWrite, remove_command<By::kLex>, "2.8.9",
        "Remove members of a sorted set with names in a range", kRemovalComplexity, "key min max",
        "RW delete"),
    {.name = "zrangestore",
     .group = "sorted-set",
     .arity = -5,
     .flags = kWrite | kDenyOom,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = zrangestore_command,
     .docs = {.since = "6.2.0",
              .summary = "Store members of a sorted set in a range as another sorted set",
              .complexity = kRemovalComplexity,
              .arguments = "dst:key src:key min max [sortby(BYSCORE|BYLEX)] [REV] [LIMIT "
                           "offset_count(offset:integer count:integer)]",
              .key_spec = "OW update; RO access"}},
};

}  // namespace

std::span<const Command> sorted_set_range_commands() { return kRangeCommands; }

}  // namespace even
