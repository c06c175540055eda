#include "sim/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "env/random.h"

namespace even::sim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct TwoNodes : testing::Test {
  void pass(std::int64_t us) {
    const std::int64_t until_us = scheduler.now_us() + us;
    while (scheduler.step(until_us)) {
    }
  }
  void connect() {
    network.begin_sessions(1);
    pass(100'000);
  }

  RunOptions options{.nodes = 2};
  Scheduler scheduler;
  Random random{1};
  std::vector<std::uint64_t> sessions;  // told to n1
  std::vector<std::string> came;        // to n2
  Network network{options,
                  scheduler,
                  random,
                  {.up =
                       [this](NodeNumber at, NodeNumber, ShardId, std::uint64_t session) {
                         if (at == 1) sessions.push_back(session);
                       },
                   .down = [](NodeNumber, NodeNumber, ShardId) {},
                   .receive = [this](NodeNumber, NodeNumber, ShardId,
                                     const std::string& message) { came.push_back(message); },
                   .shards = [](NodeNumber) { return ShardId{1}; }}};
};

// What it sends belongs to a session that has ended.
TEST_F(TwoNodes, WhoHasNotComeToASessionSendsNothingInIt) {
  connect();
  ASSERT_EQ(sessions.size(), 1u);
  network.send(1, 2, 0, "before the first");
  network.enter(1, 2, 0, sessions[0]);
  network.send(1, 2, 0, "in the first");
  pass(100'000);
  EXPECT_THAT(came, ElementsAre("in the first"));
  came.clear();
  network.end_sessions(2);
  connect();
  ASSERT_EQ(sessions.size(), 2u);
  network.send(1, 2, 0, "in the first, which is over");
  pass(100'000);
  EXPECT_THAT(came, IsEmpty());
  network.enter(1, 2, 0, sessions[1]);
  network.send(1, 2, 0, "in the second");
  pass(100'000);
  EXPECT_THAT(came, ElementsAre("in the second"));
}

}  // namespace
}  // namespace even::sim
