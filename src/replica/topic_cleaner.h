// Compacts what a member has stored of topics' partitions by key: see docs/topics.md, "Compaction".
// Each member does so by itself; what it does makes no difference to the group's state, and none to
// what is behind the point up to which a partition has been compacted.
//
// One partition of a shard at a time, in slices: one is read by another thread, worked on within a
// turn, and the next one waits for the next interval. In memory are a slice, the table of keys
// (ShardOptions::clean_map_bytes), and entries that wait for a pass of the store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/keyspace_table.h"
#include "replica/core.h"
#include "replica/group.h"
#include "store/row_store.h"
#include "topic/latest_offsets.h"
#include "topic/record_batch.h"

namespace even {

class TopicCleaner {
 public:
  // `core` outlives this. find(partition): the group, if it is here and of a topic.
  TopicCleaner(ShardCore& core, std::function<Group*(PartitionId)> find);
  ~TopicCleaner();

  // Goes on with what is under way, or begins with one of these if it is time for any. Within a
  // turn.
  struct Candidate {
    PartitionId partition;
    cluster::Cleanup cleanup;
  };
  void tick(const std::function<std::vector<Candidate>()>& candidates);
  // Asks for a pass of the store.
  std::function<void()> request_pass;
  // Something waits for a pass.
  bool waits_for_pass() const;

 private:
  struct Job;

  bool is_due(const Candidate& candidate, const Group& group) const;
  void begin(const Candidate& candidate, const Group& group);
  // Null: the partition is not what it was when the job began.
  Group* group_of_job();
  void step();
  void find_first();
  void read_slice();
  void take_slice(RowStore::FetchedRange rows);
  void work(Group& group);
  bool note_keys(Group& group, const RowStore::Row& row);
  bool compact(Group& group, const RowStore::Row& row);
  Result<std::string> compact(Group& group, std::string_view batch, const topic::BatchHead& head,
                              std::int64_t base, GroupProposal::Compacted& compacted);
  void begin_compacting();
  void finish();
  void give_up();

  ShardCore& core_;
  const std::function<Group*(PartitionId)> find_;
  std::unique_ptr<Job> job_;
  std::uint64_t jobs_ = 0;
  std::int64_t next_us_ = 0;  // when a slice may be read, or a job begun
  // Partitions with which nothing could be done, until then.
  std::map<PartitionId, std::int64_t> not_before_us_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace even
