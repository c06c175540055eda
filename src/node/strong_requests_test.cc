#include "node/strong_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace even {
namespace {

using cluster::Level;
using Kind = Level::Kind;

TEST(ReadLevel, OfAStrongKeyspaceIsOneOfItsOwn) {
  const cluster::Keyspace keyspace{.name = "orders", .strong = true, .read = {Kind::kBounded, 500}};
  const auto bounded = read_level(keyspace, {});
  ASSERT_TRUE(bounded);
  EXPECT_EQ(bounded->read, StrongRead::kBounded);
  EXPECT_EQ(bounded->bound_ms, 500);
  EXPECT_EQ(read_level(keyspace, {Kind::kLinearizable})->read, StrongRead::kLinearizable);
  EXPECT_EQ(read_level(keyspace, {Kind::kSequential})->read, StrongRead::kSequential);
  EXPECT_EQ(read_level(keyspace, {Kind::kSession})->read, StrongRead::kSequential);
  EXPECT_EQ(read_level(keyspace, {Kind::kOne})->read, StrongRead::kOne);
  for (const Level level :
       {Level{Kind::kQuorum}, Level{Kind::kAll}, Level{Kind::kReplicas, 2}, Level{Kind::kCausal}}) {
    const auto refused = read_level(keyspace, level);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, testing::StartsWith("CONSISTENCY " + to_string(level)));
    EXPECT_THAT(refused.error().message, testing::HasSubstr("'orders'"));
  }
}

}  // namespace
}  // namespace even
