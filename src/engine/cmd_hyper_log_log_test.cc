// HyperLogLogs: that concurrent ones become their union, whoever has seen what in which order.
#include <gtest/gtest.h>

#include "engine/command_fixture.h"

namespace even {
namespace {

class HyperLogLogCommands : public CommandFixture {
 protected:
  static void add(TestKeyspace& to, std::string_view key, int first, int count) {
    for (int i = first; i < first + count; ++i) to.run({"PFADD", key, std::to_string(i)});
  }
};

TEST_F(HyperLogLogCommands, WhatIsAddedAtTwoReplicasIsCountedTogether) {
  TestKeyspace other(2);
  TestKeyspace together(3);
  add(keyspace, "h", 0, 100);
  other.merge(keyspace);
  add(keyspace, "h", 100, 400);
  add(other, "h", 400, 500);
  add(together, "h", 0, 900);
  const std::string expected = together.run({"PFCOUNT", "h"});

  keyspace.merge(other);
  other.merge(keyspace);
  EXPECT_EQ(run({"PFCOUNT", "h"}), expected);
  EXPECT_EQ(other.run({"PFCOUNT", "h"}), expected);
  EXPECT_EQ(run({"GET", "h"}), other.run({"GET", "h"}));
  // The next one to write puts them together.
  add(keyspace, "h", 5000, 1);
  add(together, "h", 5000, 1);
  EXPECT_EQ(run({"PFCOUNT", "h"}), together.run({"PFCOUNT", "h"}));
}

TEST_F(HyperLogLogCommands, AnElementThatRaisesNothingMakesNoRecord) {
  EXPECT_EQ(records({"PFADD", "h"}), 1u);
  EXPECT_EQ(records({"PFADD", "h"}), 0u);
  EXPECT_EQ(records({"PFADD", "h", "x"}), 1u);
  EXPECT_EQ(records({"PFADD", "h", "x"}), 0u);
}

TEST_F(HyperLogLogCommands, WhatIsWrittenBesideADeletionStays) {
  add(keyspace, "h", 0, 10);
  TestKeyspace other(2);
  other.merge(keyspace);
  run({"DEL", "h"});
  add(other, "h", 10, 1);
  keyspace.merge(other);
  EXPECT_EQ(run({"PFCOUNT", "h"}), ":11\r\n");  // as a string that was appended to
}

TEST_F(HyperLogLogCommands, AHyperLogLogBesideATextIsAsTwoTexts) {
  TestKeyspace other(2);
  add(keyspace, "h", 0, 10);
  other.now_ms += 10;
  other.run({"SET", "h", "text"});
  keyspace.merge(other);
  EXPECT_EQ(run({"GET", "h"}), bulk("text"));
}

TEST_F(HyperLogLogCommands, AHyperLogLogWithRunsMissingIsRefused) {
  run({"PFADD", "h", "a", "b"});
  run({"SET", "broken", std::string("HYLL\1\0\0\0\0\0\0\0\0\0\0\x80\x7f", 17)});
  EXPECT_EQ(run({"PFCOUNT", "broken"}), "-INVALIDOBJ Corrupted HLL object detected\r\n");
  EXPECT_EQ(run({"PFADD", "broken", "a"}), "-INVALIDOBJ Corrupted HLL object detected\r\n");
  EXPECT_EQ(run({"PFMERGE", "h", "broken"}), "-INVALIDOBJ Corrupted HLL object detected\r\n");
  run({"SET", "text", "HYLL"});
  EXPECT_EQ(run({"PFADD", "text", "a"}),
            "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n");
}

}  // namespace
}  // namespace even
