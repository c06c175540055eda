// What commands see of the data: the partitions that the executing thread holds, and the records
// that they make.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "lattice/partition_state.h"

namespace even {

class Keyspace {
 public:
  virtual ~Keyspace() = default;
  virtual PartitionId partition_of(std::string_view key) const = 0;
  // How many partitions there are, in reach or not.
  virtual PartitionId partition_count() const = 0;
  // The partitions in reach, ascending.
  virtual std::span<const PartitionId> partitions() const = 0;
  virtual const PartitionState& state(PartitionId partition) const = 0;
  // The nodes that keep the partition, in order of preference.
  virtual std::vector<NodeNumber> replicas(PartitionId partition) const = 0;
  // Begins a record: all of it but its delta. It is either committed before the partition's state
  // changes and another one is begun, or forgotten.
  virtual Record begin(PartitionId partition) = 0;
};

}  // namespace even
