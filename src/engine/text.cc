#include "engine/text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace even {

std::string wrong_arity(std::string_view command) {
  return fmt::format("ERR wrong number of arguments for '{}' command", command);
}

std::string invalid_expire(std::string_view command) {
  return fmt::format("ERR invalid expire time in '{}' command", command);
}

bool read_integer(Context& context, std::string_view text, std::int64_t& out,
                  std::string_view error) {
  const std::optional<std::int64_t> value = parse_integer(text);
  if (!value) {
    context.reply.error(error);
    return false;
  }
  out = *value;
  return true;
}

std::optional<RealSum> add_reals(Context& context, long double current, long double increment) {
  const long double sum = current + increment;
  if (!std::isfinite(sum)) {
    context.reply.error(kNanOrInfinity);
    return std::nullopt;
  }
  const std::string_view text = context.keep(format_real(sum));
  return RealSum{text, parse_real(text).value_or(sum)};
}

bool read_expiry(Context& context, std::string_view command, std::string_view text, bool seconds,
                 bool relative, std::int64_t& at_ms) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::int64_t value;
  if (!read_integer(context, text, value)) return false;
  if (value <= 0 || (seconds && value > kMax / 1000)) {
    context.reply.error(invalid_expire(command));
    return false;
  }
  if (seconds) value *= 1000;
  if (relative) {
    if (value > kMax - context.now_ms) {
      context.reply.error(invalid_expire(command));
      return false;
    }
    value += context.now_ms;
  }
  at_ms = value;
  return true;
}

}  // namespace even
