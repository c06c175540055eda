#include "kafka/coordinator.h"

#include <algorithm>

#include "node/shard_thread.h"

namespace even::kafka {
namespace {

constexpr std::int64_t kIntervalUs = 20'000;
// Members find another coordinator with their next heartbeat, which clients send every 3 s if
// nothing else is configured.
constexpr std::int64_t kComeBackUs = 10'000'000;

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

std::int32_t Coordinator::generation_before(PartitionId partition) const {
  // Terms are taken for 15 bits: after 32,768 of them generations begin low again.
  constexpr int kGenerationBits = 16;
  constexpr consensus::Term kTermMask = 0x7fff;
  const std::vector<GroupStatus> groups = thread_.shard().groups();
  const auto found = std::ranges::find(groups, partition, &GroupStatus::group);
  if (found == groups.end()) return 0;
  return static_cast<std::int32_t>((found->term & kTermMask) << kGenerationBits);
}

bool Coordinator::awaits_members(PartitionId partition, std::int64_t now_us) const {
  const auto since = led_since_us_.find(partition);
  return since == led_since_us_.end() || now_us - since->second < kComeBackUs;
}

void Coordinator::note_leadership(std::int64_t now_us) {
  const cluster::Keyspace* keyspace = thread_.keyspaces().find(kOffsetsKeyspace);
  if (keyspace == nullptr) return;
  for (std::uint16_t i = 0; i < keyspace->partitions; ++i) {
    const auto partition = static_cast<PartitionId>(keyspace->first + i);
    if (leads(partition)) {
      led_since_us_.try_emplace(partition, now_us);
    } else {
      led_since_us_.erase(partition);
    }
  }
}

void Coordinator::tick(std::int64_t now_us) {
  transactions_.tick(now_us);
  if (now_us < next_us_ || thread_.lease().lent()) return;
  next_us_ = now_us + kIntervalUs;
  note_leadership(now_us);
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
