#include "topic/segments.h"

#include <gmock/gmock.h>

namespace even::topic {
namespace {

Segments of(std::initializer_list<Segment> all) {
  Segments segments;
  for (const Segment& segment : all) segments.add(segment);
  return segments;
}

const Segments& three() {
  static const Segments segments =
      of({{10, 1, 100, 1'000, 5'000}, {20, 1, 200, 2'000, 6'000}, {30, 2, 300, 3'000, 7'000}});
  return segments;
}

TEST(SegmentsTest, AreReadAsTheyWereWritten) {
  EXPECT_EQ(Segments::decode(three().encode()), three());
  EXPECT_EQ(Segments::decode(""), Segments());
  const std::string bytes = three().encode();
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    if (size % 40 == 0) continue;
    EXPECT_EQ(Segments::decode(bytes.substr(0, size)), std::nullopt) << size;
  }
  EXPECT_EQ(Segments::decode(bytes.substr(40) + bytes.substr(0, 40)), std::nullopt);
}

TEST(SegmentsTest, TheLogMayBeginBehindTheLastOneThatHasNothingToStay) {
  EXPECT_EQ(three().below(99), nullptr);
  EXPECT_EQ(three().below(100)->index, 10);
  EXPECT_EQ(three().below(299)->index, 20);
  EXPECT_EQ(three().below(1'000)->index, 30);
  EXPECT_EQ(three().at(20)->end, 200);
  EXPECT_EQ(three().at(21), nullptr);
}

TEST(SegmentsTest, ThoseBelowTheOneWhereTheLogBeginsGo) {
  Segments segments = three();
  segments.start_at(150);
  EXPECT_EQ(segments.all().size(), 3);  // it begins behind the first
  segments.start_at(200);
  ASSERT_EQ(segments.all().size(), 2);
  EXPECT_EQ(segments.all()[0].index, 20);
  segments.start_at(900);
  ASSERT_EQ(segments.all().size(), 1);
  EXPECT_EQ(segments.all()[0].index, 30);
}

TEST(SegmentsTest, WholeOnesExpireBySizeAsLongAsEnoughStays) {
  EXPECT_EQ(three().expired({.bytes = 1'500}, 0, 3'400, 9'000), 100);
  EXPECT_EQ(three().expired({.bytes = 1'400}, 0, 3'400, 9'000), 200);
  EXPECT_EQ(three().expired({.bytes = 0}, 0, 3'400, 9'000), 300);
  EXPECT_EQ(three().expired({.bytes = 1 << 20}, 0, 3'400, 9'000), 0);
  EXPECT_EQ(three().expired({}, 0, 3'400, 1 << 30), 0);
}

TEST(SegmentsTest, WholeOnesExpireByAge) {
  EXPECT_EQ(three().expired({.ms = 1'000}, 0, 3'400, 5'999), 0);
  EXPECT_EQ(three().expired({.ms = 1'000}, 0, 3'400, 6'000), 100);
  EXPECT_EQ(three().expired({.ms = 1'000}, 0, 3'400, 7'500), 200);
  EXPECT_EQ(three().expired({.ms = 1'000}, 250, 3'400, 7'500), 250);  // never back
}

TEST(SegmentsTest, AnotherIsDueWhenOneIsFull) {
  EXPECT_FALSE(three().due({}, 301, 3'000 + kUsualSegmentBytes - 1, 1 << 30, 0));
  EXPECT_TRUE(three().due({}, 301, 3'000 + kUsualSegmentBytes, 1 << 30, 0));
  const Retention bytes{.bytes = 16 << 20};
  EXPECT_FALSE(three().due(bytes, 301, 3'000 + (1 << 20) - 1, 8'000, 0));
  EXPECT_TRUE(three().due(bytes, 301, 3'000 + (1 << 20), 8'000, 0));
  EXPECT_FALSE(three().due(bytes, 301, 3'000 + (1 << 20), 8'000, 1 << 20));  // a large state
  const Retention ms{.ms = 160'000};
  EXPECT_FALSE(three().due(ms, 301, 3'010, 16'999, 0));
  EXPECT_TRUE(three().due(ms, 301, 3'010, 17'000, 0));
  EXPECT_FALSE(three().due(ms, 300, 3'000, 17'000, 0));  // nothing new
}

TEST(SegmentsTest, ThereAreNotTooMany) {
  Segments segments;
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    segments.add({i, 1, static_cast<std::int64_t>(i), i, static_cast<std::int64_t>(i)});
    ASSERT_LE(segments.all().size(), kMostSegments);
    ASSERT_EQ(segments.all().back().index, i);
  }
  EXPECT_EQ(segments.all().front().index, 1);
  EXPECT_GE(segments.all().size(), kMostSegments / 2);
}

}  // namespace
}  // namespace even::topic
