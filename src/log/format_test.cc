#include "log/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lattice/golden.h"
#include "log/log.h"
#include "log/test_log.h"

namespace even::test {
namespace {

using ::testing::ElementsAre;

TEST(LogFormat, HasNotChanged) {
  World world;
  std::string encoded;
  {
    OpenLog log(world);
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.log->flush_and_sync());
    ASSERT_TRUE(log.write({"second", "", std::string("\0\xff", 2)}));
    ASSERT_TRUE(log.log->flush_and_sync());
    encoded = world.content(kFirstSegment);
  }
  const std::string bytes = expect_golden("log-v7.seg", encoded, "the log (kLogVersion)");
  World reader;
  reader.put(kFirstSegment, bytes);
  OpenLog log(reader);
  EXPECT_EQ(log.error(), "");
  EXPECT_THAT(log.records, ElementsAre("first", "second", "", std::string("\0\xff", 2)));
}

TEST(LogFormat, TheFuzzTargetHasSeeds) {
  World world;
  const std::string whole = three_frames(world);
  const std::string cut(1, static_cast<char>(kFrameOfFirst));
  expect_seed("log_fuzz", "one-segment", std::string("\1\0", 2) + whole);
  expect_seed("log_fuzz", "two-segments", '\1' + cut + whole);
  expect_seed("log_fuzz", "mended", std::string(2, '\0') + whole);
  expect_seed("log_fuzz", "torn", std::string("\1\0", 2) + whole.substr(0, whole.size() - 3));
  expect_seed("log_fuzz", "zeroes", std::string("\1\0", 2) + whole + std::string(100, '\0'));
  expect_seed("log_fuzz", "two-segments-mended-and-torn",
              '\0' + cut + whole.substr(0, whole.size() - 3));
}

TEST(LogFormat, NamesOfSegmentsSortByPositionAndAreReadBack) {
  EXPECT_EQ(segment_name(12, 0xabcdef), "log-0012-0000000000abcdef.seg");
  const auto header = parse_segment_name("log-0012-0000000000abcdef.seg");
  ASSERT_TRUE(header);
  EXPECT_EQ(header->shard, 12);
  EXPECT_EQ(header->base, 0xabcdefu);
  for (const char* other :
       {"", "checkpoint-0000", "log-0012-0000000000abcdef.tmp", "log-xxxx-0000000000abcdef.seg",
        "log-0012-000000000xabcdef.seg", "log-0012-0000000000abcdef.seg.bak"}) {
    EXPECT_FALSE(parse_segment_name(other)) << other;
  }
}

TEST(LogFormat, AFrameCountsOnlyWhereItWasWritten) {
  std::string frame(kFrameHeaderBytes, '\0');
  const std::size_t begin = begin_entry(frame);
  frame += "record";
  EXPECT_EQ(end_entry(frame, begin), "record");
  seal_frame(frame, 100, 50);
  std::string_view found;
  const auto header = decode_frame(frame, 100, found);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->durable, 50u);
  EXPECT_EQ(found, frame.substr(kFrameHeaderBytes));
  EXPECT_FALSE(decode_frame(frame, 101, found));
  for (std::size_t size = 0; size < frame.size(); ++size)
    EXPECT_FALSE(decode_frame(frame.substr(0, size), 100, found));
}

}  // namespace
}  // namespace even::test
