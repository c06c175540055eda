// What every RowStore does.
#include "store/row_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/test_store.h"
#include "store/topic_rows.h"

namespace even::test {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

template <typename World>
class RowStoreTest : public testing::Test {
 protected:
  World world_;
};

class Names {
 public:
  template <typename World>
  static std::string GetName(int) {
    return std::is_same_v<World, RocksWorld> ? "Rocks" : "Sim";
  }
};
using Worlds = testing::Types<RocksWorld, SimWorld>;
TYPED_TEST_SUITE(RowStoreTest, Worlds, Names);

TYPED_TEST(RowStoreTest, ANewStoreIsEmpty) {
  EXPECT_EQ(scan(*this->world_.store), Rows{});
  EXPECT_EQ(get(*this->world_.store, "a"), std::nullopt);
}

TYPED_TEST(RowStoreTest, RowsComeBack) {
  const Rows rows = {{"", "the row with no bytes"},
                     {"a", ""},
                     {std::string("a\0b", 3), std::string("\0\xff", 2)},
                     {"b", std::string(3'000'000, 'x')}};
  ASSERT_TRUE(put(this->world_, rows));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(scan(*this->world_.store), rows);
    for (const auto& [row, value] : rows) {
      EXPECT_EQ(get(*this->world_.store, row), std::optional(value));
    }
    EXPECT_EQ(get(*this->world_.store, "aa"), std::nullopt);
    this->world_.reopen();
  }
}

TYPED_TEST(RowStoreTest, AScanAscendsFromTheFirstRowAndStopsBeforeTheEnd) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "2"}, {"ba", "3"}, {"c", "4"}, {"\xff", "5"}}));
  RowStore& store = *this->world_.store;
  EXPECT_EQ(scan(store, "b", "c"), (Rows{{"b", "2"}, {"ba", "3"}}));
  EXPECT_EQ(scan(store, "aa", "bb"), (Rows{{"b", "2"}, {"ba", "3"}}));
  EXPECT_EQ(scan(store, "c", "c"), Rows{});
  EXPECT_EQ(scan(store, "c", "a"), Rows{});
  EXPECT_EQ(scan(store, "", ""), Rows{});
}

TYPED_TEST(RowStoreTest, AScanEndsWhenItIsTold) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "2"}, {"c", "3"}}));
  std::vector<std::string> visited;
  ASSERT_TRUE(this->world_.store->scan("a", "z", [&](std::string_view row, std::string_view) {
    visited.emplace_back(row);
    return visited.size() < 2;
  }));
  EXPECT_THAT(visited, ElementsAre("a", "b"));
}

TYPED_TEST(RowStoreTest, AScanSeesTheStoreAsItWasAtTheCall) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "1"}, {"c", "1"}}));
  Rows visited;
  ASSERT_TRUE(this->world_.store->scan("a", "z", [&](std::string_view row, std::string_view value) {
    if (visited.empty()) {
      EXPECT_TRUE(put(this->world_, {{"b", "2"}, {"d", "2"}}));
    }
    visited.emplace(row, value);
    return true;
  }));
  EXPECT_EQ(visited, (Rows{{"a", "1"}, {"b", "1"}, {"c", "1"}}));
}

// What a fetch of a range gives, as "row=value".
template <typename World>
std::vector<std::string> fetch_range(World& world, const std::string& first, const std::string& end,
                                     std::size_t max_bytes) {
  std::optional<RowStore::FetchedRange> fetched;
  world.store->fetch_range(first, end, max_bytes,
                           [&](RowStore::FetchedRange rows) { fetched = std::move(rows); });
  world.run_until([&] { return fetched.has_value(); });
  std::vector<std::string> out;
  for (const RowStore::Row& row : **fetched) out.push_back(row.name + "=" + row.value);
  return out;
}

TYPED_TEST(RowStoreTest, AFetchOfARangeGivesAsManyRowsAsMayBeButOne) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "22"}, {"c", "333"}, {"d", "4"}}));
  EXPECT_THAT(fetch_range(this->world_, "b", "d", 1 << 20), ElementsAre("b=22", "c=333"));
  EXPECT_THAT(fetch_range(this->world_, "aa", "\xff", 3), ElementsAre("b=22"));
  EXPECT_THAT(fetch_range(this->world_, "aa", "\xff", 1), ElementsAre("b=22"));
  EXPECT_THAT(fetch_range(this->world_, "b", "\xff", 7), ElementsAre("b=22", "c=333"));
  EXPECT_THAT(fetch_range(this->world_, "e", "\xff", 1), testing::IsEmpty());
}

// Each pass has files of them beside that of its other rows; all come and go together.
TYPED_TEST(RowStoreTest, RowsOfTopicsAreStoredWithTheRestOfAPass) {
  Rows expected;
  for (std::uint64_t pass = 0; pass < 3; ++pass) {
    Rows rows = {{"summary", std::to_string(pass)}};
    for (const PartitionId partition : {PartitionId{257}, PartitionId{300}}) {
      rows[topic_offset_row(partition, 10 * pass + 9)] = "offset";
      for (std::uint64_t i = 0; i < 10; ++i) rows[topic_entry_row(partition, 10 * pass + i)] = "e";
    }
    ASSERT_TRUE(put(this->world_, rows));
    for (const auto& [row, value] : rows) expected[row] = value;
    EXPECT_EQ(scan(*this->world_.store, "", std::string(8, '\xff')), expected);
  }
  this->world_.reopen();
  EXPECT_EQ(scan(*this->world_.store, "", std::string(8, '\xff')), expected);
}

TYPED_TEST(RowStoreTest, AFetchAnswersInTheOrderOfItsRows) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "2"}, {"c", "3"}}));
  const auto values = fetch(this->world_, {"c", "x", "a", "c"});
  ASSERT_TRUE(values);
  EXPECT_THAT(*values, ElementsAre(Optional(std::string("3")), std::nullopt,
                                   Optional(std::string("1")), Optional(std::string("3"))));
  EXPECT_THAT(*fetch(this->world_, {}), testing::IsEmpty());
}

TYPED_TEST(RowStoreTest, APassIsNotSeenBeforeItsCommit) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}}));
  RowBatch changes;
  changes.put("a", "2");
  this->world_.store->write(changes);
  EXPECT_EQ(get(*this->world_.store, "a"), "1");
  EXPECT_TRUE(commit(this->world_));
  EXPECT_EQ(get(*this->world_.store, "a"), "2");
}

TYPED_TEST(RowStoreTest, APassReplacesAndRemovesRows) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "1"}, {"c", "1"}}));
  RowBatch first;
  first.put("a", "2");
  first.remove("b");
  RowBatch second;
  second.remove("bb");  // is not there
  second.put("d", "2");
  this->world_.store->write(first);
  this->world_.store->write(RowBatch());
  this->world_.store->write(second);
  ASSERT_TRUE(commit(this->world_));
  EXPECT_EQ(scan(*this->world_.store), (Rows{{"a", "2"}, {"c", "1"}, {"d", "2"}}));
  EXPECT_EQ(get(*this->world_.store, "b"), std::nullopt);
}

TYPED_TEST(RowStoreTest, ARemovedRangeSparesWhatThePassPutsWhateverTheirOrder) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}, {"e", "1"}}));
  RowBatch changes;
  changes.put("b", "2");
  changes.remove_range("b", "d");
  changes.put("bb", "2");
  changes.remove_range("d", "e");
  changes.put("d", "2");
  changes.remove_range("z", "y");  // is empty
  this->world_.store->write(changes);
  ASSERT_TRUE(commit(this->world_));
  const Rows expected = {{"a", "1"}, {"b", "2"}, {"bb", "2"}, {"d", "2"}, {"e", "1"}};
  EXPECT_EQ(scan(*this->world_.store), expected);
  this->world_.reopen();
  EXPECT_EQ(scan(*this->world_.store), expected);
  EXPECT_EQ(get(*this->world_.store, "c"), std::nullopt);
  EXPECT_EQ(get(*this->world_.store, "b"), "2");
  EXPECT_THAT(*fetch(this->world_, {"bb", "c"}),
              ElementsAre(Optional(std::string("2")), std::nullopt));
}

TYPED_TEST(RowStoreTest, APassMayRemoveARangeAndNothingElse) {
  ASSERT_TRUE(put(this->world_, {{"a", "1"}, {"b", "1"}, {"c", "1"}}));
  RowBatch changes;
  changes.remove_range("a", "c");
  this->world_.store->write(changes);
  ASSERT_TRUE(commit(this->world_));
  EXPECT_EQ(scan(*this->world_.store), (Rows{{"c", "1"}}));
}

TYPED_TEST(RowStoreTest, AnEmptyPassSucceeds) {
  EXPECT_TRUE(commit(this->world_));
  this->world_.store->write(RowBatch());
  EXPECT_TRUE(commit(this->world_));
  RowBatch changes;
  changes.remove_range("b", "b");
  this->world_.store->write(changes);
  EXPECT_TRUE(commit(this->world_));
  EXPECT_EQ(scan(*this->world_.store), Rows{});
}

TYPED_TEST(RowStoreTest, AnAbandonedPassLeavesNothing) {
  this->world_.store->abandon();
  RowBatch changes;
  changes.put("b", "1");
  this->world_.store->write(changes);
  this->world_.store->write(RowBatch());
  this->world_.store->abandon();
  // Rows ascend anew.
  ASSERT_TRUE(put(this->world_, {{"a", "2"}}));
  EXPECT_EQ(scan(*this->world_.store), (Rows{{"a", "2"}}));
}

TYPED_TEST(RowStoreTest, TheBacklogIsGoneAfterTheCommit) {
  EXPECT_EQ(this->world_.store->backlog(), 0u);
  ASSERT_TRUE(put(this->world_, {{"a", std::string(1'000'000, 'x')}}));
  EXPECT_EQ(this->world_.store->backlog(), 0u);
}

TYPED_TEST(RowStoreTest, OutcomesAreNotDeliveredToAStoreThatIsGone) {
  RowBatch changes;
  changes.put("a", "1");
  this->world_.store->write(changes);
  bool delivered = false;
  this->world_.store->commit([&](Result<>) { delivered = true; });
  this->world_.store->fetch({"a"}, [&](RowStore::Fetched) { delivered = true; });
  this->world_.reopen();
  ASSERT_TRUE(put(this->world_, {{"b", "1"}}));
  EXPECT_FALSE(delivered);
}

// Makes random changes to a store and to a map alike.
TYPED_TEST(RowStoreTest, BehavesLikeAMap) {
  Random random(7);
  Rows model;
  const auto some_row = [&random] {
    std::string row(random.below(4), '\0');
    for (char& byte : row) byte = static_cast<char>('a' + random.below(6));
    return row;
  };
  for (int pass = 0; pass < 150; ++pass) {
    Rows changed;  // an empty value stands for a removal
    for (std::uint64_t i = random.below(60); i > 0; --i) {
      changed[some_row()] = random.chance(0.3) ? "" : std::string(1 + random.below(300), 'v');
    }
    std::vector<std::pair<std::string, std::string>> ranges(random.chance(0.3) ? random.below(4)
                                                                               : 0);
    for (auto& [first, end] : ranges) first = some_row(), end = some_row();

    Rows after = model;
    for (const auto& [first, end] : ranges) {
      if (first < end) after.erase(after.lower_bound(first), after.lower_bound(end));
    }
    RowBatch batch;
    std::size_t next_range = 0;
    const auto write_some_ranges = [&](double probability) {
      while (next_range < ranges.size() && random.chance(probability)) {
        batch.remove_range(ranges[next_range].first, ranges[next_range].second);
        ++next_range;
      }
    };
    for (const auto& [row, value] : changed) {
      write_some_ranges(0.1);
      if (value.empty()) {
        batch.remove(row);
        after.erase(row);
      } else {
        batch.put(row, value);
        after[row] = value;
      }
      if (random.chance(0.1)) this->world_.store->write(std::exchange(batch, {}));
    }
    write_some_ranges(1);
    this->world_.store->write(std::move(batch));
    if (random.chance(0.1)) {
      this->world_.store->abandon();
    } else {
      ASSERT_TRUE(commit(this->world_));
      model = after;
    }
    if (random.chance(0.05)) this->world_.reopen();

    ASSERT_EQ(scan(*this->world_.store), model) << "pass " << pass;
    std::vector<std::string> asked;
    for (int i = 0; i < 20; ++i) asked.push_back(some_row());
    const auto fetched = fetch(this->world_, asked);
    ASSERT_TRUE(fetched);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const auto known = model.find(asked[i]);
      const auto expected =
          known == model.end() ? std::nullopt : std::optional<std::string>(known->second);
      ASSERT_EQ((*fetched)[i], expected) << "pass " << pass << ", row " << asked[i];
      ASSERT_EQ(get(*this->world_.store, asked[i]), expected) << "pass " << pass;
    }
  }
}

}  // namespace
}  // namespace even::test
