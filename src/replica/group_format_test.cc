#include "replica/group_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>

#include "base/bytes.h"
#include "consensus/membership.h"
#include "engine/cmd_meta.h"
#include "lattice/codec.h"
#include "lattice/golden.h"
#include "replica/peer_message.h"

namespace even {

// What a test prints of messages, and compares.
bool operator==(const GroupEntry& a, const GroupEntry& b) {
  return a.group == b.group && a.entry == b.entry;
}
bool operator==(const GroupState& a, const GroupState& b) {
  return a.group == b.group && a.state == b.state;
}
bool operator==(const GroupBase& a, const GroupBase& b) {
  return a.group == b.group && a.self == b.self && a.index == b.index && a.term == b.term &&
         a.configuration == b.configuration;
}
bool operator==(const GroupEnd& a, const GroupEnd& b) { return a.group == b.group; }

namespace consensus {

bool operator==(const Message& a, const Message& b) {
  const auto fields = [](const Message& m) {
    return std::tuple(m.kind, m.reject, m.transfer, m.from, m.to, m.term, m.log_term, m.index,
                      m.commit, m.hint, m.context, m.snapshot != nullptr);
  };
  if (fields(a) != fields(b) || a.entries != b.entries) return false;
  return !a.snapshot ||
         (a.snapshot->index == b.snapshot->index && a.snapshot->term == b.snapshot->term &&
          a.snapshot->configuration == b.snapshot->configuration &&
          a.snapshot->data == b.snapshot->data);
}

}  // namespace consensus

namespace {

using consensus::Configuration;
using consensus::Entry;
using consensus::EntryKind;
using consensus::kMaxNumber;
using consensus::MemberId;
using consensus::Members;
using consensus::Message;
using consensus::MessageKind;
using consensus::Snapshot;
using ::testing::HasSubstr;

constexpr MemberId kOne = member_of(ReplicaId::make(1, 7, 0xc0));
constexpr MemberId kTwo = member_of(ReplicaId::make(2, 8, 0xffee));
constexpr MemberId kThree = member_of(ReplicaId::make(3, 9, 1));

// --- Any of each kind

rc::Gen<std::uint64_t> number_from(std::uint64_t least) {
  return rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(least, 20),
                        rc::gen::inRange<std::uint64_t>(least, kMaxNumber + 1));
}
rc::Gen<MemberId> any_member() {
  return rc::gen::map(rc::gen::inRange<MemberId>(1, 9), [](MemberId m) { return m << 16 | m; });
}

Configuration any_configuration() {
  Configuration configuration;
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    consensus::insert(configuration.voters, *any_member());
  }
  if (!configuration.voters.empty() && *rc::gen::arbitrary<bool>()) {
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
      const MemberId member = *any_member();
      consensus::insert(configuration.outgoing, member);
      if (!consensus::contains(configuration.voters, member) && *rc::gen::arbitrary<bool>()) {
        consensus::insert(configuration.learners_next, member);
      }
    }
    configuration.leave_automatically = *rc::gen::arbitrary<bool>();
  }
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    const MemberId member = *any_member();
    if (!configuration.votes(member)) consensus::insert(configuration.learners, member);
  }
  RC_ASSERT(consensus::valid(configuration));
  return configuration;
}

Entry any_entry() {
  return {
      .term = *number_from(1),
      .index = *number_from(1),
      .kind = *rc::gen::element(EntryKind::kNormal, EntryKind::kConfiguration, EntryKind::kEmpty),
      .data = *rc::gen::arbitrary<std::string>()};
}

Message any_message() {
  Message message;
  message.kind = static_cast<MessageKind>(*rc::gen::inRange(0, 12));
  message.reject = *rc::gen::arbitrary<bool>();
  message.transfer = *rc::gen::arbitrary<bool>();
  message.from = *any_member();
  message.to = *any_member();
  for (std::uint64_t* number :
       {&message.term, &message.log_term, &message.index, &message.commit, &message.hint}) {
    if (*rc::gen::arbitrary<bool>()) *number = *number_from(0);
  }
  if (*rc::gen::arbitrary<bool>()) message.context = *rc::gen::arbitrary<std::uint64_t>();
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) message.entries.push_back(any_entry());
  if (*rc::gen::inRange(0, 4) == 0) {
    message.snapshot =
        std::make_shared<Snapshot>(Snapshot{.index = *number_from(0),
                                            .term = *number_from(0),
                                            .configuration = any_configuration(),
                                            .data = *rc::gen::arbitrary<std::string>()});
  }
  return message;
}

using Strings = std::vector<std::string>;

// The views of a proposal, and what they view.
struct OwnedProposal {
  std::vector<Strings> commands;
  std::vector<std::pair<Strings, std::string>> watched;
  std::string once;
  GroupProposal proposal;
};

std::vector<std::string_view> views(const Strings& words) { return {words.begin(), words.end()}; }

void any_proposal(OwnedProposal& owned) {
  const auto words =
      rc::gen::nonEmpty(rc::gen::container<Strings>(rc::gen::arbitrary<std::string>()));
  GroupProposal& proposal = owned.proposal;
  proposal.instant_ms = *rc::gen::arbitrary<std::int64_t>();
  proposal.seed = *rc::gen::arbitrary<std::uint64_t>();
  if (*rc::gen::inRange(0, 5) == 0) {
    proposal.kind = GroupProposal::Kind::kPurge;
    return;
  }
  proposal.transaction = *rc::gen::arbitrary<bool>();
  const int commands = proposal.transaction ? *rc::gen::inRange(1, 5) : 1;
  for (int i = 0; i < commands; ++i) owned.commands.push_back(*words);
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    owned.watched.emplace_back(*words, *rc::gen::arbitrary<std::string>());
  }
  owned.once = *rc::gen::arbitrary<std::string>();
  for (const Strings& command : owned.commands) proposal.commands.push_back(views(command));
  for (const auto& [command, reply] : owned.watched) {
    proposal.watched.push_back({views(command), reply});
  }
  proposal.once = owned.once;
  if (!owned.once.empty()) proposal.once_ms = *rc::gen::inRange<std::int64_t>(0, INT64_MAX);
  proposal.once_first =
      !owned.once.empty() && !owned.watched.empty() && *rc::gen::arbitrary<bool>();
  proposal.once_words = !owned.once.empty() && *rc::gen::arbitrary<bool>();
}

void expect_equal(const GroupProposal& a, const GroupProposal& b) {
  RC_ASSERT(a.kind == b.kind);
  RC_ASSERT(a.transaction == b.transaction);
  RC_ASSERT(a.instant_ms == b.instant_ms);
  RC_ASSERT(a.seed == b.seed);
  RC_ASSERT(a.commands == b.commands);
  RC_ASSERT(a.watched.size() == b.watched.size());
  for (std::size_t i = 0; i < a.watched.size(); ++i) {
    RC_ASSERT(a.watched[i].words == b.watched[i].words);
    RC_ASSERT(a.watched[i].reply == b.watched[i].reply);
  }
  RC_ASSERT(a.once == b.once);
  RC_ASSERT(a.once_ms == b.once_ms);
  RC_ASSERT(a.once_first == b.once_first);
  RC_ASSERT(a.once_words == b.once_words);
}

std::string encoded(const GroupLogEntry& entry) {
  std::string out;
  if (const auto* e = std::get_if<GroupEntry>(&entry)) encode_group_entry(e->group, e->entry, out);
  if (const auto* s = std::get_if<GroupState>(&entry)) encode_group_state(*s, out);
  if (const auto* b = std::get_if<GroupBase>(&entry)) encode_group_base(*b, out);
  if (const auto* e = std::get_if<GroupEnd>(&entry)) encode_group_end(*e, out);
  return out;
}

// --- Round trips

RC_GTEST_PROP(GroupFormat, EntriesOfTheLogAreReadAsTheyWereWritten, ()) {
  const PartitionId group = *rc::gen::arbitrary<PartitionId>();
  GroupLogEntry entry = GroupEnd{group};
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      entry = GroupEntry{group, any_entry()};
      break;
    case 1:
      entry = GroupState{group,
                         {.term = *number_from(0),
                          .vote = *rc::gen::element<MemberId>(0, kOne),
                          .commit = *number_from(0)}};
      break;
    case 2: {
      const bool empty = *rc::gen::arbitrary<bool>();
      entry = GroupBase{.group = group,
                        .self = *any_member(),
                        .index = empty ? 0 : *number_from(1),
                        .term = empty ? 0 : *number_from(1),
                        .configuration = any_configuration()};
      break;
    }
    default:
      break;
  }
  const std::string bytes = encoded(entry);
  RC_ASSERT(is_group_log_entry(bytes));
  const auto decoded = decode_group_log_entry(bytes);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == entry);
  // What is cut off is refused, or is an entry with less data.
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_group_log_entry(std::string_view(bytes).substr(0, size));
    if (cut) RC_ASSERT(encoded(*cut) == bytes.substr(0, size));
  }
  if (!std::holds_alternative<GroupEntry>(entry)) RC_ASSERT(!decode_group_log_entry(bytes + 'x'));
}

RC_GTEST_PROP(GroupFormat, MessagesAreReadAsTheyWereWritten, ()) {
  std::vector<Message> messages;
  std::vector<std::size_t> ends = {0};
  std::string bytes;
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
    messages.push_back(any_message());
    encode_group_message({static_cast<PartitionId>(i), messages.back(), {}}, bytes);
    ends.push_back(bytes.size());
  }
  const auto decoded = decode_group_messages(bytes);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded->size() == messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    RC_ASSERT((*decoded)[i].group == messages.size() - i);
    RC_ASSERT((*decoded)[i].message == messages[i]);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const bool whole = std::ranges::find(ends, size) != ends.end();
    RC_ASSERT(decode_group_messages(std::string_view(bytes).substr(0, size)).has_value() == whole);
  }
}

RC_GTEST_PROP(GroupFormat, ProposalsAreReadAsTheyWereWritten, ()) {
  OwnedProposal owned;
  any_proposal(owned);
  const std::string bytes = encode_proposal(owned.proposal);
  const auto decoded = decode_proposal(bytes);
  RC_ASSERT(decoded.has_value());
  expect_equal(*decoded, owned.proposal);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    RC_ASSERT(!decode_proposal(std::string_view(bytes).substr(0, size)));
  }
  RC_ASSERT(!decode_proposal(bytes + 'x'));
}

// Whatever decodes is written as it was read: there is one encoding of each thing.
RC_GTEST_PROP(GroupFormat, DamagedBytesAreRefusedOrMeanSomethingElse, ()) {
  std::string bytes;
  encode_group_message({1, any_message(), {}}, bytes);
  const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<char>();
  const auto decoded = decode_group_messages(bytes);
  if (!decoded) return;
  std::string again;
  for (const GroupMessage& m : *decoded) encode_group_message(m, again);
  RC_ASSERT(again == bytes);
}

// --- The formats

std::vector<std::string> log_entries() {
  GroupBase base{.group = 300, .self = kOne, .index = 16, .term = 4, .configuration = {}};
  base.configuration = {.voters = {kOne, kThree},
                        .outgoing = {kOne, kTwo},
                        .learners = {},
                        .learners_next = {kTwo},
                        .leave_automatically = true};
  return {encoded(GroupEntry{
              300, {.term = 4, .index = 17, .kind = EntryKind::kNormal, .data = {"data"}}}),
          encoded(GroupState{300, {.term = 4, .vote = kOne, .commit = 16}}), encoded(base),
          encoded(GroupEnd{300})};
}

GroupBase topic_base() {
  GroupBase base{.group = 300, .self = kOne, .index = 16, .term = 4, .configuration = {}};
  base.configuration = {.voters = {kOne, kTwo, kThree}};
  base.topic = {.founded = {.voters = {kOne, kTwo}}, .index = 5};
  return base;
}

TEST(GroupFormat, ABaseOfAStateThatWasTakenOverNamesItsRows) {
  GroupBase base{.group = 300, .self = kOne, .index = 16, .term = 4, .configuration = {}};
  base.configuration = {.voters = {kOne, kTwo}};
  base.staged = GroupBase::Staged{.generation = 5, .summary = "summary"};
  const std::string bytes = encoded(base);
  const auto decoded = decode_group_log_entry(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(std::get<GroupBase>(*decoded), base);
  EXPECT_EQ(std::get<GroupBase>(*decoded).staged, base.staged);
  for (std::size_t size = 5; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_group_log_entry(bytes.substr(0, size))) << size;
  }
  base.staged->generation = 0;
  EXPECT_FALSE(decode_group_log_entry(encoded(base)));
}

TEST(GroupFormat, ABaseOfATopicSaysHowItBegan) {
  const GroupBase base = topic_base();
  const std::string bytes = encoded(base);
  const auto decoded = decode_group_log_entry(bytes);
  ASSERT_TRUE(decoded);
  const auto& read = std::get<GroupBase>(*decoded);
  EXPECT_EQ(read.topic, base.topic);
  EXPECT_EQ(read.configuration, base.configuration);
  EXPECT_EQ(read.index, 16u);
  EXPECT_EQ(bytes[2], 5);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_group_log_entry(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_group_log_entry(bytes + "x"));
}

TEST(GroupFormat, AProposalOfABatchIsTheBatch) {
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kBatch;
  proposal.instant_ms = 7;
  proposal.seed = 8;
  proposal.batch = std::string_view("any\0bytes", 9);
  const std::string bytes = encode_proposal(proposal);
  const auto read = decode_proposal(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, GroupProposal::Kind::kBatch);
  EXPECT_EQ(read->instant_ms, 7);
  EXPECT_EQ(read->seed, 8u);
  EXPECT_EQ(read->batch, proposal.batch);
  EXPECT_TRUE(read->commands.empty());
  EXPECT_FALSE(decode_proposal(std::string_view(bytes).substr(0, 17)));
  std::string with_parts = bytes;
  with_parts[1] = 1;
  EXPECT_FALSE(decode_proposal(with_parts));
}

TEST(GroupFormat, AProposalOfANewLifeHasNoCommands) {
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kNewLife;
  proposal.instant_ms = 7;
  const std::string bytes = encode_proposal(proposal);
  const auto read = decode_proposal(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, GroupProposal::Kind::kNewLife);
  EXPECT_EQ(read->instant_ms, 7);
  proposal.commands.push_back({"GET", "k"});
  EXPECT_FALSE(decode_proposal(encode_proposal(proposal)));
}

TEST(GroupFormat, AProposalOfEventsHasTheirIdsBeforeTheBatch) {
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kEvents;
  proposal.instant_ms = 7;
  proposal.events = "ids";
  proposal.batch = "batch";
  const std::string bytes = encode_proposal(proposal);
  const auto read = decode_proposal(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, GroupProposal::Kind::kEvents);
  EXPECT_EQ(read->events, "ids");
  EXPECT_EQ(read->batch, "batch");
  EXPECT_EQ(encode_proposal(*read), bytes);
  EXPECT_FALSE(decode_proposal(std::string_view(bytes).substr(0, 24)));
  proposal.events = {};
  EXPECT_FALSE(decode_proposal(encode_proposal(proposal)));
}

Message heartbeat() {
  return {.kind = MessageKind::kHeartbeatRequest,
          .from = kOne,
          .to = kTwo,
          .term = 4,
          .commit = 16,
          .context = 5,
          .entries = {},
          .snapshot = {}};
}
Message append() {
  return {.kind = MessageKind::kAppendRequest,
          .from = kOne,
          .to = kTwo,
          .term = 4,
          .log_term = 3,
          .index = 15,
          .commit = 14,
          .entries = {{.term = 4, .index = 16, .kind = EntryKind::kEmpty, .data = {}},
                      {.term = 4, .index = 17, .kind = EntryKind::kNormal, .data = {"data"}}},
          .snapshot = {}};
}
Message refusal() {
  return {.kind = MessageKind::kAppendResponse,
          .reject = true,
          .from = kTwo,
          .to = kOne,
          .term = 4,
          .log_term = 2,
          .index = 15,
          .hint = 9,
          .entries = {},
          .snapshot = {}};
}
Message snapshot() {
  Message message{.kind = MessageKind::kSnapshotRequest,
                  .from = kOne,
                  .to = kTwo,
                  .term = 4,
                  .entries = {},
                  .snapshot = {}};
  message.snapshot = std::make_shared<Snapshot>(Snapshot{.index = 12,
                                                         .term = 3,
                                                         .configuration = {.voters = {kOne, kTwo},
                                                                           .outgoing = {},
                                                                           .learners = {kThree},
                                                                           .learners_next = {}},
                                                         .data = {"state"}});
  return message;
}

std::vector<std::string> proposals() {
  GroupProposal one;
  one.instant_ms = 1'700'000'000'000;
  one.seed = 0x0123'4567'89ab'cdef;
  one.commands = {{"SET", "k", "v"}};
  GroupProposal transaction = one;
  transaction.transaction = true;
  transaction.commands.push_back({"INCR", "n"});
  transaction.watched = {{{"GET", "k"}, "$-1\r\n"}};
  transaction.once = "id";
  transaction.once_ms = 60'000;
  GroupProposal purge;
  purge.kind = GroupProposal::Kind::kPurge;
  purge.instant_ms = 1'700'000'000'000;
  GroupProposal first = transaction;
  first.once_first = true;
  GroupProposal batch;
  batch.kind = GroupProposal::Kind::kBatch;
  batch.any_sequence = true;
  batch.batch = "batch";
  GroupProposal once = one;
  once.once = "id";
  once.once_ms = 60'000;
  once.once_words = true;
  return {encode_proposal(one),   encode_proposal(transaction), encode_proposal(purge),
          encode_proposal(first), encode_proposal(batch),       encode_proposal(once)};
}

std::string with_lengths(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) {
    out += static_cast<char>(part.size());
    out += part;
  }
  return out;
}

// What was written once is read as what it was: it is encoded to the same bytes.
void expect_readable(std::string_view golden, std::size_t parts,
                     const std::function<std::string(std::string_view)>& recode) {
  for (; !golden.empty(); --parts) {
    ASSERT_GT(parts, 0u);
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(golden[0]));
    EXPECT_EQ(recode(golden.substr(1, size)), golden.substr(1, size));
    golden.remove_prefix(1 + size);
  }
  EXPECT_EQ(parts, 0u);
}

// Its data comes by itself.
GroupMessage named_snapshot() {
  GroupMessage named{300, snapshot(), GroupMessage::State{70'000, 0x0123'4567'89ab'cdef}};
  auto without_data = std::make_shared<Snapshot>(*named.message.snapshot);
  without_data->data = {};
  named.message.snapshot = without_data;
  return named;
}

TEST(GroupFormat, ASnapshotIsNamedOrBroughtAndNotBoth) {
  std::string bytes;
  encode_group_message(named_snapshot(), bytes);
  const auto decoded = decode_group_messages(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->front().state, named_snapshot().state);
  EXPECT_TRUE(decoded->front().message.snapshot->data.empty());
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_group_messages(std::string_view(bytes).substr(0, size))) << size;
  }
  std::string both, nothing, alone;
  encode_group_message({300, snapshot(), named_snapshot().state}, both);
  EXPECT_FALSE(decode_group_messages(both));
  GroupMessage of_nothing = named_snapshot();
  of_nothing.state->total = 0;
  encode_group_message(of_nothing, nothing);
  EXPECT_FALSE(decode_group_messages(nothing));
  encode_group_message({300, heartbeat(), named_snapshot().state}, alone);
  EXPECT_FALSE(decode_group_messages(alone));
}

TEST(GroupFormat, TheFormatsHaveNotChanged) {
  const std::string entries = test::expect_golden("group-log-entries-v1.bin",
                                                  with_lengths(log_entries()), "the groups' log");
  expect_readable(entries, 4,
                  [](std::string_view bytes) { return encoded(*decode_group_log_entry(bytes)); });
  const std::string proposed =
      test::expect_golden("group-proposals-v1.bin", with_lengths(proposals()), "the groups' log");
  expect_readable(proposed, 6,
                  [](std::string_view bytes) { return encode_proposal(*decode_proposal(bytes)); });
  std::vector<std::string> messages;
  for (const Message& message : {heartbeat(), append(), refusal(), snapshot()}) {
    encode_group_message({300, message, {}}, messages.emplace_back());
  }
  encode_group_message(named_snapshot(), messages.emplace_back());
  const std::string said =
      test::expect_golden("group-messages-v15.bin", with_lengths(messages), "the peer protocol");
  expect_readable(said, 5, [](std::string_view bytes) {
    std::string again;
    const auto decoded = decode_group_messages(bytes);
    for (const GroupMessage& m : *decoded) {
      encode_group_message(m, again);
    }
    return again;
  });
}

TEST(GroupFormat, TakesNoRecordOfAnyPartitionForAnEntryOfAGroup) {
  for (std::uint32_t partition = 0; partition < kMostPartitions; ++partition) {
    std::string record;
    encode_record(Record::begin(static_cast<PartitionId>(partition), ReplicaId::make(1, 0, 1),
                                Hlc::at(1), VersionVector()),
                  record);
    ASSERT_FALSE(is_group_log_entry(record)) << partition;
  }
  for (const std::string& entry : log_entries()) EXPECT_TRUE(is_group_log_entry(entry));
}

TEST(GroupFormat, HasSeedsForTheFuzzTargets) {
  const std::vector<std::string> entries = log_entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    test::expect_seed("group_format_fuzz", "log-" + std::to_string(i), entries[i]);
  }
  const std::vector<std::string> proposed = proposals();
  for (std::size_t i = 0; i < proposed.size(); ++i) {
    test::expect_seed("group_format_fuzz", "proposal-" + std::to_string(i), proposed[i]);
  }
  GroupsBuilder builder;
  for (const Message& message : {heartbeat(), append(), refusal(), snapshot()}) {
    builder.add({0, message, {}});
  }
  std::string seed;
  const std::string message = builder.take();
  put_little_endian(seed, static_cast<std::uint16_t>(message.size()));
  test::expect_seed("peer_message_fuzz", "groups", seed + message);
}

TEST(GroupFormat, AHeartbeatIsShort) {
  std::string bytes;
  encode_group_message({300, heartbeat(), {}}, bytes);
  EXPECT_EQ(bytes.size(), 45u);
}

// --- What is refused

// `bytes` with a number written over what is at an offset.
template <typename T>
std::string with(std::string bytes, std::size_t at, T value) {
  std::string number;
  put_little_endian(number, value);
  return bytes.replace(at, number.size(), number);
}

std::string why(const auto& result) { return result ? "nothing" : result.error().message; }

TEST(GroupFormat, RefusesEntriesOfTheLogThatCannotBe) {
  EXPECT_THAT(why(decode_group_log_entry("")), HasSubstr("not an entry of a group"));
  EXPECT_THAT(why(decode_group_log_entry("\x95")), HasSubstr("not an entry of a group"));
  EXPECT_FALSE(is_group_log_entry(""));
  const std::vector<std::string> entries = log_entries();
  EXPECT_THAT(why(decode_group_log_entry(with<std::uint8_t>(entries[3], 2, 8))),
              HasSubstr("unknown kind"));
  constexpr std::size_t kBody = 5;
  const std::string& entry = entries[0];
  for (const std::string& wrong :
       {with<std::uint64_t>(entry, kBody, 0), with<std::uint64_t>(entry, kBody, kMaxNumber + 1),
        with<std::uint64_t>(entry, kBody + 8, 0),
        with<std::uint64_t>(entry, kBody + 8, kMaxNumber + 1),
        with<std::uint8_t>(entry, kBody + 16, 3)}) {
    EXPECT_THAT(why(decode_group_log_entry(wrong)), HasSubstr("no possible term, index or kind"));
  }
  const std::string& state = entries[1];
  for (const std::size_t at : {kBody, kBody + 16}) {
    EXPECT_THAT(why(decode_group_log_entry(with<std::uint64_t>(state, at, kMaxNumber + 1))),
                HasSubstr("no possible term or commit"));
  }
  const std::string& base = entries[2];
  for (const std::string& wrong :
       {with<std::uint64_t>(base, kBody, 0), with<std::uint64_t>(base, kBody + 8, 0),
        with<std::uint64_t>(base, kBody + 8, kMaxNumber + 1),
        with<std::uint64_t>(base, kBody + 16, 0),
        with<std::uint64_t>(base, kBody + 16, kMaxNumber + 1)}) {
    EXPECT_THAT(why(decode_group_log_entry(wrong)), HasSubstr("no possible member, index or term"));
  }
  // The first voter.
  for (const std::uint64_t member : {std::uint64_t{0}, UINT64_MAX}) {
    EXPECT_THAT(why(decode_group_log_entry(with(base, kBody + 26, member))),
                HasSubstr("no valid configuration"));
  }
  EXPECT_THAT(why(decode_group_log_entry(with<std::uint8_t>(base, base.size() - 1, 2))),
              HasSubstr("no valid configuration"));
}

TEST(GroupFormat, RefusesMessagesThatCannotBe) {
  const auto refused = [](const std::string& bytes) { return why(decode_group_messages(bytes)); };
  std::string bytes;
  encode_group_message({300, heartbeat(), {}}, bytes);
  EXPECT_THAT(refused(with<std::uint8_t>(bytes, 2, 12)), HasSubstr("unknown kind"));
  EXPECT_THAT(refused(with<std::uint64_t>(bytes, 5, 0)), HasSubstr("nobody"));
  EXPECT_THAT(refused(with<std::uint64_t>(bytes, 13, 0)), HasSubstr("nobody"));
  EXPECT_THAT(refused(with<std::uint64_t>(bytes, 21, kMaxNumber + 1)), HasSubstr("cannot be"));
  EXPECT_THAT(refused(with<std::uint64_t>(bytes, 29, kMaxNumber + 1)), HasSubstr("cannot be"));
  EXPECT_EQ(refused(with<std::uint64_t>(bytes, 37, UINT64_MAX)), "nothing");
  // A term that is named, and 0; a part that is not known.
  EXPECT_THAT(refused(with<std::uint64_t>(bytes, 21, 0)), HasSubstr("parts"));
  const auto parts = get_little_endian<std::uint16_t>(bytes.data() + 3);
  EXPECT_THAT(refused(with<std::uint16_t>(bytes, 3, parts | 0x8000)), HasSubstr("parts"));
}

TEST(GroupFormat, TakesNoMemoryForCountsAndLengthsThatCannotBe) {
  std::string bytes;
  encode_group_message({300, append(), {}}, bytes);
  constexpr std::size_t kEntries = 21 + 4 * 8;
  ASSERT_EQ(get_little_endian<std::uint32_t>(bytes.data() + kEntries), 2u);
  for (const std::uint32_t count : {3u, 1'000'000u, UINT32_MAX}) {
    EXPECT_THAT(why(decode_group_messages(with(bytes, kEntries, count))), HasSubstr("cut off"));
  }
  EXPECT_THAT(why(decode_group_messages(with(bytes, kEntries, 0u))), HasSubstr("none"));
  constexpr std::size_t kFirstLength = kEntries + 4 + 17;
  EXPECT_FALSE(decode_group_messages(with(bytes, kFirstLength, UINT32_MAX)));

  const std::string base = log_entries()[2];
  EXPECT_THAT(why(decode_group_log_entry(with<std::uint16_t>(base, 4 + 24, UINT16_MAX))),
              HasSubstr("cut off"));

  const std::string proposal = proposals()[1];
  constexpr std::size_t kCommands = 2 + 16;
  for (const std::size_t at : {kCommands, kCommands + 4, kCommands + 8}) {
    EXPECT_THAT(why(decode_proposal(with(proposal, at, UINT32_MAX))), HasSubstr("cut off"));
  }
  EXPECT_THAT(why(decode_proposal(with(proposal, kCommands + 4, 0u))), HasSubstr("without words"));
}

TEST(GroupFormat, RefusesProposalsThatCannotBe) {
  const std::string one = proposals()[0];
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(one, 0, 6))), HasSubstr("unknown kind"));
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(one, 1, 128))), HasSubstr("unknown part"));
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(one, 1, 32))), HasSubstr("part of a batch"));
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(one, 1, 64))), HasSubstr("words of an id"));
  const std::string batch = proposals()[4];
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(batch, 1, 64))), HasSubstr("a batch, and"));
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(batch, 0, 3))), HasSubstr("a batch, and"));
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(one, 1, 16))), HasSubstr("looks an id up"));
  EXPECT_THAT(why(decode_proposal(with<std::uint8_t>(one, 0, 1))), HasSubstr("there are none"));
  GroupProposal two;
  two.commands = {{"INCR", "a"}, {"INCR", "b"}};
  EXPECT_THAT(why(decode_proposal(encode_proposal(two))), HasSubstr("no transaction"));
  two.commands.clear();
  EXPECT_THAT(why(decode_proposal(encode_proposal(two))), HasSubstr("no command"));
  two.commands = {{"INCR", "a"}};
  two.once = "id";
  two.once_ms = -1;
  EXPECT_THAT(why(decode_proposal(encode_proposal(two))), HasSubstr("an id that cannot be"));
}

TEST(GroupFormat, ABaseOfATrimmedTopicSaysBehindWhichEntryItsLogBegins) {
  GroupBase base = topic_base();
  base.topic->first = 9;
  base.topic->first_term = 3;
  const std::string bytes = encoded(base);
  const auto decoded = decode_group_log_entry(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<GroupBase>(*decoded).topic, base.topic);
  EXPECT_EQ(std::get<GroupBase>(*decoded).configuration, base.configuration);
  EXPECT_EQ(bytes[2], 6);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_group_log_entry(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_group_log_entry(bytes + "x"));
  constexpr std::size_t kFirst = 5;
  for (const std::size_t at : {kFirst, kFirst + 8}) {
    for (const std::uint64_t wrong : {std::uint64_t{0}, kMaxNumber + 1}) {
      EXPECT_THAT(why(decode_group_log_entry(with<std::uint64_t>(bytes, at, wrong))),
                  HasSubstr("no possible entry"));
    }
  }
}

TEST(GroupFormat, ACheckpointIsAConfigurationAndAState) {
  const TopicCheckpoint checkpoint{{.voters = {kOne, kTwo}}, std::string("any\0bytes", 9)};
  const std::string bytes = encode_checkpoint(checkpoint);
  const auto read = decode_checkpoint(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->configuration, checkpoint.configuration);
  EXPECT_EQ(read->state, checkpoint.state);
  for (std::size_t size = 0; size <= bytes.size() - checkpoint.state.size(); ++size) {
    EXPECT_FALSE(decode_checkpoint(std::string_view(bytes).substr(0, size))) << size;
  }
}

TEST(GroupFormat, AProposalToTrimSaysWhereTo) {
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kTrim;
  proposal.instant_ms = 7;
  proposal.start = 300;
  proposal.checkpoint = true;
  const std::string bytes = encode_proposal(proposal);
  const auto read = decode_proposal(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, proposal.kind);
  EXPECT_EQ(read->instant_ms, 7);
  EXPECT_EQ(read->start, 300);
  EXPECT_TRUE(read->checkpoint);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_proposal(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_proposal(bytes + "x"));
  EXPECT_FALSE(decode_proposal(with<std::uint8_t>(bytes, bytes.size() - 1, 2)));
  EXPECT_FALSE(decode_proposal(with<std::int64_t>(bytes, bytes.size() - 9, -1)));
}

TEST(GroupFormat, AProposalToTrimMayLetTombstonesGo) {
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kTrim;
  proposal.start = 300;
  proposal.purge = 77;
  const std::string bytes = encode_proposal(proposal);
  const auto read = decode_proposal(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->start, 300);
  EXPECT_FALSE(read->checkpoint);
  EXPECT_EQ(read->purge, 77u);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_proposal(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_proposal(with<std::uint64_t>(bytes, bytes.size() - 8, 0)));
}

TEST(GroupFormat, ACompactedBatchSaysWhatItHadBeen) {
  for (const auto kind : {GroupProposal::Kind::kBatch, GroupProposal::Kind::kEvents}) {
    GroupProposal proposal;
    proposal.kind = kind;
    proposal.instant_ms = 7;
    if (kind == GroupProposal::Kind::kEvents) proposal.events = "ids";
    proposal.batch = "what is left";
    proposal.compacted = GroupProposal::Compacted{1'000, 99};
    const std::string bytes = encode_proposal(proposal);
    const auto read = decode_proposal(bytes);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->compacted, proposal.compacted);
    EXPECT_EQ(read->batch, proposal.batch);
    EXPECT_EQ(read->events, proposal.events);
    EXPECT_FALSE(decode_proposal(std::string_view(bytes).substr(0, 20)));
  }
  GroupProposal command;
  command.commands = {{"set", "a", "1"}};
  std::string bytes = encode_proposal(command);
  bytes[1] = 1 << 3;
  EXPECT_FALSE(decode_proposal(bytes));
}

}  // namespace
}  // namespace even
