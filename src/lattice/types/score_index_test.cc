#include "lattice/types/score_index.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "env/random.h"

namespace even {
namespace {

using ScoreModel = std::set<std::pair<double, std::string>>;

// The members of an index, and what is in it.
class Members {
 public:
  const ScoreIndex::Member* node(const std::string& name) {
    return &nodes_.get_node(name, hash64(name));
  }
  ScoreIndex make(const ScoreModel& model) {
    std::vector<ScoreIndex::Entry> entries;
    for (const auto& [score, name] : model) entries.push_back({score, node(name)});
    std::ranges::reverse(entries);  // any order will do
    return ScoreIndex(std::move(entries));
  }

 private:
  HashOrderedMap<ScalarCell> nodes_;
};

std::vector<std::pair<double, std::string>> listed(const ScoreIndex& index, std::size_t first,
                                                   std::size_t count, bool downwards) {
  std::vector<std::pair<double, std::string>> out;
  index.visit(first, count, downwards, [&out](const ScoreIndex::Entry& entry) {
    out.emplace_back(entry.score, entry.name());
  });
  return out;
}

void expect_same(const ScoreIndex& index, const ScoreModel& model) {
  ASSERT_EQ(index.size(), model.size());
  EXPECT_EQ(index.last_before(-1, "m"), nullptr);
  if (model.empty()) return;
  const auto place_of = [](const ScoreIndex::Entry& entry) {
    return std::pair(entry.score, std::string(entry.name()));
  };
  EXPECT_EQ(place_of(index.edge(true)), *model.begin());
  EXPECT_EQ(place_of(index.edge(false)), *model.rbegin());
  for (const bool first : {true, false}) {
    EXPECT_EQ(index.near_edge(first, 0), &index.edge(first));
    const auto* next = index.near_edge(first, 1);
    if (next == nullptr) continue;
    EXPECT_EQ(place_of(*next), first ? *std::next(model.begin()) : *std::next(model.rbegin()));
  }
  EXPECT_EQ(index.near_edge(true, model.size()), nullptr);
  EXPECT_EQ(place_of(*index.last_before(1e9, "")), *model.rbegin());
  EXPECT_EQ(listed(index, 0, model.size(), false), std::vector(model.begin(), model.end()));
  EXPECT_EQ(listed(index, model.size() - 1, model.size(), true),
            std::vector(model.rbegin(), model.rend()));
  std::size_t rank = 0;
  for (const auto& [score, name] : model) {
    const std::pair<double, std::string_view> place(score, name);
    const auto before = [&place](double s, std::string_view n) { return std::pair(s, n) < place; };
    ASSERT_EQ(index.count_while(before), rank);
    ASSERT_EQ(listed(index, rank, 1, false).at(0).second, name);
    const auto* before_it = index.last_before(score, name);
    ASSERT_EQ(before_it == nullptr, rank == 0);
    if (rank > 0) {
      ASSERT_EQ(place_of(*before_it), *std::prev(model.find({score, name})));
    }
    ++rank;
  }
}

// Few scores, so that names decide as well.
std::pair<double, std::string> draw(Random& random, std::uint64_t names) {
  return {static_cast<double>(random.below(50)), "m" + std::to_string(random.below(names))};
}

TEST(ScoreIndex, IsLikeASortedSetWhateverIsInsertedAndErased) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Members members;
    ScoreModel model;
    const std::uint64_t names = seed % 3 == 0 ? 100 : 5000;
    for (std::uint64_t i = random.below(3) * 1500; i > 0; --i) model.insert(draw(random, names));
    ScoreIndex index = members.make(model);
    expect_same(index, model);
    for (int phase = 0; phase < 6; ++phase) {
      const double growth = phase % 2 == 0 ? 0.8 : 0.2;
      for (int i = 0; i < 2500; ++i) {
        if (random.chance(growth)) {
          const auto entry = draw(random, names);
          if (model.insert(entry).second) index.insert({entry.first, members.node(entry.second)});
        } else if (!model.empty()) {
          auto at = model.lower_bound(draw(random, names));
          if (at == model.end()) at = model.begin();
          index.erase(at->first, at->second);
          model.erase(at);
        }
      }
      expect_same(index, model);
    }
    while (!model.empty()) {
      const auto at = random.chance(0.5) ? model.begin() : std::prev(model.end());
      index.erase(at->first, at->second);
      model.erase(at);
      if (model.size() % 500 == 0) expect_same(index, model);
    }
    EXPECT_EQ(index.size(), 0u);
    index.insert({1, members.node("again")});
    expect_same(index, {{1, "again"}});
  }
}

// As with scores that are times: leaves stay full, and a member takes little more than its entry.
TEST(ScoreIndex, GrowsAtItsEndWithFullLeaves) {
  Members members;
  ScoreModel model;
  ScoreIndex index = members.make(model);
  for (int i = 0; i < 20000; ++i) {
    const std::string name = "m" + std::to_string(i);
    index.insert({static_cast<double>(i), members.node(name)});
    model.emplace(i, name);
  }
  expect_same(index, model);
  EXPECT_LT(index.footprint().bytes, model.size() * 19);
}

// As a list does to which is pushed from the left.
TEST(ScoreIndex, GrowsAtItsBeginningWithFullLeaves) {
  Members members;
  ScoreModel model;
  ScoreIndex index = members.make(model);
  for (int i = 20000; i > 0; --i) {
    const std::string name = "m" + std::to_string(i);
    index.insert({static_cast<double>(i), members.node(name)});
    model.emplace(i, name);
  }
  expect_same(index, model);
  EXPECT_LT(index.footprint().bytes, model.size() * 19);
}

TEST(ScoreIndex, TakesNoMoreThan25BytesForAMemberThatComesAnywhere) {
  Members members;
  Random random(7);
  ScoreModel model;
  ScoreIndex index = members.make(model);
  while (model.size() < 20000) {
    const auto entry =
        std::pair(static_cast<double>(random.next() % 1000000), "m" + std::to_string(model.size()));
    model.insert(entry);
    index.insert({entry.first, members.node(entry.second)});
  }
  expect_same(index, model);
  EXPECT_LT(index.footprint().bytes, model.size() * 25);
}

}  // namespace
}  // namespace even
