// What Even tells clients that look for a version of Redis.
#pragma once

#include <string_view>

namespace even {

// The version whose commands and replies Even follows. Clients choose features by it.
inline constexpr std::string_view kRedisVersion = "7.0.15";

}  // namespace even
