// Groups under faults: see test_cluster.h. docs/consensus.md says how to replay a seed.
#include <gtest/gtest.h>

#include "consensus/test_cluster.h"

namespace even::consensus {
namespace {

TEST(Cluster, AGroupKeepsWhatItPromisesUnderAllFaults) {
  constexpr std::uint64_t kSeeds = 100;
  ClusterStatistics sum;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    ClusterStatistics statistics;
    const std::optional<std::string> violation = run_cluster(seed, statistics);
    ASSERT_FALSE(violation) << "seed " << seed << ": " << *violation;
    sum.reigns += statistics.reigns;
    sum.commits += statistics.commits;
    sum.crashes += statistics.crashes;
    sum.failed_writes += statistics.failed_writes;
    sum.snapshots += statistics.snapshots;
    sum.changes += statistics.changes;
    sum.joint += statistics.joint;
    sum.reads += statistics.reads;
    sum.transfers += statistics.transfers;
  }
  // The runs are worth something: all that can happen does, and not only now and then.
  EXPECT_GT(sum.reigns, 5 * kSeeds);
  EXPECT_GT(sum.commits, 100 * kSeeds);
  EXPECT_GT(sum.crashes, 5 * kSeeds);
  EXPECT_GT(sum.failed_writes, kSeeds / 2);
  EXPECT_GT(sum.snapshots, kSeeds / 2);
  EXPECT_GT(sum.changes, kSeeds);
  EXPECT_GT(sum.joint, kSeeds / 2);
  EXPECT_GT(sum.reads, 10 * kSeeds);
  EXPECT_GT(sum.transfers, kSeeds);
}

}  // namespace
}  // namespace even::consensus
