#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class MemoryCommands : public CommandFixture {
 protected:
  std::int64_t usage(std::string_view key, std::string_view samples = "0") {
    const std::string reply = run({"MEMORY", "USAGE", key, "SAMPLES", samples});
    EXPECT_TRUE(reply.starts_with(":")) << reply;
    return std::stoll(reply.substr(1));
  }
  // The number behind `name` in the reply of EVEN.MEMORY.
  std::int64_t figure(std::string_view key, std::string_view name) {
    const std::string reply = run({"EVEN.MEMORY", key});
    const std::size_t at = reply.find(bulk(name) + ":");
    EXPECT_NE(at, std::string::npos) << reply;
    return at == std::string::npos ? -1 : std::stoll(reply.substr(at + bulk(name).size() + 1));
  }
};

TEST_F(MemoryCommands, UsageGrowsWithWhatIsHeld) {
  run({"SET", "k", "v"});
  const std::int64_t small = usage("k");
  EXPECT_GE(small, 64);
  EXPECT_LE(small, 128);
  run({"SET", "k", std::string(1000, 'v')});
  EXPECT_GE(usage("k"), small + 980);
  EXPECT_LE(usage("k"), small + 1200);
  EXPECT_EQ(run({"MEMORY", "USAGE", "absent"}), "$-1\r\n");
}

TEST_F(MemoryCommands, UsageOfALargeSetIsEstimatedFromSamples) {
  for (int i = 0; i < 2000; ++i) run({"SADD", "s", "member" + std::to_string(i)});
  const auto exact = static_cast<double>(usage("s"));
  EXPECT_GT(exact, 2000 * 40);
  EXPECT_NEAR(static_cast<double>(usage("s", "50")), exact, exact * 0.1);
  EXPECT_NE(run({"MEMORY", "USAGE", "s"}), "$-1\r\n");
}

TEST_F(MemoryCommands, EvenMemorySaysWhatForTheBytesAre) {
  EXPECT_EQ(run({"EVEN.MEMORY", "absent"}), "$-1\r\n");
  run({"SET", "k", "v"});
  EXPECT_THAT(run({"EVEN.MEMORY", "k"}), AllOf(HasSubstr(bulk("type") + bulk("string")),
                                               HasSubstr(bulk("form") + bulk("value")),
                                               HasSubstr(bulk("expiry") + bulk("none"))));
  EXPECT_EQ(figure("k", "bytes"), usage("k"));
  EXPECT_EQ(figure("k", "bytes"),
            figure("k", "bytes of the node of the key") + figure("k", "bytes of the value"));
  EXPECT_EQ(figure("k", "bytes of dots and times among them"), 16);
  run({"PEXPIREAT", "k", "4000000000000"});
  EXPECT_THAT(run({"EVEN.MEMORY", "k"}), HasSubstr(bulk("2096-10-02T07:06:40.000Z")));
  EXPECT_EQ(figure("k", "bytes of dots and times among them"), 16 + 24);

  run({"INCR", "n"});
  EXPECT_THAT(run({"EVEN.MEMORY", "n"}), HasSubstr(bulk("counter")));
  run({"HSET", "h", "a", "1", "b", "2"});
  EXPECT_THAT(run({"EVEN.MEMORY", "h"}), HasSubstr(bulk("packed")));
  EXPECT_EQ(figure("h", "elements"), 2);
  // One dot and one time for both fields.
  EXPECT_LE(figure("h", "bytes of dots and times among them"), 8 + 1 + 10);
  for (int i = 0; i < 100; ++i) run({"HSET", "h", "f" + std::to_string(i), "v"});
  EXPECT_THAT(run({"EVEN.MEMORY", "h"}), HasSubstr(bulk("table")));
  EXPECT_EQ(figure("h", "elements"), 102);
  EXPECT_EQ(figure("h", "bytes of dots and times among them"), 102 * 16);
}

}  // namespace
}  // namespace even
