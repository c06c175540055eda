#include "cluster/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

namespace even::cluster {
namespace {

using ::testing::ElementsAre;

ClusterMap make_map(size_t nodes, uint16_t replicas = 1, uint16_t partitions = kDefaultPartitions) {
  ClusterMap map{.id = "test", .partitions = partitions, .replicas = replicas};
  for (size_t i = 1; i <= nodes; ++i) {
    map.nodes.push_back({.name = "n" + std::to_string(i),
                         .number = static_cast<uint16_t>(i),
                         .host = "127.0.0.1",
                         .peer_port = static_cast<uint16_t>(7100 + i)});
  }
  return map;
}

// The definition of CRC16/XMODEM, bit by bit.
uint16_t slow_crc16(std::string_view data) {
  uint32_t crc = 0;
  for (unsigned char byte : data) {
    crc ^= uint32_t{byte} << 8;
    for (int i = 0; i < 8; ++i) crc = ((crc << 1) ^ ((crc & 0x8000) ? 0x1021 : 0)) & 0xffff;
  }
  return static_cast<uint16_t>(crc);
}

TEST(Crc16, GivesThePublishedCheckValue) {
  EXPECT_EQ(crc16("123456789"), 0x31C3);
  EXPECT_EQ(crc16(""), 0);
}

RC_GTEST_PROP(Crc16, AgreesWithItsDefinitionOnAnyInput, (const std::string& data)) {
  RC_ASSERT(crc16(data) == slow_crc16(data));
}

// Values that CLUSTER KEYSLOT of redis-server 7.0 gives.
TEST(KeySlot, AgreesWithRedisCluster) {
  EXPECT_EQ(key_slot("foo"), 12182);
  EXPECT_EQ(key_slot("bar"), 5061);
  EXPECT_EQ(key_slot("hello"), 866);
  EXPECT_EQ(key_slot("somekey"), 11058);
  EXPECT_EQ(key_slot("foo{hash_tag}"), 2515);
  EXPECT_EQ(key_slot(""), 0);
}

TEST(KeySlot, HashesOnlyTheFirstNonEmptyTag) {
  EXPECT_EQ(hash_tag("{user1000}.following"), "user1000");
  EXPECT_EQ(hash_tag("foo{}{bar}"), "foo{}{bar}");
  EXPECT_EQ(hash_tag("foo{{bar}}zap"), "{bar");
  EXPECT_EQ(hash_tag("foo{bar}{zap}"), "bar");
  EXPECT_EQ(hash_tag("foo{bar"), "foo{bar");
  EXPECT_EQ(hash_tag("foo}bar{"), "foo}bar{");
  EXPECT_EQ(hash_tag("}{a}"), "a");
}

TEST(SlotPartition, CutsTheSlotsIntoContiguousRangesOfEqualSize) {
  for (uint16_t partitions : {1, 2, 3, 7, 256, 1000, 16383, 16384}) {
    std::vector<uint32_t> sizes(partitions);
    uint16_t previous = 0;
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      uint16_t partition = slot_partition(static_cast<uint16_t>(slot), partitions);
      ASSERT_LT(partition, partitions);
      ASSERT_GE(partition, previous);
      if (sizes[partition] == 0) {
        ASSERT_EQ(partition_first_slot(partition, partitions), slot);
      }
      previous = partition;
      ++sizes[partition];
    }
    auto [smallest, largest] = std::ranges::minmax(sizes);
    EXPECT_GE(smallest, 1u);
    EXPECT_LE(largest - smallest, 1u) << partitions;
    EXPECT_EQ(partition_first_slot(partitions, partitions), kSlots);
  }
}

// Placement decides where data already on disk is looked for: a change of these values is a change
// of format.
TEST(RankNodes, KeepsItsGoldenOrder) {
  ClusterMap map = make_map(5);
  std::vector<std::vector<uint16_t>> first;
  for (uint16_t partition : {0, 1, 2, 255}) first.push_back(rank_nodes(map, partition));
  EXPECT_THAT(first, ElementsAre(ElementsAre(1, 5, 4, 2, 3), ElementsAre(2, 5, 1, 3, 4),
                                 ElementsAre(3, 5, 4, 2, 1), ElementsAre(1, 3, 4, 5, 2)));
}

RC_GTEST_PROP(RankNodes, IsAPermutationThatIgnoresTheOrderOfTheMap, ()) {
  ClusterMap map = make_map(*rc::gen::inRange<size_t>(1, 20));
  auto partition = *rc::gen::inRange<uint16_t>(0, kDefaultPartitions);
  std::vector<uint16_t> ranked = rank_nodes(map, partition);

  std::set<uint16_t> numbers(ranked.begin(), ranked.end());
  RC_ASSERT(ranked.size() == map.nodes.size());
  RC_ASSERT(numbers.size() == map.nodes.size());
  RC_ASSERT(*numbers.begin() == 1 && *numbers.rbegin() == map.nodes.size());

  std::mt19937 shuffler(*rc::gen::arbitrary<uint32_t>());
  std::shuffle(map.nodes.begin(), map.nodes.end(), shuffler);
  RC_ASSERT(rank_nodes(map, partition) == ranked);
}

RC_GTEST_PROP(RankNodes, MovesOnlyWhatANewNodeTakes, ()) {
  auto replicas = *rc::gen::inRange<uint16_t>(1, 5);
  ClusterMap before = make_map(*rc::gen::inRange<size_t>(replicas, 20), replicas);
  ClusterMap after = before;
  after.nodes.push_back(
      {.name = *rc::gen::nonEmpty(rc::gen::string<std::string>()) + "+new", .number = 1000});
  for (uint16_t partition = 0; partition < before.partitions; ++partition) {
    std::vector<uint16_t> old_order = rank_nodes(before, partition);
    std::vector<uint16_t> new_order = rank_nodes(after, partition);
    RC_ASSERT(std::ranges::count(new_order, 1000) == 1);
    std::erase(new_order, 1000);
    RC_ASSERT(old_order ==
              new_order);  // so each replica set loses at most its last node, to the new one
  }
}

TEST(Placement, SpreadsPartitionsEvenlyOverNodes) {
  for (size_t nodes : {3u, 5u, 10u}) {
    ClusterMap map = make_map(nodes, 3, 4096);
    Placement placement(map);
    std::map<uint16_t, int> held;
    std::map<uint16_t, int> preferred;
    for (uint16_t partition = 0; partition < map.partitions; ++partition) {
      for (uint16_t node : placement.replicas(partition)) ++held[node];
      ++preferred[placement.replicas(partition).front()];
    }
    ASSERT_EQ(held.size(), nodes);
    double fair_held = 3.0 * map.partitions / nodes;
    double fair_preferred = 1.0 * map.partitions / nodes;
    for (const Node& node : map.nodes) {
      EXPECT_NEAR(held[node.number], fair_held, fair_held * 0.1) << node.name;
      EXPECT_NEAR(preferred[node.number], fair_preferred, fair_preferred * 0.2) << node.name;
    }
  }
}

TEST(Placement, GivesForEachPartitionWhatRankNodesGives) {
  ClusterMap map = make_map(7, 3);
  Placement placement(map);
  EXPECT_EQ(placement.partitions(), 256);
  for (uint16_t partition = 0; partition < map.partitions; ++partition) {
    std::vector<uint16_t> ranked = rank_nodes(map, partition);
    EXPECT_TRUE(std::ranges::equal(placement.ranking(partition), ranked));
    EXPECT_TRUE(std::ranges::equal(placement.replicas(partition), std::span(ranked).first(3)));
    for (size_t i = 0; i < ranked.size(); ++i) {
      EXPECT_EQ(placement.holds(ranked[i], partition), i < 3);
    }
  }
}

TEST(Placement, KeepsKeysWithOneTagTogether) {
  Placement placement(make_map(3, 3));
  EXPECT_EQ(placement.partition_of("{user1}:a"), placement.partition_of("{user1}:b"));
  EXPECT_EQ(placement.partition_of("foo"), 12182 * 256 / 16384);
}

}  // namespace
}  // namespace even::cluster
