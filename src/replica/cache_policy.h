// What a node does when its memory is over the limit: keep all keys, and objects in the store alone
// where memory cannot hold them, or delete keys, as a cache does. Redis's names and meanings.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace even {

enum class CachePolicy : std::uint8_t {
  kNoEviction,
  kAllKeysLru,
  kAllKeysLfu,
  kAllKeysRandom,
  kVolatileLru,
  kVolatileLfu,
  kVolatileRandom,
  kVolatileTtl,
};

// In the order of the enumeration.
inline constexpr std::array<std::string_view, 8> kCachePolicyNames = {
    "noeviction",   "allkeys-lru",  "allkeys-lfu",     "allkeys-random",
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"};

constexpr std::string_view to_string(CachePolicy policy) {
  return kCachePolicyNames[static_cast<std::size_t>(policy)];
}
std::optional<CachePolicy> parse_cache_policy(std::string_view name);

// Only keys with an expiry are deleted.
constexpr bool only_expiring(CachePolicy policy) { return policy >= CachePolicy::kVolatileLru; }

}  // namespace even
