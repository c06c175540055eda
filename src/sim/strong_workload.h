// Random requests to strong partitions, on few keys at a time: registers into which no value is
// written twice, counters and strings that only grow, pairs of counters that are changed together,
// registers that expire, and keys of every type about which nothing is known.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "env/random.h"
#include "sim/strong_operation.h"

namespace even::sim {

class StrongWorkload {
 public:
  StrongWorkload(std::vector<PartitionId> groups, Random& random)
      : groups_(std::move(groups)), random_(random) {}

  StrongOperation next() { return next(groups_[random_.below(groups_.size())]); }
  StrongOperation next(PartitionId group);
  // Linearizable reads of the keys that were used last.
  std::vector<StrongOperation> reads(PartitionId group) const;
  // A client has seen this value of a register, or written it.
  void seen(const std::string& key, const std::optional<std::string>& value) { last_[key] = value; }

 private:
  using Kind = StrongOperation::Kind;
  std::string key(PartitionId group, char type);
  std::string unique() { return "v" + std::to_string(next_value_++); }
  std::string small(std::uint64_t bound) { return std::to_string(random_.below(bound)); }
  void draw_level(StrongOperation& operation);
  void draw_once(StrongOperation& operation, double probability);
  StrongOperation on_register(PartitionId group);
  StrongOperation on_counter(PartitionId group);
  StrongOperation on_pair(PartitionId group);
  StrongOperation on_string(PartitionId group);
  StrongOperation on_vanishing(PartitionId group);
  StrongOperation unchecked(PartitionId group);

  const std::vector<PartitionId> groups_;
  Random& random_;
  std::uint64_t next_value_ = 0;
  // Uses of the keys of one group, type and place: after some, another key takes the place.
  std::map<std::string, int> uses_;
  std::map<std::string, std::optional<std::string>> last_;  // as seen of registers
  std::map<std::string, std::string> written_;              // to those that expire
};

}  // namespace even::sim
