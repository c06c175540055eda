#include "cli/consistency_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/node_status.h"

namespace even::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kJson = R"({"seconds":60.0,"latency_bounds_us":[50,100,1000],
  "levels":[{"level":"one","strong":false,"writes":true,"requests":4120,"refused":0,
             "latency":[4000,120,0,0]},
            {"level":"quorum","strong":false,"writes":true,"requests":412,"refused":312,
             "latency":[0,0,400,12]}],
  "refusals":[{"keyspace":"k","level":"quorum","strong":false,"writes":true,"code":"UNAVAILABLE",
               "count":312,"linked":0,"unreachable":{"n3":312,"n4":300}}],
  "arrival_bounds_us":[1000,10000,100000,1000000],
  "arrivals":[{"peer":"n2","below_zero":0,"delays":[900,90,10,0,0]},
              {"peer":"n3","below_zero":0,"delays":[0,0,0,0,0]}],
  "windows":{"n2":0.8,"n3":null},
  "joined":1000,"conflicts":12,"type_conflicts":0,"repaired":0,
  "hints":{"waiting":5,"kept":6,"handed_over":1}})";

NodeAnswer first_node() {
  NodeStatus status{.node = "n1", .ready = true};
  status.consistency = parse_consistency(nlohmann::json::parse(kJson));
  status.peers = {{.name = "n2", .up = true}, {.name = "n3", .up = false}};
  return {.name = "n1", .status = std::move(status), .problem = {}};
}

// Another one that says what n1 lacks of it.
NodeAnswer lagging_peer(const std::string& name) {
  NodeStatus status{.node = name, .ready = true};
  status.consistency = ConsistencyStatus{.seconds = 60};
  status.peers = {{.name = "n1", .up = true, .lag_records = 17, .lag_seconds = 4.2}};
  return {.name = name, .status = std::move(status), .problem = {}};
}

TEST(ConsistencyStatus, SaysWhatEachLevelHasCost) {
  const std::string text = render_consistency({first_node()});
  EXPECT_THAT(text, HasSubstr("The last 60 s at n1"));
  EXPECT_THAT(
      text, ::testing::ContainsRegex("ONE +writes +4,120 +- +0.05 ms +0.1 ms +in this node's log"));
  EXPECT_THAT(text, ::testing::ContainsRegex("QUORUM +writes +412 +312 +1 ms +> 1 ms"));
  EXPECT_THAT(text, HasSubstr("Conflicts: 12 while 1,000 records came from other nodes (1.20 %)."));
  EXPECT_THAT(text, HasSubstr("Hints: 5 kept for others, 6 more and 1 handed over"));
  EXPECT_THAT(text, HasSubstr("Repairs: none."));
}

TEST(ConsistencyStatus, SaysHowMuchOfOthersWritesHadNotComeAfterAWhile) {
  const std::string text = render_consistency({first_node(), lagging_peer("n2")});
  EXPECT_THAT(text,
              ::testing::ContainsRegex(
                  "n1 +n2 +1,000 +10 % +1.0 % +none +none +800 ms +17 records, the oldest 4.2 s"));
}

TEST(ConsistencyStatus, SaysThatItDoesNotKnowWhatItDoesNot) {
  const std::string text = render_consistency({first_node()});
  EXPECT_THAT(text, ::testing::ContainsRegex(
                        "n1 +n3 +none +\\? +\\? +\\? +\\? +\\? +unknown: n3 does not say"));
  NodeAnswer silent{.name = "n9", .status = {}, .problem = "timed out"};
  NodeAnswer old = first_node();
  old.status->node = "n8";
  old.status->consistency.reset();
  const std::string others = render_consistency({silent, old});
  EXPECT_THAT(others, HasSubstr("n9 does not answer (timed out)"));
  EXPECT_THAT(others, HasSubstr("n8 is of a version that does not tell"));
  EXPECT_THAT(others, HasSubstr("No node tells anything."));
  NodeAnswer idle = first_node();
  idle.status->consistency = ConsistencyStatus{.seconds = 3};
  EXPECT_THAT(render_consistency({idle}),
              HasSubstr("Conflicts: unknown, nothing has come from other nodes."));
}

TEST(ConsistencyStatus, SaysWhoGaveUpWhatUnderAPartition) {
  const std::string text = render_consistency({first_node(), lagging_peer("n3")});
  EXPECT_THAT(text, HasSubstr("PC  QUORUM in keyspace 'k': 312 writes at n1 were refused "
                              "(-UNAVAILABLE), all while n3 and n4 could not be reached.\n"));
  EXPECT_THAT(text, HasSubstr("PA  ONE went on at n1 (4,120 requests in that time); now it cannot "
                              "reach n3:\n      behind n3 by 17 records, the oldest 4.2 s old; it "
                              "is not known up to when it has all\n"));
  EXPECT_THAT(text, HasSubstr("EC  QUORUM: half of its writes took up to 1 ms, at ONE up to "
                              "0.05 ms.\n"));
  // Of n3 nobody knows, if it does not say.
  EXPECT_THAT(render_consistency({first_node()}),
              HasSubstr("how far it is behind n3 is unknown, as that does not say"));
}

TEST(ConsistencyStatus, DoesNotBlameLinksThatWereThere) {
  NodeAnswer node = first_node();
  ConsistencyStatus::Refusal& refusal = node.status->consistency->refusals.front();
  refusal.code = "PARTIAL";
  refusal.linked = 312;
  refusal.unreachable.clear();
  node.status->peers.pop_back();
  const std::string text = render_consistency({node});
  EXPECT_THAT(text, HasSubstr("312 writes at n1 were written here, and not as often as asked for "
                              "in time (-PARTIAL), 312 although all replicas were linked: too "
                              "slow, or stopped.\n"));
  EXPECT_THAT(text, Not(HasSubstr("reached")));
  EXPECT_THAT(text, Not(HasSubstr("went on")));
}

TEST(ConsistencyStatus, SaysThatClocksDiffer) {
  NodeAnswer node = first_node();
  node.status->consistency->arrivals.at("n2").below_zero = 400;
  EXPECT_THAT(render_consistency({node}),
              HasSubstr("400 of 1,000 records of n2 came to n1 before they were made"));
}

TEST(ConsistencyStatus, RefusesWhatLacksAPart) {
  nlohmann::json json = nlohmann::json::parse(kJson);
  json.erase("windows");
  EXPECT_THROW(parse_consistency(json), nlohmann::json::exception);
}

}  // namespace
}  // namespace even::cli
