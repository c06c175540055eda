// The consumer groups that a thread coordinates: those whose offsets are in partitions that it has
// and its node leads. Their members are known to it alone; where another node comes to lead, they
// join anew there, and find their offsets. See docs/topics.md.
//
// On the shard's thread, while it has its shard.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/node_hash_map.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "kafka/consumer_group.h"
#include "kafka/producer_ids.h"
#include "kafka/transactions.h"

namespace even {
class ShardThread;
}

namespace even::kafka {

// The strong keyspace of their offsets: a hash for each group, under this prefix and its name; a
// field "topic/partition" for each offset, "offset epoch metadata".
inline constexpr const char* kOffsetsKeyspace = "__consumer_groups";
inline constexpr const char* kOffsetsPrefix = "__consumer_groups:";

class Coordinator {
 public:
  explicit Coordinator(ShardThread& thread) : thread_(thread) {}

  // Null: this node does not lead the partition, which has the group's offsets.
  ConsumerGroup* find(PartitionId partition, const std::string& name);
  // Those of a partition that are known, by their names: whoever has members, and others.
  std::vector<std::pair<std::string, const ConsumerGroup*>> groups_of(PartitionId partition) const;
  // Behind which the generations of a group are to begin that is coordinated here from now on:
  // above all that it has had where its partition was led before.
  std::int32_t generation_before(PartitionId partition) const;
  // Whether members that this node does not know of yet may be about to join anew, as it has only
  // just come to lead their partition.
  bool awaits_members(PartitionId partition, std::int64_t now_us) const;
  void tick(std::int64_t now_us);
  ProducerIds& producer_ids() { return producer_ids_; }
  Transactions& transactions() { return transactions_; }

 private:
  struct Coordinated {
    PartitionId partition = 0;
    ConsumerGroup group;
  };
  bool leads(PartitionId partition) const;
  void note_leadership(std::int64_t now_us);

  ShardThread& thread_;
  absl::node_hash_map<std::string, Coordinated> groups_;
  // Partitions of offsets that this node leads, and since when.
  absl::flat_hash_map<PartitionId, std::int64_t> led_since_us_;
  std::int64_t next_us_ = 0;
  ProducerIds producer_ids_{thread_};
  Transactions transactions_{thread_};
};

}  // namespace even::kafka
