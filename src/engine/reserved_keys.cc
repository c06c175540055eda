#include "engine/reserved_keys.h"

#include <fmt/format.h>

#include "cluster/placement.h"

namespace even {

ReservedKeys::ReservedKeys(std::string_view name, PartitionId partitions) : keys_(partitions) {
  PartitionId left = partitions;
  for (std::uint32_t tag = 0; left > 0; ++tag) {
    std::string key = fmt::format("{}{{{}}}", name, tag);
    std::string& known = keys_[cluster::key_partition(key, partitions)];
    if (!known.empty()) continue;
    known = std::move(key);
    --left;
  }
}

}  // namespace even
