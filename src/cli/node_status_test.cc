#include "cli/node_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace even::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kJson = R"({"node":"n1","number":1,"replica":"n1/5f3a","ready":true,
  "version":"0.1.0","keys":12,
  "peers":[{"name":"n2","number":2,"link":"up","fault":"","lag_records":3,"lag_seconds":0.25},
           {"name":"n3","number":3,"link":"down","fault":"DOWN","lag_records":0,"lag_seconds":0.0}],
  "partitions":[{"id":0,"vector":"n1/5f3a:12 n2/77:3","digest":"00ff"},
                {"id":1,"vector":"","digest":"0000","damage":"cannot read"}]})";

NodeAnswer answer(const std::string& name, std::vector<PartitionStatus> partitions) {
  return {.name = name,
          .status = NodeStatus{.node = name, .ready = true, .partitions = std::move(partitions)},
          .problem = {}};
}

TEST(NodeStatus, ReadsWhatANodeSays) {
  Result<NodeStatus> status = parse_status(kJson);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->node, "n1");
  EXPECT_EQ(status->replica, "n1/5f3a");
  EXPECT_TRUE(status->ready);
  EXPECT_EQ(status->keys, 12u);
  ASSERT_EQ(status->peers.size(), 2u);
  EXPECT_TRUE(status->peers[0].up);
  EXPECT_EQ(status->peers[0].lag_records, 3u);
  EXPECT_EQ(status->peers[0].lag_seconds, 0.25);
  EXPECT_FALSE(status->peers[1].up);
  EXPECT_EQ(status->peers[1].fault, "DOWN");
  ASSERT_EQ(status->partitions.size(), 2u);
  EXPECT_EQ(status->partitions[0].vector, "n1/5f3a:12 n2/77:3");
  EXPECT_EQ(status->partitions[1].digest, "0000");
  EXPECT_EQ(status->partitions[0].damage, "");
  EXPECT_EQ(status->partitions[1].damage, "cannot read");
}

TEST(NodeStatus, RefusesWhatIsNotAStatus) {
  for (std::string_view text : {"", "{", "[]", "{}", R"({"node":1})"}) {
    EXPECT_FALSE(parse_status(text)) << text;
  }
}

TEST(NodeStatus, SaysHowMuchOfTheLagIsHeldBack) {
  NodeAnswer lagging = answer("n1", {{0, "a:1", "x"}});
  lagging.status->peers = {
      {.name = "n2", .up = true, .lag_records = 3, .lag_seconds = 1.5, .held_bytes = 250}};
  EXPECT_THAT(render({lagging}), HasSubstr("3 records, 1.5 s (250 bytes held back)"));
  lagging.status->peers[0].held_bytes = 0;
  EXPECT_THAT(render({lagging}), Not(HasSubstr("held back")));
}

TEST(NodeStatus, ShowsDamageAndIsNotWellWithIt) {
  std::vector<NodeAnswer> answers = {
      answer("n1", {{0, "a:1", "x"}, {1, "a:2", "y"}}),
      answer("n2", {{0, "a:1", "x"}, {1, "a:2", "y", "000007.sst is damaged"}})};
  EXPECT_FALSE(all_well(answers));
  EXPECT_THAT(render(answers), HasSubstr("DAMAGED on n2: 1 partitions, to be repaired from other "
                                         "replicas: 1 (000007.sst is damaged)"));
}

TEST(NodeStatus, FindsEqualReplicasEqual) {
  std::vector<NodeAnswer> answers = {answer("n1", {{0, "a:1", "x"}, {1, "a:2", "y"}}),
                                     answer("n2", {{0, "a:1", "x"}}),
                                     answer("n3", {{1, "a:2", "y"}})};
  Agreement agreement = compare(answers);
  EXPECT_EQ(agreement.partitions, 2u);
  EXPECT_THAT(agreement.behind, IsEmpty());
  EXPECT_THAT(agreement.diverged, IsEmpty());
  EXPECT_TRUE(all_well(answers));
  EXPECT_THAT(render(answers),
              HasSubstr("All vectors and digests are equal: 2 partitions on 3 nodes."));
}

TEST(NodeStatus, TellsLaggingReplicasFromDivergedOnes) {
  std::vector<NodeAnswer> answers = {
      answer("n1", {{0, "a:1", "x"}, {1, "a:2", "y"}, {2, "a:3", "p"}}),
      answer("n2", {{0, "a:2", "z"}, {1, "a:2", "w"}, {2, "a:3", "p"}})};
  Agreement agreement = compare(answers);
  EXPECT_THAT(agreement.behind, ElementsAre(0));
  EXPECT_THAT(agreement.diverged, ElementsAre(1));
  EXPECT_FALSE(all_well(answers));
  EXPECT_THAT(render(answers),
              HasSubstr("ALARM: equal vectors but different digests on partitions 1:"));

  answers[1].status->partitions[1].digest = "y";
  EXPECT_FALSE(all_well(answers));
  EXPECT_THAT(render(answers), HasSubstr("Not equal: 1 of 3 partitions differ on 2 nodes: 0"));
}

TEST(NodeStatus, SeesDivergenceBehindALaggingReplica) {
  std::vector<NodeAnswer> answers = {answer("n1", {{7, "a:1", "x"}}),
                                     answer("n2", {{7, "a:2", "y"}}),
                                     answer("n3", {{7, "a:2", "z"}})};
  EXPECT_THAT(compare(answers).behind, ElementsAre(7));
  EXPECT_THAT(compare(answers).diverged, ElementsAre(7));
}

TEST(NodeStatus, ANodeThatDoesNotAnswerIsNotWell) {
  std::vector<NodeAnswer> answers = {answer("n1", {{0, "a:1", "x"}}),
                                     {.name = "n2", .status = {}, .problem = "Connection refused"}};
  EXPECT_FALSE(all_well(answers));
  std::string text = render(answers);
  EXPECT_THAT(text, HasSubstr("down: Connection refused"));
  EXPECT_THAT(text, HasSubstr("on the 1 of 2 nodes that answer"));
  answers[0].status.reset();
  EXPECT_THAT(render(answers), HasSubstr("No node answers."));
}

TEST(NodeStatus, ShowsGroupsWhoseMembersHaveDiverged) {
  std::vector<NodeAnswer> answers = {answer("n1", {{0, "a:1", "x"}}),
                                     answer("n2", {{0, "a:1", "x"}})};
  for (NodeAnswer& each : answers) each.status->groups = 3;
  EXPECT_TRUE(all_well(answers));
  EXPECT_THAT(render(answers), testing::Not(HasSubstr("ALARM")));
  answers[1].status->groups_diverged = {300, 302};
  EXPECT_FALSE(all_well(answers));
  EXPECT_THAT(render(answers), HasSubstr("ALARM: n2 differs from the leader in groups 300, 302"));
  const std::string json = R"({"node":"n1","replica":"r","ready":true,"version":"1","keys":0,
    "groups":{"members":3,"leads":1,"without_leader":[],"diverged":[7]},"peers":[],"partitions":[]})";
  EXPECT_THAT(parse_status(json)->groups_diverged, ElementsAre(7));
}

TEST(NodeStatus, ShowsWhoLeadsGroupsAndWhichHaveNoLeader) {
  std::vector<NodeAnswer> answers = {answer("n1", {{0, "a:1", "x"}}),
                                     answer("n2", {{0, "a:1", "x"}})};
  EXPECT_THAT(render(answers), testing::Not(HasSubstr("Groups")));
  answers[0].status->groups = answers[1].status->groups = 17;
  answers[0].status->groups_led = 9;
  answers[1].status->groups_led = 8;
  EXPECT_TRUE(all_well(answers));
  EXPECT_THAT(render(answers), HasSubstr("Groups: n1 leads 9 of 17, n2 leads 8 of 17\n"));
  answers[1].status->groups_without_leader = {257, 260};
  EXPECT_FALSE(all_well(answers));
  EXPECT_THAT(render(answers), HasSubstr("NO LEADER is known on n2 of 2 groups: 257, 260\n"));

  const auto status = parse_status(
      R"({"node":"n1","replica":"1/a","ready":true,"version":"0.1.0","keys":0,"peers":[],)"
      R"("groups":{"members":17,"leads":9,"without_leader":[257]},"partitions":[]})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->groups, 17u);
  EXPECT_EQ(status->groups_led, 9u);
  EXPECT_THAT(status->groups_without_leader, ElementsAre(257));
}

TEST(NodeStatus, ShowsLinksWithLagAndFault) {
  std::vector<NodeAnswer> answers = {{.name = "n1", .status = *parse_status(kJson), .problem = {}}};
  std::string text = render(answers);
  EXPECT_THAT(text, HasSubstr("n1 -> n2  up     3 records, 0.2 s"));
  EXPECT_THAT(text, HasSubstr("n1 -> n3  down   0 records, 0.0 s  0      DOWN"));
}

TEST(NodeStatus, SaysWhatIsKeptForOthersAndWhatIsNot) {
  std::string json(kJson);
  json.replace(json.find(R"("lag_seconds":0.25)"), 18, R"("lag_seconds":0.25,"hints":17)");
  json.replace(json.find(R"("partitions")"), 12,
               R"("hints":{"refused":5,"expired":0},"partitions")");
  const std::vector<NodeAnswer> answers = {
      {.name = "n1", .status = *parse_status(json), .problem = {}}};
  const std::string text = render(answers);
  EXPECT_THAT(text, HasSubstr("n1 -> n2  up     3 records, 0.2 s  17"));
  EXPECT_THAT(text,
              HasSubstr("HINTS LEFT TO ANTI-ENTROPY by n1: 5 for want of room, 0 as too old"));
}

}  // namespace
}  // namespace even::cli
