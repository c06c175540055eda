// Random commands on concurrent replicas that merge now and then: in the end all say the same.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

#include "engine/test_keyspace.h"

namespace even {
namespace {

std::vector<std::string> random_command(Random& random) {
  const std::string key = "k" + std::to_string(random.below(4));
  const std::string field = "f" + std::to_string(random.below(4));
  const std::string number = std::to_string(random.below(100));
  const std::string other = "k" + std::to_string(random.below(4));
  switch (random.below(25)) {
    case 18:
      return {"RENAME", key, other};
    case 19:
      return {"COPY", key, other, "REPLACE"};
    case 20:
      return {"SMOVE", key, other, field};
    case 21:
      return {"SUNIONSTORE", key, key, other};
    case 22:
      return {"SETBIT", key, number, "1"};
    case 23:
      return {"PFADD", "h" + key, number};
    case 24:
      return {"PFMERGE", "h" + key, "h" + other};
    case 0:
      return {"SET", key, number};
    case 1:
      return {"SET", key, number, "PX", std::to_string(1 + random.below(50))};
    case 2:
      return {"INCRBY", key, number};
    case 3:
      return {"DECRBY", key, number};
    case 4:
      return {"INCRBYFLOAT", key, number + ".25"};
    case 5:
      return {"APPEND", key, number};
    case 6:
      return {"DEL", key};
    case 7:
      return {"PEXPIRE", key, std::to_string(random.below(50))};
    case 8:
      return {"PERSIST", key};
    case 9:
      return {"SADD", key, field, number};
    case 10:
      return {"SREM", key, field};
    case 11:
      return {"SPOP", key, std::to_string(random.below(3))};
    case 12:
      return {"HSET", key, field, number};
    case 13:
      return {"HINCRBY", key, field, number};
    case 14:
      return {"HINCRBYFLOAT", key, field, number + ".5"};
    case 15:
      return {"HDEL", key, field};
    case 16:
      return {"GETEX", key, "PERSIST"};
    default:
      return random.below(10) == 0 ? std::vector<std::string>{"FLUSHALL"}
                                   : std::vector<std::string>{"GETDEL", key};
  }
}

// An array of bulk strings without line breaks, as its elements in groups of `group` and in order.
// Replicas may hold the elements of a collection in different orders.
std::multiset<std::string> elements(const std::string& reply, std::size_t group) {
  std::multiset<std::string> out;
  std::string element;
  std::size_t lines = 0;
  for (std::size_t at = 0; at < reply.size(); ++lines) {
    const std::size_t end = reply.find("\r\n", at);
    element += reply.substr(at, end + 2 - at);
    at = end + 2;
    if (lines % (2 * group) == 0) out.insert(std::exchange(element, {}));
  }
  return out;
}

TEST(Convergence, ReplicasThatHaveSeenTheSameSayTheSame) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    std::vector<TestKeyspace> replicas;
    for (NodeNumber node = 1; node <= 3; ++node) replicas.emplace_back(node, PartitionId{2});
    for (int step = 0; step < 150; ++step) {
      TestKeyspace& replica = replicas[random.below(replicas.size())];
      if (random.below(5) == 0) {
        replica.merge(replicas[random.below(replicas.size())]);
        continue;
      }
      replica.now_ms += static_cast<std::int64_t>(random.below(10));
      const std::vector<std::string> words = random_command(random);
      replica.run(std::vector<std::string_view>(words.begin(), words.end()));
    }
    for (int round = 0; round < 2; ++round) {
      for (TestKeyspace& replica : replicas) {
        for (const TestKeyspace& other : replicas) replica.merge(other);
      }
    }
    for (TestKeyspace& replica : replicas) {
      replica.now_ms = replicas[0].now_ms;
      EXPECT_TRUE(replica.digests_hold());
      ASSERT_EQ(replica.run({"EVEN.DIGEST"}), replicas[0].run({"EVEN.DIGEST"})) << "seed " << seed;
      for (std::string_view key : {"k0", "k1", "k2", "k3"}) {
        for (std::string_view command :
             {"TYPE", "GET", "SMEMBERS", "HGETALL", "PTTL", "SCARD", "HLEN"}) {
          const std::size_t group = command == "HGETALL" ? 2 : 1;
          ASSERT_EQ(elements(replica.run({command, key}), group),
                    elements(replicas[0].run({command, key}), group))
              << "seed " << seed << ": " << command << " " << key;
        }
      }
      for (std::string_view key : {"hk0", "hk1", "hk2", "hk3"}) {
        ASSERT_EQ(replica.run({"GET", key}), replicas[0].run({"GET", key})) << "seed " << seed;
      }
      ASSERT_EQ(replica.run({"DBSIZE"}), replicas[0].run({"DBSIZE"}));
    }
  }
}

}  // namespace
}  // namespace even
