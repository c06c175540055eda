// What a start makes of the files that it finds: torn tails, damage, claims of what was durable.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "log/format.h"
#include "log/test_log.h"

namespace even::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(LogRecovery, ATornTailIsCutWhereverItIsTorn) {
  World source;
  const std::string whole = three_frames(source);
  for (std::size_t size = kSegmentHeaderBytes; size < whole.size(); ++size) {
    World world;
    world.put(kFirstSegment, whole.substr(0, size));
    Records expected;
    if (size >= kSegmentHeaderBytes + kFrameOfFirst) expected.emplace_back("first");
    if (size >= kSegmentHeaderBytes + kFrameOfFirst + kFrameOfSecond)
      expected.emplace_back("second");
    {
      OpenLog log(world);
      ASSERT_EQ(log.error(), "") << size;
      ASSERT_EQ(log.records, expected) << size;
      ASSERT_TRUE(log.write({"new"}));
      ASSERT_TRUE(log.log->flush_and_sync());
    }
    expected.emplace_back("new");
    world.disk.crash();
    OpenLog again(world);
    ASSERT_EQ(again.error(), "") << size;
    ASSERT_EQ(again.records, expected) << size;
  }
}

TEST(LogRecovery, AnyFlippedBitBeforeWhatALaterFrameSaysWasDurableIsRefusedWithFileAndOffset) {
  World source;
  const std::string whole = three_frames(source);
  const std::size_t second = kSegmentHeaderBytes + kFrameOfFirst;
  const std::size_t third = second + kFrameOfSecond;
  for (std::size_t at = kSegmentHeaderBytes; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      World world;
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      world.put(kFirstSegment, damaged);
      const auto report =
          inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {});
      OpenLog log(world);
      if (at >= third) {
        // The last frame: nothing vouches for it.
        ASSERT_EQ(log.error(), "") << at;
        ASSERT_THAT(log.records, ElementsAre("first", "second"));
        ASSERT_TRUE(report);
        ASSERT_EQ(report->torn_bytes, whole.size() - third);
        continue;
      }
      const std::size_t frame = at < second ? kSegmentHeaderBytes : second;
      ASSERT_THAT(log.error(),
                  AllOf(StartsWith(std::string(kFirstSegment) + ": damaged at offset " +
                                   std::to_string(frame)),
                        HasSubstr("Nothing was changed"), HasSubstr("even log repair")))
          << at;
      ASSERT_EQ(world.content(kFirstSegment), damaged);
      ASSERT_FALSE(report);
      ASSERT_THAT(report.error().message, HasSubstr("damaged at offset " + std::to_string(frame)));
    }
  }
}

TEST(LogRecovery, AFlippedBitInASegmentsHeaderIsRefused) {
  World source;
  const std::string whole = three_frames(source);
  for (std::size_t at = 0; at < kSegmentHeaderBytes; ++at) {
    World world;
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    world.put(kFirstSegment, damaged);
    EXPECT_THAT(OpenLog(world).error(),
                StartsWith(fmt::format("{}: damaged at offset 0: ", kFirstSegment)))
        << at;
  }
}

TEST(LogRecovery, ANewerVersionIsRefusedByName) {
  World world;
  std::string bytes = three_frames(world);
  bytes[8] = kLogVersion + 1;
  world.put(kFirstSegment, bytes);
  EXPECT_THAT(OpenLog(world).error(),
              AllOf(HasSubstr(fmt::format("version {} is unknown", kLogVersion + 1)),
                    HasSubstr(fmt::format("knows version {}", kLogVersion))));
}

TEST(LogRecovery, ASegmentOfAnotherShardUnderThisOnesNameIsRefused) {
  World world;
  world.put(kFirstSegment, encode_segment_header({.shard = 1, .base = 0}));
  EXPECT_THAT(OpenLog(world).error(), HasSubstr("does not belong to a file of this name"));
}

TEST(LogRecovery, AMissingSegmentInTheMiddleIsRefused) {
  World world;
  {
    OpenLog log(world, rolling());
    for (const char* record : {"first", "second", "third"}) ASSERT_TRUE(log.write({record}));
  }
  ASSERT_TRUE(world.disk.remove(segment_name(0, kFrameOfFirst)));
  EXPECT_THAT(OpenLog(world).error(),
              AllOf(StartsWith(segment_name(0, kFrameOfFirst + kFrameOfSecond)),
                    HasSubstr("the segment before it ends at " + std::to_string(kFrameOfFirst))));
  EXPECT_FALSE(inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {}));
}

TEST(LogRecovery, ATornFrameInASegmentThatIsNotTheLastIsRefused) {
  World world;
  {
    OpenLog log(world, rolling());
    for (const char* record : {"first", "second", "third"}) ASSERT_TRUE(log.write({record}));
  }
  const std::string name = segment_name(0, kFrameOfFirst);
  const std::string whole = world.content(name);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    world.put(name, whole.substr(0, size));
    // Cut at the end of its header it is a segment without frames, and the next one does not
    // follow.
    EXPECT_NE(OpenLog(world).error(), "") << size;
  }
  world.put(name, whole);
  EXPECT_EQ(OpenLog(world).error(), "");
}

TEST(LogRecovery, ZeroesBehindTheLastFrameAreItsEndAndNoTornTail) {
  World world;
  {
    OpenLog log(world, zeroing());
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.write({std::string("\0\0", 2)}));
    ASSERT_TRUE(log.log->flush_and_sync());
  }
  world.disk.crash();
  ASSERT_EQ(world.content(kFirstSegment).size(), kZeroBytes);
  const auto report =
      inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->torn_bytes, 0u);
  EXPECT_EQ(report->records, 2u);
  OpenLog log(world, zeroing());
  EXPECT_EQ(log.error(), "");
  EXPECT_EQ(log.log->cut(), std::nullopt);
  EXPECT_THAT(log.records, ElementsAre("first", std::string("\0\0", 2)));
  EXPECT_EQ(log.log->stats().bytes_on_disk, kSegmentHeaderBytes + report->bytes);
}

TEST(LogRecovery, FramesWithAHoleOfZeroesAreCutUnlessALaterOneSaysThatTheyWereDurable) {
  World source;
  std::string whole;
  {
    OpenLog log(source, zeroing());
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.log->flush_and_sync());
    ASSERT_TRUE(log.write({"second"}));  // these two were not synced when they were written
    ASSERT_TRUE(log.write({"third"}));
    whole = source.content(kFirstSegment);
  }
  const std::size_t second = kSegmentHeaderBytes + kFrameOfFirst;
  const std::size_t end = second + kFrameOfSecond + kFrameOfFirst;
  for (std::size_t from = kSegmentHeaderBytes; from < end; ++from) {
    for (std::size_t to = from + 1; to <= end; ++to) {
      World world;
      std::string torn = whole;
      torn.replace(from, to - from, to - from, '\0');
      world.put(kFirstSegment, torn);
      Records expected;
      if (torn.compare(0, second, whole, 0, second) == 0) expected.emplace_back("first");
      if (torn.compare(0, end - kFrameOfFirst, whole, 0, end - kFrameOfFirst) == 0)
        expected.emplace_back("second");
      if (torn == whole) expected.emplace_back("third");
      OpenLog log(world, zeroing());
      std::string_view body;
      const bool vouched =
          expected.empty() &&
          (decode_frame(std::string_view(torn).substr(second), kFrameOfFirst, body) ||
           decode_frame(std::string_view(torn).substr(end - kFrameOfFirst),
                        kFrameOfFirst + kFrameOfSecond, body));
      if (vouched) {
        ASSERT_THAT(log.error(), HasSubstr("damaged at offset 40")) << from << ' ' << to;
        ASSERT_EQ(world.content(kFirstSegment), torn);
        continue;
      }
      ASSERT_EQ(log.error(), "") << from << ' ' << to;
      ASSERT_EQ(log.records, expected) << from << ' ' << to;
      // What lay behind the hole must not come back when new frames reach it.
      std::uint64_t bytes = 0;
      for (const LogPosition start : log.log->segment_starts())
        bytes += world.content(segment_name(0, start)).size() - kSegmentHeaderBytes;
      ASSERT_EQ(bytes, log.log->end());
    }
  }
}

TEST(LogRecovery, WhatNoFrameSaysToBeDurableIsWrittenAnewAtStart) {
  World world;
  {
    OpenLog log(world);
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.log->flush_and_sync());
    ASSERT_TRUE(log.write({"second"}));
    world.disk.faults.failing_sync = 1;
    log.log->sync();
    world.run_for(1'000'000);
  }
  const std::string unfinished = std::string(kFirstSegment) + ".new";
  // The process ended, not the machine.
  world.disk.faults.failing_sync = 0;
  world.put(unfinished, "left over");
  {
    OpenLog log(world);
    ASSERT_EQ(log.error(), "");
    if (log.records.size() == 1) return;  // the kernel has forgotten it
    EXPECT_EQ(log.log->durable(), log.log->end());
    EXPECT_FALSE(log.log->error());
  }
  EXPECT_FALSE(world.disk.size(unfinished));
  world.disk.crash();
  EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second"));
}

std::string frame_of(std::string_view record, LogPosition position, LogPosition durable) {
  std::string frame(kFrameHeaderBytes, '\0');
  const std::size_t begin = begin_entry(frame);
  frame += record;
  end_entry(frame, begin);
  seal_frame(frame, position, durable);
  return frame;
}

// No frame of ours says such things. What begins a segment must begin with a frame all the same.
TEST(LogRecovery, WhatFramesSayToBeDurableCountsUpToWhereOneBegins) {
  for (const LogPosition said : {LogPosition{0}, LogPosition{1}, LogPosition{40}, kFrameOfFirst}) {
    World world;
    std::string frames = frame_of("first", 0, 0);
    ASSERT_EQ(frames.size(), kFrameOfFirst);
    frames += frame_of("first", kFrameOfFirst, said);
    world.put(kFirstSegment, encode_segment_header({0, 0}) + frames);
    OpenLog log(world);
    ASSERT_EQ(log.error(), "");
    EXPECT_EQ(log.records, (std::vector<std::string>{"first", "first"}));
    EXPECT_TRUE(log.write({"third"})) << said;
    EXPECT_EQ(world.disk.list()->size(), said == kFrameOfFirst ? 2u : 1u) << said;
  }
}

TEST(LogRecovery, AFrameThatSaysToBeDurableItselfIsNone) {
  World world;
  world.put(kFirstSegment, encode_segment_header({0, 0}) + frame_of("first", 0, 0) +
                               frame_of("first", kFrameOfFirst, kFrameOfFirst + 1));
  OpenLog log(world);
  EXPECT_EQ(log.records, std::vector<std::string>{"first"});
  EXPECT_TRUE(log.write({"second"}));
}

RC_GTEST_PROP(LogRecovery, RecoversAllThatWasDurableAfterAnyCrash,
              (std::uint64_t seed, const std::vector<std::pair<std::uint8_t, std::uint8_t>>& steps,
               bool small_segments, bool zeroes, bool failing)) {
  World world(seed);
  const LogOptions options{.fsync = zeroes ? FsyncPolicy::kAlways : FsyncPolicy::kEverySecond,
                           .segment_bytes = small_segments ? 150u : 1u << 20,
                           .tail_bytes = 200,
                           .zero_bytes = 500};
  auto log = std::make_unique<OpenLog>(world, options);
  RC_ASSERT(log->outcome.has_value());
  Records written;                // in order, as far as flush has succeeded
  std::vector<LogPosition> ends;  // the log's end after each of them
  Records gathered;
  int number = 0;
  for (const auto& [action, size] : steps) {
    switch (action % 8) {
      default: {
        gathered.push_back(std::to_string(++number) + std::string(size, '.'));
        log->log->append(gathered.back());
        break;
      }
      case 3:
      case 4:
        RC_ASSERT(log->log->flush().has_value() || failing);
        if (log->log->barrier() > log->log->end()) break;  // could not be written
        for (std::string& record : gathered) {
          written.push_back(std::move(record));
          ends.push_back(log->log->end());
        }
        gathered.clear();
        break;
      case 5:
        world.disk.faults.failing_sync = failing ? 0.3 : 0;
        log->log->sync();
        break;
      case 6:
        world.run_for(size * 10);
        break;
      case 7: {
        const bool power = size % 2 == 0;  // or only the process ends
        // After a failed sync the kernel may drop what it could not write.
        const LogPosition durable = power || failing ? log->log->durable() : log->log->end();
        log.reset();
        if (power) world.disk.crash();
        world.disk.faults.failing_sync = 0;
        log = std::make_unique<OpenLog>(world, options);
        RC_ASSERT(log->error() == "");
        RC_ASSERT(log->records.size() <= written.size());
        RC_ASSERT(std::equal(log->records.begin(), log->records.end(), written.begin()));
        const auto kept = log->records.size();
        RC_ASSERT((kept == written.size() || ends[kept] > durable));
        written.resize(kept);
        ends.resize(kept);
        gathered.clear();
        RC_ASSERT(read_from(*log->log, log->log->begin()) == written);
        break;
      }
    }
  }
}

}  // namespace
}  // namespace even::test
