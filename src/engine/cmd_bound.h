// Bounded counters: see docs/bounds.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/context.h"
#include "lattice/types/bound.h"

namespace even {

inline constexpr std::string_view kBoundedTakesIntegers =
    "ERR a bounded counter takes integers only: EVEN.BOUND key NONE takes the bound away";
// How the error begins of a command that lacks rights, and which has noted that (Context::lack()).
inline constexpr std::string_view kNoRights = "NORIGHTS ";

// INCRBY of a key that holds this counter. Replies.
void increment_bounded(Context& context, std::string_view key, const BoundedCounter& counter,
                       std::int64_t by);
// What EVEN.EXPLAIN says of a bounded counter, line by line.
std::vector<std::string> explain_bounded(const Object& object, const Keyspace& keyspace,
                                         const PartitionState& state);

}  // namespace even
