#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
// As in xxh_x86dispatch.h, which cannot be included where the rest is inline: the same values, by
// the widest vectors that the processor has, three times as fast.
extern "C" XXH64_hash_t XXH3_64bits_dispatch(const void* bytes, std::size_t size);
extern "C" XXH64_hash_t XXH3_64bits_withSeed_dispatch(const void* bytes, std::size_t size,
                                                      XXH64_hash_t seed);
#else
#define XXH3_64bits_dispatch XXH3_64bits
#define XXH3_64bits_withSeed_dispatch XXH3_64bits_withSeed
#endif

namespace even {
namespace {

// Shorter ones are over before the call.
constexpr std::size_t kLong = 512;

}  // namespace

std::uint64_t hash64(std::string_view bytes) {
  if (bytes.size() >= kLong) return XXH3_64bits_dispatch(bytes.data(), bytes.size());
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  if (bytes.size() >= kLong) {
    return XXH3_64bits_withSeed_dispatch(bytes.data(), bytes.size(), seed);
  }
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace even
