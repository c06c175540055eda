#include "lattice/hash_ordered_map.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

namespace even {
namespace {

using Map = HashOrderedMap<int>;

// Few hashes for many keys: nearly every bucket holds several.
std::uint64_t crafted_hash(int key) {
  return static_cast<std::uint64_t>(key) % 5 * 0x4000'0000'0000'0000ULL / 2;
}
std::string name(int key) { return "key" + std::to_string(key); }

RC_GTEST_PROP(HashOrderedMap, BehavesAsAMapEvenWhenHashesCollide,
              (const std::vector<std::pair<std::uint8_t, bool>>& steps)) {
  Map map;
  std::map<std::string, int> model;
  int value = 0;
  for (const auto& [number, put] : steps) {
    const int key = number % 40;
    if (put) {
      map.get(name(key), crafted_hash(key)) = ++value;
      model[name(key)] = value;
    } else {
      RC_ASSERT(map.erase(name(key), crafted_hash(key)) == (model.erase(name(key)) == 1));
    }
    RC_ASSERT(map.size() == model.size());
  }
  for (int key = 0; key < 40; ++key) {
    const int* found = map.find(name(key), crafted_hash(key));
    const auto expected = model.find(name(key));
    RC_ASSERT((found != nullptr) == (expected != model.end()));
    if (found != nullptr) RC_ASSERT(*found == expected->second);
  }
  std::map<std::string, int> all;
  map.for_each([&](std::string_view key, int v) { all[std::string(key)] = v; });
  RC_ASSERT(all == model);
}

RC_GTEST_PROP(HashOrderedMap, TheOrderDependsOnTheContentAlone,
              (const std::vector<std::uint8_t>& keys)) {
  Map forwards;
  Map backwards;
  for (const std::uint8_t key : keys) forwards.get(name(key), crafted_hash(key));
  for (auto key = keys.rbegin(); key != keys.rend(); ++key)
    backwards.get(name(*key), crafted_hash(*key));
  std::vector<std::string> a;
  std::vector<std::string> b;
  forwards.for_each([&a](std::string_view key, int) { a.emplace_back(key); });
  backwards.for_each([&b](std::string_view key, int) { b.emplace_back(key); });
  RC_ASSERT(a == b);
}

// One step between two rounds of a scan: put or erase a key that comes and goes.
RC_GTEST_PROP(HashOrderedMap, AScanReturnsOnceWhateverIsThereThroughoutWhileOtherKeysComeAndGo,
              (const std::vector<std::pair<std::uint8_t, bool>>& steps, std::uint8_t batch,
               bool collide)) {
  const auto hash = [collide](int key) { return collide ? crafted_hash(key) : hash64(name(key)); };
  Map map;
  constexpr int kStable = 50;  // keys from 1000 on stay
  for (int key = 1000; key < 1000 + kStable; ++key) map.get(name(key), hash(key));
  std::multiset<std::string> seen;
  std::uint64_t cursor = 0;
  std::size_t step = 0;
  for (bool more = true; more;) {
    int left = 1 + batch % 10;
    const auto [again, next] =
        map.scan(cursor, [&](std::uint64_t found, std::string_view key, int) {
          RC_ASSERT(found >= cursor);
          if (key.size() == 7) seen.emplace(key);
          return --left > 0;
        });
    more = again;
    if (again) RC_ASSERT(next > cursor);
    cursor = next;
    for (int i = 0; i < 3 && step < steps.size(); ++i, ++step) {
      const int key = steps[step].first;
      steps[step].second ? void(map.get(name(key), hash(key)))
                         : void(map.erase(name(key), hash(key)));
    }
  }
  for (int key = 1000; key < 1000 + kStable; ++key) RC_ASSERT(seen.count(name(key)) == 1u);
  RC_ASSERT(seen.size() == std::size_t{kStable});
}

RC_GTEST_PROP(HashOrderedMap, EraseIfTakesExactlyWhatItIsToldTo,
              (const std::set<std::uint8_t>& keys)) {
  Map map;
  for (const std::uint8_t key : keys) map.get(name(key), crafted_hash(key)) = key;
  map.erase_if([](auto& node) { return node.value % 3 == 0; });
  std::set<int> left;
  map.for_each([&left](std::string_view, int value) { left.insert(value); });
  std::set<int> expected;
  for (const int key : keys) {
    if (key % 3 != 0) expected.insert(key);
  }
  RC_ASSERT(left == expected);
  RC_ASSERT(map.size() == expected.size());
}

TEST(HashOrderedMap, KeysOfAnySizeAreFoundAgain) {
  constexpr std::size_t kLong = (1 << 24) - 1;  // from here on sizes are kept in another way
  Map map;
  std::vector<std::string> keys;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kLong - 1, kLong, kLong + 1, 2 * kLong}) {
    keys.emplace_back(size, 'k');
    map.get(keys.back(), hash64(keys.back())) = static_cast<int>(size);
  }
  for (const std::string& key : keys) {
    const auto* node = map.find_node(key, hash64(key));
    ASSERT_NE(node, nullptr) << key.size();
    EXPECT_EQ(node->value, static_cast<int>(key.size()));
    EXPECT_TRUE(node->key() == key) << key.size();
    EXPECT_GE(node->memory_bytes(), key.size());
    EXPECT_TRUE(map.erase(key, hash64(key))) << key.size();
  }
  EXPECT_TRUE(map.empty());
}

TEST(HashOrderedMap, ARandomChoiceReachesTheEndOfALongChain) {
  HashOrderedMap<int> map;
  std::set<std::string> chosen;
  for (int i = 0; i < 20; ++i) map.get(std::to_string(i), 1) = i;  // all in one bucket
  Random random(1);
  for (int i = 0; i < 2000; ++i) chosen.emplace(map.random(random)->key());
  EXPECT_EQ(chosen.size(), 20u);
}

TEST(HashOrderedMap, ARandomChoiceReachesEveryKey) {
  Map map;
  for (int key = 0; key < 30; ++key) map.get(name(key), hash64(name(key)));
  Random random(1);
  std::set<std::string> chosen;
  for (int i = 0; i < 2000; ++i) chosen.emplace(map.random(random)->key());
  EXPECT_EQ(chosen.size(), 30u);
}

}  // namespace
}  // namespace even
