// Consumer groups: the members' joining, and offsets.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "kafka/apis.h"
#include "kafka/group_requests.h"
#include "kafka/rights.h"

namespace even::kafka {
namespace {

// Kafka: group.min.session.timeout.ms and its like.
constexpr std::int32_t kLeastSessionMs = 6'000;
constexpr std::int32_t kMostSessionMs = 1'800'000;
constexpr std::size_t kMostMetadata = 4'096;  // offset.metadata.max.bytes

std::int64_t to_us(std::int32_t ms) { return std::int64_t{ms} * 1'000; }

}  // namespace

std::optional<PartitionId> partition_of_group(ShardThread& thread, const std::string& group) {
  if (thread.keyspaces().find(kOffsetsKeyspace) == nullptr) return std::nullopt;
  return thread.keyspaces().partition_of(key_of_group(group), thread.node().placement.partitions());
}

// --- Members

void handle(const Call& call, const JoinGroupRequest& request, Done<JoinGroupResponse> done) {
  constexpr int kAsksFirst = 4;  // from this version on
  ShardThread& thread = call.connection.thread();
  const auto refuse = [&](ErrorCode error) {
    done({.error_code = code(error), .member_id = request.member_id});
  };
  if (!may_join_group(call.connection, request.group_id)) {
    return refuse(ErrorCode::kGroupAuthorizationFailed);
  }
  if (request.group_id.empty()) return refuse(ErrorCode::kInvalidGroupId);
  if (request.session_timeout_ms < kLeastSessionMs || request.session_timeout_ms > kMostSessionMs) {
    return refuse(ErrorCode::kInvalidSessionTimeout);
  }
  ConsumerGroup::Join join;
  join.member_id = request.member_id;
  join.new_id = fmt::format("{}-{:016x}{:016x}", call.client_id.substr(0, 200),
                            thread.random().next(), thread.random().next());
  join.protocol_type = request.protocol_type;
  for (const auto& protocol : request.protocols) {
    join.protocols.push_back({protocol.name, std::string(protocol.metadata.bytes())});
  }
  join.session_us = to_us(request.session_timeout_ms);
  // Before there was a timeout of its own, that of the session was used.
  join.rebalance_us = to_us(std::clamp(
      request.rebalance_timeout_ms < 0 ? request.session_timeout_ms : request.rebalance_timeout_ms,
      1, kMostSessionMs));
  join.asks_first = call.version >= kAsksFirst;
  join.instance = request.group_instance_id;
  join.client_id = call.client_id;
  join.client_host = call.connection.remote_host();
  ask_coordinator<ConsumerGroup::Joined>(
      call, request.group_id, {.error = ErrorCode::kNotCoordinator},
      [join = std::move(join)](ShardThread& owner, ConsumerGroup& group, PartitionId, auto reply) {
        group.join(owner.clock().monotonic_us(), join,
                   [reply = std::move(reply)](ConsumerGroup::Joined joined) mutable {
                     reply(std::move(joined));
                   });
      },
      [done = std::move(done)](ConsumerGroup::Joined joined) mutable {
        JoinGroupResponse response;
        response.error_code = code(joined.error);
        response.generation_id = joined.generation;
        response.protocol_name = std::move(joined.protocol);
        response.leader = std::move(joined.leader);
        response.member_id = std::move(joined.member_id);
        for (std::size_t i = 0; i < joined.members.size(); ++i) {
          auto& [id, metadata] = joined.members[i];
          auto& member = response.members.emplace_back();
          member.member_id = id;
          member.group_instance_id = joined.instances[i];
          member.metadata = Blob::of(std::move(metadata));
        }
        done(std::move(response));
      });
}

void handle(const Call& call, const SyncGroupRequest& request, Done<SyncGroupResponse> done) {
  if (!may_join_group(call.connection, request.group_id)) {
    return done({.error_code = code(ErrorCode::kGroupAuthorizationFailed)});
  }
  std::vector<std::pair<std::string, std::string>> assignments;
  for (const auto& each : request.assignments) {
    assignments.emplace_back(each.member_id, each.assignment.bytes());
  }
  ask_coordinator<ConsumerGroup::Synced>(
      call, request.group_id, {.error = ErrorCode::kNotCoordinator},
      [member = request.member_id, instance = request.group_instance_id,
       generation = request.generation_id, assignments = std::move(assignments)](
          ShardThread& owner, ConsumerGroup& group, PartitionId partition, auto reply) {
        const ErrorCode fenced = group.fence(instance, member);
        if (fenced != ErrorCode::kNone) return reply({.error = fenced});
        group.sync(
            owner.clock().monotonic_us(), member, generation, assignments,
            [&owner, partition, reply = std::move(reply)](ConsumerGroup::Synced synced) mutable {
              if (synced.error != ErrorCode::kNone) return reply(std::move(synced));
              // It may have been asked for again, long after it was stored.
              owner.coordinator().groups().confirm(
                  partition,
                  [reply = std::move(reply), synced = std::move(synced)](ErrorCode error) mutable {
                    if (error != ErrorCode::kNone) synced = {.error = error};
                    reply(std::move(synced));
                  });
            });
      },
      [done = std::move(done)](ConsumerGroup::Synced synced) mutable {
        done({.error_code = code(synced.error),
              .assignment = Blob::of(std::move(synced.assignment))});
      });
}

void handle(const Call& call, const HeartbeatRequest& request, Done<HeartbeatResponse> done) {
  if (!may_join_group(call.connection, request.group_id)) {
    return done({.error_code = code(ErrorCode::kGroupAuthorizationFailed)});
  }
  ask_coordinator<ErrorCode>(
      call, request.group_id, ErrorCode::kNotCoordinator,
      [member = request.member_id, instance = request.group_instance_id,
       generation = request.generation_id](ShardThread& owner, ConsumerGroup& group,
                                           PartitionId partition, auto reply) {
        ErrorCode error = group.fence(instance, member);
        if (error == ErrorCode::kNone) {
          error = group.heartbeat(owner.clock().monotonic_us(), member, generation);
        }
        if (error != ErrorCode::kNone) return reply(error);
        // Who has been succeeded without knowing must not keep a member that is none any more.
        owner.coordinator().groups().confirm(
            partition, [reply = std::move(reply)](ErrorCode error) mutable { reply(error); });
      },
      [done = std::move(done)](ErrorCode error) mutable { done({.error_code = code(error)}); });
}

void handle(const Call& call, const LeaveGroupRequest& request, Done<LeaveGroupResponse> done) {
  if (!may_join_group(call.connection, request.group_id)) {
    return done({.error_code = code(ErrorCode::kGroupAuthorizationFailed)});
  }
  constexpr int kManyLeave = 3;  // from this version on
  if (call.version < kManyLeave) {
    return ask_coordinator<ErrorCode>(
        call, request.group_id, ErrorCode::kNotCoordinator,
        [member = request.member_id](ShardThread& owner, ConsumerGroup& group, PartitionId,
                                     auto reply) {
          reply(group.leave(owner.clock().monotonic_us(), member));
        },
        [done = std::move(done)](ErrorCode error) mutable { done({.error_code = code(error)}); });
  }
  ask_coordinator<LeaveGroupResponse>(
      call, request.group_id, {.error_code = code(ErrorCode::kNotCoordinator)},
      [members = request.members](ShardThread& owner, ConsumerGroup& group, PartitionId,
                                  auto reply) {
        LeaveGroupResponse response;
        for (const auto& each : members) {
          auto& left = response.members.emplace_back();
          left.member_id = each.member_id;
          left.group_instance_id = each.group_instance_id;
          left.error_code = code(
              group.leave(owner.clock().monotonic_us(), each.member_id, each.group_instance_id));
        }
        reply(std::move(response));
      },
      [done = std::move(done)](LeaveGroupResponse response) mutable { done(std::move(response)); });
}

// --- Offsets

namespace {

std::string field_of(const std::string& topic, std::int32_t partition) {
  return fmt::format("{}/{}", topic, partition);
}

struct Committed {
  std::int64_t offset = -1;
  std::int32_t epoch = -1;
  std::string metadata;
};
std::string encode(const Committed& committed) {
  return fmt::format("{} {} {}", committed.offset, committed.epoch, committed.metadata);
}
std::optional<Committed> decode(std::string_view text) {
  Committed committed;
  const char* end = text.data() + text.size();
  const auto offset = std::from_chars(text.data(), end, committed.offset);
  if (offset.ec != std::errc() || offset.ptr == end || *offset.ptr != ' ') return std::nullopt;
  const auto epoch = std::from_chars(offset.ptr + 1, end, committed.epoch);
  if (epoch.ec != std::errc() || epoch.ptr == end || *epoch.ptr != ' ') return std::nullopt;
  committed.metadata.assign(epoch.ptr + 1, end);
  return committed;
}

struct FetchedOffsets {
  ErrorCode error = ErrorCode::kNone;
  std::vector<std::string> fields;  // and values, in turn
};

// How long who asks for offsets waits while a transaction is about to commit some of them.
constexpr std::int64_t kPendingPatienceUs = 10'000'000;
constexpr auto kLookAgain = std::chrono::milliseconds(20);

bool any_pending(const std::vector<std::string>& fields) {
  for (std::size_t i = 1; i < fields.size(); i += 2) {
    const auto pending = topic::PendingOffsets::decode(fields[i]);
    if (pending && !pending->offsets.empty()) return true;
  }
  return false;
}

// What is pending first: what is not any more has come to the offsets by then. Behind what former
// members have been allowed to add before this one joined.
void fetch_offsets(ShardThread& owner, PartitionId partition, const std::string& group,
                   std::int64_t until_us, Gather<FetchedOffsets>::Reply reply) {
  auto offsets = [&owner, partition,
                  key = key_of_group(group)](Gather<FetchedOffsets>::Reply reply) {
    execute_at(owner, partition, {"hgetall", key},
               [reply = std::move(reply)](const StrongOutcome& outcome) mutable {
                 FetchedOffsets fetched{error_of(outcome), {}};
                 if (fetched.error == ErrorCode::kNone) fetched.fields = strings_of(outcome.reply);
                 reply(std::move(fetched));
               });
  };
  execute_at(
      owner, partition, {"hgetall", pending_offsets_key(group)},
      [&owner, partition, group, until_us, offsets,
       reply = std::move(reply)](const StrongOutcome& outcome) mutable {
        if (const ErrorCode error = error_of(outcome); error != ErrorCode::kNone) {
          return reply({error, {}});
        }
        if (!any_pending(strings_of(outcome.reply))) return offsets(std::move(reply));
        if (owner.clock().monotonic_us() >= until_us) {
          return reply({ErrorCode::kCoordinatorLoadInProgress, {}});
        }
        auto timer = std::make_shared<asio::steady_timer>(owner.io(), kLookAgain);
        timer->async_wait([&owner, partition, group, until_us, timer,
                           reply = std::move(reply)](error_code error) mutable {
          if (error) return;
          owner.lease().when_free(
              [&owner, partition, group, until_us, reply = std::move(reply)]() mutable {
                fetch_offsets(owner, partition, group, until_us, std::move(reply));
              });
        });
      },
      true);
}

}  // namespace

void handle(const Call& call, const TxnOffsetCommitRequest& request,
            Done<TxnOffsetCommitResponse> done) {
  ShardThread& thread = call.connection.thread();
  TxnOffsetCommitResponse response;
  const ErrorCode refusal = !may_use_transactional_id(call.connection, request.transactional_id)
                                ? ErrorCode::kTransactionalIdAuthorizationFailed
                            : !may_join_group(call.connection, request.group_id)
                                ? ErrorCode::kGroupAuthorizationFailed
                                : ErrorCode::kNone;
  TransactionCoordinator::Offsets offsets;
  for (const auto& topic : request.topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      auto& each = out.partitions.emplace_back();
      each.partition_index = partition.partition_index;
      const Committed committed{partition.committed_offset, partition.committed_leader_epoch,
                                partition.committed_metadata.value_or("")};
      if (refusal != ErrorCode::kNone) {
        each.error_code = code(refusal);
      } else if (!may_fetch(call.connection, topic.name)) {
        each.error_code = code(ErrorCode::kTopicAuthorizationFailed);
      } else if (!find_partition(thread, topic.name, partition.partition_index)) {
        each.error_code = code(ErrorCode::kUnknownTopicOrPartition);
      } else if (committed.metadata.size() > kMostMetadata) {
        each.error_code = code(ErrorCode::kOffsetMetadataTooLarge);
      } else {
        offsets.emplace_back(field_of(topic.name, partition.partition_index), encode(committed));
      }
    }
  }
  if (offsets.empty()) return done(std::move(response));
  using topic::TransactionError;
  ask_coordinator<ErrorCode>(
      call, request.group_id, ErrorCode::kNotCoordinator,
      [id = request.transactional_id, group_id = request.group_id,
       producer = topic::Producer{request.producer_id, request.producer_epoch},
       member = request.member_id, instance = request.group_instance_id,
       generation = request.generation_id, offsets = std::move(offsets)](
          ShardThread& owner, ConsumerGroup&, PartitionId partition, auto reply) mutable {
        // Whoever says nothing of a place in the group is not asked for one, as in Kafka.
        auto refusal = std::make_shared<ErrorCode>(ErrorCode::kNone);
        auto may = [&owner, partition, group_id, member, instance, generation, refusal] {
          if (generation < 0 && member.empty()) return true;
          ConsumerGroup* group = owner.coordinator().groups().find(partition, group_id);
          *refusal = group == nullptr ? ErrorCode::kNotCoordinator : group->fence(instance, member);
          if (*refusal == ErrorCode::kNone) {
            *refusal = group->may_commit(owner.clock().monotonic_us(), member, generation);
          }
          return *refusal == ErrorCode::kNone;
        };
        owner.coordinator().transactions().coordinator().add_offsets(
            id, producer, group_id, std::move(offsets), std::move(may),
            [reply = std::move(reply), refusal](TransactionError error) mutable {
              reply(error == TransactionError::kNotMember ? *refusal
                    : error == TransactionError::kFenced  ? ErrorCode::kInvalidProducerEpoch
                                                          : transaction_error_code(error));
            });
      },
      [response = std::move(response), done = std::move(done)](ErrorCode error) mutable {
        for (auto& topic : response.topics) {
          for (auto& partition : topic.partitions) {
            if (partition.error_code == 0) partition.error_code = code(error);
          }
        }
        done(std::move(response));
      });
}

void handle(const Call& call, const OffsetCommitRequest& request, Done<OffsetCommitResponse> done) {
  ShardThread& thread = call.connection.thread();
  OffsetCommitResponse response;
  const ErrorCode refusal = may_join_group(call.connection, request.group_id)
                                ? ErrorCode::kNone
                                : ErrorCode::kGroupAuthorizationFailed;
  std::vector<std::string> command = {"hset", key_of_group(request.group_id)};
  for (const auto& topic : request.topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      auto& each = out.partitions.emplace_back();
      each.partition_index = partition.partition_index;
      Committed committed{partition.committed_offset, partition.committed_leader_epoch,
                          partition.committed_metadata.value_or("")};
      if (refusal != ErrorCode::kNone) {
        each.error_code = code(refusal);
      } else if (!may_fetch(call.connection, topic.name)) {
        each.error_code = code(ErrorCode::kTopicAuthorizationFailed);
      } else if (!find_partition(thread, topic.name, partition.partition_index)) {
        each.error_code = code(ErrorCode::kUnknownTopicOrPartition);
      } else if (committed.metadata.size() > kMostMetadata) {
        each.error_code = code(ErrorCode::kOffsetMetadataTooLarge);
      } else {
        command.push_back(field_of(topic.name, partition.partition_index));
        command.push_back(encode(committed));
      }
    }
  }
  if (command.size() == 2) return done(std::move(response));
  ask_coordinator<ErrorCode>(
      call, request.group_id, ErrorCode::kNotCoordinator,
      [command = std::move(command), member = request.member_id,
       instance = request.group_instance_id, generation = request.generation_id](
          ShardThread& owner, ConsumerGroup& group, PartitionId partition, auto reply) mutable {
        ErrorCode error = group.fence(instance, member);
        if (error == ErrorCode::kNone) {
          error = group.may_commit(owner.clock().monotonic_us(), member, generation);
        }
        if (error != ErrorCode::kNone) return reply(error);
        execute_at(owner, partition, std::move(command),
                   [reply = std::move(reply)](const StrongOutcome& outcome) mutable {
                     reply(error_of(outcome));
                   });
      },
      [response = std::move(response), done = std::move(done)](ErrorCode error) mutable {
        for (auto& topic : response.topics) {
          for (auto& partition : topic.partitions) {
            if (partition.error_code == 0) partition.error_code = code(error);
          }
        }
        done(std::move(response));
      });
}

void handle(const Call& call, const OffsetFetchRequest& request, Done<OffsetFetchResponse> done) {
  constexpr int kFirstWithError = 2;
  if (!may_look_at_group(call.connection, request.group_id)) {
    OffsetFetchResponse refused;
    refused.error_code = code(ErrorCode::kGroupAuthorizationFailed);
    if (call.version < kFirstWithError && request.topics) {
      for (const auto& wanted : *request.topics) {
        auto& topic = refused.topics.emplace_back();
        topic.name = wanted.name;
        for (const std::int32_t partition : wanted.partition_indexes) {
          topic.partitions.push_back(
              {.partition_index = partition, .metadata = "", .error_code = refused.error_code});
        }
      }
    }
    return done(std::move(refused));
  }
  ask_coordinator<FetchedOffsets>(
      call, request.group_id, {ErrorCode::kNotCoordinator, {}},
      [group = request.group_id](ShardThread& owner, ConsumerGroup&, PartitionId partition,
                                 auto reply) {
        fetch_offsets(owner, partition, group, owner.clock().monotonic_us() + kPendingPatienceUs,
                      std::move(reply));
      },
      [request, version = call.version,
       done = std::move(done)](const FetchedOffsets& fetched) mutable {
        OffsetFetchResponse response;
        response.error_code = code(fetched.error);
        absl::btree_map<std::string, absl::btree_map<std::int32_t, Committed>> all;
        for (std::size_t i = 0; i + 1 < fetched.fields.size(); i += 2) {
          const std::string& field = fetched.fields[i];
          const std::size_t slash = field.rfind('/');
          const auto committed = decode(fetched.fields[i + 1]);
          std::int32_t partition = -1;
          if (slash == std::string::npos || !committed) continue;
          std::from_chars(field.data() + slash + 1, field.data() + field.size(), partition);
          all[field.substr(0, slash)][partition] = *committed;
        }
        const auto add = [&](auto& topic, std::int32_t partition) {
          auto& each = topic.partitions.emplace_back();
          const auto of_topic = all.find(topic.name);
          each.partition_index = partition;
          each.metadata = "";
          if (version < kFirstWithError) each.error_code = code(fetched.error);
          if (of_topic == all.end()) return;
          const auto found = of_topic->second.find(partition);
          if (found == of_topic->second.end()) return;
          each.committed_offset = found->second.offset;
          each.committed_leader_epoch = found->second.epoch;
          each.metadata = found->second.metadata;
        };
        if (request.topics) {
          for (const auto& wanted : *request.topics) {
            auto& topic = response.topics.emplace_back();
            topic.name = wanted.name;
            for (const std::int32_t partition : wanted.partition_indexes) add(topic, partition);
          }
        } else {
          for (const auto& [name, partitions] : all) {
            auto& topic = response.topics.emplace_back();
            topic.name = name;
            for (const auto& [partition, committed] : partitions) add(topic, partition);
          }
        }
        done(std::move(response));
      });
}

}  // namespace even::kafka
