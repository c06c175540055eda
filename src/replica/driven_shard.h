// For tests: a shard, and what makes it work in the place of a server. Whoever derives from it
// destroys the shard before what that refers to.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "log/test_log.h"
#include "replica/shard.h"

namespace even::test {

// What the shard says to its peers, until the test passes it on.
class Outbox final : public Transport {
 public:
  void send(NodeNumber, std::string message) override { messages.push_back(std::move(message)); }
  std::deque<std::string> messages;
};

struct DrivenShard {
  explicit DrivenShard(World& its_world) : world(its_world) {}

  std::string run(const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    std::string reply;
    shard->execute(*find_command(args[0]), args, false, reply);
    shard->end_turn();
    return reply;
  }
  void tick() {
    shard->tick();
    shard->end_turn();
  }
  void pass_time(int ticks = 400) {
    for (int i = 0; i < ticks; ++i) {
      world.run_for(5'000);
      tick();
    }
  }
  void store_all() {
    shard->store_changes();
    pass_time();
    ASSERT_TRUE(shard->all_stored());
  }
  // Lets go of all that may be.
  void evict_all() {
    store_all();
    pressure = 2;
    pass_time();
    pressure = 0;
  }

  World& world;
  double pressure = 0;  // on memory
  std::unique_ptr<Shard> shard;
};

}  // namespace even::test
