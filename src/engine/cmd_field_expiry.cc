// Expiry of hash fields, as Redis 7.4 and 8 have it: see docs/field-expiry.md. A field's expiry is
// an instant, as a key's is; a reader does not see the field from that instant on.
#include <absl/container/flat_hash_map.h>

#include <string>

#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::int64_t kLastInstantMs = ((std::int64_t{1} << 48) - 1) >> 2;  // Redis's

constexpr std::string_view kNoFieldsWord =
    "ERR Mandatory argument FIELDS is missing or not at the right position";
constexpr std::string_view kWrongNumber =
    "ERR The `numfields` parameter must match the number of arguments";
constexpr std::string_view kNoNumber = "ERR Number of fields must be a positive integer";

enum class Condition : std::uint8_t { kNone, kIfNone, kIfSome, kIfLater, kIfEarlier };
// What HEXPIRE replies of a field.
constexpr std::int64_t kNoSuchField = -2;
constexpr std::int64_t kConditionNotMet = 0;
constexpr std::int64_t kExpirySet = 1;
constexpr std::int64_t kFieldRemoved = 2;
// What HTTL and HPERSIST reply of one without an expiry.
constexpr std::int64_t kNoExpiry = -1;

// A hash as one command sees it that may name a field twice.
class ExpiringHash {
 public:
  // False after an error.
  bool find(Context& context, std::string_view key) {
    const Object* object;
    if (!context.find(key, ObjectType::kHash, object)) return false;
    context_ = &context;
    key_ = key;
    if (object != nullptr) fields_ = VisibleFields(*object, context.now_ms);
    return true;
  }

  bool is_there() const { return fields_.size() > 0; }
  // Nothing when it is not there, or has been removed.
  std::optional<ScalarView> value(std::string_view field) const {
    if (const auto done = done_.find(field); done != done_.end() && done->second.removed) {
      return std::nullopt;
    }
    const ScalarView scalar = fields_.find(field);
    return scalar.live() ? std::optional(scalar) : std::nullopt;
  }
  std::optional<std::int64_t> expires_at_ms(std::string_view field) const {
    const auto done = done_.find(field);
    return done != done_.end() ? done->second.at_ms : fields_.expires_at_ms(field);
  }

  // These are for fields that are there.
  void expire(std::string_view field, std::int64_t at_ms) {
    if (at_ms <= context_->now_ms) return remove(field);
    context_->write(key_).expire_field(field, at_ms);
    done_[field] = {.at_ms = at_ms};
  }
  void persist(std::string_view field) {
    context_->write(key_).persist_field(field);
    done_[field] = {};
  }
  void remove(std::string_view field) {
    KeyWriter& writer = context_->write(key_);
    writer.remove_field(field);
    done_[field] = {.removed = true};
    if (++removed_ == fields_.size()) writer.persist();
  }

 private:
  struct Done {
    bool removed = false;
    std::optional<std::int64_t> at_ms;
  };

  Context* context_ = nullptr;
  std::string_view key_;
  VisibleFields fields_;
  absl::flat_hash_map<std::string_view, Done> done_;
  std::size_t removed_ = 0;
};

// An instant, from a word that says one or a span from now. False after an error.
bool read_instant(Context& context, std::string_view word, std::string_view command, bool seconds,
                  bool relative, std::int64_t& at_ms) {
  if (!read_integer(context, word, at_ms)) return false;
  const auto refuse = [&](std::string_view why) {
    context.reply.error(why);
    return false;
  };
  if (at_ms < 0) return refuse("ERR invalid expire time, must be >= 0");
  if (seconds) {
    if (at_ms > kLastInstantMs / 1000) return refuse(invalid_expire(command));
    at_ms *= 1000;
  }
  const std::int64_t from_ms = relative ? context.now_ms : 0;
  if (at_ms > kLastInstantMs - from_ms) return refuse(invalid_expire(command));
  at_ms += from_ms;
  return true;
}

// Reads "FIELDS n field ...", of which the first word is at `place`. False after an error.
bool read_fields(Context& context, Args args, std::size_t place, std::string_view command,
                 std::string_view no_number, Args& fields) {
  const auto refuse = [&](std::string_view why) {
    context.reply.error(why);
    return false;
  };
  if (place >= args.size() || !equals_ignore_case(args[place], "fields")) {
    return refuse(kNoFieldsWord);
  }
  if (place + 1 >= args.size()) return refuse(wrong_arity(command));
  const std::optional<std::int64_t> number = parse_integer(args[place + 1]);
  if (!number || *number < 1) return refuse(no_number);
  fields = args.subspan(place + 2);
  if (static_cast<std::uint64_t>(*number) != fields.size()) return refuse(kWrongNumber);
  return true;
}

Condition condition_of(std::string_view word) {
  if (equals_ignore_case(word, "nx")) return Condition::kIfNone;
  if (equals_ignore_case(word, "xx")) return Condition::kIfSome;
  if (equals_ignore_case(word, "gt")) return Condition::kIfLater;
  if (equals_ignore_case(word, "lt")) return Condition::kIfEarlier;
  return Condition::kNone;
}

bool is_met(Condition condition, std::optional<std::int64_t> now, std::int64_t then) {
  switch (condition) {
    case Condition::kIfNone:
      return !now;
    case Condition::kIfSome:
      return now.has_value();
    case Condition::kIfLater:
      return now && then > *now;  // no expiry is the latest of all
    case Condition::kIfEarlier:
      return !now || then < *now;
    case Condition::kNone:
      break;
  }
  return true;
}

void expire_fields(Context& context, Args args, std::string_view command, bool seconds,
                   bool relative) {
  ExpiringHash hash;
  if (!hash.find(context, args[1])) return;
  std::int64_t at_ms;
  if (!read_instant(context, args[2], command, seconds, relative, at_ms)) return;
  const Condition condition = condition_of(args[3]);
  Args fields;
  if (!read_fields(context, args, condition == Condition::kNone ? 3 : 4, command,
                   "ERR Parameter `numFields` should be greater than 0", fields)) {
    return;
  }
  context.reply.array(fields.size());
  for (const std::string_view field : fields) {
    if (!hash.value(field)) {
      context.reply.integer(kNoSuchField);
    } else if (!is_met(condition, hash.expires_at_ms(field), at_ms)) {
      context.reply.integer(kConditionNotMet);
    } else {
      hash.expire(field, at_ms);
      context.reply.integer(at_ms <= context.now_ms ? kFieldRemoved : kExpirySet);
    }
  }
}

void hexpire_command(Context& context, Args args) {
  expire_fields(context, args, "hexpire", true, true);
}
void hpexpire_command(Context& context, Args args) {
  expire_fields(context, args, "hpexpire", false, true);
}
void hexpireat_command(Context& context, Args args) {
  expire_fields(context, args, "hexpireat", true, false);
}
void hpexpireat_command(Context& context, Args args) {
  expire_fields(context, args, "hpexpireat", false, false);
}

void reply_expiries(Context& context, Args args, std::string_view command, bool seconds,
                    bool relative) {
  ExpiringHash hash;
  if (!hash.find(context, args[1])) return;
  Args fields;
  if (!read_fields(context, args, 2, command, kNoNumber, fields)) return;
  context.reply.array(fields.size());
  for (const std::string_view field : fields) {
    if (!hash.value(field)) {
      context.reply.integer(kNoSuchField);
      continue;
    }
    const auto at_ms = hash.expires_at_ms(field);
    if (!at_ms) {
      context.reply.integer(kNoExpiry);
      continue;
    }
    const std::int64_t value = *at_ms - (relative ? context.now_ms : 0);
    context.reply.integer(seconds ? (value + 999) / 1000 : value);  // rounded up, unlike TTL
  }
}

void httl_command(Context& context, Args args) {
  reply_expiries(context, args, "httl", true, true);
}
void hpttl_command(Context& context, Args args) {
  reply_expiries(context, args, "hpttl", false, true);
}
void hexpiretime_command(Context& context, Args args) {
  reply_expiries(context, args, "hexpiretime", true, false);
}
void hpexpiretime_command(Context& context, Args args) {
  reply_expiries(context, args, "hpexpiretime", false, false);
}

void hpersist_command(Context& context, Args args) {
  ExpiringHash hash;
  if (!hash.find(context, args[1])) return;
  Args fields;
  if (!read_fields(context, args, 2, "hpersist", kNoNumber, fields)) return;
  context.reply.array(fields.size());
  for (const std::string_view field : fields) {
    if (!hash.value(field)) {
      context.reply.integer(kNoSuchField);
    } else if (!hash.expires_at_ms(field)) {
      context.reply.integer(kNoExpiry);
    } else {
      hash.persist(field);
      context.reply.integer(1);
    }
  }
}

void reply_field(Context& context, const std::optional<ScalarView>& value) {
  if (!value) return context.reply.null();
  std::string scratch;
  context.reply.bulk(value->value(scratch));
}

void hgetdel_command(Context& context, Args args) {
  ExpiringHash hash;
  if (!hash.find(context, args[1])) return;
  Args fields;
  if (!read_fields(context, args, 2, "hgetdel", kNoNumber, fields)) return;
  context.reply.array(fields.size());
  for (const std::string_view field : fields) {
    const auto value = hash.value(field);
    reply_field(context, value);
    if (value) hash.remove(field);
  }
}

// EX, PX, EXAT and PXAT.
struct ExpiryOption {
  std::string_view word;
  bool seconds;
  bool relative;
};
constexpr ExpiryOption kExpiryOptions[] = {
    {"ex", true, true}, {"px", false, true}, {"exat", true, false}, {"pxat", false, false}};
// Null when the word is none.
const ExpiryOption* expiry_option(std::string_view word) {
  for (const ExpiryOption& option : kExpiryOptions) {
    if (equals_ignore_case(word, option.word)) return &option;
  }
  return nullptr;
}

void hgetex_command(Context& context, Args args) {
  ExpiringHash hash;
  if (!hash.find(context, args[1])) return;
  std::size_t place = 2;
  std::int64_t at_ms = 0;
  const ExpiryOption* option = expiry_option(args[2]);
  const bool persists = equals_ignore_case(args[2], "persist");
  if (option != nullptr) {
    if (!read_instant(context, args[3], "hgetex", option->seconds, option->relative, at_ms)) return;
    place = 4;
  } else if (persists) {
    place = 3;
  }
  Args fields;
  if (!read_fields(context, args, place, "hgetex", kNoNumber, fields)) return;
  context.reply.array(fields.size());
  for (const std::string_view field : fields) {
    const auto value = hash.value(field);
    reply_field(context, value);
    if (!value) continue;
    if (option != nullptr) hash.expire(field, at_ms);
    if (persists && hash.expires_at_ms(field)) hash.persist(field);
  }
}

struct SetOptions {
  bool keeps_expiry = false;
  std::optional<std::int64_t> at_ms;
  bool if_all_there = false;   // FXX
  bool if_none_there = false;  // FNX
  bool if_key = false;         // XX
  bool if_no_key = false;      // NX
  Args pairs;
};

// Of HSETEX; NX and XX, about the key, are Valkey's. False after an error.
bool read_set_options(Context& context, Args args, SetOptions& out) {
  const auto refuse = [&](std::string_view why) {
    context.reply.error(why);
    return false;
  };
  for (std::size_t i = 2; i < args.size(); ++i) {
    const bool has_expiry = out.keeps_expiry || out.at_ms;
    constexpr std::string_view kTwoExpiries =
        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    if (equals_ignore_case(args[i], "fields")) {
      if (i + 3 >= args.size()) return refuse(wrong_arity("hsetex"));
      const std::optional<std::int64_t> number = parse_integer(args[i + 1]);
      if (!number || *number < 1 || *number > INT32_MAX)
        return refuse("ERR invalid number of fields");
      out.pairs = args.subspan(i + 2);
      if (out.pairs.size() != 2 * static_cast<std::uint64_t>(*number)) {
        return refuse(wrong_arity("hsetex"));
      }
      return true;
    }
    if (const ExpiryOption* option = expiry_option(args[i])) {
      if (has_expiry) return refuse(kTwoExpiries);
      if (++i >= args.size()) return refuse("ERR missing expire time");
      if (!read_instant(context, args[i], "hsetex", option->seconds, option->relative,
                        out.at_ms.emplace())) {
        return false;
      }
    } else if (equals_ignore_case(args[i], "keepttl")) {
      if (has_expiry) return refuse(kTwoExpiries);
      out.keeps_expiry = true;
    } else if (equals_ignore_case(args[i], "fxx") || equals_ignore_case(args[i], "fnx")) {
      if (out.if_all_there || out.if_none_there) {
        return refuse("ERR Only one of FXX or FNX arguments can be specified");
      }
      (equals_ignore_case(args[i], "fxx") ? out.if_all_there : out.if_none_there) = true;
    } else if (equals_ignore_case(args[i], "xx") || equals_ignore_case(args[i], "nx")) {
      if (out.if_key || out.if_no_key) {
        return refuse("ERR Only one of XX or NX arguments can be specified");
      }
      (equals_ignore_case(args[i], "xx") ? out.if_key : out.if_no_key) = true;
    } else {
      return refuse("ERR unknown argument: " + std::string(args[i].substr(0, args[i].find('\0'))));
    }
  }
  return refuse(wrong_arity("hsetex"));
}

void hsetex_command(Context& context, Args args) {
  SetOptions options;
  if (!read_set_options(context, args, options)) return;
  ExpiringHash hash;
  if (!hash.find(context, args[1])) return;
  const bool has_key = context.find(args[1]) != nullptr;
  if (has_key ? options.if_no_key : options.if_key) return context.reply.integer(0);
  for (std::size_t i = 0; i < options.pairs.size(); i += 2) {
    const bool there = hash.value(options.pairs[i]).has_value();
    if ((options.if_all_there && !there) || (options.if_none_there && there)) {
      return context.reply.integer(0);
    }
  }
  for (std::size_t i = 0; i < options.pairs.size(); i += 2) {
    const std::string_view field = options.pairs[i];
    if (options.at_ms && *options.at_ms <= context.now_ms) {
      if (hash.value(field)) hash.remove(field);
      continue;
    }
    KeyWriter& writer = context.write(args[1]);
    if (options.keeps_expiry) {
      writer.set_field_and_keep_expiry(field, options.pairs[i + 1]);
    } else {
      writer.set_field(field, options.pairs[i + 1]);
    }
    if (options.at_ms) writer.expire_field(field, *options.at_ms);
  }
  context.reply.integer(1);
}

constexpr std::string_view kOfEach = "O(N) where N is the number of fields given";

constexpr Command kFieldExpiryCommands[] = {
    {.name = "hexpire",
     .group = "hash",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hexpire_command,
     .docs = {.since = "7.4.0",
              .summary = "Let fields of a hash expire after some seconds",
              .complexity = kOfEach,
              .arguments = "key seconds:integer [condition(NX|XX|GT|LT)] "
                           "fields(FIELDS numfields:integer field...)",
              .key_spec = "RW update"}},
    {.name = "hpexpire",
     .group = "hash",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hpexpire_command,
     .docs = {.since = "7.4.0",
              .summary = "Let fields of a hash expire after some milliseconds",
              .complexity = kOfEach,
              .arguments = "key milliseconds:integer [condition(NX|XX|GT|LT)] "
                           "fields(FIELDS numfields:integer field...)",
              .key_spec = "RW update"}},
    {.name = "hexpireat",
     .group = "hash",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hexpireat_command,
     .docs = {.since = "7.4.0",
              .summary = "Let fields of a hash expire at a Unix time in seconds",
              .complexity = kOfEach,
              .arguments = "key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)] "
                           "fields(FIELDS numfields:integer field...)",
              .key_spec = "RW update"}},
    {.name = "hpexpireat",
     .group = "hash",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hpexpireat_command,
     .docs = {.since = "7.4.0",
              .summary = "Let fields of a hash expire at a Unix time in milliseconds",
              .complexity = kOfEach,
              .arguments = "key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)] "
                           "fields(FIELDS numfields:integer field...)",
              .key_spec = "RW update"}},
    {.name = "httl",
     .group = "hash",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = httl_command,
     .docs = {.since = "7.4.0",
              .summary = "Seconds until fields of a hash expire",
              .complexity = kOfEach,
              .arguments = "key fields(FIELDS numfields:integer field...)",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "hpttl",
     .group = "hash",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hpttl_command,
     .docs = {.since = "7.4.0",
              .summary = "Milliseconds until fields of a hash expire",
              .complexity = kOfEach,
              .arguments = "key fields(FIELDS numfields:integer field...)",
              .key_spec = "RO access",
              .tips = "nondeterministic_output"}},
    {.name = "hexpiretime",
     .group = "hash",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hexpiretime_command,
     .docs = {.since = "7.4.0",
              .summary = "Unix time in seconds at which fields of a hash expire",
              .complexity = kOfEach,
              .arguments = "key fields(FIELDS numfields:integer field...)",
              .key_spec = "RO access"}},
    {.name = "hpexpiretime",
     .group = "hash",
     .arity = -5,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = hpexpiretime_command,
     .docs = {.since = "7.4.0",
              .summary = "Unix time in milliseconds at which fields of a hash expire",
              .complexity = kOfEach,
              .arguments = "key fields(FIELDS numfields:integer field...)",
              .key_spec = "RO access"}},
    {.name = "hpersist",
     .group = "hash",
     .arity = -5,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = hpersist_command,
     .docs = {.since = "7.4.0",
              .summary = "Take the expiry off fields of a hash",
              .complexity = kOfEach,
              .arguments = "key fields(FIELDS numfields:integer field...)",
              .key_spec = "RW update"}},
    {.name = "hgetdel",
     .group = "hash",
     .arity = -5,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = hgetdel_command,
     .docs = {.since = "8.0.0",
              .summary = "Return values of fields of a hash and remove these",
              .complexity = kOfEach,
              .arguments = "key fields(FIELDS numfields:integer field...)",
              .key_spec = "RW access delete"}},
    {.name = "hgetex",
     .group = "hash",
     .arity = -5,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = hgetex_command,
     .docs = {.since = "8.0.0",
              .summary = "Return values of fields of a hash and change their expiry",
              .complexity = kOfEach,
              .arguments = "key [expiration(EX seconds:integer|PX milliseconds:integer|"
                           "EXAT unix-time-seconds:unix-time|"
                           "PXAT unix-time-milliseconds:unix-time|PERSIST)] "
                           "fields(FIELDS numfields:integer field...)",
              .key_spec = "RW access update"}},
    {.name = "hsetex",
     .group = "hash",
     .arity = -6,
     .flags = kWrite | kDenyOom | kFast,
     .keys = kFirstWord,
     .handler = hsetex_command,
     .docs = {.since = "8.0.0",
              .summary = "Set fields of a hash that expire",
              .complexity = kOfEach,
              .arguments = "key [key-condition(NX|XX)] [condition(FNX|FXX)] "
                           "[expiration(EX seconds:integer|PX milliseconds:integer|"
                           "EXAT unix-time-seconds:unix-time|"
                           "PXAT unix-time-milliseconds:unix-time|KEEPTTL)] "
                           "fields(FIELDS numfields:integer data(field value)...)",
              .key_spec = "RW update"}},
};

}  // namespace

std::span<const Command> field_expiry_commands() { return kFieldExpiryCommands; }

}  // namespace even
