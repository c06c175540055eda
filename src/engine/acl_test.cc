#include "engine/acl.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/glob.h"
#include "env/random.h"

namespace even {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

AclUser user_with(std::initializer_list<std::string_view> rules) {
  AclUser user("u");
  for (const std::string_view rule : rules) {
    const Result<> applied = user.apply(rule);
    EXPECT_TRUE(applied) << rule << ": " << applied.error().message;
  }
  return user;
}

std::string refusal(const AclUser& user, std::initializer_list<std::string_view> words) {
  const auto denial = user.check(Args(words.begin(), words.size()));
  return denial ? denial->reply_to_dry_run() : "OK";
}

std::string error_of(std::initializer_list<std::string_view> rules) {
  AclUser user("u");
  for (const std::string_view rule : rules) {
    if (const Result<> applied = user.apply(rule); !applied) return applied.error().message;
  }
  return "none";
}

TEST(AclRules, ANewUserMayDoNothing) {
  const AclUser user("u");
  EXPECT_EQ(user.definition(), "off resetchannels -@all");
  EXPECT_FALSE(user.enabled());
  EXPECT_FALSE(user.may_all());
  EXPECT_EQ(refusal(user, {"get", "k"}), "This user has no permissions to run the 'get' command");
  EXPECT_EQ(refusal(user, {"auth", "x"}), "OK") << "or it could not become anybody else";
}

TEST(AclRules, WhoMayDoEverythingIsNotChecked) {
  EXPECT_TRUE(user_with({"+@all", "~*", "&*"}).may_all());
  EXPECT_TRUE(user_with({"(allcommands allkeys allchannels)"}).may_all());
  EXPECT_FALSE(user_with({"+@all", "~*", "&*", "-get"}).may_all());
  EXPECT_FALSE(user_with({"+@all", "~*"}).may_all());
  EXPECT_FALSE(user_with({"+@all", "&*", "~*", "resetkeys"}).may_all());
  EXPECT_FALSE(user_with({"+@all", "~*", "&*", "reset"}).may_all());
}

TEST(AclRules, OfCommandsTheLastOneHolds) {
  const AclUser user = user_with({"~*", "+@read", "-get", "+set", "-@hash", "+hget"});
  EXPECT_EQ(refusal(user, {"mget", "k"}), "OK");
  EXPECT_EQ(refusal(user, {"get", "k"}), "This user has no permissions to run the 'get' command");
  EXPECT_EQ(refusal(user, {"SET", "k", "v"}), "OK");
  EXPECT_EQ(refusal(user, {"hget", "k", "f"}), "OK");
  EXPECT_THAT(refusal(user, {"hgetall", "k"}), HasSubstr("'hgetall'"));
}

TEST(AclRules, ASubcommandHasARightOfItsOwn) {
  const AclUser user = user_with({"+config|get", "+client", "-client|kill"});
  EXPECT_EQ(refusal(user, {"config", "get", "x"}), "OK");
  EXPECT_THAT(refusal(user, {"CONFIG", "SET", "x", "y"}), HasSubstr("'config|set'"));
  EXPECT_EQ(refusal(user, {"client", "id"}), "OK");
  EXPECT_THAT(refusal(user, {"client", "kill", "x"}), HasSubstr("'client|kill'"));
}

TEST(AclRules, AFirstWordCanBeAllowed) {
  const AclUser user = user_with({"+select|0"});
  EXPECT_EQ(refusal(user, {"select", "0"}), "OK");
  EXPECT_THAT(refusal(user, {"select", "1"}), HasSubstr("'select'"));
  EXPECT_THAT(refusal(user_with({"+select|0", "-select"}), {"select", "0"}), HasSubstr("'select'"));
}

TEST(AclRules, KeysAreReadAndWrittenByPatternsForThat) {
  const AclUser user = user_with({"+@all", "%R~r:*", "%W~w:*", "~b:*"});
  EXPECT_EQ(refusal(user, {"get", "r:1"}), "OK");
  EXPECT_THAT(refusal(user, {"get", "w:1"}), HasSubstr("'w:1' key"));
  EXPECT_EQ(refusal(user, {"set", "w:1", "v"}), "OK");
  EXPECT_THAT(refusal(user, {"set", "w:1", "v", "GET"}), HasSubstr("'w:1' key"));
  EXPECT_EQ(refusal(user, {"set", "b:1", "v", "GET"}), "OK");
  EXPECT_EQ(refusal(user, {"copy", "r:1", "w:1"}), "OK");
  EXPECT_THAT(refusal(user, {"copy", "w:1", "r:1"}), HasSubstr("'w:1' key"));
  EXPECT_EQ(refusal(user, {"bitfield", "r:1", "GET", "u8", "0"}), "OK");
  EXPECT_THAT(refusal(user, {"bitfield", "r:1", "SET", "u8", "0", "1"}), HasSubstr("'r:1' key"));
  EXPECT_EQ(refusal(user, {"exists", "w:1"}), "OK") << "that a key is there is not its content";
  EXPECT_THAT(refusal(user, {"mget", "r:1", "other"}), HasSubstr("'other' key"));
  EXPECT_EQ(refusal(user, {"eval", "return 1", "1", "b:1", "other"}), "OK");
  EXPECT_THAT(refusal(user, {"eval", "return 1", "1", "other"}), HasSubstr("'other' key"));
  EXPECT_THAT(refusal(user, {"object", "encoding", "other"}), HasSubstr("'other' key"));
  EXPECT_THAT(refusal(user, {"xread", "STREAMS", "other", "0"}), HasSubstr("'other' key"));
  EXPECT_THAT(refusal(user, {"zunionstore", "w:1", "2", "r:1", "other"}), HasSubstr("'other' key"));
  EXPECT_THAT(refusal(user, {"sort", "r:1", "STORE", "r:2"}), HasSubstr("'r:2' key"));
}

TEST(AclRules, WhatSortReachesBesidesItsWordsNeedsAllKeys) {
  const AclUser some = user_with({"+sort", "~k*"});
  const auto denial = some.check(std::vector<std::string_view>{"sort", "k", "BY", "w_*"});
  ASSERT_TRUE(denial);
  EXPECT_EQ(denial->reply(), "ERR BY option of SORT denied due to insufficient ACL permissions.");
  EXPECT_EQ(refusal(some, {"sort", "k", "BY", "nosort"}), "OK");
  EXPECT_NE(refusal(some, {"sort", "k", "GET", "#"}), "OK");
  EXPECT_EQ(refusal(user_with({"+sort", "%R~*"}), {"sort", "k", "BY", "w_*", "GET", "x_*"}), "OK");
}

TEST(AclRules, ChannelsAreMatchedAndPatternsOfThemAreThemselves) {
  const AclUser user = user_with({"+@all", "&news.*"});
  EXPECT_EQ(refusal(user, {"publish", "news.x", "m"}), "OK");
  EXPECT_THAT(refusal(user, {"spublish", "other", "m"}), HasSubstr("'other' channel"));
  EXPECT_THAT(refusal(user, {"subscribe", "news.a", "other"}), HasSubstr("'other' channel"));
  EXPECT_EQ(refusal(user, {"ssubscribe", "news.a"}), "OK");
  EXPECT_EQ(refusal(user, {"psubscribe", "news.*"}), "OK");
  EXPECT_THAT(refusal(user, {"psubscribe", "news.a*"}), HasSubstr("'news.a*' channel"));
  EXPECT_EQ(refusal(user, {"unsubscribe", "other"}), "OK");
}

TEST(AclRules, OneSelectorHasToAllowAllOfARequest) {
  const AclUser user = user_with({"+get", "~a", "(+set ~b)", "(+mget ~a ~b)"});
  EXPECT_EQ(refusal(user, {"get", "a"}), "OK");
  EXPECT_THAT(refusal(user, {"get", "b"}), HasSubstr("'b' key"));
  EXPECT_EQ(refusal(user, {"set", "b", "v"}), "OK");
  EXPECT_THAT(refusal(user, {"set", "a", "v"}), HasSubstr("'a' key"));
  EXPECT_EQ(refusal(user, {"mget", "a", "b"}), "OK");
  EXPECT_EQ(user_with({"(+set ~b)", "clearselectors"}).selectors().size(), 1u);
}

TEST(AclRules, PasswordsAreKeptAsHashes) {
  AclUser user = user_with({"on", ">secret", ">other"});
  EXPECT_TRUE(user.password_matches("secret"));
  EXPECT_TRUE(user.password_matches("other"));
  EXPECT_FALSE(user.password_matches(""));
  EXPECT_THAT(user.definition(), Not(HasSubstr("secret")));
  EXPECT_THAT(user.definition(), HasSubstr("#" + password_hash("secret")));
  EXPECT_THAT(user.rights(), Not(HasSubstr("#")));
  EXPECT_TRUE(user.apply("<secret"));
  EXPECT_FALSE(user.password_matches("secret"));
  EXPECT_TRUE(user.apply("!" + password_hash("other")));
  EXPECT_TRUE(user.password_hashes().empty());
  EXPECT_EQ(without_password(">secret"), "#" + password_hash("secret"));
  EXPECT_EQ(without_password("<secret"), "!" + password_hash("secret"));
  EXPECT_EQ(without_password("~>x"), "~>x");
}

TEST(AclRules, WhatIsNoneIsRefused) {
  EXPECT_EQ(error_of({"bogus"}), "Syntax error");
  EXPECT_EQ(error_of({"%"}), "Syntax error");
  EXPECT_EQ(error_of({"%~x"}), "Syntax error");
  EXPECT_EQ(error_of({"%RR~x"}), "Syntax error");
  EXPECT_EQ(error_of({"~a b"}), "Syntax error");
  EXPECT_EQ(error_of({"+debug|"}), "Syntax error");
  EXPECT_EQ(error_of({"(>x)"}), "Syntax error");
  EXPECT_EQ(error_of({"+nosuch"}), "Unknown command or category name in ACL");
  EXPECT_EQ(error_of({"-config|nosuch"}), "Unknown command or category name in ACL");
  EXPECT_EQ(error_of({"+@nosuch"}), "Unknown command or category name in ACL");
  EXPECT_EQ(error_of({"+config|get|x"}), "Allowing first-arg of a subcommand is not supported");
  EXPECT_THAT(error_of({"~*", "~x"}), HasSubstr("Adding a pattern after the * pattern"));
  EXPECT_THAT(error_of({"&*", "&x"}), HasSubstr("Adding a pattern after the * pattern"));
  EXPECT_THAT(error_of({"#abc"}), HasSubstr("exactly 64 characters"));
  EXPECT_THAT(error_of({"<x"}), HasSubstr("does not exist"));
}

TEST(AclRules, SelectorsComeInSeveralWords) {
  const std::vector<std::string_view> words = {"on", "(+get", "~a", "~b)", "+set"};
  EXPECT_EQ(merge_selectors(words).value(),
            (std::vector<std::string>{"on", "(+get ~a ~b)", "+set"}));
  const std::vector<std::string_view> open = {"(+get", "~a"};
  EXPECT_THAT(merge_selectors(open).error().message, HasSubstr("Unmatched parenthesis"));
}

// Every command is in exactly one of @fast and @slow, so in some category.
TEST(AclRules, CategoriesCoverAllCommands) {
  std::set<std::string> all;
  for (const std::string_view category : {"fast", "slow"}) {
    const auto names = commands_of_category(category);
    ASSERT_TRUE(names);
    for (const std::string& name : *names) {
      EXPECT_TRUE(all.insert(name).second) << name;
    }
  }
  for (const Command* command : all_commands())
    EXPECT_TRUE(all.contains(std::string(command->name)));
  EXPECT_FALSE(commands_of_category("nosuch"));
  EXPECT_THAT(*commands_of_category("DANGEROUS"), Contains("even.fault"));
}

TEST(AclRules, OfUsersThatCannotBeReadNoneMayDoAnything) {
  const std::vector<std::pair<std::string, std::string>> definitions = {
      {"a", "on nopass ~* &* +@all"}, {"b", "on nopass ~* &* +@all +command.of.tomorrow"}};
  const AclUsers users(definitions);
  EXPECT_TRUE(users.find("a")->may_all());
  EXPECT_FALSE(users.find("b")->enabled());
  EXPECT_EQ(users.unreadable(), std::vector<std::string>{"b"});
  EXPECT_EQ(users.find("c"), nullptr);
}

TEST(AclRules, AScriptGoesWithItsUsersRights) {
  const AclUser user = user_with({"on", ">secret", "+eval", "+get", "~k", "(+set ~s)"});
  const std::string rights = rights_of(user);
  EXPECT_THAT(rights, Not(HasSubstr("#")));
  const Result<AclUser> there = user_of_rights(rights);
  ASSERT_TRUE(there);
  EXPECT_EQ(there->name(), "u");
  EXPECT_EQ(there->rights(), user.rights());
  const std::vector<std::string_view> words = {kAsUserName, rights, "eval_ro",
                                               "return 1",  "1",    "k"};
  const Command* row = find_as_user_command(words);
  ASSERT_EQ(row, &kAsUserReadOnlyCommand);
  std::vector<std::string_view> keys;
  for_each_key(*row, words, [&](std::string_view key) { keys.push_back(key); });
  EXPECT_EQ(keys, std::vector<std::string_view>{"k"});
  const std::vector<std::string_view> no_script = {kAsUserName, rights, "get", "k"};
  EXPECT_EQ(find_as_user_command(no_script), nullptr);
  EXPECT_EQ(find_command(kAsUserName), nullptr) << "clients do not name it";
}

// --- Against a model that remembers all rules and goes through them for each request.

struct ModelSelector {
  std::vector<std::string> rules;

  bool executes(const CommandEntry& entry) const {
    bool may = false;
    for (const std::string& rule : rules) {
      const bool allow = rule[0] == '+';
      if (rule[0] != '+' && rule[0] != '-') continue;
      const std::string what = rule.substr(1);
      const std::string container(entry.command.name);
      if (what == "@all" || what == entry.name() || what == container) {
        may = allow;
      } else if (what.starts_with('@')) {
        const auto has = [&](const CommandEntry& of) {
          const auto categories = of.categories();
          return std::ranges::find(categories, what) != categories.end();
        };
        if (has(entry) || (entry.subcommand != nullptr && has({entry.command}))) may = allow;
      }
    }
    return may;
  }
  bool touches(std::string_view key, bool read, bool write) const {
    bool all = false;
    std::vector<std::string> patterns;
    for (const std::string& rule : rules) {
      if (rule == "resetkeys") {
        patterns.clear();
        all = false;
      } else if (rule == "~*") {
        all = true;
      } else if (rule[0] == '~' || rule[0] == '%') {
        patterns.push_back(rule);
      }
    }
    if (all) return true;
    // Rights to one pattern add up, those to different ones do not.
    std::map<std::string, std::pair<bool, bool>> rights;
    for (const std::string& rule : patterns) {
      const std::size_t tilde = rule.find('~');
      auto& [reads, writes] = rights[rule.substr(tilde + 1)];
      reads |= tilde == 0 || rule.substr(0, tilde).find('R') != std::string::npos;
      writes |= tilde == 0 || rule.substr(0, tilde).find('W') != std::string::npos;
    }
    for (const auto& [pattern, right] : rights) {
      if ((!read || right.first) && (!write || right.second) && glob_match(pattern, key)) {
        return true;
      }
    }
    return false;
  }
};

class AclModel : public testing::TestWithParam<int> {};

TEST_P(AclModel, DecidesAsTheRulesSay) {
  Random random(static_cast<std::uint64_t>(GetParam()));
  const auto pick = [&random](const auto& list) {
    return std::string(list[random.below(std::size(list))]);
  };
  constexpr std::string_view kCommandRules[] = {
      "+@all",   "-@all",     "+get",        "-get",        "+set",        "-set",
      "+@read",  "-@read",    "+@write",     "-@write",     "+@string",    "-@string",
      "+config", "-config",   "+config|get", "-config|get", "+config|set", "+@admin",
      "-@admin", "+@slow",    "-@slow",      "+mget",       "-mget",       "+object|encoding",
      "-object", "+@keyspace"};
  constexpr std::string_view kKeyRules[] = {"~a*", "%R~a*",  "%W~a*",     "%R~b", "%W~b",
                                            "~c",  "%RW~b*", "resetkeys", "~*"};
  struct Request {
    std::vector<std::string_view> words;
    std::vector<std::pair<std::string_view, std::string_view>> keys;  // and "r", "w" or "rw"
  };
  const Request requests[] = {
      {{"get", "a1"}, {{"a1", "r"}}},
      {{"get", "b"}, {{"b", "r"}}},
      {{"set", "a1", "v"}, {{"a1", "w"}}},
      {{"set", "b", "v", "get"}, {{"b", "rw"}}},
      {{"mget", "a1", "b", "c"}, {{"a1", "r"}, {"b", "r"}, {"c", "r"}}},
      {{"exists", "b"}, {{"b", ""}}},
      {{"object", "encoding", "c"}, {{"c", ""}}},
      {{"config", "get", "x"}, {}},
      {{"config", "set", "x", "y"}, {}},
      {{"copy", "a1", "b"}, {{"a1", "r"}, {"b", "w"}}},
  };
  AclUser user("u");
  std::vector<ModelSelector> model(1);
  for (int step = 0; step < 30; ++step) {
    if (random.below(8) == 0) {
      ModelSelector selector;
      std::string rule = "(";
      for (std::size_t i = random.below(4); i-- > 0;) {
        std::string part = random.below(2) == 0 ? pick(kCommandRules) : pick(kKeyRules);
        if (part == "~*") part = "~c";  // nothing may follow it
        selector.rules.push_back(part);
        rule += part + " ";
      }
      while (rule.ends_with(' ')) rule.pop_back();
      ASSERT_TRUE(user.apply(rule + ")")) << rule;
      model.push_back(selector);
    } else {
      const std::string rule = random.below(2) == 0 ? pick(kCommandRules) : pick(kKeyRules);
      if (user.apply(rule)) model[0].rules.push_back(rule);
    }
    // What it is written as is the same user.
    const Result<AclUser> again = AclUser::parse("u", user.definition());
    ASSERT_TRUE(again) << user.definition();
    for (const AclUser* each : std::initializer_list<const AclUser*>{&user, &*again}) {
      for (const Request& request : requests) {
        const CommandEntry entry = *entry_of_request(request.words);
        const bool expected = std::ranges::any_of(model, [&](const ModelSelector& selector) {
          return selector.executes(entry) &&
                 std::ranges::all_of(request.keys, [&](const auto& key) {
                   return selector.touches(key.first, key.second.find('r') != std::string::npos,
                                           key.second.find('w') != std::string::npos);
                 });
        });
        ASSERT_EQ(!each->check(request.words), expected)
            << fmt::format("{} of {}", entry.name(), each->definition());
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, AclModel, testing::Range(0, 50));

}  // namespace
}  // namespace even
