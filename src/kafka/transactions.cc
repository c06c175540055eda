#include "kafka/transactions.h"

#include <algorithm>

#include "engine/command.h"
#include "kafka/apis.h"
#include "kafka/connection.h"
#include "kafka/coordinator.h"
#include "kafka/partitions.h"
#include "kafka/rights.h"
#include "node/shard_thread.h"

namespace even::kafka {
namespace {

using TransactionError = topic::TransactionError;

constexpr std::int64_t kTransactionsTickUs = 20'000;
constexpr std::int64_t kLookUs = 250'000;
constexpr std::int64_t kAskMs = 2'000;
// As by default in Kafka (transaction.max.timeout.ms).
constexpr std::int32_t kMostTimeoutMs = 900'000;
// From this version on, of each request, clients know PRODUCER_FENCED.
constexpr int kFirstWithFenced = 2;
constexpr int kFirstInitWithFenced = 4;

std::optional<GroupKey> key_in(ShardThread& thread, const char* keyspace, const char* prefix,
                               std::string_view name) {
  if (thread.keyspaces().find(keyspace) == nullptr) return std::nullopt;
  std::string key = std::string(prefix).append(name);
  const PartitionId group =
      thread.keyspaces().partition_of(key, thread.node().placement.partitions());
  return GroupKey{group, std::move(key)};
}

OwnedRequest owned(const std::vector<std::string>& words) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  // What is no command of clients is known to the group.
  const Command* command = find_command(views);
  return OwnedRequest::copy(command == nullptr ? *find_command("even.topic") : *command, views,
                            false, {});
}

bool is_read(const std::vector<std::string>& words) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  const Command* command = find_command(views);
  return command != nullptr && !may_write(*command);
}

ErrorCode error_for(TransactionError error, bool knows_fenced) {
  return error == TransactionError::kFenced && !knows_fenced ? ErrorCode::kInvalidProducerEpoch
                                                             : transaction_error_code(error);
}

// Calls task(coordinator, reply) where the row of a transactional id is led, which has to be here;
// then finish(result).
template <typename Result, typename Task, typename Finish>
void ask_transactions(const Call& call, const std::string& id, Result otherwise, Task task,
                      Finish finish) {
  ShardThread& thread = call.connection.thread();
  auto gather = Gather<Result>::begin(
      call.connection, 1,
      [finish = std::move(finish)](std::vector<std::optional<Result>> results) mutable {
        finish(std::move(*results[0]));
      });
  const auto row = key_in(thread, kTransactionsKeyspace, kTransactionsPrefix, id);
  if (!row) {
    gather->take(0, std::move(otherwise));
  } else {
    gather->ask(thread, row->group, 0,
                [group = row->group, otherwise = std::move(otherwise), task = std::move(task)](
                    ShardThread& owner, auto reply) mutable {
                  if (owner.shard().leader_of(group) != owner.node().number) {
                    return reply(std::move(otherwise));
                  }
                  task(owner.coordinator().transactions().coordinator(), std::move(reply));
                });
  }
  gather->asked();
}

}  // namespace

ErrorCode transaction_error_code(TransactionError error) {
  switch (error) {
    case TransactionError::kNone:
      return ErrorCode::kNone;
    case TransactionError::kUnavailable:
      return ErrorCode::kCoordinatorNotAvailable;
    case TransactionError::kConcurrent:
      return ErrorCode::kConcurrentTransactions;
    case TransactionError::kFenced:
      return ErrorCode::kProducerFenced;
    case TransactionError::kUnknownProducer:
      return ErrorCode::kInvalidProducerIdMapping;
    case TransactionError::kInvalidState:
      return ErrorCode::kInvalidTxnState;
    case TransactionError::kNotMember:
      return ErrorCode::kIllegalGeneration;
  }
  return ErrorCode::kUnknownServerError;
}

// --- The world of a coordinator

void Transactions::tick(std::int64_t now_us) {
  if (now_us < next_us_ || thread_.lease().lent()) return;
  next_us_ = now_us + kTransactionsTickUs;
  if (now_us >= next_look_us_) {
    next_look_us_ = now_us + kLookUs;
    look_who_leads();
    verification_.forget(now_us);
  }
  coordinator_.tick();
}

void Transactions::look_who_leads() {
  const cluster::Keyspace* keyspace = thread_.keyspaces().find(kTransactionsKeyspace);
  if (keyspace == nullptr) return;
  for (const GroupStatus& status : thread_.shard().groups()) {
    if (thread_.keyspaces().of_partition(status.group) != keyspace) continue;
    status.leads ? coordinator_.lead(status.group, status.term) : coordinator_.leave(status.group);
  }
}

void Transactions::ask(Request request, std::move_only_function<void(std::string reply)> done) {
  if (request.here) return ask_here(std::move(request), std::move(done));
  StrongCall call{.group = request.group, .deadline_ms = kAskMs};
  call.writes = !std::ranges::all_of(request.commands, is_read);
  if (request.watched.empty() && request.commands.size() == 1) {
    call.request = owned(request.commands[0]);
  } else {
    for (const auto& words : request.commands) call.request.parts.push_back(owned(words));
    if (!request.watched.empty()) {
      OwnedRequest& watched = call.request.watched.emplace_back(owned(request.watched));
      watched.watch_reply = std::move(request.watched_reply);
    }
  }
  thread_.strong().submit(std::move(call),
                          [done = std::move(done)](std::string reply, consensus::Index) mutable {
                            done(std::move(reply));
                          });
}

// Proposed right now, or not at all.
void Transactions::ask_here(Request request,
                            std::move_only_function<void(std::string reply)> done) {
  struct Kept {
    Request request;
    std::vector<std::vector<std::string_view>> views;
  };
  auto kept = std::make_shared<Kept>(Kept{std::move(request), {}});
  const auto view = [&kept](const std::vector<std::string>& words) -> Args {
    return kept->views.emplace_back(words.begin(), words.end());
  };
  StrongRequest strong;
  strong.group = kept->request.group;
  strong.transaction = true;
  kept->views.reserve(kept->request.commands.size() + 1);
  for (const auto& words : kept->request.commands) strong.commands.push_back(view(words));
  strong.watched.push_back({view(kept->request.watched), kept->request.watched_reply});
  auto take = [kept, done = std::move(done)](StrongOutcome outcome) mutable {
    const bool known = outcome.kind == StrongOutcome::Kind::kReply;
    done(known ? std::move(outcome.reply) : "-UNAVAILABLE\r\n");
  };
  thread_.lease().when_free([this, strong = std::move(strong), take = std::move(take)]() mutable {
    thread_.shard().execute_strong(std::move(strong), std::move(take));
  });
}

std::int64_t Transactions::now_ms() { return thread_.clock().wall_ms(); }

void Transactions::take_producer_id(
    std::move_only_function<void(std::optional<std::int64_t>)> done) {
  thread_.coordinator().producer_ids().take(std::move(done));
}

std::optional<GroupKey> Transactions::row_of(std::string_view transactional_id) {
  return key_in(thread_, kTransactionsKeyspace, kTransactionsPrefix, transactional_id);
}

std::optional<GroupKey> Transactions::offsets_of(std::string_view consumer_group) {
  return key_in(thread_, kOffsetsKeyspace, kOffsetsPrefix, consumer_group);
}

bool Transactions::is_dropped(PartitionId partition) {
  return thread_.keyspaces().was_dropped(partition);
}

// --- Requests

void give_transactional_id(const Call& call, const InitProducerIdRequest& request,
                           Done<InitProducerIdResponse> done) {
  const auto refuse = [&done](ErrorCode error) { done({.error_code = code(error)}); };
  if (!may_use_transactional_id(call.connection, *request.transactional_id)) {
    return refuse(ErrorCode::kTransactionalIdAuthorizationFailed);
  }
  if (request.transactional_id->empty()) return refuse(ErrorCode::kInvalidRequest);
  if (request.transaction_timeout_ms <= 0 || request.transaction_timeout_ms > kMostTimeoutMs) {
    return refuse(ErrorCode::kInvalidTransactionTimeout);
  }
  std::optional<topic::Producer> itself;
  if (request.producer_id >= 0) itself = {request.producer_id, request.producer_epoch};
  ask_transactions<InitProducerIdResponse>(
      call, *request.transactional_id, {.error_code = code(ErrorCode::kNotCoordinator)},
      [id = *request.transactional_id, timeout_ms = request.transaction_timeout_ms, itself,
       knows_fenced = call.version >= kFirstInitWithFenced](TransactionCoordinator& coordinator,
                                                            auto reply) mutable {
        coordinator.give_id(id, timeout_ms, itself,
                            [reply = std::move(reply), knows_fenced](
                                TransactionError error, topic::Producer producer) mutable {
                              if (error != TransactionError::kNone) {
                                return reply({.error_code = code(error_for(error, knows_fenced))});
                              }
                              reply({.producer_id = producer.id, .producer_epoch = producer.epoch});
                            });
      },
      [done = std::move(done)](InitProducerIdResponse response) mutable {
        done(std::move(response));
      });
}

void handle(const Call& call, const AddPartitionsToTxnRequest& request,
            Done<AddPartitionsToTxnResponse> done) {
  ShardThread& thread = call.connection.thread();
  AddPartitionsToTxnResponse response;
  std::vector<PartitionId> partitions;
  bool any_refused = false;
  const bool may_transact = may_use_transactional_id(call.connection, request.transactional_id);
  for (const auto& topic : request.topics) {
    auto& out = response.results.emplace_back();
    out.name = topic.name;
    for (const std::int32_t number : topic.partitions) {
      auto& each = out.results.emplace_back();
      each.partition_index = number;
      const auto partition = find_partition(thread, topic.name, number);
      if (!may_transact) {
        each.error_code = code(ErrorCode::kTransactionalIdAuthorizationFailed);
        any_refused = true;
      } else if (!may_produce(call.connection, topic.name)) {
        each.error_code = code(ErrorCode::kTopicAuthorizationFailed);
        any_refused = true;
      } else if (!partition) {
        each.error_code = code(ErrorCode::kUnknownTopicOrPartition);
        any_refused = true;
      } else {
        partitions.push_back(*partition);
      }
    }
  }
  auto answer = [response = std::move(response), done = std::move(done)](ErrorCode error) mutable {
    for (auto& topic : response.results) {
      for (auto& partition : topic.results) {
        if (partition.error_code == 0) partition.error_code = code(error);
      }
    }
    done(std::move(response));
  };
  // All are added, or none is.
  if (any_refused) return answer(ErrorCode::kOperationNotAttempted);
  ask_transactions<ErrorCode>(
      call, request.transactional_id, ErrorCode::kNotCoordinator,
      [id = request.transactional_id,
       producer = topic::Producer{request.producer_id, request.producer_epoch},
       partitions = std::move(partitions), knows_fenced = call.version >= kFirstWithFenced](
          TransactionCoordinator& coordinator, auto reply) mutable {
        coordinator.add(id, producer, std::move(partitions), {},
                        [reply = std::move(reply), knows_fenced](TransactionError error) mutable {
                          reply(error_for(error, knows_fenced));
                        });
      },
      std::move(answer));
}

void handle(const Call& call, const AddOffsetsToTxnRequest& request,
            Done<AddOffsetsToTxnResponse> done) {
  if (!may_use_transactional_id(call.connection, request.transactional_id)) {
    return done({.error_code = code(ErrorCode::kTransactionalIdAuthorizationFailed)});
  }
  if (!may_join_group(call.connection, request.group_id)) {
    return done({.error_code = code(ErrorCode::kGroupAuthorizationFailed)});
  }
  if (request.group_id.empty()) return done({.error_code = code(ErrorCode::kInvalidGroupId)});
  ask_transactions<ErrorCode>(
      call, request.transactional_id, ErrorCode::kNotCoordinator,
      [id = request.transactional_id,
       producer = topic::Producer{request.producer_id, request.producer_epoch},
       group = request.group_id, knows_fenced = call.version >= kFirstWithFenced](
          TransactionCoordinator& coordinator, auto reply) mutable {
        coordinator.add(id, producer, {}, {group},
                        [reply = std::move(reply), knows_fenced](TransactionError error) mutable {
                          reply(error_for(error, knows_fenced));
                        });
      },
      [done = std::move(done)](ErrorCode error) mutable { done({.error_code = code(error)}); });
}

void handle(const Call& call, const EndTxnRequest& request, Done<EndTxnResponse> done) {
  if (!may_use_transactional_id(call.connection, request.transactional_id)) {
    return done({.error_code = code(ErrorCode::kTransactionalIdAuthorizationFailed)});
  }
  ask_transactions<ErrorCode>(
      call, request.transactional_id, ErrorCode::kNotCoordinator,
      [id = request.transactional_id,
       producer = topic::Producer{request.producer_id, request.producer_epoch},
       commit = request.committed, knows_fenced = call.version >= kFirstWithFenced](
          TransactionCoordinator& coordinator, auto reply) mutable {
        coordinator.end(id, producer, commit,
                        [reply = std::move(reply), knows_fenced](TransactionError error) mutable {
                          reply(error_for(error, knows_fenced));
                        });
      },
      [done = std::move(done)](ErrorCode error) mutable { done({.error_code = code(error)}); });
}

}  // namespace even::kafka
