// What is particular to the store in the simulator: how it fails.
#include "store/sim_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/test_store.h"

namespace even::test {
namespace {

using ::testing::HasSubstr;

void run_for(SimWorld& world, std::int64_t us) {
  const std::int64_t until = world.scheduler.now_us() + us;
  while (world.scheduler.step(until)) {
  }
}

RowBatch replace_all(const std::string& value) {
  RowBatch changes;
  changes.remove_range("a", "z");
  changes.put("a", value);
  changes.put("b", value);
  return changes;
}

TEST(SimStore, ACrashTakesInAPassThatIsBeingCommittedWholeOrNotAtAll) {
  const Rows before = {{"a", "1"}, {"b", "1"}};
  const Rows after = {{"a", "2"}, {"b", "2"}};
  int taken = 0;
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SimWorld world(seed);
    ASSERT_TRUE(put(world, before));
    world.store->write(replace_all("2"));
    bool answered = false;
    world.store->commit([&](Result<>) { answered = true; });
    run_for(world, static_cast<std::int64_t>(world.random.below(1'000)));
    ASSERT_FALSE(answered);
    world.all.crash();
    world.reopen();
    const Rows rows = *scan(*world.store);
    ASSERT_TRUE(rows == before || rows == after);
    ++(rows == after ? taken : lost);
    run_for(world, 10'000'000);
    EXPECT_FALSE(answered);
    EXPECT_EQ(*scan(*world.store), rows);
  }
  EXPECT_GT(taken, 20);
  EXPECT_GT(lost, 20);
}

TEST(SimStore, APassThatFailedIsNotTakenInOverALaterOne) {
  const Rows before = {{"a", "1"}};
  const Rows failed = {{"a", "1"}, {"f", "2"}};
  const Rows later = {{"a", "1"}, {"b", "3"}, {"f", "3"}};
  std::map<Rows, int> found;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SimWorld world(seed);
    ASSERT_TRUE(put(world, before));
    world.all.faults.failing_commit = 1;
    ASSERT_FALSE(put(world, {{"f", "2"}}));
    world.all.faults.failing_commit = 0;
    RowBatch changes;
    changes.put("b", "3");
    changes.put("f", "3");
    world.store->write(std::move(changes));
    world.store->commit([](Result<>) {});
    world.store.reset();  // the process ends first, then the machine
    world.all.crash();
    world.reopen();
    ++found[*scan(*world.store)];
  }
  EXPECT_EQ(found.size(), 3u);
  for (const Rows& rows : {before, failed, later}) EXPECT_GT(found[rows], 10);
}

TEST(SimStore, ACrashForgetsAPassBeforeItsCommitAndKeepsOneAfterItsOutcome) {
  SimWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  world.store->write(replace_all("2"));
  world.all.crash();
  world.reopen();
  EXPECT_EQ(scan(*world.store), (Rows{{"a", "1"}}));
}

TEST(SimStore, NothingIsAnsweredAfterACrash) {
  SimWorld world;
  bool answered = false;
  world.store->fetch({"a"}, [&](RowStore::Fetched) { answered = true; });
  world.store->commit([&](Result<>) { answered = true; });
  world.all.crash();
  run_for(world, 10'000'000);
  EXPECT_FALSE(answered);
}

TEST(SimStore, ACommitThatFailsChangesNothing) {
  SimWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  world.all.faults.failing_commit = 1;
  const Result<> failed = put(world, {{"a", "2"}});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("input/output error"));
  world.all.faults = {.full = true};
  const Result<> full = put(world, {{"a", "2"}});
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message, HasSubstr("no space left"));
  EXPECT_EQ(scan(*world.store), (Rows{{"a", "1"}}));
  world.all.faults = {};
  ASSERT_TRUE(put(world, {{"a", "3"}}));
  EXPECT_EQ(scan(*world.store), (Rows{{"a", "3"}}));
}

TEST(SimStore, ACrashMayBringBackAPassThatFailedUnlessOneSucceededSince) {
  int back = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SimWorld world(seed);
    ASSERT_TRUE(put(world, {{"a", "1"}, {"b", "1"}}));
    world.all.faults.failing_commit = 1;
    world.store->write(replace_all("2"));
    ASSERT_FALSE(commit(world));
    world.all.faults.failing_commit = 0;
    const bool another = seed % 2 == 0;
    if (another) {
      ASSERT_TRUE(put(world, {{"c", "1"}}));
    }
    world.all.crash();
    world.reopen();
    const Rows rows = *scan(*world.store);
    ASSERT_EQ(rows.at("a"), rows.at("b"));
    if (rows.at("a") == "2") {
      ASSERT_FALSE(another);
      ++back;
    }
  }
  EXPECT_GT(back, 10);
  EXPECT_LT(back, 40);
}

TEST(SimStore, AFetchSeesTheStoreAtOneMomentBetweenTheCallAndTheAnswer) {
  std::map<std::string, int> seen;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SimWorld world(seed);
    ASSERT_TRUE(put(world, {{"a", "1"}, {"b", "1"}}));
    world.all.faults.commit_us = 100;
    world.store->write(replace_all("2"));
    world.store->commit([](Result<>) {});
    const auto values = fetch(world, {"a", "b"});
    ASSERT_TRUE(values);
    ASSERT_EQ((*values)[0], (*values)[1]);
    ++seen[*(*values)[0]];
  }
  EXPECT_GT(seen["1"], 5);
  EXPECT_GT(seen["2"], 5);
}

TEST(SimStore, ShardsShareTheRows) {
  SimWorld world;
  const auto other = world.all.shard_store();
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  EXPECT_EQ(get(*other, "a"), "1");
}

TEST(SimStore, AWipedStoreIsEmpty) {
  SimWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  world.store->write(replace_all("2"));
  world.store->commit([](Result<>) {});
  world.all.wipe();
  world.reopen();
  run_for(world, 10'000'000);
  EXPECT_EQ(scan(*world.store), Rows{});
}

TEST(SimStore, ASeedReplaysExactly) {
  const auto instants = [] {
    SimWorld world(5);
    std::vector<std::int64_t> finished;
    for (int i = 0; i < 300; ++i) {
      EXPECT_TRUE(put(world, {{"a", std::to_string(i)}}));
      finished.push_back(world.scheduler.now_us());
    }
    return finished;
  };
  const auto first = instants();
  EXPECT_EQ(first, instants());
  EXPECT_GT(first.back(), 300 * 3'000);
}

}  // namespace
}  // namespace even::test
