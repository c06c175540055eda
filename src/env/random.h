// Randomness for the core: seeded from the operating system in the server, from the run's seed in
// the simulator.
#pragma once

#include <cstdint>
#include <random>

namespace even {

// xoshiro-like quality is not needed; determinism and speed are.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t next() { return engine_(); }
  // Uniform in [0, bound); bound must not be 0. The bias of the modulo is below 2^-32 for any bound
  // under 2^32.
  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
  bool chance(double probability) {
    return static_cast<double>(engine_() >> 11) * 0x1.0p-53 < probability;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace even
