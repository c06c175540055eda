#include "net/busy_polling.h"

#include <gtest/gtest.h>

namespace even {
namespace {

// A thread with a clock of its own, which has all of a core unless something else is said.
class Thread {
 public:
  explicit Thread(std::int64_t limit_us) : polling_(limit_us, [this] { return cpu_us_; }) {}

  // Work comes at once and takes so long.
  void work(std::int64_t us) {
    polling_.found(now_us_);
    pass(us);
  }
  // Nothing to do for so long; whether the thread was awake at the end of it.
  bool idle(std::int64_t us) {
    const std::int64_t until_us = now_us_ + us;
    while (now_us_ < until_us) {
      if (!polling_.again(now_us_)) {
        now_us_ = until_us;
        return false;
      }
      pass(1);
    }
    return true;
  }
  // For longer than a window; work comes last.
  void be_busy() {
    for (int i = 0; i < 200; ++i) idle(20), work(80);
  }
  // The thread looks once, and something else has the core for so long.
  bool lose_core(std::int64_t us) {
    const bool awake = polling_.again(now_us_);
    now_us_ += us;
    return awake;
  }
  // In percent of the time so far, from now on.
  void start_counting() { counted_from_us_ = now_us_, cpu_before_us_ = cpu_us_; }
  std::int64_t used_percent() const {
    return 100 * (cpu_us_ - cpu_before_us_) / (now_us_ - counted_from_us_);
  }

 private:
  void pass(std::int64_t us) { now_us_ += us, cpu_us_ += us; }
  std::int64_t now_us_ = 1'000'000;
  std::int64_t cpu_us_ = 0;
  std::int64_t counted_from_us_ = 0, cpu_before_us_ = 0;
  BusyPolling polling_;
};

TEST(BusyPolling, SleepsUntilItHasBeenBusy) {
  Thread thread(500);
  EXPECT_FALSE(thread.idle(10));
  thread.work(80);
  EXPECT_FALSE(thread.idle(20)) << "before a window is over";
}

TEST(BusyPolling, ABusyThreadLooksAgain) {
  Thread thread(500);
  thread.be_busy();
  EXPECT_TRUE(thread.idle(100));
}

TEST(BusyPolling, ButNotForLongerThanTheLimit) {
  Thread thread(500);
  thread.be_busy();
  EXPECT_FALSE(thread.idle(501));
}

TEST(BusyPolling, AThreadWithLittleToDoSleeps) {
  Thread thread(500);
  for (int i = 0; i < 1000; ++i) thread.work(40), thread.idle(60);
  thread.work(40);
  EXPECT_FALSE(thread.idle(60));
}

TEST(BusyPolling, ALoadThatEndsPutsItToSleep) {
  Thread thread(500);
  thread.be_busy();
  // A timer every 5 ms is all that is left.
  for (int i = 0; i < 3; ++i) thread.work(10), thread.idle(5'000);
  thread.start_counting();
  for (int i = 0; i < 100; ++i) thread.work(10), thread.idle(5'000);
  EXPECT_LE(thread.used_percent(), 1);
}

TEST(BusyPolling, UsesAtMostTwiceWhatTheWorkNeeds) {
  for (std::int64_t percent = 5; percent <= 100; percent += 5) {
    Thread thread(500);
    thread.start_counting();
    for (int i = 0; i < 10'000; ++i) thread.work(percent), thread.idle(100 - percent);
    EXPECT_LE(thread.used_percent(), 2 * percent) << percent;
  }
}

TEST(BusyPolling, LooksLessWhereOthersWantTheCore) {
  Thread thread(500);
  for (int i = 0; i < 200; ++i) thread.work(60), thread.idle(40);
  EXPECT_TRUE(thread.idle(100));
  // Half as much work in the same time, because it does not have the core when it looks.
  for (int i = 0; i < 200; ++i) thread.work(60), thread.lose_core(100);
  EXPECT_FALSE(thread.lose_core(100));
}

TEST(BusyPolling, CanBeTurnedOff) {
  Thread thread(0);
  for (int i = 0; i < 200; ++i) thread.work(100);
  EXPECT_FALSE(thread.idle(1));
}

}  // namespace
}  // namespace even
