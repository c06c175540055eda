#include "kafka/coordinator.h"

#include <spdlog/spdlog.h>

#include "kafka/group_requests.h"
#include "node/shard_thread.h"

namespace even::kafka {
namespace {

constexpr std::int64_t kIntervalUs = 20'000;

}  // namespace

std::vector<PartitionId> Coordinator::partitions() {
  std::vector<PartitionId> partitions;
  const cluster::Keyspace* keyspace = thread_.keyspaces().find(kOffsetsKeyspace);
  if (keyspace == nullptr) return partitions;
  for (std::uint16_t i = 0; i < keyspace->partitions; ++i) {
    partitions.push_back(static_cast<PartitionId>(keyspace->first + i));
  }
  return partitions;
}

std::optional<consensus::Term> Coordinator::term_led(PartitionId partition) {
  return thread_.shard().term_led(partition);
}

void Coordinator::execute(PartitionId partition, std::vector<std::string> command, Done done) {
  // What is refused is so at once, and told later, as all else.
  auto returned = std::make_shared<bool>(false);
  execute_at(thread_, partition, std::move(command),
             [this, returned, done = std::move(done)](const StrongOutcome& outcome) mutable {
               if (*returned) return done(outcome);
               thread_.send_to(thread_.id(), [outcome,
                                              done = std::move(done)](ShardThread& thread) mutable {
                 thread.lease().when_free([outcome = std::move(outcome),
                                           done = std::move(done)]() mutable { done(outcome); });
               });
             });
  *returned = true;
}

std::int64_t Coordinator::now_us() { return thread_.clock().monotonic_us(); }

void Coordinator::warn(const std::string& text) { spdlog::warn("{}", text); }

void Coordinator::tick(std::int64_t now_us) {
  transactions_.tick(now_us);
  if (now_us < next_us_ || thread_.lease().lent()) return;
  next_us_ = now_us + kIntervalUs;
  groups_.tick();
}

}  // namespace even::kafka
