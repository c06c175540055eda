#include "node/lease.h"

#include <gtest/gtest.h>

#include <string>

namespace even {
namespace {

TEST(Lease, AFreeShardIsLentAtOnceAndToOneBorrowerAtATime) {
  Lease lease;
  std::string events;
  lease.request([&] { events += "a"; });
  lease.request([&] { events += "b"; });
  EXPECT_EQ(events, "a");
  EXPECT_TRUE(lease.lent());
  lease.give_back();
  EXPECT_EQ(events, "ab");
  lease.give_back();
  EXPECT_FALSE(lease.lent());
}

TEST(Lease, WhoIsDoneWithAShardKeepsItFromTheNextBorrowerButNotFromTurnsOfItsOwner) {
  Lease lease;
  EXPECT_FALSE(lease.in_use());
  lease.request([] {});
  EXPECT_TRUE(lease.in_use());
  bool second = false;
  lease.request([&second] { second = true; });
  int completed = 0;
  lease.when_unused([&completed] { ++completed; });
  EXPECT_EQ(completed, 0);
  lease.end_use();
  EXPECT_EQ(completed, 1);
  lease.when_unused([&completed] { ++completed; });
  EXPECT_EQ(completed, 2);
  EXPECT_FALSE(lease.in_use());
  EXPECT_TRUE(lease.lent());
  EXPECT_FALSE(second);
  lease.give_back();
  EXPECT_TRUE(second);
  EXPECT_TRUE(lease.in_use());
  lease.when_unused([&completed] { ++completed; });
  lease.give_back();
  EXPECT_EQ(completed, 3);
}

TEST(Lease, TheOwnersWorkWaitsForTheReturnAndRunsBeforeTheNextBorrower) {
  Lease lease;
  std::string events;
  lease.when_free([&] { events += "1"; });
  lease.request([&] { events += "a"; });
  lease.request([&] { events += "b"; });
  lease.when_free([&] {
    events += "2";
    lease.request([&] { events += "c"; });
  });
  lease.when_free([&] { events += "3"; });
  EXPECT_EQ(events, "1a");
  lease.give_back();
  EXPECT_EQ(events, "1a23b");
  lease.give_back();
  EXPECT_EQ(events, "1a23bc");
  lease.give_back();
  EXPECT_FALSE(lease.lent());
}

}  // namespace
}  // namespace even
