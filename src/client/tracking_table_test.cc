#include "client/tracking_table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/database.h"

namespace even {
namespace {

using namespace std::string_literals;

class TrackingTableTest : public testing::Test {
 protected:
  using Told = std::vector<std::string>;

  // What is in the box of a thread, as "client key", with what else there is to say.
  Told told(ShardId thread) {
    const TrackingTable::Box box = table_.take(thread);
    Told out;
    if (box.all) out.emplace_back("all");
    for (const auto& each : box.some) {
      out.push_back(std::to_string(each.client) + " " + each.key + (each.broadcast ? " b" : "") +
                    (each.own ? " own" : ""));
    }
    std::ranges::sort(out);
    return out;
  }

  TrackingTable table_{2};
  const TrackingTable::Client a_{1, 0};
  const TrackingTable::Client b_{2, 1};
};

TEST_F(TrackingTableTest, AClientIsToldOnceOfAKeyThatItHasRead) {
  std::vector<ShardId> woken;
  table_.on_mail([&woken](ShardId thread) { woken.push_back(thread); });
  EXPECT_FALSE(table_.wanted());
  table_.add(a_);
  table_.add(b_);
  EXPECT_TRUE(table_.wanted());
  table_.remember(a_, "k");
  table_.remember(a_, "k");
  table_.remember(b_, "k");
  table_.remember(b_, "other");
  EXPECT_EQ(table_.keys(), 2);
  EXPECT_EQ(table_.items(), 3);
  EXPECT_FALSE(table_.has_mail(0));
  table_.key_changed("k");
  EXPECT_EQ(woken, (std::vector<ShardId>{0, 1}));
  EXPECT_TRUE(table_.has_mail(0));
  EXPECT_EQ(told(0), (Told{"1 k"}));
  EXPECT_EQ(told(1), (Told{"2 k"}));
  EXPECT_FALSE(table_.has_mail(0));
  table_.key_changed("k");
  EXPECT_EQ(told(0), Told{});
  EXPECT_EQ(table_.keys(), 1);
  EXPECT_EQ(table_.items(), 1);
}

TEST_F(TrackingTableTest, AKeyHasOneNameInAllDatabases) {
  table_.add(a_);
  table_.remember(a_, "k");
  const auto header = database_header(3);
  table_.key_changed(std::string(header.data(), header.size()) + "k");
  EXPECT_EQ(told(0), (Told{"1 k"}));
}

TEST_F(TrackingTableTest, ABroadcastIsOfEveryChangeOfAKeyWithThePrefix) {
  table_.add(a_);
  table_.add(b_);
  table_.add_prefixes(a_, std::vector{"user:"s, "cart:"s});
  table_.add_prefixes(b_, std::vector{""s});
  EXPECT_EQ(table_.prefixes(), 3);
  table_.key_changed("user:1");
  table_.key_changed("user:1");
  table_.key_changed("use");
  EXPECT_EQ(told(0), (Told{"1 user:1 b", "1 user:1 b"}));
  EXPECT_EQ(told(1), (Told{"2 use b", "2 user:1 b", "2 user:1 b"}));
  table_.remove(a_, std::vector{"user:"s, "cart:"s});
  table_.key_changed("cart:1");
  EXPECT_EQ(told(0), Told{});
  EXPECT_EQ(told(1), (Told{"2 cart:1 b"}));
  EXPECT_EQ(table_.prefixes(), 1);
}

TEST_F(TrackingTableTest, WhoHasChangedAKeyItselfIsKnown) {
  table_.add(a_);
  table_.add(b_);
  table_.remember(a_, "k");
  table_.remember(b_, "k");
  {
    const TrackingTable::Writer writer(1);
    {
      const TrackingTable::Writer inner(0);
    }
    table_.key_changed("k");
  }
  EXPECT_EQ(told(0), (Told{"1 k own"}));
  EXPECT_EQ(told(1), (Told{"2 k"}));
  table_.remember(a_, "k");
  table_.key_changed("k");
  EXPECT_EQ(told(0), (Told{"1 k"}));
}

TEST_F(TrackingTableTest, WhoIsNotToldOfItsOwnChangeIsToldOfTheNext) {
  const TrackingTable::Client quiet{3, 0, true};
  table_.add(quiet);
  table_.add(b_);
  table_.remember(quiet, "k");
  table_.remember(b_, "k");
  {
    const TrackingTable::Writer writer(3);
    table_.key_changed("k");
  }
  EXPECT_EQ(told(0), Told{});
  EXPECT_EQ(told(1), (Told{"2 k"}));
  EXPECT_EQ(table_.items(), 1);
  table_.key_changed("k");
  EXPECT_EQ(told(0), (Told{"3 k"}));
  EXPECT_EQ(table_.keys(), 0);
  EXPECT_EQ(table_.items(), 0);
}

TEST_F(TrackingTableTest, WhenAllHasChangedThatIsAllThatIsTold) {
  table_.add(a_);
  table_.remember(a_, "k");
  table_.remember(a_, "l");
  table_.key_changed("l");
  table_.all_changed();
  EXPECT_EQ(table_.keys(), 0);
  EXPECT_EQ(table_.items(), 0);
  table_.remember(a_, "m");
  table_.key_changed("m");
  EXPECT_EQ(told(0), (Told{"all"}));
  EXPECT_EQ(told(1), (Told{"all"}));
}

TEST_F(TrackingTableTest, BeyondTheBoundOthersAreInvalidated) {
  table_.set_most_keys(10);
  table_.add(a_);
  for (int i = 0; i < 100; ++i) table_.remember(a_, "k" + std::to_string(i));
  EXPECT_EQ(table_.keys(), 10);
  EXPECT_EQ(told(0).size(), 90);
  table_.set_most_keys(3);
  table_.keep_bound(100);
  EXPECT_EQ(table_.keys(), 3);
  EXPECT_EQ(table_.items(), 3);
  EXPECT_EQ(told(0).size(), 7);
  table_.set_most_keys(0);
  for (int i = 0; i < 100; ++i) table_.remember(a_, "n" + std::to_string(i));
  EXPECT_EQ(table_.keys(), 103);
}

TEST_F(TrackingTableTest, ClientsThatHaveGoneDoNotGatherAtAKey) {
  table_.add(a_);
  for (std::uint64_t id = 10; id < 1010; ++id) {
    const TrackingTable::Client client{id, 1};
    table_.add(client);
    table_.remember(client, "k");
    table_.remove(client, {});
  }
  EXPECT_EQ(table_.keys(), 1);
  EXPECT_LT(table_.items(), 20);
  table_.remove(a_, {});
  EXPECT_FALSE(table_.wanted());
  EXPECT_EQ(table_.keys(), 0);
  EXPECT_EQ(table_.items(), 0);
}

TEST_F(TrackingTableTest, AThreadThatDoesNotComeIsToldThatAllHasChanged) {
  table_.add(a_);
  table_.add_prefixes(a_, std::vector{""s});
  for (int i = 0; i < 100'001; ++i) table_.key_changed("k");
  EXPECT_EQ(told(0), (Told{"all"}));
}

}  // namespace
}  // namespace even
