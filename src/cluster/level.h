// Consistency levels, as users name them: see docs/consistency.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

}  // namespace even::cluster
