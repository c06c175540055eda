// Strings as numbers. Increments are described as increments, never as new values, so that
// concurrent ones add up.
#include <limits>
#include <string>

#include "engine/cmd_bound.h"
#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

void increment_by(Context& context, std::string_view key, std::int64_t by) {
  const Object* object;
  if (!context.find(key, ObjectType::kString, object)) return;
  std::int64_t value = 0;
  if (object != nullptr) {
    if (const BoundedCounter* counter = object->bounded()) {
      return increment_bounded(context, key, *counter, by);
    }
    const ScalarView string = object->plain_string();
    std::string scratch;
    if (string.tally() != nullptr) {
      value = string.tally()->value();
    } else if (!read_integer(context, string.value(scratch), value)) {
      return;
    }
  }
  if (__builtin_add_overflow(value, by, &value)) return context.reply.error(kOverflow);
  context.write(key).increment(by);
  context.reply.integer(value);
}

void incr_command(Context& context, Args args) { increment_by(context, args[1], 1); }
void decr_command(Context& context, Args args) { increment_by(context, args[1], -1); }

void incrby_command(Context& context, Args args) {
  std::int64_t by;
  if (read_integer(context, args[2], by)) increment_by(context, args[1], by);
}

void decrby_command(Context& context, Args args) {
  std::int64_t by;
  if (!read_integer(context, args[2], by)) return;
  if (by == std::numeric_limits<std::int64_t>::min()) {
    return context.reply.error("ERR decrement would overflow");
  }
  increment_by(context, args[1], -by);
}

void incrbyfloat_command(Context& context, Args args) {
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::optional<long double> value = 0;
  if (object != nullptr) {
    if (object->bounded() != nullptr) return context.reply.error(kBoundedTakesIntegers);
    std::string scratch;
    value = parse_long_double(object->string().value(scratch));
  }
  const std::optional<long double> by = parse_long_double(args[2]);
  if (!value || !by) return context.reply.error(kNotFloat);
  const std::optional<RealSum> sum = add_reals(context, *value, *by);
  if (!sum) return;
  context.write(args[1]).increment_real_to(sum->value);
  context.reply.bulk(sum->text);
}

constexpr Command kNumberCommands[] = {
    {.name = "incr",
     .group = "string",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = incr_command,
     .docs = {.since = "1.0.0",
              .summary = "Add one to a number",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RW access update"}},
    {.name = "decr",
     .group = "string",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = decr_command,
     .docs = {.since = "1.0.0",
              .summary = "Subtract one from a number",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RW access update"}},
    {.name = "incrby",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = incrby_command,
     .docs = {.since = "1.0.0",
              .summary = "Add to an integer",
              .complexity = "O(1)",
              .arguments = "key increment:integer",
              .key_spec = "RW access update"}},
    {.name = "decrby",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = decrby_command,
     .docs = {.since = "1.0.0",
              .summary = "Subtract from an integer",
              .complexity = "O(1)",
              .arguments = "key decrement:integer",
              .key_spec = "RW access update"}},
    {.name = "incrbyfloat",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = incrbyfloat_command,
     .docs = {.since = "2.6.0",
              .summary = "Add to a number with decimals",
              .complexity = "O(1)",
              .arguments = "key increment:double",
              .key_spec = "RW access update"}},
};

}  // namespace

std::span<const Command> number_commands() { return kNumberCommands; }

}  // namespace even
