// Events of transactions on real shards: from the outbox to the topic, once, whoever crashes when.
#include "replica/relay.h"

#include <gmock/gmock.h>

#include "replica/test_groups.h"
#include "replica/topic_producers.h"
#include "topic/event.h"
#include "topic/event_topic.h"
#include "topic/record_batch.h"
#include "topic/test_batch.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using testing::ElementsAre;

constexpr PartitionId kMetaGroup = 1;
constexpr PartitionId kEventTopic = 2;
constexpr PartitionId kStrongPartition = 3;
constexpr PartitionId kEventualPartition = 0;

// Three nodes, a topic "t" with one partition, and a strong keyspace "o:" with one.
class RelayTest : public testing::Test {
 protected:
  RelayTest() {
    create({.name = "t", .strong = true, .topic = true, .replicas = 3, .partitions = 1});
    create({.name = "o", .prefix = "o:", .strong = true, .replicas = 3, .partitions = 1});
    settle();
  }

  void create(const cluster::Keyspace& keyspace) {
    std::vector<std::string> words = {"even.meta", "CREATE", cluster::encode(keyspace), "2"};
    for (const auto& node : cluster_.map.nodes) {
      words.push_back(std::to_string(node.number));
      words.push_back(node.name);
    }
    ASSERT_TRUE(cluster_.run_until(
        [&] { return cluster_.run_strong(kMetaGroup, words).starts_with(':'); }));
  }
  void settle() {
    ASSERT_TRUE(cluster_.run_until(
        [&] {
          return cluster_.leader(kEventTopic) != nullptr &&
                 cluster_.leader(kStrongPartition) != nullptr;
        },
        20'000));
  }

  static std::string event_of(const std::string& value, std::string_view topic = "t") {
    return topic::Event{.topic = topic, .key = "k", .value = value, .headers = {}}.encode();
  }

  // SET and an event, in one entry.
  void emit_strong(const std::string& value, std::string_view topic = "t") {
    const std::string reply = cluster_.run_transaction(
        kStrongPartition,
        {{"set", "o:1", value}, {"even.outbox", std::string(kOutboxKey), event_of(value, topic)}});
    ASSERT_EQ(reply, "*2\r\n+OK\r\n+OK\r\n");
  }
  // The same in one record of partition 0, at a node.
  void emit_eventual(GroupNode& node, const std::string& value) {
    const std::string event = event_of(value);
    run(node, *find_command("set"), {"set", "e", value});
    EXPECT_EQ(run(node, kOutboxCommand, {"even.outbox", keys_.of(kEventualPartition), event}),
              "+OK\r\n");
  }
  std::string run(GroupNode& node, const Command& command,
                  const std::vector<std::string_view>& words) {
    std::string reply;
    node.shard->execute(command, words, false, reply);
    return reply;
  }

  // The values of the topic's records, as a node has them.
  std::vector<std::string> records(GroupNode& node, PartitionId partition = kEventTopic) {
    const auto status = node.shard->topic(partition);
    std::vector<std::string> values;
    for (std::int64_t offset = 0; status && offset < status->end;) {
      auto bytes = std::make_shared<std::optional<Result<std::string>>>();
      node.shard->read_topic(partition, offset, 1 << 20,
                             [bytes](Result<std::string> given) { *bytes = std::move(given); });
      cluster_.run_until([&] { return bytes->has_value(); });
      if (!*bytes || !**bytes) {
        ADD_FAILURE() << "records cannot be read";
        break;
      }
      for (std::string_view rest = ***bytes; !rest.empty();) {
        const auto size = 12 + get_big_endian<std::uint32_t>(rest.data() + 8);
        const std::string_view batch = rest.substr(0, size);
        rest.remove_prefix(size);
        EXPECT_EQ(topic::check_batch(batch), topic::BatchFault::kNone);
        const auto head = topic::read_head(batch);
        EXPECT_EQ(head->base_offset, offset) << "offsets are dense";
        offset += head->offsets();
        append_values(batch.substr(topic::kBatchHeadBytes), values);
      }
    }
    return values;
  }
  // Of records with the key "k" and short values: length, attributes, time, offset, key, value.
  static void append_values(std::string_view records, std::vector<std::string>& values) {
    const auto number = [&records] {
      std::uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<unsigned char>(records.front());
        records.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return static_cast<std::size_t>(value >> 1);
      }
    };
    while (!records.empty()) {
      number();
      records.remove_prefix(1);
      number();
      number();
      records.remove_prefix(number());
      const std::size_t size = number();
      values.emplace_back(records.substr(0, size));
      records.remove_prefix(size + 1);  // and no headers
    }
  }

  std::uint64_t sum(std::uint64_t ShardStats::* count) const {
    std::uint64_t all = 0;
    for (const auto& node : cluster_.nodes) all += node->shard->stats().*count;
    return all;
  }
  std::size_t waiting(GroupNode& node) {
    if (!node.up()) return 0;
    const PartitionState& eventual = *node.shard->state(kEventualPartition);
    const std::string_view key = keys_.of(kEventualPartition);
    std::size_t events = 0;
    if (const Object* outbox = eventual.find(key, hash64(key))) events += outbox->hash().live();
    if (const PartitionState* strong = node.shard->state(kStrongPartition)) {
      const Object* outbox = strong->find(kOutboxKey, hash64(kOutboxKey));
      if (outbox != nullptr) events += outbox->hash().live();
    }
    return events;
  }
  bool all_relayed() {
    return std::ranges::all_of(cluster_.nodes, [&](auto& node) { return waiting(*node) == 0; });
  }
  bool all_have(std::int64_t end) {
    return std::ranges::all_of(cluster_.nodes, [&](const auto& node) {
      if (!node->up()) return true;
      const auto status = node->shard->topic(kEventTopic);
      return status && status->end == end;
    });
  }
  static std::vector<std::string> numbers(int from, int to) {
    std::vector<std::string> all;
    for (int i = from; i < to; ++i) all.push_back(std::to_string(i));
    return all;
  }

  GroupCluster cluster_{3};
  const ReservedKeys keys_{kOutboxKey, 1};
};

TEST_F(RelayTest, AnEventGoesWhereItSaysWhateverItsTopicHasBeenGivenSince) {
  const auto grow = [this](std::uint32_t partitions) {
    const std::string number = std::to_string(partitions);
    const std::vector<std::string> words = {"even.meta", "ALTERTOPIC", "t", "PARTITIONS", number};
    ASSERT_TRUE(cluster_.run_strong(kMetaGroup, words).starts_with(':'));
  };
  constexpr PartitionId kFirstAdded = 4;
  const auto id_of = [](std::uint16_t number) {
    return number == 0 ? kEventTopic : static_cast<PartitionId>(kFirstAdded + number - 1);
  };
  const auto number_among = [](std::uint16_t partitions) {
    return topic::partition_of({.topic = "t", .key = "k", .value = "", .headers = {}}, 0,
                               partitions);
  };
  grow(4);
  ASSERT_TRUE(cluster_.run_until([&] { return cluster_.leader(id_of(3)) != nullptr; }, 20'000));
  const auto there = [&](std::uint16_t number, const std::string& value) {
    return cluster_.run_until(
        [&] {
          GroupNode* node = cluster_.leader(id_of(number));
          return node != nullptr && std::ranges::count(records(*node, id_of(number)), value) == 1;
        },
        20'000);
  };
  emit_strong("before");  // by who knew of one partition
  EXPECT_TRUE(there(0, "before"));
  emit_strong("after", "t/4/2");
  EXPECT_TRUE(there(number_among(4), "after"));
  emit_strong("of an earlier life", "t/4/1");
  EXPECT_TRUE(there(0, "of an earlier life"));
  emit_strong("of a later life", "t/4/9");
  // By who knows of more than this one.
  std::uint16_t more = 5;
  while (number_among(more) < 4) ++more;
  emit_strong("later", topic::event_topic_text({"t", more, kEventTopic}));
  emit_strong("meanwhile", "t/4/2");
  EXPECT_TRUE(there(number_among(4), "meanwhile"));
  GroupNode* leader = cluster_.leader(kStrongPartition);
  ASSERT_NE(leader, nullptr);
  EXPECT_TRUE(cluster_.run_until([&] { return waiting(*leader) == 2; }, 20'000));
  cluster_.run(3'000);
  EXPECT_EQ(waiting(*leader), 2u);
  grow(more);
  EXPECT_TRUE(there(number_among(more), "later"));
  // What is of a topic that nobody here knows of waits on.
  EXPECT_TRUE(cluster_.run_until([&] { return waiting(*leader) == 1; }, 20'000));
}

TEST_F(RelayTest, EventsOfAStrongPartitionGetToTheirTopicInOrder) {
  for (const std::string& value : numbers(0, 20)) emit_strong(value);
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(20); }, 20'000));
  for (auto& node : cluster_.nodes) EXPECT_EQ(records(*node), numbers(0, 20));
}

TEST_F(RelayTest, EventsOfAnEventualPartitionGetToTheirTopicInOrder) {
  for (int i = 0; i < 20; ++i) {
    emit_eventual(cluster_.at(2), std::to_string(i));
    if (i % 5 == 0) cluster_.step();  // others share a record
  }
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(20); }, 20'000));
  for (auto& node : cluster_.nodes) EXPECT_EQ(records(*node), numbers(0, 20));
  EXPECT_EQ(run(cluster_.at(1), *find_command("dbsize"), {"dbsize"}), ":1\r\n");
}

TEST_F(RelayTest, AnEventIsInTheRecordOfItsChange) {
  std::vector<std::size_t> keys_of_records;
  GroupNode& node = cluster_.at(1);
  for (int i = 0; i < 3; ++i) emit_eventual(node, std::to_string(i));
  const VersionVector& seen = node.shard->state(kEventualPartition)->vector();
  const std::uint64_t made = seen[node.replica()];
  cluster_.run(5);
  for (int i = 3; i < 6; ++i) {
    run(node, *find_command("set"), {"set", "e" + std::to_string(i), "x"});
    run(node, kOutboxCommand,
        {"even.outbox", keys_.of(kEventualPartition), event_of(std::to_string(i))});
  }
  // Three transactions on keys of their own, in one turn, are one record with all three events.
  EXPECT_LE(node.shard->state(kEventualPartition)->vector()[node.replica()], made + 2);
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(6); }, 20'000));
}

TEST_F(RelayTest, AnotherLeaderRelaysWhatThereIsAndNothingTwice) {
  int next = 0;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 5; ++i) emit_strong(std::to_string(next++));
    // In the middle of relaying, at whatever point that is.
    cluster_.run(round * 3);
    GroupNode& former = *cluster_.leader(round % 2 == 0 ? kStrongPartition : kEventTopic);
    former.crash();
    cluster_.run(50);
    former.start();
    settle();
  }
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(next); }, 30'000));
  for (auto& node : cluster_.nodes) EXPECT_EQ(records(*node), numbers(0, next));
}

TEST_F(RelayTest, EventsOfANodeThatIsGoneAreRelayedByAnother) {
  GroupNode& origin = cluster_.at(3);
  // The topic has no leader meanwhile, and nobody can relay.
  cluster_.at(1).crash();
  cluster_.at(2).crash();
  for (int i = 0; i < 5; ++i) emit_eventual(origin, std::to_string(i));
  cluster_.run(100);
  cluster_.at(1).start();
  ASSERT_TRUE(cluster_.run_until([&] { return waiting(cluster_.at(1)) == 5 || all_have(5); }));
  origin.crash();
  cluster_.at(2).start();
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(5); }, 30'000));
  EXPECT_EQ(records(cluster_.at(1)), numbers(0, 5));
  // It comes back and knows nothing of that.
  origin.start();
  cluster_.run(3'000);
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(5); }, 30'000));
  EXPECT_EQ(records(origin), numbers(0, 5));
}

TEST_F(RelayTest, TwoRelaysAtOnceDoNoHarm) {
  // Two nodes that cannot hear each other both take themselves for the relay.
  cluster_.cuts = {{1, 2}};
  for (int i = 0; i < 30; ++i) {
    emit_eventual(cluster_.at(static_cast<NodeNumber>(1 + i % 3)), std::to_string(i));
    cluster_.run(7);
  }
  cluster_.run(4'000);
  cluster_.cuts.clear();
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(30); }, 30'000));
  const auto values = records(cluster_.at(1));
  EXPECT_THAT(values, testing::UnorderedElementsAreArray(numbers(0, 30)));
  // Of each origin in its order.
  for (int node = 0; node < 3; ++node) {
    std::vector<int> own;
    for (const std::string& value : values) {
      if (std::stoi(value) % 3 == node) own.push_back(std::stoi(value));
    }
    EXPECT_TRUE(std::ranges::is_sorted(own));
  }
}

// Else a power failure could leave the event and take the change.
TEST_F(RelayTest, AnEventIsNotSentBeforeTheLogHasItsChangeForGood) {
  GroupNode& relay = cluster_.at(1);  // the first of the replicas
  // It does not lead the topic, which goes on without it.
  relay.crash();
  const auto led_by_another = [&] {
    const GroupNode* leader = cluster_.leader(kEventTopic);
    return leader != nullptr && leader->number != 1;
  };
  ASSERT_TRUE(cluster_.run_until(led_by_another));
  relay.start();
  ASSERT_TRUE(cluster_.run_until([&] { return relay.shard->topic(kEventTopic).has_value(); }));
  cluster_.run(100);
  ASSERT_TRUE(led_by_another());
  relay.disk.faults.failing_sync = 1;
  emit_eventual(relay, "0");
  // Shorter than others wait for it.
  cluster_.run(1'500);
  EXPECT_EQ(waiting(relay), 1u);
  for (NodeNumber other = 2; other <= 3; ++other) {
    EXPECT_EQ(cluster_.at(other).shard->topic(kEventTopic)->end, 0);
  }
  relay.disk.faults.failing_sync = 0;
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(1); }, 60'000));
  EXPECT_EQ(records(cluster_.at(2)), numbers(0, 1));
}

TEST_F(RelayTest, WhatCannotBeSentIsReadRarely) {
  const std::string event = event_of("v", "later");
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(
        run(cluster_.at(2), kOutboxCommand, {"even.outbox", keys_.of(kEventualPartition), event}),
        "+OK\r\n");
    ASSERT_EQ(
        cluster_.run_strong(kStrongPartition, {"even.outbox", std::string(kOutboxKey), event}),
        "+OK\r\n");
  }
  cluster_.run(5'000);
  const std::uint64_t before = sum(&ShardStats::events_read);
  cluster_.run(10'000);
  // 2,000 ticks.
  EXPECT_LE(sum(&ShardStats::events_read), before + 3'000);
  EXPECT_EQ(waiting(cluster_.at(1)), 200u);
  create({.name = "later", .strong = true, .topic = true, .replicas = 3, .partitions = 1});
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed(); }, 20'000));
}

TEST_F(RelayTest, AnEventWithoutATopicMakesNobodyRelayOtherEvents) {
  ASSERT_EQ(run(cluster_.at(2), kOutboxCommand,
                {"even.outbox", keys_.of(kEventualPartition), event_of("v", "gone")}),
            "+OK\r\n");
  cluster_.run(6'000);
  for (int i = 0; i < 20; ++i) {
    emit_eventual(cluster_.at(2), std::to_string(i));
    cluster_.run(50);
  }
  ASSERT_TRUE(cluster_.run_until([&] {
    return all_have(20) &&
           std::ranges::all_of(cluster_.nodes, [&](auto& node) { return waiting(*node) == 1; });
  }));
  EXPECT_EQ(sum(&ShardStats::events_relayed), 20u);
  EXPECT_EQ(sum(&ShardStats::events_repeated), 0u);
  EXPECT_EQ(records(cluster_.at(1)), numbers(0, 20));
}

TEST_F(RelayTest, WhoStandsInGoesOnUntilTheOtherOneRelaysAgain) {
  GroupNode& preferred = cluster_.at(1);
  preferred.crash();
  const auto led_by_another = [&] {
    const GroupNode* leader = cluster_.leader(kEventTopic);
    return leader != nullptr && leader->number != 1;
  };
  ASSERT_TRUE(cluster_.run_until(led_by_another));
  preferred.start();
  ASSERT_TRUE(cluster_.run_until([&] { return preferred.shard->topic(kEventTopic).has_value(); }));
  cluster_.run(100);
  preferred.disk.faults.failing_sync = 1;
  emit_eventual(cluster_.at(2), "0");
  const auto relayed = [&](int end) {
    return cluster_.at(2).shard->topic(kEventTopic)->end == end && waiting(cluster_.at(2)) == 0;
  };
  ASSERT_TRUE(cluster_.run_until([&] { return relayed(1); }, 10'000));
  // The following ones do not have to wait for so long.
  for (int i = 1; i < 10; ++i) {
    emit_eventual(cluster_.at(2), std::to_string(i));
    ASSERT_TRUE(cluster_.run_until([&] { return relayed(i + 1); }, 1'500)) << i;
  }
  preferred.disk.faults.failing_sync = 0;
  cluster_.run(10'000);
  const std::uint64_t repeated = sum(&ShardStats::events_repeated);
  for (int i = 10; i < 30; ++i) {
    emit_eventual(cluster_.at(2), std::to_string(i));
    cluster_.run(500);
  }
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(30); }, 30'000));
  EXPECT_EQ(records(cluster_.at(2)), numbers(0, 30));
  EXPECT_LE(sum(&ShardStats::events_repeated), repeated + 4);
}

TEST_F(RelayTest, WhatTheTopicHasAlreadyIsTakenOutOfABatch) {
  const auto append = [&](const std::vector<std::string>& values,
                          const std::vector<topic::EventId>& ids) {
    return cluster_.run_strong(kEventTopic,
                               {std::string(kAppendCommand), topic::test::make_batch(values),
                                ids.empty() ? std::string() : topic::EventIds{9, ids}.encode()});
  };
  EXPECT_EQ(append({"a", "b"}, {{1, 1, 0}, {1, 1, 1}}), ":0\r\n");
  // For that no entry is needed.
  const std::uint64_t proposals = sum(&ShardStats::proposals);
  EXPECT_EQ(append({"a", "b"}, {{1, 1, 0}, {1, 1, 1}}), "+11\r\n");
  EXPECT_EQ(sum(&ShardStats::proposals), proposals);
  EXPECT_EQ(append({"b", "x", "c"}, {{1, 1, 1}, {2, 1, 0}, {1, 2, 0}}), "+100\r\n");
  EXPECT_EQ(append({"x", "c"}, {{2, 1, 0}, {1, 2, 0}}), ":2\r\n");
  EXPECT_EQ(append({"d"}, {{1, 1, 7}}), "+1\r\n");
  EXPECT_THAT(append({"d"}, {{1, 3, 0}, {1, 4, 0}}), testing::StartsWith("-ERR"));
  EXPECT_EQ(append({"d"}, {}), ":4\r\n");
  // So it is after a restart, from what is stored and what is logged.
  for (auto& node : cluster_.nodes) {
    node->shard->store_now([](const Result<>&) {});
  }
  cluster_.run(500);
  EXPECT_EQ(append({"e"}, {{1, 5, 0}}), ":5\r\n");
  for (auto& node : cluster_.nodes) node->crash();
  for (auto& node : cluster_.nodes) node->start();
  settle();
  EXPECT_EQ(append({"e"}, {{1, 5, 0}}), "+1\r\n");
  EXPECT_EQ(append({"f"}, {{1, 6, 0}}), ":6\r\n");
  ASSERT_TRUE(cluster_.run_until([&] { return all_have(7); }));
}

TEST_F(RelayTest, AnEventOfAStrongPartitionIsRefusedOutsideOfItsGroup) {
  for (auto& node : cluster_.nodes) {
    EXPECT_THAT(run(*node, kStrongOutboxCommand, {"even.outbox", kOutboxKey, event_of("v")}),
                testing::StartsWith("-TRYAGAIN "));
    EXPECT_EQ(waiting(*node), 0u);
  }
}

TEST_F(RelayTest, WhatATopicRemembersOfProducersIsNoClientsKey) {
  for (auto& node : cluster_.nodes) node->wanted_key_events = parse_key_events("KEA").value();
  EXPECT_EQ(
      cluster_.run_strong(kEventTopic,
                          {std::string(kAppendCommand),
                           topic::test::make_batch(
                               {"a"}, {.producer_id = 5, .producer_epoch = 0, .base_sequence = 0}),
                           ""}),
      ":0\r\n");
  EXPECT_EQ(cluster_.run_strong(kStrongPartition, {"set", "o:1", "v", "px", "100"}), "+OK\r\n");
  // Both expire.
  cluster_.world.run_for((kProducerExpiryMs + 1'000) * 1'000);
  settle();
  cluster_.run(2'000);
  for (auto& node : cluster_.nodes) {
    EXPECT_THAT(node->key_events, testing::Contains("o:1"));
    EXPECT_THAT(node->key_events, testing::Each("o:1"));
    EXPECT_EQ(node->shard->state(kEventTopic)->keys_with_expiry(), 0u);
  }
}

TEST_F(RelayTest, AFullOutboxTakesNoMoreTransactions) {
  cluster_.cuts = {{1, 2}, {1, 3}, {2, 3}};
  GroupNode& node = cluster_.at(1);
  for (std::size_t i = 0; i < kMostWaitingEvents; ++i) emit_eventual(node, "v");
  const std::string event = event_of("v");
  EXPECT_THAT(run(node, kOutboxRoomCommand, {"even.outbox", keys_.of(kEventualPartition), event}),
              testing::StartsWith("-OUTBOXFULL "));
  EXPECT_EQ(
      run(cluster_.at(2), kOutboxRoomCommand, {"even.outbox", keys_.of(kEventualPartition), event}),
      "+OK\r\n");
}

TEST_F(RelayTest, FlushingLeavesWhatWaits) {
  cluster_.cuts = {{1, 2}, {1, 3}, {2, 3}};
  for (int i = 0; i < 3; ++i) emit_eventual(cluster_.at(1), std::to_string(i));
  run(cluster_.at(1), *find_command("flushall"), {"flushall"});
  EXPECT_EQ(run(cluster_.at(1), *find_command("dbsize"), {"dbsize"}), ":0\r\n");
  EXPECT_EQ(waiting(cluster_.at(1)), 3u);
  cluster_.cuts.clear();
  ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && all_have(3); }, 30'000));
  EXPECT_EQ(records(cluster_.at(2)), numbers(0, 3));
}

}  // namespace
}  // namespace even
