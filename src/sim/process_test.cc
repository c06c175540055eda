#include "sim/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "env/sim_disk.h"

namespace even::sim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = Process::Place::Kind;

struct Stopped : testing::Test {
  Stopped() { process.stop(); }
  void pass(std::int64_t us) {
    const std::int64_t until_us = scheduler.now_us() + us;
    while (scheduler.step(until_us)) {
    }
  }
  void note(Process::Place place, std::string what) {
    process.execute(place, [this, what = std::move(what)] { done.push_back(what); });
  }
  std::vector<std::string> of(char sender) const {
    std::vector<std::string> all;
    for (const std::string& each : done) {
      if (each.starts_with(sender)) all.push_back(each);
    }
    return all;
  }

  Scheduler scheduler;
  Random random{1};
  Process process{scheduler, random};
  std::vector<std::string> done;
};

TEST_F(Stopped, ProcessExecutesNothingAndThenAllThatWaitsInItsOrder) {
  for (int i = 0; i < 3; ++i) {
    note({Kind::kPeer, 1}, "a" + std::to_string(i));
    note({Kind::kPeer, 2}, "b" + std::to_string(i));
  }
  pass(1'000'000);
  EXPECT_THAT(done, IsEmpty());
  process.go_on();
  // Behind what waits there.
  note({Kind::kPeer, 1}, "a3");
  pass(10'000);
  EXPECT_THAT(of('a'), ElementsAre("a0", "a1", "a2", "a3"));
  EXPECT_THAT(of('b'), ElementsAre("b0", "b1", "b2"));
  note({Kind::kPeer, 1}, "a4");
  EXPECT_EQ(done.back(), "a4");
}

TEST_F(Stopped, ProcessComesToClientsAndPeersInAnyOrder) {
  bool clients_first = false;
  bool peers_first = false;
  for (int i = 0; i < 100; ++i) {
    process.stop();
    done.clear();
    note({Kind::kPeer, 1}, "peer");
    process.execute_for_client([this] { done.emplace_back("client"); });
    process.go_on();
    pass(10'000);
    ASSERT_EQ(done.size(), 2u);
    (done.front() == "peer" ? peers_first : clients_first) = true;
  }
  EXPECT_TRUE(clients_first);
  EXPECT_TRUE(peers_first);
}

TEST_F(Stopped, ProcessThatIsKilledExecutesNothingThatWaited) {
  note({Kind::kTimer, 0}, "late");
  process.end();
  pass(10'000);
  EXPECT_THAT(done, IsEmpty());
  EXPECT_FALSE(process.stopped());
}

TEST_F(Stopped, ProcessHearsLateOfASyncThatIsDoneMeanwhile) {
  SimDisk disk(scheduler, random);
  disk.tell = [this](std::function<void()> told) {
    process.execute({Kind::kDisk}, std::move(told));
  };
  const auto file = disk.open_append("log", 0);
  ASSERT_TRUE(disk.sync_directory());
  ASSERT_TRUE((*file)->append("written"));
  (*file)->sync([this](const Result<>&) { done.emplace_back("synced"); });
  pass(10'000'000);
  EXPECT_THAT(done, IsEmpty());
  disk.crash();
  EXPECT_EQ(disk.read("log", 0, 100).value(), "written");
  process.go_on();
  EXPECT_THAT(done, ElementsAre("synced"));
}

}  // namespace
}  // namespace even::sim
