// FindCoordinator.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "cluster/placement.h"
#include "kafka/apis.h"
#include "kafka/group_requests.h"
#include "kafka/rights.h"
#include "node/keyspace_keys.h"
#include "node/table_change.h"

namespace even::kafka {
namespace {

constexpr std::uint16_t kOffsetsPartitions = 16;
constexpr std::uint16_t kTransactionsPartitions = 16;
constexpr std::int8_t kOfTransactions = 1;  // a key's type

// A client is answered that there is no coordinator only after so long: the keyspace is made within
// that, and a leader elected. librdkafka 2.0 asks three times within 200 ms, and then neither again
// nor tells who waits for it.
constexpr std::int64_t kPatienceUs = 3'000'000;
constexpr std::int64_t kMakeAgainUs = 1'000'000;
// It is looked through all keys, so not more often where there is something in the way.
constexpr std::int64_t kInTheWayUs = 10'000'000;
constexpr std::chrono::milliseconds kSearchAgain{25};

// Looks for a coordinator until there is one. Kept by the connection meanwhile.
class Search : public std::enable_shared_from_this<Search> {
 public:
  Search(Connection& connection, const FindCoordinatorRequest& request,
         Done<FindCoordinatorResponse> done)
      : connection_(connection),
        of_transactions_(request.key_type == kOfTransactions),
        key_(request.key),
        done_(std::move(done)),
        timer_(connection.thread().io()),
        until_us_(now_us() + kPatienceUs) {}

  void begin() {
    connection_.keep(shared_from_this());
    look();
  }

 private:
  std::int64_t now_us() const { return connection_.thread().clock().monotonic_us(); }

  void look() {
    ShardThread& thread = connection_.thread();
    const std::optional<PartitionId> partition = partition_of_key();
    if (!partition) {
      make_keyspace();
      const std::string& refusal = making().refusal;
      if (!refusal.empty()) {
        return finish(
            {.error_code = code(ErrorCode::kCoordinatorNotAvailable), .error_message = refusal});
      }
      return look_again("the keyspace that it is about is being made");
    }
    auto gather = Gather<NodeNumber>::begin(
        connection_, 1,
        [weak = weak_from_this()](const std::vector<std::optional<NodeNumber>>& leader) {
          if (const auto self = weak.lock()) self->take(*leader[0]);
        });
    gather->ask(thread, *partition, 0, [partition = *partition](ShardThread& owner, auto reply) {
      if (const auto leader = owner.shard().leader_of(partition)) return reply(*leader);
      // Who is no member takes it that the preferred node leads.
      const cluster::Keyspace* keyspace = owner.keyspaces().of_partition(partition);
      if (keyspace == nullptr) return reply(0);
      reply(cluster::replicas_of(owner.node().config.cluster, *keyspace, partition).front());
    });
    gather->asked();
  }

  std::optional<PartitionId> partition_of_key() {
    ShardThread& thread = connection_.thread();
    if (!of_transactions_) return partition_of_group(thread, key_);
    const auto row = thread.coordinator().transactions().row_of(key_);
    return row ? std::optional(row->group) : std::nullopt;
  }

  Coordinator::Making& making() {
    return connection_.thread().coordinator().making(of_transactions_);
  }

  // The first client ever has it made, unless that would hide keys.
  void make_keyspace() {
    if (now_us() < making().again_us) return;
    making().again_us = now_us() + kMakeAgainUs;
    ShardThread& thread = connection_.thread();
    cluster::Keyspace keyspace;
    keyspace.name = of_transactions_ ? kTransactionsKeyspace : kOffsetsKeyspace;
    keyspace.prefix = of_transactions_ ? kTransactionsPrefix : kOffsetsPrefix;
    keyspace.strong = true;
    keyspace.partitions = of_transactions_ ? kTransactionsPartitions : kOffsetsPartitions;
    keyspace.replicas = thread.node().config.cluster.replicas;
    keyspace.read = keyspace.write = {cluster::Level::Kind::kLinearizable};
    count_keys_to_hide(
        thread, keyspace.prefix,
        [&thread, keyspace, of_transactions = of_transactions_](const Result<std::uint64_t>& keys) {
          Coordinator::Making& making = thread.coordinator().making(of_transactions);
          making.refusal.clear();
          if (!keys) return;  // not at the moment
          if (*keys == 0) return create(thread, keyspace);
          making.again_us = thread.clock().monotonic_us() + kInTheWayUs;
          making.refusal = fmt::format(
              "there are {} keys under the prefix '{}' already, which the keyspace '{}' would "
              "hide: delete or rename them",
              *keys, keyspace.prefix, keyspace.name);
          spdlog::warn("a client of topics has no coordinator: {}", making.refusal);
        });
  }

  // Counts once more: others may have written keys meanwhile.
  static void create(ShardThread& thread, const cluster::Keyspace& keyspace) {
    create_in_table(thread, keyspace, [&thread, keyspace](const std::string& reply) {
      if (!reply.starts_with('+')) return;
      count_eventual_keys(thread, keyspace.prefix, [keyspace](const Result<std::uint64_t>& keys) {
        if (!keys || *keys == 0) return;
        spdlog::warn(
            "the keyspace '{}' has been created for topics, but {} keys that were written "
            "meanwhile under its prefix are hidden by it",
            keyspace.name, *keys);
      });
    });
  }

  void take(NodeNumber leader) {
    const cluster::Node* node = connection_.thread().node().config.cluster.find(leader);
    if (node == nullptr || node->kafka_port == 0) {
      return look_again("there is no coordinator at the moment");
    }
    finish(
        {.node_id = node->number, .host = host_of(*node, connection_), .port = node->kafka_port});
  }

  void look_again(const char* why) {
    if (now_us() >= until_us_) {
      return finish(
          {.error_code = code(ErrorCode::kCoordinatorNotAvailable), .error_message = why});
    }
    timer_.expires_after(kSearchAgain);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->look();
    });
  }

  void finish(FindCoordinatorResponse response) {
    const auto self = shared_from_this();
    connection_.release(self);
    done_(std::move(response));
  }

  Connection& connection_;  // which keeps this
  const bool of_transactions_;
  const std::string key_;
  Done<FindCoordinatorResponse> done_;
  asio::steady_timer timer_;
  const std::int64_t until_us_;
};

}  // namespace

void handle(const Call& call, const FindCoordinatorRequest& request,
            Done<FindCoordinatorResponse> done) {
  const auto refuse = [&](ErrorCode error, std::string message) {
    done({.error_code = code(error), .error_message = std::move(message)});
  };
  const bool of_transactions = request.key_type == kOfTransactions;
  if (request.key_type != 0 && !of_transactions) {
    return refuse(ErrorCode::kInvalidRequest, "there are coordinators of groups and transactions");
  }
  if (request.key.empty()) {
    return of_transactions ? refuse(ErrorCode::kInvalidRequest, "a transactional id has a name")
                           : refuse(ErrorCode::kInvalidGroupId, "a group has a name");
  }
  if (of_transactions ? !may_use_transactional_id(call.connection, request.key)
                      : !may_look_at_group(call.connection, request.key)) {
    return refuse(of_transactions ? ErrorCode::kTransactionalIdAuthorizationFailed
                                  : ErrorCode::kGroupAuthorizationFailed,
                  "the user may not use it");
  }
  std::make_shared<Search>(call.connection, request, std::move(done))->begin();
}

}  // namespace even::kafka
