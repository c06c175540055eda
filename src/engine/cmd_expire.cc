// Expiry. A key's expiry is an instant on the wall clock, the same on every replica; a reader does
// not see the key from that instant on.
#include <algorithm>
#include <limits>

#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

struct ExpireOptions {
  bool if_none = false;     // NX
  bool if_some = false;     // XX
  bool if_later = false;    // GT
  bool if_earlier = false;  // LT
};

bool parse_options(Context& context, Args args, ExpireOptions& out) {
  for (std::string_view word : args.subspan(3)) {
    if (equals_ignore_case(word, "nx")) {
      out.if_none = true;
    } else if (equals_ignore_case(word, "xx")) {
      out.if_some = true;
    } else if (equals_ignore_case(word, "gt")) {
      out.if_later = true;
    } else if (equals_ignore_case(word, "lt")) {
      out.if_earlier = true;
    } else {
      // Redis quotes the word through a C string.
      context.reply.error("ERR Unsupported option " + std::string(word.substr(0, word.find('\0'))));
      return false;
    }
  }
  if (out.if_none && (out.if_some || out.if_later || out.if_earlier)) {
    context.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (out.if_later && out.if_earlier) {
    context.reply.error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

bool allows(const ExpireOptions& options, std::optional<std::int64_t> now, std::int64_t then) {
  if (options.if_none && now) return false;
  if (options.if_some && !now) return false;
  if (options.if_later && (!now || then <= *now)) return false;  // no expiry is the latest of all
  return !(options.if_earlier && now && then >= *now);
}

void set_expiry(Context& context, Args args, std::string_view command, bool seconds,
                bool relative) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  ExpireOptions options;
  if (!parse_options(context, args, options)) return;
  std::int64_t at_ms;
  if (!read_integer(context, args[2], at_ms)) return;
  if (seconds) {
    if (at_ms > kMax / 1000 || at_ms < kMin / 1000) {
      return context.reply.error(invalid_expire(command));
    }
    at_ms *= 1000;
  }
  if (relative) {
    if (at_ms > kMax - context.now_ms) return context.reply.error(invalid_expire(command));
    at_ms += context.now_ms;
  }
  const Object* object = context.find(args[1]);
  if (object == nullptr || !allows(options, object->expires_at_ms(), at_ms)) {
    return context.reply.integer(0);
  }
  if (at_ms <= context.now_ms) {
    context.write(args[1]).remove();
  } else {
    context.write(args[1]).expire_at(at_ms);
  }
  context.reply.integer(1);
}

void expire_command(Context& context, Args args) {
  set_expiry(context, args, "expire", true, true);
}
void pexpire_command(Context& context, Args args) {
  set_expiry(context, args, "pexpire", false, true);
}
void expireat_command(Context& context, Args args) {
  set_expiry(context, args, "expireat", true, false);
}
void pexpireat_command(Context& context, Args args) {
  set_expiry(context, args, "pexpireat", false, false);
}

void reply_expiry(Context& context, std::string_view key, bool seconds, bool relative) {
  const Object* object = context.find(key);
  if (object == nullptr) return context.reply.integer(-2);
  const std::optional<std::int64_t> at_ms = object->expires_at_ms();
  if (!at_ms) return context.reply.integer(-1);
  const std::int64_t value = relative ? std::max<std::int64_t>(*at_ms - context.now_ms, 0) : *at_ms;
  context.reply.integer(seconds ? value / 1000 + (value % 1000 >= 500) : value);
}

void ttl_command(Context& context, Args args) { reply_expiry(context, args[1], true, true); }
void pttl_command(Context& context, Args args) { reply_expiry(context, args[1], false, true); }
void expiretime_command(Context& context, Args args) {
  reply_expiry(context, args[1], true, false);
}
void pexpiretime_command(Context& context, Args args) {
  reply_expiry(context, args[1], false, false);
}

void persist_command(Context& context, Args args) {
  const Object* object = context.find(args[1]);
  if (object == nullptr || object->expiry() == nullptr) return context.reply.integer(0);
  context.write(args[1]).persist();
  context.reply.integer(1);
}

constexpr Command kExpireCommands[] = {
    {.name = "expire",
     .group = "generic",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = expire_command,
     .docs = {.since = "1.0.0",
              .summary = "Let a key expire after some seconds",
              .complexity = "O(1)",
              .arguments = "key seconds:integer [condition(NX|XX|GT|LT)]",
              .key_spec = "RW update"}},
    {.name = "pexpire",
     .group = "generic",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = pexpire_command,
     .docs = {.since = "2.6.0",
              .summary = "Let a key expire after some milliseconds",
              .complexity = "O(1)",
              .arguments = "key milliseconds:integer [condition(NX|XX|GT|LT)]",
              .key_spec = "RW update"}},
    {.name = "expireat",
     .group = "generic",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = expireat_command,
     .docs = {.since = "1.2.0",
              .summary = "Let a key expire at a Unix time in seconds",
              .complexity = "O(1)",
              .arguments = "key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)]",
              .key_spec = "RW update"}},
    {.name = "pexpireat",
     .group = "generic",
     .arity = -3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = pexpireat_command,
     .docs = {.since = "2.6.0",
              .summary = "Let a key expire at a Unix time in milliseconds",
              .complexity = "O(1)",
              .arguments = "key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)]",
              .key_spec = "RW update"}},
    {.name = "ttl",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = ttl_command,
     .docs = {.since = "1.0.0",
              .summary = "Seconds until a key expires",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "pttl",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = pttl_command,
     .docs = {.since = "2.6.0",
              .summary = "Milliseconds until a key expires",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "expiretime",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = expiretime_command,
     .docs = {.since = "7.0.0",
              .summary = "Unix time in seconds at which a key expires",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO access"}},
    {.name = "pexpiretime",
     .group = "generic",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = pexpiretime_command,
     .docs = {.since = "7.0.0",
              .summary = "Unix time in milliseconds at which a key expires",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RO access"}},
    {.name = "persist",
     .group = "generic",
     .arity = 2,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = persist_command,
     .docs = {.since = "2.2.0",
              .summary = "Take the expiry off a key",
              .complexity = "O(1)",
              .arguments = "key",
              .key_spec = "RW update"}},
};

}  // namespace

std::span<const Command> expire_commands() { return kExpireCommands; }

}  // namespace even
