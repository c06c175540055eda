// Union, intersection and difference of sets, and a member's move from one set to another.
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

// Members view the sets that they are of.
using Members = std::vector<std::string_view>;
using Sets = std::vector<SetView>;

// False, after WRONGTYPE, when a key holds something else. A key that is absent is an empty set.
bool find_sets(Context& context, Args keys, Sets& out) {
  for (std::string_view key : keys) {
    const Object* object;
    if (!context.find(key, ObjectType::kSet, object)) return false;
    out.push_back(object == nullptr ? SetView() : object->set());
  }
  return true;
}

// Calls visit(member) for each member of all sets, until there have been `most`.
template <typename Visit>
void for_each_common(Sets& sets, std::size_t most, Visit visit) {
  std::ranges::stable_sort(sets, {}, &SetView::size);
  std::size_t found = 0;
  sets.front().for_each([&](std::string_view member) {
    const std::uint64_t hash = hash64(member);
    for (std::size_t i = 1; i < sets.size(); ++i) {
      if (!sets[i].contains(member, hash)) return true;
    }
    visit(member);
    return ++found < most;
  });
}

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

Members common_members(Sets& sets) {
  Members out;
  for_each_common(sets, kUnlimited, [&out](std::string_view member) { out.push_back(member); });
  return out;
}

Members members_of_any(Sets& sets) {
  Members out;
  absl::flat_hash_set<std::string_view> seen;
  for (const SetView& set : sets) {
    set.for_each([&](std::string_view member) {
      if (sets.size() == 1 || seen.insert(member).second) out.push_back(member);
    });
  }
  return out;
}

Members members_of_first_alone(Sets& sets) {
  Members out;
  sets.front().for_each([&](std::string_view member) {
    const std::uint64_t hash = hash64(member);
    const auto others = std::span(sets).subspan(1);
    const bool elsewhere = std::ranges::any_of(
        others, [&](const SetView& other) { return other.contains(member, hash); });
    if (!elsewhere) out.push_back(member);
  });
  return out;
}

template <Members (*kOutcome)(Sets&)>
void set_outcome_command(Context& context, Args args) {
  Sets sets;
  if (!find_sets(context, args.subspan(1), sets)) return;
  const Members members = kOutcome(sets);
  context.reply.set(members.size());
  for (std::string_view member : members) context.reply.bulk(member);
}

// Puts these in the place of all that the key holds, of which `copy` says that they may be part.
void store_set(Context& context, std::string_view key, const Members& members, bool copy) {
  if (!members.empty() || context.find(key) != nullptr) {
    KeyWriter& writer = context.write(key);
    writer.remove();
    for (std::string_view member : members) {
      writer.add_member(copy ? context.keep(std::string(member)) : member);
    }
  }
  context.reply.integer(static_cast<std::int64_t>(members.size()));
}

template <Members (*kOutcome)(Sets&)>
void store_outcome_command(Context& context, Args args) {
  const Args keys = args.subspan(2);
  Sets sets;
  if (!find_sets(context, keys, sets)) return;
  store_set(context, args[1], kOutcome(sets),
            std::ranges::find(keys, args[1]) != std::ranges::end(keys));
}

void sintercard_command(Context& context, Args args) {
  constexpr std::string_view kNoKeys = "ERR numkeys should be greater than 0";
  constexpr std::string_view kNegativeLimit = "ERR LIMIT can't be negative";
  std::int64_t keys;
  if (!read_integer(context, args[1], keys, kNoKeys)) return;
  if (keys < 1) return context.reply.error(kNoKeys);
  const Args behind = args.subspan(2);
  if (static_cast<std::uint64_t>(keys) > behind.size()) {
    return context.reply.error("ERR Number of keys can't be greater than number of args");
  }
  const Args options = behind.subspan(static_cast<std::size_t>(keys));
  std::int64_t limit = 0;
  for (std::size_t i = 0; i < options.size(); i += 2) {
    if (i + 1 == options.size() || !equals_ignore_case(options[i], "limit")) {
      return context.reply.error(kSyntaxError);
    }
    if (!read_integer(context, options[i + 1], limit, kNegativeLimit)) return;
    if (limit < 0) return context.reply.error(kNegativeLimit);
  }
  Sets sets;
  if (!find_sets(context, behind.first(static_cast<std::size_t>(keys)), sets)) return;
  std::int64_t count = 0;
  for_each_common(sets, limit == 0 ? kUnlimited : static_cast<std::size_t>(limit),
                  [&count](std::string_view) { ++count; });
  context.reply.integer(count);
}

void smove_command(Context& context, Args args) {
  const std::string_view from = args[1];
  const std::string_view to = args[2];
  const std::string_view member = args[3];
  const Object* source;
  if (!context.find(from, ObjectType::kSet, source)) return;
  if (source == nullptr) return context.reply.integer(0);
  const SetView set = source->set();
  const Object* target;
  if (!context.find(to, ObjectType::kSet, target)) return;
  const bool is_member = set.contains(member);
  context.reply.integer(is_member);
  if (!is_member || from == to) return;
  context.write(to).add_member(member);
  KeyWriter& writer = context.write(from);
  writer.remove_member(member);
  if (set.size() == 1) writer.persist();
}

constexpr KeyPositions kAllFromFirst = {.first = 1, .last = -1, .step = 1};
constexpr std::string_view kOfSmallest =
    "O(N*K) where N is the size of the smallest set and K the number of sets";
constexpr std::string_view kOfAll = "O(N) where N is the sum of the sizes of the sets";
constexpr std::string_view kOfFirst =
    "O(N*K) where N is the size of the first set and K the number of sets";

constexpr Command kSetAlgebraCommands[] = {
    {.name = "sinter",
     .group = "set",
     .arity = -2,
     .flags = kReadonly,
     .keys = kAllFromFirst,
     .handler = set_outcome_command<common_members>,
     .docs = {.since = "1.0.0",
              .summary = "Intersection of sets",
              .complexity = kOfSmallest,
              .arguments = "key...",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "sintercard",
     .group = "set",
     .arity = -3,
     .flags = kReadonly | kMovableKeys,
     .keys = {.count = 1},
     .handler = sintercard_command,
     .docs = {.since = "7.0.0",
              .summary = "Number of members of an intersection of sets",
              .complexity = kOfSmallest,
              .arguments = "numkeys:integer key... [LIMIT limit:integer]",
              .key_spec = "RO access"}},
    {.name = "sinterstore",
     .group = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kAllFromFirst,
     .handler = store_outcome_command<common_members>,
     .docs = {.since = "1.0.0",
              .summary = "Store the intersection of sets",
              .complexity = kOfSmallest,
              .arguments = "destination:key key...",
              .key_spec = "RW update; RO access"}},
    {.name = "sunion",
     .group = "set",
     .arity = -2,
     .flags = kReadonly,
     .keys = kAllFromFirst,
     .handler = set_outcome_command<members_of_any>,
     .docs = {.since = "1.0.0",
              .summary = "Union of sets",
              .complexity = kOfAll,
              .arguments = "key...",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "sunionstore",
     .group = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kAllFromFirst,
     .handler = store_outcome_command<members_of_any>,
     .docs = {.since = "1.0.0",
              .summary = "Store the union of sets",
              .complexity = kOfAll,
              .arguments = "destination:key key...",
              .key_spec = "OW update; RO access"}},
    {.name = "sdiff",
     .group = "set",
     .arity = -2,
     .flags = kReadonly,
     .keys = kAllFromFirst,
     .handler = set_outcome_command<members_of_first_alone>,
     .docs = {.since = "1.0.0",
              .summary = "Members of the first of several sets that are in none of the others",
              .complexity = kOfFirst,
              .arguments = "key...",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "sdiffstore",
     .group = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kAllFromFirst,
     .handler = store_outcome_command<members_of_first_alone>,
     .docs = {.since = "1.0.0",
              .summary = "Store the difference of sets",
              .complexity = kOfFirst,
              .arguments = "destination:key key...",
              .key_spec = "OW update; RO access"}},
    {.name = "smove",
     .group = "set",
     .arity = 4,
     .flags = kWrite | kFast,
     .keys = {.first = 1, .last = 2, .step = 1},
     .handler = smove_command,
     .moves = true,
     .docs = {.since = "1.0.0",
              .summary = "Move a member from one set to another",
              .complexity = "O(1)",
              .arguments = "source:key destination:key member",
              .key_spec = "RW access delete; RW insert"}},
};

}  // namespace

std::span<const Command> set_algebra_commands() { return kSetAlgebraCommands; }

}  // namespace even
