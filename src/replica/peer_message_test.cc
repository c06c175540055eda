#include "replica/peer_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lattice/golden.h"

namespace even {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr ReplicaId kPeerOne{0x0001'0000'0000'0001};
constexpr ReplicaId kPeerTwo{0x0002'00c0'ffee'1234};

using Condition = ReportMessage::Partition::Condition;

ReportMessage report() {
  ReportMessage message;
  message.complete = true;
  ReportMessage::Partition& partition = message.partitions.emplace_back();
  partition.partition = 255;
  partition.digest = 0x0123'4567'89ab'cdef;
  partition.vector.add({kPeerOne, 5});
  partition.vector.add({kPeerTwo, VersionVector::kMaxSeq});
  partition.vector.fold(kPeerTwo);
  message.partitions.push_back({0, {}, 0, Condition::kWantsState});
  return message;
}

constexpr SnapshotName kName{.partition = 12, .total = 105, .checksum = 0x0123'4567'89ab'cdef};

SnapshotOffer offer() {
  SnapshotOffer message{.number = 6, .name = kName, .vector = {}};
  message.vector.add({kPeerTwo, 3});
  return message;
}

SnapshotPiece piece() { return {.number = 7, .name = kName, .offset = 100, .bytes = "piece"}; }

SnapshotProgress progress() { return {.number = 8, .name = kName, .have = 105}; }

std::string records() {
  RecordsBuilder builder(9);
  builder.add("first");
  builder.add("");
  builder.add(std::string_view("\0\xff", 2));
  return builder.take();
}

// Those of one group, of two; the messages themselves are tested with group_format.h.
std::string groups() {
  GroupsBuilder builder;
  EXPECT_TRUE(builder.empty());
  consensus::Message message;
  message.from = member_of(kPeerOne);
  message.to = member_of(kPeerTwo);
  message.term = 3;
  builder.add({300, message, {}});
  message.kind = consensus::MessageKind::kVoteRequest;
  builder.add({301, message, {}});
  EXPECT_FALSE(builder.empty());
  const std::size_t bytes = builder.bytes();
  std::string out = builder.take();
  EXPECT_EQ(bytes, out.size());
  return out;
}

const DigestsMessage kDigests{{{300, 17, 0x0123'4567'89ab'cdef}, {301, 256, 1}}};

// All kinds of messages; each is preceded by its length in one byte.
std::string all_messages() {
  std::string out;
  for (const std::string& message :
       {encode_report(report()), encode_report({}), records(), encode_ack({UINT64_MAX}),
        encode_piece(piece()), encode_offer(offer()), encode_progress(progress()), groups(),
        encode_digests(kDigests), encode_rights({12, 5, 7, "stock"})}) {
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

void expect_piece(const SnapshotPiece& message) {
  EXPECT_EQ(message.number, 7u);
  EXPECT_EQ(message.name, kName);
  EXPECT_EQ(message.offset, 100u);
  EXPECT_EQ(message.bytes, "piece");
}

void expect_offer(const SnapshotOffer& message) {
  EXPECT_EQ(message.number, 6u);
  EXPECT_EQ(message.name, kName);
  EXPECT_EQ(message.vector, offer().vector);
}

void expect_progress(const SnapshotProgress& message) {
  EXPECT_EQ(message.number, 8u);
  EXPECT_EQ(message.name, kName);
  EXPECT_EQ(message.have, 105u);
}

void expect_groups(const GroupsMessage& message) {
  ASSERT_EQ(message.messages.size(), 2u);
  EXPECT_EQ(message.messages[0].group, 300);
  EXPECT_EQ(message.messages[0].message.kind, consensus::MessageKind::kHeartbeatRequest);
  EXPECT_EQ(message.messages[0].message.from, member_of(kPeerOne));
  EXPECT_EQ(message.messages[0].message.to, member_of(kPeerTwo));
  EXPECT_EQ(message.messages[0].message.term, 3u);
  EXPECT_EQ(message.messages[1].group, 301);
  EXPECT_EQ(message.messages[1].message.kind, consensus::MessageKind::kVoteRequest);
}

// Compressed by any version of the library: of one block that is not compressed. RFC 8878.
constexpr std::string_view kCompressedRecords{
    "\x13"
    "\x09\0\0\0\0\0\0\0"
    "\x0f\0\0\0"
    "\x28\xb5\x2f\xfd\x20\x0f"
    "\x79\0\0"
    "\x05\0\0\0first\x02\0\0\0\0\xff",
    1 + 8 + 4 + 6 + 3 + 15};

TEST(PeerMessage, CompressedRecordsAreReadAsTheyStandInTheFormat) {
  ASSERT_TRUE(is_of_replication(kCompressedRecords));
  const auto message = decoded<RecordsMessage>(std::string(kCompressedRecords));
  EXPECT_EQ(message.number, 9u);
  EXPECT_THAT(message.records, ElementsAre("first", std::string_view("\0\xff", 2)));
}

TEST(PeerMessage, RecordsAreCompressedIfThatIsShorter) {
  RecordsBuilder one(1);
  one.add("short");
  EXPECT_EQ(one.take_compressed()[0], 2);
  RecordsBuilder many(7);
  std::string record;
  for (int i = 0; i < 100; ++i) {
    record = "a record of many that are alike " + std::to_string(i);
    many.add(record);
  }
  const std::size_t bytes = many.bytes();
  const std::string compressed = many.take_compressed();
  EXPECT_LT(compressed.size(), bytes / 3);
  const auto message = decoded<RecordsMessage>(compressed);
  EXPECT_EQ(message.number, 7u);
  ASSERT_EQ(message.records.size(), 100u);
  EXPECT_EQ(message.records.back(), record);
}

TEST(PeerMessage, CompressedRecordsThatCannotBeAreRefused) {
  for (std::size_t size = 0; size < kCompressedRecords.size(); ++size) {
    EXPECT_FALSE(decode_peer_message(kCompressedRecords.substr(0, size))) << size;
  }
  const auto changed = [](std::size_t at, char to) {
    std::string bytes(kCompressedRecords);
    bytes[at] = to;
    return decode_peer_message(bytes);
  };
  EXPECT_THAT(changed(12, 1).error().message, HasSubstr("longer than any"));
  EXPECT_THAT(changed(9, 0x10).error().message, HasSubstr("another length"));
  EXPECT_FALSE(changed(9, 0x0e));
  EXPECT_THAT(changed(22, 0x06).error().message, HasSubstr("cut off"));
}

TEST(PeerMessage, TheFormatHasNotChanged) {
  const std::string golden =
      test::expect_golden("peer-messages-v15.bin", all_messages(), "the peer protocol");
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
  const std::string part = next();
  expect_piece(decoded<SnapshotPiece>(part));
  expect_offer(decoded<SnapshotOffer>(next()));
  expect_progress(decoded<SnapshotProgress>(next()));
  expect_groups(decoded<GroupsMessage>(next()));
  EXPECT_EQ(decoded<DigestsMessage>(next()).digests, kDigests.digests);
  const std::string question = next();
  const auto rights = decoded<RightsMessage>(question);
  EXPECT_EQ(rights.partition, 12);
  EXPECT_EQ(rights.needed, 5u);
  EXPECT_EQ(rights.wanted, 7u);
  EXPECT_EQ(rights.key, "stock");
  EXPECT_TRUE(rest.empty());
}

TEST(PeerMessage, RefusesWhatIsCutOffOrHasBytesLeftOver) {
  for (const std::string& message : {encode_report(report()), encode_ack({1}),
                                     encode_offer(offer()), encode_progress(progress())}) {
    for (std::size_t size = 0; size < message.size(); ++size) {
      EXPECT_FALSE(decode_peer_message(std::string_view(message).substr(0, size))) << size;
    }
    EXPECT_FALSE(decode_peer_message(message + 'x'));
  }
  // The last record and a piece of a snapshot go to the message's end, so only what precedes them
  // can be missing.
  const std::string sent = records();
  EXPECT_FALSE(decode_peer_message(std::string_view(sent).substr(0, sent.size() - 1)));
  EXPECT_FALSE(decode_peer_message(std::string_view(encode_piece(piece())).substr(0, 30)));
}

TEST(PeerMessage, DigestsOfGroupsAreReadToTheEnd) {
  const std::string bytes = encode_digests(kDigests);
  EXPECT_FALSE(is_of_replication(bytes));
  for (const std::size_t left_out : {1u, 8u, 17u}) {
    EXPECT_FALSE(decode_peer_message(bytes.substr(0, bytes.size() - left_out))) << left_out;
  }
  EXPECT_EQ(decoded<DigestsMessage>(bytes.substr(0, bytes.size() - 18)).digests.size(), 1u);
}

TEST(PeerMessage, OfStatesItIsKnownWhetherTheyAreOfGroups) {
  const SnapshotName name{300, 10, 1};
  for (const std::string& message :
       {encode_piece({0, name, 0, "x"}), encode_progress({0, name, 3})}) {
    EXPECT_TRUE(is_of_state_from(300, message));
    EXPECT_FALSE(is_of_state_from(301, message));
    EXPECT_FALSE(is_of_state_from(0, message.substr(0, 10)));
  }
  EXPECT_FALSE(is_of_state_from(0, encode_offer({0, name, {}})));
  EXPECT_FALSE(is_of_state_from(0, ""));
}

TEST(PeerMessage, SaysWhoHasFoundedTheMetadataGroup) {
  const std::string bytes =
      encode_meta({.founded = true, .voters = {0x10007, 0x20008}, .former = {3, 77}});
  EXPECT_FALSE(is_of_replication(bytes));
  EXPECT_TRUE(is_of_replication(encode_ack({1})));
  const auto message = decoded<MetaMessage>(bytes);
  EXPECT_TRUE(message.founded);
  EXPECT_EQ(message.former, (FormerState{3, 77}));
  EXPECT_EQ(message.voters, (consensus::Members{0x10007, 0x20008}));
  EXPECT_FALSE(decode_peer_message(bytes.substr(0, bytes.size() - 1)));
  std::string twice = bytes;
  twice.replace(11, 8, bytes.substr(3, 8));
  EXPECT_THAT(decode_peer_message(twice).error().message, HasSubstr("voters"));
}

TEST(PeerMessage, SaysWhichGroupsTheSenderIsNoMemberOf) {
  const std::string bytes = encode_former({.groups = {{258, {4, 17}}, {300, {}}}});
  EXPECT_FALSE(is_of_replication(bytes));
  const auto message = decoded<FormerMessage>(bytes);
  EXPECT_THAT(message.groups, ::testing::ElementsAre(::testing::Pair(258, FormerState{4, 17}),
                                                     ::testing::Pair(300, FormerState{})));
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_peer_message(bytes.substr(0, size)));
  }
  EXPECT_FALSE(decode_peer_message(bytes + 'x'));
}

TEST(PeerMessage, GivesHintsAndSaysWhatIsHeld) {
  VersionVector vector;
  vector.add({ReplicaId::make(1, 2, 3), 40});
  const PartitionReach bases{{1, vector}, {9, {}}};
  HintsBuilder builder(5, bases);
  builder.add("one");
  builder.add("another");
  const std::string given = builder.take();
  EXPECT_FALSE(is_of_replication(given));
  const auto hints = decoded<HintMessage>(given);
  EXPECT_EQ(hints.number, 5u);
  EXPECT_EQ(hints.bases, bases);
  EXPECT_EQ(hints.records, (std::vector<std::string_view>{"one", "another"}));
  EXPECT_FALSE(decode_peer_message(given.substr(0, given.size() - 1)));
  const std::string said = encode_hint_state({5, true, bases});
  const auto state = decoded<HintStateMessage>(said);
  EXPECT_EQ(state.number, 5u);
  EXPECT_TRUE(state.full);
  EXPECT_EQ(state.has, bases);
  for (std::size_t size = 1; size < said.size(); ++size) {
    EXPECT_FALSE(decode_peer_message(said.substr(0, size)));
  }
}

TEST(PeerMessage, AsksForWhatHasBeenSeenAndAnswers) {
  VersionVector vector;
  vector.add({ReplicaId::make(1, 2, 3), 40});
  const AskMessage ask{77, true, false, true, {{1, vector}, {9, {}}}};
  const std::string asked = encode_ask(ask);
  EXPECT_FALSE(is_of_replication(asked));
  const auto question = decoded<AskMessage>(asked);
  EXPECT_EQ(question.id, 77u);
  EXPECT_TRUE(question.synced);
  EXPECT_FALSE(question.learns);
  EXPECT_TRUE(question.again);
  EXPECT_EQ(question.reach, ask.reach);
  const std::string answered = encode_answer({78, ask.reach, {9}});
  const auto answer = decoded<AnswerMessage>(answered);
  EXPECT_EQ(answer.id, 78u);
  EXPECT_EQ(answer.seen, ask.reach);
  EXPECT_EQ(answer.complete, std::vector<PartitionId>{9});
  const std::string told = encode_stable({false, ask.reach});
  EXPECT_FALSE(is_of_replication(told));
  EXPECT_FALSE(decoded<StableMessage>(told).asks);
  EXPECT_EQ(decoded<StableMessage>(told).stable, ask.reach);
  EXPECT_TRUE(decoded<StableMessage>(encode_stable({true, {}})).asks);
  for (const std::string& bytes : {asked, answered, told}) {
    for (std::size_t size = 1; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_peer_message(bytes.substr(0, size)));
    }
    EXPECT_FALSE(decode_peer_message(bytes + 'x'));
  }
  EXPECT_FALSE(decode_peer_message(encode_answer({78, {{9, {}}, {1, {}}}, {}})));
}

TEST(PeerMessage, AReportMayNameRuns) {
  ReportMessage message = report();
  const std::string without = encode_report(message);
  EXPECT_TRUE(decoded<ReportMessage>(without).runs.empty());
  message.runs = {kPeerOne, kPeerTwo};
  const std::string with = encode_report(message);
  EXPECT_EQ(with.size(), without.size() + 2 + 2 * 8);
  EXPECT_TRUE(with.starts_with(without)) << "earlier nodes write and read the rest";
  EXPECT_EQ(decoded<ReportMessage>(with).runs, message.runs);
  EXPECT_FALSE(decode_peer_message(with.substr(0, with.size() - 1)));
}

TEST(PeerMessage, ComparesWhatReplicasHold) {
  VersionVector vector;
  vector.add({ReplicaId::make(1, 2, 3), 40});
  const std::string asked =
      encode_compare_ask({77, 12, CompareAsk::What::kStates, vector, {5, UINT64_MAX}});
  EXPECT_FALSE(is_of_replication(asked));
  const auto question = decoded<CompareAsk>(asked);
  EXPECT_EQ(question.id, 77u);
  EXPECT_EQ(question.partition, 12);
  EXPECT_EQ(question.what, CompareAsk::What::kStates);
  EXPECT_EQ(question.reach, vector);
  EXPECT_THAT(question.hashes, ElementsAre(5u, UINT64_MAX));
  EXPECT_FALSE(
      decode_peer_message(encode_compare_ask({77, 12, CompareAsk::What::kDigests, {}, {5, 5}})));
  EXPECT_FALSE(
      decode_peer_message(encode_compare_ask({77, 12, CompareAsk::What::kList, {}, {1, 2}})));
  const std::string answered =
      encode_compare_answer({78, true, true, vector, 9, {{5, 6}, {7, 0}}, "states"});
  const auto answer = decoded<CompareAnswer>(answered);
  EXPECT_EQ(answer.id, 78u);
  EXPECT_TRUE(answer.ready);
  EXPECT_TRUE(answer.suspect);
  EXPECT_EQ(answer.vector, vector);
  EXPECT_EQ(answer.end, 9u);
  EXPECT_THAT(answer.digests, ElementsAre(std::pair(5u, 6u), std::pair(7u, 0u)));
  EXPECT_EQ(answer.states, "states");
  EXPECT_FALSE(
      decoded<CompareAnswer>(encode_compare_answer({78, false, false, {}, 0, {}, {}})).ready);
  for (std::size_t size = 1; size + 6 < answered.size(); ++size) {
    EXPECT_FALSE(decode_peer_message(answered.substr(0, size)));
  }
  EXPECT_FALSE(
      decode_peer_message(encode_compare_answer({78, true, false, {}, 0, {{7, 0}, {5, 6}}, {}})));
}

TEST(PeerMessage, RefusesUnknownKindsAndWhatMakesNoSense) {
  EXPECT_THAT(decode_peer_message("\x14").error().message, HasSubstr("unknown kind"));
  SnapshotPiece beyond = piece();
  beyond.name.total = 104;
  EXPECT_THAT(decode_peer_message(encode_piece(beyond)).error().message, HasSubstr("beyond"));
  beyond.offset = UINT64_MAX;
  EXPECT_FALSE(decode_peer_message(encode_piece(beyond)));
  SnapshotProgress too_much = progress();
  too_much.have = 106;
  EXPECT_THAT(decode_peer_message(encode_progress(too_much)).error().message, HasSubstr("beyond"));
  std::string by_nobody = encode_offer(offer());
  by_nobody.replace(by_nobody.size() - 16, 8, 8, '\0');
  EXPECT_THAT(decode_peer_message(by_nobody).error().message, HasSubstr("names no replica"));
  std::string nobody = encode_report(report());
  nobody.replace(nobody.size() - 13 - 32, 8, 8, '\0');
  EXPECT_THAT(decode_peer_message(nobody).error().message, HasSubstr("names no replica"));
  std::string odd = encode_report(report());
  odd[odd.size() - 3] = 3;  // before the number of entries of the last vector
  EXPECT_THAT(decode_peer_message(odd).error().message, HasSubstr("unknown condition"));
}

}  // namespace
}  // namespace even
