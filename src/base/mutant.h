// Deliberate bugs, to show that the simulator would find them: see docs/simulator.md. In every
// ordinary build EVEN_MUTANT(x) is the constant false; `./dev sim --mutants` builds the core a
// second time with EVEN_MUTANTS defined and enables one bug at a time.
#pragma once

#include <cstdint>

#define EVEN_MUTANT_LIST(X)                                                                        \
  X(kSkipDependencyCheck, "a record is joined before what it depends on")                          \
  X(kReuseReplicaId, "a restarted node goes on under its old replica id")                          \
  X(kWakeAll, "all records that wait for one replica are looked at when one of it has come")       \
  X(kApplyTwice, "a record that was seen before is joined again")                                  \
  X(kTieBrokenByArrival, "of concurrent values the one that arrives last is shown")                \
  X(kJoinIgnoresVector, "a join brings back what this side has removed")                           \
  X(kReplyBeforeDurable, "fsync = always, but replies do not wait for the sync")                   \
  X(kReplyBeforeWritten, "replies do not wait for a frame that the disk is writing meanwhile")     \
  X(kScoreWithoutIncrements, "what increments add to the score of a member is not counted")        \
  X(kScoreOfOlder, "of concurrent scores the one that was written first is shown")                 \
  X(kHyperLogLogOfWinner, "of concurrent HyperLogLogs the one that was written last is shown")     \
  X(kIndexKeepsScore, "the index of a sorted set keeps the score that a member had")               \
  X(kDeleteForgetsCounters, "a delete does not say up to where it removes a counter")              \
  X(kRemovedPointLost, "residue is dropped at once, and increments do not bring its point along")  \
  X(kPurgeForgetsExpiry, "giving an expired key up drops its expiry too")                          \
  X(kPurgeUnheard, "an expired key is purged though another replica may have prolonged it")        \
  X(kPurgeHeardUnseen, "a replica's records count as seen when it has only said that they are")    \
  X(kPolicyDeletesLapsed, "a cache policy deletes what has expired, as far as this node knows")    \
  X(kDigestMissesMember, "removing a set member leaves the digest as it was")                      \
  X(kSnapshotKeepsAbsentKeys, "joining a snapshot keeps keys that it no longer has")               \
  X(kRecoverySkipsFrame, "recovery drops the log's last intact frame")                             \
  X(kServedUnreplayed, "a partition is served before the log's records of it are replayed")        \
  X(kReplayedAfterFirstBatch, "a partition counts as replayed when a part of its records is")      \
  X(kPassBeforeReplayed, "the store's position moves on before all of the log is replayed")        \
  X(kFloorNotRecovered, "after a restart the log counts as whole, whatever it begins with")        \
  X(kLinkBeforeReplayed, "replication begins before the log is replayed")                          \
  X(kRollUnsynced, "a segment is begun before the one before it is durable")                       \
  X(kFailedSyncIgnored, "after a failed sync the log goes on in the same file")                    \
  X(kStartTrustsKernel, "a restart takes for durable what a failed sync has left in memory")       \
  X(kTrimForgetsFloor, "a segment is removed without noting what the log can no longer send")      \
  X(kChangeNotNoted, "a change is not noted for the store")                                        \
  X(kEvictChanged, "an object leaves memory before it has been stored")                            \
  X(kRemovedElementForgotten, "an element that was removed is looked for in the store")            \
  X(kElementEvictedUnstored, "elements that a pass failed to store leave memory")                  \
  X(kTableRemovedUnseen,                                                                           \
    "a large collection is removed with elements that the remover had not seen")                   \
  X(kTableRemovedWithCounters, "a large collection is removed without a look at its counters")     \
  X(kStoreBeforeLog, "the store takes in what the log has not made durable")                       \
  X(kStoredByEarlierPass, "what is to be stored now counts as stored by a pass under way")         \
  X(kRepairKeepsVector, "a repaired partition begins with the vector of what it lost")             \
  X(kRepairTakesAny, "a partition is repaired without what the log has beyond the peer's state")   \
  X(kRepairNotLogged, "the state of a repaired partition is not logged")                           \
  X(kRepairKeepsRows, "the rows of a repaired partition are written over the damaged ones")        \
  X(kSnapshotsMixed, "a snapshot is put together from parts of two, and is not verified")          \
  X(kSnapshotWithGaps, "a snapshot with a missing piece is joined, and is not verified")           \
  X(kPolicyDeletesUnlogged, "what a cache policy deletes goes without a record")                   \
  X(kVolatilePolicyTakesAny, "a volatile cache policy deletes keys without expiry as well")        \
  X(kReaderNotTold, "a command that lists elements in steps does not learn of changes")            \
  X(kLastLogNotStored, "the number of shards changes before the last log is in the store")         \
  X(kNumberNotedFirst, "the new number of shards is noted before any log is in the store")         \
  X(kPositionBehind, "a log is removed before the store's position is where it ends")              \
  X(kFormerPositionsLeft, "positions of former shards are left, and believed by new ones")         \
  X(kFormerLogsLeft, "logs of former shards are left, and taken for theirs by new ones")           \
  X(kFormerLeftUntilAfter, "what former shards left is removed after a change, not also before")   \
  X(kNumberNotSynced, "the file with the number of shards is not synced")                          \
  X(kOnePositionForAll, "the shards of a node share one position in the store")                    \
  X(kRecordWritesTwice, "commands that write the same go into one record")                         \
  X(kFoldsUnheard, "a replica folds its earlier runs without having heard from all others")        \
  X(kFoldsAsItHas, "a replica folds its earlier runs although another one has more of them")       \
  X(kFoldedRunUnknown, "records of a run that is folded are taken for new")                        \
  X(kFoldNotStored, "the store forgets that runs are folded")                                      \
  X(kDeleteWinsOverConcurrent, "a delete removes concurrent updates as well")                      \
  X(kGroupNotStored, "a pass stores nothing of groups but their partitions' states")               \
  X(kGroupTailNotStored, "a pass does not store the entries of groups that are not committed")     \
  X(kGroupSaidUnsynced, "groups say what is written, without waiting for it to be synced")         \
  X(kGroupBaseNotLogged, "a group takes a state over without its base in the log")                 \
  X(kGroupStateNotLogged, "a group takes a state over without it in the log")                      \
  X(kGroupReadsEarly, "a group's read is executed before what it has to show is applied")          \
  X(kGroupReadsUnconfirmed, "a leader answers reads without asking whether it still leads")        \
  X(kSequentialReadsEarly, "a sequential read does not wait for what its client has seen")         \
  X(kBoundedReadsAny, "a bounded read takes what there is, however old")                           \
  X(kEntryByLocalClock, "an entry of a group is executed by the member's own clock")               \
  X(kEntryByLocalChance, "an entry of a group is executed with random numbers of the member's")    \
  X(kGroupClockGoesBack, "the clock of a group goes back when its leader's is behind")             \
  X(kExpiryByLeadersClock, "a read hides what has expired by the leader's clock alone")            \
  X(kWatchedWhenProposed, "what a transaction watches is compared when it is proposed")            \
  X(kTransactionTorn, "the commands of a transaction are entries of their own")                    \
  X(kOnceForgotten, "a request with an id is executed again")                                      \
  X(kProposalsOfEarlierReigns, "what is proposed waits behind what an earlier reign has left")     \
  X(kReplyOfAnotherEntry, "who has proposed an entry gets the reply to another in its place")      \
  X(kUnknownTakenForRefused, "what a snapshot has overtaken counts as not executed")               \
  X(kGroupStateTorn, "a group's state is sent with changes that came while it was encoded")        \
  X(kGroupDigestsMixed, "digests of a group are compared that are of different entries")           \
  X(kStagedCounts, "what has come of a group's state counts before all of it is there")            \
  X(kStagedUnstored, "a group's state is taken over before all of its rows are in the store")      \
  X(kMetaFoundedUnheard, "the metadata group is founded without hearing that nobody has it")       \
  X(kMetaFormerMemberFounds, "who has lost its disk founds a group as the member that it was")     \
  X(kMetaServedUnsynced, "keyspaces are served before it is durable that they are known")          \
  X(kMetaIdsReused, "ids of the partitions of a dropped keyspace are given out again")             \
  X(kRefoundedUnheard, "a group is founded anew without hearing that nobody has it")               \
  X(kAsksBeforeClosing, "others are asked for what a write has made before its record is closed")  \
  X(kAnswersUnseen, "a replica says that it has seen what it has not")                             \
  X(kAnswersUnreleased, "a replica says what it has seen before that is as durable as it must be") \
  X(kAnswersCountTwice, "each answer of a replica counts as two")                                  \
  X(kQuorumReadBehind, "a quorum read does not wait for what the others have said")                \
  X(kPositionTakenAgain, "an element of a list may get a position that another one had")           \
  X(kRunsInterleave, "elements that two replicas push at the same time mix")                       \
  X(kSessionIgnored, "a request does not wait for what its session has seen")                      \
  X(kSessionForgetsReads, "a session does not note what its reads have shown")                     \
  X(kCauseForgotten, "a write at CAUSAL does not leave what its session has seen")                 \
  X(kCauseNotAwaited, "reads at CAUSAL do not take over the causes of what they show")             \
  X(kCauseDroppedEarly, "causes are left out that not all replicas have")                          \
  X(kCausalIncomplete, "CAUSAL is served at once by a node that may have lost something")          \
  X(kSessionForgetsWrites, "a session does not note what it has written")                          \
  X(kFreshWhenAnswered, "what is fresh counts from when others have answered, not been asked")     \
  X(kFreshUnheard, "a partition counts as fresh although a replica has not been heard")            \
  X(kSequenceNotChecked, "a topic takes a producer's batch in whatever its sequence number")       \
  X(kEventAppendedTwice, "a topic takes an event in again")                                        \
  X(kOutboxForgetful, "an event leaves the outbox when it has been sent to its topic")             \
  X(kIdsOfSeveralNodes, "several nodes may make the same id of a stream")                          \
  X(kHintLost, "hints are gone after a restart of their holder")                                   \
  X(kHintUnsynced, "a holder says that it has a hint before that is durable")                      \
  X(kHintForgottenEarly, "a hint is forgotten when it has been sent to one owner")                 \
  X(kHintAppliedAgain, "a hint that the owner has seen becomes a write of its own")                \
  X(kHintGivenUnsynced, "hints are given before they are durable where they were made")            \
  X(kSiblingSupersededUnseen, "a value takes the place of siblings that its writer has not seen")  \
  X(kRightsOfEarlierRun, "a run uses the rights of earlier ones of its node without asking")       \
  X(kRightsTakenByBoth, "rights that are given to another replica stay with the giver, too")       \
  X(kRightSpentUnowned, "a bounded counter is changed without a look at the rights for it")        \
  X(kDeliveredOfAllWriters, "a group counts what arrives late under a lower id as delivered")      \
  X(kAuditMissesChange, "an audit does not take notice of keys that change meanwhile")             \
  X(kComparedThoughTouched, "keys are compared though they have changed since they were asked of") \
  X(kMinorityCounts, "of replicas that differ, those are repaired that are more")                  \
  X(kTrimmedWhenProposed, "a leader lets records go before a majority has agreed to that")         \
  X(kTrimByLocalClock, "each member tells by its own clock which records have expired")            \
  X(kTrimmedPastStart, "a member's log begins above the start of the partition")                   \
  X(kCheckpointNotStored,                                                                          \
    "records go although the state that comes before the rest is not stored")                      \
  X(kCheckpointTooLate, "a new member is given a later state than that its entries come behind")   \
  X(kMarkerBeforeDecision, "markers of a transaction are sent before its decision is durable")     \
  X(kEpochNotBumped, "who asks for a transactional id gets the epoch of who had it before")        \
  X(kAbortedRangeForgotten, "a topic does not note which records of it were aborted")              \
  X(kStableOffsetAhead, "the last stable offset of a topic passes over open transactions")         \
  X(kMarkerEndsNext, "a late marker of a transaction ends the next one of its producer")           \
  X(kFeedLater, "an event of a change feed is made when its change is in the log already")         \
  X(kFeedByReceivers, "a replica that takes in a change from another tells it, too")               \
  X(kFeedSnapshotEarly, "a snapshot of a feed begins before all replicas tell their changes")      \
  X(kGivesWhatIsWrong, "a snapshot is given by a replica that is known to be wrong")               \
  X(kFieldPurgeUnheard, "a field is purged though another replica may have prolonged it")          \
  X(kFieldGivenUpForgetsExpiry, "giving an expired field up drops its expiry too")                 \
  X(kTombstoneGoesEarly, "compaction drops tombstones at once")                                    \
  X(kCompactsUnstable, "compaction goes past the last stable offset")                              \
  X(kLatestGoes, "compaction removes the latest record of a key")                                  \
  X(kStaleRunCounts,                                                                               \
    "what is everywhere is taken from reports of runs that others know to be "                     \
    "over")                                                                                        \
  X(kQuestionSendsNothing, "who is asked holds back what the one who asks waits for")              \
  X(kOvertakesHeld, "a record is sent before what is held back of its partition")                  \
  X(kRelayByPresentPartitions, "events go by how many partitions their topic has by now")          \
  X(kAssignedBeforeDurable, "members are told what they are assigned before that is stored")       \
  X(kMembersOfOtherTerms, "a coordinator that leads again goes on with members that it knew")      \
  X(kGenerationsFromRecord, "a coordinator begins generations behind what is stored, no more")     \
  X(kHeartbeatUnconfirmed, "a coordinator answers members without a look whether it leads still")  \
  X(kOnceBehindWatched, "what is watched is compared before an id of EVEN.ONCE is looked up")      \
  X(kRefusalOfRepetition, "a repeated request is refused though it may have been executed")        \
  X(kOnceNoLongerThanAsked, "an id is forgotten while its request may still be repeated")          \
  X(kWritesBehindClosing, "what was proposed before a group is closed is executed behind that")    \
  X(kEmptyNotClosed, "a group says that it has no keys, and goes on taking writes")                \
  X(kLeftClosed, "a leader does not tell of a group that has been left closed")

// Those in the consensus core, which `consensus-mutants` enables: see docs/consensus.md.
#define EVEN_CONSENSUS_MUTANT_LIST(X)                                                           \
  X(kEarlierTermCommitted, "an entry of an earlier term is committed by counting replicas")     \
  X(kNoEmptyEntry, "a leader does not begin its term with an entry of its own")                 \
  X(kReadWithoutRound, "a leader answers reads without asking whether it still is the leader")  \
  X(kDeposedLeaderReads, "a leader that steps down answers the reads that wait")                \
  X(kConflictingSuffixKept, "what follows a conflicting entry is kept")                         \
  X(kTruncatesCommitted, "a late message cuts the log off where the message ends")              \
  X(kSnapshotIndexWrong, "a snapshot is installed one entry later than it was taken")           \
  X(kSnapshotConfigurationWrong, "the configuration of a snapshot is not taken over")           \
  X(kTwoConfigurationChanges, "the configuration is changed while another change is under way") \
  X(kVoteNotDurable, "a vote is given before it is durable")                                    \
  X(kVoteAskedNotDurable, "votes are asked for before the term is durable")                     \
  X(kEntryNotDurable, "a follower acknowledges entries before they are durable")                \
  X(kOwnEntryNotDurable, "a leader counts itself before its entries are durable")               \
  X(kLearnerCounts, "a learner counts in a majority")                                           \
  X(kJointTakesOneMajority, "a joint configuration takes the majority of the incoming voters")  \
  X(kVotesForShorterLog, "a vote is given to a candidate that lacks entries")                   \
  X(kCommitNotStored, "the commit index is not stored with the entries that follow it")         \
  X(kOverlappingWritesMixed, "a write that was overtaken by a change of term counts as durable")

namespace even {

enum class Mutant : std::uint8_t {
  kNone,
#define EVEN_MUTANT_ID(id, text) id,
  EVEN_MUTANT_LIST(EVEN_MUTANT_ID) kCount,  // of those that the simulator looks for
  EVEN_CONSENSUS_MUTANT_LIST(EVEN_MUTANT_ID)
#undef EVEN_MUTANT_ID
      kEnd
};

#ifdef EVEN_MUTANTS
extern Mutant g_mutant;
#define EVEN_MUTANT(name) (::even::g_mutant == ::even::Mutant::name)
#else
#define EVEN_MUTANT(name) false
#endif

}  // namespace even
