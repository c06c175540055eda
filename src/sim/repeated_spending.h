// A node has rights of a counter, durably; it spends them, and crashes when others have heard of
// that and it is not on its disk. The next run of it is alone, and does as it may.
#pragma once

#include <cstdint>
#include <string>

#include "sim/cluster.h"

namespace even::sim {

class RepeatedSpending {
 public:
  explicit RepeatedSpending(Cluster& cluster) : cluster_(cluster), run_(cluster.run) {}
  void begin();

 private:
  struct Spending {
    Node* spender;
    std::string key;
    PartitionId partition;
    std::uint64_t run_number;
    std::int64_t until_us;  // at the latest
    Dot spent = {};         // the last record of that
  };
  void spend(const Spending& spending);
  void follow(const Spending& spending);
  void spend_all(Node& spender, const std::string& key);

  Cluster& cluster_;
  Run& run_;
};

}  // namespace even::sim
