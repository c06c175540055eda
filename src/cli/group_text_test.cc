#include "cli/group_text.h"

#include <gtest/gtest.h>

#include "topic/event_id.h"

namespace even::cli {
namespace {

constexpr PartitionId kGroup = 300;
constexpr std::int64_t kInstant = 1'700'000'000'000;
constexpr consensus::MemberId kOne = member_of(ReplicaId::make(1, 9, 0xc0));
constexpr consensus::MemberId kTwo = member_of(ReplicaId::make(2, 9, 0xffee));

std::string text(consensus::EntryKind kind, std::string data) {
  return group_text(GroupEntry{kGroup, {.term = 4, .index = 17, .kind = kind, .data = data}});
}

TEST(GroupText, ShowsTheCommandsOfAnEntryAndWhatTheyDependOn) {
  GroupProposal proposal;
  proposal.instant_ms = kInstant;
  proposal.commands = {{"SET", "k", "v"}};
  EXPECT_EQ(text(consensus::EntryKind::kNormal, encode_proposal(proposal)),
            R"(group 300 entry 17 of term 4 2023-11-14T22:13:20.000Z "SET" "k" "v")");
  proposal.transaction = true;
  proposal.commands.push_back({"INCR", "n"});
  proposal.watched = {{{"GET", "k"}, "$-1\r\n"}};
  proposal.once = "id";
  proposal.once_ms = 1000;
  proposal.once_first = true;
  EXPECT_EQ(text(consensus::EntryKind::kNormal, encode_proposal(proposal)),
            "group 300 entry 17 of term 4 transaction 2023-11-14T22:13:20.000Z once \"id\" in 1000 "
            R"(ms first if "GET" "k" is "$-1\r\n" "SET" "k" "v"; "INCR" "n")");
  GroupProposal purge;
  purge.kind = GroupProposal::Kind::kPurge;
  purge.instant_ms = kInstant;
  EXPECT_EQ(text(consensus::EntryKind::kNormal, encode_proposal(purge)),
            "group 300 entry 17 of term 4 removes what has expired 2023-11-14T22:13:20.000Z");
  GroupProposal trim;
  trim.kind = GroupProposal::Kind::kTrim;
  trim.instant_ms = kInstant;
  trim.start = 5;
  trim.checkpoint = true;
  EXPECT_EQ(text(consensus::EntryKind::kNormal, encode_proposal(trim)),
            "group 300 entry 17 of term 4 lets records below 5 go, keeps the state "
            "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(text(consensus::EntryKind::kNormal, "x"),
            "group 300 entry 17 of term 4 damaged: malformed proposal: an unknown kind");
  GroupProposal events;
  events.kind = GroupProposal::Kind::kEvents;
  events.instant_ms = kInstant;
  const std::string ids = topic::EventIds{9, {{1, 5, 0}, {1, 5, 1}}}.encode();
  events.events = ids;
  events.batch = "batch";
  EXPECT_EQ(
      text(consensus::EntryKind::kNormal, encode_proposal(events)),
      "group 300 entry 17 of term 4 2023-11-14T22:13:20.000Z 2 events of partition 9, 5 bytes");
  events.events = "x";
  EXPECT_EQ(text(consensus::EntryKind::kNormal, encode_proposal(events)),
            "group 300 entry 17 of term 4 damaged: ids of events that cannot be");
}

TEST(GroupText, ShowsChangesOfTheConfiguration) {
  using consensus::ChangeKind;
  const auto change = [](consensus::ConfigurationChange change) {
    return text(consensus::EntryKind::kConfiguration, encode(change));
  };
  const std::string head = "group 300 entry 17 of term 4 ";
  EXPECT_EQ(change({.changes = {{ChangeKind::kAddVoter, kTwo}}, .context = ""}),
            head + "adds voter 2/ffee");
  EXPECT_EQ(change({.changes = {{ChangeKind::kRemove, kOne}, {ChangeKind::kAddLearner, kTwo}},
                    .context = ""}),
            head + "jointly removes 1/00c0, adds learner 2/ffee");
  EXPECT_EQ(change({}), head + "leaves the joint configuration");
  EXPECT_EQ(text(consensus::EntryKind::kConfiguration, "x"),
            head + "damaged: no change of a configuration");
  EXPECT_EQ(text(consensus::EntryKind::kEmpty, ""), head + "begins the term");
}

TEST(GroupText, ShowsStatesBasesAndEnds) {
  EXPECT_EQ(group_text(GroupState{kGroup, {.term = 4, .vote = kOne, .commit = 16}}),
            "group 300 state: term 4, vote for 1/00c0, committed 16");
  EXPECT_EQ(group_text(GroupState{kGroup, {}}), "group 300 state: term 0, no vote, committed 0");
  GroupBase base{.group = kGroup, .self = kOne, .index = 16, .term = 4, .configuration = {}};
  base.configuration.voters = {kOne};
  base.configuration.outgoing = {kOne, kTwo};
  base.configuration.learners_next = {kTwo};
  EXPECT_EQ(group_text(base),
            "group 300 base: entry 16 of term 4, as 1/00c0, voters 1/00c0, outgoing 1/00c0 2/ffee, "
            "learners next 2/ffee");
  EXPECT_EQ(group_text(GroupEnd{kGroup}), "group 300 left");
  base = {.group = kGroup, .self = kOne, .index = 16, .term = 4, .configuration = {}};
  base.staged = GroupBase::Staged{5, "summary"};
  EXPECT_EQ(group_text(base),
            "group 300 base of a state that was taken over: entry 16 of term 4, as 1/00c0");
}

}  // namespace
}  // namespace even::cli
