#include "log/log.h"

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
using ::testing::IsEmpty;
using ::testing::StartsWith;

using Records = std::vector<std::string>;

Records read_from(Log& log, LogPosition from, std::uint64_t limit = 1 << 20) {
  Records records;
  while (from < log.end()) {
    const auto next =
        log.read(from, limit, [&](std::string_view record) { records.emplace_back(record); });
    EXPECT_TRUE(next) << next.error().message;
    if (!next) break;
    EXPECT_GT(*next, from);
    from = *next;
  }
  return records;
}

TEST(Log, ReturnsWhatWasWrittenInOrder) {
  World world;
  {
    OpenLog log(world);
    EXPECT_EQ(log.error(), "");
    EXPECT_THAT(log.records, IsEmpty());
    ASSERT_TRUE(log.write({"a", "", "b"}));
    ASSERT_TRUE(log.write({std::string(100'000, 'c')}));
    ASSERT_TRUE(log.log->flush_and_sync());
  }
  world.disk.crash();
  OpenLog again(world);
  EXPECT_EQ(again.error(), "");
  EXPECT_THAT(again.records, ElementsAre("a", "", "b", std::string(100'000, 'c')));
  EXPECT_EQ(again.positions[0], again.positions[2]);
  EXPECT_LT(again.positions[2], again.positions[3]);
}

TEST(Log, ATornTailIsCutWhereverItIsTorn) {
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

TEST(Log, ASegmentGetsItsNameWhenItsHeaderIsOnTheDisk) {
  World world;
  {
    OpenLog log(world);
    world.disk.faults.failing_sync = 1;
    EXPECT_FALSE(OpenLog(world, {}, 1).outcome);
    EXPECT_THAT(*world.disk.list(), ElementsAre(kFirstSegment));
    world.disk.faults.failing_sync = 0;
  }
  // So a file without one is damage.
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kSegmentHeaderBytes}) {
    world.put(kFirstSegment, std::string(size, '\0'));
    EXPECT_THAT(OpenLog(world).error(), HasSubstr("damaged at offset 0")) << size;
  }
}

TEST(Log, AnyFlippedBitBeforeWhatALaterFrameSaysWasDurableIsRefusedWithFileAndOffset) {
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

TEST(Log, AFlippedBitInASegmentsHeaderIsRefused) {
  World source;
  const std::string whole = three_frames(source);
  for (std::size_t at = 0; at < kSegmentHeaderBytes; ++at) {
    World world;
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    world.put(kFirstSegment, damaged);
    EXPECT_THAT(OpenLog(world).error(),
                StartsWith(std::string(kFirstSegment) + ": damaged at offset 0: "))
        << at;
  }
}

TEST(Log, ANewerVersionIsRefusedByName) {
  World world;
  std::string bytes = three_frames(world);
  bytes[8] = 2;
  world.put(kFirstSegment, bytes);
  EXPECT_THAT(OpenLog(world).error(), AllOf(HasSubstr("version 2"), HasSubstr("version 1")));
}

TEST(Log, ASegmentOfAnotherShardUnderThisOnesNameIsRefused) {
  World world;
  world.put(kFirstSegment, encode_segment_header({.shard = 1, .base = 0}));
  EXPECT_THAT(OpenLog(world).error(), HasSubstr("does not belong to a file of this name"));
}

TEST(Log, ShardsOfOneDirectoryDoNotMeet) {
  World world;
  OpenLog zero(world, {}, 0);
  OpenLog one(world, {}, 1);
  ASSERT_TRUE(zero.write({"zero"}));
  ASSERT_TRUE(one.write({"one"}));
  EXPECT_THAT(OpenLog(world, {}, 1).records, ElementsAre("one"));
}

// Three segments: each flush goes to a segment of its own.
LogOptions rolling() {
  return {.fsync = FsyncPolicy::kAlways, .segment_bytes = 1, .tail_bytes = 1};
}

TEST(Log, SegmentsRollAndTheOldestCanBeRemoved) {
  World world;
  {
    OpenLog log(world, rolling());
    for (const char* record : {"first", "second", "third"}) ASSERT_TRUE(log.write({record}));
    ASSERT_TRUE(log.log->flush_and_sync());
    EXPECT_THAT(log.log->segment_starts(),
                ElementsAre(0, kFrameOfFirst, kFrameOfFirst + kFrameOfSecond));
    EXPECT_EQ(log.log->stats().segments, 3u);
    EXPECT_THAT(read_from(*log.log, 0), ElementsAre("first", "second", "third"));
    ASSERT_TRUE(log.log->remove_first_segment());
    EXPECT_EQ(log.log->begin(), kFrameOfFirst);
    EXPECT_THAT(read_from(*log.log, kFrameOfFirst), ElementsAre("second", "third"));
  }
  world.disk.crash();
  OpenLog again(world, rolling());
  EXPECT_EQ(again.error(), "");
  EXPECT_THAT(again.records, ElementsAre("second", "third"));
  EXPECT_EQ(again.log->begin(), kFrameOfFirst);
}

TEST(Log, AMissingSegmentInTheMiddleIsRefused) {
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

TEST(Log, ATornFrameInASegmentThatIsNotTheLastIsRefused) {
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

constexpr std::size_t kZeroBytes = 1000;
LogOptions zeroing() { return {.fsync = FsyncPolicy::kAlways, .zero_bytes = kZeroBytes}; }

TEST(Log, SmallFramesThatAreSyncedEachTakeThePlaceOfZeroes) {
  World world;
  OpenLog log(world, zeroing());
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes);  // nothing for an idle shard
  ASSERT_TRUE(log.write({"first"}));
  EXPECT_EQ(world.content(kFirstSegment).size(), kZeroBytes);
  while (log.log->end() + kSegmentHeaderBytes <= kZeroBytes) {
    EXPECT_EQ(world.content(kFirstSegment).size(), kZeroBytes);
    ASSERT_TRUE(log.write({"more"}));
  }
  EXPECT_EQ(world.content(kFirstSegment).size(), 2 * kZeroBytes);
  const std::string large(20'000, 'x');
  ASSERT_TRUE(log.write({large}));
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + log.log->end());
  OpenLog unsynced(world);
  ASSERT_TRUE(unsynced.write({"a frame"}));
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + unsynced.log->end());
}

TEST(Log, ZeroesBehindTheLastFrameAreItsEndAndNoTornTail) {
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

TEST(Log, FramesWithAHoleOfZeroesAreCutUnlessALaterOneSaysThatTheyWereDurable) {
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

TEST(Log, ASegmentGivesItsZeroesBackWhenTheNextOneBegins) {
  World world;
  const LogOptions options{
      .fsync = FsyncPolicy::kAlways, .segment_bytes = 1, .tail_bytes = 1, .zero_bytes = 1000};
  {
    OpenLog log(world, options);
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.write({"second"}));
    ASSERT_TRUE(log.log->flush_and_sync());
    EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + kFrameOfFirst);
  }
  // A crash before that got to the disk.
  const std::string whole = world.content(kFirstSegment);
  world.put(kFirstSegment, whole + std::string(1000, '\0'));
  EXPECT_TRUE(inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {}));
  EXPECT_THAT(OpenLog(world, options).records, ElementsAre("first", "second"));
  // Zeroes in the place of a frame: the next segment does not follow.
  world.put(kFirstSegment, whole.substr(0, kSegmentHeaderBytes) + std::string(1000, '\0'));
  EXPECT_THAT(OpenLog(world, options).error(), HasSubstr("the segment before it ends at 0"));
  EXPECT_FALSE(inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {}));
}

TEST(Log, ReadsByPositionFromMemoryAndFromDiskAlike) {
  for (const std::uint64_t tail : {std::uint64_t{1}, std::uint64_t{500}, std::uint64_t{1} << 20}) {
    for (const std::uint64_t segment :
         {std::uint64_t{1}, std::uint64_t{3000}, std::uint64_t{1} << 30}) {
      World world;
      OpenLog log(world, {.segment_bytes = segment, .tail_bytes = tail});
      Records all;
      std::vector<LogPosition> starts;
      for (int i = 0; i < 60; ++i) {
        starts.push_back(log.log->end());
        all.push_back("record " + std::to_string(i) +
                      std::string(static_cast<std::size_t>(i) * 7, '.'));
        ASSERT_TRUE(log.write({all.back()}));
      }
      // Larger than any chunk that is read at once.
      starts.push_back(log.log->end());
      all.emplace_back(5 << 20, 'x');
      ASSERT_TRUE(log.write({all.back()}));
      ASSERT_TRUE(log.write({"end"}));
      all.emplace_back("end");
      for (std::size_t i = 0; i < starts.size(); i += 12) {
        for (const std::uint64_t limit : {1, 1000}) {
          ASSERT_EQ(read_from(*log.log, starts[i], limit),
                    Records(all.begin() + static_cast<std::ptrdiff_t>(i), all.end()));
        }
      }
      EXPECT_EQ(*log.log->read(log.log->end(), 1, [](std::string_view) {}), log.log->end());
    }
  }
}

TEST(Log, AFrameThatIsDamagedUnderAReaderIsReportedWithFileAndOffset) {
  World world;
  OpenLog log(world, rolling());
  for (const char* record : {"first", "second", "third"}) ASSERT_TRUE(log.write({record}));
  const std::string name = segment_name(0, kFrameOfFirst);
  std::string bytes = world.content(name);
  bytes.back() ^= 1;
  world.put(name, bytes);
  const auto read = log.log->read(kFrameOfFirst, 1, [](std::string_view) {});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, StartsWith(name + ": damaged at offset 40"));
}

TEST(Log, WhatIsDurableIsWhatASyncThatBeganLaterHasCovered) {
  World world;
  OpenLog log(world);
  int synced = 0;
  log.log->on_synced([&synced] { ++synced; });
  ASSERT_TRUE(log.write({"a"}));
  const LogPosition first = log.log->barrier();
  log.log->sync();
  ASSERT_TRUE(log.write({"b"}));
  log.log->sync();  // follows the one that is under way
  EXPECT_EQ(log.log->durable(), 0u);
  world.run_for(1'000'000);
  EXPECT_EQ(synced, 2);
  EXPECT_GT(log.log->durable(), first);
  EXPECT_EQ(log.log->durable(), log.log->end());
  EXPECT_FALSE(log.log->sync_needed());
}

TEST(Log, TheBarrierOfARecordIsReachedOnlyByTheFrameThatHoldsIt) {
  World world;
  OpenLog log(world);
  EXPECT_EQ(log.log->barrier(), log.log->end());
  log.log->append("a");
  EXPECT_GT(log.log->barrier(), log.log->end());
  const LogPosition barrier = log.log->barrier();
  ASSERT_TRUE(log.log->flush());
  EXPECT_LE(barrier, log.log->end());
}

// The simulated disk never makes durable what it has failed to sync, whatever it says later.
TEST(Log, WhatASyncHasFailedForIsWrittenAnewToAnotherFile) {
  for (const FsyncPolicy fsync : {FsyncPolicy::kEverySecond, FsyncPolicy::kNo}) {
    World world;
    OpenLog log(world, {.fsync = fsync, .tail_bytes = 1});
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.log->flush_and_sync());
    ASSERT_TRUE(log.write({"second"}));
    ASSERT_TRUE(log.write({"third"}));
    const LogPosition end = log.log->end();
    world.disk.faults.failing_sync = 1;
    log.log->sync();
    world.run_for(1'000'000);
    ASSERT_TRUE(log.log->error());
    EXPECT_THAT(*log.log->error(),
                AllOf(HasSubstr("cannot be synced"), HasSubstr("could not be written anew")));
    EXPECT_TRUE(log.log->stuck());
    EXPECT_EQ(log.log->durable(), kFrameOfFirst);
    EXPECT_EQ(log.log->stats().sync_errors, 1u);
    EXPECT_FALSE(log.write({"fourth"}));
    log.log->sync();
    world.run_for(1'000'000);
    EXPECT_EQ(log.log->durable(), kFrameOfFirst);
    EXPECT_FALSE(log.log->flush_and_sync());

    world.disk.faults.failing_sync = 0;
    world.run_for(60'000'000);
    if (!log.log->flush()) {
      // What is not kept in memory may be gone from the file.
      ASSERT_EQ(fsync, FsyncPolicy::kNo);
      EXPECT_THAT(*log.log->error(), HasSubstr("cannot be read any more"));
      continue;
    }
    EXPECT_FALSE(log.log->error());
    EXPECT_EQ(log.log->durable(), end);
    EXPECT_EQ(log.log->stats().rescues, 1u);
    EXPECT_THAT(log.log->segment_starts(), ElementsAre(0, kFrameOfFirst));
    EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + kFrameOfFirst);
    EXPECT_THAT(read_from(*log.log, 0), ElementsAre("first", "second", "third", "fourth"));
    world.disk.crash();
    EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second", "third"));
  }
}

TEST(Log, ASegmentEndsWhereTheNextOneBegins) {
  World world;
  std::string with_both;
  {
    OpenLog log(world);
    ASSERT_TRUE(log.write({"first"}));
    ASSERT_TRUE(log.log->flush_and_sync());
    ASSERT_TRUE(log.write({"second"}));
    with_both = world.content(kFirstSegment);
    world.disk.faults.failing_sync = 1;
    log.log->sync();
    world.run_for(1'000'000);
    world.disk.faults.failing_sync = 0;
    world.run_for(1'000'000);
    ASSERT_TRUE(log.log->flush());
    ASSERT_TRUE(log.log->flush_and_sync());
  }
  // A crash before the first was cut on the disk.
  for (const std::string& left : {with_both, with_both + "junk", with_both + '\0'}) {
    world.put(kFirstSegment, left);
    EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second"));
  }
  const auto report =
      inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->records, 2u);
  // Not in the middle of a frame.
  world.put(kFirstSegment, with_both.substr(0, kSegmentHeaderBytes + kFrameOfFirst - 1));
  EXPECT_FALSE(inspect_log(world.disk, [](const std::string&, std::uint64_t, std::string_view) {}));
  EXPECT_NE(OpenLog(world).error(), "");
}

TEST(Log, WhatNoFrameSaysToBeDurableIsWrittenAnewAtStart) {
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

// No frame of ours says such things. What begins a segment must begin with a frame all the same.
TEST(Log, WhatFramesSayToBeDurableCountsUpToWhereOneBegins) {
  std::string body;
  append_entry(body, "first");
  for (const LogPosition said : {LogPosition{0}, LogPosition{1}, LogPosition{40}, kFrameOfFirst}) {
    World world;
    std::string frames = encode_frame(0, 0, body);
    ASSERT_EQ(frames.size(), kFrameOfFirst);
    frames += encode_frame(kFrameOfFirst, said, body);
    world.put(kFirstSegment, encode_segment_header({0, 0}) + frames);
    OpenLog log(world);
    ASSERT_EQ(log.error(), "");
    EXPECT_EQ(log.records, (std::vector<std::string>{"first", "first"}));
    EXPECT_TRUE(log.write({"third"})) << said;
    EXPECT_EQ(world.disk.list()->size(), said == kFrameOfFirst ? 2u : 1u) << said;
  }
}

TEST(Log, AFrameThatSaysToBeDurableItselfIsNone) {
  std::string body;
  append_entry(body, "first");
  World world;
  world.put(kFirstSegment, encode_segment_header({0, 0}) + encode_frame(0, 0, body) +
                               encode_frame(kFrameOfFirst, kFrameOfFirst + 1, body));
  OpenLog log(world);
  EXPECT_EQ(log.records, std::vector<std::string>{"first"});
  EXPECT_TRUE(log.write({"second"}));
}

TEST(Log, AFullDiskIsReportedBeforeARecordFindsNoRoomAndForgottenWhenThereIsRoom) {
  World world;
  OpenLog log(world);
  ASSERT_TRUE(log.write({"a"}));
  EXPECT_FALSE(log.log->error());
  world.disk.faults.full = true;
  // Its frame cannot be written; what was partly written is taken back.
  EXPECT_FALSE(log.write({"b"}));
  ASSERT_TRUE(log.log->error());
  EXPECT_THAT(*log.log->error(), HasSubstr("no space left"));
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + log.log->end());
  EXPECT_FALSE(log.log->flush());
  world.disk.faults.full = false;
  // The frame was kept.
  ASSERT_TRUE(log.log->flush());
  EXPECT_FALSE(log.log->error());
  EXPECT_THAT(read_from(*log.log, 0), ElementsAre("a", "b"));
  EXPECT_THAT(OpenLog(world).records, ElementsAre("a", "b"));
}

// The disk fills up without a write to notice it: an empty flush while there is an error tries
// again, and a flush that could write but not reserve says so.
class NearlyFull final : public sim::SimDisk {
 public:
  using SimDisk::SimDisk;
  class File final : public AppendFile {
   public:
    File(std::unique_ptr<AppendFile> file, bool& no_reserve)
        : file_(std::move(file)), no_reserve_(no_reserve) {}
    Result<> append(std::string_view bytes) override { return file_->append(bytes); }
    Result<> truncate(std::uint64_t size) override { return file_->truncate(size); }
    Result<> reserve(std::uint64_t size) override {
      if (no_reserve_) return fail("no space left for a reservation");
      return file_->reserve(size);
    }
    void zero_ahead(std::uint64_t size) override { file_->zero_ahead(size); }
    void sync(std::function<void(Result<>)> done) override { file_->sync(std::move(done)); }
    Result<> sync_now() override { return file_->sync_now(); }

   private:
    std::unique_ptr<AppendFile> file_;
    bool& no_reserve_;
  };
  Result<std::unique_ptr<AppendFile>> open_append(const std::string& name,
                                                  std::uint64_t size) override {
    if (no_open) return fail("too many open files");
    auto file = SimDisk::open_append(name, size);
    if (!file) return file;
    return std::make_unique<File>(std::move(*file), no_reserve);
  }
  bool no_reserve = false;
  bool no_open = false;
};

TEST(Log, ADiskWithoutRoomForTheNextRecordIsReportedWhileThisOneIsStillWritten) {
  World world;
  NearlyFull disk(world.scheduler, world.random);
  Log log({}, 0, disk, world.clock);
  ASSERT_TRUE(log.recover([](LogPosition, std::string_view) -> Result<> { return {}; }, {}));
  disk.no_reserve = true;
  log.append("a");
  EXPECT_TRUE(log.flush());
  ASSERT_TRUE(log.error());
  EXPECT_THAT(*log.error(), HasSubstr("no room to grow"));
  EXPECT_THAT(read_from(log, 0), ElementsAre("a"));
  disk.no_reserve = false;
  EXPECT_TRUE(log.flush());
  EXPECT_FALSE(log.error());
}

TEST(Log, WithoutAFileForTheNextSegmentWhatWasExecutedGoesToTheOldOne) {
  World world;
  NearlyFull disk(world.scheduler, world.random);
  const auto nothing = [](LogPosition, std::string_view) -> Result<> { return {}; };
  Log log(rolling(), 0, disk, world.clock);
  ASSERT_TRUE(log.recover(nothing, {}));
  log.append("first");
  ASSERT_TRUE(log.flush());
  disk.no_open = true;
  log.append("second");
  EXPECT_TRUE(log.flush());
  ASSERT_TRUE(log.error());
  EXPECT_THAT(*log.error(), HasSubstr("too many open files"));
  EXPECT_EQ(log.barrier(), log.end());
  disk.no_open = false;
  EXPECT_TRUE(log.flush());
  EXPECT_FALSE(log.error());
  EXPECT_EQ(log.segment_starts().size(), 2u);
  log.append("third");
  ASSERT_TRUE(log.flush_and_sync());
  EXPECT_THAT(read_from(log, 0), ElementsAre("first", "second", "third"));
  Log again(rolling(), 0, disk, world.clock);
  EXPECT_TRUE(again.recover(nothing, {}));
  EXPECT_EQ(again.end(), log.end());
}

TEST(Log, ASegmentThatCannotBeBegunLeavesTheLogAsItWas) {
  World world;
  OpenLog log(world, rolling());
  ASSERT_TRUE(log.write({"first"}));
  world.disk.faults.full = true;
  EXPECT_FALSE(log.write({"second"}));
  EXPECT_TRUE(log.log->error());
  EXPECT_THAT(log.log->segment_starts(), ElementsAre(0));
  EXPECT_EQ(OpenLog(world).error(), "");
  world.disk.faults.full = false;
  ASSERT_TRUE(log.log->flush()) << *log.log->error();
  EXPECT_THAT(log.log->segment_starts(), ElementsAre(0, kFrameOfFirst));
  EXPECT_THAT(OpenLog(world).records, ElementsAre("first", "second"));
}

// Whatever is done and whenever the power goes: the log opens, holds a prefix of what was appended,
// and everything that it said was durable.
RC_GTEST_PROP(Log, RecoversAllThatWasDurableAfterAnyCrash,
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
