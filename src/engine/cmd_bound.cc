#include "engine/cmd_bound.h"

#include <fmt/format.h>

#include <limits>

#include "base/mutant.h"
#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

std::string text_of(absl::int128 number) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  return number > kMost ? fmt::format("more than {}", kMost)
                        : std::to_string(static_cast<std::int64_t>(number));
}

// Whether this node may use so many of the counter's rights. If not, replies why.
bool has_rights(Context& context, std::string_view key, const BoundedCounter& counter,
                absl::int128 needed) {
  if (EVEN_MUTANT(kRightSpentUnowned)) return true;
  const Keyspace& keyspace = context.keyspace();
  const PartitionState& state = keyspace.state(keyspace.partition_of(key));
  const absl::int128 rights = counter.rights(keyspace.replica(), state.vector());
  if (rights >= needed) return true;
  const absl::int128 distance = counter.number.distance();
  context.note_lack(key, static_cast<std::uint64_t>(needed));
  if (distance < needed) {
    context.reply.error(fmt::format("{}the counter is {} from its bound {}: {} are needed",
                                    kNoRights, text_of(distance), counter.bound(),
                                    text_of(needed)));
  } else {
    context.reply.error(fmt::format(
        "{}this node has the rights to {} of the {} that the counter is from its bound {}: {} are "
        "needed, and no other node in reach gives them",
        kNoRights, text_of(std::max<absl::int128>(rights, 0)), text_of(distance), counter.bound(),
        text_of(needed)));
  }
  return false;
}

void move_bound(Context& context, std::string_view key, const BoundedCounter& counter,
                std::int64_t bound) {
  const absl::int128 move = absl::int128(bound) - counter.number.bound();
  const BoundEntry* mine = counter.number.find(context.keyspace().replica());
  const absl::int128 moved = move + (mine == nullptr ? 0 : mine->moved);
  if (moved > std::numeric_limits<std::int64_t>::max() ||
      moved < std::numeric_limits<std::int64_t>::min()) {
    return context.reply.error(kOverflow);
  }
  const absl::int128 needed = counter.number.is_max ? -move : move;
  if (needed > 0 && !has_rights(context, key, counter, needed)) return;
  if (move != 0) context.write(key).change_bounded(0, static_cast<std::int64_t>(move));
  context.reply.ok();
}

void bound_command(Context& context, Args args) {
  const bool none = args.size() == 3 && equals_ignore_case(args[2], "none");
  const bool is_max = args.size() == 4 && equals_ignore_case(args[2], "max");
  const bool is_min = args.size() == 4 && equals_ignore_case(args[2], "min");
  if (!none && !is_max && !is_min) return context.reply.error(kSyntaxError);
  std::int64_t bound = 0;
  if (!none && !read_integer(context, args[3], bound)) return;
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  const BoundedCounter* counter = object == nullptr ? nullptr : object->bounded();
  if (none) {
    if (counter != nullptr) {
      context.write(args[1]).set_unbounded(context.keep(std::to_string(counter->value())), true);
    }
    return context.reply.ok();
  }
  if (counter != nullptr && counter->number.is_max != is_max) {
    return context.reply.error(fmt::format(
        "ERR the counter has a {} value, and can have one bound: EVEN.BOUND key NONE takes it away",
        is_max ? "lowest" : "highest"));
  }
  if (counter != nullptr) return move_bound(context, args[1], *counter, bound);
  std::int64_t value = 0;
  std::string scratch;
  if (object != nullptr && !read_integer(context, object->string().value(scratch), value)) return;
  if (is_max ? value > bound : value < bound) {
    return context.reply.error(
        fmt::format("ERR the value is {}, which is beyond that bound", value));
  }
  context.write(args[1]).set_bounded(is_max, bound, value, true);
  context.reply.ok();
}

constexpr Command kBoundCommands[] = {
    {.name = "even.bound",
     .group = "string",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = bound_command,
     .docs = {.since = "0.1.0",
              .summary = "Give a counter a lowest or highest value, which it never passes on any "
                         "node",
              .complexity = "O(1)",
              .arguments = "key bound(MIN lowest:integer|MAX highest:integer|NONE)",
              .key_spec = "RW access update"}},
};

}  // namespace

void increment_bounded(Context& context, std::string_view key, const BoundedCounter& counter,
                       std::int64_t by) {
  const BoundEntry* mine = counter.number.find(context.keyspace().replica());
  std::int64_t value = 0;
  std::int64_t sum = 0;
  if (__builtin_add_overflow(counter.value(), by, &value) ||
      __builtin_add_overflow(mine == nullptr ? 0 : mine->sum, by, &sum)) {
    return context.reply.error(kOverflow);
  }
  const absl::int128 needed = counter.number.is_max ? by : -absl::int128(by);
  if (needed > 0 && !has_rights(context, key, counter, needed)) return;
  context.write(key).change_bounded(by, 0);
  context.reply.integer(value);
}

std::vector<std::string> explain_bounded(const Object& object, const Keyspace& keyspace,
                                         const PartitionState& state) {
  const BoundedCounter& counter = *object.bounded();
  std::vector<std::string> lines;
  lines.push_back(fmt::format("bounded counter {}: {}, {} {}; {} may be used here",
                              counter.dot.to_string(), counter.value(),
                              counter.number.is_max ? "at most" : "at least", counter.bound(),
                              text_of(counter.rights(keyspace.replica(), state.vector()))));
  for (const ReplicaId run : counter.runs()) {
    const BoundEntry* entry = counter.number.find(run);
    std::string line =
        fmt::format("  {}: rights to {}", run.to_string(), text_of(counter.rights_alone(run)));
    if (entry != nullptr) {
      line += fmt::format(", has added {} ({})", entry->sum, Dot{run, entry->seq}.to_string());
      for (const BoundEntry::Gift& gift : entry->gifts) {
        line += fmt::format(", has given {} to {}", gift.amount, gift.to.to_string());
      }
    }
    if (run != keyspace.replica() &&
        BoundedCounter::may_use(keyspace.replica(), run, state.vector())) {
      line += "; used by this run";
    }
    lines.push_back(std::move(line));
  }
  const std::size_t hidden = object.all_bounded()->size() - 1;
  if (hidden > 0) {
    lines.push_back(fmt::format("  {} more, made at the same time, are hidden", hidden));
  }
  return lines;
}

std::span<const Command> bound_commands() { return kBoundCommands; }

}  // namespace even
