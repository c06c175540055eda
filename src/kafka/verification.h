// Batches of transactions on their way into a partition: whether the transaction is open, and has
// the partition, its row is asked for the first batch of each; and the partition is told the
// transaction's number with each batch, so that none is appended behind the end of it. See
// docs/topic-transactions.md.
//
// On the thread of the partitions, while it has its shard.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "replica/strong.h"
#include "replica/transaction_coordinator.h"
#include "topic/record_batch.h"

namespace even {
class ShardThread;
}

namespace even::kafka {

class Verification {
 public:
  // What is referred to outlives this.
  Verification(ShardThread& thread, TransactionWorld& world) : thread_(thread), world_(world) {}

  // Appends a checked, transactional batch, of which it takes a copy; those of one producer and
  // partition in the order of these calls.
  void append(PartitionId partition, const std::string& transactional_id, std::string_view batch,
              StrongDone done);
  // From time to time.
  void forget(std::int64_t now_us);

 private:
  struct Waiting {
    std::shared_ptr<std::string> batch;
    std::int16_t epoch = -1;
    StrongDone done;
  };
  struct Slot {
    // Of the transaction that was found to be open last.
    std::int16_t epoch = -1;
    std::uint32_t number = 0;
    bool asking = false;
    std::deque<Waiting> waiting;
    std::int64_t used_us = 0;
  };
  // With the transactional id, since a batch may name a producer that the id is not of: nothing of
  // what that id may do is true of the other.
  struct Key {
    PartitionId partition = 0;
    std::int64_t producer = -1;
    std::string transactional_id;
    bool operator==(const Key&) const = default;
    template <typename H>
    friend H AbslHashValue(H hash, const Key& key) {
      return H::combine(std::move(hash), key.partition, key.producer, key.transactional_id);
    }
  };

  bool is_open(const Key& key, const Slot& slot, std::int16_t epoch);
  void ask(const Key& key);
  void take(const Key& key, const std::string& reply);
  void forward(const Key& key, std::uint32_t number, Waiting batch);

  ShardThread& thread_;
  TransactionWorld& world_;
  absl::flat_hash_map<Key, Slot> slots_;
};

}  // namespace even::kafka
