#include "log/repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "log/segments.h"
#include "log/test_log.h"

namespace even::test {
namespace {

using testing::ElementsAre;

// Three frames in each of three segments, of which all but the last say that those before them were
// durable.
struct Damaged {
  Damaged() {
    OpenLog log(world, {.segment_bytes = 100, .tail_bytes = 1});
    for (int i = 0; i < 9; ++i) {
      starts.push_back(log.log->end());
      EXPECT_TRUE(log.write({std::to_string(i)}));
      EXPECT_TRUE(log.log->flush_and_sync());
    }
    end = log.log->end();
    segments = log.log->segment_starts();
  }
  void flip(LogPosition position) {
    const LogPosition base = *std::prev(std::ranges::upper_bound(segments, position));
    const std::string name = segment_name(0, base);
    std::string bytes = world.content(name);
    bytes[kSegmentHeaderBytes + (position - base)] ^= 1;
    world.put(name, bytes);
  }
  LogRepair plan(LogPosition needed) { return *plan_log_repair(world.disk, 0, needed); }

  World world;
  std::vector<LogPosition> starts;
  LogPosition end = 0;
  std::vector<LogPosition> segments;
};

TEST(LogRepair, OfAWholeLogIsNothing) {
  Damaged log;
  EXPECT_EQ(log.plan(0).damage, "");
  EXPECT_EQ(log.plan(log.end).damage, "");
}

TEST(LogRepair, DoesWithoutWhatTheStoreHas) {
  for (const int damaged : {0, 2, 4}) {
    Damaged log;
    log.flip(log.starts[damaged]);
    ASSERT_NE(OpenLog(log.world).error(), "");
    const LogRepair plan = log.plan(log.starts[5]);
    EXPECT_NE(plan.damage, "");
    EXPECT_FALSE(plan.loses);
    ASSERT_TRUE(repair_log(log.world.disk, 0, plan));
    OpenLog repaired(log.world);
    EXPECT_EQ(repaired.error(), "");
    EXPECT_EQ(repaired.log->begin(), log.starts[damaged + 1]);
    EXPECT_EQ(repaired.log->end(), log.end);
    EXPECT_EQ(repaired.records.back(), "8");
  }
}

TEST(LogRepair, SaysWhatWouldBeLost) {
  Damaged log;
  log.flip(log.starts[4]);
  const LogRepair plan = log.plan(log.starts[2]);
  EXPECT_TRUE(plan.loses);
  EXPECT_EQ(plan.readable_records_lost, 4u);
  ASSERT_TRUE(repair_log(log.world.disk, 0, plan));
  EXPECT_THAT(OpenLog(log.world).records, ElementsAre("0", "1", "2", "3"));
  // What went is kept beside.
  int beside = 0;
  const auto names = *log.world.disk.list();
  for (const std::string& name : names) beside += name.ends_with(".damaged");
  EXPECT_GT(beside, 0);
}

TEST(LogRepair, BeginsAnewWhereTheStoreEndsIfThatIsDamagedItself) {
  Damaged log;
  log.flip(log.starts[4]);
  const LogRepair plan = log.plan(log.starts[4] + 1);
  EXPECT_TRUE(plan.loses);
  ASSERT_TRUE(repair_log(log.world.disk, 0, plan));
  OpenLog repaired(log.world);
  EXPECT_EQ(repaired.error(), "");
  EXPECT_TRUE(repaired.records.empty());
  EXPECT_EQ(repaired.log->begin(), log.starts[4] + 1);
  EXPECT_EQ(repaired.log->end(), log.starts[4] + 1);
}

TEST(LogRepair, GoesOnWhereTheStoreEndsIfTheLogEndsBefore) {
  Damaged log;
  log.flip(log.starts[8]);
  EXPECT_EQ(log.plan(0).damage, "");  // no frame says that the last one was durable
  const LogRepair plan = log.plan(log.end);
  EXPECT_NE(plan.damage, "");
  EXPECT_TRUE(plan.loses);  // what there was behind it nobody knows
  ASSERT_TRUE(repair_log(log.world.disk, 0, plan));
  EXPECT_EQ(OpenLog(log.world).log->end(), log.end);
}

TEST(LogRepair, SetsAsideWhatIsNoSegment) {
  Damaged log;
  const LogPosition inside = log.starts[4] + 5;
  log.world.put(segment_name(0, inside), "");
  log.world.put(segment_name(0, log.starts[5]),
                log.world.content(segment_name(0, log.segments.back())));
  ASSERT_NE(OpenLog(log.world).error(), "");
  const LogRepair plan = log.plan(0);
  EXPECT_FALSE(plan.loses);
  ASSERT_TRUE(repair_log(log.world.disk, 0, plan));
  EXPECT_EQ(OpenLog(log.world).records.size(), 9u);
}

TEST(LogRepair, NeverCallsAFileEmptyThatMayHaveHeldSomething) {
  for (const std::size_t emptied : {0, 1, 2}) {
    Damaged log;
    ASSERT_EQ(log.segments.size(), 3u);
    log.world.put(segment_name(0, log.segments[emptied]), "");
    const LogRepair plan = log.plan(0);
    EXPECT_NE(plan.damage, "");
    EXPECT_TRUE(plan.loses) << emptied;
  }
  // The last one's header alone is left, and the one before it is gone.
  Damaged log;
  const std::string last = segment_name(0, log.segments[2]);
  log.world.put(last, log.world.content(last).substr(0, kSegmentHeaderBytes));
  log.world.put(segment_name(0, log.segments[1]), "");
  EXPECT_TRUE(log.plan(0).loses);
}

TEST(LogRepair, GivesASegmentItsHeaderBack) {
  Damaged log;
  std::string bytes = log.world.content(segment_name(0, log.segments[1]));
  bytes[10] ^= 1;
  log.world.put(segment_name(0, log.segments[1]), bytes);
  const LogRepair plan = log.plan(0);
  EXPECT_NE(plan.damage, "");
  EXPECT_FALSE(plan.loses);
  ASSERT_TRUE(repair_log(log.world.disk, 0, plan));
  EXPECT_EQ(OpenLog(log.world).records.size(), 9u);
}

// Fails from the n-th change to the directory on.
class Interrupted final : public Disk {
 public:
  Interrupted(Disk& disk, int changes) : disk_(disk), left_(changes) {}
  Result<std::vector<std::string>> list() override { return disk_.list(); }
  Result<std::uint64_t> size(const std::string& name) override { return disk_.size(name); }
  Result<std::string> read(const std::string& name, std::uint64_t offset,
                           std::uint64_t length) override {
    return disk_.read(name, offset, length);
  }
  Result<std::unique_ptr<AppendFile>> open_append(const std::string& name,
                                                  std::uint64_t size) override {
    if (left_-- <= 0) return fail("interrupted");
    return disk_.open_append(name, size);
  }
  Result<> rename(const std::string& from, const std::string& to) override {
    return left_-- > 0 ? disk_.rename(from, to) : fail("interrupted");
  }
  Result<> remove(const std::string& name) override {
    return left_-- > 0 ? disk_.remove(name) : fail("interrupted");
  }
  Result<> sync_directory() override {
    return left_-- > 0 ? disk_.sync_directory() : fail("interrupted");
  }
  void sync_directory(std::function<void(Result<>)> done) override { done(sync_directory()); }

 private:
  Disk& disk_;
  int left_;
};

TEST(LogRepair, CanBeInterruptedAnywhere) {
  for (const int damaged : {1, 4}) {
    bool done = false;
    for (int changes = 0; !done; ++changes) {
      Damaged log;
      log.flip(log.starts[damaged]);
      log.world.put(segment_name(0, log.starts[7] + 1), "junk");
      const LogPosition needed = log.starts[5];
      const LogRepair plan = log.plan(needed);
      ASSERT_FALSE(plan.loses);
      Interrupted disk(log.world.disk, changes);
      done = repair_log(disk, 0, plan).has_value();
      const LogRepair again = log.plan(needed);
      EXPECT_FALSE(again.loses) << changes;
      if (!again.damage.empty()) {
        ASSERT_TRUE(repair_log(log.world.disk, 0, again)) << changes;
      }
      OpenLog repaired(log.world);
      ASSERT_EQ(repaired.error(), "") << changes;
      EXPECT_LE(repaired.log->begin(), needed) << changes;
      EXPECT_EQ(repaired.log->end(), log.end) << changes;
    }
  }
}

// Whatever is damaged and wherever the store stands: afterwards the log opens, has frames as they
// were and without a gap, begins no later than the store ends, and has all from there on unless the
// plan said that something would be lost.
RC_GTEST_PROP(LogRepair, LeavesALogThatGoesOnFromTheStore, ()) {
  Damaged log;
  const auto needed_frame = *rc::gen::inRange<std::size_t>(0, 10);
  const LogPosition needed = needed_frame < 9 ? log.starts[needed_frame] : log.end;
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    log.flip(*rc::gen::inRange<LogPosition>(0, log.starts[8]));
  if (*rc::gen::inRange(0, 4) == 0) {
    const auto gone = *rc::gen::inRange<std::size_t>(0, log.segments.size() - 1);
    RC_ASSERT(log.world.disk.remove(segment_name(0, log.segments[gone])).has_value());
    RC_ASSERT(log.world.disk.sync_directory().has_value());
  }
  if (*rc::gen::inRange(0, 4) == 0) {
    log.world.put(segment_name(0, *rc::gen::elementOf(log.segments)), "");
  }
  if (*rc::gen::inRange(0, 4) == 0) {
    log.world.put(segment_name(0, *rc::gen::inRange<LogPosition>(0, 2 * log.end)), "junk");
  }
  const LogRepair plan = log.plan(needed);
  if (!plan.damage.empty()) RC_ASSERT(repair_log(log.world.disk, 0, plan).has_value());
  log.world.disk.crash();
  OpenLog repaired(log.world);
  RC_ASSERT(repaired.error() == "");
  RC_ASSERT(repaired.log->begin() <= needed);
  for (std::size_t i = 0; i < repaired.records.size(); ++i) {
    const std::size_t number = std::stoul(repaired.records[0]) + i;
    RC_ASSERT(repaired.records[i] == std::to_string(number));
    RC_ASSERT(repaired.positions[i] == log.starts[number]);
  }
  RC_ASSERT(repaired.log->end() >= needed || plan.damage.empty());
  if (!plan.loses) RC_ASSERT(repaired.log->end() == log.end);
}

}  // namespace
}  // namespace even::test
