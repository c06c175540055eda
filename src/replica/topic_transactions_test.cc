// Transactions in a topic's partition, as its members apply them: batches and markers come by the
// group's log.
#include "replica/topic_transactions.h"

#include <gmock/gmock.h>

#include "replica/test_groups.h"
#include "topic/marker.h"
#include "topic/test_batch.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;

class TopicTransactionsTest : public testing::Test {
 protected:
  static constexpr PartitionId kMeta = 1;
  static constexpr PartitionId kPartition = 2;

  TopicTransactionsTest() {
    for (auto& node : cluster_.nodes) node->fsync = FsyncPolicy::kNo;
    cluster::Keyspace topic{
        .name = "t", .strong = true, .topic = true, .replicas = 3, .partitions = 1};
    std::vector<std::string> words = {"even.meta", "CREATE", cluster::encode(topic), "2"};
    for (const auto& node : cluster_.map.nodes) {
      words.push_back(std::to_string(node.number));
      words.push_back(node.name);
    }
    EXPECT_TRUE(
        cluster_.run_until([&] { return cluster_.run_strong(kMeta, words).starts_with(':'); }));
    EXPECT_TRUE(cluster_.run_until([&] { return cluster_.leader(kPartition) != nullptr; }));
  }

  std::string append(const std::string& batch) {
    return cluster_.run_strong(kPartition, {std::string(kAppendCommand), batch, ""});
  }
  // A batch of one record of a producer.
  std::string send(std::int64_t producer, std::int32_t sequence, std::int16_t epoch = 0,
                   bool transactional = true) {
    return append(topic::test::make_batch(
        {"v"}, {.attributes = static_cast<std::int16_t>(transactional ? 16 : 0),
                .producer_id = producer,
                .producer_epoch = epoch,
                .base_sequence = sequence}));
  }
  std::string mark(std::int64_t producer, std::uint32_t number, bool commits,
                   std::int16_t epoch = 0) {
    return append(topic::Marker{producer, epoch, number, commits, 1'000}.encode());
  }
  std::int64_t stable() {
    const auto status = cluster_.leader(kPartition)->shard->topic(kPartition);
    return status->stable;
  }
  std::vector<AbortedTransaction> aborted(GroupNode& node, std::int64_t from, std::int64_t to) {
    return *node.shard->topic_aborted(kPartition, from, to);
  }
  std::vector<AbortedTransaction> aborted(std::int64_t from = 0, std::int64_t to = 1'000'000) {
    return aborted(*cluster_.leader(kPartition), from, to);
  }

  GroupCluster cluster_{3};
};

TEST_F(TopicTransactionsTest, NothingBehindAnOpenOneIsStable) {
  EXPECT_EQ(send(1, 0, 0, false), ":0\r\n");
  EXPECT_EQ(stable(), 1);
  EXPECT_EQ(send(5, 0), ":1\r\n");
  EXPECT_EQ(send(6, 0), ":2\r\n");
  EXPECT_EQ(send(5, 1), ":3\r\n");
  EXPECT_EQ(stable(), 1);
  EXPECT_EQ(mark(5, 1, true), ":4\r\n");
  EXPECT_EQ(stable(), 2);
  EXPECT_EQ(mark(6, 1, false), ":5\r\n");
  EXPECT_EQ(stable(), 6);
  EXPECT_EQ(aborted(), (std::vector<AbortedTransaction>{{6, 2, 5}}));
}

TEST_F(TopicTransactionsTest, AMarkerThatComesAgainOrLateEndsNothing) {
  EXPECT_EQ(send(5, 0), ":0\r\n");
  EXPECT_EQ(mark(5, 1, true), ":1\r\n");
  EXPECT_EQ(send(5, 1), ":2\r\n");
  EXPECT_EQ(mark(5, 1, true), kMarkedBefore);
  EXPECT_EQ(mark(5, 1, false), kMarkedBefore);
  EXPECT_EQ(stable(), 2);
  EXPECT_EQ(mark(5, 2, false), ":3\r\n");
  EXPECT_EQ(stable(), 4);
  EXPECT_EQ(aborted(), (std::vector<AbortedTransaction>{{5, 2, 3}}));
}

TEST_F(TopicTransactionsTest, AMarkerOfALaterEpochShutsOut) {
  using testing::StartsWith;
  EXPECT_EQ(send(5, 0), ":0\r\n");
  EXPECT_EQ(mark(5, 1, false, 1), ":1\r\n");
  EXPECT_THAT(send(5, 1), StartsWith("-INVALID_PRODUCER_EPOCH "));
  EXPECT_THAT(send(5, 1, 0, false), StartsWith("-INVALID_PRODUCER_EPOCH "));
  EXPECT_EQ(send(5, 0, 2), ":2\r\n");
  EXPECT_EQ(mark(5, 1, true, 1), kMarkedBefore);
  EXPECT_EQ(stable(), 2);
  // It has shut out where nothing was open as well.
  EXPECT_EQ(mark(9, 1, false, 4), ":3\r\n");
  EXPECT_THAT(send(9, 0, 3), StartsWith("-INVALID_PRODUCER_EPOCH "));
  EXPECT_THAT(aborted(), testing::SizeIs(1));
}

TEST_F(TopicTransactionsTest, ABatchThatWasFoundToBelongToOneIsNotAppendedBehindItsEnd) {
  const auto verified = [&](std::int32_t sequence, std::int64_t number) {
    std::string batch = topic::test::make_batch(
        {"v"},
        {.attributes = 16, .producer_id = 5, .producer_epoch = 0, .base_sequence = sequence});
    topic::set_place(batch, 0, number, -1);
    return append(batch);
  };
  EXPECT_EQ(verified(0, 1), ":0\r\n");
  EXPECT_EQ(mark(5, 1, false), ":1\r\n");
  EXPECT_THAT(verified(1, 1), testing::StartsWith("-INVALID_TXN_STATE "));
  EXPECT_EQ(stable(), 2);
  EXPECT_EQ(verified(1, 2), ":2\r\n");
  EXPECT_EQ(stable(), 2);
}

TEST_F(TopicTransactionsTest, RecordsOfATransactionAndOthersDoNotMix) {
  EXPECT_EQ(send(5, 0), ":0\r\n");
  EXPECT_THAT(send(5, 1, 0, false), testing::StartsWith("-INVALID_TXN_STATE "));
  EXPECT_THAT(send(5, 0, 1), testing::StartsWith("-INVALID_TXN_STATE "));
  EXPECT_EQ(mark(5, 1, true), ":1\r\n");
  EXPECT_EQ(send(5, 1, 0, false), ":2\r\n");
}

TEST_F(TopicTransactionsTest, AbortedRangesAreFoundByTheirOffsetsInMemoryAndInTheStore) {
  constexpr int kTransactions = 600;  // more than two chunks
  EXPECT_EQ(send(7, 0), ":0\r\n");    // a long one
  for (int i = 0; i < kTransactions; ++i) {
    send(5, i);
    mark(5, static_cast<std::uint32_t>(i + 1), false);
  }
  const std::int64_t end = 1 + 2 * kTransactions;
  EXPECT_EQ(mark(7, 1, false), ":" + std::to_string(end) + "\r\n");
  GroupNode& node = *cluster_.leader(kPartition);
  const auto check = [&] {
    EXPECT_THAT(aborted(node, 0, end + 1), testing::SizeIs(kTransactions + 1));
    EXPECT_EQ(aborted(node, 3, 4), (std::vector<AbortedTransaction>{{5, 3, 4}, {7, 0, end}}));
    EXPECT_EQ(aborted(node, 4, 5), (std::vector<AbortedTransaction>{{5, 3, 4}, {7, 0, end}}));
    EXPECT_EQ(aborted(node, 1'001, 1'002),
              (std::vector<AbortedTransaction>{{5, 1'001, 1'002}, {7, 0, end}}));
    EXPECT_EQ(aborted(node, end, end + 1), (std::vector<AbortedTransaction>{{7, 0, end}}));
    EXPECT_EQ(node.shard->topic(kPartition)->stable, end + 1);
  };
  check();
  auto stored = std::make_shared<bool>(false);
  node.shard->store_now([stored](const Result<>&) { *stored = true; });
  ASSERT_TRUE(cluster_.run_until([&] { return *stored; }));
  node.crash();
  node.start();
  ASSERT_TRUE(cluster_.run_until([&] {
    const auto status = node.shard->topic(kPartition);
    return status && status->end == end + 1;
  }));
  check();
}

}  // namespace
}  // namespace even
