#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "lattice/hlc.h"
#include "lattice/version_vector.h"

namespace even {
namespace {

constexpr std::int64_t kDrift = 500;

RC_GTEST_PROP(HybridClock, GivesEachTimestampAboveAllBeforeItWhateverTheWallClockDoes,
              (const std::vector<std::pair<std::int32_t, std::uint16_t>>& events)) {
  HybridClock clock(kDrift);
  Hlc last;
  for (const auto& [jump, logical] : events) {
    const std::int64_t wall = std::int64_t{1'000'000} + jump;
    const Hlc remote{Hlc::at(wall + jump % 2000).value | logical};
    if (jump % 3 == 0) clock.observe(remote, wall);
    const Hlc next = clock.tick(wall);
    RC_ASSERT(next > last);
    RC_ASSERT(next >= Hlc::at(wall));
    last = next;
  }
}

RC_GTEST_PROP(HybridClock, GivesTimestampsAboveWhatItHasObservedWithinTheBound,
              (std::uint16_t ahead, std::uint16_t logical)) {
  const std::int64_t wall = 1'000'000;
  const Hlc remote{Hlc::at(wall + ahead).value | logical};
  HybridClock clock(kDrift);
  const bool within = clock.observe(remote, wall);
  RC_ASSERT(within == (ahead <= kDrift));
  const Hlc next = clock.tick(wall);
  if (within) RC_ASSERT(next > remote);
  // However far ahead the other clock is, it pulls this one by no more than the bound (and one step
  // of the counter).
  RC_ASSERT(next.wall_ms() <= wall + kDrift + 1);
}

TEST(HybridClock, ARemoteClockFarAheadDoesNotDragLaterTimestampsAlong) {
  HybridClock clock(kDrift);
  EXPECT_FALSE(clock.observe(Hlc{UINT64_MAX}, 1'000));
  EXPECT_EQ(clock.last(), (Hlc{Hlc::at(1'500).value | 0xffff}));
  EXPECT_EQ(clock.tick(2'000), Hlc::at(2'000));
}

TEST(HybridClock, TheCounterRunsOverIntoTheMillisecondsRatherThanRepeating) {
  HybridClock clock(kDrift);
  Hlc last = clock.tick(7);
  for (int i = 0; i < 70'000; ++i) {
    const Hlc next = clock.tick(7);
    ASSERT_GT(next, last);
    last = next;
  }
  EXPECT_EQ(last.wall_ms(), 8);
}

// --- Version vectors
// -----------------------------------------------------------------------------------

using Order = VersionVector::Order;

VersionVector vector_of(const std::vector<std::pair<std::uint8_t, std::uint8_t>>& dots) {
  // Four runs of each of two lines.
  VersionVector out;
  for (const auto& [replica, seq] : dots) {
    const ReplicaId id = ReplicaId::make(1, 1 + replica % 4, 1 + replica / 4 % 2);
    out.add({id, seq % std::uint64_t{5}});
    if (replica >= 200 && seq % 5 != 0) out.fold(id);
  }
  return out;
}
using Dots = std::vector<std::pair<std::uint8_t, std::uint8_t>>;

VersionVector merged(VersionVector a, const VersionVector& b) {
  a.merge(b);
  return a;
}
VersionVector met(VersionVector a, const VersionVector& b) {
  a.meet(b);
  return a;
}

RC_GTEST_PROP(VersionVector, MergeAndMeetAreALattice,
              (const Dots& x, const Dots& y, const Dots& z)) {
  const VersionVector a = vector_of(x);
  const VersionVector b = vector_of(y);
  const VersionVector c = vector_of(z);
  RC_ASSERT(merged(a, a) == a);
  RC_ASSERT(met(a, a) == a);
  RC_ASSERT(merged(a, b) == merged(b, a));
  RC_ASSERT(met(a, b) == met(b, a));
  RC_ASSERT(merged(merged(a, b), c) == merged(a, merged(b, c)));
  RC_ASSERT(met(met(a, b), c) == met(a, met(b, c)));
  RC_ASSERT(merged(a, met(a, b)) == a);
  RC_ASSERT(met(a, merged(a, b)) == a);
}

RC_GTEST_PROP(VersionVector, CoversIsTheOrderOfTheLattice, (const Dots& x, const Dots& y)) {
  const VersionVector a = vector_of(x);
  const VersionVector b = vector_of(y);
  RC_ASSERT(a.covers(b) == (merged(a, b) == a));
  RC_ASSERT(merged(a, b).covers(a));
  RC_ASSERT(a.covers(met(a, b)));
  const Order expected = a == b        ? Order::kEqual
                         : a.covers(b) ? Order::kAfter
                         : b.covers(a) ? Order::kBefore
                                       : Order::kConcurrent;
  RC_ASSERT(a.compare(b) == expected);
}

RC_GTEST_PROP(VersionVector, KeepsItsEntriesSortedWithoutZeros, (const Dots& x, const Dots& y)) {
  for (const VersionVector& v :
       {vector_of(x), merged(vector_of(x), vector_of(y)), met(vector_of(x), vector_of(y))}) {
    RC_ASSERT(std::ranges::is_sorted(v.entries(), {}, &VersionVector::Entry::replica));
    for (const Dot dot : v.entries()) {
      RC_ASSERT(dot.seq > 0u);
      RC_ASSERT(v.covers(dot));
      RC_ASSERT(!v.covers(Dot{dot.replica, dot.seq + 1}));
    }
  }
}

constexpr ReplicaId kFirst = ReplicaId::make(1, 10, 7);
constexpr ReplicaId kSecond = ReplicaId::make(1, 20, 7);
constexpr ReplicaId kThird = ReplicaId::make(1, 30, 7);
constexpr ReplicaId kOtherLine = ReplicaId::make(1, 5, 6);
constexpr ReplicaId kOtherNode = ReplicaId::make(2, 5, 7);

TEST(VersionVector, WhatIsFoldedIsCoveredAndHasNoEntry) {
  VersionVector vector;
  for (const ReplicaId id : {kFirst, kSecond, kOtherLine, kOtherNode}) vector.add({id, 3});
  vector.fold(kSecond);
  EXPECT_EQ(vector.to_string(), "1/000600000005:3 1/000700000014:3+ 2/000700000005:3");
  EXPECT_TRUE(vector.covers(Dot{kFirst, 4}));
  EXPECT_TRUE(vector.covers(Dot{ReplicaId::make(1, 1, 7), 1}));  // also one never heard of
  EXPECT_FALSE(vector.covers(Dot{kSecond, 4}));
  EXPECT_FALSE(vector.covers(Dot{kThird, 1}));
  EXPECT_FALSE(vector.covers(Dot{kOtherLine, 4}));
  EXPECT_FALSE(vector.covers(Dot{kOtherNode, 4}));
  vector.add({kFirst, 9});
  vector.fold(kFirst);
  EXPECT_EQ(vector.entries().size(), 3u);
  vector.add({kThird, 1});
  vector.fold(kThird);
  EXPECT_EQ(vector.to_string(), "1/000600000005:3 1/00070000001e:1+ 2/000700000005:3");
}

// It may lack something that was folded elsewhere, however far its entries go.
TEST(VersionVector, OneThatDoesNotFoldHasSeenLess) {
  VersionVector folded;
  folded.add({kSecond, 1});
  folded.fold(kSecond);
  VersionVector named;
  named.add({kFirst, 100});
  named.add({kSecond, 1});
  EXPECT_TRUE(folded.covers(named));
  EXPECT_FALSE(named.covers(folded));
  EXPECT_NE(named, folded);
  EXPECT_FALSE(named.agrees_before(kThird, folded));
  EXPECT_TRUE(named.names_before(kSecond));
  EXPECT_FALSE(folded.names_before(kSecond));
  named.meet(folded);
  EXPECT_EQ(named.to_string(), "1/00070000000a:100 1/000700000014:1");
  named.merge(folded);
  EXPECT_EQ(named, folded);
}

TEST(VersionVector, AgreesOnEarlierRunsOnlyIfTheyEndAtTheSame) {
  VersionVector a;
  a.add({kFirst, 3});
  a.add({kThird, 1});
  VersionVector b;
  b.add({kFirst, 3});
  b.add({kOtherLine, 8});
  EXPECT_TRUE(a.agrees_before(kThird, b));
  b.add({kFirst, 4});
  EXPECT_FALSE(a.agrees_before(kThird, b));
  EXPECT_FALSE(b.agrees_before(kThird, a));
  a.add({kFirst, 4});
  b.add({kSecond, 1});
  EXPECT_FALSE(a.agrees_before(kThird, b));
  EXPECT_TRUE(a.agrees_before(kSecond, b));
}

// A bound from above does not go on naming what is folded.
TEST(VersionVector, ABoundFoldsAsAnotherDoes) {
  VersionVector bound;
  bound.add({kFirst, 3});
  bound.add({kOtherNode, 2});
  VersionVector seen;
  seen.add({kSecond, 9});
  seen.fold(kSecond);
  VersionVector before = bound;
  bound.fold_as(seen);
  EXPECT_EQ(bound.to_string(), "1/000700000014:1+ 2/000700000005:2");
  EXPECT_TRUE(bound.covers(before));
  EXPECT_TRUE(seen.covers(Dot{kFirst, 3}));
}

}  // namespace
}  // namespace even
