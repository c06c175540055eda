// Union, intersection and difference of sorted sets, and of sets, whose members count as of
// score 1.
#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "engine/command.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {
namespace {

enum class Operation : std::uint8_t { kUnion, kIntersection, kDifference };
enum class Aggregate : std::uint8_t { kSum, kLeast, kGreatest };

struct Input {
  SortedSet sorted;
  SetView set;
  double weight = 1;

  std::size_t size() const { return sorted.size + set.size(); }
  std::optional<double> score(std::string_view member) const {
    if (sorted.size > 0) return sorted.score(member);
    return set.contains(member) ? std::optional(1.0) : std::nullopt;
  }
  // 0 times infinity is 0.
  double weighted(double score) const {
    const double product = weight * score;
    return std::isnan(product) ? 0 : product;
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    if (sorted.size > 0) return sorted.for_each(visit);
    set.for_each([&visit](std::string_view member) { visit(member, 1.0); });
  }
};

struct Request {
  Operation operation;
  std::vector<Input> inputs;
  Aggregate aggregate = Aggregate::kSum;
  bool with_scores = false;
  std::size_t limit = 0;  // of ZINTERCARD; 0: none
  bool reads_destination = false;
};

// Which options there are beside those of the operation.
enum class Form : std::uint8_t { kReply, kStore, kCount };

double together(double a, double b, Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::kSum:
      return std::isnan(a + b) ? 0 : a + b;  // of infinities with different signs
    case Aggregate::kLeast:
      return std::min(a, b);
    case Aggregate::kGreatest:
      return std::max(a, b);
  }
  return a;
}

bool find_input(Context& context, std::string_view key, Input& out) {
  const Object* object = context.find(key);
  if (object == nullptr) return true;
  if (object->type() == ObjectType::kSortedSet) {
    out.sorted = {object->sorted_set(), object->sorted_set().live()};
  } else if (object->type() == ObjectType::kSet) {
    out.set = object->set();
  } else {
    context.reply.error(kWrongType);
    return false;
  }
  return true;
}

// Reads the options behind the keys. False, after an error, when they are none.
bool read_options(Context& context, Args args, Form form, Request& request) {
  const bool with_numbers = request.operation != Operation::kDifference && form != Form::kCount;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::size_t behind = args.size() - i - 1;
    if (with_numbers && behind >= request.inputs.size() && equals_ignore_case(args[i], "weights")) {
      for (Input& input : request.inputs) {
        if (!read_score(context, args[++i], input.weight, "ERR weight value is not a float")) {
          return false;
        }
      }
    } else if (with_numbers && behind >= 1 && equals_ignore_case(args[i], "aggregate")) {
      const std::string_view name = args[++i];
      if (equals_ignore_case(name, "sum")) {
        request.aggregate = Aggregate::kSum;
      } else if (equals_ignore_case(name, "min")) {
        request.aggregate = Aggregate::kLeast;
      } else if (equals_ignore_case(name, "max")) {
        request.aggregate = Aggregate::kGreatest;
      } else {
        context.reply.error(kSyntaxError);
        return false;
      }
    } else if (form == Form::kReply && equals_ignore_case(args[i], "withscores")) {
      request.with_scores = true;
    } else if (form == Form::kCount && behind >= 1 && equals_ignore_case(args[i], "limit")) {
      constexpr std::string_view kNegative = "ERR LIMIT can't be negative";
      std::int64_t limit;
      if (!read_integer(context, args[++i], limit, kNegative)) return false;
      if (limit < 0) {
        context.reply.error(kNegative);
        return false;
      }
      request.limit = static_cast<std::size_t>(limit);
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  return true;
}

// Reads "numkeys key... [options]" from word `first` on. False, after an error, when it is not
// that.
bool read_request(Context& context, Args args, std::size_t first, Form form, Request& request) {
  std::int64_t keys;
  if (!read_integer(context, args[first], keys)) return false;
  if (keys < 1) {
    std::string name(args[0]);
    std::ranges::transform(name, name.begin(), to_lower);
    context.reply.error(fmt::format("ERR at least 1 input key is needed for '{}' command", name));
    return false;
  }
  const Args behind = args.subspan(first + 1);
  if (static_cast<std::uint64_t>(keys) > behind.size()) {
    context.reply.error(kSyntaxError);
    return false;
  }
  const auto number = static_cast<std::size_t>(keys);
  request.inputs.resize(number);
  for (std::size_t i = 0; i < number; ++i) {
    if (!find_input(context, behind[i], request.inputs[i])) return false;
    request.reads_destination = request.reads_destination || behind[i] == args[1];
  }
  return read_options(context, behind.subspan(number), form, request);
}

// As Redis adds up: from the smallest on, which decides how sums are rounded.
void sort_by_size(std::vector<Input>& inputs) {
  std::ranges::stable_sort(inputs, {}, &Input::size);
}

std::vector<ScoredMember> union_of(Request& request) {
  sort_by_size(request.inputs);
  std::vector<ScoredMember> out;
  absl::flat_hash_map<std::string_view, std::size_t> places;
  for (const Input& input : request.inputs) {
    input.for_each([&](std::string_view member, double score) {
      const auto [at, is_new] = places.try_emplace(member, out.size());
      if (is_new) return out.push_back({member, input.weighted(score)});
      double& sum = out[at->second].score;
      sum = together(sum, input.weighted(score), request.aggregate);
    });
  }
  return out;
}

std::vector<ScoredMember> intersection_of(Request& request) {
  sort_by_size(request.inputs);
  std::vector<ScoredMember> out;
  const Input& smallest = request.inputs.front();
  if (smallest.size() == 0) return out;
  smallest.for_each([&](std::string_view member, double score) {
    if (request.limit > 0 && out.size() == request.limit) return;
    double sum = smallest.weighted(score);
    for (std::size_t i = 1; i < request.inputs.size(); ++i) {
      const Input& other = request.inputs[i];
      const std::optional<double> theirs = other.score(member);
      if (!theirs) return;
      // As in Redis, 0 times infinity is no number here, and makes the sum 0.
      sum = together(sum, other.weight * *theirs, request.aggregate);
    }
    out.push_back({member, sum});
  });
  return out;
}

std::vector<ScoredMember> difference_of(const Request& request) {
  std::vector<ScoredMember> out;
  request.inputs.front().for_each([&](std::string_view member, double score) {
    for (std::size_t i = 1; i < request.inputs.size(); ++i) {
      if (request.inputs[i].score(member)) return;
    }
    out.push_back({member, score});
  });
  return out;
}

std::vector<ScoredMember> outcome_of(Request& request) {
  switch (request.operation) {
    case Operation::kUnion:
      return union_of(request);
    case Operation::kIntersection:
      return intersection_of(request);
    case Operation::kDifference:
      return difference_of(request);
  }
  return {};
}

template <Operation kOperation>
void reply_command(Context& context, Args args) {
  Request request{.operation = kOperation, .inputs = {}};
  if (!read_request(context, args, 1, Form::kReply, request)) return;
  std::vector<ScoredMember> members = outcome_of(request);
  sort_by_score(members);
  begin_members(context.reply, members.size(), request.with_scores);
  for (const ScoredMember& member : members) {
    reply_member(context.reply, member, request.with_scores);
  }
}

template <Operation kOperation>
void store_command(Context& context, Args args) {
  Request request{.operation = kOperation, .inputs = {}};
  if (!read_request(context, args, 2, Form::kStore, request)) return;
  const std::vector<ScoredMember> members = outcome_of(request);
  store_members(context, args[1], members, request.reads_destination);
}

void zintercard_command(Context& context, Args args) {
  Request request{.operation = Operation::kIntersection, .inputs = {}};
  if (!read_request(context, args, 1, Form::kCount, request)) return;
  context.reply.integer(static_cast<std::int64_t>(outcome_of(request).size()));
}

constexpr std::string_view kUnionComplexity =
    "O(N)+O(M*log(M)) where N is the sum of the sizes of the sorted sets and M the size of the "
    "result";
constexpr std::string_view kIntersectionComplexity =
    "O(N*K)+O(M*log(M)) where N is the size of the smallest sorted set, K the number of sorted "
    "sets "
    "and M the size of the result";
constexpr std::string_view kDifferenceComplexity =
    "O(N*K)+O(M*log(M)) where N is the size of the first sorted set, K the number of sorted sets "
    "and M the size of the result";
constexpr std::string_view kReplyArguments =
    "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM|MIN|MAX)] "
    "[WITHSCORES]";
constexpr std::string_view kStoreArguments =
    "destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE "
    "aggregate(SUM|MIN|MAX)]";

constexpr Command reading_row(std::string_view name, Handler handler, std::string_view since,
                              std::string_view summary, std::string_view complexity,
                              std::string_view arguments) {
  return {.name = name,
          .group = "sorted-set",
          .arity = -3,
          .flags = kReadonly | kMovableKeys,
          .keys = {.count = 1},
          .handler = handler,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = complexity,
                   .arguments = arguments,
                   .key_spec = "RO access"}};
}

constexpr Command storing_row(std::string_view name, Handler handler, std::string_view since,
                              std::string_view summary, std::string_view complexity,
                              std::string_view arguments) {
  return {.name = name,
          .group = "sorted-set",
          .arity = -4,
          .flags = kWrite | kDenyOom | kMovableKeys,
          .keys = {.first = 1, .last = 1, .step = 1, .count = 2},
          .handler = handler,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = complexity,
                   .arguments = arguments,
                   .key_spec = "OW update; RO access"}};
}

constexpr Command kAlgebraCommands[] = {
    reading_row("zunion", reply_command<Operation::kUnion>, "6.2.0", "Union of sorted sets",
                kUnionComplexity, kReplyArguments),
    reading_row("zinter", reply_command<Operation::kIntersection>, "6.2.0",
                "Intersection of sorted sets", kIntersectionComplexity, kReplyArguments),
    reading_row("zdiff", reply_command<Operation::kDifference>, "6.2.0",
                "Members of the first of several sorted sets that are in none of the others",
                kDifferenceComplexity, "numkeys:integer key... [WITHSCORES]"),
    reading_row("zintercard", zintercard_command, "7.0.0",
                "Number of members of an intersection of sorted sets", kIntersectionComplexity,
                "numkeys:integer key... [LIMIT limit:integer]"),
    storing_row("zunionstore", store_command<Operation::kUnion>, "2.0.0",
                "Store the union of sorted sets", kUnionComplexity, kStoreArguments),
    storing_row("zinterstore", store_command<Operation::kIntersection>, "2.0.0",
                "Store the intersection of sorted sets", kIntersectionComplexity, kStoreArguments),
    storing_row("zdiffstore", store_command<Operation::kDifference>, "6.2.0",
                "Store the difference of sorted sets", kDifferenceComplexity,
                "destination:key numkeys:integer key..."),
};

}  // namespace

std::span<const Command> sorted_set_algebra_commands() { return kAlgebraCommands; }

}  // namespace even
