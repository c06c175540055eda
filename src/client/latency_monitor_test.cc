#include "client/latency_monitor.h"

#include <gtest/gtest.h>

namespace even {
namespace {

TEST(LatencyMonitor, KeepsTheLongestOfEachSecond) {
  LatencyMonitor monitor;
  monitor.add("command", 10, 5);
  monitor.add("command", 10, 7);
  monitor.add("command", 10, 6);
  monitor.add("command", 11, 3);
  const auto event = monitor.find("command");
  ASSERT_TRUE(event);
  ASSERT_EQ(event->samples.size(), 2u);
  EXPECT_EQ(event->samples[0].ms, 7);
  EXPECT_EQ(event->samples[1].at_s, 11);
  EXPECT_EQ(event->longest_ms, 7);
  EXPECT_FALSE(monitor.find("fast-command"));
}

TEST(LatencyMonitor, ForgetsTheEarliestBeyondItsNumber) {
  LatencyMonitor monitor;
  for (std::int64_t second = 0; second < 200; ++second) monitor.add("command", second, second);
  const auto event = monitor.find("command");
  EXPECT_EQ(event->samples.size(), LatencyMonitor::kMostSamples);
  EXPECT_EQ(event->samples.front().at_s, 40);
}

TEST(LatencyMonitor, IsResetByName) {
  LatencyMonitor monitor;
  monitor.add("a", 1, 1);
  monitor.add("b", 1, 1);
  const std::string_view names[] = {"a", "c"};
  EXPECT_EQ(monitor.reset(names), 1u);
  EXPECT_EQ(monitor.events().size(), 1u);
  EXPECT_EQ(monitor.reset({}), 1u);
  EXPECT_TRUE(monitor.events().empty());
}

TEST(LatencyMonitor, DrawsSamplesAsColumns) {
  LatencyMonitor monitor;
  monitor.add("command", 0, 100);
  monitor.add("command", 50, 200);
  monitor.add("command", 58, 150);
  EXPECT_EQ(latency_graph("command", *monitor.find("command"), 60),
            "command - high 200 ms, low 100 ms (all time high 200 ms)\n" + std::string(80, '-') +
                "\n # \n |_\n ||\n_||\n   \n112\nm0s\n s \n");
}

}  // namespace
}  // namespace even
