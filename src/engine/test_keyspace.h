// A keyspace in memory for tests: owns the partitions of one imaginary replica, begins records, and
// commits what a command wrote as the real executor does, by joining it. Two of them become
// concurrent replicas: merge() takes in all that another one holds.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "engine/command.h"
#include "engine/keyspace.h"

namespace even {

class TestKeyspace final : public Keyspace {
 public:
  explicit TestKeyspace(NodeNumber node = 1, PartitionId partitions = 16)
      : replica_(ReplicaId::make(node, node * 1000 + 7)),
        states_(partitions),
        ids_(partitions),
        random_(node) {
    std::iota(ids_.begin(), ids_.end(), PartitionId{0});
  }

  PartitionId partition_of(std::string_view key) const override {
    return static_cast<PartitionId>(hash64(key) % states_.size());
  }
  PartitionId partition_count() const override { return static_cast<PartitionId>(ids_.size()); }
  std::span<const PartitionId> partitions() const override { return ids_; }
  const PartitionState& state(PartitionId partition) const override { return states_[partition]; }
  Record begin(PartitionId partition, const WriteIntent&) override {
    return Record::begin(partition, replica_, clock_.tick(now_ms), states_[partition].vector());
  }
  std::vector<NodeNumber> replicas(PartitionId) const override {
    return replicated_ ? std::vector<NodeNumber>{1, 2, 3} : std::vector<NodeNumber>{1};
  }
  ReplicaId replica() const override { return replica_; }
  bool keeps_siblings(std::string_view key) const override { return key.starts_with("sib"); }
  bool replicated(PartitionId) const override { return replicated_; }
  bool draws_by_content() const override { return by_content; }
  std::uint64_t max_memory() const override { return memory_limit; }
  void set_replicated(bool replicated) { replicated_ = replicated; }

  std::uint64_t memory_limit = 0;  // see Keyspace::max_memory()
  bool by_content = false;         // see Keyspace::draws_by_content()

  // Executes one command as a server does and returns its reply.
  std::string run(Args args) {
    std::string out;
    Reply reply(out, resp3);
    const Command* command = args.empty() ? nullptr : find_command(args);
    if (command == nullptr) {
      reply.error(unknown_command(args));
      return out;
    }
    if (const std::string error = check_arity(*command, args); !error.empty()) {
      reply.error(error);
      return out;
    }
    if (command->handler == nullptr) {
      reply.error("ERR this command belongs to the server");
      return out;
    }
    return run(command->handler, args);
  }
  // The same of what is not in the command table.
  std::string run(Handler handler, Args args) {
    std::string out;
    Reply reply(out, resp3);
    run(handler, args, reply);
    return out;
  }
  void run(Handler handler, Args args, Reply& reply) {
    Context context(*this, reply, random_, now_ms);
    handler(context, args);
    if (context.refused()) return;
    for (const auto& write : context.writes()) {
      states_[write.record.partition].join(write.record.delta, write.record.context);
      ++records;
    }
  }
  std::string run(std::initializer_list<std::string_view> words) {
    return run(Args(words.begin(), words.size()));
  }

  void merge(const TestKeyspace& other) {
    clock_.observe(other.clock_.last(), now_ms);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      states_[i].join(other.states_[i].describe(), other.states_[i].vector());
    }
  }
  // Drops what only concurrent writers could still need.
  void collect_residue() {
    for (int generation = 0; generation < 2; ++generation) {
      for (PartitionState& state : states_) state.collect_residue(VersionVector(state.vector()));
    }
  }
  std::size_t live_keys() const {
    std::size_t keys = 0;
    for (const PartitionState& state : states_) keys += state.live_keys();
    return keys;
  }
  // Also those that are not a key to anybody.
  std::size_t objects() const {
    std::size_t count = 0;
    for (const PartitionState& state : states_) count += state.object_count();
    return count;
  }
  bool digests_hold() const {
    return std::all_of(states_.begin(), states_.end(), [](const PartitionState& state) {
      return state.digest() == state.recompute_digest();
    });
  }

  std::int64_t now_ms = 1'700'000'000'000;
  bool resp3 = false;
  std::size_t records = 0;  // made so far

 private:
  ReplicaId replica_;
  bool replicated_ = true;
  std::vector<PartitionState> states_;
  std::vector<PartitionId> ids_;
  HybridClock clock_{500};
  Random random_;
};

}  // namespace even
