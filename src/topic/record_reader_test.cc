#include "topic/record_reader.h"

#include <gmock/gmock.h>

#include "topic/event.h"
#include "topic/record_batch.h"
#include "topic/test_batch.h"

namespace even::topic {
namespace {

std::vector<std::string> read_values(std::string_view bytes, Result<>& outcome) {
  std::vector<std::string> values;
  outcome = for_each_record(bytes, [&](const RecordView& record) {
    values.push_back(std::to_string(record.offset) + "=" + std::string(record.value.value_or("-")));
    return true;
  });
  return values;
}

TEST(RecordReaderTest, RecordsOfSeveralBatchesAreReadWithTheirOffsets) {
  std::string first = test::make_batch({"a", "b"});
  std::string second = test::make_batch({"", "d"}, {.timestamp = 7});
  set_place(first, 0, 10, 1);
  set_place(second, 0, 12, 1);
  Result<> outcome;
  EXPECT_THAT(read_values(first + second, outcome),
              testing::ElementsAre("10=a", "11=b", "12=", "13=d"));
  EXPECT_TRUE(outcome);
}

TEST(RecordReaderTest, KeysAndHeadersAreThere) {
  const TimedEvent event{
      {.topic = "t", .key = "k", .value = "v", .headers = {{"h", "1"}, {"g", "2"}}}, 5'000};
  const Result<> outcome =
      for_each_record(make_batch(std::span(&event, 1)), [&](const RecordView& record) {
        EXPECT_EQ(record.key, "k");
        EXPECT_EQ(record.time_ms, 5'000);
        EXPECT_EQ(record.headers.size(), 2u);
        EXPECT_EQ(record.headers[1].first, "g");
        EXPECT_EQ(record.headers[1].second, "2");
        return true;
      });
  EXPECT_TRUE(outcome);
}

TEST(RecordReaderTest, WhatCannotBeReadIsSaid) {
  Result<> outcome;
  read_values(test::make_batch({"a"}, {.attributes = 3}), outcome);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, testing::HasSubstr("lz4"));
  const std::string batch = test::make_batch({"abc", "def"});
  for (std::size_t size = 1; size < batch.size(); ++size) {
    read_values(batch.substr(0, size), outcome);
    EXPECT_FALSE(outcome) << size;
  }
  read_values(test::make_batch({"a"}, {.records = 2}), outcome);
  EXPECT_FALSE(outcome);
}

}  // namespace
}  // namespace even::topic
