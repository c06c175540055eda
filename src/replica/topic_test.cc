// Partitions of topics on real shards: offsets, the store, followers that were away, new members.
#include <gmock/gmock.h>

#include "replica/group.h"
#include "replica/test_groups.h"
#include "replica/topic_producers.h"
#include "store/topic_rows.h"
#include "topic/record_batch.h"
#include "topic/test_batch.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using topic::test::make_batch;

constexpr PartitionId kTopicMeta = 1;

// Three nodes, and a topic with one partition.
class TopicTest : public testing::Test {
 protected:
  TopicTest() {
    for (auto& node : cluster_.nodes) node->fsync = FsyncPolicy::kNo;
    create();
  }

  void create() {
    cluster::Keyspace topic{
        .name = "t", .strong = true, .topic = true, .replicas = 3, .partitions = 1};
    std::vector<std::string> words = {"even.meta", "CREATE", cluster::encode(topic), "2"};
    for (const auto& node : cluster_.map.nodes) {
      words.push_back(std::to_string(node.number));
      words.push_back(node.name);
    }
    ASSERT_TRUE(cluster_.run_until(
        [&] { return cluster_.run_strong(kTopicMeta, words).starts_with(':'); }));
    ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr; }));
  }
  GroupNode* leader() { return cluster_.leader(kTopic); }

  // Appends a batch of so many records; the offset of the first one.
  std::int64_t append(int records, std::int64_t timestamp = 1'000) {
    std::vector<std::string> values;
    for (int i = 0; i < records; ++i) values.push_back("record " + std::to_string(next_++));
    for (int tries = 0; tries < 50; ++tries) {
      GroupNode* node = leader();
      if (node == nullptr) {
        cluster_.run(100);
        continue;
      }
      auto batch = std::make_shared<std::string>(make_batch(values, {.timestamp = timestamp}));
      auto outcome = std::make_shared<std::optional<StrongOutcome>>();
      StrongRequest request;
      request.group = kTopic;
      request.batch = *batch;
      node->shard->execute_strong(std::move(request),
                                  [batch, outcome](StrongOutcome given) { *outcome = given; });
      node->shard->end_turn();
      cluster_.run_until([&] { return outcome->has_value(); }, 3'000);
      if (*outcome && (*outcome)->kind == StrongOutcome::Kind::kReply) {
        EXPECT_TRUE((*outcome)->reply.starts_with(':')) << (*outcome)->reply;
        return std::stoll((*outcome)->reply.substr(1));
      }
      cluster_.run(100);  // leadership may be on its way to another
    }
    ADD_FAILURE() << "nobody takes a batch";
    return -1;
  }

  // What the node has from `offset` on, batch by batch: base offset and number of records.
  using Batches = std::vector<std::pair<std::int64_t, std::int64_t>>;
  Batches read(GroupNode& node, std::int64_t offset, std::size_t max_bytes) {
    auto bytes = std::make_shared<std::optional<Result<std::string>>>();
    node.shard->read_topic(kTopic, offset, max_bytes,
                           [bytes](Result<std::string> given) { *bytes = std::move(given); });
    cluster_.run_until([&] { return bytes->has_value(); });
    EXPECT_TRUE(*bytes && **bytes) << (*bytes ? (**bytes).error().message : "no answer");
    Batches batches;
    for (std::string_view rest = ***bytes; !rest.empty();) {
      const auto size = 12 + get_big_endian<std::uint32_t>(rest.data() + 8);
      EXPECT_EQ(topic::check_batch(rest.substr(0, size)), topic::BatchFault::kNone);
      const auto head = topic::read_head(rest.substr(0, size));
      batches.emplace_back(head->base_offset, head->offsets());
      rest.remove_prefix(size);
    }
    return batches;
  }
  // All of it, by as many reads as it takes.
  Batches read_all(GroupNode& node, std::size_t max_bytes = 300) {
    Batches all;
    const std::int64_t end = node.shard->topic(kTopic)->end;
    for (std::int64_t offset = 0; offset < end;) {
      const Batches some = read(node, offset, max_bytes);
      if (some.empty()) break;
      all.insert(all.end(), some.begin(), some.end());
      offset = some.back().first + some.back().second;
    }
    return all;
  }
  void store(GroupNode& node) {
    auto stored = std::make_shared<bool>(false);
    node.shard->store_now([stored](const Result<>& outcome) {
      EXPECT_TRUE(outcome) << outcome.error().message;
      *stored = true;
    });
    ASSERT_TRUE(cluster_.run_until([&] { return *stored; }));
  }
  bool have_all(std::int64_t end) {
    return std::ranges::all_of(cluster_.nodes, [&](const auto& node) {
      if (!node->up()) return true;
      const auto status = node->shard->topic(kTopic);
      return status && status->end == end;
    });
  }

  static constexpr PartitionId kTopic = 2;
  GroupCluster cluster_{3};
  int next_ = 0;
};

TEST_F(TopicTest, OffsetsAreDenseAndTheSameEverywhere) {
  EXPECT_EQ(append(3), 0);
  EXPECT_EQ(append(1), 3);
  EXPECT_EQ(append(5), 4);
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(9); }));
  for (auto& node : cluster_.nodes) {
    EXPECT_EQ(read_all(*node), (Batches{{0, 3}, {3, 1}, {4, 5}}));
    EXPECT_EQ(read(*node, 5, 1), (Batches{{4, 5}}));  // the batch that has it, whole
    EXPECT_EQ(read(*node, 3, 1 << 20), (Batches{{3, 1}, {4, 5}}));
  }
}

TEST_F(TopicTest, WhatIsStoredIsReadFromTheStore) {
  Batches expected;
  for (int i = 0; i < 50; ++i) expected.emplace_back(append(1 + i % 3), 1 + i % 3);
  GroupNode& node = *leader();
  store(node);
  EXPECT_EQ(read_all(node), expected);
  // A start has them in the store only.
  node.crash();
  node.start();
  ASSERT_TRUE(
      cluster_.run_until([&] { return have_all(expected.back().first + expected.back().second); }));
  EXPECT_EQ(read_all(node), expected);
  expected.emplace_back(append(4), 4);
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(expected.back().first + 4); }));
  EXPECT_EQ(read_all(node), expected);
}

// And the position of the log stays, as what others need from there on is not stored by them.
TEST_F(TopicTest, RecordsAreStoredByPassesOfTopicsAloneWhenThereAreMany) {
  for (auto& node : cluster_.nodes) {
    node->crash();
    node->topic_pass_bytes = 1'000;
    node->topic_rows_bytes = 500;
    node->group_log_bytes = 100;
    node->start();
  }
  ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr; }));
  Batches expected;
  std::int64_t end = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uint64_t> lags;
    for (auto& node : cluster_.nodes) lags.push_back(node->shard->store_stats().lag_bytes);
    for (int i = 0; i < 20; ++i) expected.emplace_back(append(10), 10);
    end = expected.back().first + 10;
    ASSERT_TRUE(cluster_.run_until([&] { return have_all(end); }));
    cluster_.run(200);
    for (auto& node : cluster_.nodes) {
      EXPECT_GE(node->shard->store_stats().passes, 1u);
      EXPECT_GE(node->shard->store_stats().lag_bytes, lags[node->number - 1u] + 4'000);
      EXPECT_EQ(read_all(*node), expected);
    }
    for (auto& node : cluster_.nodes) node->crash();
    for (auto& node : cluster_.nodes) node->start();
    ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr && have_all(end); }));
    for (auto& node : cluster_.nodes) EXPECT_EQ(read_all(*node), expected);
  }
  // All of them together go on.
  for (auto& node : cluster_.nodes) store(*node);
  for (auto& node : cluster_.nodes) node->crash();
  for (auto& node : cluster_.nodes) node->start();
  ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr && have_all(end); }));
  for (auto& node : cluster_.nodes) EXPECT_EQ(read_all(*node), expected);
}

TEST_F(TopicTest, ACrashOfAllLosesNothingThatWasAcknowledged) {
  Batches expected;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 10; ++i) expected.emplace_back(append(2), 2);
    if (round % 2 == 0) store(cluster_.at(static_cast<NodeNumber>(1 + round % 3)));
    for (auto& node : cluster_.nodes) node->crash();
    for (auto& node : cluster_.nodes) node->start();
    ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr; }));
  }
  expected.emplace_back(append(1), 1);
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(81); }));
  for (auto& node : cluster_.nodes) EXPECT_EQ(read_all(*node), expected) << node->number;
}

// A leader that has just been elected knows less of what is committed than the one before it did.
TEST_F(TopicTest, WhoeverLeadsHasAllThatWasAcknowledged) {
  std::int64_t end = 0;
  for (int round = 0; round < 6; ++round) {
    end = append(3) + 3;
    GroupNode& former = *leader();
    former.crash();
    bool led = false;
    for (int i = 0; i < 3'000 && !led; ++i) {
      cluster_.step();
      for (auto& node : cluster_.nodes) {
        const auto status = node->up() ? node->shard->topic(kTopic) : std::nullopt;
        if (!status || !status->leads) continue;
        EXPECT_EQ(status->end, end) << "node " << node->number << " in round " << round;
        led = true;
      }
    }
    EXPECT_TRUE(led);
    former.start();
    cluster_.run(300);
  }
}

TEST_F(TopicTest, AFollowerThatWasAwayIsSentWhatTheStoreHas) {
  append(1);
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(1); }));
  const NodeNumber away = leader()->number == 3 ? 2 : 3;
  cluster_.at(away).crash();
  Batches expected{{0, 1}};
  // More than a leader keeps in memory of it once it is stored.
  for (int i = 0; i < 60; ++i) {
    expected.emplace_back(append(300), 300);
  }
  for (auto& node : cluster_.nodes) {
    if (node->up()) store(*node);
  }
  append(1);
  expected.emplace_back(expected.back().first + 300, 1);
  cluster_.at(away).start();
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(expected.back().first + 1); }, 20'000));
  EXPECT_EQ(read_all(cluster_.at(away)), expected);
}

TEST_F(TopicTest, ANewMemberIsGivenTheWholeLogWithoutASnapshotOfIt) {
  Batches expected;
  for (int i = 0; i < 30; ++i) expected.emplace_back(append(2), 2);
  for (auto& node : cluster_.nodes) store(*node);
  const NodeNumber lost = leader()->number == 1 ? 2 : 1;
  const auto other = static_cast<NodeNumber>(6 - lost - leader()->number);
  cluster_.at(lost).wipe();
  cluster_.at(lost).start();
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(60); }, 20'000));
  EXPECT_EQ(read_all(cluster_.at(lost)), expected);
  // It votes and keeps: with one of the others gone, the group goes on.
  ASSERT_TRUE(cluster_.run_until(
      [&] {
        const GroupNode* node = leader();
        if (node == nullptr) return false;
        const auto status = cluster_.status(node->number, kTopic);
        return status->voters.size() == 3 && status->learners.empty() && status->leads;
      },
      20'000));
  expected.emplace_back(append(1), 1);  // behind the end of the joint configuration
  cluster_.at(other).crash();
  expected.emplace_back(append(1), 1);
  store(cluster_.at(lost));
  cluster_.at(lost).crash();
  cluster_.at(lost).start();
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(62); }, 20'000));
  EXPECT_EQ(read_all(cluster_.at(lost)), expected);
}

TEST_F(TopicTest, TimesAreFoundInMemoryAndInTheStore) {
  append(2, 1'000);
  append(2, 3'000);
  append(2, 2'000);  // late
  append(2, 5'000);
  GroupNode& node = *leader();
  const auto at = [&](std::int64_t time) { return *node.shard->topic_at_time(kTopic, time); };
  const auto check = [&] {
    using Found = std::optional<std::pair<std::int64_t, std::int64_t>>;
    EXPECT_EQ(at(0), (Found{{0, 1'000}}));
    EXPECT_EQ(at(1'000), (Found{{0, 1'000}}));
    EXPECT_EQ(at(1'001), (Found{{2, 3'000}}));
    EXPECT_EQ(at(3'000), (Found{{2, 3'000}}));
    EXPECT_EQ(at(3'001), (Found{{6, 5'000}}));
    EXPECT_EQ(at(5'001), std::nullopt);
  };
  check();
  store(node);
  node.crash();
  node.start();
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(8); }));
  check();
}

TEST_F(TopicTest, WhatIsDroppedGoesFromTheStore) {
  for (int i = 0; i < 10; ++i) append(2);
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(20); }));
  const auto rows = [&](GroupNode& node) {
    return std::ranges::count_if(
        node.rows.rows(), [](const auto& row) { return !topic_row_group(row.first).empty(); });
  };
  for (auto& node : cluster_.nodes) {
    store(*node);
    EXPECT_GE(rows(*node), 20);
  }
  EXPECT_TRUE(cluster_.run_strong(kTopicMeta, {"even.meta", "DROPTOPIC", "t"}).starts_with(':'));
  ASSERT_TRUE(cluster_.run_until([&] { return leader() == nullptr; }));
  // What the store is told to forget may go or stay, each time by chance in a simulated one.
  std::ptrdiff_t left = 0;
  for (auto& node : cluster_.nodes) {
    EXPECT_FALSE(node->shard->topic(kTopic));
    store(*node);
    left += rows(*node);
  }
  EXPECT_LT(left, 60);
}

// A batch of an idempotent producer, at whoever leads; the reply.
std::string produce(GroupCluster& cluster, PartitionId topic, const std::string& batch) {
  for (int tries = 0; tries < 50; ++tries, cluster.run(100)) {
    GroupNode* node = cluster.leader(topic);
    if (node == nullptr) continue;
    auto outcome = std::make_shared<std::optional<StrongOutcome>>();
    StrongRequest request;
    request.group = topic;
    request.batch = batch;
    node->shard->execute_strong(std::move(request),
                                [outcome](StrongOutcome given) { *outcome = given; });
    node->shard->end_turn();
    cluster.run_until([&] { return outcome->has_value(); }, 3'000);
    if (*outcome && (*outcome)->kind == StrongOutcome::Kind::kReply) return (*outcome)->reply;
  }
  return "no leader";
}

TEST_F(TopicTest, ProducersAreRememberedByEveryMemberAndByTheStore) {
  const auto send = [&](std::int32_t sequence, int records, std::int16_t epoch = 0) {
    const std::vector<std::string> values(static_cast<std::size_t>(records), "v");
    return produce(
        cluster_, kTopic,
        make_batch(values, {.producer_id = 5, .producer_epoch = epoch, .base_sequence = sequence}));
  };
  using testing::StartsWith;
  EXPECT_THAT(send(3, 1), StartsWith("-TRYAGAIN "));
  EXPECT_EQ(send(0, 2), ":0\r\n");
  EXPECT_EQ(append(1), 2);
  EXPECT_EQ(send(0, 2), ":0\r\n");
  EXPECT_THAT(send(3, 1), StartsWith("-OUT_OF_ORDER_SEQUENCE_NUMBER "));
  EXPECT_EQ(send(2, 1), ":3\r\n");
  leader()->crash();
  EXPECT_EQ(send(2, 1), ":3\r\n");
  EXPECT_EQ(send(3, 1), ":4\r\n");
  for (auto& node : cluster_.nodes) {
    if (node->up()) store(*node);
  }
  for (auto& node : cluster_.nodes) {
    if (node->up()) node->crash();
    node->start();
  }
  EXPECT_EQ(send(3, 1), ":4\r\n");
  EXPECT_EQ(send(0, 1, 1), ":5\r\n");
  EXPECT_THAT(send(4, 1), StartsWith("-INVALID_PRODUCER_EPOCH "));
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(6); }));
  // Batches that were refused are in the log and have no offsets, in memory and in the store.
  const Batches expected{{0, 2}, {2, 1}, {3, 1}, {4, 1}, {5, 1}};
  for (auto& node : cluster_.nodes) {
    EXPECT_EQ(read_all(*node), expected) << node->number;
    store(*node);
    node->crash();
    node->start();
    EXPECT_EQ(read_all(*node), expected) << node->number;
  }
}

// The leader does not know of its own proposals yet what becomes of them.
TEST_F(TopicTest, ABatchThatIsProposedTwiceIsThereOnce) {
  GroupNode& node = *leader();
  const std::string batch =
      make_batch({"a"}, {.producer_id = 5, .producer_epoch = 0, .base_sequence = 0});
  std::vector<std::string> replies;
  for (int i = 0; i < 3; ++i) {
    StrongRequest request;
    request.group = kTopic;
    request.batch = batch;
    node.shard->execute_strong(std::move(request),
                               [&replies](StrongOutcome given) { replies.push_back(given.reply); });
  }
  node.shard->end_turn();
  ASSERT_TRUE(cluster_.run_until([&] { return replies.size() == 3; }));
  EXPECT_THAT(replies, testing::Each(":0\r\n"));
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(1); }));
}

TEST_F(TopicTest, AProducerIsForgottenByTheEntriesTime) {
  const auto send = [&](std::int32_t sequence) {
    return produce(
        cluster_, kTopic,
        make_batch({"v"}, {.producer_id = 5, .producer_epoch = 0, .base_sequence = sequence}));
  };
  EXPECT_EQ(send(0), ":0\r\n");
  cluster_.world.clock.offset_ms += kProducerExpiryMs + 1'000;
  EXPECT_THAT(send(1), testing::StartsWith("-TRYAGAIN "));
  EXPECT_EQ(send(0), ":1\r\n");
}

TEST_F(TopicTest, AProducerThatIsNotKnownBeginsWithTheFirstThatItTriesAgain) {
  bool known = false;
  for (auto& node : cluster_.nodes) {
    node->crash();
    node->any_sequence_known = [&known] { return known; };
    node->start();
  }
  const auto send = [&](std::int64_t producer, std::int32_t sequence) {
    return produce(
        cluster_, kTopic,
        make_batch({"v"},
                   {.producer_id = producer, .producer_epoch = 0, .base_sequence = sequence}));
  };
  using testing::StartsWith;
  // Nodes of before would execute it otherwise.
  EXPECT_THAT(send(5, 57), StartsWith("-UNKNOWN_PRODUCER_ID "));
  EXPECT_THAT(send(5, 57), StartsWith("-UNKNOWN_PRODUCER_ID "));
  known = true;
  EXPECT_THAT(send(5, 57), StartsWith("-TRYAGAIN "));
  EXPECT_THAT(send(5, 58), StartsWith("-TRYAGAIN "));
  EXPECT_THAT(send(5, 58), StartsWith("-TRYAGAIN "));
  EXPECT_EQ(send(5, 57), ":0\r\n");
  EXPECT_EQ(send(5, 57), ":0\r\n");
  EXPECT_EQ(send(5, 58), ":1\r\n");
  EXPECT_THAT(send(5, 60), StartsWith("-OUT_OF_ORDER_SEQUENCE_NUMBER "));
  // What was sent ahead and comes later is waited for.
  EXPECT_THAT(send(6, 1), StartsWith("-TRYAGAIN "));
  EXPECT_EQ(send(6, 0), ":2\r\n");
  EXPECT_EQ(send(6, 1), ":3\r\n");
  // What never comes again is not waited for for ever; and it goes on where nodes cannot be asked.
  known = false;
  EXPECT_THAT(send(7, 3), StartsWith("-TRYAGAIN "));
  EXPECT_THAT(send(7, 4), StartsWith("-TRYAGAIN "));
  cluster_.run(11'000);
  EXPECT_THAT(send(7, 4), StartsWith("-TRYAGAIN "));
  EXPECT_EQ(send(7, 4), ":4\r\n");
  ASSERT_TRUE(cluster_.run_until([&] { return have_all(5); }));
}

TEST_F(TopicTest, RecordsGoIntoTopicsOnly) {
  auto outcome = std::make_shared<std::optional<StrongOutcome>>();
  const std::string batch = make_batch({"a"});
  StrongRequest request;
  request.group = kTopicMeta;
  request.batch = batch;
  GroupNode& node = *cluster_.leader(kTopicMeta);
  node.shard->execute_strong(std::move(request),
                             [outcome](StrongOutcome given) { *outcome = given; });
  ASSERT_TRUE(*outcome);
  EXPECT_EQ((*outcome)->kind, StrongOutcome::Kind::kRefused);
  // Nor do commands into topics have any effect on records.
  EXPECT_EQ(append(1), 0);
}

}  // namespace
}  // namespace even
