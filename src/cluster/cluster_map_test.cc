#include "cluster/cluster_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace even::cluster {
namespace {

using ::testing::HasSubstr;

ClusterMap three_nodes() {
  return {.id = "test",
          .replicas = 3,
          .nodes = {{.name = "n1", .number = 1, .host = "127.0.0.1", .peer_port = 7101},
                    {.name = "n2", .number = 2, .host = "127.0.0.1", .peer_port = 7102},
                    {.name = "n3", .number = 3, .host = "127.0.0.1", .peer_port = 7103}}};
}

void expect_refused(const ClusterMap& map, std::string_view what) {
  auto result = map.validate();
  ASSERT_FALSE(result.has_value()) << "expected an error with: " << what;
  EXPECT_THAT(result.error().message, HasSubstr(what));
}

TEST(ClusterMap, AcceptsThreeWellFormedNodes) { EXPECT_TRUE(three_nodes().validate().has_value()); }

TEST(ClusterMap, AcceptsASingleNodeWithoutIdHostOrPeerPort) {
  ClusterMap map{.nodes = {{.name = "even", .number = 1}}};
  EXPECT_TRUE(map.validate().has_value());
}

TEST(ClusterMap, FindsNodesByNameAndByNumber) {
  ClusterMap map = three_nodes();
  EXPECT_EQ(map.find("n2"), &map.nodes[1]);
  EXPECT_EQ(map.find(uint16_t{3}), &map.nodes[2]);
  EXPECT_EQ(map.find("n4"), nullptr);
  EXPECT_EQ(map.find(uint16_t{4}), nullptr);
}

TEST(ClusterMap, RefusesCountsOutOfRange) {
  ClusterMap map = three_nodes();
  map.partitions = 0;
  expect_refused(map, "partitions is 0");
  map.partitions = 16385;
  expect_refused(map, "1 to 16384");
  map = three_nodes();
  map.replicas = 4;
  expect_refused(map, "replicas is 4: 1 to 3");
  map.replicas = 0;
  expect_refused(map, "replicas is 0");
  map = three_nodes();
  map.version = 0;
  expect_refused(map, "versions start at 1");
  map = three_nodes();
  map.nodes.clear();
  expect_refused(map, "no nodes");
}

TEST(ClusterMap, RefusesNodesThatCannotBeToldApartOrReached) {
  ClusterMap map = three_nodes();
  map.nodes[2].name = "n1";
  expect_refused(map, "'n1' is used twice");
  map = three_nodes();
  map.nodes[2].number = 1;
  expect_refused(map, "numbers are unique");
  map.nodes[2].number = 0;
  expect_refused(map, "numbers start at 1");
  map = three_nodes();
  map.nodes[0].host.clear();
  expect_refused(map, "'n1' has no host");
  map = three_nodes();
  map.nodes[1].peer_port = 0;
  expect_refused(map, "'n2' has no peer port");
  map = three_nodes();
  map.id.clear();
  expect_refused(map, "needs an id");
}

TEST(ClusterMap, SaysWhichMemberOfWhichNodeIsAtFault) {
  ClusterMap map = three_nodes();
  EXPECT_FALSE(map.fault());
  map.nodes[2].name = "n1";
  ASSERT_TRUE(map.fault());
  EXPECT_EQ(map.fault()->member, "name");
  EXPECT_EQ(map.fault()->node, 2u);
  map.id.clear();
  ASSERT_TRUE(map.fault());
  EXPECT_EQ(map.fault()->member, "id");
  EXPECT_EQ(map.fault()->node, std::nullopt);
}

TEST(ClusterMap, RefusesNamesThatWouldBreakPrintedIds) {
  EXPECT_TRUE(valid_node_name("eu-west_1.a"));
  for (std::string_view name : {"", "a/b", "a:b", "a b", "a\nb", "\xc3\xa9"}) {
    EXPECT_FALSE(valid_node_name(name)) << name;
  }
  EXPECT_TRUE(valid_node_name(std::string(64, 'x')));
  EXPECT_FALSE(valid_node_name(std::string(65, 'x')));
}

}  // namespace
}  // namespace even::cluster
