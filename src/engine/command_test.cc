#include "engine/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace even {
namespace {

std::string check(std::vector<std::string_view> words) {
  const Command* command = find_command(words[0]);
  return command == nullptr ? unknown_command(words) : check_arity(*command, words);
}

TEST(CommandTable, IsFoundWithoutRegardToCase) {
  ASSERT_NE(find_command("GET"), nullptr);
  EXPECT_EQ(find_command("gEt")->name, "get");
  EXPECT_EQ(find_command("EVEN.Explain")->name, "even.explain");
  EXPECT_EQ(find_command("ge"), nullptr);
  EXPECT_EQ(find_command(""), nullptr);
}

TEST(CommandTable, EveryRowIsSortedUniqueAndFound) {
  std::string_view before;
  for (const Command* command : all_commands()) {
    EXPECT_LT(before, command->name);
    before = command->name;
    EXPECT_EQ(find_command(command->name), command);
  }
}

TEST(CommandTable, WhatTouchesKeysHasAHandlerAndWhatBelongsToAConnectionHasNone) {
  for (const Command* command : all_commands()) {
    EXPECT_EQ(command->handler == nullptr && !command->script,
              command->scope == Scope::kConnection || command->scope == Scope::kInner)
        << command->name;
    EXPECT_EQ(command->keys.none(), command->docs.key_spec.empty()) << command->name;
    EXPECT_FALSE(command->docs.summary.empty()) << command->name;
  }
}

TEST(CommandTable, ArityErrorsNameTheCommandAndItsSubcommand) {
  EXPECT_EQ(check({"get", "k"}), "");
  EXPECT_EQ(check({"GET"}), "ERR wrong number of arguments for 'get' command");
  EXPECT_EQ(check({"get", "k", "l"}), "ERR wrong number of arguments for 'get' command");
  EXPECT_EQ(check({"CONFIG", "GET"}), "ERR wrong number of arguments for 'config|get' command");
  EXPECT_EQ(check({"CONFIG", "GET", "a", "b"}), "");
  EXPECT_EQ(check({"config"}), "ERR wrong number of arguments for 'config' command");
  EXPECT_EQ(check({"config", "Foo"}), "ERR unknown subcommand 'Foo'. Try CONFIG HELP.");
  EXPECT_EQ(check({"command"}), "");
}

TEST(CommandTable, UnknownCommandsAreQuotedWithTheBeginningOfTheirArguments) {
  EXPECT_EQ(check({"foo"}), "ERR unknown command 'foo', with args beginning with: ");
  EXPECT_EQ(check({"foo", "a", "b"}),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
  const std::string error = check({std::string_view("f\0o", 3), std::string_view("a\0b", 3)});
  EXPECT_EQ(error, "ERR unknown command 'f', with args beginning with: 'a' ");
  const std::string name(300, 'n');
  const std::string argument(300, 'a');
  EXPECT_EQ(check({name, argument, argument}), "ERR unknown command '" + std::string(128, 'n') +
                                                   "', with args beginning with: '" +
                                                   std::string(128, 'a') + "' ");
}

TEST(CommandTable, KeysAreTakenFromTheirPositions) {
  const auto keys = [](std::vector<std::string_view> words) {
    std::vector<std::string> out;
    for_each_key(*find_command(words[0]), words,
                 [&](std::string_view key) { out.emplace_back(key); });
    return out;
  };
  EXPECT_THAT(keys({"get", "a"}), testing::ElementsAre("a"));
  EXPECT_THAT(keys({"mset", "a", "1", "b", "2"}), testing::ElementsAre("a", "b"));
  EXPECT_THAT(keys({"del", "a", "b", "c"}), testing::ElementsAre("a", "b", "c"));
  EXPECT_THAT(keys({"scan", "0"}), testing::IsEmpty());
}

TEST(CommandTable, EveryContainerHasAHelpThatListsItsSubcommandsAsRedisDoes) {
  for (const Command* command : all_commands()) {
    if (command->subcommands.empty()) continue;
    EXPECT_NE(find_subcommand(*command, "help"), nullptr) << command->name;
    std::string out;
    Reply reply(out, false);
    reply_help(reply, *command);
    EXPECT_TRUE(
        out.starts_with("*" + std::to_string(1 + 2 * command->subcommands.size()) + "\r\n"));
    EXPECT_THAT(out,
                testing::HasSubstr(" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    EXPECT_TRUE(out.ends_with("+HELP\r\n+    Prints this help.\r\n")) << out;
    for (const Subcommand& subcommand : command->subcommands) {
      EXPECT_THAT(out, testing::HasSubstr(std::string(subcommand.docs.summary)));
      const std::string full = syntax(*command, &subcommand);
      EXPECT_THAT(out, testing::HasSubstr("+" + full.substr(command->name.size() + 1) + "\r\n"));
    }
  }
}

TEST(CommandTable, SyntaxIsWrittenAsRedisWritesIt) {
  const auto of = [](std::string_view name, std::string_view subcommand = {}) {
    const Command& command = *find_command(name);
    return syntax(command, subcommand.empty() ? nullptr : find_subcommand(command, subcommand));
  };
  EXPECT_EQ(of("get"), "GET <key>");
  EXPECT_EQ(of("del"), "DEL <key> [<key> ...]");
  EXPECT_EQ(of("client", "reply"), "CLIENT REPLY (ON|OFF|SKIP)");
  EXPECT_EQ(of("memory", "usage"), "MEMORY USAGE <key> [SAMPLES <count>]");
  EXPECT_EQ(of("slowlog", "get"), "SLOWLOG GET [<count>]");
  EXPECT_EQ(of("shutdown"), "SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]");
  EXPECT_EQ(of("even.fault", "link"),
            "EVEN.FAULT LINK <node> (DOWN|UP|DELAY <milliseconds>|DROP <percent>) [IN|OUT]");
  EXPECT_EQ(of("even.backup", "start"), "EVEN.BACKUP START <directory> [KEEP <number>]");
}

TEST(CommandTable, ErrorsOfEvensOwnCommandsShowTheSyntax) {
  EXPECT_EQ(check({"EVEN.EXPLAIN"}),
            "ERR wrong number of arguments for 'even.explain' command: EVEN.EXPLAIN <key>");
  EXPECT_EQ(check({"EVEN.FAULT"}),
            "ERR wrong number of arguments for 'even.fault' command. Try EVEN.FAULT HELP.");
  EXPECT_EQ(check({"EVEN.FAULT", "LINK", "n2"}),
            "ERR wrong number of arguments for 'even.fault|link' command: EVEN.FAULT LINK <node> "
            "(DOWN|UP|DELAY <milliseconds>|DROP <percent>) [IN|OUT]");
}

}  // namespace
}  // namespace even
