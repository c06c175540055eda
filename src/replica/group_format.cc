#include "replica/group_format.h"

#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/check.h"
#include "consensus/membership.h"
#include "engine/cmd_meta.h"

namespace even {
namespace {

using consensus::Configuration;
using consensus::Entry;
using consensus::EntryKind;
using consensus::kMaxNumber;
using consensus::kNoMember;
using consensus::MemberId;
using consensus::Members;
using consensus::Message;
using consensus::MessageKind;
using consensus::Snapshot;

// Records begin with their partition, and these entries with one that there never is.
constexpr std::string_view kMark = "\xff\xff";
static_assert(kMostPartitions <= 0xffff);

enum class LogKind : std::uint8_t {
  kEntry = 1,
  kState = 2,
  kBase = 3,
  kEnd = 4,
  kTopicBase = 5,
  kTrimmedBase = 6,
  kStagedBase = 7
};

// Which parts of a message follow: those that are not 0, or empty.
enum Part : std::uint16_t {
  kReject = 1 << 0,
  kTransfer = 1 << 1,
  kTerm = 1 << 2,
  kLogTerm = 1 << 3,
  kIndex = 1 << 4,
  kCommit = 1 << 5,
  kHint = 1 << 6,
  kContext = 1 << 7,
  kEntries = 1 << 8,
  kSnapshot = 1 << 9,
  kStateName = 1 << 10,
  kAllParts = (1 << 11) - 1,
};

enum ProposalPart : std::uint8_t {
  kTransaction = 1 << 0,
  kWatched = 1 << 1,
  kOnce = 1 << 2,
  kCompacted = 1 << 3,    // of a batch
  kOnceFirst = 1 << 4,    // with kWatched and kOnce
  kAnySequence = 1 << 5,  // of a batch of records
  kOnceWords = 1 << 6,    // with kOnce
  kAllProposalParts = (1 << 7) - 1,
};
// Of a proposal to trim.
enum TrimParts : std::uint8_t { kWithCheckpoint = 1 << 0, kWithPurge = 1 << 1 };

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kEntryBytes = 8 + 8 + 1 + kLengthBytes;  // without data
constexpr std::size_t kProposalBytes = 64;                     // about, without words and batch

// A few numbers, which are appended together.
class Numbers {
 public:
  template <typename T>
  void put(T value) {
    std::memcpy(end_, &value, sizeof value);
    end_ += sizeof value;
  }
  void append_to(std::string& out) const {
    out.append(bytes_, static_cast<std::size_t>(end_ - bytes_));
  }

 private:
  char bytes_[96];  // more than any head takes
  char* end_ = bytes_;
};

void put_bytes(std::string& out, std::string_view bytes) {
  EVEN_CHECK(bytes.size() <= UINT32_MAX, "what is written has a length of 32 bits");
  put_little_endian(out, static_cast<std::uint32_t>(bytes.size()));
  out.append(bytes);
}
std::string_view get_bytes(ByteReader& in) { return in.bytes(in.get<std::uint32_t>()); }

void put_count(std::string& out, std::size_t count) {
  EVEN_CHECK(count <= UINT32_MAX, "counts have 32 bits");
  put_little_endian(out, static_cast<std::uint32_t>(count));
}

void begin(LogKind kind, PartitionId group, std::string& out) {
  out += kMark;
  out += static_cast<char>(kind);
  put_little_endian(out, group);
}

// Terms and indices.
bool possible(std::uint64_t number) { return number <= kMaxNumber; }

// --- Entries and configurations

void put_entry_head(const Entry& entry, Numbers& out) {
  out.put(entry.term);
  out.put(entry.index);
  out.put(static_cast<std::uint8_t>(entry.kind));
}

// Without data. None if there can be no such entry.
std::optional<Entry> get_entry_head(ByteReader& in) {
  Entry entry;
  entry.term = in.get<consensus::Term>();
  entry.index = in.get<consensus::Index>();
  const auto kind = in.get<std::uint8_t>();
  entry.kind = static_cast<EntryKind>(kind);
  if (!in.ok()) return entry;
  if (entry.term == 0 || entry.index == 0 || !possible(entry.term) || !possible(entry.index) ||
      kind > static_cast<std::uint8_t>(EntryKind::kEmpty)) {
    return std::nullopt;
  }
  return entry;
}

void put_members(std::string& out, const Members& members) {
  EVEN_CHECK(members.size() <= UINT16_MAX, "there are fewer nodes");
  put_little_endian(out, static_cast<std::uint16_t>(members.size()));
  for (const MemberId member : members) put_little_endian(out, member);
}

Members get_members(ByteReader& in) {
  Members members(in.count<std::uint16_t>(sizeof(MemberId)));
  for (MemberId& member : members) member = in.get<MemberId>();
  return members;
}

void put_configuration(const Configuration& configuration, std::string& out) {
  put_members(out, configuration.voters);
  put_members(out, configuration.outgoing);
  put_members(out, configuration.learners);
  put_members(out, configuration.learners_next);
  put_little_endian<std::uint8_t>(out, configuration.leave_automatically ? 1 : 0);
}

// None if there can be no such configuration.
std::optional<Configuration> get_configuration(ByteReader& in) {
  Configuration configuration;
  configuration.voters = get_members(in);
  configuration.outgoing = get_members(in);
  configuration.learners = get_members(in);
  configuration.learners_next = get_members(in);
  const auto leave_automatically = in.get<std::uint8_t>();
  configuration.leave_automatically = leave_automatically == 1;
  if (!in.ok()) return configuration;
  // They are in ascending order, so that the first one tells whether one is 0.
  const auto names_nobody = [](const Members& members) {
    return !members.empty() && members.front() == kNoMember;
  };
  if (leave_automatically > 1 || !consensus::valid(configuration) ||
      names_nobody(configuration.voters) || names_nobody(configuration.outgoing) ||
      names_nobody(configuration.learners)) {
    return std::nullopt;
  }
  return configuration;
}

// --- The log

Result<GroupLogEntry> decode_entry(PartitionId group, ByteReader& in) {
  auto entry = get_entry_head(in);
  if (!entry) return fail("an entry of a group is of no possible term, index or kind");
  entry->data = std::string(in.bytes(in.left()));
  return GroupEntry{group, std::move(*entry)};
}

Result<GroupLogEntry> decode_state(PartitionId group, ByteReader& in) {
  GroupState state{group, {}};
  state.state.term = in.get<consensus::Term>();
  state.state.vote = in.get<MemberId>();
  state.state.commit = in.get<consensus::Index>();
  if (!possible(state.state.term) || !possible(state.state.commit)) {
    return fail("a state of a group is of no possible term or commit index");
  }
  return state;
}

Result<GroupLogEntry> decode_base(PartitionId group, ByteReader& in) {
  GroupBase base;
  base.group = group;
  base.self = in.get<MemberId>();
  base.index = in.get<consensus::Index>();
  base.term = in.get<consensus::Term>();
  auto configuration = get_configuration(in);
  if (!configuration) return fail("a base of a group has no valid configuration");
  if (!in.ok()) return base;
  // Index 0, of term 0, is before the first entry: of who has got nothing yet.
  if (base.self == kNoMember || !possible(base.index) || !possible(base.term) ||
      (base.index == 0) != (base.term == 0)) {
    return fail("a base of a group is of no possible member, index or term");
  }
  base.configuration = std::move(*configuration);
  return base;
}

Result<GroupLogEntry> decode_staged_base(PartitionId group, ByteReader& in) {
  GroupBase::Staged staged;
  staged.generation = in.get<std::uint64_t>();
  staged.summary = in.bytes(in.get<std::uint32_t>());
  if (in.ok() && staged.generation == 0) return fail("a base of a group names no rows");
  auto base = decode_base(group, in);
  if (base) std::get<GroupBase>(*base).staged = std::move(staged);
  return base;
}

Result<GroupLogEntry> decode_topic_base(PartitionId group, bool trimmed, ByteReader& in) {
  GroupBase::Topic topic;
  if (trimmed) {
    topic.first = in.get<consensus::Index>();
    topic.first_term = in.get<consensus::Term>();
    if (!possible(topic.first) || !possible(topic.first_term) || topic.first == 0 ||
        topic.first_term == 0) {
      return fail("a base of a topic's group begins behind no possible entry");
    }
  }
  topic.index = in.get<consensus::Index>();
  auto founded = get_configuration(in);
  if (!founded || !possible(topic.index)) {
    return fail("a base of a topic's group does not say how the group began");
  }
  topic.founded = std::move(*founded);
  auto base = decode_base(group, in);
  if (base) std::get<GroupBase>(*base).topic = std::move(topic);
  return base;
}

// --- Messages

std::uint16_t parts_of(const GroupMessage& group_message) {
  const Message& message = group_message.message;
  std::uint16_t parts = 0;
  const auto add = [&parts](bool present, Part part) {
    if (present) parts = static_cast<std::uint16_t>(parts | part);
  };
  add(message.reject, kReject);
  add(message.transfer, kTransfer);
  add(message.term != 0, kTerm);
  add(message.log_term != 0, kLogTerm);
  add(message.index != 0, kIndex);
  add(message.commit != 0, kCommit);
  add(message.hint != 0, kHint);
  add(message.context != 0, kContext);
  add(!message.entries.empty(), kEntries);
  add(message.snapshot != nullptr, kSnapshot);
  add(group_message.state.has_value(), kStateName);
  return parts;
}

Result<> get_entries(ByteReader& in, std::vector<Entry>& entries) {
  const std::size_t count = in.count<std::uint32_t>(kEntryBytes);
  if (in.ok() && count == 0) return fail("malformed message of a group: entries, and none");
  entries.reserve(count);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    auto entry = get_entry_head(in);
    if (!entry) {
      return fail("malformed message of a group: an entry of no possible term, index or kind");
    }
    entry->data = std::string(get_bytes(in));
    entries.push_back(std::move(*entry));
  }
  return {};
}

Result<> get_snapshot(ByteReader& in, consensus::SnapshotPointer& snapshot) {
  const auto read = std::make_shared<Snapshot>();
  read->index = in.get<consensus::Index>();
  read->term = in.get<consensus::Term>();
  auto configuration = get_configuration(in);
  if (!configuration || !possible(read->index) || !possible(read->term)) {
    return fail("malformed message of a group: a snapshot of no possible index or configuration");
  }
  read->configuration = std::move(*configuration);
  read->data = std::string(get_bytes(in));
  snapshot = read;
  return {};
}

Result<GroupMessage> get_message(ByteReader& in) {
  GroupMessage read;
  Message& message = read.message;
  read.group = in.get<PartitionId>();
  const auto kind = in.get<std::uint8_t>();
  const auto parts = in.get<std::uint16_t>();
  message.kind = static_cast<MessageKind>(kind);
  message.from = in.get<MemberId>();
  message.to = in.get<MemberId>();
  const auto number = [&](Part part) -> std::uint64_t {
    return (parts & part) != 0 ? in.get<std::uint64_t>() : 0;
  };
  message.reject = (parts & kReject) != 0;
  message.transfer = (parts & kTransfer) != 0;
  message.term = number(kTerm);
  message.log_term = number(kLogTerm);
  message.index = number(kIndex);
  message.commit = number(kCommit);
  message.hint = number(kHint);
  message.context = number(kContext);
  if ((parts & kEntries) != 0) {
    if (const auto got = get_entries(in, message.entries); !got) {
      return std::unexpected(got.error());
    }
  }
  if ((parts & kSnapshot) != 0) {
    if (const auto got = get_snapshot(in, message.snapshot); !got) {
      return std::unexpected(got.error());
    }
  }
  if ((parts & kStateName) != 0) {
    read.state = {in.get<std::uint64_t>(), in.get<std::uint64_t>()};
    if (message.snapshot == nullptr || !message.snapshot->data.empty() || read.state->total == 0) {
      return fail("malformed message of a group: a state without a snapshot, or beside one's");
    }
  }
  if (!in.ok()) return fail("malformed message of a group: it is cut off");
  if (kind > static_cast<std::uint8_t>(MessageKind::kReadResponse)) {
    return fail("malformed message of a group: an unknown kind");
  }
  if (message.from == kNoMember || message.to == kNoMember) {
    return fail("malformed message of a group: it is from or to nobody");
  }
  if (!possible(message.term) || !possible(message.log_term) || !possible(message.index) ||
      !possible(message.commit) || !possible(message.hint)) {
    return fail("malformed message of a group: a term or index that cannot be");
  }
  if (parts > kAllParts || parts != parts_of(read)) {
    return fail("malformed message of a group: it does not have the parts that it names");
  }
  return read;
}

// --- Proposals

void put_words(const GroupProposal::Words& words, std::string& out) {
  put_count(out, words.size());
  for (const std::string_view word : words) put_bytes(out, word);
}

Result<GroupProposal::Words> get_words(ByteReader& in) {
  GroupProposal::Words words(in.count<std::uint32_t>(kLengthBytes));
  if (in.ok() && words.empty()) return fail("malformed proposal: a command without words");
  for (std::string_view& word : words) word = get_bytes(in);
  return words;
}

Result<> get_commands(ByteReader& in, std::vector<GroupProposal::Words>& commands) {
  const std::size_t count = in.count<std::uint32_t>(kLengthBytes);
  commands.reserve(count);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    auto words = get_words(in);
    if (!words) return std::unexpected(words.error());
    commands.push_back(std::move(*words));
  }
  return {};
}

Result<> get_watched(ByteReader& in, std::vector<GroupProposal::Watched>& watched) {
  const std::size_t count = in.count<std::uint32_t>(2 * kLengthBytes);
  if (in.ok() && count == 0) return fail("malformed proposal: watches, and none");
  watched.reserve(count);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    auto words = get_words(in);
    if (!words) return std::unexpected(words.error());
    watched.push_back({std::move(*words), get_bytes(in)});
  }
  return {};
}

Result<> get_once(ByteReader& in, GroupProposal& proposal) {
  proposal.once = get_bytes(in);
  proposal.once_ms = in.get<std::int64_t>();
  if (in.ok() && (proposal.once.empty() || proposal.once_ms < 0)) {
    return fail("malformed proposal: an id that cannot be");
  }
  return {};
}

Result<> check_commands(const GroupProposal& proposal) {
  if (proposal.kind == GroupProposal::Kind::kPurge ||
      proposal.kind == GroupProposal::Kind::kNewLife) {
    const bool anything = proposal.transaction || !proposal.commands.empty() ||
                          !proposal.watched.empty() || !proposal.once.empty();
    if (anything) return fail("malformed proposal: commands where there are none");
  } else if (proposal.commands.empty() || (!proposal.transaction && proposal.commands.size() > 1)) {
    return fail("malformed proposal: no command, or several that are no transaction");
  }
  return {};
}

}  // namespace

bool is_group_log_entry(std::string_view bytes) { return bytes.starts_with(kMark); }

void encode_group_entry(PartitionId group, const Entry& entry, std::string& out) {
  begin(LogKind::kEntry, group, out);
  Numbers head;
  put_entry_head(entry, head);
  head.append_to(out);
  out.append(entry.data.view());
}

void encode_group_state(const GroupState& state, std::string& out) {
  begin(LogKind::kState, state.group, out);
  put_little_endian(out, state.state.term);
  put_little_endian(out, state.state.vote);
  put_little_endian(out, state.state.commit);
}

void encode_group_base(const GroupBase& base, std::string& out) {
  const bool trimmed = base.topic && base.topic->first != GroupBase::Topic().first;
  begin(trimmed       ? LogKind::kTrimmedBase
        : base.topic  ? LogKind::kTopicBase
        : base.staged ? LogKind::kStagedBase
                      : LogKind::kBase,
        base.group, out);
  if (base.staged) {
    put_little_endian(out, base.staged->generation);
    put_little_endian(out, static_cast<std::uint32_t>(base.staged->summary.size()));
    out += base.staged->summary;
  }
  if (trimmed) {
    put_little_endian(out, base.topic->first);
    put_little_endian(out, base.topic->first_term);
  }
  if (base.topic) {
    put_little_endian(out, base.topic->index);
    put_configuration(base.topic->founded, out);
  }
  put_little_endian(out, base.self);
  put_little_endian(out, base.index);
  put_little_endian(out, base.term);
  put_configuration(base.configuration, out);
}

std::string encode_checkpoint(const TopicCheckpoint& checkpoint) {
  std::string out;
  put_configuration(checkpoint.configuration, out);
  out += checkpoint.state;
  return out;
}

Result<TopicCheckpoint> decode_checkpoint(std::string_view bytes) {
  ByteReader in(bytes);
  auto configuration = get_configuration(in);
  if (!configuration || !in.ok() || in.at_end()) {
    return fail("a checkpoint of a topic's partition is malformed");
  }
  return TopicCheckpoint{std::move(*configuration), std::string(in.bytes(in.left()))};
}

void encode_group_end(const GroupEnd& end, std::string& out) {
  begin(LogKind::kEnd, end.group, out);
}

Result<GroupLogEntry> decode_group_log_entry(std::string_view bytes) {
  if (!is_group_log_entry(bytes)) return fail("not an entry of a group");
  ByteReader in(bytes.substr(kMark.size()));
  const auto kind = static_cast<LogKind>(in.get<std::uint8_t>());
  const auto group = in.get<PartitionId>();
  Result<GroupLogEntry> entry = fail("an entry of a group, of an unknown kind");
  switch (kind) {
    case LogKind::kEntry:
      entry = decode_entry(group, in);
      break;
    case LogKind::kState:
      entry = decode_state(group, in);
      break;
    case LogKind::kBase:
      entry = decode_base(group, in);
      break;
    case LogKind::kStagedBase:
      entry = decode_staged_base(group, in);
      break;
    case LogKind::kTopicBase:
    case LogKind::kTrimmedBase:
      entry = decode_topic_base(group, kind == LogKind::kTrimmedBase, in);
      break;
    case LogKind::kEnd:
      entry = GroupEnd{group};
      break;
  }
  if (entry && !in.ok()) return fail("an entry of a group is cut off");
  if (entry && !in.at_end()) return fail("bytes are left over behind an entry of a group");
  return entry;
}

void encode_group_message(const GroupMessage& group_message, std::string& out) {
  const Message& message = group_message.message;
  const std::uint16_t parts = parts_of(group_message);
  Numbers head;
  head.put(group_message.group);
  head.put(static_cast<std::uint8_t>(message.kind));
  head.put(parts);
  head.put(message.from);
  head.put(message.to);
  for (const std::uint64_t number : {message.term, message.log_term, message.index, message.commit,
                                     message.hint, message.context}) {
    if (number != 0) head.put(number);
  }
  head.append_to(out);
  if (!message.entries.empty()) {
    put_count(out, message.entries.size());
    for (const Entry& entry : message.entries) {
      EVEN_CHECK(entry.data.size() <= UINT32_MAX, "what is written has a length of 32 bits");
      Numbers numbers;
      put_entry_head(entry, numbers);
      numbers.put(static_cast<std::uint32_t>(entry.data.size()));
      numbers.append_to(out);
      out.append(entry.data.view());
    }
  }
  if (message.snapshot) {
    put_little_endian(out, message.snapshot->index);
    put_little_endian(out, message.snapshot->term);
    put_configuration(message.snapshot->configuration, out);
    put_bytes(out, message.snapshot->data.view());
  }
  if (group_message.state) {
    put_little_endian(out, group_message.state->total);
    put_little_endian(out, group_message.state->checksum);
  }
}

Result<std::vector<GroupMessage>> decode_group_messages(std::string_view bytes) {
  ByteReader in(bytes);
  std::vector<GroupMessage> messages;
  while (!in.at_end()) {
    auto message = get_message(in);
    if (!message) return std::unexpected(message.error());
    messages.push_back(std::move(*message));
  }
  return messages;
}

std::string encode_proposal(const GroupProposal& proposal) {
  std::string out;
  std::size_t size = kProposalBytes + proposal.batch.size() + proposal.events.size();
  for (const GroupProposal::Words& words : proposal.commands) {
    for (const std::string_view word : words) size += kLengthBytes + word.size();
  }
  out.reserve(size);
  put_little_endian(out, static_cast<std::uint8_t>(proposal.kind));
  put_little_endian(
      out, static_cast<std::uint8_t>(
               (proposal.transaction ? kTransaction : 0) |
               (proposal.watched.empty() ? 0 : kWatched) | (proposal.once.empty() ? 0 : kOnce) |
               (proposal.once_first ? kOnceFirst : 0) | (proposal.any_sequence ? kAnySequence : 0) |
               (proposal.once_words ? kOnceWords : 0) | (proposal.compacted ? kCompacted : 0)));
  put_little_endian(out, proposal.instant_ms);
  put_little_endian(out, proposal.seed);
  if (holds_batch(proposal.kind)) {
    if (proposal.compacted) {
      put_little_endian(out, proposal.compacted->bytes);
      put_little_endian(out, proposal.compacted->horizon_ms);
    }
    if (proposal.kind == GroupProposal::Kind::kEvents) put_bytes(out, proposal.events);
    out += proposal.batch;
    return out;
  }
  if (proposal.kind == GroupProposal::Kind::kTrim) {
    put_little_endian(out, proposal.start);
    put_little_endian<std::uint8_t>(
        out, static_cast<std::uint8_t>((proposal.checkpoint ? kWithCheckpoint : 0) |
                                       (proposal.purge != 0 ? kWithPurge : 0)));
    if (proposal.purge != 0) put_little_endian(out, proposal.purge);
    return out;
  }
  put_count(out, proposal.commands.size());
  for (const GroupProposal::Words& words : proposal.commands) put_words(words, out);
  if (!proposal.watched.empty()) {
    put_count(out, proposal.watched.size());
    for (const GroupProposal::Watched& watched : proposal.watched) {
      put_words(watched.words, out);
      put_bytes(out, watched.reply);
    }
  }
  if (!proposal.once.empty()) {
    put_bytes(out, proposal.once);
    put_little_endian(out, proposal.once_ms);
  }
  return out;
}

Result<GroupProposal> decode_proposal(std::string_view bytes) {
  ByteReader in(bytes);
  GroupProposal proposal;
  const auto kind = in.get<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(GroupProposal::Kind::kTrim)) {
    return fail("malformed proposal: an unknown kind");
  }
  proposal.kind = static_cast<GroupProposal::Kind>(kind);
  const auto parts = in.get<std::uint8_t>();
  if (parts > kAllProposalParts) return fail("malformed proposal: an unknown part");
  proposal.transaction = (parts & kTransaction) != 0;
  proposal.instant_ms = in.get<std::int64_t>();
  proposal.seed = in.get<std::uint64_t>();
  if (holds_batch(proposal.kind)) {
    proposal.any_sequence = (parts & kAnySequence) != 0;
    if ((parts & ~(kCompacted | kAnySequence)) != 0 ||
        (proposal.any_sequence && proposal.kind != GroupProposal::Kind::kBatch)) {
      return fail("malformed proposal: a batch, and parts");
    }
    if ((parts & kCompacted) != 0) {
      auto& compacted = proposal.compacted.emplace();
      compacted.bytes = in.get<std::uint32_t>();
      compacted.horizon_ms = in.get<std::int64_t>();
    }
    if (proposal.kind == GroupProposal::Kind::kEvents) {
      proposal.events = get_bytes(in);
      if (in.ok() && proposal.events.empty()) return fail("malformed proposal: events, and none");
    }
    if (!in.ok()) return fail("malformed proposal: it is cut off");
    proposal.batch = in.bytes(in.left());
    return proposal;
  }
  if (proposal.kind == GroupProposal::Kind::kTrim) {
    proposal.start = in.get<std::int64_t>();
    const auto with = in.get<std::uint8_t>();
    if ((with & kWithPurge) != 0) proposal.purge = in.get<consensus::Index>();
    if (!in.ok() || !in.at_end() || parts != 0 || with > (kWithCheckpoint | kWithPurge) ||
        proposal.start < 0 || ((with & kWithPurge) != 0 && proposal.purge == 0)) {
      return fail("malformed proposal: to trim, and not to where");
    }
    proposal.checkpoint = (with & kWithCheckpoint) != 0;
    return proposal;
  }
  if ((parts & (kCompacted | kAnySequence)) != 0) {
    return fail("malformed proposal: a part of a batch, and no batch");
  }
  proposal.once_first = (parts & kOnceFirst) != 0;
  if (proposal.once_first && (~parts & (kWatched | kOnce)) != 0) {
    return fail("malformed proposal: looks an id up first, and has none, or no watches");
  }
  proposal.once_words = (parts & kOnceWords) != 0;
  if (proposal.once_words && (parts & kOnce) == 0) {
    return fail("malformed proposal: words of an id, and no id");
  }
  Result<> got = get_commands(in, proposal.commands);
  if (got && (parts & kWatched) != 0) got = get_watched(in, proposal.watched);
  if (got && (parts & kOnce) != 0) got = get_once(in, proposal);
  if (got && !in.ok()) return fail("malformed proposal: it is cut off");
  if (got && !in.at_end()) return fail("malformed proposal: bytes are left over");
  if (got) got = check_commands(proposal);
  if (!got) return std::unexpected(got.error());
  return proposal;
}

}  // namespace even
