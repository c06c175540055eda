#include "kafka/epochs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace even::kafka {
namespace {

struct EpochBatch {
  std::int64_t base = 0;
  std::int64_t behind = 0;
  std::int32_t epoch = 0;
};

// What is found in these, of which each lookup gives the one that has the offset, or the next.
std::pair<std::optional<std::int32_t>, std::int64_t> search(const std::vector<EpochBatch>& batches,
                                                            std::int32_t epoch, std::int64_t start,
                                                            std::int64_t end) {
  EpochSearch search(epoch, start, end);
  int lookups = 0;
  while (const auto offset = search.next()) {
    EXPECT_GE(*offset, start);
    EXPECT_LT(*offset, end);
    if (++lookups > 64) {
      ADD_FAILURE() << "it does not end";
      break;
    }
    const auto found = std::ranges::upper_bound(batches, *offset, {}, &EpochBatch::behind);
    search.take(found->base, found->behind, found->epoch);
  }
  return {search.epoch(), search.end()};
}

// As defined, by looking at all.
std::pair<std::optional<std::int32_t>, std::int64_t> expected(
    const std::vector<EpochBatch>& batches, std::int32_t epoch, std::int64_t start,
    std::int64_t end) {
  std::optional<std::int32_t> largest;
  for (const EpochBatch& batch : batches) {
    if (batch.behind <= start) continue;
    if (batch.epoch > epoch) return {largest, std::max(batch.base, start)};
    largest = batch.epoch;
  }
  return {largest, end};
}

TEST(EpochSearch, FindsTheEndOfEveryEpochWhereverTheLogBegins) {
  const std::vector<EpochBatch> batches = {{0, 3, 2},     {3, 4, 2},     {4, 100, 5},
                                           {100, 101, 5}, {101, 103, 6}, {103, 104, 9}};
  for (std::int64_t start = 0; start <= 104; ++start) {
    for (std::int32_t epoch = 0; epoch <= 10; ++epoch) {
      EXPECT_EQ(search(batches, epoch, start, 104), expected(batches, epoch, start, 104))
          << "epoch " << epoch << " from " << start;
    }
  }
}

// Compaction has left nothing of some batches: an end is never below what was read.
TEST(EpochSearch, GoesPastBatchesThatHaveNoRecords) {
  const std::vector<EpochBatch> batches = {{2, 3, 1}, {10, 12, 1}, {20, 21, 4}, {29, 30, 4}};
  EXPECT_EQ(search(batches, 1, 0, 30), (std::pair(std::optional(1), std::int64_t{20})));
  EXPECT_EQ(search(batches, 3, 0, 30), (std::pair(std::optional(1), std::int64_t{20})));
  EXPECT_EQ(search(batches, 4, 0, 30), (std::pair(std::optional(4), std::int64_t{30})));
  EXPECT_EQ(search(batches, 0, 0, 30).first, std::nullopt);
  EXPECT_EQ(search(batches, 0, 0, 30).second, 2);
}

TEST(EpochSearch, OfNothingThereIsNoEpoch) {
  EXPECT_EQ(search({}, 3, 7, 7), (std::pair(std::optional<std::int32_t>(), std::int64_t{7})));
}

TEST(Epochs, WhoKnowsOfAnotherLeaderIsToldWhichWay) {
  EXPECT_EQ(check_epoch(-1, 5), ErrorCode::kNone);
  EXPECT_EQ(check_epoch(5, 5), ErrorCode::kNone);
  EXPECT_EQ(check_epoch(4, 5), ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(check_epoch(6, 5), ErrorCode::kUnknownLeaderEpoch);
}

}  // namespace
}  // namespace even::kafka
