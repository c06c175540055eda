#include "engine/blocking.h"

#include <cmath>
#include <optional>

#include "engine/text.h"

namespace even {
namespace {

constexpr long double kMostMs = 0x1p63L;
// More than a century is for ever.
constexpr long double kForever = 100.0L * 366 * 86'400'000;

std::optional<long double> timeout_ms(std::string_view word) {
  const std::optional<long double> seconds = parse_long_double(word);
  if (!seconds || std::isnan(*seconds)) return std::nullopt;
  return std::ceil(*seconds * 1000);
}

}  // namespace

bool check_timeout(Context& context, std::string_view word) {
  const std::optional<long double> ms = timeout_ms(word);
  const std::string_view error = !ms             ? "ERR timeout is not a float or out of range"
                                 : *ms > kMostMs ? "ERR timeout is out of range"
                                 : *ms < 0       ? "ERR timeout is negative"
                                 : *ms > kMostMs - static_cast<long double>(context.now_ms)
                                     ? "ERR timeout is out of range"
                                     : "";
  if (!error.empty()) context.reply.error(error);
  return error.empty();
}

bool read_multi_pop(Context& context, Args words, const std::string_view (&ends)[2],
                    MultiPop& out) {
  constexpr std::string_view kNoKeys = "ERR numkeys should be greater than 0";
  constexpr std::string_view kNoCount = "ERR count should be greater than 0";
  const auto failed = [&context](std::string_view error) {
    context.reply.error(error);
    return false;
  };
  std::int64_t keys;
  if (!read_integer(context, words[0], keys, kNoKeys)) return false;
  if (keys < 1) return failed(kNoKeys);
  words = words.subspan(1);
  if (static_cast<std::uint64_t>(keys) >= words.size()) return failed(kSyntaxError);
  out.keys = words.first(static_cast<std::size_t>(keys));
  words = words.subspan(out.keys.size());
  out.first_end = equals_ignore_case(words[0], ends[0]);
  if (!out.first_end && !equals_ignore_case(words[0], ends[1])) return failed(kSyntaxError);
  words = words.subspan(1);
  std::int64_t count = 1;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i > 0 || i + 1 == words.size() || !equals_ignore_case(words[i], "count")) {
      return failed(kSyntaxError);
    }
    if (!read_integer(context, words[i + 1], count, kNoCount)) return false;
    if (count < 1) return failed(kNoCount);
  }
  out.count = static_cast<std::size_t>(count);
  return true;
}

namespace {

// The word behind BLOCK of a command on streams, before the keys.
std::optional<std::string_view> milliseconds_of(const Command& command, Args args) {
  for (std::size_t i = 1; i + 1 < args.size(); ++i) {
    if (equals_ignore_case(args[i], command.keys.keyword)) break;
    if (equals_ignore_case(args[i], "block")) return args[i + 1];
    i += words_of_option(args[i]);
  }
  return std::nullopt;
}

}  // namespace

bool may_block(const Command& command, Args args) {
  if (!may_block(command)) return false;
  return command.keys.keyword.empty() || milliseconds_of(command, args).has_value();
}

std::int64_t blocking_timeout_ms(const Command& command, Args args) {
  if (!command.keys.keyword.empty()) {
    const auto word = milliseconds_of(command, args);
    const std::int64_t ms = word ? parse_integer(*word).value_or(0) : 0;
    return static_cast<long double>(ms) > kForever ? 0 : ms;
  }
  // Of several counted keys it is the first word.
  const std::string_view word = command.keys.count > 0 ? args[1] : args.back();
  const long double ms = timeout_ms(word).value_or(0);
  return ms > kForever ? 0 : static_cast<std::int64_t>(ms);
}

}  // namespace even
