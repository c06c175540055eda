// DUMP and RESTORE: a key's value in Redis's own form (rdb/value.h), so that it can be carried from
// one to the other.
#include <algorithm>

#include "engine/command.h"
#include "engine/list.h"
#include "engine/sorted_set.h"
#include "engine/stream_dump.h"
#include "engine/text.h"
#include "rdb/value.h"

namespace even {
namespace {

rdb::Value dumped(const Object& object, std::int64_t now_ms) {
  rdb::Value out;
  const auto add = [&out](std::string_view item) { out.items.emplace_back(item); };
  std::string scratch;
  switch (object.type()) {
    case ObjectType::kString:
      add(object.string().value(scratch));
      break;
    case ObjectType::kSet:
      out.type = rdb::Type::kSet;
      object.set().for_each(add);
      break;
    case ObjectType::kHash: {
      out.type = rdb::Type::kHash;
      const VisibleFields fields(object, now_ms);
      fields.for_each([&](std::string_view field, const ScalarView& scalar) {
        add(field);
        add(scalar.value(scratch));
        if (fields.any_expire()) {
          out.expiries_ms.push_back(fields.expires_at_ms(field).value_or(rdb::kNoExpiry));
        }
      });
      break;
    }
    case ObjectType::kSortedSet: {
      out.type = rdb::Type::kSortedSet;
      const SortedSet set{object.sorted_set(), object.sorted_set().live()};
      const ScoreOrder order(set);
      order.visit(0, order.size(), false, [&](std::string_view member, double score) {
        add(member);
        out.scores.push_back(score);
      });
      break;
    }
    case ObjectType::kList: {
      out.type = rdb::Type::kList;
      const ListOrder order({object.list(), object.list().live()});
      order.visit(0, order.size(), false, [&add](const ListItem& item) { add(item.value()); });
      break;
    }
    case ObjectType::kStream:  // see dump_command
    case ObjectType::kNone:
      break;
  }
  return out;
}

void dump_command(Context& context, Args args) {
  const Object* object = context.find(args[1]);
  if (object == nullptr) return context.reply.null();
  if (object->type() == ObjectType::kStream) {
    auto stream = dumped_stream(*object);
    if (stream) return context.reply.bulk(rdb::write_payload(*std::move(stream)));
    return context.reply.error("ERR the stream has two entries with the id " +
                               stream.error().to_string() +
                               ", which were added at the same time on two nodes: DUMP's form has "
                               "one entry for each id");
  }
  context.reply.bulk(rdb::write_payload(dumped(*object, context.now_ms)));
}

void write_restored(Context& context, KeyWriter& writer, rdb::Value value) {
  std::vector<std::string_view> items;
  items.reserve(value.items.size());
  for (std::string& item : value.items) items.push_back(context.keep(std::move(item)));
  switch (value.type) {
    case rdb::Type::kString:
      return writer.set_unbounded(items.front(), false);
    case rdb::Type::kSet:
      for (const std::string_view member : items) writer.add_member(member);
      return;
    case rdb::Type::kHash:
      for (std::size_t i = 0; i < items.size(); i += 2) {
        const std::int64_t at_ms =
            value.expiries_ms.empty() ? rdb::kNoExpiry : value.expiries_ms[i / 2];
        if (at_ms != rdb::kNoExpiry && at_ms <= context.now_ms) continue;
        writer.set_field(items[i], items[i + 1]);
        if (at_ms != rdb::kNoExpiry) writer.expire_field(items[i], at_ms);
      }
      return;
    case rdb::Type::kSortedSet:
      for (std::size_t i = 0; i < items.size(); ++i) writer.set_score(items[i], value.scores[i]);
      return;
    case rdb::Type::kList: {
      std::string_view last;
      for (const std::string_view item : items) last = writer.insert_item(last, {}, item);
      return;
    }
  }
}

struct RestoreOptions {
  bool replace = false;
  bool absolute = false;
};

// When a key was last used, and how often, is for cache policies, which count in their own way: it
// is read and left. False after an error.
bool read_restore_options(Context& context, Args words, RestoreOptions& out) {
  bool has_idle_time = false;
  bool has_frequency = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::int64_t number;
    if (equals_ignore_case(words[i], "replace")) {
      out.replace = true;
    } else if (equals_ignore_case(words[i], "absttl")) {
      out.absolute = true;
    } else if (equals_ignore_case(words[i], "idletime") && i + 1 < words.size() && !has_frequency) {
      if (!read_integer(context, words[++i], number)) return false;
      has_idle_time = true;
      if (number >= 0) continue;
      context.reply.error("ERR Invalid IDLETIME value, must be >= 0");
      return false;
    } else if (equals_ignore_case(words[i], "freq") && i + 1 < words.size() && !has_idle_time) {
      if (!read_integer(context, words[++i], number)) return false;
      has_frequency = true;
      if (number >= 0 && number <= 255) continue;
      context.reply.error("ERR Invalid FREQ value, must be >= 0 and <= 255");
      return false;
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  return true;
}

// What a value may take. With as many elements as requests of the payload's size could have written
// one by one it needs nobody's leave; for more, in which little stands for much, there is a limit.
rdb::Budget budget_of(std::string_view payload, std::uint64_t max_memory) {
  constexpr std::uint64_t kMostBeyond = 1ull << 30;
  constexpr std::uint64_t kLeastRequest = 8;  // bytes for an element
  const std::uint64_t beyond =
      max_memory == 0 ? kMostBeyond : std::min(kMostBeyond, max_memory / 2);
  return rdb::Budget(payload.size() * rdb::Budget::kElement / kLeastRequest + beyond);
}

std::string_view refusal(rdb::PayloadError error) {
  switch (error) {
    case rdb::PayloadError::kVersionOrChecksum:
      return "ERR DUMP payload version or checksum are wrong";
    case rdb::PayloadError::kMemory:
      return "OOM the payload's value takes more memory than one RESTORE may";
    case rdb::PayloadError::kFormat:
      break;
  }
  return "ERR Bad data format";
}

void restore_command(Context& context, Args args) {
  RestoreOptions options;
  if (!read_restore_options(context, args.subspan(4), options)) return;
  const bool exists = context.find(args[1]) != nullptr;
  if (exists && !options.replace) {
    return context.reply.error("BUSYKEY Target key name already exists.");
  }
  std::int64_t ttl;
  if (!read_integer(context, args[2], ttl)) return;
  if (ttl < 0) return context.reply.error("ERR Invalid TTL value, must be >= 0");
  rdb::Budget budget = budget_of(args[3], context.keyspace().max_memory());
  auto value = rdb::read_payload(args[3], budget);
  if (!value) return context.reply.error(refusal(value.error()));
  std::int64_t at_ms = ttl;
  if (!options.absolute && __builtin_add_overflow(ttl, context.now_ms, &at_ms)) {
    return context.reply.error("ERR Invalid TTL value, must be >= 0");
  }
  context.reply.ok();
  if (ttl > 0 && at_ms <= context.now_ms) {
    if (exists) context.write(args[1]).remove();
    return;
  }
  KeyWriter& writer = context.write(args[1]);
  writer.remove();
  if (const auto* stream = std::get_if<rdb::StreamValue>(&*value)) {
    write_restored_stream(context, args[1], *stream);
  } else {
    write_restored(context, writer, std::get<rdb::Value>(std::move(*value)));
  }
  if (ttl > 0) writer.expire_at(at_ms);
}

constexpr Command kDumpCommands[] = {
    {.name = "dump",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = dump_command,
     .docs = {.since = "2.6.0",
              .summary = "A key's value in the form of Redis's files",
              .complexity = "O(N) where N is the size of what the key holds",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "restore",
     .group = "generic",
     .arity = -4,
     .flags = kWrite | kDenyOom,
     .acl = "@dangerous",
     .keys = kFirstWord,
     .handler = restore_command,
     .docs = {.since = "2.6.0",
              .summary = "Make a key of what DUMP has returned",
              .complexity = "O(N) where N is the size of the value",
              .arguments = "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME "
                           "seconds:integer] [FREQ frequency:integer]",
              .key_spec = "OW update"}},
};

}  // namespace

std::span<const Command> dump_commands() { return kDumpCommands; }

}  // namespace even
