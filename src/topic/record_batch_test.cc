#include "topic/record_batch.h"

#include <gtest/gtest.h>

#include "topic/crc32c.h"
#include "topic/test_batch.h"

namespace even::topic {
namespace {

using test::BatchOptions;
using test::make_batch;

TEST(Crc32c, OfWhatTheStandardsGive) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(RecordBatch, ABatchIsReadAndTakenIn) {
  const std::string batch = make_batch({"a", "bc", ""}, {.timestamp = 1'700'000'000'000});
  EXPECT_EQ(check_batch(batch), BatchFault::kNone);
  const auto head = read_head(batch);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->offsets(), 3);
  EXPECT_EQ(head->records, 3);
  EXPECT_EQ(head->max_timestamp, 1'700'000'000'000);
  EXPECT_EQ(head->producer_id, -1);
  EXPECT_FALSE(head->compressed());
}

TEST(RecordBatch, AnyOtherByteUnderTheChecksumIsCorrupt) {
  const std::string batch = make_batch({"some", "records"});
  constexpr std::size_t kMagic = 16;
  for (std::size_t i = kMagic + 1; i < batch.size(); ++i) {
    std::string other = batch;
    other[i] = static_cast<char>(other[i] ^ 0x10);
    EXPECT_EQ(check_batch(other), BatchFault::kCorrupt) << i;
  }
}

TEST(RecordBatch, WhatIsCutOffOrTooLongIsCorrupt) {
  const std::string batch = make_batch({"some", "records"});
  for (std::size_t size = 0; size < batch.size(); ++size) {
    EXPECT_EQ(check_batch(batch.substr(0, size)), BatchFault::kCorrupt) << size;
  }
  EXPECT_EQ(check_batch(batch + "x"), BatchFault::kCorrupt);
  EXPECT_EQ(check_batch(batch + batch), BatchFault::kCorrupt);
}

TEST(RecordBatch, OlderFormatsAreToldApart) {
  std::string batch = make_batch({"a"});
  for (const char magic : {0, 1}) {
    batch[16] = magic;
    EXPECT_EQ(check_batch(batch), BatchFault::kOldFormat);
  }
  batch[16] = 3;
  EXPECT_EQ(check_batch(batch), BatchFault::kCorrupt);
}

TEST(RecordBatch, WhatNoProducerMaySendIsInvalid) {
  EXPECT_EQ(check_batch(make_batch({})), BatchFault::kCorrupt);  // its last offset is -1
  EXPECT_EQ(check_batch(make_batch({"a", "b"}, {.records = 1})), BatchFault::kInvalid);
  EXPECT_EQ(check_batch(make_batch({"a", "b"}, {.last_offset_delta = 2})), BatchFault::kInvalid);
  EXPECT_EQ(check_batch(make_batch({"a", "b"}, {.records = 3, .last_offset_delta = 2})),
            BatchFault::kInvalid);
  EXPECT_EQ(check_batch(make_batch({"a", "b"}, {.offset_step = 2})), BatchFault::kInvalid);
  EXPECT_EQ(check_batch(make_batch({"a"}, {.attributes = 32})), BatchFault::kInvalid);
  EXPECT_EQ(check_batch(make_batch({"a"}, {.attributes = 5})), BatchFault::kInvalid);
}

TEST(RecordBatch, CompressedRecordsAreNotLookedInto) {
  const std::string batch = make_batch(
      {}, {.attributes = 4, .records = 7, .last_offset_delta = 6, .bytes = "whatever zstd made"});
  EXPECT_EQ(check_batch(batch), BatchFault::kNone);
  EXPECT_TRUE(read_head(batch)->compressed());
}

TEST(RecordBatch, ThePlaceIsNotUnderTheChecksum) {
  const std::string batch = make_batch({"a", "b"});
  std::string out = "before" + batch;
  set_place(out, 6, 123'456'789'012, 77);
  EXPECT_EQ(out.substr(0, 6), "before");
  const std::string placed = out.substr(6);
  EXPECT_EQ(check_batch(placed), BatchFault::kNone);
  EXPECT_EQ(read_head(placed)->base_offset, 123'456'789'012);
  EXPECT_EQ(read_head(placed)->leader_epoch, 77);
  EXPECT_EQ(placed.substr(17), batch.substr(17));
}

}  // namespace
}  // namespace even::topic
