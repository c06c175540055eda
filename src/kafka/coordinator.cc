#include "kafka/coordinator.h"

#include "node/shard_thread.h"

namespace even::kafka {
namespace {

constexpr std::int64_t kIntervalUs = 20'000;

}  // namespace

bool Coordinator::leads(PartitionId partition) const {
  return thread_.shard().leader_of(partition) == thread_.node().number;
}

ConsumerGroup* Coordinator::find(PartitionId partition, const std::string& name) {
  if (!leads(partition)) return nullptr;
  Coordinated& found = groups_[name];
  found.partition = partition;
  return &found.group;
}

std::vector<std::pair<std::string, const ConsumerGroup*>> Coordinator::groups_of(
    PartitionId partition) const {
  std::vector<std::pair<std::string, const ConsumerGroup*>> groups;
  for (const auto& [name, coordinated] : groups_) {
    if (coordinated.partition == partition) groups.emplace_back(name, &coordinated.group);
  }
  return groups;
}

void Coordinator::tick(std::int64_t now_us) {
  transactions_.tick(now_us);
  if (groups_.empty() || now_us < next_us_ || thread_.lease().lent()) return;
  next_us_ = now_us + kIntervalUs;
  absl::erase_if(groups_, [&](auto& each) {
    Coordinated& coordinated = each.second;
    if (!leads(coordinated.partition)) {
      coordinated.group.give_up();
      return true;
    }
    coordinated.group.tick(now_us);
    return coordinated.group.empty();
  });
}

}  // namespace even::kafka
