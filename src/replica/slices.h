// How long work that makes room goes on within a turn, while clients wait: eviction, deletion,
// passes.
#pragma once

#include <cstdint>

namespace even {

inline constexpr std::int64_t kSliceUs = 2'000;
// Above so many times the room that there is, writes outrun it: it gets more of the time.
inline constexpr double kHighPressure = 1.05;
inline constexpr std::int64_t kLongSliceUs = 20'000;

}  // namespace even
