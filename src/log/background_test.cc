// What the log has the disk do while its owner goes on: Log::start_flush().
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/format.h"
#include "log/test_log.h"

namespace even::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kLongUs = 1'000'000;

LogOptions background(std::uint64_t segment_bytes = 1 << 20) {
  return {.segment_bytes = segment_bytes, .background_bytes = 100};
}
std::string long_record(char of) { return std::string(100, of); }

// A log whose owner goes on.
struct LogOfOwner {
  explicit LogOfOwner(World& world, LogOptions options = background())
      : open(world, options), world(world) {
    open.log->on_progress([this] { ++progress; });
  }
  even::Log& operator*() { return *open.log; }
  even::Log* operator->() { return open.log.get(); }
  void start(std::string_view record) {
    open.log->append(record);
    EXPECT_TRUE(open.log->start_flush());
  }
  // Turn by turn, until nothing is left to do.
  void settle() {
    for (int turn = 0; turn < 10; ++turn) {
      world.run_for(kLongUs);
      (void)open.log->start_flush();
    }
  }

  OpenLog open;
  World& world;
  int progress = 0;
};

TEST(LogInBackground, ALongFrameIsWrittenLaterAndWhatComesMeanwhileAfterIt) {
  World world;
  LogOfOwner log(world);
  log.start(long_record('a'));
  EXPECT_EQ(log->end(), 0u);
  EXPECT_FALSE(log->stuck());
  const LogPosition first = log->barrier();
  EXPECT_EQ(first, log->next_frame());
  log.start("short");
  const LogPosition second = log->barrier();
  EXPECT_GT(second, first);
  EXPECT_EQ(log->end(), 0u);
  EXPECT_THAT(read_from(*log, 0), IsEmpty());
  world.run_for(kLongUs);
  EXPECT_EQ(log.progress, 1);
  EXPECT_EQ(log->end(), first);
  EXPECT_THAT(read_from(*log, 0), ElementsAre(long_record('a')));
  ASSERT_TRUE(log->start_flush());
  EXPECT_GE(log->end(), second);
  EXPECT_THAT(read_from(*log, 0), ElementsAre(long_record('a'), "short"));
  EXPECT_THAT(OpenLog(world).records, ElementsAre(long_record('a'), "short"));
}

TEST(LogInBackground, AShortFrameIsWrittenAtOnce) {
  World world;
  LogOfOwner log(world);
  log.start("short");
  EXPECT_EQ(log->barrier(), log->end());
  EXPECT_THAT(read_from(*log, 0), ElementsAre("short"));
}

// A command is told where the record ends that it goes into before that is appended.
TEST(LogInBackground, WhatIsAppendedInOneTurnEndsWhereItsBeginningPromised) {
  World world;
  LogOfOwner log(world);
  const LogPosition barrier = log->next_frame() + 1;
  log->append(long_record('a'));
  log.start(long_record('b'));
  log.settle();
  EXPECT_GE(log->end(), barrier);
  EXPECT_EQ(log->stats().segments, 1u);
  OpenLog again(world);
  EXPECT_THAT(again.records, ElementsAre(long_record('a'), long_record('b')));
  EXPECT_EQ(again.positions[0], again.positions[1]);
}

TEST(LogInBackground, WhoWaitsGetsAllThatWasGathered) {
  World world;
  LogOfOwner log(world);
  log.start(long_record('a'));
  log.start(long_record('b'));
  log.start("short");
  ASSERT_TRUE(log->flush_and_sync());
  EXPECT_EQ(log->durable(), log->barrier());
  world.run_for(kLongUs);
  EXPECT_EQ(log.progress, 0);
  world.disk.crash();
  EXPECT_THAT(OpenLog(world).records, ElementsAre(long_record('a'), long_record('b'), "short"));
}

TEST(LogInBackground, APowerFailureWhileALongFrameIsBeingWrittenLeavesATailThatIsCut) {
  bool torn = false;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World world(seed);
    {
      LogOfOwner log(world);
      log.start("first");
      ASSERT_TRUE(log->flush_and_sync());
      log.start(long_record('a'));
      world.disk.crash();
    }
    OpenLog again(world);
    EXPECT_EQ(again.error(), "");
    EXPECT_EQ(again.records.front(), "first");
    EXPECT_LE(again.records.size(), 2u);
    torn = torn || again.log->cut();
  }
  EXPECT_TRUE(torn);
}

TEST(LogInBackground, ALongFrameThatFindsNoRoomIsWrittenWhenThereIsSome) {
  World world;
  LogOfOwner log(world);
  log.start(long_record('a'));
  world.disk.faults.full = true;
  log.start("short");
  world.run_for(kLongUs);
  ASSERT_TRUE(log->error());
  EXPECT_THAT(*log->error(), HasSubstr("no space left"));
  EXPECT_TRUE(log->stuck());
  EXPECT_FALSE(log->start_flush());
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes);
  world.disk.faults.full = false;
  log.settle();
  EXPECT_FALSE(log->error());
  EXPECT_THAT(read_from(*log, 0), ElementsAre(long_record('a'), "short"));
}

TEST(LogInBackground, AFailedSyncMeanwhileHasAllOfItWrittenToAnotherFile) {
  World world;
  LogOfOwner log(world);
  log.start("first");
  world.disk.faults.failing_sync = 1;
  log->sync();
  log.start(long_record('a'));
  world.disk.faults.sync_us *= 1000;  // the write takes longer than the sync
  log.start(long_record('b'));
  world.run_for(kLongUs);
  world.disk.faults.failing_sync = 0;
  log.settle();
  EXPECT_FALSE(log->error());
  ASSERT_TRUE(log->flush_and_sync());
  EXPECT_EQ(log->stats().rescues, 1u);
  world.disk.crash();
  EXPECT_THAT(OpenLog(world).records, ElementsAre("first", long_record('a'), long_record('b')));
}

TEST(LogInBackground, ASegmentIsBegunWhenAllBeforeItIsDurableAndFramesWaitForIt) {
  World world;
  LogOfOwner log(world, background(1));
  log.start("first");
  const LogPosition end = log->end();
  log.start("second");
  EXPECT_EQ(log->end(), end);
  EXPECT_THAT(*world.disk.list(), SizeIs(1));
  log.start("third");
  log.settle();
  EXPECT_THAT(log->segment_starts(), ElementsAre(0, end));
  EXPECT_EQ(log->durable(), end);
  EXPECT_GT(log.progress, 0);
  EXPECT_THAT(read_from(*log, 0), ElementsAre("first", "second", "third"));
  EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second", "third"));
}

TEST(LogInBackground, APowerFailureWhileASegmentIsBegunLosesNothingDurable) {
  for (std::int64_t us = 0; us < 2'000; us += 20) {
    World world(static_cast<std::uint64_t>(us) + 1);
    LogPosition durable;
    {
      LogOfOwner log(world, background(1));
      log.start("first");
      log.start("second");
      world.run_for(us);
      (void)log->start_flush();
      durable = log->durable();
      world.disk.crash();
    }
    OpenLog again(world, background(1));
    EXPECT_EQ(again.error(), "") << us;
    EXPECT_GE(again.log->end(), durable) << us;
    EXPECT_LE(again.records.size(), 2u);
  }
}

TEST(LogInBackground, WhoWaitsMayInterruptTheBeginningOfASegmentAnywhere) {
  for (std::int64_t us = 0; us < 2'000; us += 20) {
    World world(static_cast<std::uint64_t>(us) + 1);
    LogOfOwner log(world, background(1));
    log.start("first");
    log.start("second");
    world.run_for(us);
    ASSERT_TRUE(log->flush_and_sync()) << us;
    log.start("third");
    log.settle();
    EXPECT_THAT(read_from(*log, 0), ElementsAre("first", "second", "third")) << us;
    EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second", "third")) << us;
  }
}

TEST(LogInBackground, ASegmentThatCannotBeBegunIsTriedAgain) {
  World world;
  LogOfOwner log(world, background(1));
  log.start("first");
  world.disk.faults.full = true;
  log.start("second");
  world.run_for(kLongUs);
  EXPECT_TRUE(log->error());
  world.disk.faults.full = false;
  log.settle();
  EXPECT_FALSE(log->error());
  EXPECT_THAT(log->segment_starts(), SizeIs(2));
  EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second"));
}

}  // namespace
}  // namespace even::test
