// XXH3 with a fixed seed. Hash values are part of what replicas compare (digests), so the function
// and its seed belong to the peer protocol: changing them needs a new protocol version.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace even {

std::uint64_t hash64(std::string_view bytes);
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed);

// hash64() of bytes that come one after the other.
class Hash64 {
 public:
  Hash64();
  Hash64(Hash64&&) noexcept;
  ~Hash64();
  void add(std::string_view bytes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Mixes two 64-bit values into one; not commutative.
constexpr std::uint64_t hash_mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2));
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  return x;
}

}  // namespace even
