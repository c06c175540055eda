// Transactions as a node's threads coordinate them: each those whose rows are in partitions that it
// has and its node leads. See docs/topic-transactions.md.
//
// On the shard's thread, while it has its shard.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "cluster/keyspace_table.h"
#include "kafka/verification.h"
#include "replica/transaction_coordinator.h"
#include "topic/kafka_error.h"

namespace even {
class ShardThread;
}

namespace even::kafka {

// The strong keyspace of their rows, and the prefix of a row's key, which goes on with the
// transactional id.
using cluster::kTransactionsKeyspace;
inline constexpr const char* kTransactionsPrefix = "__transactions:";

ErrorCode transaction_error_code(topic::TransactionError error);

class Transactions final : public TransactionWorld {
 public:
  explicit Transactions(ShardThread& thread) : thread_(thread) {}

  TransactionCoordinator& coordinator() { return coordinator_; }
  Verification& verification() { return verification_; }
  void tick(std::int64_t now_us);

  void ask(Request request, std::move_only_function<void(std::string reply)> done) override;
  std::int64_t now_ms() override;
  void take_producer_id(std::move_only_function<void(std::optional<std::int64_t>)> done) override;
  std::optional<GroupKey> row_of(std::string_view transactional_id) override;
  std::optional<GroupKey> offsets_of(std::string_view consumer_group) override;
  bool is_dropped(PartitionId partition) override;

 private:
  void look_who_leads();
  void ask_here(Request request, std::move_only_function<void(std::string reply)> done);

  ShardThread& thread_;
  TransactionCoordinator coordinator_{*this};
  Verification verification_{thread_, *this};
  std::int64_t next_us_ = 0;
  std::int64_t next_look_us_ = 0;
};

}  // namespace even::kafka
