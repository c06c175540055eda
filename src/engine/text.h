// Small helpers for the words of a command: comparison without regard to case, numbers, and the
// error texts that several families share. The texts are Redis's, because clients compare them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/context.h"

namespace even {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNotFloat = "ERR value is not a valid float";
inline constexpr std::string_view kNotPositive = "ERR value is out of range, must be positive";
inline constexpr std::string_view kOverflow = "ERR increment or decrement would overflow";
inline constexpr std::string_view kNanOrInfinity = "ERR increment would produce NaN or Infinity";
inline constexpr std::string_view kStringTooLong =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

inline constexpr std::uint64_t kMaxStringBytes = 512ull << 20;

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// `lower` is in lower case.
constexpr bool equals_ignore_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

// Redis quotes client bytes through C strings: what follows a NUL byte is not shown.
constexpr std::string_view quotable(std::string_view text,
                                    std::size_t limit = std::string_view::npos) {
  return text.substr(0, std::min(text.find('\0'), limit));
}

// "ERR wrong number of arguments for 'get' command".
std::string wrong_arity(std::string_view command);
// "ERR invalid expire time in 'set' command".
std::string invalid_expire(std::string_view command);

// Replies `error` and returns false when `text` is not an integer.
bool read_integer(Context& context, std::string_view text, std::int64_t& out,
                  std::string_view error = kNotInteger);

// A number as Redis reads one for INCRBYFLOAT; infinities are numbers here, though no result may be
// one.
std::optional<long double> parse_long_double(std::string_view text);
// Adds as Redis does, in long double. Replies an error and returns nothing when the sum is not
// finite; else returns the sum as text, kept in `context`, and the number which that text denotes.
struct RealSum {
  std::string_view text;
  Real value;
};
std::optional<RealSum> add_reals(Context& context, long double current, long double increment);

// The time at which something expires, from an option's argument. Replies an error that names
// `command` and returns false when it is not an integer, not positive, or beyond 64 bits of
// milliseconds.
bool read_expiry(Context& context, std::string_view command, std::string_view text, bool seconds,
                 bool relative, std::int64_t& at_ms);

}  // namespace even
