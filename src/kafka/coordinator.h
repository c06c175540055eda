// What a thread coordinates of Kafka's: consumer groups, those whose offsets are in partitions that
// it has and its node leads, and transactions.
//
// On the shard's thread, while it has its shard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cluster/keyspace_table.h"
#include "consumers/group_coordinator.h"
#include "kafka/producer_ids.h"
#include "kafka/transactions.h"

namespace even {
class ShardThread;
}

namespace even::kafka {

// The strong keyspace of their offsets: a hash for each group, under this prefix and its name; a
// field "topic/partition" for each offset, "offset epoch metadata".
using cluster::kOffsetsKeyspace;
inline constexpr const char* kOffsetsPrefix = "__consumer_groups:";

class Coordinator final : private GroupWorld {
 public:
  explicit Coordinator(ShardThread& thread) : thread_(thread) {}

  void tick(std::int64_t now_us);
  GroupCoordinator& groups() { return groups_; }
  ProducerIds& producer_ids() { return producer_ids_; }
  Transactions& transactions() { return transactions_; }
  // Of a keyspace that the first client has made: not to be tried again before, and why it cannot
  // be made; empty: nothing is known to be in its way.
  struct Making {
    std::int64_t again_us = 0;
    std::string refusal;
  };
  Making& making(bool of_transactions) { return making_[of_transactions ? 1 : 0]; }

 private:
  std::vector<PartitionId> partitions() override;
  std::optional<consensus::Term> term_led(PartitionId partition) override;
  void execute(PartitionId partition, std::vector<std::string> command, Done done) override;
  std::int64_t now_us() override;
  void warn(const std::string& text) override;

  ShardThread& thread_;
  GroupCoordinator groups_{*this};
  std::int64_t next_us_ = 0;
  Making making_[2];
  ProducerIds producer_ids_{thread_};
  Transactions transactions_{thread_};
};

}  // namespace even::kafka
