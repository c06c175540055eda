// Sets. A member is present while it has a dot; adding gives it a fresh one even when it is there,
// so that a concurrent removal does not win. Where nobody else can remove it, that is left out.
#include <algorithm>
#include <vector>

#include "engine/cmd_scan.h"
#include "engine/command.h"
#include "engine/listing.h"
#include "engine/sample.h"
#include "engine/text.h"

namespace even {
namespace {

bool find_set(Context& context, std::string_view key, SetView& out) {
  const Object* object;
  if (!context.find(key, ObjectType::kSet, object)) return false;
  if (object != nullptr) out = object->set();
  return true;
}

constexpr auto kAny = [](const auto&) { return true; };

void sadd_command(Context& context, Args args) {
  SetView set;
  if (!find_set(context, args[1], set)) return;
  const bool shared = context.shared(args[1]);
  std::int64_t added = 0;
  for (std::string_view member : args.subspan(2)) {
    if (!shared && set.contains(member, context.hash_of(member))) continue;
    added += context.write(args[1]).add_member(member);
  }
  context.reply.integer(added);
}

void srem_command(Context& context, Args args) {
  SetView set;
  if (!find_set(context, args[1], set)) return;
  std::size_t removed = 0;
  for (std::string_view member : args.subspan(2)) {
    if (set.contains(member)) removed += context.write(args[1]).remove_member(member);
  }
  if (removed > 0 && removed == set.size()) context.write(args[1]).persist();
  context.reply.integer(static_cast<std::int64_t>(removed));
}

void sismember_command(Context& context, Args args) {
  SetView set;
  if (find_set(context, args[1], set)) context.reply.integer(set.contains(args[2]));
}

void smismember_command(Context& context, Args args) {
  SetView set;
  if (!find_set(context, args[1], set)) return;
  context.reply.array(args.size() - 2);
  for (std::string_view member : args.subspan(2)) context.reply.integer(set.contains(member));
}

void reply_members(Context& context, const SetView& set) {
  set.for_each([&](std::string_view member) { context.reply.bulk(member); });
}

void smembers_command(Context& context, Args args) {
  SetView set;
  if (!find_set(context, args[1], set)) return;
  begin_list(context.reply, Lists::kMembers, set.size());
  reply_members(context, set);
}

void scard_command(Context& context, Args args) {
  SetView set;
  if (!find_set(context, args[1], set)) return;
  context.reply.integer(static_cast<std::int64_t>(set.size()));
}

// `count` members for SPOP, of which the set has more or as many.
std::vector<SetView::Entry> draw(Context& context, const SetView& set, std::size_t count) {
  if (!context.keyspace().draws_by_content()) {
    return sample_distinct(set, set.size(), count, context.random, kAny);
  }
  std::vector<SetView::Entry> all;
  all.reserve(set.size());
  set.for_each([&all](std::string_view member) { all.push_back({member}); });
  std::ranges::sort(all, {}, &SetView::Entry::name);
  for (std::size_t i = 0; i < count && i + 1 < all.size(); ++i) {
    std::swap(all[i], all[i + context.random.below(all.size() - i)]);
  }
  all.resize(count);
  return all;
}

void spop_one(Context& context, std::string_view key) {
  SetView set;
  if (!find_set(context, key, set)) return;
  if (!set) return context.reply.null();
  const std::string_view member = context.keyspace().draws_by_content()
                                      ? draw(context, set, 1).front().name
                                      : set.random(context.random).name;
  context.reply.bulk(member);
  KeyWriter& writer = context.write(key);
  writer.remove_member(member);
  if (set.size() == 1) writer.persist();
}

void spop_command(Context& context, Args args) {
  if (args.size() == 2) return spop_one(context, args[1]);
  if (args.size() > 3) return context.reply.error(kSyntaxError);
  std::int64_t count;
  if (!read_integer(context, args[2], count, kNotPositive)) return;
  if (count < 0) return context.reply.error(kNotPositive);
  SetView set;
  if (!find_set(context, args[1], set)) return;
  if (!set || count == 0) return context.reply.set(0);
  KeyWriter& writer = context.write(args[1]);
  if (static_cast<std::uint64_t>(count) >= set.size()) {
    context.reply.set(set.size());
    for (const auto& [member] : draw(context, set, set.size())) context.reply.bulk(member);
    if (!writer.object()->in_type_conflict()) return writer.remove();
    set.for_each([&](std::string_view member) { writer.remove_member(member); });
    return writer.persist();
  }
  context.reply.set(static_cast<std::size_t>(count));
  for (const auto& [member] : draw(context, set, static_cast<std::size_t>(count))) {
    context.reply.bulk(member);
    writer.remove_member(member);
  }
}

void srandmember_command(Context& context, Args args) {
  if (args.size() > 3) return context.reply.error(kSyntaxError);
  std::int64_t count = 0;
  if (args.size() == 3 && !read_sample_count(context, args[2], count)) return;
  SetView set;
  if (!find_set(context, args[1], set)) return;
  if (args.size() == 2) {
    if (!set) return context.reply.null();
    return context.reply.bulk(set.random(context.random).name);
  }
  if (!set || count == 0) return context.reply.array(0);
  if (count < 0) {
    context.reply.array(static_cast<std::size_t>(-count));
    for (; count < 0; ++count) context.reply.bulk(set.random(context.random).name);
    return;
  }
  const std::size_t wanted = std::min(static_cast<std::size_t>(count), set.size());
  context.reply.array(wanted);
  for (const auto& sample : sample_distinct(set, set.size(), wanted, context.random, kAny)) {
    context.reply.bulk(sample.name);
  }
}

void sscan_command(Context& context, Args args) {
  ScanOptions options;
  if (!read_cursor(context, args[2], options.cursor)) return;
  SetView set;
  if (!find_set(context, args[1], set)) return;
  if (!set) return reply_scan(context, 0, {});
  if (!read_scan_options(context, args, 3, false, options)) return;
  scan_compact_whole(
      set, kMaxCompactIntegers,
      [](const SetView::Entry& entry) { return parse_integer(entry.name).has_value(); }, options);
  std::vector<std::string_view> found;
  const std::uint64_t next = scan_elements(set, options, [&](const SetView::Entry& entry) {
    if (options.matches(entry.name)) found.push_back(entry.name);
  });
  reply_scan(context, next, found);
}

constexpr Command kSetCommands[] = {
    {.name = "sadd",
     .group = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = sadd_command,
     .elements = Elements::kEach,
     .docs = {.since = "1.0.0",
              .summary = "Add members to a set",
              .complexity = "O(N) where N is the number of members given",
              .arguments = "key member...",
              .key_spec = "RW insert"}},
    {.name = "srem",
     .group = "set",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = srem_command,
     .elements = Elements::kEach,
     .docs = {.since = "1.0.0",
              .summary = "Remove members from a set",
              .complexity = "O(N) where N is the number of members given",
              .arguments = "key member...",
              .key_spec = "RW delete"}},
    {.name = "sismember",
     .group = "set",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = sismember_command,
     .elements = Elements::kEach,
     .docs = {.since = "1.0.0",
              .summary = "Whether a set has a member",
              .complexity = "O(1)",
              .arguments = "key member",
              .key_spec = "RO"}},
    {.name = "smismember",
     .group = "set",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = smismember_command,
     .elements = Elements::kEach,
     .docs = {.since = "6.2.0",
              .summary = "Which of several members a set has",
              .complexity = "O(N) where N is the number of members given",
              .arguments = "key member...",
              .key_spec = "RO access"}},
    {.name = "smembers",
     .group = "set",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = smembers_command,
     .lists = Lists::kMembers,
     .docs = {.since = "1.0.0",
              .summary = "All members of a set",
              .complexity = "O(N) where N is the size of the set",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "scard",
     .group = "set",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = scard_command,
     .docs = {.since = "1.0.0",
              .summary = "Number of members of a set",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO"}},
    {.name = "spop",
     .group = "set",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = spop_command,
     .docs = {.since = "1.0.0",
              .summary = "Remove members chosen at random and return them",
              .complexity = "O(N) where N is the count",
              .arguments = "key [count:integer]",
              .key_spec = "RW access delete",
              .tips = "nondeterministic_output"}},
    {.name = "srandmember",
     .group = "set",
     .arity = -2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = srandmember_command,
     .docs = {.since = "1.0.0",
              .summary = "Members of a set chosen at random",
              .complexity = "O(N) where N is the absolute value of the count",
              .arguments = "key [count:integer]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "sscan",
     .group = "set",
     .arity = -3,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = sscan_command,
     .docs = {.since = "2.8.0",
              .summary = "Walk over the members of a set in steps",
              .complexity =
                  "O(1) for each call, O(N) for all of a scan, where N is the number of elements",
              .arguments = "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
};

}  // namespace

std::span<const Command> set_commands() { return kSetCommands; }

}  // namespace even
