// Keys that are not clients': what a partition keeps for the database itself.
#pragma once

#include <string_view>

namespace even {

inline constexpr std::string_view kReservedPrefix{"\0even:", 6};
// Of what groups remember of EVEN.ONCE.
inline constexpr std::string_view kOncePrefix{"\0once:", 6};
// Whether some key that begins with `prefix` is such a one, or only such ones do.
constexpr bool meets_reserved(std::string_view prefix) {
  for (const std::string_view reserved : {kReservedPrefix, kOncePrefix}) {
    if (prefix.starts_with(reserved) || reserved.starts_with(prefix)) return true;
  }
  return false;
}
constexpr bool is_reserved(std::string_view key) { return key.starts_with(kReservedPrefix); }

}  // namespace even
