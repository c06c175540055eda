#include "env/volatile_cache_disk.h"

#include <gtest/gtest.h>

#include "env/sim_disk.h"

namespace even {
namespace {

// The cache over a disk that keeps all that reaches it, synced or not: so what is on that one is
// what would be left of a process that is killed.
class VolatileCacheDiskTest : public testing::Test {
 protected:
  VolatileCacheDiskTest() {
    auto beneath = std::make_unique<sim::SimDisk>(scheduler_, random_);
    beneath_ = beneath.get();
    disk_ = std::make_unique<VolatileCacheDisk>(
        std::move(beneath),
        [this](std::int64_t us, auto task) { scheduler_.after(us, std::move(task)); });
  }
  void run_all() {
    while (scheduler_.step(scheduler_.now_us() + 60'000'000)) continue;
  }

  sim::Scheduler scheduler_;
  Random random_{1};
  sim::SimDisk* beneath_;
  std::unique_ptr<VolatileCacheDisk> disk_;
};

TEST_F(VolatileCacheDiskTest, WhatIsNotSyncedIsInMemoryAlone) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("durable "));
  ASSERT_TRUE(file->sync_now());
  ASSERT_TRUE(file->append("lost"));
  EXPECT_EQ(beneath_->read("a", 0, 100), "durable ");
  EXPECT_EQ(disk_->size("a"), 12u);
  EXPECT_EQ(disk_->read("a", 0, 100), "durable lost");
  EXPECT_EQ(disk_->read("a", 6, 4), "e lo");
  EXPECT_EQ(disk_->read("a", 9, 2), "os");
  EXPECT_EQ(disk_->read("a", 0, 3), "dur");
  EXPECT_EQ(disk_->read("a", 12, 3), "");
}

TEST_F(VolatileCacheDiskTest, ASyncIsOfWhatWasAppendedBeforeIt) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("one"));
  int synced = 0;
  file->sync([&](const Result<>& result) { synced += result ? 1 : 100; });
  ASSERT_TRUE(file->append("two"));
  EXPECT_EQ(beneath_->read("a", 0, 100), "") << "it takes a while";
  run_all();
  EXPECT_EQ(synced, 1);
  EXPECT_EQ(beneath_->read("a", 0, 100), "one");
}

TEST_F(VolatileCacheDiskTest, WhatIsCachedTakesThePlaceOfZeroesAhead) {
  auto file = std::move(*disk_->open_append("a", 0));
  file->zero_ahead(8);
  ASSERT_TRUE(file->append("abc"));
  EXPECT_EQ(disk_->size("a"), 8u);
  EXPECT_EQ(disk_->read("a", 1, 4), std::string("bc\0\0", 4));
  EXPECT_EQ(beneath_->read("a", 0, 3), std::string(3, '\0'));
}

TEST_F(VolatileCacheDiskTest, ALongAppendEndsLaterOrWhenItIsWaitedFor) {
  auto file = std::move(*disk_->open_append("a", 0));
  int done = 0;
  file->append(std::make_shared<const std::string>("one"), [&](const Result<>&) { ++done; });
  EXPECT_EQ(done, 0);
  run_all();
  EXPECT_EQ(done, 1);
  const auto two = std::make_shared<const std::string>("two");
  file->append(two, [&](const Result<>&) { ++done; });
  ASSERT_TRUE(file->finish_append());
  run_all();
  EXPECT_EQ(done, 1) << "nobody is told of what was waited for";
  EXPECT_EQ(disk_->read("a", 0, 100), "onetwo");
  EXPECT_EQ(beneath_->size("a"), 0u);
}

TEST_F(VolatileCacheDiskTest, AFileIsCutInMemoryAndOnTheDisk) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("onetwo"));
  ASSERT_TRUE(file->sync_now());
  ASSERT_TRUE(file->append("three"));
  ASSERT_TRUE(file->truncate(8));
  EXPECT_EQ(disk_->read("a", 0, 100), "onetwoth");
  ASSERT_TRUE(file->truncate(3));
  ASSERT_TRUE(file->append("!"));
  EXPECT_EQ(disk_->read("a", 0, 100), "one!");
  EXPECT_EQ(beneath_->read("a", 0, 100), "one");
}

TEST_F(VolatileCacheDiskTest, AFileKeepsWhatIsCachedUnderANewName) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("one"));
  ASSERT_TRUE(disk_->rename("a", "b"));
  EXPECT_EQ(disk_->read("b", 0, 100), "one");
  ASSERT_TRUE(file->sync_now());
  EXPECT_EQ(beneath_->read("b", 0, 100), "one");
}

TEST_F(VolatileCacheDiskTest, WhatAFileHasIsWrittenWhenItIsClosedOrOpenedAgain) {
  {
    auto file = std::move(*disk_->open_append("a", 0));
    ASSERT_TRUE(file->append("one"));
  }
  EXPECT_EQ(beneath_->read("a", 0, 100), "one");
  auto file = std::move(*disk_->open_append("a", 3));
  ASSERT_TRUE(file->append("two"));
  auto again = std::move(*disk_->open_append("a", 6));
  ASSERT_TRUE(again->append("three"));
  EXPECT_EQ(disk_->read("a", 0, 100), "onetwothree");
}

TEST_F(VolatileCacheDiskTest, AFullDiskShowsWhenAFileIsSynced) {
  auto file = std::move(*disk_->open_append("a", 0));
  beneath_->faults.full = true;
  ASSERT_TRUE(file->append("one"));
  EXPECT_FALSE(file->sync_now());
  bool failed = false;
  file->sync([&](const Result<>& result) { failed = !result; });
  run_all();
  EXPECT_TRUE(failed);
  beneath_->faults.full = false;
  ASSERT_TRUE(file->sync_now());
  EXPECT_EQ(beneath_->read("a", 0, 100), "one");
}

}  // namespace
}  // namespace even
