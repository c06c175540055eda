#include "client/session.h"

#include <gtest/gtest.h>

#include "client/command_stats.h"
#include "http/metrics.h"
#include "node/runtime_options.h"
#include "peer/link_faults.h"

namespace even {
namespace {

TEST(Session, DescribesItselfAsClientListDoes) {
  Session session{.id = 7, .address = "1.2.3.4:5", .local_address = "6.7.8.9:10", .descriptor = 8};
  session.name = "me";
  session.created_us = 1'000'000;
  session.last_request_us = 3'000'000;
  const std::string line = client_line(
      session, {.output_bytes = 9, .output_blocks = 2, .output_memory = 64, .reading = true},
      "client|list", 5'500'000);
  EXPECT_TRUE(
      line.starts_with("id=7 addr=1.2.3.4:5 laddr=6.7.8.9:10 fd=8 name=me age=4 idle=2 "
                       "flags=N db=0 "))
      << line;
  EXPECT_NE(line.find(" obl=9 oll=2 omem=64 tot-mem=64 events=r "), std::string::npos) << line;
  EXPECT_NE(line.find(" cmd=client|list user=default redir=-1 resp=2 "), std::string::npos);
  EXPECT_TRUE(line.ends_with("\n"));
}

TEST(Session, SaysWhatItIsSubscribedTo) {
  Session session;
  const auto line = [&](const SessionUse& use) { return client_line(session, use, "get", 0); };
  EXPECT_NE(line({}).find(" flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 "), std::string::npos);
  EXPECT_NE(line({.channels = 1, .patterns = 2, .shard_channels = 3})
                .find(" flags=P db=0 sub=1 psub=2 ssub=3 multi=-1 "),
            std::string::npos);
  session.no_evict = true;
  EXPECT_NE(line({.shard_channels = 1, .queued = 4}).find(" flags=Pxe db=0 "), std::string::npos);
}

TEST(Session, NamesArePrintableAndWithoutSpaces) {
  EXPECT_TRUE(valid_client_name(""));
  EXPECT_TRUE(valid_client_name("a-Z_9~!"));
  for (const char* bad : {"a b", "a\n", "\x7f", "\x80", "\t"}) EXPECT_FALSE(valid_client_name(bad));
}

TEST(RuntimeOptions, OnlyTheWholePasswordMatches) {
  RuntimeOptions options(ClientConfig{.password = "secret"});
  EXPECT_TRUE(options.has_password());
  EXPECT_TRUE(options.password_matches("secret"));
  for (const char* wrong : {"", "s", "secre", "secrets", "secretsecret", "Secret"}) {
    EXPECT_FALSE(options.password_matches(wrong)) << wrong;
  }
  options.set_password("");
  EXPECT_FALSE(options.has_password());
  EXPECT_FALSE(options.password_matches("secret"));
}

TEST(CommandStats, ATurnsCommandsShareItsTime) {
  CommandStats stats;
  CommandStats::Entry& get = stats.find(*find_command("get"), {});
  CommandStats::Entry& set = stats.find(*find_command("set"), {});
  stats.count(get);
  stats.count(set);
  stats.count(get);
  EXPECT_FALSE(stats.turn_is_empty());
  stats.end_turn(300);
  EXPECT_TRUE(stats.turn_is_empty());
  stats.count(get);
  stats.end_turn(2'000'000);
  EXPECT_EQ(get.calls, 3u);
  EXPECT_EQ(get.latency.buckets[3], 2u);  // up to 500 us
  EXPECT_EQ(get.latency.buckets.back(), 1u);
  EXPECT_DOUBLE_EQ(get.latency.sum_seconds, 2.0006);
  EXPECT_EQ(set.calls, 1u);
  EXPECT_EQ(stats.calls(), 4u);
}

TEST(CommandStats, SubcommandsCountForThemselves) {
  CommandStats stats;
  const Command& config = *find_command("config");
  const auto name = [&](std::vector<std::string_view> args) {
    return stats.find(config, args).name;
  };
  EXPECT_EQ(name({"config", "get", "a"}), "config|get");
  EXPECT_EQ(name({"CONFIG", "Set", "a", "b"}), "config|set");
  EXPECT_EQ(name({"config"}), "config");
  EXPECT_EQ(name({"config", "nosuch"}), "config");
  EXPECT_EQ(&stats.find(config, std::vector<std::string_view>{"config", "GET"}),
            &stats.find(config, std::vector<std::string_view>{"config", "get", "b"}));
  EXPECT_EQ(stats.find(*find_command("get"), {}).name, "get");
}

TEST(LinkFaults, AreSetAndTakenBackPerPeer) {
  LinkFaults faults;
  EXPECT_FALSE(faults.get(2).any());
  faults.set(2, {.in = {.delay_ms = 20, .drop = 0.05}, .out = {.delay_ms = 20, .drop = 0.05}});
  EXPECT_EQ(faults.get(2).to_text(), "DELAY 20 ms, DROP 5 %");
  EXPECT_FALSE(faults.get(3).any());
  faults.set(3, {.down = true});
  faults.set(2, {});
  EXPECT_FALSE(faults.get(2).any());
  EXPECT_EQ(faults.get(3).to_text(), "DOWN");
}

TEST(LinkFaults, HaveADirection) {
  LinkFault fault{.out = {.drop = 1}};
  EXPECT_TRUE(fault.any());
  EXPECT_EQ(fault.to_text(), "DROP 100 % OUT");
  fault.in = {.delay_ms = 20, .drop = 0.5};
  EXPECT_EQ(fault.to_text(), "DELAY 20 ms IN, DROP 50 % IN, DROP 100 % OUT");
}

TEST(Json, EscapesWhatWouldEndAString) {
  EXPECT_EQ(json_escape("a\"b\\c\n\x01"), "a\\\"b\\\\c\\u000a\\u0001");
}

}  // namespace
}  // namespace even
