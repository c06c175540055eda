// SORT, where the comparison with redis-server does not look: which row executes what, and which
// keys it names.
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

class SortCommands : public CommandFixture {
 protected:
  static std::vector<std::string> keys(std::initializer_list<std::string_view> words) {
    const Args args(words.begin(), words.size());
    std::vector<std::string> out;
    for_each_key(*find_command(args), args,
                 [&out](std::string_view key) { out.emplace_back(key); });
    return out;
  }
  static Scope scope(std::initializer_list<std::string_view> words) {
    return find_command(Args(words.begin(), words.size()))->scope;
  }
};

TEST_F(SortCommands, WithAPatternOfKeysItIsAboutAllPartitions) {
  EXPECT_EQ(scope({"SORT", "k"}), Scope::kKeys);
  EXPECT_EQ(scope({"SORT", "k", "BY", "nosort"}), Scope::kKeys);
  EXPECT_EQ(scope({"SORT", "k", "GET", "#"}), Scope::kKeys);
  EXPECT_EQ(scope({"SORT", "k", "BY", "w_*"}), Scope::kAll);
  EXPECT_EQ(scope({"sort_ro", "k", "get", "w_*"}), Scope::kAll);
}

TEST_F(SortCommands, ItNamesTheKeyWhereItStores) {
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys({"SORT", "k"}), (Keys{"k"}));
  EXPECT_EQ(keys({"SORT", "k", "STORE", "a", "ALPHA", "store", "b"}), (Keys{"k", "b"}));
  EXPECT_EQ(keys({"SORT", "k", "BY", "store", "STORE", "b"}), (Keys{"k", "b"}));
  EXPECT_EQ(keys({"SORT", "k", "GET", "store"}), (Keys{"k"}));
  EXPECT_EQ(keys({"SORT_RO", "k", "STORE", "b"}), (Keys{"k"}));
  EXPECT_EQ(keys({"GEORADIUS", "k", "1", "2", "3", "m", "STORE", "a", "STOREDIST", "b"}),
            (Keys{"k", "b"}));
}

TEST_F(SortCommands, AResultMayTakeThePlaceOfItsInput) {
  run({"RPUSH", "l", "3", "1", "2"});
  run({"EXPIRE", "l", "100"});
  EXPECT_EQ(run({"SORT", "l", "STORE", "l"}), ":3\r\n");
  EXPECT_EQ(run({"LRANGE", "l", "0", "-1"}), "*3\r\n" + bulk("1") + bulk("2") + bulk("3"));
  EXPECT_EQ(run({"TTL", "l"}), ":-1\r\n");
  run({"MSET", "w_1", "c", "w_2", "b", "w_3", "a"});
  EXPECT_EQ(run({"SORT", "l", "BY", "w_*", "ALPHA", "GET", "#", "GET", "w_*", "LIMIT", "0", "2"}),
            "*4\r\n" + bulk("3") + bulk("a") + bulk("2") + bulk("b"));
}

}  // namespace
}  // namespace even
