// Names of what the database itself keeps in partitions of the default keyspace, a key in each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace even {

// Immutable.
class ReservedKeys {
 public:
  // `name` begins with kReservedPrefix.
  ReservedKeys(std::string_view name, PartitionId partitions);
  // The key that lies in it. Lives as long as this.
  std::string_view of(PartitionId partition) const { return keys_[partition]; }

 private:
  std::vector<std::string> keys_;
};

}  // namespace even
