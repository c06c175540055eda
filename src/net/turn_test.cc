#include "net/turn.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <set>
#include <vector>

namespace even {
namespace {

// Goes on by a microsecond with each look at it.
struct BusyClock final : Clock {
  std::int64_t wall_ms() const override { return 0; }
  std::int64_t monotonic_us() const override { return ++us; }
  mutable std::int64_t us = 0;
};

// Clients whose requests never come to an end: nothing is read, so they are always ready.
class TurnTest : public ::testing::Test {
 protected:
  ~TurnTest() override {
    for (const int socket : sockets_) ::close(socket);
  }
  void add_clients(int count) {
    for (int i = 0; i < count; ++i) {
      int pair[2];
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
      sockets_.insert(sockets_.end(), pair, pair + 2);
      ASSERT_EQ(::write(pair[1], "x", 1), 1);
      ASSERT_TRUE(clients_.add(pair[0], static_cast<std::uint64_t>(i)));
    }
  }
  bool take() { return take_turn(clients_, io_, clock_, 100); }

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  BusyClock clock_;
  std::multiset<std::uint64_t> served_;
  ClientPoller clients_{io_, [this](std::uint64_t client, Readiness) { served_.insert(client); }};
  std::vector<int> sockets_;
};

TEST_F(TurnTest, ThereMayBeNothingToDo) {
  EXPECT_FALSE(take());
  add_clients(1);
  EXPECT_TRUE(take());
  EXPECT_EQ(served_.size(), 1u);
}

TEST_F(TurnTest, ClientsThatNeverPauseDoNotKeepOthersWaiting) {
  add_clients(40);
  int done = 0;
  for (int i = 0; i < 50; ++i) asio::post(io_, [&done] { ++done; });
  EXPECT_TRUE(take());
  EXPECT_EQ(done, 50);
  EXPECT_GE(served_.size(), 40u);
  EXPECT_LE(served_.size(), 100u);
}

TEST_F(TurnTest, OthersThatNeverPauseDoNotKeepClientsWaiting) {
  add_clients(1);
  int done = 0;
  std::function<void()> again = [&] { ++done, asio::post(io_, again); };
  asio::post(io_, again);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(take());
  EXPECT_EQ(served_.size(), 3u);
  EXPECT_GT(done, 3 * 50);
}

TEST_F(TurnTest, AllClientsAreServedInTurn) {
  add_clients(1000);
  for (int i = 0; i < 30; ++i) take();
  std::size_t fewest = 1000;
  for (std::uint64_t client = 0; client < 1000; ++client)
    fewest = std::min(fewest, served_.count(client));
  EXPECT_GE(fewest, 2u);
}

// What the thread's sleep rests on: what came before it slept wakes it, and what comes after.
TEST_F(TurnTest, AnArmedPollerWakesItsThread) {
  add_clients(1);
  for (int i = 0; i < 3; ++i) {
    clients_.arm();
    EXPECT_EQ(io_.run_one(), 1u);
    EXPECT_TRUE(take());
    EXPECT_EQ(served_.size(), static_cast<std::size_t>(i) + 1);
  }
}

}  // namespace
}  // namespace even
