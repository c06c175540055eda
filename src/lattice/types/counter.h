// A counter that can be deleted exactly: removing it takes away the increments that the remover had
// seen and no others.
//
// Each replica run that ever incremented owns one entry: how much it has added in all (`sum`) as of
// its record `seq`, and how much of that somebody has removed (`removed_sum`, as of record
// `removed_seq`). Both points lie on the same curve, the owner's running sum over its own records,
// so two sides join by taking the later point of each. The entry's value is the difference.
//
// An entry whose increments are all removed is residue: it has no value but is kept until every
// replica has seen the removal, because a state with a concurrent increment of the same owner may
// still arrive and needs the point to be subtracted from. A record with one brings that point
// along, the sum before it: where the entry is gone, all of it had been removed. So what a record
// does never depends on whether residue has been collected. When the owner increments again it
// starts a new curve at zero, with removed_seq = seq - 1: no earlier than any removal of the old
// curve, which somebody may still hold as residue. On that tie the point that comes with the later
// `seq` is the new curve's. Going on with the old curve instead would lose digits of reals: after
// 1e300 has been added and removed, adding 0.5 would add nothing.
#pragma once

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/memory.h"
#include "base/mutant.h"
#include "lattice/version_vector.h"

namespace even {

// Wide enough that sums of long doubles, in which Redis does its arithmetic, stay exact.
// IEEE binary128 by definition; its bits are what the formats hold.
__extension__ typedef __float128 Real;
__extension__ typedef unsigned __int128 RealBits;

template <typename Number>
struct CounterEntry {
  ReplicaId replica;
  std::uint64_t seq = 0;
  Number sum{};
  std::uint64_t removed_seq = 0;
  Number removed_sum{};

  bool live() const { return seq > removed_seq; }
  Number value() const;
  // Joins the other side's entry of the same replica.
  void join(const CounterEntry& theirs) {
    const bool later = theirs.seq > seq;
    if (theirs.removed_seq > removed_seq || (theirs.removed_seq == removed_seq && later)) {
      removed_seq = theirs.removed_seq;
      removed_sum = theirs.removed_sum;
    }
    if (later) {
      seq = theirs.seq;
      sum = theirs.sum;
    }
  }
  bool operator==(const CounterEntry&) const = default;
};

// Integer sums wrap: the overflow check is made on the visible value when a client increments, and
// concurrent increments that overflow together wrap the same way everywhere.
inline std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
inline std::int64_t wrapping_sub(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
// Real sums stop at the largest long double. A client's increment is checked on the visible value,
// but an owner's running sum and the total of concurrent increments can go beyond it.
inline Real wrapping_add(Real a, Real b) {
  constexpr Real kMax = __LDBL_MAX__;
  return std::clamp<Real>(a + b, -kMax, kMax);
}
inline Real wrapping_sub(Real a, Real b) { return wrapping_add(a, -b); }

template <typename Number>
Number CounterEntry<Number>::value() const {
  return wrapping_sub(sum, removed_sum);
}

// An entry as a delta describes it.
template <typename Number>
struct CounterDelta : CounterEntry<Number> {
  // Where it is an increment that the delta's maker has just made: the sum before it.
  std::optional<Number> before;

  CounterDelta() = default;
  CounterDelta(const CounterEntry<Number>& entry, std::optional<Number> sum_before = {})
      : CounterEntry<Number>(entry), before(sum_before) {}
  bool operator==(const CounterDelta&) const = default;
};

// Integers are everywhere and have one owner mostly; reals are rare, and should not make the common
// counter larger.
template <typename Number, typename Entry>
using FewOf = std::conditional_t<std::is_same_v<Number, Real>, std::vector<Entry>,
                                 absl::InlinedVector<Entry, 1>>;
template <typename Number>
using CounterEntries = FewOf<Number, CounterEntry<Number>>;
template <typename Number>
using CounterDeltas = FewOf<Number, CounterDelta<Number>>;

// A counter as a reader sees it: its entries, sorted by replica, wherever they are.
template <typename Number>
class CounterView {
 public:
  using Entry = CounterEntry<Number>;

  CounterView() = default;
  CounterView(std::span<const Entry> entries) : entries_(entries) {}

  std::span<const Entry> entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  bool live() const {
    return std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) { return e.live(); });
  }
  bool has_residue() const {
    return std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) { return !e.live(); });
  }
  const Entry* find(ReplicaId replica) const {
    for (const Entry& entry : entries_) {
      if (entry.replica == replica) return &entry;
    }
    return nullptr;
  }
  // The sum of the live entries in the order of replicas, hence the same everywhere even for Real.
  Number value() const {
    Number total{};
    for (const Entry& entry : entries_) {
      if (entry.live()) total = wrapping_add(total, entry.value());
    }
    return total;
  }

  // Delta: `replica`'s entry after adding `by` in its record `seq`. With `anew`, what it had added
  // before is removed.
  CounterDelta<Number> incremented(ReplicaId replica, std::uint64_t seq, Number by,
                                   bool anew) const {
    const Entry* mine = find(replica);
    if (mine == nullptr || !mine->live() || anew) {
      return {Entry{replica, seq, by, seq - 1, Number{}}, Number{}};
    }
    Entry next = *mine;
    next.seq = seq;
    next.sum = wrapping_add(next.sum, by);
    return {next, mine->sum};
  }
  // Delta: the entry with everything seen so far removed.
  static CounterDelta<Number> removed(const Entry& entry) {
    return Entry{entry.replica, entry.seq, entry.sum, entry.seq, entry.sum};
  }

 private:
  std::span<const Entry> entries_;
};

// The same in a form that can be changed.
template <typename Number>
class Counter {
 public:
  using Entry = CounterEntry<Number>;

  Counter() = default;
  explicit Counter(CounterView<Number> view)
      : entries_(view.entries().begin(), view.entries().end()) {}

  // All of a counter as a delta describes it.
  explicit Counter(const CounterDeltas<Number>& described)
      : entries_(described.begin(), described.end()) {}

  CounterView<Number> view() const { return std::span<const Entry>(entries_); }
  const CounterEntries<Number>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  Footprint footprint() const {
    return {heap_bytes(entries_), entries_.size() * (sizeof(Entry) - sizeof(Number))};
  }

  // Joins one entry of the other side.
  void join(const CounterDelta<Number>& theirs, const VersionVector& my_context) {
    auto at = std::lower_bound(entries_.begin(), entries_.end(), theirs.replica,
                               [](const Entry& e, ReplicaId id) { return e.replica < id; });
    if (at == entries_.end() || at->replica != theirs.replica) {
      // Seen here before and gone: it was residue, and has been collected.
      if (my_context.covers({theirs.replica, theirs.seq})) return;
      at = entries_.insert(at, theirs);
      // A record; everything that came before it has been seen here, and nothing of it is left.
      if (theirs.before && !EVEN_MUTANT(kRemovedPointLost)) {
        at->removed_seq = theirs.seq - 1;
        at->removed_sum = *theirs.before;
      }
      return;
    }
    at->join(theirs);
  }

  // The other side describes this counter in full and holds no entry of `replica` for which `held`
  // is false: what it has seen of those, it has collected.
  template <typename Held>
  void drop_collected(const VersionVector& their_context, Held held) {
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) {
                                    return !held(e.replica) &&
                                           their_context.covers({e.replica, e.seq});
                                  }),
                   entries_.end());
  }

  void drop_residue() {
    entries_.erase(
        std::remove_if(entries_.begin(), entries_.end(), [](const Entry& e) { return !e.live(); }),
        entries_.end());
  }

 private:
  CounterEntries<Number> entries_;
};

}  // namespace even
