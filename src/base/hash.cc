#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <immintrin.h>

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

#if defined(__x86_64__)
// The library's functions return with the upper halves of vector registers in use. Until these are
// cleared, processors pay some hundred cycles each time that instructions of SSE (of which programs
// for any x86-64 are made) follow ones of AVX (of which libc copies 16 to 31 bytes): that made
// replies of short strings three times as expensive. Intel 64 and IA-32 Architectures Optimization
// Reference Manual, "Mixing AVX code with SSE code".
[[gnu::target("avx")]] void clear_upper_halves() { _mm256_zeroupper(); }

std::uint64_t after_wide_vectors(std::uint64_t hash) {
  static const bool has_avx = __builtin_cpu_supports("avx") != 0;
  if (has_avx) clear_upper_halves();
  return hash;
}
#else
std::uint64_t after_wide_vectors(std::uint64_t hash) { return hash; }
#endif

}  // namespace

std::uint64_t hash64(std::string_view bytes) {
  if (bytes.size() >= kLong) {
    return after_wide_vectors(XXH3_64bits_dispatch(bytes.data(), bytes.size()));
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  if (bytes.size() >= kLong) {
    return after_wide_vectors(XXH3_64bits_withSeed_dispatch(bytes.data(), bytes.size(), seed));
  }
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

struct Hash64::State {
  alignas(64) XXH3_state_t xxh3;
};

Hash64::Hash64() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh3); }
Hash64::Hash64(Hash64&&) noexcept = default;
Hash64::~Hash64() = default;

void Hash64::add(std::string_view bytes) {
  XXH3_64bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

std::uint64_t Hash64::value() const { return XXH3_64bits_digest(&state_->xxh3); }

}  // namespace even
