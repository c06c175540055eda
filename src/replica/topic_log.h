// What a member of a topic partition's group has beside the partition's state: the entries that are
// in the store, those in memory by their offsets, and what a pass of the store takes of them. See
// docs/topics.md.
//
// Invariants: the store has rows of the entries from the first one up to stored(), all of them
// applied; what has been applied behind that is in memory, in the group's log.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "replica/group_format.h"
#include "replica/group_log.h"
#include "store/row_store.h"

namespace even {

// Not origins, but counted in a topic partition's vector as if they were (compare kGroupIndex): the
// offset that the next record gets, and the latest time of any record, in milliseconds.
inline constexpr ReplicaId kTopicEnd = ReplicaId::make(0xffff, 1, 4);
inline constexpr ReplicaId kTopicLatest = ReplicaId::make(0xffff, 1, 5);

class TopicLog final : public StoredEntries {
 public:
  using Index = consensus::Index;
  // `store` outlives this.
  TopicLog(PartitionId partition, RowStore& store, GroupBase::Topic origin)
      : partition_(partition), store_(store), origin_(std::move(origin)) {}

  const GroupBase::Topic& origin() const { return origin_; }
  // The group begins here, with these members.
  void begin(GroupBase::Topic origin) { origin_ = std::move(origin); }
  // All that has been applied so far is stored; up to kFirstStored - 1 that is nothing, and what
  // rows there may be are of another life of the directory.
  void start(Index applied);
  Index stored() const { return stored_; }

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

  // --- A pass of the store: it takes what has been applied up to now, by and by.
  void begin_pass(Index applied);
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
  // The first batch at whose end some record was so late: its first offset, and the time; none
  // before `end`. Blocks for what is in the store.
  struct Found {
    std::int64_t offset = 0;
    std::int64_t time = 0;
  };
  Result<std::optional<Found>> find_time(std::int64_t time, std::int64_t end) const;

 private:
  consensus::Entry entry_of(std::string_view row, std::string_view value) const;

  const PartitionId partition_;
  RowStore& store_;
  GroupBase::Topic origin_;
  bool anew_ = false;  // rows that the store may have are to be removed first
  Index stored_ = 0;
  std::deque<Batch> batches_;  // applied and in memory

  // Of the pass under way.
  Index upto_ = 0;
  Index next_offset_row_ = 0;  // by the index of its entry
  Index next_entry_row_ = 0;
};

}  // namespace even
