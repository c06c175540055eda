#include "cluster/keyspace_table.h"

#include <gtest/gtest.h>

#include "cluster/placement.h"

namespace even::cluster {
namespace {

using namespace std::string_literals;

Keyspace strong(std::string name, std::string prefix, PartitionId first, std::uint16_t count) {
  return {.name = std::move(name),
          .prefix = std::move(prefix),
          .strong = true,
          .replicas = 3,
          .partitions = count,
          .first = first,
          .read = {Level::Kind::kBounded, 500},
          .write = {Level::Kind::kLinearizable},
          .deadline_ms = 1234,
          .lines = {{1, 0x00c0}, {2, 65535}}};
}

TEST(KeyspaceTable, AKeyspaceIsReadBackAsItWasWritten) {
  const Keyspace keyspace = strong("orders", "o\0\xff:"s, 257, 16);
  EXPECT_EQ(decode_keyspace(encode(keyspace)), keyspace);
  EXPECT_EQ(decode_keyspace(encode(Keyspace{})), Keyspace{});
  const Keyspace sloppy{.name = "carts", .prefix = "c:", .replicas = 3, .sloppy = true};
  EXPECT_EQ(decode_keyspace(encode(sloppy)), sloppy);
}

TEST(KeyspaceTable, OneWithADelayHasAFormatOfItsOwn) {
  Keyspace lazy{.name = "stats", .prefix = "s:", .replicas = 3};
  const std::string plain = encode(lazy);
  lazy.delay_ms = 5'000;
  EXPECT_EQ(decode_keyspace(encode(lazy)), lazy);
  lazy.feed = "changes";
  lazy.feed_epoch = 7;
  lazy.feed_snapshot = true;
  EXPECT_EQ(decode_keyspace(encode(lazy)), lazy);
  EXPECT_TRUE(KeyspaceTable(1, {lazy}).any_delayed());
  lazy.strong = true;
  lazy.partitions = 1;
  EXPECT_FALSE(KeyspaceTable(1, {lazy}).any_delayed());

  // Who knows nothing of delays reads a keyspace without one as before.
  EXPECT_EQ(plain[1], 3);
  std::string negative = encode(Keyspace{.name = "n", .prefix = "n:", .delay_ms = 1});
  negative.back() = static_cast<char>(0xff);
  EXPECT_FALSE(decode_keyspace(negative));
}

Keyspace topic(std::string name, PartitionId first, std::uint16_t count) {
  Keyspace out = strong(std::move(name), "", first, count);
  out.topic = true;
  return out;
}

TEST(KeyspaceTable, TopicsHaveNamesOfTheirOwnAndNoKeys) {
  const Keyspace orders = topic("orders", 300, 4);
  EXPECT_EQ(decode_keyspace(encode(orders)), orders);
  Keyspace limited = orders;
  limited.retention_ms = 0;
  EXPECT_EQ(decode_keyspace(encode(limited)), limited);
  limited.retention_bytes = INT64_MAX;
  EXPECT_EQ(decode_keyspace(encode(limited)), limited);
  Keyspace with_prefix = orders;
  with_prefix.prefix = "o:";
  EXPECT_FALSE(decode_keyspace(encode(with_prefix)));
  Keyspace eventual = orders;
  eventual.strong = false;
  EXPECT_FALSE(decode_keyspace(encode(eventual)));

  const KeyspaceTable only_topics(1, {orders}, 304);
  EXPECT_FALSE(only_topics.any_strong());
  EXPECT_EQ(only_topics.of_key("orders"), nullptr);
  EXPECT_EQ(only_topics.find("orders"), nullptr);
  EXPECT_EQ(*only_topics.find_topic("orders"), orders);
  EXPECT_EQ(*only_topics.of_partition(303), orders);
  EXPECT_EQ(only_topics.of_partition(304), nullptr);
  EXPECT_TRUE(only_topics.was_dropped(299));

  const KeyspaceTable both(2, {strong("orders", "o:", 257, 16), orders});
  EXPECT_EQ(both.find("orders")->prefix, "o:");
  EXPECT_EQ(both.keyspaces().size(), 1u);
  EXPECT_EQ(both.topics().size(), 1u);
  EXPECT_EQ(both.of_partition(258)->prefix, "o:");
}

TEST(KeyspaceTable, TopicsAreCalledWhatKafkaLetsThem) {
  for (const std::string& name : {"a"s, "A-b_c.9"s, std::string(249, 'x'), "..."s}) {
    EXPECT_TRUE(valid_topic_name(name)) << name;
  }
  for (const std::string& name :
       {""s, "."s, ".."s, std::string(250, 'x'), "a b"s, "a/b"s, "\xc3\xa4"s}) {
    EXPECT_FALSE(valid_topic_name(name)) << name;
  }
}

TEST(KeyspaceTable, OtherBytesAreRefused) {
  const std::string bytes = encode(strong("orders", "o:", 257, 16));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_keyspace(std::string_view(bytes).substr(0, length)));
  }
  EXPECT_FALSE(decode_keyspace(bytes + "x"));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string other = bytes;
      other[i] = static_cast<char>(value);
      if (const auto read = decode_keyspace(other)) {
        EXPECT_EQ(decode_keyspace(encode(*read)), read);
      }
    }
  }
  EXPECT_FALSE(decode_keyspace("\xdd\xff\xff\xff\xff"));
  EXPECT_FALSE(decode_keyspace(encode(strong("orders", "o:", 257, 0))));
  EXPECT_FALSE(decode_keyspace(encode(strong("orders", "o:", 65530, 16))));
}

TEST(KeyspaceTable, TheLongestPrefixDecides) {
  Keyspace eventual{.name = "cache", .prefix = "o:cache:"};
  const KeyspaceTable table(
      7, {strong("orders", "o:", 300, 16), eventual, strong("accounts", "o:cache:hot:", 400, 4)});
  EXPECT_EQ(table.version(), 7u);
  EXPECT_TRUE(table.any_strong());
  EXPECT_EQ(table.of_key("o:1")->name, "orders");
  EXPECT_EQ(table.of_key("o:cache:1")->name, "cache");
  EXPECT_EQ(table.of_key("o:cache:hot:1")->name, "accounts");
  EXPECT_EQ(table.of_key("o"), nullptr);
  EXPECT_EQ(table.find("cache")->prefix, "o:cache:");
  EXPECT_EQ(table.find("cach"), nullptr);
  ASSERT_EQ(table.keyspaces().size(), 3u);
  EXPECT_EQ(table.keyspaces()[0].name, "accounts");

  EXPECT_EQ(table.partition_of("x", 256), key_partition("x", 256));
  EXPECT_EQ(table.partition_of("o:cache:1", 256), key_partition("o:cache:1", 256));
  EXPECT_EQ(table.partition_of("o:1", 256), 300 + key_partition("o:1", 16));
  EXPECT_EQ(table.partition_of("o:{t}1", 256), table.partition_of("o:{t}2", 256));
  EXPECT_EQ(table.of_partition(315)->name, "orders");
  EXPECT_EQ(table.of_partition(299), nullptr);
  EXPECT_EQ(table.of_partition(316), nullptr);
  EXPECT_EQ(table.of_partition(0), nullptr);
}

TEST(KeyspaceTable, AKeyLiesWhereItDoesInAllDatabasesAndHasTheKeyspaceOfItsPrefix) {
  const KeyspaceTable table(1, {strong("orders", "o:", 300, 16)});
  for (const std::string key : {"o:1", "x", "{o:}1", "o:{t}1"}) {
    for (DatabaseNumber i = 1; i < kDatabases; ++i) {
      EXPECT_EQ(key_slot(stored_key(i, key)), key_slot(key));
      EXPECT_EQ(table.of_key(stored_key(i, key)), table.of_key(key));
      EXPECT_EQ(table.partition_of(stored_key(i, key), 256), table.partition_of(key, 256));
    }
  }
}

TEST(KeyspaceTable, WithoutStrongKeyspacesKeysLieInThoseOfDefault) {
  const KeyspaceTable table(1, {{.name = "cache", .prefix = "c:"}});
  EXPECT_FALSE(table.any_strong());
  EXPECT_EQ(table.partition_of("c:1", 256), key_partition("c:1", 256));
}

TEST(KeyspaceTable, ReplicasAreTheFirstOfTheRanking) {
  ClusterMap map{.id = "c"};
  for (std::uint16_t number = 1; number <= 5; ++number) {
    map.nodes.push_back({.name = "n" + std::to_string(number), .number = number});
  }
  const std::vector<NodeNumber> replicas = replicas_of(map, strong("o", "o:", 300, 16), 305);
  std::vector<NodeNumber> ranked = rank_nodes(map, 305);
  ranked.resize(3);
  EXPECT_EQ(replicas, ranked);
}

}  // namespace
}  // namespace even::cluster
