// Dots and version vectors (Parker et al. 1983; Preguica et al., "Dotted Version Vectors", 2010).
//
// A dot names one record: the `seq`-th record that replica run `replica` made in this partition,
// counted from 1. A version vector says, for each replica run, up to which dot everything has been
// seen; delivery without gaps makes that a complete description.
//
// So that a vector does not grow with every restart of a node, runs that are over are *folded*: the
// lowest entry of a line may say that everything there is of earlier runs of its line has been
// seen, and those have no entries then. It may say so only of runs of which every replica has all
// there will ever be; docs/folding.md says how that is known. A vector with less about them is
// then less, whatever its entries say: it may lack something.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <limits>
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

  // Sequence numbers in entries have 63 bits.
  static constexpr std::uint64_t kMaxSeq = std::numeric_limits<std::uint64_t>::max() >> 1;

  struct Entry {
    ReplicaId replica;
    std::uint64_t seq : 63 = 0;
    std::uint64_t folds : 1 = false;  // all earlier runs of the line have been seen

    constexpr Dot dot() const { return {replica, seq}; }
    constexpr operator Dot() const { return dot(); }
    constexpr bool operator==(const Entry&) const = default;
  };
  static_assert(sizeof(Entry) == sizeof(Dot));

  // Sorted by replica. There is no entry with seq 0, and none of a run before one that folds.
  using Entries = absl::InlinedVector<Entry, 4>;

  // Up to which record of a run everything has been seen. Of a run that is folded, that is how many
  // it has made, which this does not know: the number is then beyond all.
  std::uint64_t operator[](ReplicaId replica) const {
    for (const Entry& entry : entries_) {
      if (entry.replica == replica) return entry.seq;
    }
    return is_folded(replica) ? std::numeric_limits<std::uint64_t>::max() : 0;
  }
  bool covers(const Dot& dot) const { return (*this)[dot.replica] >= dot.seq; }
  // Of another vector: its dot, and what it folds.
  bool covers_entry(const Entry& entry) const;
  bool covers(const VersionVector& other) const;
  // Raises the entry to at least dot.seq.
  void add(const Dot& dot);
  // Everything there is of earlier runs of this line has been seen. Of the run itself, at least one
  // record has; if there is no entry that says so, this makes one.
  void fold(ReplicaId replica);
  void merge(const VersionVector& other);
  // Lowers to the pointwise minimum: what both have seen.
  void meet(const VersionVector& other);
  // Folds what `other` folds, which may raise this above what it has said of those runs. For bounds
  // from above, which would otherwise name runs that nobody names any more.
  void fold_as(const VersionVector& other);
  Order compare(const VersionVector& other) const;
  // How many records the entries of this stand for, beyond what each folds, that `other` does not
  // cover.
  std::uint64_t ahead_of(const VersionVector& other) const;
  // Whether both say the same of the runs that precede this one.
  bool agrees_before(ReplicaId replica, const VersionVector& other) const;
  // Whether an entry, not only what it folds, is of a run that precedes this one.
  bool names_before(ReplicaId replica) const;

  bool empty() const { return entries_.empty(); }
  const Entries& entries() const { return entries_; }
  void clear() { entries_.clear(); }
  bool operator==(const VersionVector&) const = default;
  // "node/run:seq node/run:seq", sorted; "node/run:seq+" is one that folds.
  std::string to_string() const;

  // An entry as the formats hold it: replica, then the sequence number with kFoldsBit.
  static constexpr std::uint64_t kFoldsBit = kMaxSeq + 1;
  static constexpr std::uint64_t bits(const Entry& entry) {
    return entry.seq | (entry.folds ? kFoldsBit : 0);
  }
  // Takes in such an entry. False, and nothing is done, when it names no replica or no record.
  bool add_bits(ReplicaId replica, std::uint64_t bits);

 private:
  Entries::iterator lower_bound(ReplicaId replica);
  bool is_folded(ReplicaId replica) const;
  void fold_at(Entries::iterator entry);

  Entries entries_;
};

}  // namespace even
