#include "consumers/group_record.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "lattice/golden.h"
#include "topic/crc32c.h"

namespace even::kafka {
namespace {

GroupRecord a_record() {
  GroupRecord record{.generation = 7,
                     .protocol_type = "consumer",
                     .protocol = "range",
                     .leader = "a",
                     .members = {}};
  for (const std::string id : {"a", "b"}) {
    auto& member = record.members.emplace_back();
    member.id = id;
    if (id == "b") member.instance = "B";
    member.client_id = "client";
    member.client_host = "127.0.0.1";
    member.session_ms = 10'000;
    member.rebalance_ms = 300'000;
    member.protocols.push_back({"range", Blob::of(std::string("\0\1 topics", 9))});
    member.protocols.push_back({"sticky", Blob::empty()});
    member.assignment = Blob::of("partitions of " + id);
  }
  return record;
}

TEST(GroupRecordTest, IsReadAsItWasWritten) {
  const std::string bytes = a_record().encode();
  const auto read = GroupRecord::decode(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->encode(), bytes);
  EXPECT_EQ(read->generation, 7);
  EXPECT_EQ(read->protocol_type, "consumer");
  EXPECT_EQ(read->protocol, "range");
  EXPECT_EQ(read->leader, "a");
  ASSERT_EQ(read->members.size(), 2u);
  EXPECT_EQ(read->members[0].instance, std::nullopt);
  EXPECT_EQ(read->members[1].instance, "B");
  EXPECT_EQ(read->members[1].session_ms, 10'000);
  EXPECT_EQ(read->members[1].rebalance_ms, 300'000);
  EXPECT_EQ(read->members[1].client_host, "127.0.0.1");
  EXPECT_EQ(read->members[1].protocols.at(0).metadata.bytes(), std::string_view("\0\1 topics", 9));
  EXPECT_EQ(read->members[1].protocols.at(1).name, "sticky");
  EXPECT_EQ(read->members[1].assignment.bytes(), "partitions of b");
}

// Of version 1: whoever reads it later has to read just these.
TEST(GroupRecordTest, HasTheBytesOfItsVersion) {
  GroupRecord record{
      .generation = 1, .protocol_type = "p", .protocol = "r", .leader = "a", .members = {}};
  auto& member = record.members.emplace_back();
  member.id = "a";
  member.session_ms = 2;
  member.rebalance_ms = 3;
  member.protocols.push_back({"r", Blob::of("m")});
  member.assignment = Blob::of("x");
  constexpr char kBody[] =
      "\1"
      "\0\0\0\1"
      "\0\1p"
      "\0\1r"
      "\0\1a"
      "\0\0\0\1"
      "\0\1a"
      "\xff\xff"
      "\0\0"
      "\0\0"
      "\0\0\0\2"
      "\0\0\0\3"
      "\0\0\0\1"
      "\0\1r"
      "\0\0\0\1m"
      "\0\0\0\1x";
  const std::string body(kBody, sizeof kBody - 1);
  std::string bytes = body;
  put_little_endian(bytes, topic::crc32c(body));
  EXPECT_EQ(record.encode(), bytes);
}

TEST(GroupRecordTest, IsASeedOfItsFuzzTarget) {
  const std::string bytes = a_record().encode();
  test::expect_seed("group_record_fuzz", "record", bytes);
  test::expect_seed("group_record_fuzz", "body", bytes.substr(0, bytes.size() - 4));
}

TEST(GroupRecordTest, IsRefusedWithAnyBitChanged) {
  const std::string bytes = a_record().encode();
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << i % 8));
    ASSERT_FALSE(GroupRecord::decode(damaged)) << i;
  }
}

TEST(GroupRecordTest, IsRefusedIfItIsLongerOrShorter) {
  const std::string bytes = a_record().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(GroupRecord::decode(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(GroupRecord::decode(bytes + "x"));
}

std::string of_body(std::string body) {
  put_little_endian(body, topic::crc32c(body));
  return body;
}

TEST(GroupRecordTest, IsRefusedIfThereCanBeNoSuchGroup) {
  const std::string bytes = a_record().encode();
  std::string body = bytes.substr(0, bytes.size() - 4);
  ASSERT_TRUE(GroupRecord::decode(of_body(body)));
  EXPECT_FALSE(GroupRecord::decode(of_body(body + "x")));
  body[0] = 2;
  EXPECT_FALSE(GroupRecord::decode(of_body(body))) << "another version";

  using Change = void (*)(GroupRecord&);
  const std::pair<const char*, Change> changes[] = {
      {"a leader who is no member", [](GroupRecord& record) { record.leader = "c"; }},
      {"no members", [](GroupRecord& record) { record.members.clear(); }},
      {"one member twice", [](GroupRecord& record) { record.members[1].id = "a"; }},
      {"one instance twice", [](GroupRecord& record) { record.members[0].instance = "B"; }},
      {"no session", [](GroupRecord& record) { record.members[0].session_ms = 0; }},
      {"no generation", [](GroupRecord& record) { record.generation = 0; }},
  };
  for (const auto& [what, change] : changes) {
    GroupRecord record = a_record();
    change(record);
    EXPECT_FALSE(GroupRecord::decode(record.encode())) << what;
  }
}

}  // namespace
}  // namespace even::kafka
