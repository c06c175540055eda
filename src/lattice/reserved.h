// Keys that are not clients': what a partition keeps for the database itself.
#pragma once

#include <string_view>

namespace even {

inline constexpr std::string_view kReservedPrefix{"\0even:", 6};
constexpr bool is_reserved(std::string_view key) { return key.starts_with(kReservedPrefix); }

}  // namespace even
