// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and DeleteRecords: how much of topics
// stays.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "kafka/apis.h"
#include "kafka/partitions.h"
#include "kafka/rights.h"
#include "kafka/topic_config.h"
#include "node/table_change.h"
#include "topic/kafka_error.h"

namespace even::kafka {
namespace {

constexpr std::string_view kRetentionMs = "retention.ms";
constexpr std::string_view kRetentionBytes = "retention.bytes";
constexpr std::int8_t kSetOnTopic = 1;  // sources of what holds
constexpr std::int8_t kDefault = 5;

// Settings with one value that there is.
constexpr std::pair<std::string_view, std::string_view> kFixed[] = {
    {"compression.type", "producer"},
    {"max.message.bytes", "1048588"},
    {"message.timestamp.type", "CreateTime"},
};

// What EVEN.TOPIC has other names for.
struct CleanupConfig {
  std::string_view name;
  std::string_view option;
  std::string (*text)(const cluster::Cleanup& cleanup);
};
constexpr CleanupConfig kCleanup[] = {
    {"cleanup.policy", "CLEANUP",
     [](const cluster::Cleanup& cleanup) { return cluster::policy_text(cleanup); }},
    {"delete.retention.ms", "TOMBSTONES",
     [](const cluster::Cleanup& cleanup) { return std::to_string(cleanup.delete_retention_ms); }},
    {"max.compaction.lag.ms", "MAXLAG",
     [](const cluster::Cleanup& cleanup) {
       return std::to_string(cleanup.max_lag_ms.value_or(INT64_MAX));
     }},
    {"min.cleanable.dirty.ratio", "DIRTY",
     [](const cluster::Cleanup& cleanup) {
       return cluster::ratio_text(cleanup.min_dirty_millionths);
     }},
    {"min.compaction.lag.ms", "MINLAG",
     [](const cluster::Cleanup& cleanup) { return std::to_string(cleanup.min_lag_ms); }},
};
// Of files that there are none of: how large they become does not matter.
constexpr std::string_view kOfFiles[] = {"segment.bytes", "segment.index.bytes", "segment.ms"};

// -1: there is no limit.
Result<std::optional<std::int64_t>> read_limit(std::string_view name, std::string_view value) {
  std::int64_t limit = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, limit);
  if (error != std::errc() || stop != end || limit < -1) {
    return fail(fmt::format("{} is a number from 0 on, or -1 for no limit, not '{}'", name,
                            value.substr(0, 64)));
  }
  return limit == -1 ? std::nullopt : std::optional(limit);
}

std::string text_of(std::optional<std::int64_t> limit) {
  return std::to_string(limit.value_or(-1));
}

}  // namespace

Result<> set_config(cluster::Keyspace& topic, std::string_view name,
                    const std::optional<std::string>& value) {
  if (name == kRetentionMs || name == kRetentionBytes) {
    const auto limit = read_limit(name, value.value_or("-1"));
    if (!limit) return std::unexpected(limit.error());
    (name == kRetentionMs ? topic.retention_ms : topic.retention_bytes) = *limit;
    return {};
  }
  const auto* cleanup = std::ranges::find(kCleanup, name, &CleanupConfig::name);
  if (cleanup != std::end(kCleanup)) {
    const std::string text = value.value_or(cleanup->text(cluster::Cleanup()));
    const auto wrong = cluster::set_cleanup(topic.cleanup, cleanup->option, text);
    if (wrong->empty()) return {};
    return fail(fmt::format("{} {}, not '{}'", name, *wrong, text.substr(0, 64)));
  }
  if (!value || std::ranges::find(kOfFiles, name) != std::end(kOfFiles)) return {};
  const auto* fixed = std::ranges::find(kFixed, name, [](const auto& each) { return each.first; });
  if (fixed != std::end(kFixed) && fixed->second == *value) return {};
  // As every write is on a majority.
  if (name == "min.insync.replicas" && (*value == "1" || *value == "2")) return {};
  return fail(
      fmt::format("{} cannot be set to '{}' yet", name.substr(0, 64), value->substr(0, 64)));
}

std::vector<TopicConfig> configs_of(const cluster::Keyspace& topic) {
  std::vector<TopicConfig> all = {
      {kRetentionMs, text_of(topic.retention_ms), topic.retention_ms.has_value()},
      {kRetentionBytes, text_of(topic.retention_bytes), topic.retention_bytes.has_value()},
      {"min.insync.replicas", std::to_string(topic.replicas / 2 + 1), false, true}};
  for (const CleanupConfig& each : kCleanup) {
    const std::string text = each.text(topic.cleanup);
    all.push_back({each.name, text, text != each.text(cluster::Cleanup())});
  }
  for (const auto& [name, value] : kFixed) all.push_back({name, std::string(value), false, true});
  std::ranges::sort(all, {}, &TopicConfig::name);
  return all;
}

namespace {

DescribeConfigsResponse::Result describe_configs(Connection& client,
                                                 const DescribeConfigsRequest::Resource& resource) {
  DescribeConfigsResponse::Result out;
  out.resource_type = resource.resource_type;
  out.resource_name = resource.resource_name;
  if (resource.resource_type != kTopicResource) return out;  // nothing of a node is set so
  if (!may_inspect(client, resource.resource_name)) {
    out.error_code = code(ErrorCode::kTopicAuthorizationFailed);
    return out;
  }
  const cluster::Keyspace* topic = client.thread().keyspaces().find_topic(resource.resource_name);
  if (topic == nullptr) {
    out.error_code = code(ErrorCode::kUnknownTopicOrPartition);
    return out;
  }
  for (const TopicConfig& config : configs_of(*topic)) {
    const auto& keys = resource.configuration_keys;
    if (keys && std::ranges::find(*keys, config.name) == keys->end()) continue;
    out.configs.push_back({.name = std::string(config.name),
                           .value = config.value,
                           .read_only = config.fixed,
                           .config_source = config.set ? kSetOnTopic : kDefault});
  }
  return out;
}

// The one setting that is a list, with something appended or taken away.
Result<cluster::Cleanup> changed_policy(cluster::Cleanup cleanup, std::string_view name,
                                        const std::optional<std::string>& value,
                                        std::int8_t operation) {
  constexpr std::int8_t kAppend = 2;
  constexpr std::int8_t kSubtract = 3;
  if (name != "cleanup.policy" || (operation != kAppend && operation != kSubtract)) {
    return fail(fmt::format("{} is no list", name.substr(0, 64)));
  }
  cluster::Cleanup named;
  if (!value || !cluster::read_policy(*value, named)) {
    return fail(fmt::format("{} is of delete and compact", name));
  }
  const bool added = operation == kAppend;
  if (named.deletes) cleanup.deletes = added;
  if (named.compacts) cleanup.compacts = added;
  if (!cleanup.deletes && !cleanup.compacts) {
    return fail(fmt::format("nothing would be left of {}", name));
  }
  return cleanup;
}

// Takes what becomes of so many changes.
struct Altering {
  AlterConfigsResponse response;
  std::size_t missing = 0;
  Done<AlterConfigsResponse> done;

  void finish_one() {
    if (--missing == 0) done(std::move(response));
  }
};

// change(resource, topic): sets what it names.
template <typename Request, typename Change>
void alter(const Call& call, const Request& request, Change change,
           Done<AlterConfigsResponse> done) {
  ShardThread& thread = call.connection.thread();
  auto altering = std::make_shared<Altering>();
  altering->done = std::move(done);
  altering->missing = request.resources.size() + 1;
  altering->response.responses.resize(request.resources.size());
  for (std::size_t i = 0; i < request.resources.size(); ++i) {
    const auto& resource = request.resources[i];
    auto& out = altering->response.responses[i];
    out.resource_type = resource.resource_type;
    out.resource_name = resource.resource_name;
    const auto refuse = [&](ErrorCode error, std::string why) {
      out.error_code = code(error);
      out.error_message = std::move(why);
      altering->finish_one();
    };
    if (resource.resource_type != kTopicResource) {
      refuse(ErrorCode::kInvalidRequest, "only topics can be configured");
      continue;
    }
    if (!may_alter(call.connection, resource.resource_name)) {
      refuse(ErrorCode::kTopicAuthorizationFailed,
             "the user may not execute EVEN.TOPIC ALTER of it");
      continue;
    }
    const cluster::Keyspace* found = thread.keyspaces().find_topic(resource.resource_name);
    if (found == nullptr) {
      refuse(ErrorCode::kUnknownTopicOrPartition, "there is no such topic");
      continue;
    }
    cluster::Keyspace topic = *found;
    if (const Result<> set = change(resource, topic); !set) {
      refuse(ErrorCode::kInvalidConfig, set.error().message);
      continue;
    }
    if (request.validate_only) {
      altering->finish_one();
      continue;
    }
    alter_topic(thread, topic, [altering, i](const std::string& reply) {
      if (!reply.starts_with('+') && !reply.starts_with("-PARTIAL")) {
        auto& failed = altering->response.responses[i];
        failed.error_code = code(reply.contains("no topic") ? ErrorCode::kUnknownTopicOrPartition
                                                            : ErrorCode::kRequestTimedOut);
        failed.error_message = reply.substr(1, reply.find("\r\n") - 1);
      }
      altering->finish_one();
    });
  }
  altering->finish_one();
}

}  // namespace

void handle(const Call& call, const DescribeConfigsRequest& request,
            Done<DescribeConfigsResponse> done) {
  DescribeConfigsResponse response;
  for (const auto& resource : request.resources) {
    response.results.push_back(describe_configs(call.connection, resource));
  }
  done(std::move(response));
}

void handle(const Call& call, const AlterConfigsRequest& request, Done<AlterConfigsResponse> done) {
  alter(
      call, request,
      [](const AlterConfigsRequest::Resource& resource, cluster::Keyspace& topic) -> Result<> {
        topic.retention_ms = topic.retention_bytes = std::nullopt;
        topic.cleanup = {};
        for (const auto& config : resource.configs) {
          if (const Result<> set = set_config(topic, config.name, config.value); !set) return set;
        }
        return {};
      },
      std::move(done));
}

void handle(const Call& call, const IncrementalAlterConfigsRequest& request,
            Done<AlterConfigsResponse> done) {
  alter(
      call, request,
      [](const IncrementalAlterConfigsRequest::Resource& resource,
         cluster::Keyspace& topic) -> Result<> {
        constexpr std::int8_t kSet = 0;
        constexpr std::int8_t kDelete = 1;
        for (const auto& config : resource.configs) {
          if (config.config_operation != kSet && config.config_operation != kDelete) {
            const auto policy =
                changed_policy(topic.cleanup, config.name, config.value, config.config_operation);
            if (!policy) return std::unexpected(policy.error());
            topic.cleanup = *policy;
            continue;
          }
          const bool removed = config.config_operation == kDelete;
          const Result<> set =
              set_config(topic, config.name, removed ? std::nullopt : config.value);
          if (!set) return set;
        }
        return {};
      },
      std::move(done));
}

// --- DeleteRecords

namespace {

struct Deleted {
  ErrorCode error = ErrorCode::kNone;
  std::int64_t start = -1;
};

Deleted deleted(const StrongOutcome& outcome) {
  Deleted result;
  switch (outcome.kind) {
    case StrongOutcome::Kind::kReply:
      if (!outcome.reply.starts_with(':')) return {ErrorCode::kUnknownServerError};
      std::from_chars(outcome.reply.data() + 1, outcome.reply.data() + outcome.reply.size(),
                      result.start);
      return result;
    case StrongOutcome::Kind::kRefused:
      return {ErrorCode::kKafkaStorageError};
    case StrongOutcome::Kind::kUnknown:
      return {ErrorCode::kRequestTimedOut};
    default:
      return {ErrorCode::kNotLeaderOrFollower};
  }
}

void delete_records(ShardThread& owner, PartitionId id, std::int64_t offset,
                    Gather<Deleted>::Reply reply) {
  const auto status = owner.shard().topic(id);
  if (!status || !status->leads) return reply({ErrorCode::kNotLeaderOrFollower});
  constexpr std::int64_t kEnd = -1;
  if (offset == kEnd) offset = status->end;
  if (offset < 0 || offset > status->end) return reply({ErrorCode::kOffsetOutOfRange});
  StrongRequest request;
  request.group = id;
  request.trim_to = offset;
  owner.shard().execute_strong(std::move(request),
                               [reply = std::move(reply)](const StrongOutcome& outcome) mutable {
                                 reply(deleted(outcome));
                               });
}

}  // namespace

void handle(const Call& call, const DeleteRecordsRequest& request,
            Done<DeleteRecordsResponse> done) {
  ShardThread& thread = call.connection.thread();
  DeleteRecordsResponse response;
  std::size_t count = 0;
  for (const auto& topic : request.topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      out.partitions.emplace_back().partition_index = partition.partition_index;
      ++count;
    }
  }
  auto timer = std::make_shared<asio::steady_timer>(thread.io());
  auto gather = Gather<Deleted>::begin(
      call.connection, count,
      [response = std::move(response), done = std::move(done),
       timer](std::vector<std::optional<Deleted>> results) mutable {
        timer->cancel();
        std::size_t place = 0;
        for (auto& topic : response.topics) {
          for (auto& partition : topic.partitions) {
            const Deleted result = results[place++].value_or(Deleted{ErrorCode::kRequestTimedOut});
            partition.error_code = code(result.error);
            partition.low_watermark = result.start;
          }
        }
        done(std::move(response));
      });
  std::size_t place = 0;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      const std::size_t at = place++;
      if (!may_alter(call.connection, topic.name)) {
        gather->take(at, {ErrorCode::kTopicAuthorizationFailed});
        continue;
      }
      const auto id = find_partition(thread, topic.name, partition.partition_index);
      if (!id) {
        gather->take(at, {ErrorCode::kUnknownTopicOrPartition});
        continue;
      }
      gather->ask(thread, *id, at,
                  [id = *id, offset = partition.offset](ShardThread& owner,
                                                        Gather<Deleted>::Reply reply) mutable {
                    delete_records(owner, id, offset, std::move(reply));
                  });
    }
  }
  constexpr std::int32_t kMostDeletionMs = 600'000;
  timer->expires_after(
      std::chrono::milliseconds(std::clamp(request.timeout_ms, std::int32_t{1}, kMostDeletionMs)));
  timer->async_wait([timer, weak = std::weak_ptr(gather)](error_code error) {
    if (error) return;
    if (const auto waiting = weak.lock()) waiting->finish();
  });
  gather->asked();
}

}  // namespace even::kafka
