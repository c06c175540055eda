// Change feeds on real shards: each change in its topic, once, whoever crashes when. See
// docs/feeds.md.
#include "replica/feed.h"

#include <gmock/gmock.h>

#include "engine/outbox.h"
#include "engine/reserved_keys.h"
#include "replica/test_groups.h"
#include "topic/record_batch.h"

namespace even {
namespace {

using test::GroupCluster;
using test::GroupNode;
using testing::ElementsAre;

constexpr PartitionId kMetaOfFeeds = 1;
constexpr PartitionId kFeedTopic = 2;
constexpr PartitionId kFedGroup = 3;

// What an event says, in short: "c s:1=v", "d s:1 expired".
std::string short_text(const std::string& json) {
  const auto text = [&json](std::string_view name) {
    const std::size_t at = json.find(name);
    if (at == std::string::npos) return std::string();
    const std::string rest = json.substr(at + name.size());
    return rest.substr(0, rest.find('"'));
  };
  const std::string op = text(R"("op":")");
  if (op == "d") return "d " + text(R"("cause":")");
  return op + " " + text(R"("key":")") + "=" + text(R"("value":")");
}

// Three nodes, a topic "t" with one partition, and keyspaces, strong "o:" and eventual "e:".
class FeedTest : public testing::Test {
 protected:
  FeedTest() {
    meta(words_of({.name = "t", .strong = true, .topic = true, .replicas = 3, .partitions = 1}));
    meta(words_of({.name = "o", .prefix = "o:", .strong = true, .replicas = 3, .partitions = 1}));
    meta(words_of({.name = "e", .prefix = "e:", .replicas = 3}));
    EXPECT_TRUE(cluster_.run_until(
        [&] {
          return cluster_.leader(kFeedTopic) != nullptr && cluster_.leader(kFedGroup) != nullptr;
        },
        20'000));
  }

  std::vector<std::string> words_of(const cluster::Keyspace& keyspace) const {
    std::vector<std::string> words = {"even.meta", "CREATE", cluster::encode(keyspace), "2"};
    for (const auto& node : cluster_.map.nodes) {
      words.push_back(std::to_string(node.number));
      words.push_back(node.name);
    }
    return words;
  }
  void meta(const std::vector<std::string>& words) {
    ASSERT_TRUE(cluster_.run_until(
        [&] { return cluster_.run_strong(kMetaOfFeeds, words).starts_with(':'); }));
  }
  void alter(const std::string& name, const std::string& topic, bool snapshot = false) {
    meta({"even.meta", "ALTER", name, "FEED", topic, "SNAPSHOT", snapshot ? "YES" : "NO"});
  }
  bool follows() {
    return std::ranges::all_of(cluster_.nodes, [](const auto& node) {
      return !node->up() || node->shard->stats().feed_snapshots == 0;
    });
  }
  void feed(const std::string& name, bool snapshot = false) {
    alter(name, "t", snapshot);
    ASSERT_TRUE(cluster_.run_until([&] {
      return std::ranges::all_of(cluster_.nodes, [&](const auto& node) {
        return !node->up() || name != "e" || node->shard->has_feed("e:");
      });
    }));
    cluster_.run(100);
    ASSERT_TRUE(cluster_.run_until([&] { return follows(); }, 20'000));
  }

  std::string run(GroupNode& node, const std::vector<std::string_view>& words) {
    std::string reply;
    node.shard->execute(*find_command(words[0]), words, false, reply);
    return reply;
  }
  std::size_t waiting(GroupNode& node) {
    if (!node.up()) return 0;
    std::size_t events = 0;
    const auto count = [&events](const PartitionState* state, std::string_view key) {
      const Object* outbox = state == nullptr ? nullptr : state->find(key, hash64(key));
      if (outbox != nullptr) events += outbox->hash().live();
    };
    count(node.shard->state(0), keys_.of(0));
    count(node.shard->state(kFedGroup), kOutboxKey);
    return events;
  }
  bool all_relayed() {
    return std::ranges::all_of(cluster_.nodes, [&](auto& node) { return waiting(*node) == 0; });
  }
  void drain() {
    ASSERT_TRUE(cluster_.run_until([&] { return all_relayed() && follows(); }, 60'000));
    cluster_.run(100);
  }

  // The events of the topic, as a node has them.
  std::vector<std::string> events(NodeNumber number = 1) {
    GroupNode& node = cluster_.at(number);
    const auto status = node.shard->topic(kFeedTopic);
    std::vector<std::string> values;
    for (std::int64_t offset = 0; status && offset < status->end;) {
      auto bytes = std::make_shared<std::optional<Result<std::string>>>();
      node.shard->read_topic(kFeedTopic, offset, 1 << 20,
                             [bytes](Result<std::string> given) { *bytes = std::move(given); });
      cluster_.run_until([&] { return bytes->has_value(); });
      if (!*bytes || !**bytes) {
        ADD_FAILURE() << "records cannot be read";
        break;
      }
      const std::string_view batch = ***bytes;
      constexpr std::string_view kBegin = "{\"before\"";
      for (std::size_t at = batch.find(kBegin); at != std::string_view::npos;) {
        const std::size_t next = batch.find(kBegin, at + 1);
        values.push_back(short_text(std::string(batch.substr(at, next - at))));
        at = next;
      }
      for (std::string_view rest = batch; !rest.empty();) {
        const auto size = 12 + get_big_endian<std::uint32_t>(rest.data() + 8);
        const auto head = topic::read_head(rest.substr(0, size));
        rest.remove_prefix(size);
        EXPECT_EQ(head->base_offset, offset) << "offsets are dense";
        offset += head->offsets();
      }
    }
    return values;
  }

  GroupCluster cluster_{3};
  const ReservedKeys keys_{kOutboxKey, 1};
};

TEST_F(FeedTest, AnEventualKeyspaceTellsEachChangeOnce) {
  feed("e");
  GroupNode& node = cluster_.at(2);
  run(node, {"set", "e:1", "a"});
  run(node, {"set", "e:1", "b"});
  run(node, {"set", "other", "x"});
  run(node, {"del", "e:1"});
  run(node, {"del", "e:1"});
  cluster_.step();
  run(node, {"rename", "other", "e:2"});
  run(node, {"rename", "e:2", "other"});
  drain();
  EXPECT_THAT(events(), ElementsAre("c e:1=a", "u e:1=b", "d del", "c e:2=x", "d rename"));
  EXPECT_EQ(run(node, {"dbsize"}), ":1\r\n");
}

TEST_F(FeedTest, AStrongKeyspaceTellsEachChangeOnceAndAllMembersAgree) {
  feed("o");
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"set", "o:1", "a"}, {"append", "o:1", "b"}, {"get", "o:1"}, {"del", "o:1"}}) {
    EXPECT_FALSE(cluster_.run_strong(kFedGroup, words).starts_with('-'));
  }
  drain();
  for (NodeNumber node = 1; node <= 3; ++node) {
    EXPECT_THAT(events(node), ElementsAre("c o:1=a", "u o:1=ab", "d del"));
    EXPECT_EQ(cluster_.at(node).shard->state(kFedGroup)->digest(),
              cluster_.at(1).shard->state(kFedGroup)->digest());
  }
}

TEST_F(FeedTest, AnEventIsInTheRecordOfItsChange) {
  feed("e");
  GroupNode& node = cluster_.at(1);
  cluster_.run(50);
  const auto made = [&] { return node.shard->state(0)->vector()[node.replica()]; };
  const std::uint64_t before = made();
  for (const std::string_view key : {"e:1", "e:2", "e:3"}) run(node, {"set", key, "v"});
  EXPECT_EQ(made(), before + 1);
  drain();
  EXPECT_EQ(events().size(), 3u);
}

TEST_F(FeedTest, ChangesAreToldWhoeverCrashes) {
  feed("o");
  feed("e");
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 4; ++i) {
      const std::string number = std::to_string(round * 4 + i);
      GroupNode& node = cluster_.at(static_cast<NodeNumber>(1 + i % 3));
      run(node, {"set", "e:" + number, "v"});
      cluster_.run_strong(kFedGroup, {"set", "o:" + number, "v"});
    }
    cluster_.run(round * 3);
    GroupNode& former = cluster_.at(static_cast<NodeNumber>(1 + round % 3));
    former.crash();
    cluster_.run(50);
    former.start();
    cluster_.run(5);  // it serves the keyspaces that it knows before it serves clients
    ASSERT_TRUE(cluster_.run_until(
        [&] {
          return cluster_.leader(kFeedTopic) != nullptr && cluster_.leader(kFedGroup) != nullptr;
        },
        20'000));
  }
  drain();
  std::vector<std::string> all = events();
  // Those of an eventual keyspace that were in no log yet are gone, and so are their events.
  std::size_t there = 0;
  for (int i = 0; i < 24; ++i) {
    const std::string number = std::to_string(i);
    there += run(cluster_.at(1), {"exists", "e:" + number}) == ":1\r\n" ? 1 : 0;
    there += cluster_.run_strong(kFedGroup, {"exists", "o:" + number}) == ":1\r\n" ? 1 : 0;
  }
  EXPECT_GT(there, 24u);
  EXPECT_EQ(all.size(), there);
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end()) << "something is told twice";
}

TEST_F(FeedTest, WhatExpiresIsTold) {
  feed("o");
  feed("e");
  run(cluster_.at(1), {"set", "e:1", "a", "px", "20"});
  cluster_.run_strong(kFedGroup, {"set", "o:1", "a", "px", "20"});
  ASSERT_TRUE(cluster_.run_until([&] { return events().size() == 4; }, 60'000));
  EXPECT_THAT(events(),
              testing::UnorderedElementsAre("c e:1=a", "c o:1=a", "d expired", "d expired"));
}

TEST_F(FeedTest, ASnapshotTellsWhatThereIs) {
  for (int i = 0; i < 300; ++i) {
    const std::string number = std::to_string(i);
    run(cluster_.at(1), {"set", "e:" + number, "v"});
    ASSERT_EQ(cluster_.run_strong(kFedGroup, {"set", "o:" + number, "v"}), "+OK\r\n");
  }
  run(cluster_.at(1), {"set", "other", "v"});
  feed("e", true);
  drain();
  EXPECT_EQ(events().size(), 300u);
  feed("o", true);
  drain();
  std::vector<std::string> all = events();
  EXPECT_EQ(all.size(), 600u);
  EXPECT_TRUE(std::ranges::all_of(all, [](const auto& each) { return each.starts_with("r "); }));
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
}

TEST_F(FeedTest, ASnapshotWaitsForAllWhoMayHaveChangesThatWereNotTold) {
  GroupNode& away = cluster_.at(3);
  cluster_.cuts = {{1, 3}, {2, 3}};
  cluster_.run(50);
  run(away, {"set", "e:1", "untold"});
  alter("e", "t", true);
  cluster_.run(3'000);
  EXPECT_FALSE(away.shard->has_feed("e:1"));
  EXPECT_FALSE(follows());
  EXPECT_THAT(events(), ElementsAre());
  cluster_.cuts.clear();
  ASSERT_TRUE(cluster_.run_until([&] { return away.shard->has_feed("e:1"); }, 20'000));
  drain();
  EXPECT_THAT(events(), ElementsAre("r e:1=untold"));
}

TEST_F(FeedTest, ASnapshotGoesOnAfterACrash) {
  for (int i = 0; i < 400; ++i) {
    run(cluster_.at(1), {"set", "e:" + std::to_string(i), "v"});
    if (i % 50 == 0) cluster_.step();
  }
  cluster_.run(100);
  alter("e", "t", true);
  const auto some = [&] { return cluster_.at(1).shard->stats().feed_changes; };
  ASSERT_TRUE(cluster_.run_until([&] { return some() > 0; }, 20'000));
  cluster_.at(1).crash();
  cluster_.run(500);
  cluster_.at(1).start();
  cluster_.run(500);
  drain();
  std::vector<std::string> all = events(2);
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  EXPECT_EQ(all.size(), 400u);
}

TEST_F(FeedTest, WritesAreRefusedWhenTooMuchWaits) {
  feed("e");
  cluster_.at(2).crash();
  cluster_.at(3).crash();
  GroupNode& node = cluster_.at(1);
  const std::string_view words[] = {"set", "e:1", "v"};
  const Command& set = *find_command("set");
  for (std::size_t i = 0; i < kMostWaitingEvents; ++i) {
    ASSERT_EQ(node.shard->feed_refusal(set, words), "");
    run(node, {"set", "e:1", "v"});
    if (i % 100 == 0) cluster_.step();
  }
  EXPECT_THAT(node.shard->feed_refusal(set, words), testing::StartsWith("OUTBOXFULL"));
  const std::string_view read[] = {"get", "e:1"};
  EXPECT_EQ(node.shard->feed_refusal(*find_command("get"), read), "");
  const std::string_view other[] = {"set", "other", "v"};
  EXPECT_EQ(node.shard->feed_refusal(set, other), "");
  cluster_.at(2).start();
  drain();
  EXPECT_EQ(node.shard->feed_refusal(set, words), "");
  EXPECT_EQ(events().size(), kMostWaitingEvents);
}

TEST_F(FeedTest, NotTooManyKeysAreDeletedAtOnce) {
  for (auto& node : cluster_.nodes) node->most_events_at_once = 10;
  cluster_.at(1).crash();
  cluster_.at(1).start();
  feed("e");
  GroupNode& node = cluster_.at(1);
  for (int i = 0; i < 10; ++i) run(node, {"set", "e:" + std::to_string(i), "v"});
  run(node, {"set", "other", "v"});
  EXPECT_EQ(run(node, {"flushall"}), "+OK\r\n");
  for (int i = 0; i < 11; ++i) run(node, {"set", "e:" + std::to_string(i), "v"});
  EXPECT_THAT(run(node, {"flushall"}), testing::StartsWith("-OUTBOXFULL more than 10 keys"));
  EXPECT_THAT(run(node, {"eval", "return redis.call('flushall')", "0"}),
              testing::HasSubstr("OUTBOXFULL more than 10 keys"));
  EXPECT_EQ(run(node, {"get", "e:7"}), "$1\r\nv\r\n");
  // It is about all keys, too, and deletes none.
  run(node, {"rpush", "numbers", "7"});
  const std::vector<std::string_view> sort = {"sort", "numbers", "by", "w*", "get", "e:*"};
  const Command& by_pattern = find_command("sort")->row_of(*find_command("sort"), sort);
  ASSERT_EQ(by_pattern.scope, Scope::kAll);
  std::string sorted;
  node.shard->execute(by_pattern, sort, false, sorted);
  EXPECT_EQ(sorted, "*1\r\n$1\r\nv\r\n");
  run(node, {"del", "e:3"});
  EXPECT_EQ(run(node, {"eval", "return redis.call('flushall')", "0"}), "+OK\r\n");
  EXPECT_EQ(run(node, {"get", "e:7"}), "$-1\r\n");
}

TEST_F(FeedTest, AFeedCanBeEndedAndBegunAgain) {
  feed("o");
  cluster_.run_strong(kFedGroup, {"set", "o:1", "told"});
  alter("o", "NONE");
  cluster_.run(100);
  ASSERT_TRUE(cluster_.run_until([&] { return follows(); }, 20'000));
  cluster_.run_strong(kFedGroup, {"set", "o:1", "not told"});
  feed("o");
  cluster_.run_strong(kFedGroup, {"set", "o:1", "again"});
  drain();
  EXPECT_THAT(events(), ElementsAre("c o:1=told", "u o:1=again"));
  const std::string reply = cluster_.run_strong(kMetaOfFeeds, {"even.meta", "DROPTOPIC", "t"});
  EXPECT_THAT(reply, testing::HasSubstr("has the change feed of the keyspace 'o'"));
}

TEST_F(FeedTest, ALargeValueIsLeftOut) {
  feed("e");
  GroupNode& node = cluster_.at(1);
  const std::string value(kMostFeedValueBytes + 1, 'x');
  run(node, {"set", "e:1", value});
  for (std::size_t i = 0; i <= kMostFeedElements; ++i)
    run(node, {"sadd", "e:2", std::to_string(i)});
  drain();
  const auto all = events();
  ASSERT_EQ(all.size(), 2 + kMostFeedElements);
  EXPECT_EQ(all.front(), "c e:1=");
  EXPECT_EQ(std::ranges::count(all, "u e:2="), static_cast<std::ptrdiff_t>(kMostFeedElements));
}

}  // namespace
}  // namespace even
