#include "consumers/consumer_group.h"

#include <gtest/gtest.h>

#include <map>

#include "base/bytes.h"

namespace even::kafka {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

// A group, time, and what its members were told last.
class ConsumerGroupTest : public testing::Test {
 protected:
  using Joined = ConsumerGroup::Joined;
  using Synced = ConsumerGroup::Synced;

  void join(const std::string& id, const std::string& metadata = "", bool is_new = true,
            std::vector<std::string> protocols = {"range"}) {
    ConsumerGroup::Join join{.member_id = is_new ? "" : id,
                             .new_id = id,
                             .protocol_type = "consumer",
                             .session_us = 10 * kSecondUs,
                             .rebalance_us = 30 * kSecondUs,
                             .client_id = "client of " + id,
                             .client_host = "host of " + id};
    for (const std::string& name : protocols) join.protocols.push_back({name, metadata});
    joined_.erase(id);
    group_.join(now_us_, join, [this, id](Joined joined) { joined_[id] = std::move(joined); });
  }
  void sync(const std::string& id, std::int32_t generation,
            const std::vector<std::pair<std::string, std::string>>& assignments = {}) {
    synced_.erase(id);
    group_.sync(now_us_, id, generation, assignments,
                [this, id](Synced synced) { synced_[id] = std::move(synced); });
    if (durable_) store_all();
  }
  std::uint64_t store(std::string record) {
    records_.push_back(std::move(record));
    return records_.size();
  }
  // What is to be stored is, in the order in which it was asked for.
  void store_all(ErrorCode error = ErrorCode::kNone) {
    while (stored_ < records_.size()) group_.stored(now_us_, ++stored_, error);
  }
  // Its successor is another coordinator, which has what was stored last.
  void succeed(ConsumerGroup& successor) {
    const auto record = GroupRecord::decode(records_.at(stored_ - 1));
    ASSERT_TRUE(record);
    successor.restore(now_us_, *record);
  }
  ErrorCode heartbeat(const std::string& id, std::int32_t generation) {
    return group_.heartbeat(now_us_, id, generation);
  }
  void pass(std::int64_t us) {
    now_us_ += us;
    group_.tick(now_us_);
  }
  // Two members, "a" leads, generation 1, both assigned.
  void make_stable() {
    join("a", "of a");
    join("b", "of b");
    pass(kSecondUs);
    ASSERT_EQ(joined_.at("a").error, ErrorCode::kNone);
    sync("b", 1);
    sync("a", 1, {{"a", "0"}, {"b", "1"}});
    ASSERT_EQ(synced_.at("a").assignment, "0");
    ASSERT_EQ(synced_.at("b").assignment, "1");
  }

  ConsumerGroup group_{[this](std::string record) { return store(std::move(record)); }};
  std::vector<std::string> records_;  // empty: it was deleted
  std::size_t stored_ = 0;            // of these
  bool durable_ = true;               // at once
  std::int64_t now_us_ = 1;
  std::map<std::string, Joined> joined_;
  std::map<std::string, Synced> synced_;
};

TEST_F(ConsumerGroupTest, ThoseWhoComeTogetherShareOnce) {
  join("a", "of a");
  EXPECT_FALSE(joined_.contains("a"));
  join("b", "of b");
  pass(kSecondUs);
  const Joined& leader = joined_.at("a");
  EXPECT_EQ(leader.generation, 1);
  EXPECT_EQ(leader.leader, "a");
  EXPECT_EQ(leader.protocol, "range");
  EXPECT_EQ(leader.members,
            (std::vector<std::pair<std::string, std::string>>{{"a", "of a"}, {"b", "of b"}}));
  EXPECT_EQ(joined_.at("b").generation, 1);
  EXPECT_TRUE(joined_.at("b").members.empty());
  sync("b", 1);
  EXPECT_FALSE(synced_.contains("b"));  // until the leader has spoken
  sync("a", 1, {{"a", "0"}, {"b", "1"}});
  EXPECT_EQ(synced_.at("b").assignment, "1");
  EXPECT_EQ(heartbeat("a", 1), ErrorCode::kNone);
  EXPECT_EQ(group_.may_commit(now_us_, "b", 1), ErrorCode::kNone);
}

TEST_F(ConsumerGroupTest, ANewMemberHasAllJoinAnew) {
  make_stable();
  join("c");
  EXPECT_FALSE(joined_.contains("c"));
  EXPECT_EQ(heartbeat("a", 1), ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(group_.may_commit(now_us_, "a", 1), ErrorCode::kNone);  // what it had, until it joins
  join("a", "of a", false);
  EXPECT_FALSE(joined_.contains("a"));
  join("b", "of b", false);
  EXPECT_EQ(joined_.at("a").generation, 2);
  EXPECT_EQ(joined_.at("c").generation, 2);
  EXPECT_EQ(heartbeat("b", 1), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(group_.may_commit(now_us_, "b", 1), ErrorCode::kIllegalGeneration);
  sync("a", 1, {{"a", "all"}});
  EXPECT_EQ(synced_.at("a").error, ErrorCode::kIllegalGeneration);
}

TEST_F(ConsumerGroupTest, WhoDoesNotJoinAnewInTimeIsOut) {
  make_stable();
  join("c");
  join("a", "of a", false);
  for (int i = 0; i < 29; ++i) {
    pass(kSecondUs);
    (void)heartbeat("b", 1);  // it lives, but does not join
    ASSERT_FALSE(joined_.contains("a")) << i;
  }
  pass(2 * kSecondUs);
  EXPECT_EQ(joined_.at("a").generation, 2);
  EXPECT_EQ(joined_.at("a").members.size(), 2u);
  EXPECT_EQ(heartbeat("b", 1), ErrorCode::kUnknownMemberId);
}

TEST_F(ConsumerGroupTest, WhoGivesNoSignOfLifeIsOut) {
  make_stable();
  for (int i = 0; i < 9; ++i) {
    pass(kSecondUs);
    EXPECT_EQ(heartbeat("a", 1), ErrorCode::kNone);
  }
  pass(kSecondUs);
  EXPECT_EQ(heartbeat("a", 1), ErrorCode::kRebalanceInProgress);
  join("a", "of a", false);
  EXPECT_EQ(joined_.at("a").members.size(), 1u);
  EXPECT_EQ(heartbeat("b", 1), ErrorCode::kUnknownMemberId);
}

TEST_F(ConsumerGroupTest, WhenTheLeaderLeavesAnotherLeads) {
  make_stable();
  EXPECT_EQ(group_.leave(now_us_, "a"), ErrorCode::kNone);
  EXPECT_EQ(group_.leave(now_us_, "a"), ErrorCode::kUnknownMemberId);
  join("b", "of b", false);
  EXPECT_EQ(joined_.at("b").leader, "b");
  EXPECT_EQ(joined_.at("b").generation, 2);
  EXPECT_EQ(group_.leave(now_us_, "b"), ErrorCode::kNone);
  EXPECT_TRUE(group_.empty());
}

TEST_F(ConsumerGroupTest, ALeaderThatAssignsNothingIsReplaced) {
  join("a");
  join("b");
  pass(kSecondUs);
  sync("b", 1);
  for (int i = 0; i < 40 && !synced_.contains("b"); ++i) {
    pass(kSecondUs);
    (void)heartbeat("a", 1);
  }
  EXPECT_EQ(synced_.at("b").error, ErrorCode::kRebalanceInProgress);
  join("b", "", false);
  EXPECT_EQ(joined_.at("b").leader, "b");
}

TEST_F(ConsumerGroupTest, OnlyProtocolsThatAllCanAreUsed) {
  join("a", "", true, {"sticky", "range"});
  join("b", "", true, {"range"});
  join("c", "", true, {"other"});
  EXPECT_EQ(joined_.at("c").error, ErrorCode::kInconsistentGroupProtocol);
  pass(kSecondUs);
  EXPECT_EQ(joined_.at("a").protocol, "range");
  join("d", "", true, {});
  EXPECT_EQ(joined_.at("d").error, ErrorCode::kInconsistentGroupProtocol);
}

TEST_F(ConsumerGroupTest, AMemberMayHaveToAskWithTheIdThatItIsGiven) {
  ConsumerGroup::Join join{.new_id = "a",
                           .protocol_type = "consumer",
                           .protocols = {{"range", ""}},
                           .session_us = 10 * kSecondUs,
                           .rebalance_us = 30 * kSecondUs,
                           .asks_first = true};
  Joined told;
  group_.join(now_us_, join, [&](Joined joined) { told = std::move(joined); });
  EXPECT_EQ(told.error, ErrorCode::kMemberIdRequired);
  EXPECT_EQ(told.member_id, "a");
  join.member_id = "a";
  group_.join(now_us_, join, [&](Joined joined) { told = std::move(joined); });
  pass(kSecondUs);
  EXPECT_EQ(told.error, ErrorCode::kNone);
  EXPECT_EQ(told.generation, 1);
  // Who is not known has to begin anew.
  join.member_id = "b";
  group_.join(now_us_, join, [&](Joined joined) { told = std::move(joined); });
  EXPECT_EQ(told.error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(group_.leave(now_us_, "a"), ErrorCode::kNone);
  EXPECT_TRUE(group_.empty());
}

TEST_F(ConsumerGroupTest, GenerationsBeginBehindThoseOfTheCoordinatorBefore) {
  group_.begin_behind(7 << 16);
  join("a");
  pass(kSecondUs);
  EXPECT_EQ(joined_.at("a").generation, (7 << 16) + 1);
  join("b");
  join("a", "", false);
  pass(kSecondUs);
  EXPECT_EQ(joined_.at("a").generation, (7 << 16) + 2);
}

TEST_F(ConsumerGroupTest, OffsetsWithoutMembershipAreForGroupsWithoutMembers) {
  EXPECT_EQ(group_.may_commit(now_us_, "", -1), ErrorCode::kNone);
  EXPECT_EQ(group_.may_commit(now_us_, "a", 1), ErrorCode::kUnknownMemberId);
  make_stable();
  EXPECT_EQ(group_.may_commit(now_us_, "", -1), ErrorCode::kUnknownMemberId);
}

TEST_F(ConsumerGroupTest, ItIsDescribedInKafkasWords) {
  EXPECT_EQ(group_.describe().state, "Empty");
  join("a", "of a");
  join("b", "of b");
  EXPECT_EQ(group_.describe().state, "PreparingRebalance");
  EXPECT_EQ(group_.describe().protocol, "");
  EXPECT_EQ(group_.describe().members.at(0).metadata, "");
  pass(kSecondUs);
  EXPECT_EQ(group_.describe().state, "CompletingRebalance");
  EXPECT_EQ(group_.describe().protocol, "range");
  sync("b", 1);
  sync("a", 1, {{"a", "0"}, {"b", "1"}});
  const auto stable = group_.describe();
  EXPECT_EQ(stable.state, "Stable");
  EXPECT_EQ(stable.protocol_type, "consumer");
  ASSERT_EQ(stable.members.size(), 2u);
  EXPECT_EQ(stable.members[1].id, "b");
  EXPECT_EQ(stable.members[1].client_id, "client of b");
  EXPECT_EQ(stable.members[1].client_host, "host of b");
  EXPECT_EQ(stable.members[1].metadata, "of b");
  EXPECT_EQ(stable.members[1].assignment, "1");
  EXPECT_EQ(group_.leave(now_us_, "a"), ErrorCode::kNone);
  EXPECT_EQ(group_.describe().state, "PreparingRebalance");
  EXPECT_EQ(group_.leave(now_us_, "b"), ErrorCode::kNone);
  EXPECT_EQ(group_.describe().state, "Empty");
  EXPECT_EQ(group_.describe().protocol_type, "");
}

TEST_F(ConsumerGroupTest, WhoWaitsIsToldWhenItIsCoordinatedElsewhere) {
  make_stable();
  join("a", "changed", false);
  group_.give_up();
  EXPECT_EQ(joined_.at("a").error, ErrorCode::kNotCoordinator);
  EXPECT_TRUE(group_.empty());
  EXPECT_EQ(heartbeat("b", 1), ErrorCode::kUnknownMemberId);
}

// --- What is stored, and a coordinator that goes on with it

TEST_F(ConsumerGroupTest, NobodyIsToldWhatItIsAssignedBeforeThatIsStored) {
  durable_ = false;
  join("a");
  join("b");
  pass(kSecondUs);
  sync("b", 1);
  sync("a", 1, {{"a", "0"}, {"b", "1"}});
  EXPECT_TRUE(synced_.empty());
  EXPECT_EQ(group_.describe().state, "CompletingRebalance");
  EXPECT_EQ(group_.may_commit(now_us_, "a", 1), ErrorCode::kRebalanceInProgress);
  // A leader that asks again does not assign again.
  ASSERT_EQ(records_.size(), 1u);
  sync("a", 1, {{"a", "1"}, {"b", "0"}});
  EXPECT_EQ(synced_.at("a").error, ErrorCode::kRebalanceInProgress);  // to who asked before
  synced_.clear();
  EXPECT_EQ(records_.size(), 1u);
  // Nor is it taken for one that says nothing.
  for (int i = 0; i < 40; ++i) {
    pass(kSecondUs);
    ASSERT_EQ(heartbeat("b", 1), ErrorCode::kNone);
  }
  store_all();
  EXPECT_EQ(synced_.at("a").assignment, "0");
  EXPECT_EQ(synced_.at("b").assignment, "1");
  EXPECT_EQ(group_.describe().state, "Stable");
}

TEST_F(ConsumerGroupTest, AllJoinAnewIfWhatIsAssignedCannotBeStored) {
  durable_ = false;
  join("a");
  join("b");
  pass(kSecondUs);
  sync("b", 1);
  sync("a", 1, {{"a", "0"}, {"b", "1"}});
  store_all(ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(synced_.at("a").error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(synced_.at("b").error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(heartbeat("a", 1), ErrorCode::kRebalanceInProgress);
  durable_ = true;
  join("a", "", false);
  join("b", "", false);
  EXPECT_EQ(joined_.at("a").generation, 2);
  sync("a", 2, {{"a", "all"}});
  EXPECT_EQ(synced_.at("a").assignment, "all");
}

TEST_F(ConsumerGroupTest, WhatIsStoredWhenAllJoinAnewAlreadyIsToldToNobody) {
  durable_ = false;
  join("a");
  pass(kSecondUs);
  sync("a", 1, {{"a", "all"}});
  join("b");
  EXPECT_EQ(synced_.at("a").error, ErrorCode::kRebalanceInProgress);
  synced_.clear();
  store_all();
  EXPECT_TRUE(synced_.empty());
  EXPECT_EQ(group_.describe().state, "PreparingRebalance");
  join("a", "", false);
  EXPECT_EQ(joined_.at("a").generation, 2);
  sync("a", 2, {{"a", "0"}, {"b", "1"}});
  EXPECT_TRUE(synced_.empty());
}

TEST_F(ConsumerGroupTest, ARecordThatIsTooLargeIsAnError) {
  join("a", std::string(kMostRecordBytes, 'x'));
  pass(kSecondUs);
  sync("a", 1, {{"a", "all"}});
  EXPECT_EQ(synced_.at("a").error, ErrorCode::kUnknownServerError);
  EXPECT_TRUE(records_.empty());
  EXPECT_EQ(heartbeat("a", 1), ErrorCode::kRebalanceInProgress);
}

TEST_F(ConsumerGroupTest, ASuccessorGoesOnWithWhatWasStored) {
  make_stable();
  ConsumerGroup successor([](std::string) { return 1; });
  successor.begin_behind(7 << 16);
  succeed(successor);
  EXPECT_EQ(successor.heartbeat(now_us_, "a", 1), ErrorCode::kNone);
  EXPECT_EQ(successor.may_commit(now_us_, "b", 1), ErrorCode::kNone);
  EXPECT_EQ(successor.may_commit(now_us_, "b", 0), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(successor.may_commit(now_us_, "", -1), ErrorCode::kUnknownMemberId);
  const auto before = group_.describe();
  const auto after = successor.describe();
  EXPECT_EQ(after.state, "Stable");
  EXPECT_EQ(after.protocol, before.protocol);
  ASSERT_EQ(after.members.size(), before.members.size());
  for (std::size_t i = 0; i < after.members.size(); ++i) {
    EXPECT_EQ(after.members[i].id, before.members[i].id);
    EXPECT_EQ(after.members[i].client_id, before.members[i].client_id);
    EXPECT_EQ(after.members[i].client_host, before.members[i].client_host);
    EXPECT_EQ(after.members[i].metadata, before.members[i].metadata);
    EXPECT_EQ(after.members[i].assignment, before.members[i].assignment);
  }
  // Who asks again for what it is assigned gets it; who joins again without news has its place.
  Synced synced;
  successor.sync(now_us_, "b", 1, {}, [&](Synced given) { synced = std::move(given); });
  EXPECT_EQ(synced.assignment, "1");
  Joined joined;
  successor.join(now_us_,
                 {.member_id = "b",
                  .protocol_type = "consumer",
                  .protocols = {{"range", "of b"}},
                  .session_us = 10 * kSecondUs,
                  .rebalance_us = 30 * kSecondUs},
                 [&](Joined given) { joined = std::move(given); });
  EXPECT_EQ(joined.generation, 1);
  EXPECT_EQ(joined.leader, "a");
  // Whoever was to be of the next generation is not known, and that has another number.
  EXPECT_EQ(successor.heartbeat(now_us_, "c", 2), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(successor.heartbeat(now_us_, "a", 2), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(successor.leave(now_us_, "a"), ErrorCode::kNone);
  successor.join(now_us_,
                 {.member_id = "b",
                  .protocol_type = "consumer",
                  .protocols = {{"range", "of b"}},
                  .session_us = 10 * kSecondUs,
                  .rebalance_us = 30 * kSecondUs},
                 [&](Joined given) { joined = std::move(given); });
  EXPECT_EQ(joined.generation, (7 << 16) + 1);
}

TEST_F(ConsumerGroupTest, WhoHasGoneMeanwhileIsOutWithItsSession) {
  make_stable();
  pass(9 * kSecondUs);
  EXPECT_EQ(heartbeat("a", 1), ErrorCode::kNone);
  // Another node's clock.
  now_us_ += 1'000 * kSecondUs;
  ConsumerGroup successor([](std::string) { return 1; });
  succeed(successor);
  for (int i = 0; i < 9; ++i) {
    now_us_ += kSecondUs;
    successor.tick(now_us_);
    ASSERT_EQ(successor.heartbeat(now_us_, "a", 1), ErrorCode::kNone) << i;
  }
  now_us_ += kSecondUs;
  successor.tick(now_us_);
  EXPECT_EQ(successor.heartbeat(now_us_, "a", 1), ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(successor.heartbeat(now_us_, "b", 1), ErrorCode::kUnknownMemberId);
}

TEST_F(ConsumerGroupTest, WithTheLastMemberTheRecordGoes) {
  make_stable();
  EXPECT_EQ(group_.leave(now_us_, "a"), ErrorCode::kNone);
  EXPECT_EQ(records_.size(), 1u);
  EXPECT_EQ(group_.leave(now_us_, "b"), ErrorCode::kNone);
  ASSERT_EQ(records_.size(), 2u);
  EXPECT_EQ(records_.back(), "");
  // There is none where nobody was assigned anything.
  join("c");
  EXPECT_EQ(group_.leave(now_us_, "c"), ErrorCode::kNone);
  EXPECT_EQ(records_.size(), 2u);
}

TEST_F(ConsumerGroupTest, GenerationsBeginAnewBehindTheLargest) {
  group_.begin_behind(INT32_MAX);
  join("a");
  pass(kSecondUs);
  EXPECT_EQ(joined_.at("a").generation, 1);
}

// --- Static members

class StaticMembersTest : public ConsumerGroupTest {
 protected:
  // What is told is known by the id.
  void join_as(const std::string& instance, const std::string& new_id, const std::string& id = "",
               const std::string& metadata = "") {
    ConsumerGroup::Join join{.member_id = id,
                             .new_id = new_id,
                             .protocol_type = "consumer",
                             .protocols = {{"range", metadata}},
                             .session_us = 10 * kSecondUs,
                             .rebalance_us = 30 * kSecondUs,
                             .asks_first = true,
                             .instance = instance};
    const std::string name = id.empty() ? new_id : id;
    joined_.erase(name);
    group_.join(now_us_, join, [this, name](Joined joined) { joined_[name] = std::move(joined); });
    if (durable_) store_all();
  }
  void make_static() {
    join_as("A", "a1");
    join_as("B", "b1");
    pass(kSecondUs);
    ASSERT_EQ(joined_.at("a1").error, ErrorCode::kNone);
    ASSERT_EQ(joined_.at("a1").instances, (std::vector<std::optional<std::string>>{"A", "B"}));
    sync("b1", 1);
    sync("a1", 1, {{"a1", "0"}, {"b1", "1"}});
    ASSERT_EQ(synced_.at("b1").assignment, "1");
  }
};

TEST_F(StaticMembersTest, WhoComesBackHasWhatItHadAndNobodyJoinsAnew) {
  make_static();
  pass(5 * kSecondUs);
  EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kNone);
  join_as("B", "b2");
  ASSERT_TRUE(joined_.contains("b2"));
  EXPECT_EQ(joined_.at("b2").error, ErrorCode::kNone);
  EXPECT_EQ(joined_.at("b2").generation, 1);
  EXPECT_EQ(joined_.at("b2").member_id, "b2");
  EXPECT_EQ(joined_.at("b2").leader, "a1");
  EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kNone);
  sync("b2", 1);
  EXPECT_EQ(synced_.at("b2").assignment, "1");
  // Who was it before is fenced.
  EXPECT_EQ(group_.fence("B", "b1"), ErrorCode::kFencedInstanceId);
  EXPECT_EQ(group_.fence("B", "b2"), ErrorCode::kNone);
  EXPECT_EQ(group_.fence("C", "b2"), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(heartbeat("b1", 1), ErrorCode::kUnknownMemberId);
  join_as("B", "", "b1");
  EXPECT_EQ(joined_.at("b1").error, ErrorCode::kFencedInstanceId);
}

// Else its name would be left to an id that nobody has, and whoever came by it would be sought
// there.
TEST_F(StaticMembersTest, AMemberKeepsItsNameOrThatItHasNone) {
  make_static();
  join("a1", "", false);
  EXPECT_EQ(joined_.at("a1").error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(group_.fence("A", "a1"), ErrorCode::kNone);
  EXPECT_EQ(group_.leave(now_us_, "a1"), ErrorCode::kNone);
  EXPECT_EQ(group_.fence("A", "a1"), ErrorCode::kUnknownMemberId);
  join_as("A", "a2");
  join_as("B", "", "b1");
  EXPECT_EQ(joined_.at("a2").error, ErrorCode::kNone);
  join("c");
  join_as("C", "", "c");
  EXPECT_EQ(joined_.at("c").error, ErrorCode::kUnknownMemberId);
}

TEST_F(StaticMembersTest, ALeaderThatComesBackHasNothingToShareOut) {
  make_static();
  join_as("A", "a2");
  EXPECT_EQ(joined_.at("a2").generation, 1);
  EXPECT_NE(joined_.at("a2").leader, "a2");
  EXPECT_TRUE(joined_.at("a2").members.empty());
  sync("a2", 1);
  EXPECT_EQ(synced_.at("a2").assignment, "0");
}

TEST_F(StaticMembersTest, WhoComesBackWithNewsHasAllJoinAnew) {
  make_static();
  join_as("B", "b2", "", "other topics");
  EXPECT_FALSE(joined_.contains("b2"));
  EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kRebalanceInProgress);
  join_as("A", "", "a1");
  EXPECT_EQ(joined_.at("a1").generation, 2);
  EXPECT_EQ(joined_.at("b2").generation, 2);
}

// As Java's clients write it: version 3, topics, user data, partitions that it has, generation,
// rack.
std::string subscription(const std::vector<std::string>& topics, std::int32_t generation) {
  std::string bytes;
  put_big_endian<std::int16_t>(bytes, 3);
  put_big_endian(bytes, static_cast<std::int32_t>(topics.size()));
  for (const std::string& topic : topics) {
    put_big_endian(bytes, static_cast<std::int16_t>(topic.size()));
    bytes += topic;
  }
  put_big_endian<std::int32_t>(bytes, -1);
  put_big_endian<std::int32_t>(bytes, 0);
  put_big_endian(bytes, generation);
  put_big_endian<std::int16_t>(bytes, -1);
  return bytes;
}

TEST_F(StaticMembersTest, WhatAConsumerHadIsNoNews) {
  make_static();
  join_as("B", "b2", "", subscription({"x", "y"}, 1));  // the first one could not be read
  join_as("A", "", "a1", subscription({"x"}, 1));
  ASSERT_EQ(joined_.at("b2").generation, 2);
  sync("b2", 2, {{"a1", "0"}, {"b2", "1"}});
  sync("a1", 2, {{"a1", "0"}, {"b2", "1"}});
  join_as("B", "b3", "", subscription({"y", "x"}, -1));
  ASSERT_TRUE(joined_.contains("b3"));
  EXPECT_EQ(joined_.at("b3").generation, 2);
  EXPECT_EQ(heartbeat("a1", 2), ErrorCode::kNone);
  join_as("B", "b4", "", subscription({"x"}, -1));
  EXPECT_FALSE(joined_.contains("b4"));
  EXPECT_EQ(heartbeat("a1", 2), ErrorCode::kRebalanceInProgress);
}

TEST_F(StaticMembersTest, WhoDoesNotComeBackInItsSessionIsOut) {
  make_static();
  for (int i = 0; i < 9; ++i) {
    pass(kSecondUs);
    EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kNone);
  }
  pass(2 * kSecondUs);
  EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(group_.fence("B", "b1"), ErrorCode::kUnknownMemberId);
}

TEST_F(StaticMembersTest, WhoIsAwayKeepsItsPlaceWhileOthersJoinAnew) {
  make_static();
  join("c");
  join_as("A", "", "a1");
  for (int i = 0; i < 31 && !joined_.contains("a1"); ++i) {
    (void)heartbeat("b1", 1);
    pass(kSecondUs);
  }
  ASSERT_TRUE(joined_.contains("a1"));
  EXPECT_EQ(joined_.at("a1").generation, 2);
  EXPECT_EQ(joined_.at("a1").members.size(), 3u);
  EXPECT_EQ(heartbeat("b1", 2), ErrorCode::kNone);
}

TEST_F(StaticMembersTest, WhenAllAreAwayTheGroupWaitsForTheirSessions) {
  make_static();
  join("c");
  EXPECT_EQ(group_.leave(now_us_, "c"), ErrorCode::kNone);
  pass(9 * kSecondUs);
  EXPECT_FALSE(group_.empty());
  pass(2 * kSecondUs);
  EXPECT_TRUE(group_.empty());
}

TEST_F(StaticMembersTest, WhoTakesItsPlaceAgainIsToldWhenThatIsStored) {
  make_static();
  durable_ = false;
  join_as("B", "b2");
  EXPECT_FALSE(joined_.contains("b2"));
  // Who comes again while it waits is the one.
  join_as("B", "b3");
  EXPECT_EQ(joined_.at("b2").error, ErrorCode::kFencedInstanceId);
  EXPECT_FALSE(joined_.contains("b3"));
  pass(20 * kSecondUs);
  EXPECT_EQ(group_.fence("B", "b3"), ErrorCode::kNone);
}

TEST_F(StaticMembersTest, WhoTakesItsPlaceAgainIsWhatASuccessorKnows) {
  make_static();
  durable_ = false;
  join_as("A", "a2");
  store_all();
  EXPECT_EQ(joined_.at("a2").generation, 1);
  EXPECT_EQ(joined_.at("a2").leader, "a1");
  ConsumerGroup successor([](std::string) { return 1; });
  succeed(successor);
  EXPECT_EQ(successor.fence("A", "a1"), ErrorCode::kFencedInstanceId);
  EXPECT_EQ(successor.fence("A", "a2"), ErrorCode::kNone);
  EXPECT_EQ(successor.heartbeat(now_us_, "a2", 1), ErrorCode::kNone);
  Synced synced;
  successor.sync(now_us_, "a2", 1, {}, [&](Synced given) { synced = std::move(given); });
  EXPECT_EQ(synced.assignment, "0");
}

TEST_F(StaticMembersTest, WhoseReturnCannotBeStoredHasAllJoinAnew) {
  make_static();
  durable_ = false;
  join_as("B", "b2");
  store_all(ErrorCode::kCoordinatorNotAvailable);
  EXPECT_FALSE(joined_.contains("b2"));
  EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kRebalanceInProgress);
  join_as("A", "", "a1");
  EXPECT_EQ(joined_.at("b2").generation, 2);
  EXPECT_EQ(joined_.at("a1").generation, 2);
}

TEST_F(StaticMembersTest, WhoWaitsToTakeItsPlaceAgainJoinsWithTheOthers) {
  make_static();
  durable_ = false;
  join_as("B", "b2");
  join("c");
  store_all();
  EXPECT_FALSE(joined_.contains("b2"));
  join_as("A", "", "a1");
  EXPECT_EQ(joined_.at("b2").generation, 2);
}

TEST_F(StaticMembersTest, OneIsTakenOutByItsInstance) {
  make_static();
  EXPECT_EQ(group_.leave(now_us_, "other", "B"), ErrorCode::kFencedInstanceId);
  EXPECT_EQ(group_.leave(now_us_, "", "C"), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(group_.leave(now_us_, "", "B"), ErrorCode::kNone);
  EXPECT_EQ(heartbeat("a1", 1), ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(group_.leave(now_us_, "a1", "A"), ErrorCode::kNone);
  EXPECT_TRUE(group_.empty());
}

}  // namespace
}  // namespace even::kafka
