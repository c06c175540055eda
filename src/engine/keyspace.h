// What commands see of the data: the partitions that the executing thread holds, and stamps for new
// records.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "lattice/partition_state.h"

namespace even {

// The name and time of the record that a partition will make next.
struct Stamp {
  Dot dot;
  Hlc time;
};

class Keyspace {
 public:
  virtual ~Keyspace() = default;
  virtual PartitionId partition_of(std::string_view key) const = 0;
  // The partitions in reach, ascending.
  virtual std::span<const PartitionId> partitions() const = 0;
  virtual const PartitionState& state(PartitionId partition) const = 0;
  // The nodes that keep the partition, in order of preference.
  virtual std::vector<NodeNumber> replicas(PartitionId partition) const = 0;
  // Begins a record; to be followed by a commit of it before the next stamp of that partition.
  virtual Stamp stamp(PartitionId partition) = 0;
};

}  // namespace even
