// What a member of a topic partition's group has beside the partition's state: the entries that are
// in the store, those in memory by their offsets, checkpoints of the state, and what a pass of the
// store takes of them. See docs/topics.md.
//
// Invariants: the store has rows of the entries behind first() up to stored(), all of them applied;
// what has been applied behind that is in memory, in the group's log. The state as of first() is at
// hand, in memory or in the store.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "replica/group_format.h"
#include "replica/group_log.h"
#include "store/row_store.h"
#include "topic/segments.h"

namespace even {

// Not origins, but counted in a topic partition's vector as if they were (compare kGroupIndex): the
// offset that the next record gets, the latest time of any record, in milliseconds, the log start
// offset, and the bytes of all batches so far.
inline constexpr ReplicaId kTopicEnd = ReplicaId::make(0xffff, 1, 4);
inline constexpr ReplicaId kTopicLatest = ReplicaId::make(0xffff, 1, 5);
inline constexpr ReplicaId kTopicStart = ReplicaId::make(0xffff, 1, 8);
inline constexpr ReplicaId kTopicBytes = ReplicaId::make(0xffff, 1, 9);
// The same of compaction: of entries up to this one tombstones may go.
inline constexpr ReplicaId kTopicPurge = ReplicaId::make(0xffff, 1, 11);

// Up to where a member has compacted what it has stored, by itself. See docs/topics.md,
// "Compaction".
struct CleanPoint {
  consensus::Index index = 0;     // of the last entry
  std::int64_t end = 0;           // the offset behind its records
  std::uint64_t total_bytes = 0;  // of all batches up to it as they were appended
  std::uint64_t clean_bytes = 0;  // of what is left of them
  std::int64_t time_ms = 0;       // Unix time of the entry
  std::int64_t horizon_ms = 0;    // the same, when all tombstones that are there may go; 0: none

  bool operator==(const CleanPoint&) const = default;
  std::string encode() const;
  static std::optional<CleanPoint> decode(std::string_view bytes);
};

class TopicLog final : public StoredEntries {
 public:
  using Index = consensus::Index;
  // `store` outlives this.
  TopicLog(PartitionId partition, RowStore& store, GroupBase::Topic origin)
      : partition_(partition), store_(store), origin_(std::move(origin)) {}

  const GroupBase::Topic& origin() const { return origin_; }
  // The group begins here, with these members.
  void begin(GroupBase::Topic origin) { origin_ = std::move(origin); }
  // All that has been applied so far is stored, and the checkpoints of these segments; up to
  // first() that is nothing, and what rows there may be are of another life of the directory.
  // `bytes`: of all batches so far.
  void start(Index applied, const topic::Segments& segments, std::uint64_t bytes);
  Index stored() const { return stored_; }

  // --- Checkpoints, and where the log begins.
  // What is there comes behind this entry.
  Index first() const { return origin_.first; }
  Index first_index() const override { return origin_.first + 1; }
  // The state as of this entry, which is the last one that was applied.
  void keep(Index index, TopicCheckpoint checkpoint);
  // Of those that are not stored, only these, and that of first().
  void keep_only(const topic::Segments& segments);
  // The state as of first(). Blocks.
  Result<std::string> first_state() const;
  // Whether a pass would let something go.
  bool may_trim(const topic::Segments& segments, std::int64_t start) const;
  std::uint64_t last_state_bytes() const { return last_state_bytes_; }

  std::optional<consensus::Term> term(Index index) const override;
  bool entries(Index from, Index to, std::size_t max_bytes,
               std::vector<consensus::Entry>& entries) const override;
  // Whoever is sent entries up to that from which on tombstones are still there has to get them
  // without what those removed.
  bool gives(Index from) const override { return from > purge_ || clean_.index >= purge_; }

  // --- Compaction: replica/topic_cleaner.h does it.
  const CleanPoint& clean_point() const { return clean_; }
  // Tombstones of entries up to this one may be gone somewhere: agreed, or proposed.
  void purged_to(Index index) { purge_ = std::max(purge_, index); }
  // Each time that what is stored is of another history, this is another number.
  std::uint64_t life() const { return life_; }
  // Bytes that all batches up to stored() had, as they were appended.
  std::uint64_t stored_bytes() const { return stored_bytes_; }
  // An entry that is stored, in its place; those that are given ascend, up to the next pass that
  // succeeds. And up to where that is all.
  void replace(Index index, std::string row) {
    replaced_bytes_ += row.size();
    replaced_.emplace_back(index, std::move(row));
  }
  void clean_to(const CleanPoint& point) { next_clean_ = point; }
  std::size_t replaced_bytes() const { return replaced_bytes_; }
  // Something waits for a pass.
  bool has_replaced() const { return !replaced_.empty() || next_clean_.has_value(); }
  void abandon_replaced();
  PartitionId partition() const { return partition_; }

  // --- Applied entries, in their order.
  struct Batch {
    Index index = 0;
    std::int64_t base = 0;     // offset of the first record
    std::int64_t offsets = 0;  // how many it takes
    std::int64_t latest = 0;   // time of any record up to its end
  };
  void applied(const Batch& batch) { batches_.push_back(batch); }
  // The log has nothing up to here in memory any more.
  void trimmed(Index before);

  // --- A pass of the store: it takes what has been applied up to now, by and by. It moves first()
  // as far as the segments and the log start offset let it.
  void begin_pass(Index applied, const topic::Segments& segments, std::int64_t start,
                  std::uint64_t bytes);
  // All of them that are to be stored, or are no more, ascending.
  void take_checkpoints(RowBatch& out);
  // Appends some of the rows, ascending: first those by offset, then the entries, of which those
  // that are replaced come first. False: there are no more of these. Twice, once for each.
  bool take_offsets(RowBatch& out);
  bool take_entries(const GroupLog& log, RowBatch& out);
  void end_pass(bool stored);

  // --- Reading: whole batches, one after the other, with their place set, from that which has the
  // offset on; as many as have `max_bytes`, but one.
  // False: that one is not in memory.
  bool read(const GroupLog& log, std::int64_t offset, std::size_t max_bytes,
            std::string& out) const;
  using Read = std::move_only_function<void(Result<std::string>)>;
  void fetch(std::int64_t offset, std::size_t max_bytes, Read done) const;
  // The first batch at whose end some record was so late: its first offset, and the time, in
  // [start, end). Blocks for what is in the store.
  struct Found {
    std::int64_t offset = 0;
    std::int64_t time = 0;
  };
  Result<std::optional<Found>> find_time(std::int64_t time, std::int64_t start,
                                         std::int64_t end) const;

 private:
  consensus::Entry entry_of(std::string_view row, std::string_view value) const;
  Result<TopicCheckpoint> checkpoint(Index index) const;
  void move_first(const topic::Segments& segments, std::int64_t start);

  const PartitionId partition_;
  RowStore& store_;
  GroupBase::Topic origin_;
  bool anew_ = false;  // rows that the store may have are to be removed first
  std::map<Index, TopicCheckpoint> unstored_;
  std::set<Index> stored_checkpoints_;
  std::uint64_t last_state_bytes_ = 0;
  std::optional<std::int64_t> below_;  // the offset that first() ends, until its rows are forgotten
  Index stored_ = 0;
  std::deque<Batch> batches_;  // applied and in memory

  // Of the pass under way.
  Index upto_ = 0;
  Index next_offset_row_ = 0;  // by the index of its entry
  Index next_entry_row_ = 0;
  bool ranges_taken_ = false;
  std::set<Index> wanted_;  // checkpoints
  std::uint64_t upto_bytes_ = 0;
  std::size_t taking_replaced_ = 0;  // of replaced_, those are of this pass
  std::size_t next_replaced_ = 0;
  std::optional<CleanPoint> taking_clean_;

  // Of compaction.
  std::uint64_t life_ = 0;
  std::uint64_t stored_bytes_ = 0;
  Index purge_ = 0;
  CleanPoint clean_;
  std::optional<CleanPoint> next_clean_;
  std::vector<std::pair<Index, std::string>> replaced_;
  std::size_t replaced_bytes_ = 0;
};

// A row of an entry that has a batch, as it is stored.
struct StoredBatch {
  consensus::Index index = 0;
  GroupProposal proposal;
  bool has_offsets = false;  // whether the batch was appended
};
// A row of a batch by its last offset.
struct OffsetRow {
  std::int64_t last = 0;
  consensus::Index index = 0;
  std::int64_t base = 0;
  std::int64_t latest = 0;
};
std::optional<OffsetRow> read_offset_row(std::string_view row, std::string_view value);
// Views `value`. None: the entry has no batch. The error says that the row is none.
Result<std::optional<StoredBatch>> read_stored_batch(std::string_view row, std::string_view value);
// The same row with another batch.
std::string replace_stored_batch(std::string_view value, const GroupProposal& proposal);

}  // namespace even
