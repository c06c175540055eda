#include "replica/peer_message.h"

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "topic/compression.h"

namespace even {
namespace {

enum class Kind : std::uint8_t {
  kReport = 1,
  kRecords = 2,
  kAck = 3,
  kPiece = 4,
  kOffer = 5,
  kProgress = 6,
  kGroups = 7,
  kMeta = 8,
  kFormer = 9,
  kAsk = 10,
  kAnswer = 11,
  kStable = 12,
  kDigests = 13,
  kHint = 14,
  kHintState = 15,
  kRights = 16,
  kCompareAsk = 17,
  kCompareAnswer = 18,
  kCompressed = 19,
};

// Of the records of one message that are compressed. Longer ones are sent as they are.
constexpr std::size_t kMostInflated = std::size_t{4} << 20;
constexpr std::size_t kRecordsHead = 1 + 8;  // kind and number

std::string begin(Kind kind) { return std::string(1, static_cast<char>(kind)); }

void put_vector(std::string& out, const VersionVector& vector) {
  put_little_endian<std::uint16_t>(out, static_cast<std::uint16_t>(vector.entries().size()));
  for (const VersionVector::Entry& entry : vector.entries()) {
    put_little_endian(out, entry.replica.value);
    put_little_endian(out, VersionVector::bits(entry));
  }
}

// False if an entry names no replica or no record.
bool get_vector(ByteReader& in, VersionVector& vector) {
  const std::uint16_t entries = in.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < entries && in.ok(); ++i) {
    const ReplicaId replica{in.get<std::uint64_t>()};
    const auto bits = in.get<std::uint64_t>();
    if (in.ok() && !vector.add_bits(replica, bits)) return false;
  }
  return true;
}

void put_reach(std::string& out, const PartitionReach& reach) {
  put_little_endian(out, static_cast<std::uint16_t>(reach.size()));
  for (const auto& [partition, vector] : reach) {
    put_little_endian(out, partition);
    put_vector(out, vector);
  }
}

// False if partitions do not ascend, or a vector is none.
bool get_reach(ByteReader& in, PartitionReach& reach) {
  const auto partitions = in.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < partitions && in.ok(); ++i) {
    const auto partition = in.get<PartitionId>();
    VersionVector vector;
    if (!get_vector(in, vector)) return false;
    if (in.ok() && !reach.empty() && partition <= reach.back().first) return false;
    reach.emplace_back(partition, std::move(vector));
  }
  return true;
}

void put_former(std::string& out, const FormerState& state) {
  put_little_endian(out, state.term);
  put_little_endian(out, state.index);
}

FormerState get_former(ByteReader& in) {
  const auto term = in.get<consensus::Term>();
  return {term, in.get<consensus::Index>()};
}

void put_name(std::string& out, const SnapshotName& name) {
  put_little_endian(out, name.partition);
  put_little_endian(out, name.total);
  put_little_endian(out, name.checksum);
}

SnapshotName get_name(ByteReader& in) {
  SnapshotName name;
  name.partition = in.get<std::uint16_t>();
  name.total = in.get<std::uint64_t>();
  name.checksum = in.get<std::uint64_t>();
  return name;
}

Result<PeerMessage> decode_report(ByteReader& in) {
  ReportMessage message;
  message.complete = in.get<std::uint8_t>() != 0;
  message.clock_ms = in.get<std::int64_t>();
  const std::uint32_t partitions = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < partitions && in.ok(); ++i) {
    ReportMessage::Partition& partition = message.partitions.emplace_back();
    partition.partition = in.get<std::uint16_t>();
    partition.digest = in.get<std::uint64_t>();
    const std::uint8_t condition = in.get<std::uint8_t>();
    partition.condition = static_cast<ReportMessage::Partition::Condition>(condition);
    if (partition.condition > ReportMessage::Partition::Condition::kWantsState) {
      return fail("malformed report: an unknown condition");
    }
    if (!get_vector(in, partition.vector)) {
      return fail("malformed report: a vector names no replica");
    }
  }
  const std::uint16_t runs = !in.ok() || in.at_end() ? 0 : in.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < runs && in.ok(); ++i) {
    message.runs.push_back({in.get<std::uint64_t>()});
  }
  return message;
}

Result<PeerMessage> decode_records(ByteReader& in) {
  RecordsMessage message;
  message.number = in.get<std::uint64_t>();
  while (in.ok() && !in.at_end()) {
    const std::uint32_t size = in.get<std::uint32_t>();
    message.records.push_back(in.bytes(size));
  }
  return message;
}

Result<PeerMessage> decode_compressed(ByteReader& in) {
  const auto number = in.get<std::uint64_t>();
  const auto size = in.get<std::uint32_t>();
  const std::string_view frame = in.bytes(in.left());
  if (!in.ok()) return fail("malformed message: it is cut off");
  if (size > kMostInflated) {
    return fail("malformed compressed records: they would be longer than any are");
  }
  auto bytes = topic::decompress(topic::Compression::kZstd, frame, size);
  if (!bytes) return fail("malformed compressed records: " + bytes.error().message);
  if (bytes->size() != size) return fail("malformed compressed records: of another length");
  auto inflated = std::make_shared<const std::string>(std::move(*bytes));
  RecordsMessage message{.number = number, .records = {}, .inflated = inflated};
  ByteReader records(*inflated);
  while (records.ok() && !records.at_end()) {
    const auto length = records.get<std::uint32_t>();
    message.records.push_back(records.bytes(length));
  }
  if (!records.ok()) return fail("malformed compressed records: one is cut off");
  return message;
}

Result<PeerMessage> decode_offer(ByteReader& in) {
  SnapshotOffer message;
  message.number = in.get<std::uint64_t>();
  message.name = get_name(in);
  if (!get_vector(in, message.vector)) {
    return fail("malformed offer of a snapshot: its vector names no replica");
  }
  return message;
}

Result<PeerMessage> decode_piece(ByteReader& in) {
  SnapshotPiece message;
  message.number = in.get<std::uint64_t>();
  message.name = get_name(in);
  message.offset = in.get<std::uint64_t>();
  message.bytes = in.bytes(in.left());
  const std::uint64_t total = message.name.total;
  if (message.offset > total || message.bytes.size() > total - message.offset) {
    return fail("malformed snapshot: a piece lies beyond the end");
  }
  return message;
}

Result<PeerMessage> decode_progress(ByteReader& in) {
  SnapshotProgress message;
  message.number = in.get<std::uint64_t>();
  message.name = get_name(in);
  message.have = in.get<std::uint64_t>();
  if (message.have > message.name.total) {
    return fail("malformed progress of a snapshot: it lies beyond the end");
  }
  return message;
}

Result<PeerMessage> decode_digests(ByteReader& in) {
  DigestsMessage message;
  while (in.ok() && !in.at_end()) {
    DigestsMessage::Digest& each = message.digests.emplace_back();
    each.group = in.get<PartitionId>();
    each.index = in.get<consensus::Index>();
    each.digest = in.get<std::uint64_t>();
    if (in.ok() && each.index > consensus::kMaxNumber) {
      return fail("malformed digests of groups: an index that cannot be");
    }
  }
  return message;
}

Result<PeerMessage> decode_groups(ByteReader& in) {
  auto messages = decode_group_messages(in.bytes(in.left()));
  if (!messages) return std::unexpected(messages.error());
  return GroupsMessage{std::move(*messages)};
}

// With the lowest bit, which earlier versions have alone.
constexpr std::uint8_t kHasNoUsers = 2;
constexpr std::uint8_t kHasUsers = 4;

Result<PeerMessage> decode_meta(ByteReader& in) {
  MetaMessage message;
  const auto bits = in.get<std::uint8_t>();
  message.founded = bits != 0;
  message.users = (bits & kHasUsers) != 0     ? MetaMessage::Users::kSome
                  : (bits & kHasNoUsers) != 0 ? MetaMessage::Users::kNone
                                              : MetaMessage::Users::kUnsaid;
  const std::uint8_t voters = in.get<std::uint8_t>();
  for (std::uint8_t i = 0; i < voters && in.ok(); ++i) {
    const auto member = in.get<std::uint64_t>();
    if (in.ok() &&
        (member == consensus::kNoMember || consensus::contains(message.voters, member))) {
      return fail("malformed message about the metadata group: its voters are none");
    }
    consensus::insert(message.voters, member);
  }
  message.former = get_former(in);
  return message;
}

Result<PeerMessage> decode_former(ByteReader& in) {
  FormerMessage message;
  const auto groups = in.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < groups && in.ok(); ++i) {
    const auto group = in.get<PartitionId>();
    message.groups.emplace_back(group, get_former(in));
  }
  return message;
}

constexpr std::uint8_t kAskSynced = 1;
constexpr std::uint8_t kAskLearns = 2;
constexpr std::uint8_t kAskAgain = 4;

Result<PeerMessage> decode_ask(ByteReader& in) {
  AskMessage message;
  message.id = in.get<std::uint64_t>();
  const auto flags = in.get<std::uint8_t>();
  message.synced = (flags & kAskSynced) != 0;
  message.learns = (flags & kAskLearns) != 0;
  message.again = (flags & kAskAgain) != 0;
  if (!get_reach(in, message.reach)) return fail("malformed question: its partitions are none");
  return message;
}

Result<PeerMessage> decode_answer(ByteReader& in) {
  AnswerMessage message;
  message.id = in.get<std::uint64_t>();
  if (!get_reach(in, message.seen)) return fail("malformed answer: its partitions are none");
  const auto complete = in.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < complete && in.ok(); ++i) {
    message.complete.push_back(in.get<PartitionId>());
  }
  return message;
}

Result<PeerMessage> decode_stable(ByteReader& in) {
  StableMessage message;
  message.asks = in.get<std::uint8_t>() != 0;
  if (!get_reach(in, message.stable)) return fail("malformed word of what is everywhere");
  return message;
}

Result<PeerMessage> decode_hint(ByteReader& in) {
  HintMessage message;
  message.number = in.get<std::uint64_t>();
  if (!get_reach(in, message.bases)) return fail("malformed hints: their partitions are none");
  while (in.ok() && !in.at_end()) {
    const auto size = in.get<std::uint32_t>();
    message.records.push_back(in.bytes(size));
  }
  return message;
}

Result<PeerMessage> decode_hint_state(ByteReader& in) {
  HintStateMessage message;
  message.number = in.get<std::uint64_t>();
  message.full = in.get<std::uint8_t>() != 0;
  if (!get_reach(in, message.has)) return fail("malformed state of hints: its partitions are none");
  return message;
}

Result<PeerMessage> decode_rights(ByteReader& in) {
  RightsMessage message;
  message.partition = in.get<PartitionId>();
  message.needed = in.get<std::uint64_t>();
  message.wanted = in.get<std::uint64_t>();
  message.key = in.bytes(in.left());
  return message;
}

Result<PeerMessage> decode_compare_ask(ByteReader& in) {
  CompareAsk message;
  message.id = in.get<std::uint64_t>();
  message.partition = in.get<PartitionId>();
  message.what = static_cast<CompareAsk::What>(in.get<std::uint8_t>());
  if (message.what > CompareAsk::What::kStates) return fail("malformed comparison: of nothing");
  if (!get_vector(in, message.reach)) {
    return fail("malformed comparison: a vector names no replica");
  }
  while (in.ok() && !in.at_end()) {
    const auto hash = in.get<std::uint64_t>();
    if (in.ok() && !message.hashes.empty() && hash <= message.hashes.back()) {
      return fail("malformed comparison: hashes do not ascend");
    }
    message.hashes.push_back(hash);
  }
  if (message.what == CompareAsk::What::kList && message.hashes.size() != 1) {
    return fail("malformed comparison: a list begins with one hash");
  }
  return message;
}

constexpr std::uint8_t kCompareReady = 1;
constexpr std::uint8_t kCompareSuspect = 2;

Result<PeerMessage> decode_compare_answer(ByteReader& in) {
  CompareAnswer message;
  message.id = in.get<std::uint64_t>();
  const auto flags = in.get<std::uint8_t>();
  message.ready = (flags & kCompareReady) != 0;
  message.suspect = (flags & kCompareSuspect) != 0;
  if (!get_vector(in, message.vector)) {
    return fail("malformed comparison: a vector names no replica");
  }
  message.end = in.get<std::uint64_t>();
  const auto digests = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < digests && in.ok(); ++i) {
    const auto hash = in.get<std::uint64_t>();
    if (in.ok() && !message.digests.empty() && hash <= message.digests.back().first) {
      return fail("malformed comparison: hashes do not ascend");
    }
    message.digests.emplace_back(hash, in.get<std::uint64_t>());
  }
  message.states = in.bytes(in.left());
  return message;
}

}  // namespace

std::string encode_compare_ask(const CompareAsk& message) {
  std::string out = begin(Kind::kCompareAsk);
  put_little_endian(out, message.id);
  put_little_endian(out, message.partition);
  put_little_endian(out, static_cast<std::uint8_t>(message.what));
  put_vector(out, message.reach);
  for (const std::uint64_t hash : message.hashes) put_little_endian(out, hash);
  return out;
}

std::string encode_compare_answer(const CompareAnswer& message) {
  std::string out = begin(Kind::kCompareAnswer);
  put_little_endian(out, message.id);
  put_little_endian(out, static_cast<std::uint8_t>((message.ready ? kCompareReady : 0) |
                                                   (message.suspect ? kCompareSuspect : 0)));
  put_vector(out, message.vector);
  put_little_endian(out, message.end);
  put_little_endian(out, static_cast<std::uint32_t>(message.digests.size()));
  for (const auto& [hash, digest] : message.digests) {
    put_little_endian(out, hash);
    put_little_endian(out, digest);
  }
  out.append(message.states);
  return out;
}

std::string encode_report(const ReportMessage& message) {
  std::string out = begin(Kind::kReport);
  put_little_endian<std::uint8_t>(out, message.complete ? 1 : 0);
  put_little_endian(out, message.clock_ms);
  put_little_endian<std::uint32_t>(out, static_cast<std::uint32_t>(message.partitions.size()));
  for (const auto& partition : message.partitions) {
    put_little_endian(out, partition.partition);
    put_little_endian(out, partition.digest);
    put_little_endian(out, static_cast<std::uint8_t>(partition.condition));
    put_vector(out, partition.vector);
  }
  if (message.runs.empty()) return out;
  put_little_endian(out, static_cast<std::uint16_t>(message.runs.size()));
  for (const ReplicaId run : message.runs) put_little_endian(out, run.value);
  return out;
}

std::string encode_ack(const AckMessage& message) {
  std::string out = begin(Kind::kAck);
  put_little_endian(out, message.number);
  return out;
}

std::string encode_offer(const SnapshotOffer& message) {
  std::string out = begin(Kind::kOffer);
  put_little_endian(out, message.number);
  put_name(out, message.name);
  put_vector(out, message.vector);
  return out;
}

std::string encode_piece(const SnapshotPiece& message) {
  std::string out = begin(Kind::kPiece);
  put_little_endian(out, message.number);
  put_name(out, message.name);
  put_little_endian(out, message.offset);
  out.append(message.bytes);
  return out;
}

std::string encode_progress(const SnapshotProgress& message) {
  std::string out = begin(Kind::kProgress);
  put_little_endian(out, message.number);
  put_name(out, message.name);
  put_little_endian(out, message.have);
  return out;
}

std::string encode_meta(const MetaMessage& message) {
  std::string out = begin(Kind::kMeta);
  std::uint8_t bits = message.founded ? 1 : 0;
  if (message.users == MetaMessage::Users::kNone) bits |= kHasNoUsers;
  if (message.users == MetaMessage::Users::kSome) bits |= kHasUsers;
  put_little_endian(out, bits);
  put_little_endian(out, static_cast<std::uint8_t>(message.voters.size()));
  for (const consensus::MemberId member : message.voters) put_little_endian(out, member);
  put_former(out, message.former);
  return out;
}

std::string encode_former(const FormerMessage& message) {
  std::string out = begin(Kind::kFormer);
  put_little_endian(out, static_cast<std::uint16_t>(message.groups.size()));
  for (const auto& [group, state] : message.groups) {
    put_little_endian(out, group);
    put_former(out, state);
  }
  return out;
}

std::string encode_ask(const AskMessage& message) {
  std::string out = begin(Kind::kAsk);
  put_little_endian(out, message.id);
  put_little_endian(out, static_cast<std::uint8_t>((message.synced ? kAskSynced : 0) |
                                                   (message.learns ? kAskLearns : 0) |
                                                   (message.again ? kAskAgain : 0)));
  put_reach(out, message.reach);
  return out;
}

std::string encode_answer(const AnswerMessage& message) {
  std::string out = begin(Kind::kAnswer);
  put_little_endian(out, message.id);
  put_reach(out, message.seen);
  put_little_endian(out, static_cast<std::uint16_t>(message.complete.size()));
  for (const PartitionId partition : message.complete) put_little_endian(out, partition);
  return out;
}

std::string encode_stable(const StableMessage& message) {
  std::string out = begin(Kind::kStable);
  put_little_endian(out, static_cast<std::uint8_t>(message.asks ? 1 : 0));
  put_reach(out, message.stable);
  return out;
}

std::string encode_digests(const DigestsMessage& message) {
  std::string out = begin(Kind::kDigests);
  for (const DigestsMessage::Digest& each : message.digests) {
    put_little_endian(out, each.group);
    put_little_endian(out, each.index);
    put_little_endian(out, each.digest);
  }
  return out;
}

bool is_of_state_from(PartitionId first, std::string_view message) {
  ByteReader in(message);
  const auto kind = static_cast<Kind>(in.get<std::uint8_t>());
  if (kind != Kind::kPiece && kind != Kind::kProgress) return false;
  (void)in.get<std::uint64_t>();
  const auto partition = in.get<PartitionId>();
  return in.ok() && partition >= first;
}

std::string encode_hint_state(const HintStateMessage& message) {
  std::string out = begin(Kind::kHintState);
  put_little_endian(out, message.number);
  put_little_endian<std::uint8_t>(out, message.full ? 1 : 0);
  put_reach(out, message.has);
  return out;
}

HintsBuilder::HintsBuilder(std::uint64_t number, const PartitionReach& bases)
    : message_(begin(Kind::kHint)) {
  put_little_endian(message_, number);
  put_reach(message_, bases);
}

void HintsBuilder::add(std::string_view record) {
  put_little_endian<std::uint32_t>(message_, static_cast<std::uint32_t>(record.size()));
  message_.append(record);
}

std::string encode_rights(const RightsMessage& message) {
  std::string out = begin(Kind::kRights);
  put_little_endian(out, message.partition);
  put_little_endian(out, message.needed);
  put_little_endian(out, message.wanted);
  out.append(message.key);
  return out;
}

bool is_of_replication(std::string_view message) {
  if (message.empty()) return true;
  const auto kind = static_cast<Kind>(message.front());
  return kind < Kind::kGroups || kind == Kind::kCompressed;
}

RecordsBuilder::RecordsBuilder(std::uint64_t number) : message_(begin(Kind::kRecords)) {
  put_little_endian(message_, number);
}

void append_record(std::string& out, std::string_view record) {
  put_little_endian<std::uint32_t>(out, static_cast<std::uint32_t>(record.size()));
  out.append(record);
}

void RecordsBuilder::add(std::string_view record) {
  append_record(message_, record);
  ++count_;
}

void RecordsBuilder::add_all(std::string_view records, std::size_t count) {
  message_.append(records);
  count_ += count;
}

std::string RecordsBuilder::take_compressed() {
  const std::string_view records = std::string_view(message_).substr(kRecordsHead);
  if (records.size() > kMostInflated) return take();
  const auto frame = topic::compress(topic::Compression::kZstd, records);
  if (!frame || frame->size() + sizeof(std::uint32_t) >= records.size()) return take();
  std::string out = begin(Kind::kCompressed);
  out.append(message_, 1, kRecordsHead - 1);
  put_little_endian(out, static_cast<std::uint32_t>(records.size()));
  out.append(*frame);
  return out;
}

// A message with an entry or two has room.
GroupsBuilder::GroupsBuilder() : message_(begin(Kind::kGroups)) { message_.reserve(512); }

void GroupsBuilder::add(const GroupMessage& message) { encode_group_message(message, message_); }

Result<PeerMessage> decode_peer_message(std::string_view bytes) {
  ByteReader in(bytes);
  Result<PeerMessage> message = fail("unknown kind of message");
  switch (static_cast<Kind>(in.get<std::uint8_t>())) {
    case Kind::kReport:
      message = decode_report(in);
      break;
    case Kind::kRecords:
      message = decode_records(in);
      break;
    case Kind::kAck:
      message = AckMessage{in.get<std::uint64_t>()};
      break;
    case Kind::kPiece:
      message = decode_piece(in);
      break;
    case Kind::kOffer:
      message = decode_offer(in);
      break;
    case Kind::kProgress:
      message = decode_progress(in);
      break;
    case Kind::kGroups:
      message = decode_groups(in);
      break;
    case Kind::kMeta:
      message = decode_meta(in);
      break;
    case Kind::kFormer:
      message = decode_former(in);
      break;
    case Kind::kAsk:
      message = decode_ask(in);
      break;
    case Kind::kAnswer:
      message = decode_answer(in);
      break;
    case Kind::kStable:
      message = decode_stable(in);
      break;
    case Kind::kDigests:
      message = decode_digests(in);
      break;
    case Kind::kHint:
      message = decode_hint(in);
      break;
    case Kind::kHintState:
      message = decode_hint_state(in);
      break;
    case Kind::kRights:
      message = decode_rights(in);
      break;
    case Kind::kCompareAsk:
      message = decode_compare_ask(in);
      break;
    case Kind::kCompareAnswer:
      message = decode_compare_answer(in);
      break;
    case Kind::kCompressed:
      message = decode_compressed(in);
      break;
  }
  if (message && !in.ok()) return fail("malformed message: it is cut off");
  if (message && !in.at_end()) return fail("malformed message: bytes are left over");
  return message;
}

}  // namespace even
