// Bitmaps, in what the comparison with redis-server does not see.
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

class BitmapCommands : public CommandFixture {};

TEST_F(BitmapCommands, ABitThatIsAsItWasMakesNoRecord) {
  EXPECT_EQ(records({"SETBIT", "b", "100", "0"}), 1u);  // which makes the key
  EXPECT_EQ(records({"SETBIT", "b", "100", "0"}), 0u);
  EXPECT_EQ(records({"SETBIT", "b", "7", "1"}), 1u);
  EXPECT_EQ(records({"SETBIT", "b", "7", "1"}), 0u);
  EXPECT_EQ(records({"BITFIELD", "b", "GET", "u8", "0"}), 0u);
  EXPECT_EQ(records({"BITFIELD", "b", "SET", "u8", "0", "1"}), 0u);
}

TEST_F(BitmapCommands, AWriteKeepsTheExpiryAndAnOperationDoesNot) {
  run({"SET", "b", "x", "EX", "100"});
  run({"SETBIT", "b", "0", "1"});
  run({"BITFIELD", "b", "INCRBY", "u4", "0", "1"});
  EXPECT_EQ(run({"TTL", "b"}), ":100\r\n");
  run({"BITOP", "NOT", "b", "b"});
  EXPECT_EQ(run({"TTL", "b"}), ":-1\r\n");
}

TEST_F(BitmapCommands, BitsOfACounterAreThoseOfItsDigits) {
  run({"INCRBY", "n", "7"});
  EXPECT_EQ(run({"BITCOUNT", "n"}), ":5\r\n");  // "7" is 0x37
  EXPECT_EQ(run({"BITCOUNT", "n", "4", "7", "BIT"}), ":3\r\n");
  EXPECT_EQ(run({"SETBIT", "n", "7", "0"}), ":1\r\n");
  EXPECT_EQ(run({"GET", "n"}), bulk("6"));
}

// Which the comparison with redis-server, of shorter strings, does not see.
TEST_F(BitmapCommands, TheLastFieldMayGoBeyondTheLongestString) {
  const auto get = [this](const char* type, const char* offset) {
    return run({"BITFIELD", "b", "GET", type, offset});
  };
  const std::string_view kZero = "*1\r\n:0\r\n";
  const std::string_view kOutOfRange = "-ERR bit offset is not an integer or out of range\r\n";
  EXPECT_EQ(get("u8", "#536870911"), kZero);
  EXPECT_EQ(get("u8", "#536870912"), kOutOfRange);
  EXPECT_EQ(get("u3", "#1431655765"), kZero);  // three times that is the last bit
  EXPECT_EQ(get("u3", "#1431655766"), kOutOfRange);
  EXPECT_EQ(get("u63", "#68174084"), kZero);
  EXPECT_EQ(get("u63", "#68174085"), kOutOfRange);
  EXPECT_EQ(get("u2", "#9223372036854775807"), kOutOfRange);
  EXPECT_EQ(get("u8", "4294967295"), kZero);
  EXPECT_EQ(get("u8", "4294967296"), kOutOfRange);
  // No string becomes longer for that.
  EXPECT_EQ(run({"BITFIELD", "b", "SET", "u3", "#1431655765", "7"}),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
  EXPECT_EQ(run({"EXISTS", "b"}), ":0\r\n");
}

TEST_F(BitmapCommands, OfConcurrentWritesTheLastOneIsShown) {
  run({"SETBIT", "b", "7", "0"});
  TestKeyspace other(2);
  other.merge(keyspace);
  run({"SETBIT", "b", "0", "1"});
  other.now_ms += 10;
  other.run({"SETBIT", "b", "1", "1"});
  keyspace.merge(other);
  other.merge(keyspace);
  EXPECT_EQ(run({"GET", "b"}), bulk("\x40"));
  EXPECT_EQ(other.run({"GET", "b"}), bulk("\x40"));
}

}  // namespace
}  // namespace even
