// A dot in eight bytes, for what is held in memory by the million: the replica's place in a table
// of this process in the upper 16 bits, the sequence number in the lower 48. It means something in
// this process only and never leaves it.
//
// Not every dot has such a form: the table holds 65,535 replica runs, and a sequence number may
// exceed 48 bits. Whoever uses it has a longer form for those.
#pragma once

#include <cstdint>
#include <optional>

#include "lattice/version_vector.h"

namespace even {

class CompactDot {
 public:
  static constexpr std::uint64_t kMaxSeq = (std::uint64_t{1} << 48) - 1;
  static constexpr std::size_t kMaxReplicas = 0xffff;  // place 0xffff is never given out

  // Nothing when the dot has no such form. From any thread.
  static std::optional<CompactDot> make(const Dot& dot);
  static CompactDot from_bits(std::uint64_t bits) { return CompactDot(bits); }

  Dot dot() const { return {replica(bits_ >> 48), seq()}; }
  std::uint64_t seq() const { return bits_ & kMaxSeq; }
  std::uint64_t bits() const { return bits_; }

 private:
  explicit CompactDot(std::uint64_t bits) : bits_(bits) {}
  static ReplicaId replica(std::uint64_t place);

  std::uint64_t bits_;
};

}  // namespace even
