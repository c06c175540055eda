// Deltas: the one form in which a change of state exists outside the state itself. A local write, a
// record from a peer, a record read back from the log, a partition's snapshot and a checkpoint are
// all deltas, and PartitionState::join is the one way to take them in.
//
// A delta is a fragment of a partition's lattice together with a causal context, a version vector
// that says what its maker had seen. A leaf that is mentioned without entries was removed by the
// maker, as far as the context goes. `full` on a key says that leaves which are not mentioned are
// absent too; `full` on the delta says the same of keys. So DEL is a full key without leaves, SET a
// full key with one, SADD a partial key with one member, and a snapshot a full delta of full keys.
//
// Deltas hold views: of a request's arguments, a decoder's buffer or the state itself. They live no
// longer than what they view.
#pragma once

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "lattice/hlc.h"
#include "lattice/types/counter.h"
#include "lattice/version_vector.h"

namespace even {

enum class LeafKind : std::uint8_t {
  kString = 0,  // the scalar of a string key; its field is empty
  kField = 1,   // one field of a hash: a scalar
  kMember = 2,  // one member of a set: dots alone
  kExpiry = 3,  // the key's expiry: a register of an instant; its field is empty
  kScore = 4,   // one member of a sorted set: a scalar, whose values are scores (see score.h)
  kItem = 5,    // one element of a list, by its position (see position.h): a scalar, no counters
  kEntry = 6,   // one field of a stream (see stream_field.h): a scalar, no counters
  kBound = 7,   // the bounded counter of a string key (see bound.h); its field is empty
  kFieldExpiry = 8,  // when a field of a hash expires: a scalar, no counters, whose values are
                     // instants in the form of scores (docs/field-expiry.md)
};
inline constexpr std::uint8_t kLeafKinds = 9;
// Those of which a key can have many, each with a name.
inline constexpr LeafKind kElementKinds[] = {LeafKind::kField, LeafKind::kMember,
                                             LeafKind::kScore, LeafKind::kItem,
                                             LeafKind::kEntry, LeafKind::kFieldExpiry};
// Those of them that are scalars: a hash, or what is one with a meaning of its own.
inline constexpr LeafKind kFieldKinds[] = {LeafKind::kField, LeafKind::kScore, LeafKind::kItem,
                                           LeafKind::kEntry, LeafKind::kFieldExpiry};
constexpr bool is_element(LeafKind kind) {
  return kind != LeafKind::kString && kind != LeafKind::kExpiry && kind != LeafKind::kBound;
}
// Those whose lattice is a scalar.
constexpr bool is_scalar(LeafKind kind) {
  return kind != LeafKind::kMember && kind != LeafKind::kExpiry && kind != LeafKind::kBound;
}

struct SiblingView {
  Dot dot;
  Hlc time;
  std::string_view value;  // of scalars; kScore, kFieldExpiry: score.h, kBound: bound.h
  std::int64_t at_ms = 0;  // kExpiry: Unix time in milliseconds
};

struct LeafDelta {
  LeafKind kind = LeafKind::kString;
  // Of a scalar only counter entries are described; its register is left as it is. Of a bounded
  // counter only entries of some are: others are not removed.
  bool partial = false;
  std::string_view field;
  std::uint64_t known_hash = 0;  // hash64(field), or 0
  absl::InlinedVector<SiblingView, 1> siblings;
  CounterDeltas<std::int64_t> integers;
  CounterDeltas<Real> reals;

  std::uint64_t field_hash() const { return known_hash != 0 ? known_hash : hash64(field); }
  // Whether it says nothing but that what its maker had seen is gone.
  bool removes() const { return siblings.empty() && integers.empty() && reals.empty() && !partial; }
};

struct KeyDelta {
  std::string_view key;
  std::uint64_t known_hash = 0;  // hash64(key), or 0
  bool full = false;
  absl::InlinedVector<LeafDelta, 1> leaves;

  std::uint64_t key_hash() const { return known_hash != 0 ? known_hash : hash64(key); }
  bool mentions(LeafKind kind) const {
    return std::ranges::any_of(leaves, [kind](const LeafDelta& leaf) { return leaf.kind == kind; });
  }
};

struct Delta {
  bool full = false;
  absl::InlinedVector<KeyDelta, 1> keys;
};

// A delta made by one replica as one step: what the log stores and peers exchange. Its dot is
// (origin, context[origin]).
struct Record {
  std::uint16_t partition = 0;
  ReplicaId origin;
  Hlc time;
  // Everything the origin had seen when it made the record, and the record itself. At once the
  // record's dependencies (delivery waits for all of it but the record's own dot) and the context
  // of its delta.
  VersionVector context;
  Delta delta;
  // It says that the runs of its origin's line that precede it end where the context has them: who
  // has seen it folds them. See docs/folding.md.
  bool folds = false;

  // The next record of `origin` in a partition that has seen `seen`; the delta is still empty.
  static Record begin(std::uint16_t partition, ReplicaId origin, Hlc time,
                      const VersionVector& seen) {
    Record record{partition, origin, time, seen, {}, false};
    record.context.add({origin, seen[origin] + 1});
    return record;
  }

  Dot dot() const { return {origin, context[origin]}; }
  // Of one that folds: whether nothing is seen in `seen` beyond the ends that it states.
  bool has_ends_of(const VersionVector& seen) const {
    if (!folds) return true;
    return std::ranges::all_of(seen.entries(), [this](const VersionVector::Entry& entry) {
      return !entry.replica.precedes(origin) || entry.seq <= context[entry.replica];
    });
  }
};

}  // namespace even
