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
    EXPECT_EQ(command->handler == nullptr, command->scope == Scope::kConnection) << command->name;
    EXPECT_EQ(command->first_key == 0, command->key_spec.empty()) << command->name;
    EXPECT_FALSE(command->summary.empty()) << command->name;
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

TEST(CommandTable, HelpListsEverySubcommand) {
  std::string out;
  Reply reply(out, false);
  reply_help(reply, *find_command("client"));
  for (const Subcommand& subcommand : find_command("client")->subcommands) {
    EXPECT_THAT(out, testing::HasSubstr(std::string(subcommand.summary)));
  }
}

}  // namespace
}  // namespace even
