// What shards of two nodes say to each other, as bytes: see docs/formats/peer.md. Every message
// begins with its kind in one byte. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "lattice/version_vector.h"
#include "replica/group_format.h"

namespace even {

// "This is what I hold": the request for what is lacking, the acknowledgement of what came, and the
// comparison of digests, all in one.
struct ReportMessage {
  struct Partition {
    std::uint16_t partition = 0;
    VersionVector vector;
    std::uint64_t digest = 0;
    // Whether the sender's store is damaged there: then it takes no records, what it holds is not
    // what the vector says, and it may ask the receiver for its state. See docs/repair.md.
    enum class Condition : std::uint8_t { kWhole, kDamaged, kWantsState };
    Condition condition = Condition::kWhole;
  };
  // True for the report that opens a session, or that repeats everything in case others were lost.
  bool complete = false;
  // The sender's wall clock, in milliseconds, when it had seen this: it makes no record by an
  // earlier one afterwards, unless its clock is put back.
  std::int64_t clock_ms = 0;
  // Of each node with which the sender shares a partition, the run that it was last linked with
  // since its own start: see docs/causality.md. Left out for peers that do not know of it.
  std::vector<ReplicaId> runs;
  std::vector<Partition> partitions;
};

// Encoded records, numbered within the session for flow control.
struct RecordsMessage {
  std::uint64_t number = 0;
  std::vector<std::string_view> records;
  // Of a message of compressed ones: what they view.
  std::shared_ptr<const std::string> inflated;
};

// All messages of records or snapshots up to this number have arrived, or will not.
struct AckMessage {
  std::uint64_t number = 0;
};

// A snapshot on its way: a partition's encoded state, named by what it is. So whatever the two
// sides have of the same name fits together, also when one of them has restarted in between.
struct SnapshotName {
  std::uint16_t partition = 0;
  std::uint64_t total = 0;     // bytes
  std::uint64_t checksum = 0;  // hash64() of them

  bool operator==(const SnapshotName&) const = default;
};

// "I have this for you: how much of it have you got?" Precedes the pieces of a snapshot.
struct SnapshotOffer {
  std::uint64_t number = 0;
  SnapshotName name;
  VersionVector vector;  // of the state
};

struct SnapshotPiece {
  std::uint64_t number = 0;
  SnapshotName name;
  std::uint64_t offset = 0;
  std::string_view bytes;
};

// "Of this I have so much, without a gap: go on from there." All of it: it is no longer needed.
struct SnapshotProgress {
  std::uint64_t number = 0;  // of the offer or piece that it answers
  SnapshotName name;
  std::uint64_t have = 0;

  bool operator==(const SnapshotProgress&) const = default;
};

// What members of groups say to those of the receiver.
struct GroupsMessage {
  std::vector<GroupMessage> messages;
};

// What a node has of a group that it was a member of in a former life: up to which entry. Index 0:
// nothing. Of two, as for the logs of candidates (Raft, 5.4.1), the greater one lacks nothing that
// the other one has and that a majority had.
struct FormerState {
  consensus::Term term = 0;
  consensus::Index index = 0;

  auto operator<=>(const FormerState&) const = default;
};
// In the place of one: there is a member now.
inline constexpr FormerState kHasMember{UINT64_MAX, UINT64_MAX};

// Whether the sender has a member of the metadata group, and, if it has founded it just now, with
// which voters; or what it has of one from a former life.
struct MetaMessage {
  bool founded = false;
  // Of the cluster, by the sender's table, if it has one.
  enum class Users : std::uint8_t { kUnsaid, kNone, kSome };
  Users users = Users::kUnsaid;
  consensus::Members voters;
  FormerState former;
};

// Groups that the sender is to have and has no member of, and what it has of each.
struct FormerMessage {
  std::vector<std::pair<PartitionId, FormerState>> groups;
};

// Of groups that the sender leads, the digests of their states as of an entry.
struct DigestsMessage {
  struct Digest {
    PartitionId group = 0;
    consensus::Index index = 0;
    std::uint64_t digest = 0;
    bool operator==(const Digest&) const = default;
  };
  std::vector<Digest> digests;
};

// Of partitions, ascending, what has been seen or is to be.
using PartitionReach = std::vector<std::pair<PartitionId, VersionVector>>;

// "Answer when you have seen all of this": as durable as the receiver's log's policy promises, or
// synced. See replica/quorum.h.
struct AskMessage {
  std::uint64_t id = 0;
  bool synced = false;
  bool learns = false;  // and say what you have seen
  bool again = false;   // it has been asked before
  PartitionReach reach;
};

struct AnswerMessage {
  std::uint64_t id = 0;
  PartitionReach seen;  // if that was asked for
  // Which of those are complete at the sender (Partition::complete).
  std::vector<PartitionId> complete;
};

// "What has every replica of partitions that I do not hold?" Or the answer to that, of those whose
// first replica in reach the sender is, as far as it has changed. See docs/causality.md.
struct StableMessage {
  bool asks = false;
  PartitionReach stable;
};

// Records of partitions that others own, to be kept for them; or, where the receiver is an owner,
// such as have been kept for it. See replica/hints.h.
struct HintMessage {
  std::uint64_t number = 0;
  PartitionReach bases;  // what is to come of these is behind that
  std::vector<std::string_view> records;
};

// What the receiver of a HintMessage then has of the partitions that it was about.
struct HintStateMessage {
  std::uint64_t number = 0;  // of that
  bool full = false;         // it has kept nothing more
  PartitionReach has;
};

// "Give me rights of this bounded counter": as many as `needed` at any rate, if there are so many,
// and up to `wanted` of those that can be spared. See replica/rights.h.
struct RightsMessage {
  PartitionId partition = 0;
  std::uint64_t needed = 0;
  std::uint64_t wanted = 0;
  std::string_view key;
};

// "What do you hold of this partition, having seen all of `reach`?" See replica/check.h.
struct CompareAsk {
  enum class What : std::uint8_t { kList, kDigests, kStates };
  std::uint64_t id = 0;
  PartitionId partition = 0;
  What what = What::kList;
  VersionVector reach;
  // kList: the one from which on the list is to begin. Else those of keys that are asked about,
  // ascending.
  std::vector<std::uint64_t> hashes;
};

struct CompareAnswer {
  std::uint64_t id = 0;
  bool ready = false;     // or nothing can be said now
  bool suspect = false;   // what the sender holds may be wrong, for all it knows
  VersionVector vector;   // what it has seen
  std::uint64_t end = 0;  // kList: all up to this hash are there
  // kList: of all hashes of which there is something. Else of hashes that were asked about, from
  // the first on as many as fit; 0: there is nothing.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> digests;
  std::string_view states;  // kStates: a record with all keys of those hashes
};

using PeerMessage =
    std::variant<ReportMessage, RecordsMessage, AckMessage, SnapshotOffer, SnapshotPiece,
                 SnapshotProgress, GroupsMessage, MetaMessage, FormerMessage, AskMessage,
                 AnswerMessage, StableMessage, DigestsMessage, HintMessage, HintStateMessage,
                 RightsMessage, CompareAsk, CompareAnswer>;

// Whether it is one of the first six, or of compressed records, by its first byte.
bool is_of_replication(std::string_view message);
// Whether it is a piece or the progress of a state of a partition from this one on.
bool is_of_state_from(PartitionId first, std::string_view message);

std::string encode_report(const ReportMessage& message);
std::string encode_ack(const AckMessage& message);
std::string encode_offer(const SnapshotOffer& message);
std::string encode_piece(const SnapshotPiece& message);
std::string encode_progress(const SnapshotProgress& message);
std::string encode_meta(const MetaMessage& message);
std::string encode_former(const FormerMessage& message);
std::string encode_ask(const AskMessage& message);
std::string encode_answer(const AnswerMessage& message);
std::string encode_stable(const StableMessage& message);
std::string encode_digests(const DigestsMessage& message);
std::string encode_hint_state(const HintStateMessage& message);
std::string encode_rights(const RightsMessage& message);
std::string encode_compare_ask(const CompareAsk& message);
std::string encode_compare_answer(const CompareAnswer& message);

// Appends a record as it stands in a RecordsMessage.
void append_record(std::string& out, std::string_view record);

// Gathers a RecordsMessage without copying records twice.
class RecordsBuilder {
 public:
  explicit RecordsBuilder(std::uint64_t number);
  void add(std::string_view record);
  // Several, as append_record() has put them.
  void add_all(std::string_view records, std::size_t count);
  bool empty() const { return count_ == 0; }
  std::size_t bytes() const { return message_.size(); }
  std::string take() { return std::move(message_); }
  // As one of compressed records, if that is shorter; for receivers that know it.
  std::string take_compressed();

 private:
  std::string message_;
  std::size_t count_ = 0;
};

// Gathers a HintMessage.
class HintsBuilder {
 public:
  HintsBuilder(std::uint64_t number, const PartitionReach& bases);
  void add(std::string_view record);
  std::size_t bytes() const { return message_.size(); }
  std::string take() { return std::move(message_); }

 private:
  std::string message_;
};

// Gathers a GroupsMessage.
class GroupsBuilder {
 public:
  GroupsBuilder();
  void add(const GroupMessage& message);
  bool empty() const { return message_.size() == 1; }
  std::size_t bytes() const { return message_.size(); }
  std::string take() { return std::move(message_); }

 private:
  std::string message_;
};

// Views `bytes`.
Result<PeerMessage> decode_peer_message(std::string_view bytes);

}  // namespace even
