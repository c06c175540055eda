#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lattice/golden.h"
#include "log/format.h"
#include "log/test_log.h"
#include "store/state_store.h"

namespace even::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kName[] = "checkpoint-0000";

struct Loaded {
  std::string error;
  LogPosition position = 0;
  std::vector<std::string> states;
};

Loaded load(Disk& disk, ShardId shard = 0) {
  Loaded loaded;
  const auto position =
      make_checkpoint_store(shard, disk)->load([&](std::string_view state) -> Result<> {
        loaded.states.emplace_back(state);
        return {};
      });
  if (position) {
    loaded.position = *position;
  } else {
    loaded.error = position.error().message;
  }
  return loaded;
}

// Writes a checkpoint and waits for its outcome.
Result<LogPosition> save(World& world, LogPosition position,
                         std::initializer_list<std::string_view> states) {
  const auto store = make_checkpoint_store(0, world.disk);
  if (const auto begun = store->begin(position); !begun) return std::unexpected(begun.error());
  for (const std::string_view state : states) {
    if (const auto added = store->add(state); !added) return std::unexpected(added.error());
  }
  Result<LogPosition> outcome = fail("never done");
  store->commit([&outcome](Result<LogPosition> done) { outcome = std::move(done); });
  world.run_for(10'000'000);
  return outcome;
}

TEST(CheckpointStore, ANewDirectoryHoldsNothing) {
  World world;
  const Loaded loaded = load(world.disk);
  EXPECT_EQ(loaded.error, "");
  EXPECT_EQ(loaded.position, 0u);
  EXPECT_THAT(loaded.states, IsEmpty());
}

TEST(CheckpointStore, ReturnsWhatWasSavedLastEvenAfterACrash) {
  World world;
  ASSERT_EQ(save(world, 100, {"one", "two"}), LogPosition{100});
  ASSERT_EQ(save(world, 200, {"three", std::string(100'000, 'x')}), LogPosition{200});
  world.disk.crash();
  const Loaded loaded = load(world.disk);
  EXPECT_EQ(loaded.error, "");
  EXPECT_EQ(loaded.position, 200u);
  EXPECT_THAT(loaded.states, ElementsAre("three", std::string(100'000, 'x')));
}

TEST(CheckpointStore, ACrashAtAnyMomentLeavesTheOldOneOrTheNewOneWhole) {
  int old_ones = 0;
  int new_ones = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    World world(seed);
    ASSERT_EQ(save(world, 100, {"old"}), LogPosition{100});
    {
      const auto store = make_checkpoint_store(0, world.disk);
      ASSERT_TRUE(store->begin(200));
      ASSERT_TRUE(store->add("new"));
      if (seed % 5 != 0) store->commit([](const Result<LogPosition>&) {});
      world.run_for(static_cast<std::int64_t>(world.random.below(900)));
      world.disk.crash();
    }
    const Loaded loaded = load(world.disk);
    ASSERT_EQ(loaded.error, "") << seed;
    if (loaded.position == 100) {
      ASSERT_THAT(loaded.states, ElementsAre("old"));
      ++old_ones;
    } else {
      ASSERT_EQ(loaded.position, 200u);
      ASSERT_THAT(loaded.states, ElementsAre("new"));
      ++new_ones;
    }
    ASSERT_EQ(save(world, 300, {"next"}), LogPosition{300});
    ASSERT_EQ(load(world.disk).position, 300u);
  }
  EXPECT_GT(old_ones, 20);
  EXPECT_GT(new_ones, 20);
}

TEST(CheckpointStore, ARoundThatFailsLeavesTheOldOneAndTheNextRoundWorks) {
  World world;
  ASSERT_EQ(save(world, 100, {"old"}), LogPosition{100});
  world.disk.faults.failing_sync = 1;
  EXPECT_FALSE(save(world, 200, {"new"}));
  world.disk.faults.failing_sync = 0;
  world.disk.faults.full = true;
  EXPECT_FALSE(save(world, 200, {"new"}));
  EXPECT_EQ(load(world.disk).position, 100u);
  world.disk.faults.full = false;
  EXPECT_EQ(save(world, 300, {"new"}), LogPosition{300});
  EXPECT_THAT(load(world.disk).states, ElementsAre("new"));
}

TEST(CheckpointStore, AnyDamageIsRefusedWithTheFile) {
  World source;
  ASSERT_EQ(save(source, 100, {"one", "two"}), LogPosition{100});
  const std::string whole = source.content(kName);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    World world;
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    world.put(kName, damaged);
    EXPECT_THAT(load(world.disk).error, StartsWith(std::string(kName) + ": damaged at offset "))
        << at;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    World world;
    world.put(kName, whole.substr(0, size));
    EXPECT_THAT(load(world.disk).error, StartsWith(std::string(kName) + ": damaged at offset "))
        << size;
  }
}

TEST(CheckpointStore, AStateThatItsReaderRefusesIsDamage) {
  World world;
  ASSERT_EQ(save(world, 100, {"one"}), LogPosition{100});
  const auto position =
      make_checkpoint_store(0, world.disk)->load([](std::string_view) -> Result<> {
        return fail("no good");
      });
  ASSERT_FALSE(position);
  EXPECT_THAT(position.error().message, HasSubstr("no good"));
}

TEST(CheckpointStore, ACheckpointOfAnotherShardIsRefused) {
  World world;
  ASSERT_EQ(save(world, 100, {"one"}), LogPosition{100});
  world.put("checkpoint-0001", world.content(kName));
  EXPECT_THAT(load(world.disk, 1).error, HasSubstr("another shard"));
}

TEST(CheckpointStore, TheFormatHasNotChanged) {
  World world;
  ASSERT_EQ(save(world, 0x1234, {"state", std::string("\0\xff", 2)}), LogPosition{0x1234});
  const std::string bytes = expect_golden("checkpoint-v1", world.content(kName), "the checkpoint");
  World reader;
  reader.put(kName, bytes);
  const Loaded loaded = load(reader.disk);
  EXPECT_EQ(loaded.error, "");
  EXPECT_EQ(loaded.position, 0x1234u);
  EXPECT_THAT(loaded.states, ElementsAre("state", std::string("\0\xff", 2)));
}

}  // namespace
}  // namespace even::test
