#include "topic/keyed_records.h"

#include <gtest/gtest.h>

#include <map>

#include "topic/latest_offsets.h"
#include "topic/test_batch.h"

namespace even::topic {
namespace {

using test::KeyValue;
using test::make_batch;
using test::make_keyed_batch;

const std::vector<KeyValue> kThree = {{"a", "1"}, {"b", std::nullopt}, {"a", ""}};

TEST(KeyedRecordsTest, AreReadWhateverTheyAreCompressedBy) {
  for (std::int16_t compression = 0; compression < 5; ++compression) {
    const std::string batch = make_keyed_batch(kThree, {.attributes = compression});
    const auto records = KeyedRecords::read(batch);
    ASSERT_TRUE(records) << records.error().message;
    ASSERT_EQ(records->all().size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(records->all()[i].key, kThree[i].key);
      EXPECT_EQ(records->all()[i].deletes, !kThree[i].value.has_value());
      EXPECT_EQ(test::value_of(records->all()[i]), kThree[i].value);
      EXPECT_EQ(records->all()[i].delta, static_cast<std::int32_t>(i));
    }
  }
}

// Compressed they are a few kilobytes; apart they take a hundred megabytes.
TEST(KeyedRecordsTest, VeryManyInOneBatchAreRefusedBeforeTheyAreReadOut) {
  const std::vector<KeyValue> many(300'000, KeyValue{"k", "v"});
  const std::string batch = make_keyed_batch(many, {.attributes = 1});
  EXPECT_FALSE(KeyedRecords::read(batch));
  EXPECT_FALSE(all_have_keys(batch));
  const std::vector<KeyValue> long_ones(20, KeyValue{"k", std::string(1 << 20, 'x')});
  EXPECT_FALSE(all_have_keys(make_keyed_batch(long_ones, {.attributes = 1})));
  EXPECT_TRUE(
      all_have_keys(make_keyed_batch(std::vector<KeyValue>(1'000, {"k", "v"}), {.attributes = 1})));
}

TEST(KeyedRecordsTest, ABatchWithoutSomeOfItsRecordsHasTheSameHead) {
  for (std::int16_t compression = 0; compression < 5; ++compression) {
    const std::string batch =
        make_keyed_batch(kThree, {.attributes = static_cast<std::int16_t>(compression | 16),
                                  .producer_id = 7,
                                  .producer_epoch = 2,
                                  .base_sequence = 11});
    const auto records = KeyedRecords::read(batch);
    ASSERT_TRUE(records);
    const auto fewer = records->with({records->all()[2]});
    ASSERT_TRUE(fewer);
    // Whole, but for the gaps that no producer may send.
    EXPECT_NE(check_batch(*fewer), BatchFault::kCorrupt);
    const auto head = read_head(*fewer);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->records, 1);
    EXPECT_EQ(head->offsets(), 3);
    EXPECT_EQ(head->producer_id, 7);
    EXPECT_EQ(head->producer_epoch, 2);
    EXPECT_EQ(head->base_sequence, 11);
    EXPECT_EQ(head->attributes, compression | 16);
    EXPECT_EQ(head->max_timestamp, records->head().max_timestamp);
    const auto left = KeyedRecords::read(*fewer);
    ASSERT_TRUE(left);
    ASSERT_EQ(left->all().size(), 1u);
    EXPECT_EQ(left->all()[0].delta, 2);
    EXPECT_EQ(test::value_of(left->all()[0]), "");
  }
}

TEST(KeyedRecordsTest, ABatchWithoutRecordsIsItsHead) {
  const std::string batch = make_keyed_batch(
      kThree, {.attributes = 4 | 16, .producer_id = 7, .producer_epoch = 2, .base_sequence = 11});
  const std::string empty = without_records(batch);
  EXPECT_EQ(empty.size(), kBatchHeadBytes);
  EXPECT_NE(check_batch(empty), BatchFault::kCorrupt);
  const auto head = read_head(empty);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->offsets(), 3);
  EXPECT_EQ(head->records, 0);
  EXPECT_TRUE(head->transactional());
  EXPECT_FALSE(head->compressed());
  EXPECT_TRUE(KeyedRecords::read(empty)->all().empty());
}

TEST(KeyedRecordsTest, WhatHasNoKeyIsFound) {
  EXPECT_TRUE(all_have_keys(make_keyed_batch(kThree)));
  EXPECT_TRUE(all_have_keys(make_keyed_batch(kThree, {.attributes = 3})));
  EXPECT_FALSE(all_have_keys(make_batch({"x"})));
}

TEST(KeyedRecordsTest, MalformedRecordsAreRefused) {
  std::string batch = make_keyed_batch(kThree);
  EXPECT_FALSE(KeyedRecords::read(make_batch({"x"}, {.bytes = "\x7f"})));
  EXPECT_FALSE(KeyedRecords::read(make_batch({"x", "y"}, {.records = 3})));
  EXPECT_FALSE(KeyedRecords::read(make_batch({"x"}, {.attributes = 1})));
  EXPECT_FALSE(KeyedRecords::read(batch.substr(0, batch.size() - 1)));
}

TEST(LatestOffsetsTest, TheLastOffsetOfEachKeyIsFoundUpToTheirBound) {
  constexpr std::size_t kBytes = 100'000;
  LatestOffsets latest(42, kBytes);
  std::map<std::string, std::int64_t> expected;
  std::int64_t offset = 0;
  const auto put = [&](std::size_t key) {
    latest.put(std::to_string(key), offset);
    expected[std::to_string(key)] = offset++;
  };
  for (std::size_t key = 0; !latest.full(); ++key) {
    put(key);
    put(key / 2);
  }
  EXPECT_EQ(latest.size(), expected.size());
  EXPECT_EQ(latest.size(), latest.most_keys());
  EXPECT_LE(latest.bytes(), kBytes);
  EXPECT_GT(latest.size(), kBytes / 24 / 4);
  for (const auto& [key, last] : expected) EXPECT_EQ(latest.find(key), last) << key;
  EXPECT_FALSE(latest.find("other"));
  latest.put("other", offset);
  EXPECT_FALSE(latest.find("other"));  // there is no place
}

}  // namespace
}  // namespace even::topic
