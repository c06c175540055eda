#include "engine/cmd_meta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "cluster/topic_ranges.h"
#include "engine/acl.h"
#include "engine/library.h"
#include "engine/test_keyspace.h"

namespace even {
namespace {

using cluster::Keyspace;
using cluster::Level;
using testing::HasSubstr;

class MetaCommands : public testing::Test {
 protected:
  std::string run(std::initializer_list<std::string_view> words) {
    return keyspace.run(meta_command, Args(words.begin(), words.size()));
  }
  // As a node of a map of n1, n2 and n3 with 256 partitions asks for it.
  std::string create(const Keyspace& wanted) {
    return run(
        {kMetaCommand, "CREATE", cluster::encode(wanted), "257", "1", "n1", "2", "n2", "3", "n3"});
  }
  void join_all() {
    for (const std::string_view node : {"1", "2", "3"}) {
      EXPECT_EQ(run({kMetaCommand, "JOIN", node, "77"}), "+OK\r\n");
    }
  }
  cluster::KeyspaceTable table() const { return keyspaces_of(keyspace.state(0)); }
  static Keyspace strong(std::string name, std::string prefix, std::uint16_t partitions = 16) {
    return {.name = std::move(name),
            .prefix = std::move(prefix),
            .strong = true,
            .replicas = 3,
            .partitions = partitions,
            .read = {Level::Kind::kLinearizable},
            .write = {Level::Kind::kLinearizable}};
  }

  TestKeyspace keyspace{1, 1};
};

TEST_F(MetaCommands, DatabasesThatAreSwappedStaySoForWhoReadsTheTable) {
  EXPECT_TRUE(table().databases().is_identity());
  EXPECT_EQ(run({kMetaCommand, "SWAPDB", "0", "3"}), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "SWAPDB", "3", "15"}), ":2\r\n");
  EXPECT_EQ(table().databases().stored(0), 3);
  EXPECT_EQ(table().databases().stored(3), 15);
  EXPECT_EQ(table().databases().stored(15), 0);
  EXPECT_EQ(run({kMetaCommand, "SWAPDB", "0", "16"}), "-ERR syntax error\r\n");
  EXPECT_EQ(table().version(), 2u);
}

TEST_F(MetaCommands, AKeyspaceGetsPartitionsOfItsOwnAndTheMembersThatHaveJoined) {
  join_all();
  EXPECT_EQ(run({kMetaCommand, "JOIN", "2", "78"}), "+OK\r\n");  // a new line takes the old's place
  EXPECT_EQ(table().version(), 0u);
  EXPECT_EQ(create(strong("orders", "o:")), ":1\r\n");
  EXPECT_EQ(create(strong("accounts", "o:a:", 4)), ":2\r\n");
  EXPECT_EQ(create({.name = "cache", .prefix = "c:", .replicas = 3}), ":3\r\n");

  const cluster::KeyspaceTable now = table();
  EXPECT_EQ(now.version(), 3u);
  ASSERT_EQ(now.keyspaces().size(), 3u);
  EXPECT_EQ(now.find("orders")->first, 257);
  EXPECT_EQ(now.find("accounts")->first, 273);
  EXPECT_EQ(now.find("cache")->first, 0);
  const std::vector<std::pair<NodeNumber, std::uint16_t>> lines = {{1, 77}, {2, 78}, {3, 77}};
  EXPECT_EQ(now.find("orders")->lines, lines);
}

TEST_F(MetaCommands, WhatCannotBeCreatedIsRefusedAndChangesNothing) {
  EXPECT_EQ(run({kMetaCommand, "JOIN", "1", "77"}), "+OK\r\n");
  EXPECT_THAT(create(strong("orders", "o:")), HasSubstr("node n2 has not joined the cluster yet"));
  join_all();
  EXPECT_EQ(create(strong("orders", "o:")), ":1\r\n");
  EXPECT_THAT(create(strong("orders", "p:")), HasSubstr("there is a keyspace 'orders' already"));
  EXPECT_THAT(create(strong("others", "o:")), HasSubstr("is that of the keyspace 'orders'"));
  EXPECT_THAT(create(strong("others", "")), HasSubstr("the empty prefix"));
  using namespace std::string_literals;
  for (const std::string& prefix : {"\0"s, "\0e"s, "\0even:"s, "\0even:outbox"s, "\0once:x"s}) {
    EXPECT_THAT(create(strong("others", prefix)), HasSubstr("not for clients"));
  }
  EXPECT_THAT(create(strong("default", "p:")), HasSubstr("cannot be called 'default'"));
  EXPECT_THAT(create(strong("a b", "p:")), HasSubstr("cannot be called 'a b'"));
  EXPECT_THAT(create(strong("others", "p:", 16385)), HasSubstr("malformed"));
  Keyspace many = strong("others", "p:");
  many.replicas = 4;
  EXPECT_THAT(create(many), HasSubstr("4 replicas are not possible: the cluster has 3 nodes"));
  EXPECT_THAT(run({kMetaCommand, "CREATE", "x", "257"}), HasSubstr("malformed"));
  EXPECT_THAT(run({kMetaCommand, "CREATE"}), HasSubstr("syntax"));
  EXPECT_THAT(run({kMetaCommand, "FORGET"}), HasSubstr("no such entry"));
  EXPECT_EQ(table().version(), 1u);
  EXPECT_EQ(table().keyspaces().size(), 1u);
}

TEST_F(MetaCommands, IdsOfPartitionsAreNeverUsedAgainAndEnd) {
  join_all();
  for (const std::string_view name : {"a", "b", "c"}) {
    EXPECT_EQ(create(strong(std::string(name), std::string(name), 16384))[0], ':');
    EXPECT_EQ(run({kMetaCommand, "DROP", name})[0], ':');
  }
  EXPECT_THAT(create(strong("d", "d", 16384)), HasSubstr("too many partitions: 49409"));
  EXPECT_EQ(create(strong("d", "d", 10591))[0], ':');
  EXPECT_EQ(table().find("d")->first, 49409);
  EXPECT_THAT(create(strong("e", "e", 1)), HasSubstr("which leaves 0 of 60000"));
}

TEST_F(MetaCommands, LevelsAndDeadlineCanBeAltered) {
  join_all();
  EXPECT_EQ(create(strong("orders", "o:")), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "ALTER", "orders", "READ", "BOUNDED", "500", "DEADLINE", "900"}),
            ":2\r\n");
  EXPECT_EQ(table().find("orders")->read, (Level{Level::Kind::kBounded, 500}));
  EXPECT_EQ(table().find("orders")->deadline_ms, 900);
  EXPECT_EQ(table().find("orders")->first, 257);
  EXPECT_THAT(run({kMetaCommand, "ALTER", "others", "DEADLINE", "900"}), HasSubstr("no keyspace"));
  EXPECT_THAT(run({kMetaCommand, "ALTER", "orders", "DEADLINE", "soon"}), HasSubstr("syntax"));
  EXPECT_THAT(run({kMetaCommand, "ALTER", "orders", "PREFIX", "p:"}), HasSubstr("syntax"));
  EXPECT_EQ(table().version(), 2u);
}

TEST_F(MetaCommands, WhatIsDroppedIsGoneAndItsNameFree) {
  join_all();
  EXPECT_EQ(create(strong("orders", "o:")), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "DROP", "orders"}), ":2\r\n");
  EXPECT_TRUE(table().keyspaces().empty());
  EXPECT_THAT(run({kMetaCommand, "DROP", "orders"}), HasSubstr("no keyspace 'orders'"));
  EXPECT_EQ(create(strong("orders", "o:")), ":3\r\n");
  EXPECT_EQ(table().find("orders")->first, 273);
}

TEST_F(MetaCommands, AnAttemptAtDroppingHoldsUntilItIsEndedOrAnotherBegins) {
  join_all();
  EXPECT_EQ(create(strong("orders", "o:")), ":1\r\n");
  EXPECT_EQ(create({.name = "cache", .prefix = "c:", .replicas = 3}), ":2\r\n");
  EXPECT_THAT(run({kMetaCommand, "CLOSE", "cache"}), HasSubstr("no strong keyspace 'cache'"));
  EXPECT_THAT(run({kMetaCommand, "CLOSE", "others"}), HasSubstr("no strong keyspace 'others'"));
  const auto close = [this] {
    const std::string reply = run({kMetaCommand, "CLOSE", "orders", "257"});
    return reply.substr(1, reply.size() - 3);
  };
  const auto drop = [this](std::string_view attempt) {
    return run({kMetaCommand, "DROP", "orders", attempt, "257"});
  };
  EXPECT_THAT(drop("1"), HasSubstr("UNAVAILABLE nothing was done"));
  const std::string first = close();
  const std::string second = close();
  EXPECT_LT(std::stoull(first), std::stoull(second));
  EXPECT_THAT(drop(first), HasSubstr("UNAVAILABLE nothing was done"));
  // Only by whom it is about, and of the keyspace that it is about.
  EXPECT_EQ(run({kMetaCommand, "OPEN", "orders", "257", first}), "+OK\r\n");
  EXPECT_THAT(run({kMetaCommand, "OPEN", "orders", "258", second}), HasSubstr("has been dropped"));
  EXPECT_EQ(run({kMetaCommand, "OPEN", "orders", "257", second}), "+OK\r\n");
  EXPECT_THAT(drop(second), HasSubstr("UNAVAILABLE nothing was done"));
  const std::string third = close();
  EXPECT_LT(std::stoull(second), std::stoull(third));
  EXPECT_EQ(table().version(), 2u);
  EXPECT_EQ(drop(third), ":3\r\n");
  EXPECT_EQ(table().find("orders"), nullptr);
  EXPECT_THAT(run({kMetaCommand, "OPEN", "orders", "257", third}), HasSubstr("has been dropped"));
  // One of that name that is created later is another.
  EXPECT_EQ(create(strong("orders", "o:")), ":4\r\n");
  EXPECT_THAT(drop(third), HasSubstr("UNAVAILABLE nothing was done"));
  EXPECT_EQ(run({kMetaCommand, "DROP", "orders"}), ":5\r\n");
}

// A node that has not heard of it yet would drop what it has not looked into.
TEST_F(MetaCommands, WhoKnowsAnEarlierKeyspaceOfTheNameDropsNoOther) {
  join_all();
  const cluster::Keyspace eventual{.name = "orders", .prefix = "o:", .replicas = 3};
  EXPECT_EQ(create(eventual), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "DROP", "orders"}), ":2\r\n");
  EXPECT_EQ(create(strong("orders", "o:")), ":3\r\n");
  const PartitionId first = table().find("orders")->first;
  EXPECT_NE(first, 0);
  const auto is_another =
      HasSubstr("UNAVAILABLE nothing was done: the keyspace 'orders' is another");
  EXPECT_THAT(run({kMetaCommand, "DROP", "orders", "0", "0"}), is_another);
  EXPECT_THAT(run({kMetaCommand, "CLOSE", "orders", "1"}), is_another);
  EXPECT_THAT(run({kMetaCommand, "CLOSE", "orders", "x"}), is_another);
  EXPECT_EQ(run({kMetaCommand, "DROP", "orders", "0", std::to_string(first)}), ":4\r\n");
  EXPECT_EQ(create(eventual), ":5\r\n");
  EXPECT_THAT(run({kMetaCommand, "DROP", "orders", "0", std::to_string(first)}), is_another);
  EXPECT_EQ(run({kMetaCommand, "DROP", "orders", "0", "0"}), ":6\r\n");
}

TEST_F(MetaCommands, TheFirstKeyOfTokensStays) {
  using namespace std::string_literals;
  const std::string first = "\0\r\n12\xff"s;
  EXPECT_EQ(table().session_key(), "");
  EXPECT_EQ(run({kMetaCommand, "KEY", first}), "+OK\r\n");
  EXPECT_EQ(run({kMetaCommand, "KEY", "second"}), "+OK\r\n");
  EXPECT_EQ(table().session_key(), first);
  EXPECT_EQ(table().version(), 0u);
  EXPECT_THAT(run({kMetaCommand, "KEY"}), HasSubstr("syntax"));
}

TEST_F(MetaCommands, IdsOfProducersAreGivenOutOnce) {
  EXPECT_EQ(run({kMetaCommand, "PRODUCERS", "1000"}), ":0\r\n");
  EXPECT_EQ(run({kMetaCommand, "PRODUCERS", "1"}), ":1000\r\n");
  EXPECT_EQ(run({kMetaCommand, "PRODUCERS", "5"}), ":1001\r\n");
  EXPECT_EQ(table().version(), 0u);
  for (const std::string count : {"0", "-1", "1000001", "x"}) {
    EXPECT_THAT(run({kMetaCommand, "PRODUCERS", count}), HasSubstr("syntax")) << count;
  }
  EXPECT_EQ(run({kMetaCommand, "PRODUCERS", "1"}), ":1006\r\n");
}

TEST_F(MetaCommands, ATopicIsGivenPartitions) {
  join_all();
  Keyspace topic = strong("orders", "", 4);
  topic.topic = true;
  EXPECT_EQ(create(topic), ":1\r\n");
  topic.name = "other";
  EXPECT_EQ(create(topic), ":2\r\n");
  const auto numbered = [this](const char* name) {
    return cluster::partitions_of_topic(table().topics(), name);
  };
  using Ids = std::vector<PartitionId>;
  EXPECT_EQ(numbered("orders"), (Ids{257, 258, 259, 260}));
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "orders", "PARTITIONS", "6", "BYTES", "9"}), ":3\r\n");
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "orders", "PARTITIONS", "7"}), ":4\r\n");
  EXPECT_EQ(numbered("orders"), (Ids{257, 258, 259, 260, 265, 266, 267}));
  EXPECT_EQ(numbered("other"), (Ids{261, 262, 263, 264}));
  for (const char* wrong : {"7", "6", "0", "16385", "70000"}) {
    EXPECT_THAT(run({kMetaCommand, "ALTERTOPIC", "orders", "PARTITIONS", wrong}),
                HasSubstr("can be given more"))
        << wrong;
  }
  for (const char* wrong : {"", "x", "-8"}) {
    EXPECT_THAT(run({kMetaCommand, "ALTERTOPIC", "orders", "PARTITIONS", wrong}),
                HasSubstr("syntax"))
        << wrong;
  }
  EXPECT_THAT(run({kMetaCommand, "ALTERTOPIC", "orders/1", "PARTITIONS", "9"}),
              HasSubstr("no topic"));
  // What holds for the topic holds for all of them, whoever founds them.
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "orders", "RETENTION", "5"}), ":5\r\n");
  for (const PartitionId id : numbered("orders")) {
    EXPECT_EQ(table().of_partition(id)->retention_bytes, 9);
    EXPECT_EQ(table().of_partition(id)->retention_ms, 5);
    EXPECT_EQ(table().of_partition(id)->lines.size(), 3u);
  }
  EXPECT_THAT(run({kMetaCommand, "DROPTOPIC", "orders/1"}), HasSubstr("no topic"));
  EXPECT_EQ(run({kMetaCommand, "DROPTOPIC", "orders"}), ":6\r\n");
  EXPECT_EQ(table().topics().size(), 1u);
  EXPECT_TRUE(table().was_dropped(267));
  // Ids are given out once.
  topic.name = "orders";
  EXPECT_EQ(create(topic), ":7\r\n");
  EXPECT_EQ(numbered("orders"), (Ids{268, 269, 270, 271}));
}

TEST_F(MetaCommands, AFeedKeepsToThePartitionsThatItsTopicHasWhenItBegins) {
  join_all();
  Keyspace topic = strong("t", "", 2);
  topic.topic = true;
  EXPECT_EQ(create(topic), ":1\r\n");
  Keyspace shop = strong("shop", "s:");
  shop.feed = "t";
  EXPECT_EQ(create(shop), ":2\r\n");
  EXPECT_EQ(table().find("shop")->feed, "t");
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "t", "PARTITIONS", "3"}), ":3\r\n");
  EXPECT_EQ(table().find("shop")->feed, "t");
  EXPECT_EQ(run({kMetaCommand, "ALTER", "shop", "FEED", "t"}), ":4\r\n");
  EXPECT_EQ(table().find("shop")->feed, "t/3/257");
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "t", "PARTITIONS", "5"}), ":5\r\n");
  EXPECT_EQ(run({kMetaCommand, "ALTER", "shop", "SNAPSHOT", "YES"}), ":6\r\n");
  EXPECT_EQ(table().find("shop")->feed, "t/5/257");
  EXPECT_THAT(run({kMetaCommand, "DROPTOPIC", "t"}), HasSubstr("has the change feed of"));
  EXPECT_EQ(run({kMetaCommand, "ALTER", "shop", "FEED", "NONE"}), ":7\r\n");
  EXPECT_EQ(table().find("shop")->feed, "");
  EXPECT_EQ(run({kMetaCommand, "DROPTOPIC", "t"}), ":8\r\n");
}

TEST_F(MetaCommands, TopicsAreRowsBesideKeyspaces) {
  join_all();
  Keyspace topic = strong("orders", "", 4);
  topic.topic = true;
  EXPECT_EQ(create(strong("orders", "o:")), ":1\r\n");
  EXPECT_EQ(create(topic), ":2\r\n");  // a name of its own
  EXPECT_EQ(table().find_topic("orders")->first, 273);
  EXPECT_EQ(table().find_topic("orders")->lines.size(), 3u);
  EXPECT_THAT(create(topic), HasSubstr("there is a topic 'orders' already"));
  topic.name = "no name";
  EXPECT_THAT(create(topic), HasSubstr("cannot be called 'no name'"));
  topic.name = "other";
  topic.replicas = 4;
  EXPECT_THAT(create(topic), HasSubstr("4 replicas are not possible"));
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "orders", "RETENTION", "500", "BYTES", "7"}),
            ":3\r\n");
  EXPECT_EQ(table().find_topic("orders")->retention_ms, 500);
  EXPECT_EQ(table().find_topic("orders")->retention_bytes, 7);
  EXPECT_EQ(run({kMetaCommand, "ALTERTOPIC", "orders", "RETENTION", "-1"}), ":4\r\n");
  EXPECT_EQ(table().find_topic("orders")->retention_ms, std::nullopt);
  EXPECT_EQ(table().find_topic("orders")->retention_bytes, 7);
  EXPECT_THAT(run({kMetaCommand, "ALTERTOPIC", "other", "BYTES", "1"}), HasSubstr("no topic"));
  for (const char* wrong : {"-2", "x", ""}) {
    EXPECT_THAT(run({kMetaCommand, "ALTERTOPIC", "orders", "BYTES", wrong}), HasSubstr("syntax"));
  }
  EXPECT_THAT(run({kMetaCommand, "ALTERTOPIC", "orders", "PARTITIONS", "3"}),
              HasSubstr("has 4 partitions: it can be given more"));
  EXPECT_THAT(run({kMetaCommand, "DROPTOPIC", "other"}), HasSubstr("no topic 'other'"));
  EXPECT_EQ(run({kMetaCommand, "DROPTOPIC", "orders"}), ":5\r\n");
  EXPECT_TRUE(table().topics().empty());
  EXPECT_NE(table().find("orders"), nullptr);
  EXPECT_TRUE(table().was_dropped(273));
}

TEST_F(MetaCommands, UsersAreMadeChangedAndDeleted) {
  using Users = cluster::Definitions;
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "on", "+get", "~a"}), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "on ~* &* +@all", "-set"}), ":2\r\n");
  EXPECT_EQ(table().users(), (Users{{"alice", "on ~a resetchannels -@all +get -set"}}))
      << "the base is for a user that there is not";
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "default", "on nopass ~* &* +@all", "-set"}), ":3\r\n");
  EXPECT_EQ(table().users()[1].second, "on nopass ~* &* +@all -set");
  EXPECT_THAT(run({kMetaCommand, "SETUSER", "alice", "", "nosuch"}),
              HasSubstr("Error in ACL SETUSER modifier 'nosuch'"));
  EXPECT_EQ(table().version(), 3u);
  EXPECT_EQ(run({kMetaCommand, "DELUSER", "alice", "nobody"}), ":4\r\n");
  EXPECT_EQ(table().users().size(), 1u);
}

TEST_F(MetaCommands, UsersOfAFileTakeThePlaceOfAll) {
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "on"}), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "bob", "", "on"}), ":2\r\n");
  EXPECT_THAT(run({kMetaCommand, "LOADUSERS", "carol", "on nosuch"}), HasSubstr("carol"));
  EXPECT_EQ(table().users().size(), 2u);
  EXPECT_EQ(run({kMetaCommand, "LOADUSERS", "bob", "off resetchannels -@all", "carol",
                 "on resetchannels -@all"}),
            ":3\r\n");
  EXPECT_EQ(table().users(), (cluster::Definitions{{"bob", "off resetchannels -@all"},
                                                   {"carol", "on resetchannels -@all"}}));
}

// Else members of two versions, one of which has the command, would go on with two states.
TEST_F(MetaCommands, RulesOfALaterVersionAreKeptAsText) {
  const auto rules_of_alice = [this] { return table().users()[0].second; };
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "on", "+get", "+Later|First", "+@coming",
                 "(~x +later)"}),
            ":1\r\n");
  EXPECT_EQ(rules_of_alice(),
            "on resetchannels -@all +get +later|first +@coming (~x resetchannels -@all +later)");
  // As it is with those that are known.
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "clearselectors", "+set", "+later|first"}),
            ":2\r\n");
  EXPECT_EQ(rules_of_alice(), "on resetchannels -@all +get +@coming +set +later|first");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "-later", "+@coming"}), ":3\r\n");
  EXPECT_EQ(rules_of_alice(), "on resetchannels -@all +get +set -later +@coming");
  EXPECT_EQ(run({kMetaCommand, "LOADUSERS", "alice", "on +later", "bob", "on +get"}), ":4\r\n");
  EXPECT_EQ(rules_of_alice(), "on resetchannels -@all +later");
  const AclUsers served(table().users());
  EXPECT_EQ(served.unreadable(), std::vector<std::string>{"alice"}) << "it may do nothing here";
}

TEST_F(MetaCommands, AUserThatIsMadeAnewIsAnother) {
  const auto created = [this](std::string_view name) {
    return AclUsers(table().users()).find(name)->created();
  };
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "on", kCreatedRule}), ":1\r\n");
  EXPECT_EQ(created("alice"), 1u);
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "reset", "+get", kCreatedRule}), ":2\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "+set"}), ":3\r\n");
  EXPECT_EQ(created("alice"), 1u);
  EXPECT_EQ(run({kMetaCommand, "LOADUSERS", "alice", "on ^", "bob", "on ^", "carol", "on"}),
            ":4\r\n");
  EXPECT_EQ(created("alice"), 1u);
  EXPECT_EQ(created("bob"), 4u);
  EXPECT_EQ(created("carol"), 0u) << "whoever proposed that does not mark users";
  EXPECT_EQ(run({kMetaCommand, "LOADUSERS", "alice", "on", "bob", "on", "carol", "on"}), ":5\r\n");
  EXPECT_EQ(created("bob"), 4u) << "it is the same whoever proposes that";
  EXPECT_EQ(run({kMetaCommand, "DELUSER", "alice"}), ":6\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "on", kCreatedRule}), ":7\r\n");
  EXPECT_EQ(created("alice"), 7u);
  // Of one whose making was not noted that stays so.
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "carol", "", "+get", kCreatedRule}), ":8\r\n");
  EXPECT_EQ(created("carol"), 0u);
  const AclUserPointer alice = AclUsers(table().users()).find("alice");
  EXPECT_EQ(alice->definition(), "on resetchannels -@all") << "nobody is shown it";
  EXPECT_EQ(alice->rights(), "on resetchannels -@all");
}

TEST_F(MetaCommands, WhatScramNeedsStaysWithThePassword) {
  AclUser user("alice");
  const std::string hash = "#" + password_hash("secret");
  ASSERT_TRUE(user.apply(hash));
  const std::string scram = *scram_rule(user, "secret");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "on", hash, scram}), ":1\r\n");
  const std::string rights = " resetchannels -@all";
  EXPECT_EQ(table().users()[0].second, "on " + hash + " " + scram + rights);
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "alice", "", "off"}), ":2\r\n");
  EXPECT_EQ(table().users()[0].second, "off " + hash + " " + scram + rights);
  // Files do not have it.
  EXPECT_EQ(run({kMetaCommand, "LOADUSERS", "alice", "on " + hash + rights, "bob",
                 "on " + hash + rights}),
            ":3\r\n");
  EXPECT_EQ(table().users(), (cluster::Definitions{{"alice", "on " + hash + " " + scram + rights},
                                                   {"bob", "on " + hash + rights}}))
      << "bob's was never given as a password";
  const std::string other = "#" + password_hash("other");
  EXPECT_EQ(run({kMetaCommand, "LOADUSERS", "alice", "on " + other + rights}), ":4\r\n");
  EXPECT_EQ(table().users()[0].second, "on " + other + rights);
}

TEST_F(MetaCommands, UsersHaveALimit) {
  const std::string long_pattern = "~" + std::string(kMostUserBytes / 2, 'x');
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "a", "", long_pattern}), ":1\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETUSER", "a", "", "resetkeys", long_pattern}), ":2\r\n");
  EXPECT_THAT(run({kMetaCommand, "SETUSER", "b", "", long_pattern}), HasSubstr("delete some"));
}

TEST_F(MetaCommands, QuotasAreSetByNameAndLiftedByNothing) {
  using Rows = cluster::Definitions;
  EXPECT_EQ(run({kMetaCommand, "SETQUOTAS", "user=bob", "producer_byte_rate", "7", "client-id",
                 "consumer_byte_rate", "9", "user=bob", "consumer_byte_rate", "8"}),
            ":1\r\n");
  EXPECT_EQ(table().quotas(), (Rows{{"client-id", "consumer_byte_rate=9"},
                                    {"user=bob", "producer_byte_rate=7&consumer_byte_rate=8"}}));
  // What is not named stays.
  EXPECT_EQ(run({kMetaCommand, "SETQUOTAS", "user=bob", "consumer_byte_rate", "5"}), ":2\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETQUOTAS", "user=bob", "producer_byte_rate", ""}), ":3\r\n");
  EXPECT_EQ(table().quotas()[1].second, "consumer_byte_rate=5");
  EXPECT_EQ(run({kMetaCommand, "SETQUOTAS", "user=bob", "consumer_byte_rate", "", "user=eve",
                 "consumer_byte_rate", ""}),
            ":4\r\n");
  EXPECT_EQ(table().quotas(), (Rows{{"client-id", "consumer_byte_rate=9"}}));
  // All of an entry, or nothing.
  for (const auto& [entity, name, rate] : {std::array{"user=", "producer_byte_rate", "1"},
                                           {"ip=::1", "producer_byte_rate", "1"},
                                           {"user=a", "request_percentage", "1"},
                                           {"user=a", "producer_byte_rate", "0"},
                                           {"user=a", "producer_byte_rate", "1.5"},
                                           {"user=a", "producer_byte_rate", "-3"}}) {
    EXPECT_THAT(run({kMetaCommand, "SETQUOTAS", "client-id", "consumer_byte_rate", "1", entity,
                     name, rate}),
                HasSubstr("-ERR"))
        << entity << name << rate;
  }
  EXPECT_THAT(run({kMetaCommand, "SETQUOTAS", "client-id", "consumer_byte_rate"}),
              HasSubstr("syntax"));
  EXPECT_EQ(table().quotas(), (Rows{{"client-id", "consumer_byte_rate=9"}}));
  EXPECT_EQ(table().version(), 4u);
}

TEST_F(MetaCommands, QuotasHaveABound) {
  const std::string name(kMostQuotaBytes, 'x');
  EXPECT_THAT(run({kMetaCommand, "SETQUOTAS", "user=" + name, "producer_byte_rate", "7"}),
              HasSubstr("delete some"));
  // Nothing is left of it.
  EXPECT_EQ(run({kMetaCommand, "SETQUOTAS", "user=" + name, "producer_byte_rate", ""}), ":1\r\n");
}

TEST_F(MetaCommands, NoFunctionIsInTwoLibraries) {
  const auto library = [](std::string name, std::string function) {
    return encode(
        Library{.name = std::move(name),
                .code = "code",
                .functions = {{.name = std::move(function), .description = {}, .flags = {}}}});
  };
  EXPECT_EQ(run({kMetaCommand, "SETLIBRARIES", "NEW", "l1", library("l1", "f")}), ":1\r\n");
  EXPECT_THAT(run({kMetaCommand, "SETLIBRARIES", "NEW", "l1", library("l1", "g")}),
              HasSubstr("Library 'l1' already exists"));
  EXPECT_THAT(run({kMetaCommand, "SETLIBRARIES", "NEW", "l2", library("l2", "f")}),
              HasSubstr("Function f already exists"));
  EXPECT_EQ(run({kMetaCommand, "SETLIBRARIES", "REPLACE", "l1", library("l1", "g")}), ":2\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETLIBRARIES", "NEW", "l2", library("l2", "f")}), ":3\r\n");
  EXPECT_EQ(LibraryTable(table().libraries()).functions(), 2u);
  EXPECT_THAT(run({kMetaCommand, "SETLIBRARIES", "NEW", "l3", "nonsense"}), HasSubstr("ERR"));
  EXPECT_THAT(run({kMetaCommand, "DELLIBRARY", "l3"}), HasSubstr("Library not found"));
  EXPECT_EQ(run({kMetaCommand, "DELLIBRARY", "l1"}), ":4\r\n");
  EXPECT_EQ(run({kMetaCommand, "SETLIBRARIES", "FLUSH", "l3", library("l3", "h")}), ":5\r\n");
  const LibraryTable libraries(table().libraries());
  EXPECT_EQ(libraries.libraries().size(), 1u);
  EXPECT_EQ(*libraries.find("h"), "#!function h\ncode");
  EXPECT_EQ(libraries.find("f"), nullptr);
}

}  // namespace
}  // namespace even
