#include "replica/identity.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>

#include "env/posix_clock.h"
#include "env/posix_disk.h"
#include "log/test_log.h"

namespace even {
namespace {

Identity identity() {
  return {.cluster = "c 1", .node = "n1", .number = 1, .partitions = 256, .shards = 2};
}

TEST(Identity, IsReadBackAsItWasWritten) {
  EXPECT_EQ(decode_identity(encode_identity(identity())), identity());
  Identity single = identity();
  single.cluster.clear();
  EXPECT_EQ(decode_identity(encode_identity(single)), single);
}

TEST(Identity, DamageIsAnError) {
  for (const char* text :
       {"", "x", "format 3\n", "format 3\ncluster c\nnode n\nnumber x\n", "format one\n",
        "format 3\ncluster c\nnode n\nnumber 1\npartitions 2\nshards 1\nline 7\nrun 0\n"}) {
    EXPECT_FALSE(decode_identity(text)) << text;
  }
}

TEST(Identity, OfANewerFormatOnlyTheFormatIsRead) {
  const auto found = decode_identity("format 4\nwho knows\n");
  ASSERT_TRUE(found);
  const auto checked = check_identity(*found, identity());
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("format 4"), std::string::npos);
}

TEST(Identity, AnOlderFormatIsRefused) {
  Identity found = identity();
  found.format = 2;
  const auto checked = check_identity(found, identity());
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("format 2"), std::string::npos);
}

TEST(Identity, AnotherNumberOfShardsIsNoObstacle) {
  Identity found = identity();
  found.shards = 7;
  EXPECT_TRUE(check_identity(found, identity()));
}

TEST(Identity, EveryDifferenceIsRefusedInItsOwnWords) {
  struct Case {
    std::function<void(Identity&)> change;
    std::string words;
  };
  for (const Case& test : {
           Case{[](Identity& i) { i.cluster = "d"; }, "cluster 'd', not 'c 1'"},
           Case{[](Identity& i) { i.node = "n2"; }, "node 'n2'"},
           Case{[](Identity& i) { i.number = 2; }, "(number 2)"},
           Case{[](Identity& i) { i.partitions = 8; }, "8 partitions, not 256"},
       }) {
    Identity found = identity();
    test.change(found);
    const auto checked = check_identity(found, identity());
    ASSERT_FALSE(checked) << test.words;
    EXPECT_NE(checked.error().message.find(test.words), std::string::npos)
        << checked.error().message;
  }
}

struct SetClock final : Clock {
  std::int64_t wall_ms() const override { return ms; }
  std::int64_t monotonic_us() const override { return 0; }
  std::int64_t ms = 1'700'000'000'000;
};

struct Runs : ::testing::Test {
  test::World world;
  SetClock clock;
  ReplicaId start() {
    const auto claimed = claim_directory(world.disk, identity(), clock, world.random);
    EXPECT_TRUE(claimed) << claimed.error().message;
    return claimed ? claimed->replica() : ReplicaId{};
  }
};

TEST_F(Runs, AreNumberedUpwardsHoweverTheClockJumps) {
  ReplicaId last = start();
  EXPECT_EQ(last.node(), 1);
  for (const std::int64_t ms : std::initializer_list<std::int64_t>{
           std::int64_t{1'700'000'000'000}, std::int64_t{1'700'000'000'001}, 1'000'000'000, 0,
           -5'000, 1'800'000'000'000, 1'700'000'000'000}) {
    clock.ms = ms;
    world.disk.crash();  // what has not been synced is gone
    const ReplicaId next = start();
    EXPECT_TRUE(last.precedes(next)) << last.to_string() << ' ' << next.to_string();
    last = next;
  }
}

// An image of the disk from before the last runs: with a right clock, the next is later than they.
TEST_F(Runs, AreLaterThanThoseThatThePutBackImageOfADiskHasNotSeen) {
  const ReplicaId first = start();
  ReplicaId last;
  for (int i = 0; i < 3; ++i) {
    clock.ms += 60'000;
    last = start();
  }
  Identity image = identity();
  image.line = static_cast<std::uint16_t>(first.value >> 32);
  image.run = static_cast<std::uint32_t>(first.value);
  ASSERT_EQ(image.replica(), first);
  ASSERT_TRUE(write_identity(world.disk, image));
  clock.ms += 60'000;
  EXPECT_TRUE(last.precedes(start()));
}

TEST_F(Runs, OfAnEmptiedDirectoryAreOfAnotherLine) {
  const ReplicaId first = start();
  world.disk.wipe();
  EXPECT_FALSE(first.same_line(start()));
}

TEST_F(Runs, GoOnInANewLineWhenThereAreNoMoreNumbers) {
  Identity last = identity();
  last.line = 7;
  last.run = UINT32_MAX;
  ASSERT_TRUE(write_identity(world.disk, last));
  const ReplicaId next = start();
  EXPECT_FALSE(next.same_line(last.replica()));
  EXPECT_TRUE(next.precedes(start()));
}

TEST_F(Runs, DoNotBeginUnlessTheyCanBeNoted) {
  (void)start();
  world.disk.faults.full = true;
  const auto refused = claim_directory(world.disk, identity(), clock, world.random);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("does not start"), std::string::npos);
}

TEST(Identity, ADirectoryBelongsToWhoUsedItFirst) {
  std::string path = (std::filesystem::temp_directory_path() / "even_identity_XXXXXX").string();
  ASSERT_NE(::mkdtemp(path.data()), nullptr);
  {
    const PosixClock clock;
    Random random(1);
    auto disk = std::move(*PosixDisk::open(path, [](PosixDisk::Task) {}));
    EXPECT_TRUE(claim_directory(*disk, identity(), clock, random));
    EXPECT_TRUE(claim_directory(*disk, identity(), clock, random));
    Identity other = identity();
    other.cluster = "other";
    EXPECT_FALSE(claim_directory(*disk, other, clock, random));
    ASSERT_TRUE((*disk->open_append("identity", 0))->append("garbage"));
    const auto damaged = claim_directory(*disk, identity(), clock, random);
    ASSERT_FALSE(damaged);
    EXPECT_NE(damaged.error().message.find("damaged"), std::string::npos);
  }
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace even
