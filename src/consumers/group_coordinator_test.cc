// Coordinators on real groups of three simulated nodes, of which any may die or be cut off.
#include "consumers/group_coordinator.h"

#include <gmock/gmock.h>

#include "replica/test_groups.h"

namespace even::kafka {
namespace {

using test::GroupCluster;
using test::GroupNode;
using ::testing::HasSubstr;

constexpr PartitionId kOffsetsGroup = 2;
constexpr std::int64_t kSessionUs = 10'000'000;

// A node with its coordinator, as long as it is up.
class CoordinatingNode final : public GroupWorld {
 public:
  CoordinatingNode(GroupCluster& cluster, GroupNode& node) : cluster_(cluster), node_(node) {}

  std::vector<PartitionId> partitions() override { return {kOffsetsGroup}; }
  std::optional<consensus::Term> term_led(PartitionId partition) override {
    return node_.shard->term_led(partition);
  }
  void execute(PartitionId partition, std::vector<std::string> command, Done done) override {
    struct Words {
      std::vector<std::string> words;
      std::vector<std::string_view> views;
    };
    auto words = std::make_shared<Words>(Words{std::move(command), {}});
    words->views.assign(words->words.begin(), words->words.end());
    StrongRequest request;
    request.group = partition;
    request.commands.emplace_back(words->views);
    // What is refused is so at once.
    auto given = std::make_shared<std::optional<StrongOutcome>>();
    if (refused.first == words->words[0]) {
      *given = StrongOutcome{StrongOutcome::Kind::kRefused, refused.second, 0, 0};
      asked_.emplace_back(std::move(given), std::move(done));
      return;
    }
    node_.shard->execute_strong(std::move(request),
                                [words, given](StrongOutcome outcome) { *given = outcome; });
    asked_.emplace_back(std::move(given), std::move(done));
  }
  std::int64_t now_us() override { return cluster_.world.clock.monotonic_us(); }
  void warn(const std::string& text) override { warnings.push_back(text); }

  void step() {
    auto asked = std::exchange(asked_, {});
    for (auto& [given, done] : asked) {
      if (*given) {
        done(**given);
      } else {
        asked_.emplace_back(std::move(given), std::move(done));
      }
    }
  }
  GroupNode& node() { return node_; }

  std::vector<std::string> warnings;
  std::pair<std::string, std::string> refused;  // commands of this name, with this reply

 private:
  GroupCluster& cluster_;
  GroupNode& node_;
  std::vector<std::pair<std::shared_ptr<std::optional<StrongOutcome>>, Done>> asked_;

 public:
  GroupCoordinator coordinator{*this};
};

class GroupCoordinatorTest : public testing::Test {
 protected:
  using Joined = ConsumerGroup::Joined;
  using Synced = ConsumerGroup::Synced;
  using Assignments = std::vector<std::pair<std::string, std::string>>;

  GroupCoordinatorTest() {
    std::vector<consensus::MemberId> voters;
    std::vector<NodeNumber> replicas;
    for (const auto& node : cluster_.nodes) {
      voters.push_back(member_of(node->replica()));
      replicas.push_back(node->number);
    }
    for (const auto& node : cluster_.nodes) {
      EXPECT_TRUE(node->shard->found_group(kOffsetsGroup, voters, replicas));
      at_.push_back(std::make_unique<CoordinatingNode>(cluster_, *node));
    }
  }
  ~GroupCoordinatorTest() override { at_.clear(); }

  void step() {
    cluster_.step();
    for (auto& each : at_) {
      if (each == nullptr) continue;
      each->step();
      if (ticks_ && cluster_.steps % 20 == 0) each->coordinator.tick();
    }
  }
  template <typename Condition>
  bool run_until(Condition condition, int milliseconds = 5'000) {
    for (int i = 0; i < milliseconds; ++i) {
      if (condition()) return true;
      step();
    }
    return condition();
  }
  void run(int milliseconds) {
    for (int i = 0; i < milliseconds; ++i) step();
  }
  // Whoever leads in the latest term.
  CoordinatingNode& leader() {
    GroupNode* node = nullptr;
    EXPECT_TRUE(run_until([&] {
      node = cluster_.leader(kOffsetsGroup);
      return node != nullptr && at_[node->number - 1u] != nullptr;
    }));
    return *at_[node->number - 1u];
  }
  void start_all() {
    for (const auto& node : cluster_.nodes) {
      if (node->up()) continue;
      node->start();
      at_[node->number - 1u] = std::make_unique<CoordinatingNode>(cluster_, *node);
    }
    for (const auto& node : at_) node->refused = {};
    run(2'000);
  }
  void kill(CoordinatingNode& node) {
    GroupNode& its = node.node();
    at_[its.number - 1u] = nullptr;
    its.crash();
  }
  // From all others.
  void cut(CoordinatingNode& node) {
    for (const auto& other : cluster_.nodes) {
      if (other.get() != &node.node()) cluster_.cuts.insert({node.node().number, other->number});
    }
  }
  // Another one leads than this.
  CoordinatingNode& successor_of(CoordinatingNode& node) {
    EXPECT_TRUE(run_until([&] {
      GroupNode* leads = cluster_.leader(kOffsetsGroup);
      return leads != nullptr && leads != &node.node();
    }));
    return leader();
  }
  CoordinatingNode& kill_leader() {
    kill(leader());
    return leader();
  }

  // --- What members ask for. None: there is no answer yet.
  using Answer = std::shared_ptr<std::optional<Joined>>;
  Answer begin_join(CoordinatingNode& node, const std::string& id, bool is_new = true,
                    std::optional<std::string> instance = std::nullopt) {
    auto answer = std::make_shared<std::optional<Joined>>();
    node.coordinator.with(kOffsetsGroup, "g",
                          [&node, id, is_new, instance, answer](ConsumerGroup* group) {
                            if (group == nullptr)
                              return void(*answer = Joined{.error = ErrorCode::kNotCoordinator});
                            group->join(node.now_us(),
                                        {.member_id = is_new ? "" : id,
                                         .new_id = id,
                                         .protocol_type = "consumer",
                                         .protocols = {{"range", "topics"}},
                                         .session_us = kSessionUs,
                                         .rebalance_us = 3 * kSessionUs,
                                         .instance = instance},
                                        [answer](Joined joined) { *answer = std::move(joined); });
                          });
    return answer;
  }
  Joined end_join(const Answer& answer) {
    EXPECT_TRUE(run_until([&] { return answer->has_value(); }));
    return answer->value_or(Joined{.error = ErrorCode::kUnknownServerError});
  }
  using Assignment = std::shared_ptr<std::optional<Synced>>;
  Assignment begin_sync(CoordinatingNode& node, const std::string& id, std::int32_t generation,
                        Assignments assignments = {}) {
    auto answer = std::make_shared<std::optional<Synced>>();
    node.coordinator.with(kOffsetsGroup, "g",
                          [&node, id, generation, assignments, answer](ConsumerGroup* group) {
                            if (group == nullptr)
                              return void(*answer = Synced{.error = ErrorCode::kNotCoordinator});
                            group->sync(node.now_us(), id, generation, assignments,
                                        [answer](Synced synced) { *answer = std::move(synced); });
                          });
    return answer;
  }
  Synced end_sync(const Assignment& answer) {
    EXPECT_TRUE(run_until([&] { return answer->has_value(); }));
    return answer->value_or(Synced{.error = ErrorCode::kUnknownServerError});
  }
  std::string assigned(CoordinatingNode& node, const std::string& id, std::int32_t generation) {
    const Synced synced = end_sync(begin_sync(node, id, generation));
    EXPECT_EQ(synced.error, ErrorCode::kNone);
    return synced.assignment;
  }
  // As requests are served: what it says holds for the moment at which it was asked for.
  ErrorCode heartbeat(CoordinatingNode& node, const std::string& id, std::int32_t generation) {
    auto answer = std::make_shared<std::optional<ErrorCode>>();
    node.coordinator.with(
        kOffsetsGroup, "g", [&node, id, generation, answer](ConsumerGroup* group) {
          if (group == nullptr) return void(*answer = ErrorCode::kNotCoordinator);
          const ErrorCode error = group->heartbeat(node.now_us(), id, generation);
          if (error != ErrorCode::kNone) return void(*answer = error);
          node.coordinator.confirm(kOffsetsGroup, [answer](ErrorCode error) { *answer = error; });
        });
    EXPECT_TRUE(run_until([&] { return answer->has_value(); }));
    return answer->value_or(ErrorCode::kUnknownServerError);
  }
  ErrorCode leave(CoordinatingNode& node, const std::string& id) {
    auto answer = std::make_shared<std::optional<ErrorCode>>();
    node.coordinator.with(kOffsetsGroup, "g", [&node, id, answer](ConsumerGroup* group) {
      *answer = group == nullptr ? ErrorCode::kNotCoordinator : group->leave(node.now_us(), id);
    });
    EXPECT_TRUE(run_until([&] { return answer->has_value(); }));
    return answer->value_or(ErrorCode::kUnknownServerError);
  }
  std::string state(CoordinatingNode& node) {
    const ConsumerGroup* group = node.coordinator.find(kOffsetsGroup, "g");
    return group == nullptr ? "none" : std::string(group->describe().state);
  }

  // Members a and b, of which a leads; with their partitions.
  std::int32_t make_stable(CoordinatingNode& node,
                           std::optional<std::string> instance_of_b = std::nullopt) {
    const Answer a = begin_join(node, "a");
    const Answer b = begin_join(node, "b", true, std::move(instance_of_b));
    const Joined joined = end_join(a);
    EXPECT_EQ(joined.error, ErrorCode::kNone);
    EXPECT_EQ(end_join(b).generation, joined.generation);
    const Assignment of_b = begin_sync(node, "b", joined.generation);
    const Assignment of_a = begin_sync(node, "a", joined.generation, {{"a", "0"}, {"b", "1"}});
    EXPECT_EQ(end_sync(of_a).assignment, "0");
    EXPECT_EQ(end_sync(of_b).assignment, "1");
    return joined.generation;
  }
  void expect_as_before(CoordinatingNode& node, std::int32_t generation) {
    EXPECT_EQ(heartbeat(node, "a", generation), ErrorCode::kNone);
    EXPECT_EQ(heartbeat(node, "b", generation), ErrorCode::kNone);
    EXPECT_EQ(state(node), "Stable");
    EXPECT_EQ(assigned(node, "a", generation), "0");
    EXPECT_EQ(assigned(node, "b", generation), "1");
  }

  GroupCluster cluster_{3};
  std::vector<std::unique_ptr<CoordinatingNode>> at_;
  bool ticks_ = true;
};

TEST_F(GroupCoordinatorTest, MembersOfAStableGroupGoOnWhereItsCoordinatorDies) {
  const std::int32_t generation = make_stable(leader());
  CoordinatingNode& successor = kill_leader();
  expect_as_before(successor, generation);
  // A commit of who is none, and of another generation, is refused.
  ConsumerGroup* group = successor.coordinator.find(kOffsetsGroup, "g");
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->may_commit(successor.now_us(), "a", generation), ErrorCode::kNone);
  EXPECT_EQ(group->may_commit(successor.now_us(), "a", generation - 1),
            ErrorCode::kIllegalGeneration);
  EXPECT_EQ(group->may_commit(successor.now_us(), "c", generation), ErrorCode::kUnknownMemberId);
}

TEST_F(GroupCoordinatorTest, WhoeverAsksBeforeTheMembersAreLoadedIsAnsweredThen) {
  const std::int32_t generation = make_stable(leader());
  ticks_ = false;
  CoordinatingNode& successor = kill_leader();
  EXPECT_EQ(successor.coordinator.find(kOffsetsGroup, "g"), nullptr);
  EXPECT_EQ(heartbeat(successor, "a", generation), ErrorCode::kNone);
}

// The state PreparingRebalance.
TEST_F(GroupCoordinatorTest, ADeathWhileAllAreToJoinLeavesTheGenerationBefore) {
  CoordinatingNode& former = leader();
  const std::int32_t generation = make_stable(former);
  (void)begin_join(former, "c");
  EXPECT_EQ(heartbeat(former, "a", generation), ErrorCode::kRebalanceInProgress);
  CoordinatingNode& successor = kill_leader();
  expect_as_before(successor, generation);
  EXPECT_EQ(heartbeat(successor, "c", generation), ErrorCode::kUnknownMemberId);
}

// The state CompletingRebalance.
TEST_F(GroupCoordinatorTest, AGenerationThatWasNotAssignedIsOverAndItsNumberDoesNotComeAgain) {
  CoordinatingNode& former = leader();
  const std::int32_t generation = make_stable(former);
  const Answer c = begin_join(former, "c");
  const Answer a = begin_join(former, "a", false);
  const Answer b = begin_join(former, "b", false);
  const std::int32_t next = end_join(c).generation;
  EXPECT_EQ(next, generation + 1);
  CoordinatingNode& successor = kill_leader();
  EXPECT_EQ(heartbeat(successor, "a", next), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(end_sync(begin_sync(successor, "a", next, {{"a", "all"}})).error,
            ErrorCode::kIllegalGeneration);
  EXPECT_EQ(heartbeat(successor, "c", next), ErrorCode::kUnknownMemberId);
  expect_as_before(successor, generation);
  // The leader joins, upon which all do.
  const Answer again_a = begin_join(successor, "a", false);
  const Answer again_b = begin_join(successor, "b", false);
  EXPECT_GT(end_join(again_a).generation, next);
  EXPECT_EQ(end_join(again_b).generation, end_join(again_a).generation);
}

TEST_F(GroupCoordinatorTest, WhatIsNotOnAMajorityIsAssignedToNobody) {
  CoordinatingNode& former = leader();
  const Answer joined = begin_join(former, "a");
  const std::int32_t generation = end_join(joined).generation;
  cut(former);
  const Assignment synced = begin_sync(former, "a", generation, {{"a", "all"}});
  CoordinatingNode& successor = successor_of(former);
  EXPECT_FALSE(*synced);
  EXPECT_EQ(heartbeat(successor, "a", generation), ErrorCode::kUnknownMemberId);
  const Answer b = begin_join(successor, "b");
  const std::int32_t later = end_join(b).generation;
  EXPECT_GT(later, generation);
  EXPECT_EQ(end_sync(begin_sync(successor, "b", later, {{"b", "all"}})).assignment, "all");
  cluster_.cuts.clear();
  EXPECT_EQ(end_sync(synced).error, ErrorCode::kNotCoordinator);
  EXPECT_EQ(heartbeat(successor, "b", later), ErrorCode::kNone);
}

TEST_F(GroupCoordinatorTest, AGroupThatWasLeftIsEmptyForTheSuccessor) {
  CoordinatingNode& former = leader();
  const std::int32_t generation = make_stable(former);
  EXPECT_EQ(leave(former, "a"), ErrorCode::kNone);
  EXPECT_EQ(leave(former, "b"), ErrorCode::kNone);
  run(100);
  CoordinatingNode& successor = kill_leader();
  EXPECT_EQ(heartbeat(successor, "a", generation), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(state(successor), "Empty");
  EXPECT_GT(end_join(begin_join(successor, "c")).generation, generation + 1);
}

TEST_F(GroupCoordinatorTest, NumbersOfGenerationsDoNotComeTwiceInOneTerm) {
  CoordinatingNode& node = leader();
  const std::int32_t generation = make_stable(node);
  EXPECT_EQ(leave(node, "a"), ErrorCode::kNone);
  EXPECT_EQ(leave(node, "b"), ErrorCode::kNone);
  run(100);  // until it is forgotten
  EXPECT_TRUE(node.coordinator.groups_of(kOffsetsGroup).empty());
  EXPECT_GT(end_join(begin_join(node, "c")).generation, generation);
}

TEST_F(GroupCoordinatorTest, StaticMembersKeepTheirIdsAndWhatTheyAreAssigned) {
  const std::int32_t generation = make_stable(leader(), "B");
  CoordinatingNode& successor = kill_leader();
  expect_as_before(successor, generation);
  ConsumerGroup* group = successor.coordinator.find(kOffsetsGroup, "g");
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->fence("B", "b"), ErrorCode::kNone);
  // And so does who comes back to the successor, under another id.
  const Joined back = end_join(begin_join(successor, "b2", true, "B"));
  EXPECT_EQ(back.error, ErrorCode::kNone);
  EXPECT_EQ(back.generation, generation);
  EXPECT_EQ(assigned(successor, "b2", generation), "1");
  EXPECT_EQ(heartbeat(successor, "a", generation), ErrorCode::kNone);
  EXPECT_EQ(successor.coordinator.find(kOffsetsGroup, "g")->fence("B", "b"),
            ErrorCode::kFencedInstanceId);
}

TEST_F(GroupCoordinatorTest, AStaticMemberThatIsBackIsKnownToTheNextSuccessor) {
  CoordinatingNode& former = leader();
  const std::int32_t generation = make_stable(former, "B");
  EXPECT_EQ(end_join(begin_join(former, "b2", true, "B")).generation, generation);
  CoordinatingNode& successor = kill_leader();
  EXPECT_EQ(heartbeat(successor, "b2", generation), ErrorCode::kNone);
  EXPECT_EQ(heartbeat(successor, "b", generation), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(assigned(successor, "b2", generation), "1");
}

TEST_F(GroupCoordinatorTest, WhoIsGoneWithTheCoordinatorIsOutAfterItsSession) {
  const std::int32_t generation = make_stable(leader());
  CoordinatingNode& successor = kill_leader();
  ErrorCode error = ErrorCode::kNone;
  int seconds = 0;
  while (error == ErrorCode::kNone && seconds < 20) {
    run(1'000);
    ++seconds;
    error = heartbeat(successor, "a", generation);
  }
  EXPECT_EQ(error, ErrorCode::kRebalanceInProgress);
  EXPECT_GE(seconds, 9);
  EXPECT_LE(seconds, 11);
  EXPECT_EQ(heartbeat(successor, "b", generation), ErrorCode::kUnknownMemberId);
  const Joined joined = end_join(begin_join(successor, "a", false));
  EXPECT_EQ(joined.members.size(), 1u);
  EXPECT_GT(joined.generation, generation);
}

TEST_F(GroupCoordinatorTest, AFormerCoordinatorThatLivesTellsNobodyThatHeIsAMember) {
  CoordinatingNode& former = leader();
  const std::int32_t generation = make_stable(former);
  cut(former);
  // There may be another one already, as far as it can know.
  ASSERT_TRUE(former.term_led(kOffsetsGroup));
  EXPECT_EQ(heartbeat(former, "a", generation), ErrorCode::kNotCoordinator);
  CoordinatingNode& successor = successor_of(former);
  ASSERT_NE(&former, &successor);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(heartbeat(former, "a", generation), ErrorCode::kNotCoordinator);
  }
  auto commit = std::make_shared<std::optional<StrongOutcome>>();
  former.execute(kOffsetsGroup, {"hset", "offsets", "t/0", "7"},
                 [commit](const StrongOutcome& outcome) { *commit = outcome; });
  expect_as_before(successor, generation);
  cluster_.cuts.clear();
  ASSERT_TRUE(run_until([&] { return commit->has_value(); }));
  EXPECT_EQ((*commit)->kind, StrongOutcome::Kind::kElsewhere);
  run(500);
  EXPECT_EQ(heartbeat(former, "a", generation),
            &former == &leader() ? ErrorCode::kNone : ErrorCode::kNotCoordinator);
}

TEST_F(GroupCoordinatorTest, WhoLeadsAgainHasForgottenWhatItKnew) {
  CoordinatingNode& first = leader();
  const std::int32_t generation = make_stable(first);
  cut(first);
  CoordinatingNode& second = successor_of(first);
  EXPECT_EQ(leave(second, "b"), ErrorCode::kNone);
  const Joined joined = end_join(begin_join(second, "a", false));
  EXPECT_EQ(end_sync(begin_sync(second, "a", joined.generation, {{"a", "all"}})).assignment, "all");
  // The first one leads again, and its coordinator has not looked since.
  ticks_ = false;
  cluster_.cuts.clear();
  cut(second);
  for (int tries = 0; tries < 50 && &leader() != &first; ++tries) {
    // The third one may come before it.
    GroupNode* leads = cluster_.leader(kOffsetsGroup);
    if (leads != &first.node() && leads != &second.node()) leads->shard->stop_leading();
    run(300);
  }
  ASSERT_EQ(&leader(), &first);
  EXPECT_EQ(heartbeat(first, "b", generation), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(heartbeat(first, "a", generation), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(heartbeat(first, "a", joined.generation), ErrorCode::kNone);
  EXPECT_EQ(assigned(first, "a", joined.generation), "all");
}

TEST_F(GroupCoordinatorTest, WhatCannotBeReadOfAGroupDoesNotKeepTheOthers) {
  const std::int32_t generation = make_stable(leader());
  const std::string members("\0even:members", 13);
  cluster_.run_strong(kOffsetsGroup, {"hset", members, "damaged", "not a record"});
  CoordinatingNode& successor = kill_leader();
  expect_as_before(successor, generation);
  ASSERT_EQ(successor.warnings.size(), 1u);
  EXPECT_THAT(successor.warnings[0], HasSubstr("'damaged'"));
}

TEST_F(GroupCoordinatorTest, WhereTheStateIsDamagedNobodyWaitsAndAllJoinAnew) {
  for (const char* command : {"hkeys", "hget"}) {
    const std::int32_t generation = make_stable(leader());
    for (const auto& node : at_) {
      if (node) node->refused = {command, "-IOERR group 2: a part of it cannot be read\r\n"};
    }
    kill(leader());
    CoordinatingNode& successor = leader();
    EXPECT_EQ(heartbeat(successor, "a", generation), ErrorCode::kUnknownMemberId);
    EXPECT_GT(make_stable(successor), generation);
    ASSERT_EQ(successor.warnings.size(), 1u);
    EXPECT_THAT(successor.warnings[0], HasSubstr("cannot be read"));
    successor.warnings.clear();
    start_all();
  }
}

TEST_F(GroupCoordinatorTest, ARecordWhoseDeletionIsRefusedGoesLater) {
  CoordinatingNode& node = leader();
  const std::int32_t generation = make_stable(node);
  node.refused = {"hdel", "-UNAVAILABLE writes are refused: the disk is full\r\n"};
  EXPECT_EQ(leave(node, "a"), ErrorCode::kNone);
  EXPECT_EQ(leave(node, "b"), ErrorCode::kNone);
  run(100);
  node.refused = {};
  const std::string members("\0even:members", 13);
  EXPECT_TRUE(run_until(
      [&] { return cluster_.run_strong(kOffsetsGroup, {"exists", members}) == ":0\r\n"; }));
  // Numbers do not come again.
  EXPECT_GT(make_stable(node), generation);
}

TEST_F(GroupCoordinatorTest, WhoWaitsAtANodeThatComesToLeadNoMoreIsToldSo) {
  CoordinatingNode& former = leader();
  make_stable(former);
  const Answer c = begin_join(former, "c");
  cut(former);
  successor_of(former);
  cluster_.cuts.clear();
  EXPECT_EQ(end_join(c).error, ErrorCode::kNotCoordinator);
}

}  // namespace
}  // namespace even::kafka
