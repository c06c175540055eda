#include "store/row_batch.h"

#include <gtest/gtest.h>

namespace even {
namespace {

TEST(RowBatch, HoldsShortAndLongRowsInTheirOrder) {
  const std::string longest(3 << 20, 'l');
  RowBatch batch;
  EXPECT_TRUE(batch.empty());
  std::size_t bytes = 0;
  for (int i = 0; i < 4; ++i) {
    const std::string row = "row" + std::to_string(i);
    const std::string value = i % 2 == 0 ? "short" : longest;
    batch.put(row, value);
    batch.put(row + "w", value.size(), [&](std::string& out) { out += value; });
    bytes += 2 * (row.size() + value.size()) + 1;
  }
  batch.remove("s");
  batch.remove_range("t", "u");
  ASSERT_EQ(batch.size(), 10u);
  EXPECT_GE(batch.bytes(), bytes);
  EXPECT_LT(batch.bytes(), bytes + 1000);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(batch[i].kind, RowBatch::Kind::kPut);
    EXPECT_EQ(batch[i].row, "row" + std::to_string(i / 2) + (i % 2 == 0 ? "" : "w"));
    EXPECT_EQ(batch[i].value, i / 2 % 2 == 0 ? "short" : longest);
  }
  EXPECT_EQ(batch[8].kind, RowBatch::Kind::kRemove);
  EXPECT_EQ(batch[8].row, "s");
  EXPECT_EQ(batch[9].row, "t");
  EXPECT_EQ(batch[9].value, "u");
}

// What a value was said to take is a guess.
TEST(RowBatch, AValueIsAsLongAsWhatWasWritten) {
  RowBatch batch;
  batch.put("a", 2 << 20, [](std::string& out) { out += "less"; });
  batch.put("b", 1, [](std::string& out) { out.append(2 << 20, 'm'); });
  batch.put("c", "next");
  EXPECT_EQ(batch[0].value, "less");
  EXPECT_EQ(batch[1].value.size(), std::size_t{2} << 20);
  EXPECT_EQ(batch[2].value, "next");
}

}  // namespace
}  // namespace even
