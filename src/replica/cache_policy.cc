#include "replica/cache_policy.h"

#include <algorithm>

namespace even {

std::optional<CachePolicy> parse_cache_policy(std::string_view name) {
  const auto found = std::ranges::find(kCachePolicyNames, name);
  if (found == kCachePolicyNames.end()) return std::nullopt;
  return static_cast<CachePolicy>(found - kCachePolicyNames.begin());
}

}  // namespace even
