// What commands see that are executed on one partition alone, for the database itself.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/keyspace.h"
#include "replica/partition.h"

namespace even {

class PartitionKeyspace final : public Keyspace {
 public:
  using Begin = std::function<Record(const WriteIntent&)>;
  // `begin`: none; nothing is written.
  PartitionKeyspace(const Partition& partition, ReplicaId replica, Begin begin = nullptr)
      : partition_(partition), replica_(replica), begin_(std::move(begin)) {}

  PartitionId partition_of(std::string_view) const override { return partition_.id; }
  PartitionId partition_count() const override { return 1; }
  std::span<const PartitionId> partitions() const override { return {&partition_.id, 1}; }
  const PartitionState& state(PartitionId) const override { return partition_.state; }
  std::vector<NodeNumber> replicas(PartitionId) const override { return partition_.replicas; }
  ReplicaId replica() const override { return replica_; }
  bool replicated(PartitionId) const override { return partition_.replicas.size() > 1; }
  bool draws_by_content() const override { return true; }
  Record begin(PartitionId, const WriteIntent& intent) override {
    EVEN_CHECK(begin_ != nullptr, "what only reads writes nothing");
    return begin_(intent);
  }

 private:
  const Partition& partition_;
  const ReplicaId replica_;
  const Begin begin_;
};

}  // namespace even
