// Tables of which not all elements are in memory. What commands and passes make of them is tested
// in replica/cold_elements_test.cc.
#include "lattice/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "lattice/types/collection.h"

namespace even {
namespace {

// What is stored of a set with these members.
class Rows {
 public:
  explicit Rows(int members) : members_(static_cast<std::size_t>(members)) {
    names_.reserve(members_);  // rows refer to them
    for (int i = 0; i < members; ++i) {
      const std::string& name = names_.emplace_back("m" + std::to_string(i));
      LeafDelta& leaf = by_hash[hash64(name)].emplace_back();
      leaf.kind = LeafKind::kMember;
      leaf.field = name;
      leaf.siblings.push_back({{ReplicaId::make(1, 1), 1}, {}, {}, 0});
    }
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  std::size_t members() const { return members_; }

  std::map<std::uint64_t, std::vector<LeafDelta>> by_hash;

 private:
  const std::size_t members_;
  std::vector<std::string> names_;
};

// A set, all members of which are cold.
class Source final : public ElementSource {
 public:
  explicit Source(int members) : Source(std::make_shared<const Rows>(members)) {}
  explicit Source(std::shared_ptr<const Rows> rows) : rows_(std::move(rows)) {
    table.make_cold(rows_->members());
    table.attach(*this, "key", 0, LeafKind::kMember);
  }
  void load_element(const TableName&, std::uint64_t hash,
                    const VisitElements& visit) const override {
    ++loads;
    if (const auto row = rows_->by_hash.find(hash); row != rows_->by_hash.end()) {
      visit(hash, row->second);
    }
  }
  void scan_elements(const TableName&, std::uint64_t first, std::uint64_t last,
                     const VisitElements& visit) const override {
    const auto& rows = rows_->by_hash;
    for (auto row = rows.lower_bound(first); row != rows.end() && row->first <= last; ++row) {
      ++scanned;
      if (!visit(row->first, row->second)) return;
    }
  }
  void note_residue(const TableName&) const override {}

  bool contains(std::string_view member) const {
    return table.find(member, hash64(member)) != nullptr;
  }
  // As if a join had removed it.
  void remove(std::string_view member) {
    table.load(hash64(member));
    table.update(member, hash64(member), [](SetTable::Node&) { return false; });
  }

  SetTable table;
  mutable int loads = 0;
  mutable int scanned = 0;

 private:
  const std::shared_ptr<const Rows> rows_;
};

TEST(Table, AnElementIsReadOnceAndSoIsThatThereIsNone) {
  Source source(1000);
  EXPECT_EQ(source.table.size(), 1000u);
  for (int times = 0; times < 3; ++times) {
    EXPECT_TRUE(source.contains("m7"));
    EXPECT_FALSE(source.contains("nobody"));
  }
  EXPECT_EQ(source.loads, 2);
  EXPECT_EQ(source.table.cold(), 999u);
  EXPECT_EQ(source.table.size(), 1000u);
}

TEST(Table, WhatWasRemovedIsNotLookedForUntilThatIsStored) {
  Source source(1000);
  source.remove("m7");
  const int loads = source.loads;
  EXPECT_FALSE(source.contains("m7"));
  source.table.take();
  EXPECT_FALSE(source.contains("m7"));
  source.table.not_stored();
  source.table.take();
  EXPECT_FALSE(source.contains("m7"));
  EXPECT_EQ(source.loads, loads);
  EXPECT_TRUE(source.table.stored());
  EXPECT_FALSE(source.table.stored());
  EXPECT_TRUE(source.table.is_cold(hash64("m7")));
  EXPECT_EQ(source.table.size(), 999u);
}

TEST(Table, AScanVisitsAllInOrderWhereverTheyAre) {
  Source source(1000);
  for (int i = 0; i < 1000; i += 3) source.contains("m" + std::to_string(i));
  source.remove("m5");
  std::vector<std::uint64_t> visited;
  std::uint64_t cursor = 0;
  for (bool more = true; more;) {
    int left = 10;
    const auto [again, next] =
        source.table.scan(cursor, [&](std::uint64_t hash, std::string_view, const MemberCell&) {
          visited.push_back(hash);
          return --left > 0;
        });
    more = again;
    cursor = next;
  }
  EXPECT_EQ(visited.size(), 999u);
  EXPECT_TRUE(std::is_sorted(visited.begin(), visited.end()));
  EXPECT_EQ(std::adjacent_find(visited.begin(), visited.end()), visited.end());
}

TEST(Table, AScanReadsAboutAsMuchAsItVisits) {
  Source source(100'000);
  int left = 10;
  source.table.scan(
      1u << 20, [&left](std::uint64_t, std::string_view, const MemberCell&) { return --left > 0; });
  EXPECT_LE(source.scanned, 64);
}

TEST(Table, RandomChoicesAreUniformWhateverIsInMemory) {
  constexpr int kMembers = 50;
  constexpr int kDraws = 50'000;
  std::map<std::string, int> drawn;
  Random random(1);
  const auto rows = std::make_shared<const Rows>(kMembers);
  for (int i = 0; i < kDraws; ++i) {
    Source source(rows);
    for (int j = 0; j < kMembers / 2; ++j) source.contains("m" + std::to_string(j));
    ++drawn[std::string(source.table.random(random)->key())];
  }
  ASSERT_EQ(drawn.size(), std::size_t{kMembers});
  // Six standard deviations of one count.
  for (const auto& [member, count] : drawn) {
    EXPECT_NEAR(count, kDraws / kMembers, 6 * 32) << member;
  }
}

TEST(Table, EvictionSparesWhatIsUsedOrChangedAndGoesOnWhereItStopped) {
  Source source(1000);
  source.table.load_all();
  source.table.update("m3", hash64("m3"), [](SetTable::Node&) { return true; });
  std::size_t evicted = 0;
  int rounds = 0;
  for (bool at_end = false; !at_end; ++rounds) {
    EXPECT_TRUE(source.contains("m4"));
    std::size_t limit = 100;
    at_end = source.table.evict(limit, evicted);
  }
  EXPECT_EQ(rounds, 10);
  EXPECT_EQ(evicted, 998u);
  EXPECT_EQ(source.table.cold(), 998u);
  EXPECT_EQ(source.table.size(), 1000u);
  EXPECT_EQ(source.table.in_memory().size(), 2u);
}

}  // namespace
}  // namespace even
