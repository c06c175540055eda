#include "replica/identity.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>

#include "env/posix_disk.h"

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
       {"", "x", "format 1\n", "format 1\ncluster c\nnode n\nnumber x\n", "format one\n"}) {
    EXPECT_FALSE(decode_identity(text)) << text;
  }
}

TEST(Identity, OfANewerFormatOnlyTheFormatIsRead) {
  const auto found = decode_identity("format 3\nwho knows\n");
  ASSERT_TRUE(found);
  const auto checked = check_identity(*found, identity());
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("format 3"), std::string::npos);
}

TEST(Identity, AnOlderFormatIsRefused) {
  Identity found = identity();
  found.format = 1;
  const auto checked = check_identity(found, identity());
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("format 1"), std::string::npos);
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

TEST(Identity, ADirectoryBelongsToWhoUsedItFirst) {
  std::string path = (std::filesystem::temp_directory_path() / "even_identity_XXXXXX").string();
  ASSERT_NE(::mkdtemp(path.data()), nullptr);
  {
    auto disk = std::move(*PosixDisk::open(path, [](PosixDisk::Task) {}));
    EXPECT_TRUE(claim_directory(*disk, identity()));
    EXPECT_TRUE(claim_directory(*disk, identity()));
    Identity other = identity();
    other.cluster = "other";
    EXPECT_FALSE(claim_directory(*disk, other));
    ASSERT_TRUE((*disk->open_append("identity", 0))->append("garbage"));
    const auto damaged = claim_directory(*disk, identity());
    ASSERT_FALSE(damaged);
    EXPECT_NE(damaged.error().message.find("damaged"), std::string::npos);
  }
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace even
