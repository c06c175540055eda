// What groups write into the shard's log, say to each other, and propose, as bytes: see
// docs/formats/log.md, docs/formats/peer.md and docs/groups.md. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/entry.h"
#include "consensus/message.h"

namespace even {

// A member of a group is one line of a node's replica ids: one life of its data directory.
constexpr consensus::MemberId member_of(ReplicaId replica) { return replica.value >> 32; }
constexpr NodeNumber node_of(consensus::MemberId member) {
  return static_cast<NodeNumber>(member >> 16);
}

// --- In the shard's log, beside records.

struct GroupEntry {
  PartitionId group = 0;
  consensus::Entry entry;
};
struct GroupState {
  PartitionId group = 0;
  consensus::HardState state;
};
// What is stored, or in the log as a state of the partition, is the group up to an entry.
struct GroupBase {
  PartitionId group = 0;
  consensus::MemberId self = consensus::kNoMember;
  consensus::Index index = 0;
  consensus::Term term = 0;  // of the entry at index
  consensus::Configuration configuration;
  // Of a topic's partition: how it began, for members that are added later; docs/topics.md.
  struct Topic {
    consensus::Configuration founded;  // with these members; none: they are not known yet
    // No entry up to this index changes the configuration, whatever its kind.
    consensus::Index index = 0;
    // The log that there is begins behind this entry, with `founded` as of it; 1: nothing has been
    // trimmed.
    consensus::Index first = 1;
    consensus::Term first_term = 1;
    bool operator==(const Topic&) const = default;
  };
  std::optional<Topic> topic;
  // Of a state that has been taken over as rows of the store: of which generation these are, and
  // the summary that makes them the partition (store/partition_rows.h).
  struct Staged {
    std::uint64_t generation = 0;
    std::string summary;
    bool operator==(const Staged&) const = default;
  };
  std::optional<Staged> staged;  // never together with `topic`
};
// The state of a topic's partition as of an entry behind which its log may begin.
struct TopicCheckpoint {
  consensus::Configuration configuration;
  std::string state;  // as ShardCore::encode_state() has it
};
std::string encode_checkpoint(const TopicCheckpoint& checkpoint);
Result<TopicCheckpoint> decode_checkpoint(std::string_view bytes);

// This node is no member any more: what came before of the group counts for nothing.
struct GroupEnd {
  PartitionId group = 0;
};
using GroupLogEntry = std::variant<GroupEntry, GroupState, GroupBase, GroupEnd>;

// Whether an entry of the log is one of these (or a hint: hint_format.h), and no record.
bool is_group_log_entry(std::string_view bytes);
// Append to `out`.
void encode_group_entry(PartitionId group, const consensus::Entry& entry, std::string& out);
void encode_group_state(const GroupState& state, std::string& out);
void encode_group_base(const GroupBase& base, std::string& out);
void encode_group_end(const GroupEnd& end, std::string& out);
Result<GroupLogEntry> decode_group_log_entry(std::string_view bytes);

// --- Between the members of groups.

struct GroupMessage {
  PartitionId group = 0;
  consensus::Message message;
  // With a snapshot whose data is not in the message: what that is (replica/group_states.h).
  struct State {
    std::uint64_t total = 0;     // bytes
    std::uint64_t checksum = 0;  // hash64() of them
    bool operator==(const State&) const = default;
  };
  std::optional<State> state;
};
// A message without the kind of peer messages: what stands behind its first byte.
void encode_group_message(const GroupMessage& message, std::string& out);
Result<std::vector<GroupMessage>> decode_group_messages(std::string_view bytes);

// --- What an entry of kind kNormal holds.

struct GroupProposal {
  enum class Kind : std::uint8_t {
    kCommands,  // one, or those of a transaction
    kPurge,     // moves the group's clock on and removes what has expired by it
    kBatch,     // a batch of records, of a topic
    kEvents,    // the same, of events of a keyspace's partition: docs/emit.md
    kNewLife,   // the group has been founded anew
    kTrim,      // records of a topic go: docs/topics.md, "Retention"
  };
  using Words = std::vector<std::string_view>;
  // A command that was executed before, and what it replied then.
  struct Watched {
    Words words;
    std::string_view reply;
  };

  Kind kind = Kind::kCommands;
  bool transaction = false;
  std::int64_t instant_ms = 0;  // Unix time by which it is executed
  std::uint64_t seed = 0;       // of the random numbers that it is executed with
  std::vector<Words> commands;
  std::vector<Watched> watched;  // if one of them replies something else, nothing is executed
  // EVEN.ONCE: executed if no entry of this name is remembered. Empty: without.
  std::string_view once;
  std::int64_t once_ms = 0;  // how long it is remembered
  // Of one with an id and watches: the id is looked up before these are compared, and remembered
  // even if they differ. Nodes of before do not know this.
  bool once_first = false;
  // Of one with an id: what the commands are is remembered with it. Nodes of before do not know
  // this.
  bool once_words = false;
  // kBatch: a producer of whom nothing is remembered begins with this batch, whatever its number.
  // Nodes of before do not know this.
  bool any_sequence = false;
  std::string_view events;  // kEvents: what its records are: topic::EventIds
  std::string_view batch;   // kBatch, kEvents: one, of Kafka's version 2; unchecked
  // kBatch, kEvents: compaction has been at it, which makes no difference to the group's state.
  struct Compacted {
    std::uint32_t bytes = 0;  // of the batch as it was appended
    // From when on (Unix time, milliseconds) its tombstones may go; 0: it has none.
    std::int64_t horizon_ms = 0;
    bool operator==(const Compacted&) const = default;
  };
  std::optional<Compacted> compacted;
  // kTrim: the records from which offset on stay; and whether the state as of this entry is kept.
  std::int64_t start = 0;
  bool checkpoint = false;
  // kTrim: of entries up to this one, tombstones may go; 0: nothing new.
  consensus::Index purge = 0;
};
constexpr bool holds_batch(GroupProposal::Kind kind) {
  return kind == GroupProposal::Kind::kBatch || kind == GroupProposal::Kind::kEvents;
}
std::string encode_proposal(const GroupProposal& proposal);
// Views `bytes`.
Result<GroupProposal> decode_proposal(std::string_view bytes);

}  // namespace even
