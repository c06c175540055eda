#include "replica/peer_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lattice/golden.h"

namespace even {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr ReplicaId kOne{0x0001'0000'0000'0001};
constexpr ReplicaId kTwo{0x0002'00c0'ffee'1234};

using Condition = ReportMessage::Partition::Condition;

ReportMessage report() {
  ReportMessage message;
  message.complete = true;
  ReportMessage::Partition& partition = message.partitions.emplace_back();
  partition.partition = 255;
  partition.digest = 0x0123'4567'89ab'cdef;
  partition.vector.add({kOne, 5});
  partition.vector.add({kTwo, UINT64_MAX});
  message.partitions.push_back({0, {}, 0, Condition::kWantsState});
  return message;
}

SnapshotMessage snapshot() {
  return {
      .number = 7, .transfer = 3, .partition = 12, .offset = 100, .total = 105, .bytes = "piece"};
}

std::string records() {
  RecordsBuilder builder(9);
  builder.add("first");
  builder.add("");
  builder.add(std::string_view("\0\xff", 2));
  return builder.take();
}

// All kinds of messages; each is preceded by its length in one byte.
std::string all_messages() {
  std::string out;
  for (const std::string& message : {encode_report(report()), encode_report({}), records(),
                                     encode_ack({UINT64_MAX}), encode_snapshot(snapshot())}) {
    out += static_cast<char>(message.size());
    out += message;
  }
  return out;
}

template <typename Message>
Message decoded(const std::string& bytes) {
  const auto message = decode_peer_message(bytes);
  EXPECT_TRUE(message) << message.error().message;
  if (!message || !std::holds_alternative<Message>(*message)) {
    ADD_FAILURE() << "another kind of message";
    return {};
  }
  return std::get<Message>(*message);
}

void expect_report(const ReportMessage& message) {
  EXPECT_TRUE(message.complete);
  ASSERT_EQ(message.partitions.size(), 2u);
  EXPECT_EQ(message.partitions[0].partition, 255);
  EXPECT_EQ(message.partitions[0].digest, 0x0123'4567'89ab'cdefu);
  EXPECT_EQ(message.partitions[0].vector, report().partitions[0].vector);
  EXPECT_EQ(message.partitions[0].condition, Condition::kWhole);
  EXPECT_TRUE(message.partitions[1].vector.empty());
  EXPECT_EQ(message.partitions[1].condition, Condition::kWantsState);
}

void expect_snapshot(const SnapshotMessage& message) {
  EXPECT_EQ(message.number, 7u);
  EXPECT_EQ(message.transfer, 3u);
  EXPECT_EQ(message.partition, 12);
  EXPECT_EQ(message.offset, 100u);
  EXPECT_EQ(message.total, 105u);
  EXPECT_EQ(message.bytes, "piece");
}

TEST(PeerMessage, TheFormatHasNotChanged) {
  const std::string golden =
      test::expect_golden("peer-messages-v2.bin", all_messages(), "the peer protocol");
  std::string_view rest = golden;
  const auto next = [&rest] {
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(rest.at(0)));
    std::string message(rest.substr(1, size));
    rest.remove_prefix(1 + size);
    return message;
  };
  expect_report(decoded<ReportMessage>(next()));
  EXPECT_FALSE(decoded<ReportMessage>(next()).complete);
  const std::string sent = next();
  const auto some = decoded<RecordsMessage>(sent);
  EXPECT_EQ(some.number, 9u);
  EXPECT_THAT(some.records, ElementsAre("first", "", std::string_view("\0\xff", 2)));
  EXPECT_EQ(decoded<AckMessage>(next()).number, UINT64_MAX);
  const std::string piece = next();
  expect_snapshot(decoded<SnapshotMessage>(piece));
  EXPECT_TRUE(rest.empty());
}

TEST(PeerMessage, RefusesWhatIsCutOffOrHasBytesLeftOver) {
  for (const std::string& message : {encode_report(report()), encode_ack({1})}) {
    for (std::size_t size = 0; size < message.size(); ++size) {
      EXPECT_FALSE(decode_peer_message(std::string_view(message).substr(0, size))) << size;
    }
    EXPECT_FALSE(decode_peer_message(message + 'x'));
  }
  // The last record and a piece of a snapshot go to the message's end, so only what precedes them
  // can be missing.
  const std::string sent = records();
  EXPECT_FALSE(decode_peer_message(std::string_view(sent).substr(0, sent.size() - 1)));
  EXPECT_FALSE(decode_peer_message(std::string_view(encode_snapshot(snapshot())).substr(0, 20)));
}

TEST(PeerMessage, RefusesUnknownKindsAndWhatMakesNoSense) {
  EXPECT_THAT(decode_peer_message("\x05").error().message, HasSubstr("unknown kind"));
  SnapshotMessage beyond = snapshot();
  beyond.total = 104;
  EXPECT_THAT(decode_peer_message(encode_snapshot(beyond)).error().message,
              HasSubstr("beyond the end"));
  beyond.offset = UINT64_MAX;
  EXPECT_FALSE(decode_peer_message(encode_snapshot(beyond)));
  std::string nobody = encode_report(report());
  nobody.replace(nobody.size() - 13 - 32, 8, 8, '\0');
  EXPECT_THAT(decode_peer_message(nobody).error().message, HasSubstr("names no replica"));
  std::string odd = encode_report(report());
  odd[odd.size() - 3] = 3;  // before the number of entries of the last vector
  EXPECT_THAT(decode_peer_message(odd).error().message, HasSubstr("unknown condition"));
}

}  // namespace
}  // namespace even
