// Commands that reply with all of a large collection, in steps between which others are executed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "replica/test_node.h"

namespace even::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const Command& command(std::string_view name) { return *find_command(name); }

std::unique_ptr<Listing> list(Node& node, std::string_view name, std::string_view key) {
  const std::string_view args[] = {name, key};
  EXPECT_TRUE(node.shard->lists_much(command(name), args)) << name;
  return node.shard->list(command(name), args, false);
}

// The reply's header, and its elements in some order.
std::vector<std::string> contents(std::string_view reply, std::size_t words_of_each) {
  std::vector<std::string> lines;
  while (!reply.empty()) {
    const std::size_t end = reply.find("\r\n");
    lines.emplace_back(reply.substr(0, end));
    reply.remove_prefix(end + 2);
  }
  std::vector<std::string> all{lines[0]};
  for (std::size_t i = 1; i < lines.size(); i += 2 * words_of_each) {
    std::string& element = all.emplace_back();
    for (std::size_t word = 0; word < words_of_each; ++word)
      element += lines[i + 2 * word + 1] + ' ';
  }
  std::sort(all.begin() + 1, all.end());
  return all;
}

// As a repair does: what is there goes without a command, for something else or for nothing.
void put_in_place(Node& node, std::string_view key, Random& random) {
  (void)node.shard->falsify(
      key, random.chance(0.5) ? std::optional<std::string_view>("repaired") : std::nullopt);
}

TEST(Listing, IsForCollectionsOfMoreElementsThanAStepHas) {
  Node node;
  node.listing_step = 100;
  node.restart();
  node.run(many("hset", "h", 0, 100, true));
  node.run(many("sadd", "s", 0, 101));
  node.run({"set", "string", "x"});
  const auto lists = [&](std::string_view name, std::string_view key) {
    const std::string_view args[] = {name, key};
    return node.shard->lists_much(command(name), args);
  };
  EXPECT_FALSE(lists("hgetall", "h"));
  EXPECT_TRUE(lists("smembers", "s"));
  EXPECT_FALSE(lists("scard", "s"));
  for (const char* name : {"hgetall", "hkeys", "hvals", "smembers"}) {
    EXPECT_FALSE(lists(name, "string")) << name;
    EXPECT_FALSE(lists(name, "nobody")) << name;
  }
  EXPECT_FALSE(lists("hkeys", "s"));
  node.run({"hset", "h", "one", "more"});
  EXPECT_TRUE(lists("hgetall", "h"));
  EXPECT_TRUE(lists("hkeys", "h"));
  EXPECT_TRUE(lists("hvals", "h"));
  EXPECT_FALSE(lists("smembers", "h"));
  // What has expired is not there, though nobody has purged it yet.
  node.run({"pexpire", "h", "10"});
  node.world.run_for(20'000);
  node.shard->end_turn();
  EXPECT_FALSE(lists("hgetall", "h"));
}

TEST(Listing, TakesAStepAtATime) {
  Node node;
  node.listing_step = 100;
  node.restart();
  node.run(many("hset", "h", 0, 1000, true));
  auto listing = list(node, "hgetall", "h");
  int steps = 1;
  while (listing->step()) ++steps;
  EXPECT_NEAR(steps, 10, 1);
  EXPECT_EQ(contents(listing->take_reply(), 2), contents(node.run({"hgetall", "h"}), 2));
}

TEST(Listing, IsForStringsOfMoreBytesThanAStepHas) {
  Node node;
  node.listed_bytes = 100;
  node.restart();
  node.run({"set", "short", std::string(100, 'x')});
  node.run({"set", "long", std::string(950, 'x')});
  node.run({"hset", "h", "f", std::string(950, 'x')});
  const auto lists = [&](std::string_view name, std::string_view key) {
    const std::string_view args[] = {name, key};
    return node.shard->lists_much(command(name), args);
  };
  EXPECT_FALSE(lists("get", "short"));
  EXPECT_FALSE(lists("get", "nobody"));
  EXPECT_FALSE(lists("get", "h"));
  EXPECT_FALSE(lists("strlen", "long"));
  EXPECT_TRUE(lists("get", "long"));
  auto listing = list(node, "get", "long");
  int steps = 1;
  while (listing->step()) ++steps;
  EXPECT_EQ(steps, 10);
  EXPECT_EQ(listing->take_reply(), node.run({"get", "long"}));
}

// A caller that can list says so, and is told of a string that is too long while it is read.
TEST(Listing, OfAStringIsAskedForByTheCommandItself) {
  Node node;
  node.listed_bytes = 2000;
  node.restart();
  node.run({"set", "short", std::string(2000, 'x')});
  node.run({"set", "long", std::string(2001, 'x')});
  const auto get = [&](std::string_view key, bool& too_long) {
    const std::string_view args[] = {"get", key};
    std::string out = "before";
    node.shard->execute(command("get"), args, false, out, {}, {}, nullptr, &too_long);
    return out;
  };
  bool too_long = false;
  EXPECT_EQ(get("short", too_long), "before" + node.run({"get", "short"}));
  EXPECT_FALSE(too_long);
  EXPECT_EQ(get("long", too_long), "before");
  EXPECT_TRUE(too_long);
}

TEST(Listing, OfAStringIsForNoReplyOfSeveralParts) {
  Node node;
  node.listed_bytes = 2000;
  node.restart();
  const std::string element(5000, 'x');
  node.run({"rpush", "l", "a", element});
  node.run({"hset", "h", "f", element});
  node.run({"set", "k", element});
  const std::vector<std::vector<std::string_view>> commands = {{"lrange", "l", "0", "-1"},
                                                               {"hgetall", "h"},
                                                               {"hget", "h", "f"},
                                                               {"mget", "k"},
                                                               {"getdel", "k"}};
  for (const auto& words : commands) {
    bool too_long = false;
    std::string out;
    node.shard->execute(command(words[0]), words, false, out, {}, {}, nullptr, &too_long);
    EXPECT_FALSE(too_long) << words[0];
    EXPECT_GT(out.size(), element.size()) << words[0];
  }
}

TEST(Listing, ShowsTheStringAsItWasInTheBeginning) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Node node;
    Random random(seed);
    node.listed_bytes = 1 + random.below(40);
    node.restart();
    std::string value;
    for (int i = 0; i < 200; ++i) value += static_cast<char>('a' + random.below(26));
    node.run({"set", "k", value});
    if (random.chance(0.5)) node.evict_all();
    auto listing = list(node, "get", "k");
    const std::string expected = node.run({"get", "k"});
    while (listing->step()) {
      if (random.chance(0.05)) node.evict_all();
      if (random.chance(0.8)) continue;
      const std::vector<std::string> all[] = {{"del", "k"},
                                              {"set", "k", "x"},
                                              {"append", "k", "more"},
                                              {"setrange", "k", "7", "y"},
                                              {"flushall"},
                                              {"pexpire", "k", "1"},
                                              {"persist", "k"},
                                              {"hset", "k", "f", "v"},
                                              {"sadd", "k", "m"}};
      const std::size_t change = random.below(std::size(all) + 1);
      if (change < std::size(all)) {
        node.run(all[change]);
      } else {
        put_in_place(node, "k", random);
      }
      node.pass_time(20);
    }
    ASSERT_EQ(listing->take_reply(), expected) << "seed " << seed;
  }
}

// What the first elements take says little of all of them.
TEST(Listing, AsksForNoMoreMemoryThanItMayNeed) {
  Node node;
  node.listing_step = 1;
  node.restart();
  node.run(many("hset", "h", 0, 20'000, true));
  std::string first = "e0";
  for (int i = 1; i < 20'000; ++i) {
    const std::string field = fmt::format("e{}", i);
    if (hash64(field) < hash64(first)) first = field;
  }
  node.run({"hset", "h", first, std::string(16 << 20, 'x')});
  auto listing = list(node, "hgetall", "h");
  while (listing->step()) {
  }
  EXPECT_EQ(contents(listing->take_reply(), 2), contents(node.run({"hgetall", "h"}), 2));
}

// Whatever is done between its steps, and whatever of it is in memory.
TEST(Listing, ShowsTheCollectionAsItWasInTheBeginning) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Node node;
    Random random(seed);
    node.listing_step = 1 + random.below(40);
    node.restart();
    const bool is_set = random.chance(0.3);
    const std::string key = is_set ? "s" : "h";
    node.run(many(is_set ? "sadd" : "hset", key, 0, 200, !is_set));
    if (!is_set) {
      for (int i = 0; i < 20; ++i) node.run({"hincrby", "h", fmt::format("n{}", i), "3"});
      for (int i = 0; i < 10; ++i) node.run({"hdel", "h", fmt::format("n{}", i)});
    }
    if (random.chance(0.5)) node.evict_all();

    const char* const names[] = {"hgetall", "hkeys", "hvals"};
    const std::string name = is_set ? "smembers" : names[random.below(3)];
    const std::size_t words = name == "hgetall" ? 2 : 1;
    // Begun before anything is read in, which the command that says what is expected does.
    auto listing = list(node, name, key);
    const std::vector<std::string> expected = contents(node.run({name, key}), words);
    if (random.chance(0.3)) node.evict_all();
    while (listing->step()) {
      const std::string element = fmt::format("e{}", random.below(250));
      const std::string number = fmt::format("n{}", random.below(25));
      if (random.chance(0.005)) {
        const std::vector<std::string> all[] = {
            {"del", key}, {"set", key, "x"}, {"flushall"}, {"pexpire", key, "1"}};
        const std::size_t change = random.below(std::size(all) + 1);
        if (change < std::size(all)) {
          node.run(all[change]);
        } else {
          put_in_place(node, key, random);
        }
        node.pass_time(20);
      } else if (random.chance(0.02)) {
        node.evict_all();
      } else if (is_set) {
        node.run({random.chance(0.5) ? "sadd" : "srem", key, element});
      } else if (random.chance(0.3)) {
        node.run({"hincrby", key, number, "1"});
      } else if (random.chance(0.5)) {
        node.run({"hset", key, element, "changed", number, "7"});
      } else {
        node.run({"hdel", key, element, number});
      }
    }
    ASSERT_EQ(contents(listing->take_reply(), words), expected) << "seed " << seed;
  }
}

TEST(Listing, SaysWhenWhatItListsCannotBeRead) {
  Node node;
  node.listing_step = 100;
  node.restart();
  node.run(many("hset", "h", 0, 1000, true));
  node.evict_all();
  auto listing = list(node, "hgetall", "h");
  EXPECT_TRUE(listing->step());
  node.store->unreadable = true;
  EXPECT_FALSE(listing->step());
  EXPECT_THAT(listing->take_reply(), StartsWith("-IOERR "));
}

TEST(Listing, MayOutliveItsShard) {
  Node node;
  node.listing_step = 100;
  node.restart();
  node.run(many("hset", "h", 0, 1000, true));
  auto listing = list(node, "hgetall", "h");
  EXPECT_TRUE(listing->step());
  node.restart();
  EXPECT_FALSE(listing->step());
  EXPECT_THAT(listing->take_reply(), HasSubstr("lost on the way"));
}

}  // namespace
}  // namespace even::test
