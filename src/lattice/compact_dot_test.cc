#include "lattice/compact_dot.h"

#include <gtest/gtest.h>

#include "lattice/types/collection.h"

namespace even {
namespace {

Dot dot(std::uint64_t run, std::uint64_t seq) { return {ReplicaId::make(9, run), seq}; }

TEST(CompactDot, ComesBackAsItWas) {
  for (const Dot& each : {dot(1, 1), dot(2, 1), dot(1, CompactDot::kMaxSeq), dot(3, 77)}) {
    const auto compact = CompactDot::make(each);
    ASSERT_TRUE(compact);
    EXPECT_EQ(compact->dot(), each);
    EXPECT_EQ(CompactDot::from_bits(compact->bits()).dot(), each);
  }
}

TEST(CompactDot, ADotWithoutACompactFormRestsInALongerOne) {
  const Dot late = dot(1, CompactDot::kMaxSeq + 1);
  EXPECT_FALSE(CompactDot::make(late));
  ScalarCell value;
  value.assign(SiblingView{late, Hlc{5}, "v", 0});
  EXPECT_EQ(value.view().winner()->dot, late);
  EXPECT_EQ(value.view().winner()->value, "v");
  ScalarCell counter;
  Scalar tally;
  tally.integers.join(CounterEntry<std::int64_t>{late.replica, late.seq, 7}, {});
  counter.assign(std::move(tally));
  EXPECT_EQ(counter.view().integers().value(), 7);
  MemberCell member;
  member.assign({{late}});
  EXPECT_EQ(member.dots()[0].dot, late);
}

// Last: from here on this process has no room for more replicas.
TEST(CompactDot, ATableThatIsFullRefusesNewReplicasAndKeepsTheOldOnes) {
  std::uint64_t run = 100;
  while (CompactDot::make(dot(run, 1))) ++run;
  EXPECT_GT(run, 60'000u);
  EXPECT_EQ(CompactDot::make(dot(1, 5))->dot(), dot(1, 5));
  MemberCell member;
  member.assign({{dot(run + 1, 3)}});
  EXPECT_EQ(member.dots()[0].dot, dot(run + 1, 3));
}

}  // namespace
}  // namespace even
