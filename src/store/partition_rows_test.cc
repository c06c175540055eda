#include "store/partition_rows.h"

#include <gtest/gtest.h>

#include "env/random.h"
#include "store/sim_store.h"

namespace even::test {
namespace {

std::string summary_row(const PartitionRows& rows) {
  PartitionState state;
  RowBatch batch;
  (void)rows.write_changes(state, batch);
  return std::string(batch[batch.size() - 1].row);
}

// A pass that has written the rows of the first may be under way, and nobody waits for its end.
TEST(PartitionRows, WhatIsReplacedOnceMoreBeforeItIsStoredHasOtherNamesAgain) {
  sim::Scheduler scheduler;
  Random random(1);
  sim::SimStore store(scheduler, random);
  const auto shard_store = store.shard_store();
  PartitionRows rows(0, *shard_store);
  std::string last = summary_row(rows);
  for (const std::uint32_t run : {7u, 7u, 8u, 8u}) {
    rows.replace(run);
    EXPECT_GT(summary_row(rows), last) << "the latest counts";
    last = summary_row(rows);
  }
  rows.stored();
  EXPECT_EQ(summary_row(rows), last);
  rows.replace(8);
  EXPECT_GT(summary_row(rows), last);
}

// What is written beside the rows that count is not to be taken for any that come later.
TEST(PartitionRows, AGenerationIsBegunOnceAndSeesWhetherAnotherHasBeen) {
  sim::Scheduler scheduler;
  Random random(1);
  sim::SimStore store(scheduler, random);
  const auto shard_store = store.shard_store();
  PartitionRows rows(0, *shard_store);
  const std::uint64_t first = rows.begin_generation(7);
  EXPECT_TRUE(rows.is_newest(first));
  const std::uint64_t second = rows.begin_generation(7);
  EXPECT_GT(second, first);
  EXPECT_FALSE(rows.is_newest(first));
  rows.replace(7);
  EXPECT_FALSE(rows.is_newest(second));
  const std::string replaced = summary_row(rows);
  rows.stored();
  const std::uint64_t third = rows.begin_generation(7);
  rows.adopt(third);
  EXPECT_GT(summary_row(rows), replaced);
  rows.stored();
  EXPECT_GT(rows.begin_generation(7), third);
}

}  // namespace
}  // namespace even::test
