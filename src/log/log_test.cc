#include "log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <stdlib.h>

#include <filesystem>

#include "env/posix_disk.h"
#include "log/format.h"
#include "log/test_log.h"

namespace even::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

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

TEST(Log, ShardsOfOneDirectoryDoNotMeet) {
  World world;
  OpenLog zero(world, {}, 0);
  OpenLog one(world, {}, 1);
  ASSERT_TRUE(zero.write({"zero"}));
  ASSERT_TRUE(one.write({"one"}));
  EXPECT_THAT(OpenLog(world, {}, 1).records, ElementsAre("one"));
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

TEST(Log, WhatIsToBeSyncedAtOnceGoesOverZeroesWhateverThePolicy) {
  World world;
  OpenLog log(world, {.zero_bytes = kZeroBytes});
  const auto write = [&log](bool synced) {
    log.log->append("a frame");
    return log.log->start_flush(synced);
  };
  ASSERT_TRUE(write(false));
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + log.log->end());
  ASSERT_TRUE(write(true));
  EXPECT_EQ(world.content(kFirstSegment).size(), kZeroBytes);
  while (log.log->end() + kSegmentHeaderBytes <= kZeroBytes) ASSERT_TRUE(write(false));
  EXPECT_EQ(world.content(kFirstSegment).size(), kSegmentHeaderBytes + log.log->end());
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
      EXPECT_EQ(*log.log->read(log.log->end(), 1, [](LogPosition, std::string_view) {}),
                log.log->end());
    }
  }
}

// However many of them a segment holds.
TEST(Log, ReadsLittleMoreOfTheDiskThanItGives) {
  World world;
  OpenLog log(world, {.segment_bytes = 64 << 20, .tail_bytes = 1});
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(log.write({std::string(100'000, 'x')}));
  ASSERT_TRUE(log.log->flush_and_sync());
  world.disk.bytes_read = 0;
  EXPECT_EQ(read_from(*log.log, log.log->begin(), 1).size(), 30u);
  EXPECT_LT(world.disk.bytes_read, 2 * (log.log->end() - log.log->begin()));
}

TEST(Log, KeepsALongFrameInMemoryUntilItsReaderHasComeToIt) {
  World world;
  OpenLog log(world, {.tail_bytes = 1000, .unsynced_bytes = 20'000});
  const auto read_of_disk = [&](LogPosition from) {
    world.disk.bytes_read = 0;
    EXPECT_TRUE(log.log->read(from, 1, [](LogPosition, std::string_view) {}));
    return world.disk.bytes_read > 0;
  };
  const auto write = [&](std::size_t bytes) {
    const LogPosition at = log.log->end();
    EXPECT_TRUE(log.write({std::string(bytes, 'x')}));
    EXPECT_TRUE(log.log->flush_and_sync());
    return at;
  };
  const LogPosition short_one = write(900);
  const LogPosition long_one = write(5000);
  log.log->keep_for_reader(short_one);
  const LogPosition last = write(900);
  EXPECT_TRUE(read_of_disk(short_one));
  EXPECT_FALSE(read_of_disk(long_one));
  log.log->keep_for_reader(last);
  EXPECT_TRUE(read_of_disk(long_one));
  EXPECT_FALSE(read_of_disk(last));
  // No more than there may be that is not durable.
  const LogPosition first_of_many = write(15'000);
  log.log->keep_for_reader(first_of_many);
  write(15'000);
  EXPECT_TRUE(read_of_disk(first_of_many));
}

TEST(Log, WhatIsForRecoveryAloneLeavesMemoryWhenItIsDurable) {
  World world;
  OpenLog log(world, {.tail_bytes = 3000});
  const auto read_of_disk = [&](LogPosition from, const Records& expected) {
    world.disk.bytes_read = 0;
    EXPECT_EQ(read_from(*log.log, from), expected);
    return world.disk.bytes_read > 0;
  };
  const std::string wanted(100, 'w');
  const auto write = [&](std::initializer_list<std::string_view> for_recovery, bool with_wanted) {
    const LogPosition at = log.log->next_frame();
    for (const std::string_view record : for_recovery) {
      log.log->append_for_recovery(record.size(), [&](std::string& out) { out += record; });
    }
    if (with_wanted) log.log->append(wanted);
    EXPECT_TRUE(log.log->flush());
    return at;
  };
  const std::string own(2000, 'r');
  const LogPosition first = write({}, true);
  const LogPosition second = write({own}, false);
  const LogPosition both = write({"r"}, true);
  // Not durable yet, it would be written anew if the sync failed.
  EXPECT_FALSE(read_of_disk(first, {wanted, own, "r", wanted}));
  ASSERT_TRUE(log.log->flush_and_sync());
  for (int i = 0; i < 5; ++i) {
    write({own}, false);
    ASSERT_TRUE(log.log->flush_and_sync());
  }
  const LogPosition last = write({}, true);
  // 12,000 bytes of it take no place, and the rest is there.
  EXPECT_FALSE(read_of_disk(first, {wanted, "r", wanted, wanted}));
  EXPECT_FALSE(read_of_disk(second, {"r", wanted, wanted}));
  EXPECT_FALSE(read_of_disk(both, {"r", wanted, wanted}));
  EXPECT_FALSE(read_of_disk(last, {wanted}));
  // From the middle of several that went together, where somebody else may have stopped to read.
  const LogPosition one = write({own}, false);
  const LogPosition other = write({own}, false);
  ASSERT_TRUE(log.log->flush_and_sync());
  write({}, true);
  EXPECT_FALSE(read_of_disk(other, {wanted}));
  EXPECT_FALSE(read_of_disk(one, {wanted}));
  // Recovery has all of it.
  ASSERT_TRUE(log.log->flush_and_sync());
  OpenLog again(world);
  EXPECT_EQ(again.records,
            (Records{wanted, own, "r", wanted, own, own, own, own, own, wanted, own, own, wanted}));
}

// By what the allocator has given out, which sanitizers' allocators do not say.
TEST(Log, WhatHasLeftMemoryTakesNone) {
  const auto in_use = [] {
    const struct mallinfo2 all = ::mallinfo2();
    return static_cast<std::int64_t>(all.uordblks + all.hblkhd);
  };
  std::string path = (std::filesystem::temp_directory_path() / "even_log_XXXXXX").string();
  ASSERT_NE(::mkdtemp(path.data()), nullptr);
  {
    World world;
    const auto disk = std::move(*PosixDisk::open(path + "/data", [](const auto&) {}));
    Log log({}, 0, *disk, world.clock);
    ASSERT_TRUE(log.recover([](LogPosition, std::string_view) -> Result<> { return {}; }, {}));
    const std::string own(100'000, 'r');
    const std::int64_t before = in_use();
    for (int i = 0; i < 100; ++i) {
      log.append("wanted");
      ASSERT_TRUE(log.flush());
      for (int j = 0; j < 2; ++j) {
        log.append_for_recovery(own.size(), [&](std::string& out) { out += own; });
        ASSERT_TRUE(log.flush());
      }
      ASSERT_TRUE(log.flush_and_sync());
      log.keep_for_reader(log.end());
    }
    EXPECT_LT(in_use() - before, 2'000'000);
  }
  std::filesystem::remove_all(path);
}

TEST(Log, AFrameThatIsDamagedUnderAReaderIsReportedWithFileAndOffset) {
  World world;
  OpenLog log(world, rolling());
  for (const char* record : {"first", "second", "third"}) ASSERT_TRUE(log.write({record}));
  const std::string name = segment_name(0, kFrameOfFirst);
  std::string bytes = world.content(name);
  bytes.back() ^= 1;
  world.put(name, bytes);
  const auto read = log.log->read(kFrameOfFirst, 1, [](LogPosition, std::string_view) {});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, StartsWith(name + ": damaged at offset 40"));
}

TEST(Log, WhatIsDurableIsWhatASyncThatBeganLaterHasCovered) {
  World world;
  OpenLog log(world);
  int synced = 0;
  log.log->on_progress([&synced] { ++synced; });
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
    void append(std::shared_ptr<const std::string> bytes,
                std::function<void(Result<>)> done) override {
      file_->append(std::move(bytes), std::move(done));
    }
    Result<> finish_append() override { return file_->finish_append(); }
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
}  // namespace
}  // namespace even::test
