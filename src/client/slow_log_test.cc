#include "client/slow_log.h"

#include <gmock/gmock.h>

#include "client/command_timer.h"

namespace even {
namespace {

using testing::ElementsAre;
using testing::Pair;

// The arguments that are kept of a command.
std::vector<std::string> kept(std::vector<std::string_view> args) {
  SlowLog log;
  log.add(*find_command(args[0]), args, {}, 1, 1);
  return log.latest(1).at(0).args;
}

TEST(SlowLog, HasTheLatestFirstAndNoMoreThanItsLength) {
  SlowLog log;
  const std::string_view args[] = {"get", "k"};
  for (int us = 0; us < 5; ++us) log.add(*find_command("get"), args, {"1.2.3.4:5", "me"}, us, 3);
  EXPECT_EQ(log.size(), 3u);
  const auto latest = log.latest(2);
  ASSERT_EQ(latest.size(), 2u);
  EXPECT_EQ(latest[0].id, 4u);
  EXPECT_EQ(latest[0].us, 4);
  EXPECT_EQ(latest[1].id, 3u);
  EXPECT_EQ(latest[0].address, "1.2.3.4:5");
  EXPECT_EQ(latest[0].name, "me");
  EXPECT_THAT(latest[0].args, ElementsAre("get", "k"));
  log.reset();
  EXPECT_EQ(log.size(), 0u);
  log.add(*find_command("get"), args, {}, 1, 3);
  EXPECT_EQ(log.latest(9).at(0).id, 5u);
  log.add(*find_command("get"), args, {}, 1, 0);
  EXPECT_EQ(log.size(), 0u);
}

TEST(SlowLog, LongArgumentsAndLongListsOfThemAreCut) {
  const std::string exact(128, 'x'), longer(130, 'y');
  EXPECT_THAT(kept({"set", exact, longer}),
              ElementsAre("set", exact, longer.substr(0, 128).append("... (2 more bytes)")));
  std::vector<std::string_view> args(32, "k");
  args[0] = "del";
  EXPECT_EQ(kept(args).back(), "k");
  args.push_back("k");
  EXPECT_EQ(kept(args).size(), 32u);
  EXPECT_EQ(kept(args).back(), "... (2 more arguments)");
}

TEST(SlowLog, PasswordsAreNotKept) {
  EXPECT_THAT(kept({"AUTH", "secret"}), ElementsAre("AUTH", "(redacted)"));
  EXPECT_THAT(kept({"auth", "default", "secret"}), ElementsAre("auth", "(redacted)", "(redacted)"));
  EXPECT_THAT(kept({"hello", "3", "setname", "me", "AUTH", "default", "secret"}),
              ElementsAre("hello", "3", "setname", "me", "AUTH", "(redacted)", "(redacted)"));
  EXPECT_THAT(kept({"config", "set", "timeout", "5", "RequirePass", "secret"}),
              ElementsAre("config", "set", "timeout", "5", "RequirePass", "(redacted)"));
  EXPECT_THAT(kept({"acl", "SETUSER", "alice", "on", ">secret"}),
              ElementsAre("acl", "SETUSER", "(redacted)", "(redacted)", "(redacted)"));
  EXPECT_THAT(kept({"acl", "getuser", "alice"}), ElementsAre("acl", "getuser", "alice"));
  EXPECT_THAT(kept({"config", "get", "requirepass"}), ElementsAre("config", "get", "requirepass"));
  EXPECT_THAT(kept({"set", "auth", "value"}), ElementsAre("set", "auth", "value"));
}

TEST(CommandTimer, SharesTheTimeOfABatchOutAmongItsCommands) {
  CommandTimer timer;
  timer.start(1'000'000, 500);
  timer.lap(true, 600);
  timer.lap(false, 1400);  // sent elsewhere
  timer.lap(true, 1500);
  const auto slow = [&](std::int64_t now_us, std::int64_t least_us) {
    std::vector<std::pair<std::size_t, std::int64_t>> out;
    timer.stop(now_us, least_us,
               [&](std::size_t lap, std::int64_t us) { out.emplace_back(lap, us); });
    return out;
  };
  EXPECT_THAT(slow(1'010'000, 0), ElementsAre(Pair(0, 1000), Pair(2, 1000)));
  EXPECT_THAT(slow(1'010'000, 1001), ElementsAre());
  EXPECT_THAT(slow(1'000'999, 1000), ElementsAre());
  timer.start(0, 0);
  EXPECT_THAT(slow(1'000'000, 0), ElementsAre());
}

}  // namespace
}  // namespace even
