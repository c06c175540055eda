#include "lattice/compact_dot.h"

#include <absl/container/flat_hash_map.h>

#include <array>
#include <atomic>
#include <mutex>

namespace even {
namespace {

// Grows only. A place is written before its number is given to anybody.
struct Places {
  std::mutex mutex;
  absl::flat_hash_map<std::uint64_t, std::uint64_t> places;
  std::array<std::atomic<std::uint64_t>, CompactDot::kMaxReplicas> replicas;
};

Places& all_places() {
  static Places* const the_places = new Places;  // for as long as the process runs
  return *the_places;
}

std::optional<std::uint64_t> place_of(ReplicaId replica) {
  Places& all = all_places();
  const std::lock_guard lock(all.mutex);
  const std::uint64_t next = all.places.size();
  const auto found = all.places.find(replica.value);
  if (found != all.places.end()) return found->second;
  if (next == CompactDot::kMaxReplicas) return std::nullopt;
  all.replicas[next].store(replica.value, std::memory_order_release);
  all.places.emplace(replica.value, next);
  return next;
}

}  // namespace

std::optional<CompactDot> CompactDot::make(const Dot& dot) {
  if (dot.seq > kMaxSeq) return std::nullopt;
  // The few replicas that a thread deals with at a time.
  struct Recent {
    std::uint64_t replica = 0;
    std::uint64_t place = 0;
  };
  thread_local std::array<Recent, 16> recent;
  Recent& slot = recent[(dot.replica.value ^ dot.replica.value >> 48) % recent.size()];
  if (slot.replica != dot.replica.value) {
    const auto place = place_of(dot.replica);
    if (!place) return std::nullopt;
    slot = {dot.replica.value, *place};
  }
  return CompactDot(slot.place << 48 | dot.seq);
}

ReplicaId CompactDot::replica(std::uint64_t place) {
  return {all_places().replicas[place].load(std::memory_order_acquire)};
}

}  // namespace even
