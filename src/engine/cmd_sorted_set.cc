// Sorted sets: their members one by one. A member is a scalar whose register is a score; what
// ZINCRBY adds to it are counter entries, so that concurrent increments add up.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "engine/cmd_scan.h"
#include "engine/command.h"
#include "engine/sample.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::string_view kNotNumber = "ERR resulting score is not a number (NaN)";
constexpr std::size_t kMostCompactMembers = 128;  // zset-max-listpack-entries
constexpr auto kLive = [](const HashView::Entry& entry) { return entry.scalar.live(); };

struct AddOptions {
  bool only_new = false;      // NX
  bool only_present = false;  // XX
  bool greater = false;       // GT
  bool less = false;          // LT
  bool count_changed = false;
  bool increment = false;

  // False: it is not one of them.
  bool take(std::string_view word) {
    const std::pair<std::string_view, bool*> all[] = {{"nx", &only_new},      {"xx", &only_present},
                                                      {"gt", &greater},       {"lt", &less},
                                                      {"ch", &count_changed}, {"incr", &increment}};
    for (const auto& [name, option] : all) {
      if (equals_ignore_case(word, name)) return *option = true;
    }
    return false;
  }
};

enum class Added : std::uint8_t { kNothing, kNew, kChanged, kSame, kNotNumber };

// What ZADD and ZINCRBY do to the members of one key.
class Adder {
 public:
  Adder(Context& context, std::string_view key, const SortedSet& set, const AddOptions& options)
      : context_(context), key_(key), set_(set), options_(options), shared_(context.shared(key)) {}

  // `score`: given, and the member's from then on, where there is one.
  Added add(std::string_view member, double& score) {
    const std::optional<double> now =
        writer_ != nullptr ? writer_->score(member) : set_.score(member, context_.hash_of(member));
    if (!now) {
      if (options_.only_present) return Added::kNothing;
      write(member, score);
      return Added::kNew;
    }
    if (options_.only_new) return Added::kNothing;
    if (options_.increment) score += *now;
    if (std::isnan(score)) return Added::kNotNumber;
    if ((options_.less && score >= *now) || (options_.greater && score <= *now)) {
      return Added::kNothing;
    }
    // Where nobody else can remove the member, what changes nothing is left out.
    if (score != *now) {
      write(member, score);
      return Added::kChanged;
    }
    if (shared_) write(member, *now);
    return Added::kSame;
  }

 private:
  void write(std::string_view member, double score) {
    if (writer_ == nullptr) writer_ = &context_.write(key_);
    if (options_.increment && shared_) {
      writer_->increment_score_to(member, score);
    } else {
      writer_->set_score(member, score);
    }
  }

  Context& context_;
  const std::string_view key_;
  const SortedSet& set_;
  const AddOptions& options_;
  const bool shared_;
  KeyWriter* writer_ = nullptr;
};

// The one member of ZINCRBY, and of ZADD with INCR.
void increment_one(Context& context, std::string_view key, const AddOptions& options,
                   std::string_view member, double by) {
  SortedSet set;
  if (!find_sorted_set(context, key, set)) return;
  switch (Adder(context, key, set, options).add(member, by)) {
    case Added::kNotNumber:
      return context.reply.error(kNotNumber);
    case Added::kNothing:
      return context.reply.null();
    case Added::kNew:
    case Added::kChanged:
    case Added::kSame:
      return context.reply.real(by);
  }
}

void zadd_command(Context& context, Args args) {
  AddOptions options;
  std::size_t first = 2;
  while (first < args.size() && options.take(args[first])) ++first;
  const Args pairs = args.subspan(first);
  if (pairs.empty() || pairs.size() % 2 != 0) return context.reply.error(kSyntaxError);
  if (options.only_new && options.only_present) {
    return context.reply.error("ERR XX and NX options at the same time are not compatible");
  }
  if ((options.greater && options.only_new) || (options.less && options.only_new) ||
      (options.greater && options.less)) {
    return context.reply.error("ERR GT, LT, and/or NX options at the same time are not compatible");
  }
  if (options.increment && pairs.size() > 2) {
    return context.reply.error("ERR INCR option supports a single increment-element pair");
  }
  std::vector<double> scores(pairs.size() / 2);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!read_score(context, pairs[2 * i], scores[i], kNotFloat)) return;
  }
  if (options.increment) return increment_one(context, args[1], options, pairs[1], scores[0]);
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  Adder adder(context, args[1], set, options);
  std::int64_t added = 0;
  std::int64_t changed = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const Added outcome = adder.add(pairs[2 * i + 1], scores[i]);
    added += outcome == Added::kNew;
    changed += outcome == Added::kChanged;
  }
  context.reply.integer(options.count_changed ? added + changed : added);
}

void zincrby_command(Context& context, Args args) {
  double by;
  if (!read_score(context, args[2], by, kNotFloat)) return;
  AddOptions options;
  options.increment = true;
  increment_one(context, args[1], options, args[3], by);
}

void zrem_command(Context& context, Args args) {
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  std::size_t removed = 0;
  for (std::string_view member : args.subspan(2)) {
    if (set.score(member)) removed += context.write(args[1]).remove_score(member);
  }
  if (removed > 0 && removed == set.size) context.write(args[1]).persist();
  context.reply.integer(static_cast<std::int64_t>(removed));
}

void reply_score(Context& context, const std::optional<double>& score) {
  score ? context.reply.real(*score) : context.reply.null();
}

void zscore_command(Context& context, Args args) {
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  reply_score(context, set.score(args[2], context.hash_of(args[2])));
}

void zmscore_command(Context& context, Args args) {
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  context.reply.array(args.size() - 2);
  for (std::string_view member : args.subspan(2)) reply_score(context, set.score(member));
}

void zcard_command(Context& context, Args args) {
  SortedSet set;
  if (find_sorted_set(context, args[1], set)) {
    context.reply.integer(static_cast<std::int64_t>(set.size));
  }
}

template <bool kFromHighest>
void rank_command(Context& context, Args args) {
  const bool with_score = args.size() > 3;
  // In the words of Redis 7.0, which has no option here.
  if (args.size() > 4 || (with_score && !equals_ignore_case(args[3], "withscore"))) {
    return context.reply.error(wrong_arity(kFromHighest ? "zrevrank" : "zrank"));
  }
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  const std::optional<double> score = set.score(args[2], context.hash_of(args[2]));
  if (!score) return with_score ? context.reply.null_array() : context.reply.null();
  const std::size_t rank = ScoreOrder(set).count_while([&](double other, std::string_view name) {
    return other < *score || (other == *score && name < args[2]);
  });
  if (with_score) context.reply.array(2);
  context.reply.integer(static_cast<std::int64_t>(kFromHighest ? set.size - 1 - rank : rank));
  if (with_score) context.reply.real(*score);
}

void zrandmember_command(Context& context, Args args) {
  std::int64_t count = 0;
  bool with_scores = false;
  if (args.size() > 2) {
    if (!read_sample_count(context, args[2], count)) return;
    with_scores = args.size() == 4 && equals_ignore_case(args[3], "withscores");
    if (args.size() > 3 && !with_scores) return context.reply.error(kSyntaxError);
    if (with_scores && count > std::numeric_limits<std::int64_t>::max() / 2) {
      return context.reply.error("ERR value is out of range");
    }
  }
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  const auto reply_sampled = [&](const HashView::Entry& entry) {
    reply_member(context.reply, {entry.name, with_scores ? score_of(entry.scalar) : 0},
                 with_scores);
  };
  if (args.size() == 2) {
    if (set.size == 0) return context.reply.null();
    return sample_repeated(set.members, set.size, 1, context.random, kLive, reply_sampled);
  }
  if (set.size == 0 || count == 0) return context.reply.array(0);
  const std::size_t choices = count < 0 ? static_cast<std::size_t>(-count)
                                        : std::min(static_cast<std::size_t>(count), set.size);
  begin_members(context.reply, choices, with_scores);
  if (count < 0) {
    return sample_repeated(set.members, set.size, choices, context.random, kLive, reply_sampled);
  }
  for (const HashView::Entry& entry :
       sample_distinct(set.members, set.size, choices, context.random, kLive)) {
    reply_sampled(entry);
  }
}

// Redis shows whole numbers without an exponent here where they are in its compact form.
std::string scanned_score(double score, bool compact) {
  constexpr double kMost = 0x1p62;
  const bool whole = compact && score >= -kMost && score <= kMost && score == std::trunc(score);
  return whole ? std::to_string(static_cast<std::int64_t>(score)) : score_text(score);
}

void zscan_command(Context& context, Args args) {
  ScanOptions options;
  options.names_only_option = "noscores";
  if (!read_cursor(context, args[2], options.cursor)) return;
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  if (set.size == 0) return reply_scan(context, 0, {});
  if (!read_scan_options(context, args, 3, false, options)) return;
  const bool compact = scan_compact_whole(
      set.members, kMostCompactMembers,
      [](const HashView::Entry& entry) {
        return !entry.scalar.live() || entry.name.size() <= kMaxCompactFieldBytes;
      },
      options);
  std::vector<std::string_view> found;
  const std::uint64_t next = scan_elements(set.members, options, [&](const HashView::Entry& entry) {
    if (!entry.scalar.live() || !options.matches(entry.name)) return;
    found.push_back(entry.name);
    if (options.names_only) return;
    found.push_back(context.keep(scanned_score(score_of(entry.scalar), compact)));
  });
  reply_scan(context, next, found);
}

constexpr Command kSortedSetCommands[] = {
    {.name = "zadd",
     .group = "sorted-set",
     .arity = -4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = zadd_command,
     .elements = Elements::kBehindScores,
     .docs = {.since = "1.2.0",
              .summary = "Add members to a sorted set, or change their scores",
              .complexity =
                  "O(log(N)) for each member given, where N is the size of the sorted set",
              .arguments = "key [condition(NX|XX)] [comparison(GT|LT)] [CH change:pure-token] "
                           "[INCR increment:pure-token] score_member(score:double member)...",
              .key_spec = "RW update"}},
    {.name = "zincrby",
     .group = "sorted-set",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = zincrby_command,
     .elements = Elements::kBehindScores,
     .docs = {.since = "1.2.0",
              .summary = "Add to the score of a member of a sorted set",
              .complexity = "O(log(N)) where N is the size of the sorted set",
              .arguments = "key increment:integer member",
              .key_spec = "RW access update"}},
    {.name = "zrem",
     .group = "sorted-set",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = zrem_command,
     .elements = Elements::kEach,
     .docs = {.since = "1.2.0",
              .summary = "Remove members from a sorted set",
              .complexity =
                  "O(log(N)) for each member given, where N is the size of the sorted set",
              .arguments = "key member...",
              .key_spec = "RW delete"}},
    {.name = "zscore",
     .group = "sorted-set",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = zscore_command,
     .elements = Elements::kEach,
     .docs = {.since = "1.2.0",
              .summary = "Score of a member of a sorted set",
              .complexity = "O(1)",
              .arguments = "key member",
              .key_spec = "RO access"}},
    {.name = "zmscore",
     .group = "sorted-set",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = zmscore_command,
     .elements = Elements::kEach,
     .docs = {.since = "6.2.0",
              .summary = "Scores of several members of a sorted set",
              .complexity = "O(N) where N is the number of members given",
              .arguments = "key member...",
              .key_spec = "RO access"}},
    {.name = "zcard",
     .group = "sorted-set",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = zcard_command,
     .docs = {.since = "1.2.0",
              .summary = "Number of members of a sorted set",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO"}},
    {.name = "zrank",
     .group = "sorted-set",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = rank_command<false>,
     .docs = {.since = "2.0.0",
              .summary = "How many members of a sorted set are before one",
              .complexity = "O(log(N)) where N is the size of the sorted set",
              .arguments = "key member [WITHSCORE]",
              .key_spec = "RO access"}},
    {.name = "zrevrank",
     .group = "sorted-set",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = rank_command<true>,
     .docs = {.since = "2.0.0",
              .summary = "How many members of a sorted set are behind one",
              .complexity = "O(log(N)) where N is the size of the sorted set",
              .arguments = "key member [WITHSCORE]",
              .key_spec = "RO access"}},
    {.name = "zrandmember",
     .group = "sorted-set",
     .arity = -2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = zrandmember_command,
     .docs = {.since = "6.2.0",
              .summary = "Members of a sorted set chosen at random",
              .complexity = "O(N) where N is the absolute value of the count",
              .arguments = "key [options(count:integer [WITHSCORES])]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "zscan",
     .group = "sorted-set",
     .arity = -3,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = zscan_command,
     .docs = {.since = "2.8.0",
              .summary = "Walk over the members of a sorted set in steps",
              .complexity =
                  "O(1) for each call, O(N) for all of a scan, where N is the number of elements",
              .arguments = "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer] "
                           "[NOSCORES]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
};

}  // namespace

std::span<const Command> sorted_set_commands() { return kSortedSetCommands; }

}  // namespace even
