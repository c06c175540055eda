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
  void start(Index applied, const topic::Segments& segments);
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
  void begin_pass(Index applied, const topic::Segments& segments, std::int64_t start);
  // All of them that are to be stored, or are no more, ascending.
  void take_checkpoints(RowBatch& out);
  // Appends some of the rows, ascending: first those by offset, then the entries. False: there are
  // no more of these. Twice, once for each.
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
};

}  // namespace even
