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

}  // namespace
}  // namespace even::test
