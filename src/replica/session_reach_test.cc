#include "replica/session_reach.h"

#include <gmock/gmock.h>

#include <random>

namespace even {
namespace {

ReplicaId replica(NodeNumber node, std::uint32_t run, std::uint16_t line = 7) {
  return ReplicaId::make(node, run, line);
}

VersionVector vector_of(std::initializer_list<Dot> dots) {
  VersionVector vector;
  for (const Dot& dot : dots) vector.add(dot);
  return vector;
}

TEST(SessionReach, HasAllThatWasNotedOfAPartition) {
  SessionReach session;
  EXPECT_TRUE(session.empty());
  session.note({{3, vector_of({{replica(1, 1), 5}})}}, false);
  session.note({{3, vector_of({{replica(1, 1), 2}, {replica(2, 1), 9}})}}, true);
  session.note({{4, VersionVector()}}, false);
  const PartitionId partitions[] = {2, 3, 4};
  const PartitionReach all{{3, vector_of({{replica(1, 1), 5}, {replica(2, 1), 9}})}};
  EXPECT_EQ(session.of(partitions), all);
  EXPECT_EQ(session.all(), all);
}

TEST(SessionReach, NamesNoRunThatHasBeenFolded) {
  SessionReach session;
  session.note({{0, vector_of({{replica(1, 1), 100}, {replica(1, 2), 3}})}}, false);
  VersionVector folded = vector_of({{replica(1, 2), 4}});
  folded.fold(replica(1, 2));
  session.note({{0, folded}}, false);
  EXPECT_EQ(session.all().front().second, folded);
  // A vector that names the run is one which the folded one covers, as a token of old may be.
  EXPECT_TRUE(folded.covers(vector_of({{replica(1, 1), 100}})));
}

SessionContent content() {
  SessionContent content;
  for (int partition = 0; partition < 20; ++partition) {
    VersionVector vector;
    for (NodeNumber node = 1; node <= 9; ++node) {
      if (node != partition % 5) vector.add({replica(node, 40'000'000u + node), 1'000u * node + 1});
    }
    if (partition % 2 == 0) vector.fold(replica(1, 40'000'001));
    content.seen.emplace_back(static_cast<PartitionId>(partition * 7), vector);
  }
  content.seen.emplace_back(65'534, vector_of({{replica(2, 1), VersionVector::kMaxSeq}}));
  content.groups = {{300, 1}, {301, UINT64_MAX}, {65'535, 7}};
  return content;
}

TEST(SessionReach, IsReadBackAsItWasWritten) {
  EXPECT_EQ(decode_session(encode_session({})), SessionContent());
  EXPECT_EQ(decode_session(encode_session(content())), content());
}

TEST(SessionReach, TakesLittleRoom) {
  SessionContent small;
  for (PartitionId partition = 0; partition < 20; ++partition) {
    VersionVector vector;
    for (NodeNumber node = 1; node <= 3; ++node) vector.add({replica(node, 1u << 30), 1'000'000});
    small.seen.emplace_back(partition, vector);
  }
  // One for the partition, two for which replicas, three times three for how far.
  EXPECT_EQ(encode_session(small).size(), 1u + 3 * 8 + 1 + 20 * 12 + 1);
}

TEST(SessionReach, AnythingElseIsRefused) {
  const std::string bytes = encode_session(content());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_session(std::string_view(bytes).substr(0, length)));
  }
  EXPECT_FALSE(decode_session(bytes + '\0'));
  // More replicas, partitions or groups than there is room for.
  EXPECT_FALSE(decode_session("\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  EXPECT_FALSE(decode_session(std::string_view("\x00\xff\xff\xff\xff\x0f", 6)));
  EXPECT_FALSE(decode_session(std::string_view("\x00\x00\xff\xff\xff\xff\x0f", 7)));
  // A number of eleven bytes.
  EXPECT_FALSE(decode_session("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
  // An id beyond the last, and a partition without an entry.
  EXPECT_FALSE(decode_session(std::string_view("\x00\x00\x01\x80\x80\x04\x01", 7)));
  EXPECT_FALSE(decode_session(std::string_view("\x00\x01\x00\x00", 4)));
}

// What is read means the same when it is written and read again.
TEST(SessionReach, ReadsDamagedBytesSafely) {
  std::mt19937 random(1);
  const std::string bytes = encode_session(content());
  std::size_t read = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string damaged = bytes;
    for (std::uint32_t n = 1 + random() % 3; n > 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const auto decoded = decode_session(damaged);
    if (!decoded) continue;
    ++read;
    ASSERT_EQ(decode_session(encode_session(*decoded)), *decoded);
  }
  EXPECT_GT(read, 0u);
}

}  // namespace
}  // namespace even
