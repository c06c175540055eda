#include "base/hash.h"

#include <gtest/gtest.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdint>
#include <string>

namespace even {
namespace {

// By XXH3 itself (xxhsum -H3): nodes compare such values, and logs and stores hold them.
TEST(Hash, IsTheSameOnEveryMachine) {
  struct Known {
    std::size_t bytes;
    std::uint64_t plain;
    std::uint64_t with_seed_7;
  };
  constexpr Known all[] = {{0, 0x2d06800538d394c2, 0x913ae0873e9b7eb8},
                           {1, 0xc44bdff4074eecdb, 0x2c45aa60ff5dc0e5},
                           {16, 0xf9fbd0260ba978df, 0xc79d803db6400bc0},
                           {200, 0xc56a3bc977e096fb, 0x6d0a4112e28cff59},
                           {511, 0xeff72e0404535388, 0x624df483f116e542},
                           {512, 0x16abf0502ba06baa, 0x8e1f631548c42a6e},
                           {5000, 0xc0dd97972a4d2de3, 0xb0298bc2307fa998},
                           {100'000, 0x99dbd27fc89c5372, 0x95caa5ecd7cf925e}};
  for (const Known& known : all) {
    std::string bytes;
    for (std::size_t i = 0; i < known.bytes; ++i) bytes += static_cast<char>(i * 31 + i / 256);
    EXPECT_EQ(hash64(bytes), known.plain) << known.bytes;
    EXPECT_EQ(hash64(bytes, 7), known.with_seed_7) << known.bytes;
    for (const std::size_t step : {1u, 7u, 256u, 5000u}) {
      Hash64 hash;
      for (std::size_t at = 0; at < bytes.size(); at += step) hash.add(bytes.substr(at, step));
      EXPECT_EQ(hash.value(), known.plain) << known.bytes << " by " << step;
    }
  }
}

#if defined(__x86_64__)
// Which parts of the processor's registers are in use, as it says: bit 2 is for the upper halves
// of vectors.
std::uint32_t registers_in_use() {
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  return low;
}

TEST(Hash, LeavesNoWideVectorsBehindThatSlowDownWhatFollows) {
  constexpr std::uint32_t kUpperHalves = 1u << 2;
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool can_tell = __get_cpuid_count(0xd, 1, &a, &b, &c, &d) != 0 && (a & (1u << 2)) != 0;
  if (!can_tell || !__builtin_cpu_supports("avx")) GTEST_SKIP() << "this processor does not tell";
  const std::string bytes(100'000, 'x');
  asm volatile("vzeroupper");
  const std::uint32_t before = registers_in_use() & kUpperHalves;
  const std::uint64_t hashes = hash64(bytes) ^ hash64(bytes, 7);
  EXPECT_EQ(registers_in_use() & kUpperHalves, before) << hashes;
}
#endif

}  // namespace
}  // namespace even
