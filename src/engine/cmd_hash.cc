// Hashes. A field is a scalar like a string key's: a register plus counters. The map may also hold
// fields that are only residue of counters; they are not fields to anybody, so everything here
// looks at live() ones only; nor are those whose expiry has come (docs/field-expiry.md).
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/cmd_scan.h"
#include "engine/command.h"
#include "engine/listing.h"
#include "engine/sample.h"
#include "engine/text.h"

namespace even {
namespace {

bool find_hash(Context& context, std::string_view key, VisibleFields& out) {
  const Object* object;
  if (!context.find(key, ObjectType::kHash, object)) return false;
  if (object != nullptr) out = VisibleFields(*object, context.now_ms);
  return true;
}

std::optional<ScalarView> value_of(const VisibleFields& hash, std::string_view field) {
  const ScalarView scalar = hash.find(field);
  return scalar.live() ? std::optional(scalar) : std::nullopt;
}

void reply_value(Context& context, const std::optional<ScalarView>& scalar) {
  if (!scalar) return context.reply.null();
  std::string scratch;
  context.reply.bulk(scalar->value(scratch));
}

// HSET and HMSET. Nothing, after the error, when it cannot be done; else the number of new fields.
std::optional<std::int64_t> set_fields(Context& context, Args args, std::string_view command) {
  if (args.size() % 2 == 1) {
    context.reply.error(wrong_arity(command));
    return std::nullopt;
  }
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return std::nullopt;
  KeyWriter& writer = context.write(args[1]);
  std::int64_t added = 0;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    added += writer.set_field(args[i], args[i + 1]);
  }
  return added;
}

void hset_command(Context& context, Args args) {
  if (const auto added = set_fields(context, args, "hset")) context.reply.integer(*added);
}

void hmset_command(Context& context, Args args) {
  if (set_fields(context, args, "hmset")) context.reply.ok();
}

void hsetnx_command(Context& context, Args args) {
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  if (hash.find(args[2]).live()) return context.reply.integer(0);
  context.write(args[1]).set_field(args[2], args[3]);
  context.reply.integer(1);
}

void hget_command(Context& context, Args args) {
  VisibleFields hash;
  if (find_hash(context, args[1], hash)) reply_value(context, value_of(hash, args[2]));
}

void hmget_command(Context& context, Args args) {
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  context.reply.array(args.size() - 2);
  for (std::string_view field : args.subspan(2)) reply_value(context, value_of(hash, field));
}

template <Lists kLists>
void list_command(Context& context, Args args) {
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  begin_list(context.reply, kLists, hash.size());
  hash.for_each([&](std::string_view field, const ScalarView& scalar) {
    list_field(context.reply, kLists, field, scalar);
  });
}

void hdel_command(Context& context, Args args) {
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  std::size_t removed = 0;
  for (std::string_view field : args.subspan(2)) {
    if (value_of(hash, field)) removed += context.write(args[1]).remove_field(field);
  }
  if (removed > 0 && removed == hash.size()) context.write(args[1]).persist();
  context.reply.integer(static_cast<std::int64_t>(removed));
}

void hexists_command(Context& context, Args args) {
  VisibleFields hash;
  if (find_hash(context, args[1], hash)) context.reply.integer(hash.find(args[2]).live());
}

void hlen_command(Context& context, Args args) {
  VisibleFields hash;
  if (find_hash(context, args[1], hash)) {
    context.reply.integer(static_cast<std::int64_t>(hash.size()));
  }
}

void hstrlen_command(Context& context, Args args) {
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  const auto scalar = value_of(hash, args[2]);
  std::string scratch;
  context.reply.integer(scalar ? static_cast<std::int64_t>(scalar->value(scratch).size()) : 0);
}

void hincrby_command(Context& context, Args args) {
  std::int64_t by;
  if (!read_integer(context, args[3], by)) return;
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  std::int64_t value = 0;
  if (const auto scalar = value_of(hash, args[2])) {
    std::string scratch;
    if (!read_integer(context, scalar->value(scratch), value, "ERR hash value is not an integer")) {
      return;
    }
  }
  if (__builtin_add_overflow(value, by, &value)) return context.reply.error(kOverflow);
  context.write(args[1]).increment_field(args[2], by);
  context.reply.integer(value);
}

void hincrbyfloat_command(Context& context, Args args) {
  const std::optional<long double> by = parse_long_double(args[3]);
  if (!by) return context.reply.error(kNotFloat);
  if (!std::isfinite(*by)) return context.reply.error("ERR value is NaN or Infinity");
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  std::optional<long double> value = 0;
  if (const auto scalar = value_of(hash, args[2])) {
    std::string scratch;
    value = parse_long_double(scalar->value(scratch));
  }
  if (!value) return context.reply.error("ERR hash value is not a float");
  const std::optional<RealSum> sum = add_reals(context, *value, *by);
  if (!sum) return;
  context.write(args[1]).increment_field_real_to(args[2], sum->value);
  context.reply.bulk(sum->text);
}

void reply_sampled(Context& context, const HashView::Entry& entry, bool with_values) {
  if (with_values && context.reply.resp3()) context.reply.array(2);
  context.reply.bulk(entry.name);
  if (with_values) reply_value(context, entry.scalar);
}

void hrandfield_command(Context& context, Args args) {
  std::int64_t count = 0;
  bool with_values = false;
  if (args.size() > 2) {
    if (!read_sample_count(context, args[2], count)) return;
    with_values = args.size() == 4 && equals_ignore_case(args[3], "withvalues");
    if (args.size() > 3 && !with_values) return context.reply.error(kSyntaxError);
    if (with_values && count > std::numeric_limits<std::int64_t>::max() / 2) {
      return context.reply.error("ERR value is out of range");
    }
  }
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  const auto seen = [&hash](const HashView::Entry& entry) { return hash.sees(entry); };
  const std::size_t size = hash.size();
  if (args.size() == 2) {
    if (size == 0) return context.reply.null();
    sample_repeated(hash.all(), size, 1, context.random, seen,
                    [&](const HashView::Entry& entry) { context.reply.bulk(entry.name); });
    return;
  }
  if (size == 0 || count == 0) return context.reply.array(0);
  const std::size_t choices = count < 0 ? static_cast<std::size_t>(-count)
                                        : std::min(static_cast<std::size_t>(count), size);
  context.reply.array(with_values && !context.reply.resp3() ? choices * 2 : choices);
  if (count < 0) {
    sample_repeated(
        hash.all(), size, choices, context.random, seen,
        [&](const HashView::Entry& entry) { reply_sampled(context, entry, with_values); });
    return;
  }
  for (const HashView::Entry& entry :
       sample_distinct(hash.all(), size, choices, context.random, seen)) {
    reply_sampled(context, entry, with_values);
  }
}

void hscan_command(Context& context, Args args) {
  ScanOptions options;
  options.names_only_option = "novalues";
  if (!read_cursor(context, args[2], options.cursor)) return;
  VisibleFields hash;
  if (!find_hash(context, args[1], hash)) return;
  if (hash.size() == 0) return reply_scan(context, 0, {});
  if (!read_scan_options(context, args, 3, false, options)) return;
  scan_compact_whole(
      hash.all(), kMaxCompactFields,
      [scratch = std::string()](const HashView::Entry& entry) mutable {
        return !entry.scalar.live() ||
               (entry.name.size() <= kMaxCompactFieldBytes &&
                entry.scalar.value(scratch).size() <= kMaxCompactFieldBytes);
      },
      options);
  std::vector<std::string_view> found;
  const std::uint64_t next = scan_elements(hash.all(), options, [&](const HashView::Entry& entry) {
    if (!hash.sees(entry) || !options.matches(entry.name)) return;
    found.push_back(entry.name);
    if (options.names_only) return;
    std::string scratch;
    const std::string_view value = entry.scalar.value(scratch);
    found.push_back(value.data() == scratch.data() ? context.keep(scratch) : value);
  });
  reply_scan(context, next, found);
}

constexpr Command kHashCommands[] = {
    {.name = "hset",
     .group = "hash",
     .arity = -4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hset_command,
     .elements = Elements::kEachSecond,
     .docs = {.since = "2.0.0",
              .summary = "Set fields of a hash",
              .complexity = "O(N) where N is the number of fields given",
              .arguments = "key field_value(field value)...",
              .key_spec = "RW update"}},
    {.name = "hsetnx",
     .group = "hash",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hsetnx_command,
     .elements = Elements::kEachSecond,
     .docs = {.since = "2.0.0",
              .summary = "Set a field of a hash only if it does not exist",
              .complexity = "O(1)",
              .arguments = "key field value",
              .key_spec = "RW insert"}},
    {.name = "hmset",
     .group = "hash",
     .arity = -4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hmset_command,
     .elements = Elements::kEachSecond,
     .docs = {.since = "2.0.0",
              .summary = "Set fields of a hash",
              .complexity = "O(N) where N is the number of fields given",
              .arguments = "key field_value(field value)...",
              .key_spec = "RW update"}},
    {.name = "hget",
     .group = "hash",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hget_command,
     .elements = Elements::kEach,
     .docs = {.since = "2.0.0",
              .summary = "Value of a field of a hash",
              .complexity = "O(1)",
              .arguments = "key field",
              .key_spec = "RO access"}},
    {.name = "hmget",
     .group = "hash",
     .arity = -3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hmget_command,
     .elements = Elements::kEach,
     .docs = {.since = "2.0.0",
              .summary = "Values of several fields of a hash",
              .complexity = "O(N) where N is the number of fields given",
              .arguments = "key field...",
              .key_spec = "RO access"}},
    {.name = "hgetall",
     .group = "hash",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = list_command<Lists::kFieldsAndValues>,
     .lists = Lists::kFieldsAndValues,
     .docs = {.since = "2.0.0",
              .summary = "All fields of a hash and their values",
              .complexity = "O(N) where N is the size of the hash",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "hdel",
     .group = "hash",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = hdel_command,
     .elements = Elements::kEach,
     .docs = {.since = "2.0.0",
              .summary = "Remove fields from a hash",
              .complexity = "O(N) where N is the number of fields given",
              .arguments = "key field...",
              .key_spec = "RW delete"}},
    {.name = "hexists",
     .group = "hash",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hexists_command,
     .elements = Elements::kEach,
     .docs = {.since = "2.0.0",
              .summary = "Whether a hash has a field",
              .complexity = "O(1)",
              .arguments = "key field",
              .key_spec = "RO"}},
    {.name = "hlen",
     .group = "hash",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hlen_command,
     .docs = {.since = "2.0.0",
              .summary = "Number of fields of a hash",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO"}},
    {.name = "hkeys",
     .group = "hash",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = list_command<Lists::kFields>,
     .lists = Lists::kFields,
     .docs = {.since = "2.0.0",
              .summary = "All fields of a hash",
              .complexity = "O(N) where N is the size of the hash",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "hvals",
     .group = "hash",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = list_command<Lists::kValues>,
     .lists = Lists::kValues,
     .docs = {.since = "2.0.0",
              .summary = "All values of a hash",
              .complexity = "O(N) where N is the size of the hash",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output_order"}},
    {.name = "hstrlen",
     .group = "hash",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hstrlen_command,
     .elements = Elements::kEach,
     .docs = {.since = "3.2.0",
              .summary = "Length in bytes of the value of a field",
              .complexity = "O(1)",
              .arguments = "key field",
              .key_spec = "RO"}},
    {.name = "hincrby",
     .group = "hash",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hincrby_command,
     .elements = Elements::kEachSecond,
     .docs = {.since = "2.0.0",
              .summary = "Add to an integer in a field of a hash",
              .complexity = "O(1)",
              .arguments = "key field increment:integer",
              .key_spec = "RW access update"}},
    {.name = "hincrbyfloat",
     .group = "hash",
     .arity = 4,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hincrbyfloat_command,
     .elements = Elements::kEachSecond,
     .docs = {.since = "2.6.0",
              .summary = "Add to a number with decimals in a field of a hash",
              .complexity = "O(1)",
              .arguments = "key field increment:double",
              .key_spec = "RW access update"}},
    {.name = "hrandfield",
     .group = "hash",
     .arity = -2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = hrandfield_command,
     .docs = {.since = "6.2.0",
              .summary = "Fields of a hash chosen at random",
              .complexity = "O(N) where N is the absolute value of the count",
              .arguments = "key [options(count:integer [WITHVALUES])]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "hscan",
     .group = "hash",
     .arity = -3,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = hscan_command,
     .docs = {.since = "2.8.0",
              .summary = "Walk over the fields of a hash in steps",
              .complexity =
                  "O(1) for each call, O(N) for all of a scan, where N is the number of elements",
              .arguments = "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer] "
                           "[NOVALUES]",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
};

}  // namespace

std::span<const Command> hash_commands() { return kHashCommands; }

}  // namespace even
