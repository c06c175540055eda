#include "node/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/config.h"

namespace even {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::expected<CommandLine, ExitNow> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "evend");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

TEST(CommandLine, IsEmptyByDefault) {
  auto line = parse({});
  ASSERT_TRUE(line);
  EXPECT_FALSE(line->config_path);
  EXPECT_THAT(line->overrides, IsEmpty());
  EXPECT_FALSE(line->check_config);
}

TEST(CommandLine, GathersOverridesWithPortAndDataLast) {
  auto line = parse({"--port", "7001", "--set", "client.port=1", "--data", "a\"b", "--set",
                     "log.fsync=no", "--config", "x.toml", "--check-config"});
  ASSERT_TRUE(line) << line.error().output;
  EXPECT_EQ(line->config_path, "x.toml");
  EXPECT_THAT(line->overrides, ElementsAre("client.port=1", "log.fsync=no", "client.port=7001",
                                           "node.data=\"a\\\"b\""));
  EXPECT_TRUE(line->check_config);
}

TEST(CommandLine, TakesADataDirectoryAsItIsWritten) {
  for (const char* directory : {"5", "true", "'x'", "a\\b", "a \"b\" # c", "\x01"}) {
    auto line = parse({"--data", directory});
    ASSERT_TRUE(line);
    auto config = Config::load(std::nullopt, line->overrides);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->node.data, directory);
  }
}

TEST(CommandLine, HelpAndVersionExitWithZero) {
  auto help = parse({"--help"});
  ASSERT_FALSE(help);
  EXPECT_EQ(help.error().code, 0);
  for (const char* option :
       {"--config", "--set", "--port", "--data", "--check-config", "--version"}) {
    EXPECT_THAT(help.error().output, HasSubstr(option));
  }
  auto version = parse({"--version"});
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().code, 0);
  EXPECT_THAT(version.error().output, HasSubstr("evend " EVEN_VERSION));
}

TEST(CommandLine, MistakesExitWithTwo) {
  for (std::vector<const char*> arguments : {std::vector<const char*>{"--bogus"},
                                             {"--port", "x"},
                                             {"--port", "70000"},
                                             {"--config"},
                                             {"stray"}}) {
    auto line = parse(arguments);
    ASSERT_FALSE(line) << arguments.front();
    EXPECT_EQ(line.error().code, 2) << arguments.front();
    EXPECT_THAT(line.error().output, HasSubstr("evend: ")) << arguments.front();
  }
}

}  // namespace
}  // namespace even
