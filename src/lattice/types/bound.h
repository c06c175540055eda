// Bounded counters (escrow): a number that no set of increments, made at however many replicas that
// know nothing of one another, takes beyond its bound. See docs/bounds.md.
//
// How far the number is from its bound is divided into *rights*, each of which one replica run has.
// A run writes one entry, which nobody else does: how much it has added in all, how far it has
// moved the bound, and what it has given to other runs. It adds only what it has the rights for.
// All rights together are the distance, whatever has been seen of the entries: the number is within
// its bound in every state that a replica can be in.
//
// One such number is made by one record (EVEN.BOUND, SET) and named by its dot, and so is
// everything that is done to it: who removes it removes all of that, also what it has not seen.
//
// At rest and in deltas it is bytes (docs/formats/record.md), which are the same for equal content.
#pragma once

#include <absl/container/inlined_vector.h>
#include <absl/numeric/int128.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lattice/delta.h"
#include "lattice/dot_store.h"

namespace even {

// What a replica run has done to a bounded counter.
struct BoundEntry {
  struct Gift {
    ReplicaId to;
    std::uint64_t amount = 0;  // in all
    bool operator==(const Gift&) const = default;
  };

  ReplicaId replica;
  std::uint64_t seq = 0;               // as of this record of it
  std::int64_t sum = 0;                // it has added so much in all
  std::int64_t moved = 0;              // it has moved the bound so far in all
  absl::InlinedVector<Gift, 2> gifts;  // ascending runs

  void give(ReplicaId to, std::uint64_t amount);
  bool operator==(const BoundEntry&) const = default;
};

// A bounded counter without its name.
struct BoundedNumber {
  bool is_max = false;     // the bound is the highest value; else the lowest
  std::int64_t limit = 0;  // as it was made, as is the next
  std::int64_t base = 0;
  absl::InlinedVector<BoundEntry, 1> entries;  // ascending replicas

  const BoundEntry* find(ReplicaId replica) const;
  absl::int128 value() const;
  absl::int128 bound() const;
  // What all rights together come to.
  absl::int128 distance() const { return is_max ? bound() - value() : value() - bound(); }
  // Takes in what the other side has of the same number.
  void join(const BoundedNumber& theirs);
  bool operator==(const BoundedNumber&) const = default;
};

std::string encode_bounded(const BoundedNumber& number);
void encode_bounded(const BoundedNumber& number, std::string& out);
// Safe for any bytes; false if they are none.
bool decode_bounded(std::string_view bytes, BoundedNumber& out);

// One that was made by the record `dot`.
struct BoundedCounter {
  Dot dot;
  Hlc time;
  BoundedNumber number;
  std::string bytes;  // `number`, encoded

  BoundedCounter() = default;
  // Of one whose value is well-formed.
  BoundedCounter(const SiblingView& view);
  SiblingView view() const { return {dot, time, bytes, 0}; }
  // Of one of the same name.
  void join(const BoundedNumber& theirs);
  // As a reader sees it: where the sum of increments that were made at the same time does not fit,
  // the nearest number.
  std::int64_t value() const;
  std::int64_t bound() const;
  // Whether the run may use what `owner` has: it is that run, or a later one of its line of which
  // everybody has all that the earlier ones made. `seen`: the vector of the state.
  static bool may_use(ReplicaId run, ReplicaId owner, const VersionVector& seen);
  // What `run` may use.
  absl::int128 rights(ReplicaId run, const VersionVector& seen) const;
  // The same of one run alone, as its entry and others' gifts have it; it may have been used by a
  // later run of its line, and is less than nothing then where that used an earlier one's.
  absl::int128 rights_alone(ReplicaId run) const;
  // All that have any, or have had.
  std::vector<ReplicaId> runs() const;
  bool operator==(const BoundedCounter&) const = default;
};

// All of a key: more than one where they were made at the same time. Sorted by dot.
using BoundedCounters = DotStore<BoundedCounter>;

// The one that readers see; null: there is none.
const BoundedCounter* shown(const BoundedCounters& counters);
// Joins a leaf of this kind into `mine`. `my_context`: what this side had seen before.
void join_bounded(BoundedCounters& mine, const VersionVector& my_context, const LeafDelta& theirs,
                  const VersionVector& their_context);

}  // namespace even
