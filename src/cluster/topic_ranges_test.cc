#include "cluster/topic_ranges.h"

#include <gmock/gmock.h>

namespace even::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Keyspace range(std::string name, PartitionId first, std::uint16_t count) {
  Keyspace row;
  row.name = std::move(name);
  row.strong = row.topic = true;
  row.replicas = 3;
  row.first = first;
  row.partitions = count;
  return row;
}

// The tenth comes before the second by name.
KeyspaceTable grown() {
  std::vector<Keyspace> rows = {range("orders", 300, 2), range("orders-x", 302, 1),
                                range("orders.x", 303, 1), range("orders0", 304, 1)};
  for (std::size_t i = 1; i <= 10; ++i) {
    rows.push_back(range(added_range_name("orders", i), static_cast<PartitionId>(400 + 10 * i), 1));
  }
  return {1, std::move(rows), 600};
}

TEST(TopicRanges, PartitionsAreNumberedInTheOrderInWhichTheyWereAdded) {
  const KeyspaceTable table = grown();
  EXPECT_THAT(partitions_of_topic(table.topics(), "orders"),
              ElementsAre(300, 301, 410, 420, 430, 440, 450, 460, 470, 480, 490, 500));
  for (std::int64_t number = 0; number < 12; ++number) {
    EXPECT_EQ(partition_of_topic(table.topics(), "orders", number),
              partitions_of_topic(table.topics(), "orders")[static_cast<std::size_t>(number)]);
  }
  EXPECT_EQ(partition_of_topic(table.topics(), "orders", 12), std::nullopt);
  EXPECT_EQ(partition_of_topic(table.topics(), "orders", -1), std::nullopt);
  EXPECT_EQ(partitions_in(ranges_of(table.topics(), "orders")), 12);
  EXPECT_THAT(partitions_of_topic(table.topics(), "orders-x"), ElementsAre(302));
  EXPECT_THAT(partitions_of_topic(table.topics(), "orders0"), ElementsAre(304));
  EXPECT_THAT(partitions_of_topic(table.topics(), "order"), IsEmpty());
}

// As nodes of an earlier version leave it, which drop the topic's own row alone.
TEST(TopicRanges, WhatIsLeftOfADroppedTopicIsNoneOfTheNextOne) {
  const KeyspaceTable table{
      1, {range("t", 500, 2), range("t/1", 410, 2), range("t/2", 510, 1)}, 600};
  EXPECT_THAT(partitions_of_topic(table.topics(), "t"), ElementsAre(500, 501, 510));
  EXPECT_EQ(partition_of_topic(table.topics(), "t", 1), 501);
  EXPECT_EQ(partition_of_topic(table.topics(), "t", 2), 510);
}

TEST(TopicRanges, RowsOfRangesAreNoTopics) {
  const KeyspaceTable table = grown();
  EXPECT_EQ(table.find_topic("orders/1"), nullptr);
  EXPECT_THAT(ranges_of(table.topics(), "orders/1"), IsEmpty());
  EXPECT_EQ(partition_of_topic(table.topics(), "orders/1", 0), std::nullopt);
  EXPECT_EQ(table.find_topic("orders")->partitions, 2);
  // Their partitions are of the table like all others.
  const Keyspace* row = table.of_partition(420);
  ASSERT_NE(row, nullptr);
  EXPECT_TRUE(is_added_range(*row));
  EXPECT_EQ(topic_of_range(*row), "orders");
  EXPECT_FALSE(is_added_range(*table.find_topic("orders-x")));
  EXPECT_FALSE(table.was_dropped(420));
  EXPECT_TRUE(table.was_dropped(421));
  EXPECT_EQ(decode_keyspace(encode(*row)), *row);
}

}  // namespace
}  // namespace even::cluster
