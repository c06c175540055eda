// The core's own behaviour beyond what the scripts of conformance describe: what waits for the
// disk, reads, limits, failures, and messages that cannot be right.
#include "consensus/raft.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "base/check.h"
#include "consensus/memory_log.h"

namespace even::consensus {
namespace {

Options options_of(MemberId self) {
  Options options;
  options.self = self;
  return options;
}

// One member, driven by hand.
struct Member {
  explicit Member(MemberId self, Members voters, Options options = {}) {
    options.self = self;
    configuration.voters = std::move(voters);
    disk.write(std::make_shared<const Snapshot>(Snapshot{1, 1, configuration, {}}), {});
    hard_state = {1, kNoMember, 1};
    raft.emplace(*Raft::start(options, disk, random, {hard_state, configuration, 1}));
  }

  // Takes what there is, without carrying it out.
  Ready take() { return raft->take(); }
  void carry_out(const Write& write) {
    disk.write(write.snapshot, write.entries);
    if (write.hard_state) hard_state = *write.hard_state;
    raft->written(write.id);
  }
  // Carries everything out; gives the messages.
  std::vector<Message> run() {
    std::vector<Message> messages;
    while (raft->has_ready()) {
      Ready ready = take();
      const auto add = [&](std::vector<Message>& more) {
        for (Message& message : more) messages.push_back(std::move(message));
      };
      add(ready.messages);
      if (ready.write) {
        carry_out(*ready.write);
        add(ready.write->messages);
      }
      for (const ReleasedRead& read : ready.reads) reads.push_back(read);
      for (const std::uint64_t context : ready.refused_reads) refused.push_back(context);
      for (const Entry& entry : ready.committed) {
        applied.push_back(entry);
        raft->applied(entry.index);
      }
    }
    return messages;
  }
  // As the leader of voters 1, 2, 3 whose followers answer at once.
  void become_leader() {
    raft->campaign();
    run();
    ASSERT_TRUE(raft->step({.kind = MessageKind::kPreVoteResponse,
                            .from = 2,
                            .to = raft->self(),
                            .term = raft->term() + 1}));
    run();
    ASSERT_TRUE(raft->step(
        {.kind = MessageKind::kVoteResponse, .from = 2, .to = raft->self(), .term = raft->term()}));
    ASSERT_EQ(raft->role(), Role::kLeader);
    run();
    acknowledge(raft->log().last());
    run();
    ASSERT_EQ(raft->log().committed(), raft->log().last());
  }
  void acknowledge(Index index, MemberId from = 2) {
    ASSERT_TRUE(raft->step({.kind = MessageKind::kAppendResponse,
                            .from = from,
                            .to = raft->self(),
                            .term = raft->term(),
                            .index = index}));
  }

  Random random{7};
  MemoryLog disk;
  HardState hard_state;
  Configuration configuration;
  std::optional<Raft> raft;
  std::vector<ReleasedRead> reads;
  std::vector<std::uint64_t> refused;
  std::vector<Entry> applied;
};

std::size_t count(const std::vector<Message>& messages, MessageKind kind) {
  return static_cast<std::size_t>(std::count_if(
      messages.begin(), messages.end(), [kind](const Message& m) { return m.kind == kind; }));
}

Message append_request(Term term, Index before, Term before_term, std::vector<Entry> entries,
                       Index commit = 0) {
  return {.kind = MessageKind::kAppendRequest,
          .from = 2,
          .to = 1,
          .term = term,
          .log_term = before_term,
          .index = before,
          .commit = commit,
          .entries = std::move(entries)};
}

TEST(Raft, AVoteWaitsForTheDisk) {
  Member member(1, {1, 2, 3});
  ASSERT_TRUE(member.raft->step({.kind = MessageKind::kVoteRequest,
                                 .from = 2,
                                 .to = 1,
                                 .term = 5,
                                 .log_term = 1,
                                 .index = 1}));
  Ready ready = member.take();
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_TRUE(ready.write);
  EXPECT_EQ(ready.write->hard_state, (HardState{5, 2, 1}));
  ASSERT_EQ(ready.write->messages.size(), 1U);
  EXPECT_EQ(ready.write->messages[0].kind, MessageKind::kVoteResponse);
  EXPECT_FALSE(ready.write->messages[0].reject);
}

TEST(Raft, VotesAreAskedForAndTheOwnOneCountsWhenTheTermIsDurable) {
  Options options;
  options.pre_vote = false;
  Member member(1, {1, 2, 3}, options);
  member.raft->campaign();
  Ready ready = member.take();
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_TRUE(ready.write);
  EXPECT_EQ(count(ready.write->messages, MessageKind::kVoteRequest), 2U);
  ASSERT_TRUE(
      member.raft->step({.kind = MessageKind::kVoteResponse, .from = 2, .to = 1, .term = 2}));
  EXPECT_EQ(member.raft->role(), Role::kCandidate);
  member.carry_out(*ready.write);
  EXPECT_EQ(member.raft->role(), Role::kLeader);
}

TEST(Raft, AnAcknowledgementWaitsForEveryWriteBeforeIt) {
  Member member(1, {1, 2, 3});
  const Entry entry{2, 2, EntryKind::kNormal, Payload("a")};
  ASSERT_TRUE(member.raft->step(append_request(2, 1, 1, {entry})));
  Ready first = member.take();
  ASSERT_TRUE(first.write);
  EXPECT_EQ(count(first.write->messages, MessageKind::kAppendResponse), 1U);
  // The same once more: there is nothing to write, but its answer waits for the write under way.
  ASSERT_TRUE(member.raft->step(append_request(2, 1, 1, {entry})));
  Ready second = member.take();
  EXPECT_TRUE(second.messages.empty());
  ASSERT_TRUE(second.write);
  EXPECT_TRUE(second.write->entries.empty());
  EXPECT_FALSE(second.write->hard_state);
  member.carry_out(*first.write);
  member.carry_out(*second.write);
  // And once more, when all is durable.
  ASSERT_TRUE(member.raft->step(append_request(2, 1, 1, {entry})));
  EXPECT_EQ(count(member.take().messages, MessageKind::kAppendResponse), 1U);
}

TEST(Raft, ALeaderCountsItselfWhenItsEntryIsDurable) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  const Index before = member.raft->log().committed();
  ASSERT_TRUE(member.raft->propose("a"));
  Ready ready = member.take();
  EXPECT_EQ(count(ready.messages, MessageKind::kAppendRequest), 1U);  // to 2; 3 is being probed
  member.carry_out(*ready.write);
  EXPECT_EQ(member.raft->log().committed(), before);
  member.acknowledge(before + 1);
  EXPECT_EQ(member.raft->log().committed(), before + 1);
}

TEST(Raft, EntriesThatWereReplacedWhileBeingWrittenDoNotCountAsDurable) {
  Member member(1, {1, 2, 3});
  ASSERT_TRUE(member.raft->step(append_request(2, 1, 1, {{2, 2, {}, Payload("old")}})));
  Ready old_one = member.take();
  Message replacing = append_request(3, 1, 1, {{3, 2, {}, Payload("new")}}, 2);
  replacing.from = 3;
  ASSERT_TRUE(member.raft->step(replacing));
  Ready new_one = member.take();
  member.carry_out(*old_one.write);
  EXPECT_EQ(member.raft->log().durable(), 1U);
  EXPECT_TRUE(member.take().committed.empty());
  member.carry_out(*new_one.write);
  EXPECT_EQ(member.raft->log().durable(), 2U);
  const Ready ready = member.take();
  ASSERT_EQ(ready.committed.size(), 1U);
  EXPECT_EQ(ready.committed[0].data.view(), "new");
}

TEST(Raft, TheCommitIndexIsWrittenWithTheNextEntry) {
  Member member(1, {1, 2, 3});
  ASSERT_TRUE(member.raft->step(append_request(2, 1, 1, {{2, 2, {}, Payload("a")}})));
  member.run();
  ASSERT_TRUE(member.raft->step(append_request(2, 2, 2, {}, 2)));
  Ready ready = member.take();
  EXPECT_FALSE(ready.write);
  EXPECT_EQ(ready.committed.size(), 1U);
  EXPECT_EQ(count(ready.messages, MessageKind::kAppendResponse), 1U);
  ASSERT_TRUE(member.raft->step(append_request(2, 2, 2, {{2, 3, {}, Payload("b")}}, 2)));
  ready = member.take();
  ASSERT_TRUE(ready.write);
  EXPECT_EQ(ready.write->hard_state, (HardState{2, kNoMember, 2}));
}

TEST(Raft, ProposalsShareAMessageAndCarryTheCommitIndex) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(member.raft->propose("a"));
  Ready ready = member.take();
  ASSERT_EQ(count(ready.messages, MessageKind::kAppendRequest), 1U);
  EXPECT_EQ(ready.messages[0].entries.size(), 10U);
  ASSERT_TRUE(ready.write);
  EXPECT_EQ(ready.write->entries.size(), 10U);
  EXPECT_EQ(ready.messages[0].commit, member.raft->log().committed());
}

TEST(Raft, FollowersRefuseProposalsAndNameTheLeader) {
  Member member(1, {1, 2, 3});
  EXPECT_EQ(member.raft->propose("a").error(), Refusal::kNoLeader);
  EXPECT_EQ(member.raft->read_index(1).error(), Refusal::kNoLeader);
  ASSERT_TRUE(member.raft->step(append_request(2, 1, 1, {})));
  EXPECT_EQ(member.raft->propose("a").error(), Refusal::kNotLeader);
  EXPECT_EQ(member.raft->propose_configuration({}).error(), Refusal::kNotLeader);
  EXPECT_EQ(member.raft->transfer_leadership(2).error(), Refusal::kNotLeader);
  EXPECT_EQ(member.raft->leader(), 2U);
}

TEST(Raft, ReadsWaitForTheLeadersOwnEntryAndShareARound) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  ASSERT_TRUE(member.raft->propose("a"));
  ASSERT_TRUE(member.raft->read_index(10));
  ASSERT_TRUE(member.raft->read_index(11));
  std::vector<Message> messages = member.run();
  EXPECT_EQ(count(messages, MessageKind::kHeartbeatRequest), 2U);
  EXPECT_TRUE(member.reads.empty());
  const auto heartbeat = std::find_if(messages.begin(), messages.end(), [](const Message& m) {
    return m.kind == MessageKind::kHeartbeatRequest;
  });
  ASSERT_TRUE(member.raft->step({.kind = MessageKind::kHeartbeatResponse,
                                 .from = 3,
                                 .to = 1,
                                 .term = member.raft->term(),
                                 .context = heartbeat->context}));
  member.run();
  ASSERT_EQ(member.reads.size(), 2U);
  EXPECT_EQ(member.reads[0].context, 10U);
  EXPECT_EQ(member.reads[0].index, member.raft->log().committed());
}

TEST(Raft, ALeaderAnswersNoReadBeforeItHasCommittedInItsTerm) {
  Member member(1, {1});
  member.raft->campaign();
  while (member.raft->role() != Role::kLeader) {
    Ready ready = member.take();
    ASSERT_TRUE(ready.write);
    member.carry_out(*ready.write);
  }
  ASSERT_TRUE(member.raft->read_index(1));
  Ready ready = member.take();
  EXPECT_TRUE(ready.reads.empty());
  member.carry_out(*ready.write);
  ready = member.take();
  ASSERT_EQ(ready.reads.size(), 1U);
  EXPECT_EQ(ready.reads[0].index, 2U);
}

TEST(Raft, ReadsOfALeaderThatStepsDownAreRefused) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  ASSERT_TRUE(member.raft->read_index(1));
  ASSERT_TRUE(
      member.raft->step({.kind = MessageKind::kReadRequest, .from = 3, .to = 1, .context = 2}));
  member.run();
  member.raft->step_down();
  const std::vector<Message> messages = member.run();
  EXPECT_EQ(member.refused, std::vector<std::uint64_t>{1});
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].kind, MessageKind::kReadResponse);
  EXPECT_TRUE(messages[0].reject);
}

TEST(Raft, LimitsRefuseWithAReason) {
  Options options;
  options.max_uncommitted_bytes = 10;
  options.max_reads = 1;
  Member member(1, {1, 2, 3}, options);
  member.become_leader();
  EXPECT_TRUE(member.raft->propose(std::string(20, 'x')));  // one is always let in
  EXPECT_EQ(member.raft->propose("x").error(), Refusal::kTooMuchUncommitted);
  member.run();
  member.acknowledge(member.raft->log().last());
  member.run();
  EXPECT_TRUE(member.raft->propose("x"));
  EXPECT_TRUE(member.raft->read_index(1));
  EXPECT_EQ(member.raft->read_index(2).error(), Refusal::kTooManyReads);
}

TEST(Raft, WhatIsHandedOutForApplyingIsLimited) {
  Options options;
  options.log.apply_bytes = 1;
  Member member(1, {1, 2, 3}, options);
  member.become_leader();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(member.raft->propose("a"));
  Ready ready = member.take();
  member.carry_out(*ready.write);
  member.acknowledge(member.raft->log().last());
  ready = member.take();
  ASSERT_EQ(ready.committed.size(), 1U);
  if (ready.write) member.carry_out(*ready.write);
  EXPECT_FALSE(member.raft->has_ready());
  member.raft->applied(ready.committed[0].index);
  EXPECT_EQ(member.take().committed.size(), 1U);
}

TEST(Raft, AFailedWriteEndsAReignAndIsRepeated) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  const Proposed proposed = *member.raft->propose("a");
  Ready failed = member.take();
  ASSERT_EQ(failed.write->entries.size(), 1U);
  member.raft->write_failed();
  EXPECT_EQ(member.raft->role(), Role::kFollower);
  member.acknowledge(proposed.index);
  EXPECT_LT(member.raft->log().committed(), proposed.index);
  Ready again = member.take();
  ASSERT_TRUE(again.write);
  ASSERT_EQ(again.write->entries.size(), 1U);
  EXPECT_EQ(again.write->entries[0].index, proposed.index);
  EXPECT_GT(again.write->id, failed.write->id);
}

TEST(Raft, AFailedVoteIsWrittenAgainAndNotGivenBefore) {
  Member member(1, {1, 2, 3});
  const Message request{
      .kind = MessageKind::kVoteRequest, .from = 2, .to = 1, .term = 5, .log_term = 1, .index = 1};
  ASSERT_TRUE(member.raft->step(request));
  (void)member.take();
  member.raft->write_failed();
  ASSERT_TRUE(member.raft->step(request));
  Ready again = member.take();
  EXPECT_TRUE(again.messages.empty());
  ASSERT_TRUE(again.write);
  EXPECT_EQ(again.write->hard_state, (HardState{5, 2, 1}));
  EXPECT_EQ(count(again.write->messages, MessageKind::kVoteResponse), 1U);
}

TEST(Raft, WhoMayNotLeadDoesNotCampaign) {
  Member member(1, {1});
  member.raft->allow_leading(false);
  for (int i = 0; i < 100; ++i) member.raft->tick();
  member.raft->campaign();
  EXPECT_EQ(member.raft->role(), Role::kFollower);
  member.raft->allow_leading(true);
  for (int i = 0; i < 100; ++i) member.raft->tick();
  member.run();
  EXPECT_EQ(member.raft->role(), Role::kLeader);
}

TEST(Raft, LeadershipGoesToTheVoterThatHasMostOnceItHasAll) {
  Member member(1, {1, 2, 3});
  EXPECT_EQ(member.raft->best_successor(), kNoMember);
  member.become_leader();
  EXPECT_EQ(member.raft->best_successor(), 2U);
  ASSERT_TRUE(member.raft->propose("a"));
  member.run();
  EXPECT_EQ(member.raft->transfer_leadership(9).error(), Refusal::kNotVoter);
  ASSERT_TRUE(member.raft->transfer_leadership(2));
  EXPECT_EQ(count(member.run(), MessageKind::kTimeoutNow), 0U);
  EXPECT_EQ(member.raft->propose("b").error(), Refusal::kTransferring);
  member.acknowledge(member.raft->log().last());
  EXPECT_EQ(count(member.run(), MessageKind::kTimeoutNow), 1U);
  // It does not answer: after an election timeout the leader goes on.
  for (std::uint32_t i = 0; i < Options{}.election_ticks; ++i) member.raft->tick();
  EXPECT_EQ(member.raft->role(), Role::kLeader);
  EXPECT_TRUE(member.raft->propose("b"));
}

// The removal of member 2 is committed, and only member 2 knows. Member 1 goes by the configuration
// of before, in which it needs the vote of 2, whose log is longer.
TEST(Raft, ARejectionOfAVoteTellsWhatIsCommitted) {
  Member member(1, {1, 2});
  const std::string removal = encode({.changes = {{ChangeKind::kRemove, 2}}});
  ASSERT_TRUE(member.raft->step(
      append_request(2, 1, 1, {{2, 2, EntryKind::kConfiguration, Payload(removal)}}, 1)));
  member.run();
  EXPECT_EQ(member.raft->log().committed(), 1U);
  member.raft->forget_leader();
  member.raft->campaign();
  member.run();
  ASSERT_EQ(member.raft->role(), Role::kPreCandidate);
  ASSERT_TRUE(member.raft->step({.kind = MessageKind::kPreVoteResponse,
                                 .reject = true,
                                 .from = 2,
                                 .to = 1,
                                 .term = 2,
                                 .log_term = 2,
                                 .commit = 2}));
  member.run();
  EXPECT_EQ(member.raft->configuration().voters, Members{1});
  member.raft->campaign();
  member.run();
  EXPECT_EQ(member.raft->role(), Role::kLeader);
}

TEST(Raft, ACandidateOfAnEarlierTermIsToldOurs) {
  Member member(1, {1, 2, 3});
  ASSERT_TRUE(member.raft->step(append_request(9, 1, 1, {})));
  member.run();
  for (const MessageKind kind : {MessageKind::kVoteRequest, MessageKind::kPreVoteRequest}) {
    ASSERT_TRUE(member.raft->step(
        {.kind = kind, .from = 3, .to = 1, .term = 5, .log_term = 1, .index = 1}));
    const std::vector<Message> messages = member.run();
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_TRUE(messages[0].reject);
    EXPECT_EQ(messages[0].term, 9U);
  }
}

TEST(Raft, ASnapshotReplacesTheLogWhenItIsWritten) {
  Member member(1, {1, 2, 3});
  Configuration other;
  other.voters = {2, 3, 4};
  other.learners = {1};
  ASSERT_TRUE(member.raft->step(
      {.kind = MessageKind::kSnapshotRequest,
       .from = 2,
       .to = 1,
       .term = 3,
       .snapshot = std::make_shared<const Snapshot>(Snapshot{50, 3, other, Payload("s")})}));
  Ready ready = member.take();
  ASSERT_TRUE(ready.write && ready.write->snapshot);
  EXPECT_TRUE(ready.committed.empty());
  EXPECT_EQ(count(ready.write->messages, MessageKind::kAppendResponse), 1U);
  // It is not to campaign before it has what the snapshot holds, nor as a learner.
  for (int i = 0; i < 100; ++i) member.raft->tick();
  EXPECT_EQ(member.raft->role(), Role::kFollower);
  member.carry_out(*ready.write);
  EXPECT_EQ(member.raft->log().applied(), 50U);
  EXPECT_EQ(member.raft->log().last(), 50U);
  EXPECT_EQ(member.raft->configuration(), other);
}

TEST(Raft, StoredStateThatCannotBeIsRefused) {
  Random random(1);
  MemoryLog disk;
  disk.write(nullptr, {{1, 1, {}, {}}, {1, 2, {}, {}}});
  Configuration voters;
  voters.voters = {1, 2, 3};
  EXPECT_TRUE(Raft::start(options_of(1), disk, random, {{1, 0, 2}, voters, 0}));
  EXPECT_FALSE(Raft::start(options_of(1), disk, random, {{1, 0, 3}, voters, 0}));
  EXPECT_FALSE(Raft::start(options_of(1), disk, random, {{1, 0, 2}, voters, 3}));
  disk.compact(2);
  EXPECT_FALSE(Raft::start(options_of(1), disk, random, {{1, 0, 2}, voters, 1}));
  voters.learners = {1};
  EXPECT_FALSE(Raft::start(options_of(1), disk, random, {{1, 0, 2}, voters, 2}));
}

TEST(Raft, MessagesThatCannotBeRightAreRefused) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  const Term term = member.raft->term();
  const Index last = member.raft->log().last();
  const auto refused = [&](Message message) {
    const Result<> result = member.raft->step(std::move(message));
    EXPECT_FALSE(result);
    return !result;
  };
  const Message good{
      .kind = MessageKind::kAppendResponse, .from = 2, .to = 1, .term = term, .index = last};
  ASSERT_TRUE(member.raft->step(good));
  Message bad = good;
  bad.to = 2;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.from = 1;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.term = 0;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.term = kMaxNumber + 1;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.index = last + 1;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.kind = static_cast<MessageKind>(200);
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.entries = {{term, 1, {}, {}}};
  EXPECT_TRUE(refused(bad));
  // Another leader of this term.
  EXPECT_TRUE(refused(append_request(term, last, term, {})));
  // Entries with a hole, or of terms that go back.
  EXPECT_TRUE(refused(append_request(term + 1, 1, 1, {{1, 3, {}, {}}})));
  EXPECT_TRUE(refused(append_request(term + 1, 1, 3, {{1, 2, {}, {}}})));
  EXPECT_TRUE(refused(append_request(term + 1, 1, 1, {{term + 2, 2, {}, {}}})));
  EXPECT_TRUE(refused({.kind = MessageKind::kSnapshotRequest, .from = 2, .to = 1, .term = term}));
  EXPECT_EQ(member.raft->role(), Role::kLeader);
  // A leader that has committed more for us than we have.
  EXPECT_TRUE(refused({.kind = MessageKind::kHeartbeatRequest,
                       .from = 2,
                       .to = 1,
                       .term = term + 1,
                       .commit = last + 1}));
  EXPECT_EQ(member.raft->log().last(), last);
}

// It was a member when it was asked, by a change that has been replaced since.
TEST(Raft, AnAnswerOfWhoIsNoLongerAMemberChangesNothing) {
  Member member(1, {1, 2, 3});
  member.become_leader();
  const Term term = member.raft->term();
  for (const MessageKind kind : {MessageKind::kPreVoteResponse, MessageKind::kVoteResponse,
                                 MessageKind::kAppendResponse, MessageKind::kHeartbeatResponse}) {
    ASSERT_TRUE(member.raft->step({.kind = kind, .from = 9, .to = 1, .term = term + 1}));
    EXPECT_TRUE(member.run().empty());
    EXPECT_EQ(member.raft->role(), Role::kLeader);
    EXPECT_EQ(member.raft->term(), term);
  }
}

TEST(Raft, CommittedEntriesAreNotReplacedWhoeverSaysSo) {
  Member member(1, {1, 2, 3});
  ASSERT_TRUE(member.raft->step(
      append_request(2, 1, 1, {{2, 2, {}, Payload("a")}, {2, 3, {}, Payload("b")}}, 2)));
  member.run();
  ASSERT_EQ(member.raft->log().committed(), 2U);
  // Up to entry 2 this is answered with what is committed; from 3 on it may replace.
  ASSERT_TRUE(member.raft->step(append_request(3, 1, 1, {{3, 2, {}, Payload("c")}})));
  EXPECT_EQ(member.raft->log().term(2), 2U);
  EXPECT_EQ(member.raft->log().last(), 3U);
  ASSERT_TRUE(member.raft->step(append_request(3, 2, 2, {{3, 3, {}, Payload("c")}})));
  EXPECT_EQ(member.raft->log().term(3), 3U);
}

// Whatever a peer sends, no invariant of ours breaks: it is refused, or it is taken for what a
// (lying) member of the group may say.
TEST(Raft, NoMessageBreaksAnInvariant) {
  set_check_handler([](const char* file, int line, const char* condition, std::string_view) {
    throw std::runtime_error(fmt::format("{}:{}: {}", file, line, condition));
  });
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    Member member(1, {1, 2, 3});
    const auto small = [&] { return random.below(random.chance(0.9) ? 8 : 40); };
    for (int i = 0; i < 300; ++i) {
      Message message{.kind = static_cast<MessageKind>(random.below(12)),
                      .reject = random.chance(0.3),
                      .transfer = random.chance(0.3),
                      .from = 2 + random.below(3),
                      .to = 1,
                      .term = member.raft->term() + random.below(2),
                      .log_term = random.chance(0.5) ? member.raft->log().last_term() : small(),
                      .index = random.chance(0.5) ? member.raft->log().last() : small(),
                      .commit = random.chance(0.5) ? member.raft->log().last() : small(),
                      .hint = small(),
                      .context = small()};
      if (message.kind >= MessageKind::kReadRequest) message.term = 0;
      if (message.kind == MessageKind::kAppendRequest) {
        for (std::uint64_t n = random.below(4); n > 0; --n) {
          message.entries.push_back({std::max(message.log_term, message.term),
                                     message.index + message.entries.size() + 1,
                                     static_cast<EntryKind>(random.below(3)), Payload("x")});
        }
      } else if (message.kind == MessageKind::kSnapshotRequest) {
        Configuration configuration;
        for (MemberId m = 1; m <= 4; ++m) {
          if (random.chance(0.6)) configuration.voters.push_back(m);
        }
        message.snapshot = std::make_shared<const Snapshot>(
            Snapshot{small(), small(), configuration, Payload("s")});
      }
      ASSERT_NO_THROW({
        (void)member.raft->step(std::move(message));
        if (random.chance(0.2)) member.raft->tick();
        if (random.chance(0.2)) (void)member.raft->propose("y");
        if (random.chance(0.5)) member.run();
      }) << "seed "
         << seed << ", message " << i;
    }
  }
  set_check_handler(nullptr);
}

// 256 groups a node, most of them idle, are to cost next to nothing.
TEST(Raft, AnIdleGroupIsSmall) {
  EXPECT_LE(sizeof(Raft), 1024U);
  EXPECT_LE(sizeof(Progress), 128U);
  EXPECT_LE(sizeof(Message), 160U);
}

}  // namespace
}  // namespace even::consensus
