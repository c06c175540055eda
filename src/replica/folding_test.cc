// Runs that are over are folded away: see docs/folding.md.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/hash.h"
#include "lattice/codec.h"
#include "replica/peer_message.h"
#include "replica/test_members.h"

namespace even::test {
namespace {

using ::testing::HasSubstr;

using Folding = Members;

TEST_F(Folding, AThousandRestartsOfEachNodeLeaveVectorsAsShortAsNewOnes) {
  link_all();
  std::vector<std::string> words{"sadd", "large"};
  for (int i = 0; i < 400; ++i) words.push_back(fmt::format("m{}", i));
  a.run(words);
  for (Member& member : members) member.run({"set", "k", "0000"});
  converse();
  a.run({"set", "k", "0000"});
  converse();
  const std::size_t new_record = a.last_record.size();
  ASSERT_EQ(a.vector().entries().size(), 3u);
  std::size_t longest = 0;
  for (int round = 1; round <= 1000; ++round) {
    for (Member& member : members) {
      restart(member);
      member.run({"set", "k", fmt::format("{:04}", round)});
      member.run({"sadd", "large", fmt::format("m{}", round % 500)});
      converse(5);
      longest = std::max(longest, member.vector().entries().size());
    }
  }
  converse();
  EXPECT_LE(longest, 6u);
  for (Member& member : members) {
    EXPECT_EQ(member.vector().entries().size(), 3u) << member.vector().to_string();
    EXPECT_EQ(member.vector(), a.vector());
    EXPECT_EQ(member.state().digest(), a.state().digest());
    EXPECT_EQ(member.state().digest(), member.state().recompute_digest());
    // In the set's summary, runs stay until it is next changed.
    const Object* large = member.state().find("large", hash64("large"));
    ASSERT_TRUE(large != nullptr && large->has_table(LeafKind::kMember));
    large->with_table(LeafKind::kMember, [&](const auto& table) {
      EXPECT_LE(table.summary.seen.entries().size(), 6u) << table.summary.seen.to_string();
    });
  }
  a.run({"set", "k", "0000"});
  EXPECT_LE(a.last_record.size(), new_record + 2) << "for higher numbers of records";
  RecordDecoder decoder;
  EXPECT_EQ(decoder.decode(a.last_record)->context.entries().size(), 3u);
  // What is stored is what there is.
  for (Member& member : members) restart(member);
  for (Member& member : members) {
    EXPECT_EQ(member.vector().entries().size(), 3u) << member.vector().to_string();
  }
}

TEST_F(Folding, WaitsUntilEveryReplicaHasSaidToHaveAll) {
  link_all();
  a.run({"set", "k", "1"});
  converse();
  c.stop();
  a.shard->link_down(3);
  b.shard->link_down(3);
  restart(a);
  a.run({"set", "k", "2"});
  converse(40);
  EXPECT_TRUE(a.vector().names_before(a.id())) << a.vector().to_string();
  c.start();
  link(a, c);
  link(b, c);
  converse(20);
  for (Member& member : members) {
    EXPECT_FALSE(member.vector().names_before(a.id())) << member.vector().to_string();
    EXPECT_TRUE(member.vector().covers(Dot{ReplicaId::make(1, 1), 1}));
    EXPECT_EQ(member.run({"get", "k"}), "$1\r\n2\r\n");
  }
}

// There is nothing to fold under; and nothing has become longer.
TEST_F(Folding, WaitsForARecordOfTheNewRun) {
  link_all();
  a.run({"set", "k", "1"});
  converse();
  for (int i = 0; i < 5; ++i) {
    restart(a);
    converse();
  }
  EXPECT_EQ(a.vector().to_string(), "1/000000000001:1");
}

std::string encoded(const Record& record) {
  std::string bytes;
  encode_record(record, bytes);
  return bytes;
}

Record set_by(ReplicaId origin, std::uint64_t seq, VersionVector seen, std::string_view key) {
  Record record;
  record.origin = origin;
  record.context = std::move(seen);
  record.context.add({origin, seq});
  KeyDelta& delta = record.delta.keys.emplace_back();
  delta.key = key;
  delta.full = true;
  delta.leaves.emplace_back().siblings.push_back({record.dot(), {}, "v", 0});
  return record;
}

std::string message_of(const Record& record) {
  RecordsBuilder builder(1);
  builder.add(encoded(record));
  return builder.take();
}

constexpr ReplicaId kOld = ReplicaId::make(2, 100);
constexpr ReplicaId kNew = ReplicaId::make(2, 101);

// The node may have lost it with the run: it must not turn up when the run has been folded.
TEST_F(Folding, WhatWaitsOfARunIsDroppedWhenALaterOneIsHeardOf) {
  a.shard->link_up(kOld);
  ASSERT_TRUE(a.shard->receive(2, message_of(set_by(kOld, 2, {}, "k"))));
  const ReplicaId elsewhere = ReplicaId::make(3, 1);
  ASSERT_TRUE(a.shard->receive(2, message_of(set_by(elsewhere, 2, {}, "k"))));
  ASSERT_EQ(a.shard->stats().records_pending, 2u);
  a.shard->link_down(2);
  a.shard->link_up(kNew);
  EXPECT_EQ(a.shard->stats().records_pending, 1u);
}

// The record that folds says that the old run has made one record; here there are two.
TEST_F(Folding, APartitionWithMoreOfARunThanWasFoldedIsMadeAnew) {
  a.shard->link_up(kNew);
  ASSERT_TRUE(a.shard->receive(2, message_of(set_by(kOld, 1, {}, "kept"))));
  ASSERT_TRUE(a.shard->receive(2, message_of(set_by(kOld, 2, {}, "void"))));
  VersionVector seen;
  seen.add({kOld, 1});
  ASSERT_TRUE(a.shard->receive(2, message_of(set_by(kNew, 1, seen, "new"))));
  Record folding;
  folding.origin = kNew;
  folding.context = seen;
  folding.context.add({kNew, 2});
  folding.folds = true;
  ASSERT_TRUE(a.shard->receive(2, message_of(folding)));
  EXPECT_EQ(a.shard->stats().ends_exceeded, 1u);
  ASSERT_TRUE(a.shard->partitions()[0].damage);
  EXPECT_THAT(*a.shard->partitions()[0].damage, HasSubstr("nobody else"));
  EXPECT_FALSE(a.vector().covers(folding.dot()));
  ASSERT_EQ(a.run({"set", "own", "1"}), "+OK\r\n");

  // What a peer has.
  PartitionState peer;
  for (const Record& record :
       {set_by(kOld, 1, {}, "kept"), set_by(kNew, 1, seen, "new"), folding}) {
    peer.join(record);
  }
  Record state;
  state.context = peer.vector();
  state.delta = peer.describe();
  const std::string bytes = encoded(state);
  const SnapshotName name{.partition = 0, .total = bytes.size(), .checksum = hash64(bytes)};
  ASSERT_TRUE(a.shard->receive(2, encode_piece({.number = 2, .name = name, .bytes = bytes})));
  EXPECT_FALSE(a.shard->partitions()[0].damage);
  EXPECT_EQ(a.run({"exists", "kept", "new", "own"}), ":3\r\n");
  EXPECT_EQ(a.run({"exists", "void"}), ":0\r\n");
  EXPECT_TRUE(a.vector().covers(folding.dot()));
  EXPECT_FALSE(a.vector().names_before(kNew));

  // The same from the log, on what was stored before or not at all.
  const std::uint64_t digest = a.state().digest();
  a.stop();
  a.start();
  EXPECT_EQ(a.state().digest(), digest);
  EXPECT_EQ(a.run({"exists", "void"}), ":0\r\n");
}

// It could fold the run that goes on here.
TEST_F(Folding, RefusesRecordsOfLaterRunsOfItsOwnLine) {
  a.shard->link_up(kNew);
  const auto received = a.shard->receive(2, message_of(set_by(ReplicaId::make(1, 9), 1, {}, "k")));
  ASSERT_FALSE(received);
  EXPECT_THAT(received.error().message, HasSubstr("to come"));
}

}  // namespace
}  // namespace even::test
