// Randomness for the core: seeded from the operating system in the server, from the run's seed in
// the simulator.
#pragma once

#include <cstdint>
#include <optional>
#include <random>

namespace even {

// xoshiro-like quality is not needed; determinism and speed are. Whoever asks for no number does
// not pay for an engine: each entry of a group has a seed, and few commands use it.
class Random {
 public:
  explicit Random(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t next() { return engine()(); }
  // Uniform in [0, bound); bound must not be 0. The bias of the modulo is below 2^-32 for any bound
  // under 2^32.
  std::uint64_t below(std::uint64_t bound) { return engine()() % bound; }
  bool chance(double probability) {
    return static_cast<double>(engine()() >> 11) * 0x1.0p-53 < probability;
  }

 private:
  std::mt19937_64& engine() { return engine_ ? *engine_ : engine_.emplace(seed_); }

  std::uint64_t seed_;
  std::optional<std::mt19937_64> engine_;
};

}  // namespace even
