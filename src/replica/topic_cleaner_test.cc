// Compaction of topics by key, on real shards: docs/topics.md.
#include "replica/topic_cleaner.h"

#include <gmock/gmock.h>

#include "replica/test_groups.h"
#include "store/topic_rows.h"
#include "topic/marker.h"
#include "topic/test_batch.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using topic::test::KeyValue;
using topic::test::make_keyed_batch;

constexpr PartitionId kCleanerMeta = 1;
constexpr PartitionId kCleaned = 2;

class TopicCleanerTest : public testing::Test {
 protected:
  TopicCleanerTest() {
    for (auto& node : cluster_.nodes) node->fsync = FsyncPolicy::kNo;
    cleanup_.compacts = true;
    cleanup_.deletes = false;
    cleanup_.min_dirty_millionths = 0;
  }

  void create() {
    cluster::Keyspace topic{
        .name = "t", .strong = true, .topic = true, .replicas = 3, .partitions = 1};
    topic.cleanup = cleanup_;
    std::vector<std::string> words = {"even.meta", "CREATE", cluster::encode(topic), "2"};
    for (const auto& node : cluster_.map.nodes) {
      words.push_back(std::to_string(node.number));
      words.push_back(node.name);
    }
    ASSERT_TRUE(cluster_.run_until(
        [&] { return cluster_.run_strong(kCleanerMeta, words).starts_with(':'); }));
    ASSERT_TRUE(cluster_.run_until([&] { return cluster_.leader(kCleaned) != nullptr; }));
  }

  std::string ask(std::string batch) {
    for (int tries = 0; tries < 50; ++tries, cluster_.run(100)) {
      GroupNode* node = cluster_.leader(kCleaned);
      if (node == nullptr) continue;
      auto bytes = std::make_shared<std::string>(batch);
      auto outcome = std::make_shared<std::optional<StrongOutcome>>();
      StrongRequest request;
      request.group = kCleaned;
      request.batch = *bytes;
      node->shard->execute_strong(std::move(request),
                                  [bytes, outcome](StrongOutcome given) { *outcome = given; });
      node->shard->end_turn();
      cluster_.run_until([&] { return outcome->has_value(); }, 3'000);
      if (*outcome && (*outcome)->kind == StrongOutcome::Kind::kReply) return (*outcome)->reply;
    }
    return "no leader";
  }
  void append(const std::vector<KeyValue>& records, topic::test::BatchOptions options = {}) {
    ASSERT_EQ(ask(make_keyed_batch(records, options)), ":" + std::to_string(end_) + "\r\n");
    end_ += static_cast<std::int64_t>(records.size());
  }
  void mark(std::int64_t producer, std::uint32_t number, bool commits) {
    topic::Marker marker;
    marker.producer_id = producer;
    marker.epoch = 0;
    marker.number = number;
    marker.commits = commits;
    ASSERT_EQ(ask(marker.encode()), ":" + std::to_string(end_++) + "\r\n");
  }
  void store(GroupNode& node) {
    auto stored = std::make_shared<bool>(false);
    node.shard->store_now([stored](const Result<>& outcome) {
      EXPECT_TRUE(outcome) << outcome.error().message;
      *stored = true;
    });
    ASSERT_TRUE(cluster_.run_until([&] { return *stored; }));
  }
  TopicStatus status(const GroupNode& node) { return *node.shard->topic(kCleaned); }
  // All that is up have stored all, and compacted it up to there.
  void await_compacted(std::int64_t upto) {
    ASSERT_TRUE(cluster_.run_until([&] {
      return std::ranges::all_of(cluster_.nodes, [&](const auto& node) {
        return !node->up() || (node->shard->topic(kCleaned) && status(*node).end == end_);
      });
    }));
    for (auto& node : cluster_.nodes) {
      if (node->up()) store(*node);
    }
    EXPECT_TRUE(cluster_.run_until(
        [&] {
          return std::ranges::all_of(cluster_.nodes, [&](const auto& node) {
            return !node->up() || status(*node).compacted == upto;
          });
        },
        20'000));
  }
  // Offset and record, of all that the node has; and that it can be read from each offset on.
  using There = std::map<std::int64_t, std::string>;
  There read(GroupNode& node, std::int64_t from = 0) {
    There there;
    for (std::int64_t offset = from; offset < status(node).end;) {
      auto bytes = std::make_shared<std::optional<Result<std::string>>>();
      node.shard->read_topic(kCleaned, offset, 300,
                             [bytes](Result<std::string> given) { *bytes = std::move(given); });
      cluster_.run_until([&] { return bytes->has_value(); });
      if (!*bytes || !**bytes) {
        ADD_FAILURE() << (*bytes ? (**bytes).error().message : "no answer");
        return there;
      }
      const std::int64_t before = offset;
      for (std::string_view rest = ***bytes; !rest.empty();) {
        const std::string_view batch = rest.substr(0, topic::batch_bytes(rest));
        rest.remove_prefix(batch.size());
        const auto head = topic::read_head(batch);
        EXPECT_NE(topic::check_batch(batch), topic::BatchFault::kCorrupt);
        offset = head->base_offset + head->offsets();
        if (head->control()) continue;
        const auto records = topic::KeyedRecords::read(batch);
        EXPECT_TRUE(records);
        for (const auto& record : records->all()) {
          there[head->base_offset + record.delta] =
              std::string(*record.key) + "=" + topic::test::value_of(record).value_or("-");
        }
      }
      EXPECT_GT(offset, before);
      if (offset <= before) break;
    }
    return there;
  }
  void expect_all(const There& expected) {
    for (auto& node : cluster_.nodes) {
      if (!node->up()) continue;
      EXPECT_EQ(read(*node), expected) << "n" << node->number;
      EXPECT_EQ(node->shard->stats().digest_mismatches, 0u);
    }
  }
  GroupNode& follower() {
    for (auto& node : cluster_.nodes) {
      if (node->up() && node.get() != cluster_.leader(kCleaned)) return *node;
    }
    throw std::logic_error("no follower");
  }

  GroupCluster cluster_{3};
  cluster::Cleanup cleanup_;
  std::int64_t end_ = 0;
};

TEST_F(TopicCleanerTest, OfEachKeyTheLatestRecordStaysWithItsOffset) {
  create();
  for (int i = 0; i < 20; ++i) {
    append({{"a", std::to_string(i)}, {"b" + std::to_string(i % 3), std::to_string(i)}},
           {.attributes = static_cast<std::int16_t>(i % 5)});
  }
  await_compacted(40);
  expect_all({{35, "b2=17"}, {37, "b0=18"}, {38, "a=19"}, {39, "b1=19"}});
  for (std::int64_t from = 0; from < end_; ++from)
    EXPECT_EQ(read(follower(), from).rbegin()->first, 39);
  // What comes then is not touched until it is compacted, and is compacted with the rest.
  append({{"a", "new"}, {"b2", "new"}});
  expect_all(
      {{35, "b2=17"}, {37, "b0=18"}, {38, "a=19"}, {39, "b1=19"}, {40, "a=new"}, {41, "b2=new"}});
  await_compacted(42);
  expect_all({{37, "b0=18"}, {39, "b1=19"}, {40, "a=new"}, {41, "b2=new"}});
}

TEST_F(TopicCleanerTest, WhatIsLeftIsReadAfterARestartAndByANewMember) {
  create();
  for (int i = 0; i < 20; ++i) append({{"a", std::to_string(i)}, {"x" + std::to_string(i), "1"}});
  await_compacted(40);
  const There before = read(follower());
  EXPECT_EQ(before.size(), 21u);
  for (auto& node : cluster_.nodes) node->crash();
  for (auto& node : cluster_.nodes) node->start();
  ASSERT_TRUE(cluster_.run_until([&] { return cluster_.leader(kCleaned) != nullptr; }, 10'000));
  expect_all(before);
  for (auto& node : cluster_.nodes) EXPECT_EQ(status(*node).compacted, 40);
  GroupNode& lost = follower();
  lost.wipe();
  lost.start();
  ASSERT_TRUE(cluster_.run_until(
      [&] { return lost.shard->topic(kCleaned) && status(lost).end == end_; }, 30'000));
  expect_all(before);
  append({{"a", "new"}});
  await_compacted(41);
  EXPECT_EQ(read(lost).size(), 21u);
  EXPECT_EQ(read(lost).rbegin()->second, "a=new");
}

TEST_F(TopicCleanerTest, ATombstoneGoesWhenItsTimeIsOverAndAllHaveIt) {
  cleanup_.delete_retention_ms = 5'000;
  create();
  append({{"a", "1"}, {"b", "1"}});
  append({{"a", std::nullopt}});
  await_compacted(3);
  const There with_tombstone = {{1, "b=1"}, {2, "a=-"}};
  expect_all(with_tombstone);
  cluster_.run(3'000);
  expect_all(with_tombstone);
  cluster_.run(10'000);
  expect_all({{1, "b=1"}});
}

TEST_F(TopicCleanerTest, ATombstoneStaysForAMemberThatIsAway) {
  cleanup_.delete_retention_ms = 1'000;
  create();
  append({{"a", "1"}, {"b", "1"}});
  await_compacted(2);
  GroupNode& away = follower();
  away.crash();
  append({{"a", std::nullopt}});
  await_compacted(3);
  cluster_.run(20'000);
  expect_all({{1, "b=1"}, {2, "a=-"}});
  away.start();
  ASSERT_TRUE(cluster_.run_until(
      [&] { return away.shard->topic(kCleaned) && status(away).end == end_; }, 10'000));
  store(away);
  cluster_.run(20'000);
  expect_all({{1, "b=1"}});
}

// A new member gives others nothing before it has compacted what the group has agreed on.
TEST_F(TopicCleanerTest, ANewMemberCompactsWhatWasPurgedBeforeTheLagWasRaised) {
  cleanup_.delete_retention_ms = 1'000;
  create();
  append({{"a", "1"}, {"b", "1"}});
  append({{"a", std::nullopt}});
  await_compacted(3);
  cluster_.run(20'000);
  const There purged = {{1, "b=1"}};
  expect_all(purged);
  append({{"c", "1"}});
  const std::vector<std::string> words = {"even.meta", "altertopic", "t", "MINLAG", "1000000000"};
  ASSERT_TRUE(cluster_.run_until(
      [&] { return cluster_.run_strong(kCleanerMeta, words).starts_with(':'); }));
  GroupNode& lost = follower();
  lost.wipe();
  lost.start();
  ASSERT_TRUE(cluster_.run_until(
      [&] { return lost.shard->topic(kCleaned) && status(lost).end == end_; }, 30'000));
  store(lost);
  EXPECT_TRUE(cluster_.run_until([&] { return status(lost).compacted >= 3; }, 30'000));
  EXPECT_EQ(status(lost).compacted, 3) << "what came later is younger than the lag";
}

TEST_F(TopicCleanerTest, NothingBehindAnOpenTransactionIsCompactedAndWhatIsAbortedGoes) {
  create();
  const topic::test::BatchOptions kTransactional{
      .attributes = 16, .producer_id = 9, .producer_epoch = 0, .base_sequence = 0};
  append({{"a", "1"}, {"b", "1"}});
  append({{"b", "2"}});
  append({{"a", "in a transaction"}}, kTransactional);
  append({{"b", "3"}});
  await_compacted(3);
  expect_all({{0, "a=1"}, {2, "b=2"}, {3, "a=in a transaction"}, {4, "b=3"}});
  mark(9, 1, /*commits=*/false);
  await_compacted(6);
  expect_all({{0, "a=1"}, {4, "b=3"}});
  topic::test::BatchOptions next = kTransactional;
  next.base_sequence = 1;
  append({{"a", "2"}}, next);
  mark(9, 2, /*commits=*/true);
  await_compacted(8);
  expect_all({{4, "b=3"}, {6, "a=2"}});
}

TEST_F(TopicCleanerTest, YoungRecordsAreNotCompacted) {
  cleanup_.min_lag_ms = 10'000;
  create();
  append({{"a", "1"}});
  append({{"a", "2"}});
  cluster_.run(3'000);
  for (auto& node : cluster_.nodes) store(*node);
  cluster_.run(3'000);
  expect_all({{0, "a=1"}, {1, "a=2"}});
  cluster_.run(20'000);
  expect_all({{1, "a=2"}});
}

TEST_F(TopicCleanerTest, MoreKeysThanTheTableHoldsTakeMoreRounds) {
  for (auto& node : cluster_.nodes) {
    node->crash();
    node->clean_map_bytes = 16 * 24;  // twelve keys
    node->start();
  }
  create();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 40; ++i) {
      append({{"k" + std::to_string(i), std::to_string(round)}, {"a", std::to_string(i)}});
    }
  }
  await_compacted(160);
  There expected;
  for (int i = 0; i < 40; ++i) expected[80 + 2 * i] = "k" + std::to_string(i) + "=1";
  expected[159] = "a=39";
  expect_all(expected);
  EXPECT_GT(follower().shard->stats().topic_compactions, 6u);
}

TEST_F(TopicCleanerTest, ATopicThatIsNotCompactedStaysAsItIs) {
  cleanup_ = {};
  create();
  append({{"a", "1"}});
  append({{"a", "2"}});
  for (auto& node : cluster_.nodes) store(*node);
  cluster_.run(5'000);
  expect_all({{0, "a=1"}, {1, "a=2"}});
}

TEST_F(TopicCleanerTest, SequenceNumbersOutliveTheirRecords) {
  create();
  const topic::test::BatchOptions first{.producer_id = 9, .producer_epoch = 0, .base_sequence = 0};
  const std::string batch = make_keyed_batch({{"a", "1"}}, first);
  ASSERT_EQ(ask(batch), ":0\r\n");
  ++end_;
  append({{"a", "2"}});
  await_compacted(2);
  expect_all({{1, "a=2"}});
  GroupNode& lost = follower();
  lost.wipe();
  lost.start();
  ASSERT_TRUE(cluster_.run_until(
      [&] { return lost.shard->topic(kCleaned) && status(lost).end == end_; }, 30'000));
  EXPECT_EQ(ask(batch), ":0\r\n");  // it is there already
  EXPECT_EQ(status(lost).bytes, status(*cluster_.leader(kCleaned)).bytes);
  expect_all({{1, "a=2"}});
}

TEST(CleanPointTest, ComesBackFromItsBytes) {
  const CleanPoint point{1, 2, 3, 4, 5, 6};
  const std::string bytes = point.encode();
  EXPECT_EQ(CleanPoint::decode(bytes), point);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(CleanPoint::decode(std::string_view(bytes).substr(0, size)));
  }
  EXPECT_FALSE(CleanPoint::decode(bytes + "x"));
}

}  // namespace
}  // namespace even
