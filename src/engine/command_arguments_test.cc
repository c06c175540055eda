#include "engine/command_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "engine/command.h"

namespace even {
namespace {

// The notation once more, with every type spelled out.
std::string written(const std::vector<Argument>& arguments, std::string_view separator = " ") {
  std::string out;
  for (const Argument& argument : arguments) {
    if (!out.empty()) out += separator;
    if (argument.optional) out += '[';
    out += argument.token;
    if (argument.type != "pure-token") {
      if (!argument.token.empty()) out += ' ';
      out += argument.name;
      if (argument.type == "oneof") {
        out += "(" + written(argument.arguments, "|") + ")";
      } else if (argument.type == "block") {
        out += "(" + written(argument.arguments) + ")";
      } else {
        out += ":" + argument.type;
      }
      if (argument.multiple) out += argument.multiple_token ? "...." : "...";
    }
    if (argument.optional) out += ']';
  }
  return out;
}

TEST(CommandArguments, AreReadFromTheirNotation) {
  for (const char* text :
       {"", "key:key", "key:key value:string", "key:key...", "[section:string...]", "GET", "[GET]",
        "[condition(NX|XX)] [GET]", "pairs(key:key value:string)...",
        "[COUNT count:integer] [TYPE type:string]", "[AUTH login(username:string password:string)]",
        "[expiration(EX seconds:integer|KEEPTTL)]", "parameter(parameter:string)...",
        "[GET pattern:pattern....] [STORE destination:key]",
        "filter(ip:port:string|new(ID id:integer|[SKIPME yes/no:string])...)"}) {
    EXPECT_EQ(written(parse_arguments(text)), text);
  }
  const std::vector<Argument> arguments = parse_arguments("key member [COUNT number:integer]");
  ASSERT_EQ(arguments.size(), 3u);
  EXPECT_EQ(arguments[0].type, "key");
  EXPECT_EQ(arguments[1].type, "string");
  EXPECT_EQ(arguments[2].token, "COUNT");
  EXPECT_EQ(arguments[2].name, "number");
  EXPECT_TRUE(arguments[2].optional);
  EXPECT_EQ(parse_arguments("[WITHVALUES]")[0].name, "withvalues");
  const Argument named = parse_arguments("[change=CH]")[0];
  EXPECT_EQ(named.name, "change");
  EXPECT_EQ(named.token, "CH");
  EXPECT_EQ(named.type, "pure-token");
}

// Fewest words that the arguments stand for, and whether there may be more.
struct Words {
  int least = 0;
  bool more = false;
};
Words words_of(const std::vector<Argument>& arguments, bool one) {
  Words all{.least = one ? 1000 : 0};
  for (const Argument& argument : arguments) {
    Words words{.least = argument.token.empty() ? 0 : 1, .more = argument.multiple};
    if (!argument.arguments.empty()) {
      const Words inner = words_of(argument.arguments, argument.type == "oneof");
      words.least += inner.least;
      words.more |= inner.more;
    } else if (argument.type != "pure-token") {
      ++words.least;
    }
    if (argument.optional) words = {.least = 0, .more = true};
    if (one) {
      words.more |= all.least != 1000 && words.least != all.least;
      all.least = std::min(all.least, words.least);
    } else {
      all.least += words.least;
    }
    all.more |= words.more;
  }
  return all;
}

void expect_fits(const std::string& name, int arity, std::string_view arguments) {
  const Words words = words_of(parse_arguments(arguments), false);
  const int least = (name.find('|') == std::string::npos ? 1 : 2) + words.least;
  if (arity > 0) {
    EXPECT_EQ(least, arity) << name;
    EXPECT_FALSE(words.more) << name;
  } else {
    EXPECT_GE(least, -arity) << name;
    EXPECT_TRUE(words.more) << name;
  }
}

// Where Redis's descriptions, which ours are, say less than there is: DEBUG has subcommands that
// are nobody's business, CLUSTER has some that are not here, COMMAND GETKEYS takes the words of
// another command, QUIT ignores what follows, and CLIENT KILL wants a filter, though each may be
// left out.
const std::set<std::string> kLoose = {"debug", "command|getkeys", "command|getkeysandflags", "quit",
                                      "client|kill"};

TEST(CommandArguments, OfEveryRowAgreeWithItsArity) {
  for (const Command* command : all_commands()) {
    const std::string name(command->name);
    // Redis says none of these.
    EXPECT_EQ(command->docs.complexity.empty(),
              command->name == "lolwut" || command->name == "monitor")
        << name;
    if (command->subcommands.empty() && !kLoose.contains(name)) {
      expect_fits(name, command->arity, command->docs.arguments);
    }
    for (const Subcommand& subcommand : command->subcommands) {
      const std::string full = name + "|" + std::string(subcommand.name);
      EXPECT_FALSE(subcommand.docs.complexity.empty()) << full;
      if (!kLoose.contains(full)) expect_fits(full, subcommand.arity, subcommand.docs.arguments);
    }
  }
}

}  // namespace
}  // namespace even
