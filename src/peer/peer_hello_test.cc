#include "peer/peer_hello.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <msgpack.hpp>

#include "peer/peer_link.h"

namespace even {
namespace {

cluster::ClusterMap two_nodes() {
  cluster::ClusterMap map{.id = "c", .partitions = 16, .replicas = 2};
  map.nodes = {{.name = "n1", .number = 1, .host = "h"}, {.name = "n2", .number = 2, .host = "h"}};
  return map;
}

Hello hello_of(NodeNumber node) {
  return {.cluster_id = "c",
          .node_name = "n" + std::to_string(node),
          .node = node,
          .partitions = 16,
          .map_version = 3,
          .shard = 1,
          .shards = 2,
          .replica = ReplicaId::make(node, 0x1234)};
}

TEST(PeerHello, IsReadBackAsItWasWritten) {
  EXPECT_EQ(decode_hello(encode_hello(hello_of(2))), hello_of(2));
  EXPECT_EQ(decode_refusal(encode_refusal("because")), "because");
}

TEST(PeerHello, AWholeHelloIsNeededAndNothingMore) {
  const std::string bytes = encode_hello(hello_of(2));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_hello(std::string_view(bytes).substr(0, length))) << length;
  }
  EXPECT_FALSE(decode_hello(bytes + "x"));
  EXPECT_FALSE(decode_hello("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_FALSE(decode_refusal(bytes.substr(0, 5)));
}

TEST(PeerHello, OfAnotherProtocolVersionOnlyTheVersionIsRead) {
  // The layout behind the version may be any.
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, std::tuple(std::string("EVENPEER"), kPeerProtocol + 1, true));
  const auto hello = decode_hello({buffer.data(), buffer.size()});
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->protocol, kPeerProtocol + 1);
  const auto checked = check_hello(*hello, hello_of(1), two_nodes());
  ASSERT_FALSE(checked);
  const std::string versions = fmt::format("version {} of the peer protocol, the other version {}",
                                           kPeerProtocol, kPeerProtocol + 1);
  EXPECT_NE(checked.error().message.find(versions), std::string::npos);
}

TEST(PeerHello, AWelcomeSaysWhatItsSenderKnows) {
  EXPECT_EQ(decode_welcome(encode_welcome()),
            kInflatesRecords | kGrowsTopics | kLooksUpFirst | kKnowsQuotas | kMarksUsers |
                kClosesGroups | kMeansKeyspaces);
  EXPECT_EQ(decode_welcome(""), 0);  // of an earlier version
  EXPECT_EQ(decode_welcome("\x03more"), 3);
}

TEST(PeerHello, ARefusalCannotForgeLogLines) {
  EXPECT_EQ(decode_refusal(encode_refusal("a\nb\x1b[0m")), "a b [0m");
}

TEST(PeerHello, TheRightNodeIsAccepted) {
  EXPECT_TRUE(check_hello(hello_of(2), hello_of(1), two_nodes()));
  EXPECT_TRUE(check_hello(hello_of(1), hello_of(2), two_nodes()));
}

TEST(PeerHello, EveryMismatchIsRefusedInItsOwnWords) {
  struct Case {
    std::function<void(Hello&)> change;
    std::string words;
  };
  for (const Case& test : {
           Case{[](Hello& h) { h.cluster_id = "d"; }, "cluster 'c', the other of 'd'"},
           Case{[](Hello& h) { h.partitions = 8; }, "16 partitions, the other 8"},
           Case{[](Hello& h) { h.node = 1; }, "number 1, which is this node's own"},
           Case{[](Hello& h) { h.node = 3; }, "not in this node's cluster map"},
           Case{[](Hello& h) { h.node_name = "n3"; }, "not in this node's cluster map"},
           Case{[](Hello& h) { h.shards = 4; }, "2 shards, the other 4"},
           Case{[](Hello& h) { h.shard = 0; }, "shard 0 arrived at shard 1"},
           Case{[](Hello& h) { h.replica = ReplicaId::make(1, 9); }, "replica id"},
           Case{[](Hello& h) { h.protocol = 1; }, "the other version 1"},
       }) {
    Hello theirs = hello_of(2);
    test.change(theirs);
    const auto checked = check_hello(theirs, hello_of(1), two_nodes());
    ASSERT_FALSE(checked) << test.words;
    EXPECT_NE(checked.error().message.find(test.words), std::string::npos)
        << checked.error().message;
  }
}

TEST(Preamble, CarriesTheShardAndKnowsItsOwn) {
  EXPECT_EQ(decode_preamble(encode_preamble(0)), 0);
  EXPECT_EQ(decode_preamble(encode_preamble(0x1234)), 0x1234);
  std::array<char, kPreambleBytes> other{'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'};
  EXPECT_FALSE(decode_preamble(other));
}

}  // namespace
}  // namespace even
