#include "engine/command_fixture.h"

namespace even {
namespace {

class ObjectTest : public CommandFixture {};

TEST_F(ObjectTest, EncodingIsTheOneThatRedisWouldHaveChosen) {
  const auto encoding = [this](std::string_view key) { return run({"OBJECT", "ENCODING", key}); };
  EXPECT_EQ(encoding("absent"), "$-1\r\n");
  for (const char* integer : {"0", "12", "-1", "9223372036854775807", "-9223372036854775808"}) {
    run({"SET", "s", integer});
    EXPECT_EQ(encoding("s"), bulk("int")) << integer;
  }
  for (const char* text : {"", "-", "-0", "012", "+1", "1.5", " 1", "9223372036854775808"}) {
    run({"SET", "s", text});
    EXPECT_EQ(encoding("s"), bulk("embstr")) << text;
  }
  run({"SET", "s", std::string(45, 'x')});
  EXPECT_EQ(encoding("s"), bulk("raw"));
  run({"SET", "c", "5"});
  run({"INCR", "c"});
  EXPECT_EQ(encoding("c"), bulk("int"));

  run({"SADD", "ids", "1", "2"});
  EXPECT_EQ(encoding("ids"), bulk("intset"));
  for (int i = 0; i <= 512; ++i) run({"SADD", "ids", std::to_string(i)});
  EXPECT_EQ(encoding("ids"), bulk("hashtable"));
  run({"SADD", "words", "1", "two"});
  EXPECT_EQ(encoding("words"), bulk("hashtable"));

  run({"HSET", "h", std::string(64, 'f'), std::string(64, 'v')});
  EXPECT_EQ(encoding("h"), bulk("listpack"));
  run({"HSET", "h", "f", std::string(65, 'v')});
  EXPECT_EQ(encoding("h"), bulk("hashtable"));
  run({"HDEL", "h", "f"});
  EXPECT_EQ(encoding("h"), bulk("listpack"));
  for (int i = 0; i < 512; ++i) run({"HSET", "h", std::to_string(i), "v"});
  EXPECT_EQ(encoding("h"), bulk("hashtable"));
}

TEST_F(ObjectTest, WhatIsNotKnownIsAnErrorForKeysThatAreThere) {
  run({"SET", "k", "v"});
  EXPECT_EQ(run({"OBJECT", "REFCOUNT", "k"}), ":1\r\n");
  EXPECT_TRUE(run({"OBJECT", "FREQ", "k"}).starts_with("-ERR An LFU maxmemory policy is not"));
  EXPECT_TRUE(run({"OBJECT", "IDLETIME", "k"}).starts_with("-ERR idle time not tracked"));
  for (const char* subcommand : {"REFCOUNT", "FREQ", "IDLETIME"}) {
    EXPECT_EQ(run({"OBJECT", subcommand, "absent"}), "$-1\r\n");
  }
}

}  // namespace
}  // namespace even
