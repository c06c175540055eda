// Asks the threads that have partitions of topics, and gathers what they answer.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/keyspace_table.h"
#include "kafka/connection.h"

namespace even::kafka {

// Where a client is told to find a node: as the configuration says, or, where it has no list of
// nodes, at the address that the client has come to.
std::string host_of(const cluster::Node& node, const Connection& client);

// Of a topic by its name and the number in it; none if there is no such partition.
std::optional<PartitionId> find_partition(const ShardThread& thread, std::string_view topic,
                                          std::int32_t partition);

// What all partitions of a request are asked, one after the other.
template <typename Topics, typename Visit>
void for_each_partition(const Topics& topics, Visit visit) {
  std::size_t place = 0;
  for (const auto& topic : topics) {
    for (const auto& partition : topic.partitions) visit(topic, partition, place++);
  }
}

// Whether a partition is named twice: work and memory are for each time.
template <typename Topics, typename Number>
bool repeats(const Topics& topics, Number number) {
  absl::flat_hash_set<std::pair<std::string_view, std::int32_t>> seen;
  bool any = false;
  for_each_partition(topics, [&](const auto& topic, const auto& partition, std::size_t) {
    any = !seen.emplace(topic.name, number(partition)).second || any;
  });
  return any;
}

// Kept by the connection until it is done. On the connection's thread, but for Reply.
template <typename Result>
class Gather : public std::enable_shared_from_this<Gather<Result>> {
 public:
  // Of those that have not answered by then, nothing.
  using Done = std::move_only_function<void(std::vector<std::optional<Result>>)>;
  // Carries an answer from the thread of the partition.
  class Reply {
   public:
    Reply(std::weak_ptr<Gather> gather, ShardThread& owner, ShardId to, std::size_t place)
        : gather_(std::move(gather)), owner_(&owner), to_(to), place_(place) {}
    void operator()(Result result) {
      owner_->send_to(to_, [gather = std::move(gather_), place = place_,
                            result = std::move(result)](ShardThread&) mutable {
        if (const auto gathering = gather.lock()) gathering->take(place, std::move(result));
      });
    }

   private:
    std::weak_ptr<Gather> gather_;
    ShardThread* owner_;
    ShardId to_;
    std::size_t place_;
  };

  static std::shared_ptr<Gather> begin(Connection& connection, std::size_t count, Done done) {
    auto gather = std::make_shared<Gather>();
    gather->connection_ = connection.weak_from_this();
    gather->results_.resize(count);
    gather->missing_ = count + 1;  // one more until all have been asked
    gather->done_ = std::move(done);
    connection.keep(gather);
    return gather;
  }
  // Calls task(owner, reply) on the partition's thread, while it has its shard.
  template <typename Task>
  void ask(ShardThread& thread, PartitionId partition, std::size_t place, Task task) {
    const ShardId shard = shard_of_partition(partition, thread.node().shards);
    thread.send_to(shard, [weak = this->weak_from_this(), from = thread.id(), place,
                           task = std::move(task)](ShardThread& owner) mutable {
      owner.lease().when_free(
          [&owner, reply = Reply(std::move(weak), owner, from, place),
           task = std::move(task)]() mutable { task(owner, std::move(reply)); });
    });
  }
  void take(std::size_t place, Result result) {
    if (finished_ || results_[place]) return;
    results_[place] = std::move(result);
    if (--missing_ == 0) finish();
  }
  // All have been asked.
  void asked() {
    if (!finished_ && --missing_ == 0) finish();
  }
  void finish() {
    if (std::exchange(finished_, true)) return;
    const auto self = this->shared_from_this();
    if (const auto connection = connection_.lock()) connection->release(self);
    Done done = std::move(done_);
    done(std::move(results_));
  }

 private:
  std::weak_ptr<Connection> connection_;
  std::vector<std::optional<Result>> results_;
  std::size_t missing_ = 0;
  bool finished_ = false;
  Done done_;
};

}  // namespace even::kafka
