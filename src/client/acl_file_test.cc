#include "client/acl_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/acl_log.h"
#include "engine/acl.h"

namespace even {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(AclFile, HasAUserInEachLine) {
  const auto users = parse_acl_file("f",
                                    "# a comment\n\n  user alice on >secret ~a* +get (+set ~b)\r\n"
                                    "user bob off");
  ASSERT_TRUE(users) << users.error().message;
  ASSERT_EQ(users->size(), 2u);
  EXPECT_EQ((*users)[0].first, "alice");
  EXPECT_THAT((*users)[0].second, HasSubstr("#" + password_hash("secret")));
  EXPECT_THAT((*users)[0].second, HasSubstr("(~b resetchannels -@all +set)"));
  EXPECT_EQ((*users)[1].second, "off resetchannels -@all");
}

TEST(AclFile, TellsOfAllLinesThatAreNone) {
  const auto users = parse_acl_file("f", "user a on\nuser a off\nnonsense\nuser\nuser b +nosuch\n");
  ASSERT_FALSE(users);
  for (const char* line : {"f:2: ", "f:3: ", "f:4: ", "f:5: "}) {
    EXPECT_THAT(users.error().message, HasSubstr(line));
  }
  EXPECT_THAT(users.error().message, Not(HasSubstr("f:1: ")));
}

TEST(AclFile, IsWrittenForItsOwnerAlone) {
  const std::string name = testing::TempDir() + "users" + std::to_string(::getpid());
  ASSERT_TRUE(write_acl_file(name, "user a on\n"));
  ASSERT_TRUE(write_acl_file(name, "user b on\n"));
  EXPECT_EQ(read_acl_file(name).value(), "user b on\n");
  struct stat status;
  ASSERT_EQ(::stat(name.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ::unlink(name.c_str());
  EXPECT_FALSE(read_acl_file(name));
  EXPECT_FALSE(write_acl_file("/nonexistent/users", "x"));
}

TEST(AclLog, CountsWhatRepeatsWithinAMinute) {
  AclLog log;
  const auto add = [&log](std::string object, std::int64_t at_ms) {
    log.add({.reason = AclDenial::Reason::kKey,
             .object = std::move(object),
             .user = "u",
             .client = {},
             .at_ms = at_ms},
            3);
  };
  add("a", 0);
  add("b", 1'000);
  add("a", 2'000);
  auto latest = log.latest(10);
  ASSERT_EQ(latest.size(), 2u);
  EXPECT_EQ(latest[0].object, "a");
  EXPECT_EQ(latest[0].count, 2u);
  add("a", 70'000);
  add("c", 70'000);
  latest = log.latest(10);
  ASSERT_EQ(latest.size(), 3u) << "no more than its length";
  EXPECT_EQ(latest[1].count, 1u);
  EXPECT_EQ(log.latest(1).size(), 1u);
  log.reset();
  EXPECT_TRUE(log.latest(10).empty());
}

}  // namespace
}  // namespace even
