#include "node/waiting_clients.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace even {
namespace {

class WaitingClientsTest : public testing::Test {
 protected:
  // One that has tried in vain and waits.
  WaitingClients::Ticket wait(std::vector<std::string> keys, const std::string& name) {
    const auto place = clients.add(std::move(keys), [this, name] { woken.push_back(name); });
    if (place.tries) {
      EXPECT_FALSE(clients.failed(place.ticket, false));
    }
    return place.ticket;
  }
  void push(std::string_view key) { clients.note({kListEvents, "rpush", key}); }
  std::vector<std::string> take_woken() { return std::exchange(woken, {}); }

  std::atomic<std::uint32_t> wanted{kEventsByKey};
  WaitingClients clients{wanted};
  std::vector<std::string> woken;
};
using Names = std::vector<std::string>;

TEST_F(WaitingClientsTest, TheFirstThatWaitsForAKeyIsWokenAndTheNextWhenItLeaves) {
  const auto a = wait({"k", "other"}, "a");
  const auto b = wait({"k"}, "b");
  push("nobody's");
  EXPECT_EQ(take_woken(), Names{});
  push("k");
  EXPECT_EQ(take_woken(), Names{"a"});
  clients.remove(a);
  EXPECT_EQ(take_woken(), Names{"b"});
  EXPECT_FALSE(clients.failed(b, false));
  push("other");
  EXPECT_EQ(take_woken(), Names{});
  push("k");
  EXPECT_EQ(take_woken(), Names{"b"});
}

TEST_F(WaitingClientsTest, WhoPollsPassesTheWordOnLikeOneWhoWasWoken) {
  const auto a = wait({"k"}, "a");
  wait({"k"}, "b");
  ASSERT_TRUE(clients.poll(a));
  push("k");
  push("k");
  EXPECT_EQ(take_woken(), Names{}) << "a is trying";
  clients.remove(a);  // it has taken one
  EXPECT_EQ(take_woken(), Names{"b"});
}

TEST_F(WaitingClientsTest, WhoIsAboutToLookForTheFirstTimeIsNotSettled) {
  const auto add = [&](bool tried) {
    return clients.add({"k"}, [] {}, WaitingClients::Wait::kPut, true, tried);
  };
  const auto first = add(true);
  ASSERT_TRUE(first.tries);
  const auto second = add(false);
  EXPECT_FALSE(second.tries);
  const auto third = add(true);
  EXPECT_FALSE(third.tries);
  EXPECT_EQ(clients.settled(), 1U) << "the third";
  EXPECT_FALSE(clients.failed(first.ticket, false));
  EXPECT_EQ(clients.settled(), 2U);
  EXPECT_FALSE(clients.failed(second.ticket, false));
  EXPECT_EQ(clients.settled(), 3U);
  push("k");
  EXPECT_EQ(clients.settled(), 3U) << "woken";
  for (const auto& place : {first, second, third}) clients.remove(place.ticket);
  EXPECT_EQ(clients.settled(), 0U);
}

TEST_F(WaitingClientsTest, WhoHasBeenWokenDoesNotPoll) {
  const auto a = wait({"k"}, "a");
  push("k");
  EXPECT_EQ(take_woken(), Names{"a"});
  EXPECT_FALSE(clients.poll(a));
  EXPECT_FALSE(clients.failed(a, false));
  EXPECT_TRUE(clients.poll(a));
  push("k");
  EXPECT_TRUE(clients.failed(a, false)) << "something has come meanwhile";
}

TEST_F(WaitingClientsTest, WhoWaitsForAnyChangeIsWokenByWhatTakesAway) {
  wait({"k"}, "a");
  for (const char* name : {"b", "c"}) {
    const auto place = clients.add(
        {"k"}, [this, name] { woken.push_back(name); }, WaitingClients::Wait::kAnyChange);
    EXPECT_TRUE(place.tries);
    EXPECT_FALSE(clients.failed(place.ticket, false));
  }
  clients.note({kGenericEvents, "del", "other"});
  EXPECT_EQ(take_woken(), Names{});
  clients.note({kGenericEvents, "del", "k"});
  EXPECT_EQ(take_woken(), (Names{"b", "c"}));
}

TEST_F(WaitingClientsTest, OneWhoLeavesUnaskedWakesNobody) {
  const auto a = wait({"k"}, "a");
  wait({"k"}, "b");
  clients.remove(a);
  EXPECT_EQ(take_woken(), Names{});
}

TEST_F(WaitingClientsTest, WhatComesWhileOneTriesIsNotMissed) {
  const auto a = wait({"k"}, "a");
  push("k");
  push("k");
  EXPECT_EQ(take_woken(), Names{"a"});
  EXPECT_TRUE(clients.failed(a, false));
  EXPECT_FALSE(clients.failed(a, false));
  push("k");
  EXPECT_EQ(take_woken(), Names{"a"});
}

TEST_F(WaitingClientsTest, WhoComesToStandBehindOneThatTriesDoesNotTry) {
  const auto wake = [this](std::string name) {
    return [this, name = std::move(name)] { woken.push_back(name); };
  };
  const auto a = clients.add({"k"}, wake("a"));
  EXPECT_TRUE(a.tries);
  // Something came after a and b had tried in vain and before they were in line: it is a's.
  EXPECT_FALSE(clients.add({"k"}, wake("b")).tries);
  EXPECT_TRUE(clients.add({"other", "k"}, wake("c")).tries);
  EXPECT_TRUE(clients.add({"k"}, wake("reads"), WaitingClients::Wait::kPut, false).tries);
  clients.remove(a.ticket);
  EXPECT_EQ(take_woken(), Names{"b"});
}

TEST_F(WaitingClientsTest, WhoHasNotTriedYetDoesSoAtTheLatestWhenThoseBeforeHaveTriedInVain) {
  const auto add_untried = [this](std::string name) {
    return clients
        .add(
            {"k"}, [this, name] { woken.push_back(name); }, WaitingClients::Wait::kPut, true, false)
        .tries;
  };
  EXPECT_FALSE(clients.all_trying({"k"}));
  const auto a = wait({"k"}, "a");
  EXPECT_FALSE(clients.all_trying({"k"}));
  const auto b = wait({"k"}, "b");
  push("k");
  EXPECT_TRUE(clients.all_trying({"k"}));
  EXPECT_FALSE(clients.all_trying({"k", "other"}));
  EXPECT_FALSE(add_untried("c"));
  EXPECT_FALSE(add_untried("d"));
  EXPECT_EQ(take_woken(), Names{"a"});
  EXPECT_FALSE(clients.failed(a, false));
  EXPECT_EQ(take_woken(), (Names{"c", "d"}));
  // Only once.
  push("k");
  EXPECT_EQ(take_woken(), Names{"a"});
  clients.remove(a);
  EXPECT_EQ(take_woken(), Names{"b"});
  EXPECT_FALSE(clients.failed(b, false));
  EXPECT_EQ(take_woken(), Names{});
}

TEST_F(WaitingClientsTest, WhoStandsBehindOneThatHasTriedInVainTries) {
  const auto a = wait({"k"}, "a");
  push("k");
  // It is not for a, and nobody was behind it to be told so.
  EXPECT_FALSE(clients.failed(a, true));
  EXPECT_TRUE(clients.add({"k"}, [] {}).tries);
}

TEST_F(WaitingClientsTest, WhatIsNotForOneMayBeForTheNext) {
  const auto a = wait({"k"}, "a");
  wait({"k"}, "b");
  push("k");
  EXPECT_EQ(take_woken(), Names{"a"});
  EXPECT_FALSE(clients.failed(a, true));
  EXPECT_EQ(take_woken(), Names{"b"});
}

TEST_F(WaitingClientsTest, ShardsTellOfKeysWhileSomebodyWaitsAndOfWhatIsAddedOnly) {
  EXPECT_EQ(wanted, kEventsByKey);
  const auto a = wait({"k", "k"}, "a");
  EXPECT_EQ(wanted, kEventsByKey | WaitingClients::kAwaited);
  clients.note({kListEvents, "lpop", "k"});
  clients.note({kGenericEvents, "del", "k"});
  EXPECT_EQ(take_woken(), Names{});
  clients.note({kSortedSetEvents, "zadd", "k"});
  EXPECT_EQ(take_woken(), Names{"a"});
  clients.remove(a);
  EXPECT_EQ(clients.size(), 0u);
  EXPECT_EQ(wanted, kEventsByKey);
}

TEST_F(WaitingClientsTest, AllAreWokenWhenNobodyCanTellWhatHasCome) {
  const auto a = wait({"k"}, "a");
  const auto b = wait({"k", "other"}, "b");
  clients.wake_all();
  Names all = take_woken();
  std::ranges::sort(all);
  EXPECT_EQ(all, (Names{"a", "b"}));
  // Those that are trying do so once more.
  clients.wake_all();
  EXPECT_EQ(take_woken(), Names{});
  EXPECT_TRUE(clients.failed(a, false));
  EXPECT_TRUE(clients.failed(b, false));
  EXPECT_FALSE(clients.failed(b, false));
}

}  // namespace
}  // namespace even
