// Strings: reading and writing whole values and parts of them. Numbers are in cmd_number.cc.
#include <algorithm>
#include <string>

#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

// The options that SET and GETEX share.
struct StringOptions {
  bool if_absent = false;
  bool if_present = false;
  bool get = false;
  bool keep_ttl = false;
  bool persist = false;
  bool has_expiry = false;
  bool seconds = false;
  bool relative = false;
  std::string_view expiry;
  std::optional<std::string_view> if_equal;
};

// Parses args from `first` on; of SET when `set`, else of GETEX. False on a syntax error, which has
// been replied. An expiry that is given twice in the same unit counts once, the last one, as in
// Redis.
bool parse_options(Context& context, Args args, std::size_t first, bool set, StringOptions& out) {
  std::string_view unit;
  for (std::size_t i = first; i < args.size(); ++i) {
    const std::string_view word = args[i];
    const bool more = i + 1 < args.size();
    const auto expiry_unit = [&](std::string_view name) {
      return more && !out.keep_ttl && !out.persist && (unit.empty() || unit == name) &&
             equals_ignore_case(word, name);
    };
    if (set && equals_ignore_case(word, "nx") && !out.if_present && !out.if_equal) {
      out.if_absent = true;
    } else if (set && equals_ignore_case(word, "xx") && !out.if_absent && !out.if_equal) {
      out.if_present = true;
    } else if (set && equals_ignore_case(word, "ifeq") && more && !out.if_absent &&
               !out.if_present && !out.if_equal) {
      out.if_equal = args[++i];
    } else if (set && equals_ignore_case(word, "get")) {
      out.get = true;
    } else if (set && equals_ignore_case(word, "keepttl") && unit.empty()) {
      out.keep_ttl = true;
    } else if (!set && equals_ignore_case(word, "persist") && unit.empty()) {
      out.persist = true;
    } else if (expiry_unit("ex") || expiry_unit("px") || expiry_unit("exat") ||
               expiry_unit("pxat")) {
      unit = word.size() == 2 ? (to_lower(word[0]) == 'e' ? "ex" : "px")
                              : (to_lower(word[0]) == 'e' ? "exat" : "pxat");
      out.has_expiry = true;
      out.seconds = unit[0] == 'e';
      out.relative = unit.size() == 2;
      out.expiry = args[++i];
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  return true;
}

// Replies the string, or null when there is no key.
void reply_string(Context& context, const Object* object) {
  if (object == nullptr) return context.reply.null();
  std::string scratch;
  context.reply.bulk(object->string().value(scratch));
}

// The key's string; empty when there is no key. `scratch` may come to hold it.
std::string_view string_of(const Object* object, std::string& scratch) {
  return object == nullptr ? std::string_view() : object->string().value(scratch);
}

bool holds(const Object& object, std::string_view value) {
  std::string scratch;
  return object.string().value(scratch) == value;
}

bool within_limit(Context& context, std::uint64_t bytes) {
  if (bytes <= kMaxStringBytes) return true;
  context.reply.error(kStringTooLong);
  return false;
}

void write_string(Context& context, std::string_view key, std::string_view value, bool keep_expiry,
                  std::optional<std::int64_t> at_ms = {}) {
  if (at_ms && *at_ms <= context.now_ms) {
    if (context.find(key) != nullptr) context.write(key).remove();
    return;
  }
  KeyWriter& writer = context.write(key);
  writer.set_string(value, keep_expiry);
  if (at_ms) writer.expire_at(*at_ms);
}

void get_command(Context& context, Args args) {
  const Object* object;
  if (context.find(args[1], ObjectType::kString, object)) reply_string(context, object);
}

void set_command(Context& context, Args args) {
  if (args.size() == 3) {
    context.write(args[1]).set_string(args[2], false);
    return context.reply.ok();
  }
  StringOptions options;
  if (!parse_options(context, args, 3, true, options)) return;
  std::optional<std::int64_t> at_ms;
  if (options.has_expiry && !read_expiry(context, "set", options.expiry, options.seconds,
                                         options.relative, at_ms.emplace())) {
    return;
  }
  const Object* object = context.find(args[1]);
  if (options.get || options.if_equal) {
    context.count_reads();
    if (!context.find(args[1], ObjectType::kString, object)) return;
    if (options.get) reply_string(context, object);
  }
  const bool needs_object = options.if_present || options.if_equal;
  if ((options.if_absent && object != nullptr) || (needs_object && object == nullptr) ||
      (options.if_equal && !holds(*object, *options.if_equal))) {
    if (!options.get) context.reply.null();
    return;
  }
  write_string(context, args[1], args[2], options.keep_ttl, at_ms);
  if (!options.get) context.reply.ok();
}

void delifeq_command(Context& context, Args args) {
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  const bool equal = object != nullptr && holds(*object, args[2]);
  if (equal) context.write(args[1]).remove();
  context.reply.integer(equal ? 1 : 0);
}

void setnx_command(Context& context, Args args) {
  if (context.find(args[1]) != nullptr) return context.reply.integer(0);
  context.write(args[1]).set_string(args[2], false);
  context.reply.integer(1);
}

void set_with_expiry(Context& context, Args args, std::string_view command, bool seconds) {
  std::int64_t at_ms;
  if (!read_expiry(context, command, args[2], seconds, true, at_ms)) return;
  write_string(context, args[1], args[3], false, at_ms);
  context.reply.ok();
}
void setex_command(Context& context, Args args) { set_with_expiry(context, args, "setex", true); }
void psetex_command(Context& context, Args args) {
  set_with_expiry(context, args, "psetex", false);
}

void getset_command(Context& context, Args args) {
  context.count_reads();
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  reply_string(context, object);
  context.write(args[1]).set_string(args[2], false);
}

void getdel_command(Context& context, Args args) {
  context.count_reads();
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  reply_string(context, object);
  if (object != nullptr) context.write(args[1]).remove();
}

void getex_command(Context& context, Args args) {
  StringOptions options;
  if (!parse_options(context, args, 2, false, options)) return;
  context.count_reads();
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  if (object == nullptr) return context.reply.null();
  std::int64_t at_ms = 0;
  if (options.has_expiry &&
      !read_expiry(context, "getex", options.expiry, options.seconds, options.relative, at_ms)) {
    return;
  }
  reply_string(context, object);
  if (options.has_expiry) {
    if (at_ms <= context.now_ms) {
      context.write(args[1]).remove();
    } else {
      context.write(args[1]).expire_at(at_ms);
    }
  } else if (options.persist && object->expiry() != nullptr) {
    context.write(args[1]).persist();
  }
}

void mget_command(Context& context, Args args) {
  context.reply.array(args.size() - 1);
  for (std::string_view key : args.subspan(1)) {
    const Object* object = context.find(key);
    const bool string = object != nullptr && object->type() == ObjectType::kString;
    reply_string(context, string ? object : nullptr);
  }
}

// False, after the error, when there is a key without a value.
bool in_pairs(Context& context, Args args, std::string_view command) {
  if (args.size() % 2 == 1) return true;
  context.reply.error(wrong_arity(command));
  return false;
}

void mset_command(Context& context, Args args) {
  if (!in_pairs(context, args, "mset")) return;
  for (std::size_t i = 1; i < args.size(); i += 2) {
    context.write(args[i]).set_string(args[i + 1], false);
  }
  context.reply.ok();
}

void msetnx_command(Context& context, Args args) {
  if (!in_pairs(context, args, "msetnx")) return;
  for (std::size_t i = 1; i < args.size(); i += 2) {
    if (context.find(args[i]) != nullptr) return context.reply.integer(0);
  }
  for (std::size_t i = 1; i < args.size(); i += 2) {
    context.write(args[i]).set_string(args[i + 1], false);
  }
  context.reply.integer(1);
}

void append_command(Context& context, Args args) {
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  const std::string_view old = string_of(object, scratch);
  const std::uint64_t size = old.size() + args[2].size();
  if (object != nullptr && !within_limit(context, size)) return;
  context.reply.integer(static_cast<std::int64_t>(size));
  if (object != nullptr && args[2].empty()) return;
  std::string value;
  value.reserve(size);
  value.append(old).append(args[2]);
  context.write(args[1]).set_string(context.keep(std::move(value)), true);
}

void strlen_command(Context& context, Args args) {
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  context.reply.integer(static_cast<std::int64_t>(string_of(object, scratch).size()));
}

void getrange_command(Context& context, Args args) {
  std::int64_t start;
  std::int64_t end;
  if (!read_integer(context, args[2], start) || !read_integer(context, args[3], end)) return;
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  const std::string_view value = string_of(object, scratch);
  const auto size = static_cast<std::int64_t>(value.size());
  if (start < 0 && end < 0 && start > end) return context.reply.bulk({});
  if (start < 0) start = std::max<std::int64_t>(start + size, 0);
  if (end < 0) end = std::max<std::int64_t>(end + size, 0);
  end = std::min(end, size - 1);
  if (start > end) return context.reply.bulk({});
  context.reply.bulk(
      value.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start + 1)));
}

void setrange_command(Context& context, Args args) {
  std::int64_t offset;
  if (!read_integer(context, args[2], offset)) return;
  if (offset < 0) return context.reply.error("ERR offset is out of range");
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  const std::string_view old = string_of(object, scratch);
  const std::string_view patch = args[3];
  if (patch.empty()) return context.reply.integer(static_cast<std::int64_t>(old.size()));
  const auto at = static_cast<std::uint64_t>(offset);
  if (!within_limit(context, at + patch.size())) return;
  std::string value(old);
  value.resize(std::max<std::size_t>(old.size(), at + patch.size()));
  patch.copy(value.data() + at, patch.size());
  context.reply.integer(static_cast<std::int64_t>(value.size()));
  context.write(args[1]).set_string(context.keep(std::move(value)), true);
}

constexpr Command kStringCommands[] = {
    {.name = "get",
     .group = "string",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = get_command,
     .lists = Lists::kString,
     .docs = {.since = "1.0.0",
              .summary = "Value of a string",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO access"}},
    {.name = "set",
     .group = "string",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = set_command,
     .docs = {.since = "1.0.0",
              .summary = "Set a string, whatever the key held before",
              .complexity = "O(1)",
              .arguments = "key value [condition(NX|XX|IFEQ comparison-value)] [GET] "
                           "[expiration(EX seconds:integer|PX milliseconds:integer|EXAT "
                           "unix-time-seconds:unix-time|"
                           "PXAT unix-time-milliseconds:unix-time|KEEPTTL)]",
              .key_spec = "RW access update variable_flags"}},
    {.name = "delifeq",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = delifeq_command,
     .docs = {.since = "0.1.0",
              .summary = "Delete a string if it has this value, as in Valkey 9",
              .complexity = "O(1)",
              .arguments = "key value",
              .key_spec = "RW access delete"}},
    {.name = "setnx",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = setnx_command,
     .docs = {.since = "1.0.0",
              .summary = "Set a string only if the key does not exist",
              .complexity = "O(1)",
              .arguments = "key value",
              .key_spec = "OW insert"}},
    {.name = "setex",
     .group = "string",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = setex_command,
     .docs = {.since = "2.0.0",
              .summary = "Set a string that expires after some seconds",
              .complexity = "O(1)",
              .arguments = "key seconds:integer value",
              .key_spec = "OW update"}},
    {.name = "psetex",
     .group = "string",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = psetex_command,
     .docs = {.since = "2.6.0",
              .summary = "Set a string that expires after some milliseconds",
              .complexity = "O(1)",
              .arguments = "key milliseconds:integer value",
              .key_spec = "OW update"}},
    {.name = "getset",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = getset_command,
     .docs = {.since = "1.0.0",
              .summary = "Set a string and return what it was",
              .complexity = "O(1)",
              .arguments = "key value",
              .key_spec = "RW access update"}},
    {.name = "getdel",
     .group = "string",
     .arity = 2,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = getdel_command,
     .docs = {.since = "6.2.0",
              .summary = "Return a string and delete it",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RW access delete"}},
    {.name = "getex",
     .group = "string",
     .arity = -2,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = getex_command,
     .docs = {.since = "6.2.0",
              .summary = "Return a string and change its expiry",
              .complexity = "O(1)",
              .arguments = "key "
                           "[expiration(EX seconds:integer|PX milliseconds:integer|EXAT "
                           "unix-time-seconds:unix-time|"
                           "PXAT unix-time-milliseconds:unix-time|PERSIST)]",
              .key_spec = "RW access update"}},
    {.name = "mget",
     .group = "string",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = kAllWords,
     .split = Split::kGather,
     .handler = mget_command,
     .docs = {.since = "1.0.0",
              .summary = "Values of several strings",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key...",
              .key_spec = "RO access",
              .tips = "request_policy:multi_shard"}},
    {.name = "mset",
     .group = "string",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kEverySecondWord,
     .split = Split::kOk,
     .handler = mset_command,
     .docs = {.since = "1.0.1",
              .summary = "Set several strings",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key_value(key value)...",
              .key_spec = "OW update",
              .tips = "request_policy:multi_shard response_policy:all_succeeded"}},
    {.name = "msetnx",
     .group = "string",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kEverySecondWord,
     .handler = msetnx_command,
     .docs = {.since = "1.0.1",
              .summary = "Set several strings only if none of the keys exists",
              .complexity = "O(N) where N is the number of keys",
              .arguments = "key_value(key value)...",
              .key_spec = "OW insert",
              .tips = "request_policy:multi_shard response_policy:agg_min"}},
    {.name = "append",
     .group = "string",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = append_command,
     .docs = {.since = "2.0.0",
              .summary = "Add bytes to the end of a string",
              .complexity = "O(N) where N is the length of the whole string",
              .arguments = "key value",
              .key_spec = "RW insert"}},
    {.name = "strlen",
     .group = "string",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = strlen_command,
     .docs = {.since = "2.2.0",
              .summary = "Length of a string in bytes",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO"}},
    {.name = "getrange",
     .group = "string",
     .arity = 4,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = getrange_command,
     .docs = {.since = "2.4.0",
              .summary = "Part of a string, by offsets",
              .complexity = "O(N) where N is the length of the part",
              .arguments = "key start:integer end:integer",
              .key_spec = "RO access"}},
    {.name = "substr",
     .group = "string",
     .arity = 4,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = getrange_command,
     .docs = {.since = "1.0.0",
              .summary = "Part of a string, by offsets",
              .complexity = "O(N) where N is the length of the part",
              .arguments = "key start:integer end:integer",
              .key_spec = "RO access"}},
    {.name = "setrange",
     .group = "string",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = setrange_command,
     .docs = {.since = "2.2.0",
              .summary = "Overwrite part of a string from an offset on",
              .complexity = "O(N) where N is the length of the whole string",
              .arguments = "key offset:integer value",
              .key_spec = "RW update"}},
};

}  // namespace

std::span<const Command> string_commands() { return kStringCommands; }

}  // namespace even
