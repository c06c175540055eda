// Metadata, CreateTopics, CreatePartitions and DeleteTopics: which topics there are, and where.
#include <algorithm>
#include <boost/asio/post.hpp>

#include "cluster/placement.h"
#include "cluster/topic_ranges.h"
#include "engine/cmd_meta.h"
#include "kafka/apis.h"
#include "kafka/partitions.h"
#include "kafka/rights.h"
#include "kafka/topic_config.h"
#include "node/gather.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"
#include "topic/kafka_error.h"

namespace even::kafka {
namespace {

// A topic of the table, to look at from other threads, too.
struct NumberedTopic {
  cluster::Keyspace topic;
  std::vector<PartitionId> partitions;  // by their numbers
};
using Statuses = std::vector<std::pair<PartitionId, TopicStatus>>;

MetadataResponse::Topic unknown_topic(const std::string& name) {
  MetadataResponse::Topic topic;
  topic.error_code = code(cluster::valid_topic_name(name) ? ErrorCode::kUnknownTopicOrPartition
                                                          : ErrorCode::kInvalidTopic);
  topic.name = name;
  return topic;
}

// As this node knows it: who is no member of a partition's group takes it that its preferred node
// leads.
MetadataResponse::Topic describe(const NumberedTopic& topic, const cluster::ClusterMap& map,
                                 const Statuses& statuses) {
  MetadataResponse::Topic out;
  out.name = topic.topic.name;
  for (const PartitionId id : topic.partitions) {
    const std::vector<NodeNumber> replicas = cluster::replicas_of(map, topic.topic, id);
    auto& partition = out.partitions.emplace_back();
    partition.partition_index = static_cast<std::int32_t>(out.partitions.size()) - 1;
    partition.replica_nodes.assign(replicas.begin(), replicas.end());
    partition.isr_nodes = partition.replica_nodes;
    const auto found =
        std::ranges::lower_bound(statuses, id, {}, [](const auto& each) { return each.first; });
    const bool known = found != statuses.end() && found->first == id;
    partition.leader_id = known ? found->second.leader : replicas.front();
    // That of the leader who is named. A term in which nobody is known to lead may never have a
    // leader, and clients would not look back from it.
    const bool led = known && partition.leader_id != 0;
    partition.leader_epoch = led ? static_cast<std::int32_t>(found->second.term) : -1;
    if (partition.leader_id != 0) continue;
    partition.leader_id = -1;
    partition.error_code = code(ErrorCode::kLeaderNotAvailable);
  }
  return out;
}

}  // namespace

std::optional<PartitionId> find_partition(const ShardThread& thread, std::string_view topic,
                                          std::int32_t partition) {
  return cluster::partition_of_topic(thread.keyspaces().topics(), topic, partition);
}

std::string host_of(const cluster::Node& node, const Connection& client) {
  const Config& config = client.thread().node().config;
  const bool alone = config.cluster.nodes.size() == 1;
  return alone && node.host == config.client.bind.front() && !client.local_host().empty()
             ? client.local_host()
             : node.host;
}

void handle(const Call& call, const MetadataRequest& request, Done<MetadataResponse> done) {
  ShardThread& thread = call.connection.thread();
  NodeContext& node = thread.node();
  const cluster::ClusterMap& map = node.config.cluster;
  MetadataResponse response;
  for (const cluster::Node& each : map.nodes) {
    if (each.kafka_port == 0) continue;
    response.brokers.push_back(
        {.node_id = each.number, .host = host_of(each, call.connection), .port = each.kafka_port});
  }
  response.cluster_id = map.id;
  response.controller_id = node.number;

  std::vector<NumberedTopic> topics;
  const auto add = [&](const cluster::Keyspace& topic) {
    topics.push_back(
        {topic, cluster::partitions_of_topic(thread.keyspaces().topics(), topic.name)});
  };
  const bool all = !request.topics || (call.version == 0 && request.topics->empty());
  if (all) {
    for (const cluster::Keyspace& topic : thread.keyspaces().topics()) {
      if (cluster::is_added_range(topic)) continue;
      if (may_know(call.connection, topic.name)) add(topic);
    }
  } else {
    absl::flat_hash_set<std::string_view> seen;
    for (const auto& wanted : *request.topics) {
      if (!seen.insert(wanted.name).second) continue;
      if (!may_know(call.connection, wanted.name)) {
        // Whether there is such a topic is not told.
        auto& refused = response.topics.emplace_back();
        refused.error_code = code(ErrorCode::kTopicAuthorizationFailed);
        refused.name = wanted.name;
      } else if (const auto* found = thread.keyspaces().find_topic(wanted.name)) {
        add(*found);
      } else {
        response.topics.push_back(unknown_topic(wanted.name));
      }
    }
  }
  if (topics.empty()) return done(std::move(response));

  const auto shared = std::make_shared<const std::vector<NumberedTopic>>(std::move(topics));
  // Its owner: what comes from other threads must not be the last to hold it.
  struct Work {
    MetadataResponse response;
    Done<MetadataResponse> done;
  };
  auto work = std::make_shared<Work>(Work{std::move(response), std::move(done)});
  call.connection.keep(work);
  gather<Statuses>(
      node,
      [shared](ShardThread& owner) {
        Statuses statuses;
        for (const NumberedTopic& topic : *shared) {
          for (const PartitionId id : topic.partitions) {
            const auto status = owner.shard().topic(id);
            if (status) statuses.emplace_back(id, *status);
          }
        }
        return statuses;
      },
      [&thread](auto task) { thread.post(std::move(task)); },
      [shared, &map, weak = std::weak_ptr(work),
       client = call.connection.weak_from_this()](const std::vector<Statuses>& threads) {
        const auto work = weak.lock();
        const auto connection = client.lock();
        if (!work || !connection) return;
        connection->release(work);
        Statuses statuses;
        for (const Statuses& each : threads) {
          statuses.insert(statuses.end(), each.begin(), each.end());
        }
        std::ranges::sort(statuses, {}, [](const auto& each) { return each.first; });
        for (const NumberedTopic& topic : *shared) {
          work->response.topics.push_back(describe(topic, map, statuses));
        }
        work->done(std::move(work->response));
      });
}

// --- Changes

namespace {

// Sets what is to be configured in `created`.
ErrorCode check(const CreateTopicsRequest::Topic& topic, cluster::Keyspace& created,
                std::string& message) {
  if (!cluster::valid_topic_name(topic.name)) {
    message = fmt::format("a topic's name is {}", cluster::kTopicNameRule);
    return ErrorCode::kInvalidTopic;
  }
  if (!topic.assignments.empty()) {
    message = "partitions are assigned to nodes by the cluster: leave assignments out";
    return ErrorCode::kInvalidReplicaAssignment;
  }
  if (topic.num_partitions != -1 &&
      (topic.num_partitions < 1 || topic.num_partitions > cluster::kSlots)) {
    message = fmt::format("a topic has 1 to {} partitions", cluster::kSlots);
    return ErrorCode::kInvalidPartitions;
  }
  if (topic.replication_factor != -1 && topic.replication_factor < 1) {
    message = "a topic has one replica at least";
    return ErrorCode::kInvalidReplicationFactor;
  }
  for (const auto& config : topic.configs) {
    const Result<> set = set_config(created, config.name, config.value);
    if (set) continue;
    message = set.error().message;
    return ErrorCode::kInvalidConfig;
  }
  return ErrorCode::kNone;
}

ErrorCode error_of(std::string_view reply) {
  if (reply.starts_with('+') || reply.starts_with("-PARTIAL")) return ErrorCode::kNone;
  if (reply.contains("no topic")) return ErrorCode::kUnknownTopicOrPartition;
  if (reply.contains("already")) return ErrorCode::kTopicAlreadyExists;
  if (reply.contains("replicas are not possible")) return ErrorCode::kInvalidReplicationFactor;
  if (reply.contains("partitions")) return ErrorCode::kInvalidPartitions;
  return ErrorCode::kRequestTimedOut;
}

std::string text_of(std::string_view reply) {
  reply.remove_prefix(1);
  return std::string(reply.substr(0, reply.find("\r\n")));
}

// Takes what becomes of so many changes of the table.
template <typename Response>
struct Changes {
  Response response;
  std::size_t missing = 0;
  Done<Response> done;

  void finish_one() {
    if (--missing == 0) done(std::move(response));
  }
};

}  // namespace

void handle(const Call& call, const CreateTopicsRequest& request, Done<CreateTopicsResponse> done) {
  ShardThread& thread = call.connection.thread();
  auto changes = std::make_shared<Changes<CreateTopicsResponse>>();
  changes->done = std::move(done);
  changes->missing = request.topics.size() + 1;
  for (const auto& topic : request.topics) {
    changes->response.topics.emplace_back().name = topic.name;
  }
  for (std::size_t i = 0; i < request.topics.size(); ++i) {
    const auto& topic = request.topics[i];
    auto& out = changes->response.topics[i];
    std::string message;
    const auto number = [](auto given) {
      return static_cast<std::uint16_t>(std::max<int>(given, 0));
    };
    cluster::Keyspace created = new_topic(thread, topic.name, number(topic.num_partitions),
                                          number(topic.replication_factor));
    ErrorCode fault = ErrorCode::kTopicAuthorizationFailed;
    if (may_create(call.connection, topic.name)) {
      fault = check(topic, created, message);
    } else {
      message = "the user may not execute EVEN.TOPIC CREATE of it";
    }
    if (fault == ErrorCode::kNone && thread.keyspaces().find_topic(topic.name) != nullptr) {
      fault = ErrorCode::kTopicAlreadyExists;
      message = fmt::format("there is a topic '{}' already", topic.name);
    }
    if (fault != ErrorCode::kNone || request.validate_only) {
      out.error_code = code(fault);
      if (!message.empty()) out.error_message = std::move(message);
      changes->finish_one();
      continue;
    }
    create_in_table(thread, created, [changes, i](const std::string& reply) {
      auto& created = changes->response.topics[i];
      const ErrorCode error = error_of(reply);
      created.error_code = code(error);
      if (error != ErrorCode::kNone) created.error_message = text_of(reply);
      changes->finish_one();
    });
  }
  changes->finish_one();
}

namespace {

// As Kafka's ReplicationControlManager: a topic gets more, where the cluster wants them.
ErrorCode check(const CreatePartitionsRequest::Topic& wanted, std::int32_t partitions,
                std::string& message) {
  if (partitions == 0) {
    message = "there is no such topic";
    return ErrorCode::kUnknownTopicOrPartition;
  }
  if (wanted.count <= partitions) {
    message = wanted.count == partitions
                  ? fmt::format("the topic has {} partitions already", partitions)
                  : fmt::format("the topic has {} partitions, which cannot become {}", partitions,
                                wanted.count);
    return ErrorCode::kInvalidPartitions;
  }
  if (wanted.count > cluster::kSlots) {
    message = fmt::format("a topic has 1 to {} partitions", cluster::kSlots);
    return ErrorCode::kInvalidPartitions;
  }
  if (wanted.assignments) {
    message = "partitions are assigned to nodes by the cluster: leave assignments out";
    return ErrorCode::kInvalidReplicaAssignment;
  }
  return ErrorCode::kNone;
}

}  // namespace

void handle(const Call& call, const CreatePartitionsRequest& request,
            Done<CreatePartitionsResponse> done) {
  ShardThread& thread = call.connection.thread();
  auto changes = std::make_shared<Changes<CreatePartitionsResponse>>();
  changes->done = std::move(done);
  changes->missing = request.topics.size() + 1;
  const Result<> known = all_know(thread, kGrowsTopics, "CreatePartitions");
  absl::flat_hash_map<std::string_view, int> times;
  for (const auto& topic : request.topics) {
    changes->response.results.emplace_back().name = topic.name;
    ++times[topic.name];
  }
  for (std::size_t i = 0; i < request.topics.size(); ++i) {
    const auto& topic = request.topics[i];
    auto& out = changes->response.results[i];
    std::string message;
    ErrorCode fault = ErrorCode::kTopicAuthorizationFailed;
    if (!may_alter(call.connection, topic.name)) {
      message = "the user may not execute EVEN.TOPIC ALTER of it";
    } else if (times[topic.name] > 1) {
      fault = ErrorCode::kInvalidRequest;
      message = "the topic is named twice";
    } else {
      const auto ranges = cluster::ranges_of(thread.keyspaces().topics(), topic.name);
      fault = check(topic, cluster::partitions_in(ranges), message);
      if (fault == ErrorCode::kNone && !known) {
        fault = ErrorCode::kUnsupportedVersion;
        message = known.error().message;
      }
    }
    if (fault != ErrorCode::kNone || request.validate_only) {
      out.error_code = code(fault);
      if (!message.empty()) out.error_message = std::move(message);
      changes->finish_one();
      continue;
    }
    std::vector<std::string> words = {std::string(kMetaCommand), "ALTERTOPIC", topic.name,
                                      "PARTITIONS", std::to_string(topic.count)};
    change_table(thread, std::move(words), "topics", [changes, i](const std::string& reply) {
      auto& result = changes->response.results[i];
      const ErrorCode error = error_of(reply);
      result.error_code = code(error);
      if (error != ErrorCode::kNone) result.error_message = text_of(reply);
      changes->finish_one();
    });
  }
  changes->finish_one();
}

void handle(const Call& call, const DeleteTopicsRequest& request, Done<DeleteTopicsResponse> done) {
  auto changes = std::make_shared<Changes<DeleteTopicsResponse>>();
  changes->done = std::move(done);
  changes->missing = request.topic_names.size() + 1;
  for (const std::string& name : request.topic_names) {
    changes->response.responses.emplace_back().name = name;
  }
  for (std::size_t i = 0; i < request.topic_names.size(); ++i) {
    if (!may_drop(call.connection, request.topic_names[i])) {
      changes->response.responses[i].error_code = code(ErrorCode::kTopicAuthorizationFailed);
      changes->finish_one();
      continue;
    }
    drop_topic(call.connection.thread(), request.topic_names[i],
               [changes, i](const std::string& reply) {
                 changes->response.responses[i].error_code = code(error_of(reply));
                 changes->finish_one();
               });
  }
  changes->finish_one();
}

}  // namespace even::kafka
