// Consistency levels, as users name them: see docs/consistency.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::cluster {

struct Level {
  enum class Kind : std::uint8_t {
    kDefault,  // of the keyspace
    kOne,
    kReplicas,  // `number` of them: TWO, THREE, a number
    kQuorum,
    kAll,
    kSession,
    kCausal,
    kBounded,  // `number` milliseconds
    kSequential,
    kLinearizable,
  };
  Kind kind = Kind::kDefault;
  std::uint32_t number = 0;

  bool operator==(const Level&) const = default;
};

// The level that stands at the front of `words`, in any case, and how many of them it is: "ONE",
// "2", "BOUNDED 500".
struct LeadingLevel {
  Level level;
  std::size_t words = 1;
};
Result<LeadingLevel> leading_level(std::span<const std::string_view> words);
// As it is written: "QUORUM", "2", "BOUNDED 500"; "DEFAULT" for the keyspace's.
std::string to_string(Level level);

}  // namespace even::cluster
