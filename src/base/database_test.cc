#include "base/database.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace even {
namespace {

TEST(Database, EveryPairOfDatabaseAndKeyHasItsOwnNameFromWhichBothCanBeTold) {
  std::vector<std::string> keys = {"",
                                   "k",
                                   std::string("\0", 1),
                                   std::string("\0db", 3),
                                   std::string("\0db:", 4),
                                   std::string("\0db:\x10x", 6),
                                   std::string("\0even:x", 7),
                                   std::string("\0once:x", 7)};
  // Those that look like names of other databases, and names of these.
  for (DatabaseNumber i = 0; i < kDatabases; ++i) {
    keys.push_back(stored_key(i, "k"));
    keys.push_back(stored_key(i, stored_key(i, "k")));
  }
  std::set<std::string> distinct(keys.begin(), keys.end());
  std::set<std::string> names;
  for (DatabaseNumber i = 0; i < kDatabases; ++i) {
    for (const std::string& key : distinct) {
      const std::string name = stored_key(i, key);
      EXPECT_TRUE(names.insert(name).second);
      EXPECT_EQ(database_of(name), i);
      EXPECT_FALSE(is_reserved(name) || name.starts_with(kOncePrefix));
      EXPECT_EQ(user_key(name), key);
    }
  }
  EXPECT_EQ(stored_key(0, "k"), "k");
}

TEST(Database, SwapsMakePermutationsAndUndoThemselves) {
  DatabaseMap map;
  EXPECT_TRUE(map.is_identity());
  map.swap(0, 15);
  map.swap(0, 3);
  map.swap(7, 7);
  EXPECT_EQ(map.stored(0), 3);
  EXPECT_EQ(map.stored(3), 15);
  EXPECT_EQ(map.stored(15), 0);
  EXPECT_EQ(map.stored(7), 7);
  for (DatabaseNumber i = 0; i < kDatabases; ++i) EXPECT_EQ(map.database(map.stored(i)), i);
  EXPECT_EQ(DatabaseMap::parse(map.text()), map);
  map.swap(3, 0);
  map.swap(15, 0);
  EXPECT_TRUE(map.is_identity());
}

TEST(Database, WhatIsNoPermutationIsNotRead) {
  EXPECT_EQ(DatabaseMap::parse("0123456789abcdef"), DatabaseMap());
  EXPECT_EQ(DatabaseMap::parse("0023456789abcdef"), std::nullopt);
  EXPECT_EQ(DatabaseMap::parse("0123456789abcdeg"), std::nullopt);
  EXPECT_EQ(DatabaseMap::parse("0123456789abcde"), std::nullopt);
}

}  // namespace
}  // namespace even
