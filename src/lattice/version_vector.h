// Dots and version vectors (Parker et al. 1983; Preguica et al., "Dotted Version Vectors", 2010).
//
// A dot names one record: the `seq`-th record that replica run `replica` made in this partition,
// counted from 1. A version vector says, for each replica run, up to which dot everything has been
// seen; delivery without gaps makes that a complete description.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <string>

#include "base/ids.h"

namespace even {

struct Dot {
  ReplicaId replica;
  std::uint64_t seq = 0;

  constexpr auto operator<=>(const Dot&) const = default;
  std::string to_string() const;  // "node/run:seq"
};

class VersionVector {
 public:
  enum class Order { kEqual, kBefore, kAfter, kConcurrent };

  // Entries are sorted by replica; an entry with seq 0 does not exist.
  using Entries = absl::InlinedVector<Dot, 4>;

  std::uint64_t operator[](ReplicaId replica) const {
    for (const Dot& entry : entries_) {
      if (entry.replica == replica) return entry.seq;
    }
    return 0;
  }
  bool covers(const Dot& dot) const { return (*this)[dot.replica] >= dot.seq; }
  bool covers(const VersionVector& other) const;
  // Raises the entry to at least dot.seq.
  void add(const Dot& dot);
  void merge(const VersionVector& other);
  // Lowers to the pointwise minimum: what both have seen.
  void meet(const VersionVector& other);
  Order compare(const VersionVector& other) const;
  // Number of records that this vector covers and `other` does not.
  std::uint64_t ahead_of(const VersionVector& other) const;

  bool empty() const { return entries_.empty(); }
  const Entries& entries() const { return entries_; }
  void clear() { entries_.clear(); }
  bool operator==(const VersionVector&) const = default;
  std::string to_string() const;  // "node/run:seq node/run:seq", sorted

 private:
  Entries entries_;
};

}  // namespace even
