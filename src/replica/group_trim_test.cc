// Retention of topics on real shards: the start, what the store gives back, members that come
// later.
#include <gmock/gmock.h>

#include "replica/group.h"
#include "replica/test_groups.h"
#include "store/topic_rows.h"
#include "topic/record_batch.h"
#include "topic/test_batch.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using Rows = sim::SimStore::Rows;

constexpr PartitionId kTrimMeta = 1;
constexpr PartitionId kTrimmed = 2;
constexpr std::size_t kRecordBytes = 8 << 10;
constexpr std::int64_t kKeptBytes = 256 << 10;

class TopicTrimTest : public testing::Test {
 protected:
  TopicTrimTest() {
    for (auto& node : cluster_.nodes) node->fsync = FsyncPolicy::kNo;
  }

  void create(std::optional<std::int64_t> bytes, std::optional<std::int64_t> ms = std::nullopt) {
    cluster::Keyspace topic{
        .name = "t", .strong = true, .topic = true, .replicas = 3, .partitions = 1};
    topic.retention_bytes = bytes;
    topic.retention_ms = ms;
    std::vector<std::string> words = {"even.meta", "CREATE", cluster::encode(topic), "2"};
    for (const auto& node : cluster_.map.nodes) {
      words.push_back(std::to_string(node.number));
      words.push_back(node.name);
    }
    ASSERT_TRUE(
        cluster_.run_until([&] { return cluster_.run_strong(kTrimMeta, words).starts_with(':'); }));
    ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr; }));
  }
  GroupNode* leader() { return cluster_.leader(kTrimmed); }

  std::string ask(std::optional<std::string> batch, std::optional<std::int64_t> trim_to = {}) {
    for (int tries = 0; tries < 50; ++tries, cluster_.run(100)) {
      GroupNode* node = leader();
      if (node == nullptr) continue;
      auto bytes = std::make_shared<std::string>(batch.value_or(""));
      auto outcome = std::make_shared<std::optional<StrongOutcome>>();
      StrongRequest request;
      request.group = kTrimmed;
      request.batch = *bytes;
      request.trim_to = trim_to;
      node->shard->execute_strong(std::move(request),
                                  [bytes, outcome](StrongOutcome given) { *outcome = given; });
      node->shard->end_turn();
      cluster_.run_until([&] { return outcome->has_value(); }, 3'000);
      if (*outcome && (*outcome)->kind == StrongOutcome::Kind::kReply) return (*outcome)->reply;
    }
    return "no leader";
  }
  // The next record, whose value says its number.
  void append(int records = 1) {
    for (int i = 0; i < records; ++i) {
      std::string value = std::to_string(next_);
      value.resize(kRecordBytes, '.');
      ASSERT_EQ(ask(topic::test::make_batch({value})), ":" + std::to_string(next_) + "\r\n");
      ++next_;
    }
  }
  TopicStatus status(GroupNode& node) { return *node.shard->topic(kTrimmed); }
  bool agree() {
    const GroupNode* first = leader();
    if (first == nullptr) return false;
    const auto known = first->shard->topic(kTrimmed);
    return known->end == next_ && std::ranges::all_of(cluster_.nodes, [&](const auto& node) {
             const auto here = node->up() ? node->shard->topic(kTrimmed) : std::nullopt;
             return !node->up() || (here && here->start == known->start && here->end == known->end);
           });
  }
  std::int64_t agreed_start() {
    EXPECT_TRUE(cluster_.run_until([&] { return agree(); }, 20'000));
    return status(*leader()).start;
  }
  // Each record from the start on is there, and says its number.
  void check(GroupNode& node) {
    const TopicStatus known = status(node);
    std::int64_t offset = known.start;
    while (offset < known.end) {
      auto bytes = std::make_shared<std::optional<Result<std::string>>>();
      node.shard->read_topic(kTrimmed, offset, 1 << 20,
                             [bytes](Result<std::string> given) { *bytes = std::move(given); });
      cluster_.run_until([&] { return bytes->has_value(); });
      ASSERT_TRUE(*bytes && **bytes) << "node " << node.number << " from " << offset << ": "
                                     << (*bytes ? (**bytes).error().message : "no answer");
      for (std::string_view rest = ***bytes; !rest.empty();) {
        const auto size = 12 + get_big_endian<std::uint32_t>(rest.data() + 8);
        const auto head = topic::read_head(rest.substr(0, size));
        ASSERT_LE(head->base_offset, offset);
        EXPECT_NE(rest.substr(0, size).find(std::to_string(head->base_offset) + "."),
                  std::string_view::npos);
        offset = head->base_offset + head->offsets();
        rest.remove_prefix(size);
      }
    }
    EXPECT_EQ(offset, known.end);
  }
  void check_all() {
    agreed_start();
    for (auto& node : cluster_.nodes) {
      if (node->up()) check(*node);
    }
    for (auto& node : cluster_.nodes) EXPECT_THAT(node->warnings, testing::IsEmpty());
  }
  void store(GroupNode& node) {
    auto stored = std::make_shared<bool>(false);
    node.shard->store_now([stored](const Result<>& outcome) {
      EXPECT_TRUE(outcome) << outcome.error().message;
      *stored = true;
    });
    ASSERT_TRUE(cluster_.run_until([&] { return *stored; }));
  }
  void store_all() {
    for (auto& node : cluster_.nodes) {
      if (node->up()) store(*node);
    }
  }
  void await_voters() {
    cluster_.run(2'000);  // until the leader has seen that a disk is another one
    ASSERT_TRUE(cluster_.run_until(
        [&] {
          const GroupNode* node = leader();
          if (node == nullptr) return false;
          const auto status = cluster_.status(node->number, kTrimmed);
          return status->voters.size() == 3 && status->learners.empty();
        },
        20'000));
    append(1);  // behind the end of the joint configuration
  }
  std::size_t topic_bytes(GroupNode& node) {
    std::size_t bytes = 0;
    for (const auto& [row, value] : node.rows.rows()) {
      if (!topic_row_group(row).empty()) bytes += value.size();
    }
    return bytes;
  }

  GroupCluster cluster_{3};
  std::int64_t next_ = 0;
};

TEST_F(TopicTrimTest, BySizeTheLatestRecordsStayAndTheRestIsGivenBack) {
  create(kKeptBytes);
  for (int round = 0; round < 10; ++round) {
    append(16);  // half of what is kept
    cluster_.run(1'100);
    store_all();
  }
  cluster_.run(2'000);
  const std::int64_t start = agreed_start();
  const std::int64_t kept = (next_ - start) * static_cast<std::int64_t>(kRecordBytes);
  EXPECT_GE(kept, kKeptBytes - static_cast<std::int64_t>(kRecordBytes));
  EXPECT_LT(kept, 2 * kKeptBytes);
  for (auto& node : cluster_.nodes) {
    // What the store is told to forget goes by chance in a simulated one.
    for (int tries = 0; tries < 20; ++tries) {
      append(9);
      cluster_.run(1'100);
      store(*node);
    }
    EXPECT_LT(topic_bytes(*node), 4 * kKeptBytes) << node->number;
    EXPECT_LT(status(*node).bytes, 2 * kKeptBytes);
  }
  check_all();
  for (auto& node : cluster_.nodes) {
    node->crash();
    node->start();
  }
  check_all();
}

TEST_F(TopicTrimTest, ByAgeAllGoesInTheEnd) {
  create(std::nullopt, 60'000);
  append(3);
  cluster_.run(2'100);
  append(2);
  cluster_.world.clock.offset_ms += 30'000;
  cluster_.run(2'100);
  EXPECT_EQ(agreed_start(), 0);
  append(1);
  cluster_.world.clock.offset_ms += 45'000;
  cluster_.run(2'100);
  EXPECT_EQ(agreed_start(), 3);
  cluster_.world.clock.offset_ms += 70'000;
  cluster_.run(2'100);
  EXPECT_EQ(agreed_start(), 6);
  append(1);  // offsets go on
  EXPECT_EQ(agreed_start(), 6);
  store_all();
  for (auto& node : cluster_.nodes) {
    node->crash();
    node->start();
  }
  append(1);
  EXPECT_EQ(agreed_start(), 6);
  check_all();
}

TEST_F(TopicTrimTest, ANewMemberIsGivenAStateAndWhatComesBehindIt) {
  create(kKeptBytes);
  const auto produce = [&](std::int32_t sequence) {
    return ask(topic::test::make_batch(
        {std::to_string(next_) + "."},
        {.producer_id = 5, .producer_epoch = 0, .base_sequence = sequence}));
  };
  EXPECT_EQ(produce(0), ":0\r\n");
  ++next_;
  for (int round = 0; round < 6; ++round) {
    append(16);
    cluster_.run(1'100);
    store_all();
  }
  EXPECT_GT(agreed_start(), 1);
  const NodeNumber lost = leader()->number == 1 ? 2 : 1;
  cluster_.at(lost).wipe();
  append(5);
  cluster_.at(lost).start();
  check_all();
  // It votes, and knows what has been produced before its log begins.
  await_voters();
  const auto other = static_cast<NodeNumber>(6 - lost - leader()->number);
  cluster_.at(other).crash();
  EXPECT_EQ(produce(0), ":0\r\n");
  append(3);
  // Before a pass and after one.
  for (int round = 0; round < 2; ++round) {
    cluster_.at(lost).crash();
    cluster_.at(lost).start();
    check_all();
    store(cluster_.at(lost));
  }
  // It gives others what it was given.
  cluster_.at(other).wipe();
  cluster_.at(other).start();
  check_all();
  await_voters();
  cluster_.at(static_cast<NodeNumber>(6 - lost - other)).crash();
  EXPECT_EQ(produce(0), ":0\r\n");
  append(1);
  check_all();
}

TEST_F(TopicTrimTest, AFollowerThatIsBehindTheFirstEntryGoesOnFromACheckpoint) {
  create(kKeptBytes);
  append(4);
  agreed_start();
  const NodeNumber away = leader()->number == 3 ? 2 : 3;
  store(cluster_.at(away));
  cluster_.at(away).crash();
  for (int round = 0; round < 8; ++round) {
    append(16);
    cluster_.run(1'100);
    store_all();
  }
  EXPECT_GT(agreed_start(), 4);
  cluster_.at(away).start();
  check_all();
  cluster_.at(away).crash();
  cluster_.at(away).start();
  check_all();
  store(cluster_.at(away));
  cluster_.at(away).crash();
  cluster_.at(away).start();
  check_all();
}

TEST_F(TopicTrimTest, RecordsAreDeletedUpToAnyOffset) {
  create(std::nullopt);
  for (int i = 0; i < 40; ++i) append(4);  // more than a checkpoint is worth
  EXPECT_EQ(ask(std::nullopt, 7), ":7\r\n");
  EXPECT_EQ(agreed_start(), 7);
  EXPECT_EQ(ask(std::nullopt, 3), ":7\r\n");  // never back
  EXPECT_EQ(ask(std::nullopt, 1'000'000), ":160\r\n");
  EXPECT_EQ(agreed_start(), 160);
  append(2);
  store_all();
  cluster_.at(1).wipe();
  cluster_.at(1).start();
  check_all();
  EXPECT_LT(status(cluster_.at(1)).bytes, 10 * kRecordBytes);
}

TEST_F(TopicTrimTest, ACrashOfAllLosesNothingFromTheStartOn) {
  create(kKeptBytes);
  for (int round = 0; round < 12; ++round) {
    append(10);
    cluster_.run(round % 3 == 0 ? 1'100 : 300);
    if (round % 2 == 0) store(cluster_.at(static_cast<NodeNumber>(1 + round % 3)));
    for (auto& node : cluster_.nodes) node->crash();
    for (auto& node : cluster_.nodes) node->start();
    check_all();
  }
  EXPECT_GT(agreed_start(), 0);
}

TEST_F(TopicTrimTest, WhatIsRestoredGoesOnBehindItsFirstEntry) {
  create(kKeptBytes);
  for (int round = 0; round < 6; ++round) {
    append(16);
    cluster_.run(1'100);
    store_all();
  }
  const std::int64_t start = agreed_start();
  EXPECT_GT(start, 0);
  store(cluster_.at(2));
  Rows backup = cluster_.at(2).rows.rows();
  // Positions in a log that is not in it.
  backup.erase(backup.lower_bound("\xff\xff"), backup.lower_bound("\xff\xff\xff"));
  for (const NodeNumber n : {1, 2, 3}) {
    cluster_.at(n).wipe();
    cluster_.at(n).warnings.clear();
    if (n == 2) cluster_.at(n).rows.restore(backup);
  }
  for (const NodeNumber n : {1, 2, 3}) cluster_.at(n).start();
  ASSERT_TRUE(cluster_.run_until([&] { return leader() != nullptr && agree(); }, 20'000));
  for (auto& node : cluster_.nodes) node->warnings.clear();  // that it was refounded
  EXPECT_EQ(agreed_start(), start);
  check_all();
  append(40);
  cluster_.run(2'100);
  store_all();
  EXPECT_GT(agreed_start(), start);
  cluster_.at(3).wipe();
  cluster_.at(3).start();
  check_all();
}

}  // namespace
}  // namespace even
