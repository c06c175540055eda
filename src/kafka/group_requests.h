// What requests about a consumer group have in common: they are its coordinator's to answer, on the
// thread of the partition that has its offsets.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kafka/apis.h"
#include "kafka/coordinator.h"
#include "kafka/partitions.h"
#include "topic/kafka_error.h"

namespace even::kafka {

// Of a group's offsets.
inline std::string key_of_group(const std::string& group) { return kOffsetsPrefix + group; }
// None: there is no place for offsets yet.
std::optional<PartitionId> partition_of_group(ShardThread& thread, const std::string& group);

// Calls task(owner, coordinated group, partition, reply) on the thread of the group's partition,
// once its groups are loaded, or answers `otherwise` where that is not led here.
template <typename Result, typename Task>
void ask_coordinator_of(Gather<Result>& gather, ShardThread& thread, std::size_t place,
                        const std::string& name, Result otherwise, Task task) {
  const auto partition = partition_of_group(thread, name);
  if (!partition) return gather.take(place, std::move(otherwise));
  gather.ask(thread, *partition, place,
             [name, partition = *partition, otherwise = std::move(otherwise),
              task = std::move(task)](ShardThread& owner, auto reply) mutable {
               owner.coordinator().groups().with(
                   partition, name,
                   [&owner, partition, otherwise = std::move(otherwise), task = std::move(task),
                    reply = std::move(reply)](ConsumerGroup* group) mutable {
                     if (group == nullptr) return reply(std::move(otherwise));
                     task(owner, *group, partition, std::move(reply));
                   });
             });
}

// The same of a request about one group; then finish(result).
template <typename Result, typename Task, typename Finish>
void ask_coordinator(const Call& call, const std::string& name, Result otherwise, Task task,
                     Finish finish) {
  auto gather = Gather<Result>::begin(
      call.connection, 1,
      [finish = std::move(finish)](std::vector<std::optional<Result>> results) mutable {
        finish(std::move(*results[0]));
      });
  ask_coordinator_of(*gather, call.connection.thread(), 0, name, std::move(otherwise),
                     std::move(task));
  gather->asked();
}

// Executes a command at a partition of offsets, of which this node's member has to be the leader.
// `behind`: a read is, of all that has been proposed here.
template <typename Finish>
void execute_at(ShardThread& owner, PartitionId partition, std::vector<std::string> command,
                Finish finish, bool behind = false) {
  struct Words {
    std::vector<std::string> words;
    std::vector<std::string_view> views;
  };
  auto words = std::make_shared<Words>(Words{std::move(command), {}});
  words->views.assign(words->words.begin(), words->words.end());
  StrongRequest request;
  request.group = partition;
  request.commands.emplace_back(words->views);
  request.behind = behind;
  owner.shard().execute_strong(std::move(request),
                               [words, finish = std::move(finish)](StrongOutcome outcome) mutable {
                                 finish(std::move(outcome));
                               });
}

}  // namespace even::kafka
