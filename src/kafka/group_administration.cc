// Consumer groups as administrators see them: DescribeGroups, ListGroups, DeleteGroups.
#include <absl/container/btree_map.h>

#include <algorithm>
#include <limits>

#include "engine/text.h"
#include "kafka/apis.h"
#include "kafka/group_requests.h"
#include "kafka/rights.h"

namespace even::kafka {
namespace {

// That one has offsets and no members, and that there is none.
constexpr std::string_view kEmptyState = "Empty";
constexpr std::string_view kDeadState = "Dead";
// In the words of KIP-848.
constexpr std::string_view kClassic = "classic";

struct Described {
  ErrorCode error = ErrorCode::kNone;
  ConsumerGroup::Description group;
};

// Of no members: there is a group if it has offsets.
void describe(ShardThread& owner, const ConsumerGroup& group, PartitionId partition,
              const std::string& name, Gather<Described>::Reply reply) {
  if (group.has_members()) return reply({ErrorCode::kNone, group.describe()});
  execute_at(owner, partition, {"exists", key_of_group(name)},
             [reply = std::move(reply)](const StrongOutcome& outcome) mutable {
               Described described{error_of(outcome), {}};
               described.group.state = outcome.reply == ":1\r\n" ? kEmptyState : kDeadState;
               reply(std::move(described));
             });
}

void fill(DescribeGroupsResponse::Group& out, Described described, int version) {
  constexpr int kTellsOfNone = 6;  // from this version on, that there is none is an error
  out.error_code = code(described.error);
  if (described.error != ErrorCode::kNone) return;
  ConsumerGroup::Description& group = described.group;
  if (group.state == kDeadState && version >= kTellsOfNone) {
    out.error_code = code(ErrorCode::kGroupIdNotFound);
    out.error_message = "there is no such group";
  }
  out.group_state = group.state;
  out.protocol_type = std::move(group.protocol_type);
  out.protocol_data = std::move(group.protocol);
  for (auto& member : group.members) {
    auto& each = out.members.emplace_back();
    each.member_id = std::move(member.id);
    each.group_instance_id = std::move(member.instance);
    each.client_id = std::move(member.client_id);
    each.client_host = "/" + member.client_host;  // as Java writes addresses
    if (!member.metadata.empty()) each.member_metadata = Blob::of(std::move(member.metadata));
    if (!member.assignment.empty()) {
      each.member_assignment = Blob::of(std::move(member.assignment));
    }
  }
}

}  // namespace

void handle(const Call& call, const DescribeGroupsRequest& request,
            Done<DescribeGroupsResponse> done) {
  auto gather = Gather<Described>::begin(
      call.connection, request.groups.size(),
      [names = request.groups, version = call.version,
       done = std::move(done)](std::vector<std::optional<Described>> results) mutable {
        DescribeGroupsResponse response;
        for (std::size_t i = 0; i < names.size(); ++i) {
          auto& out = response.groups.emplace_back();
          out.group_id = std::move(names[i]);
          fill(out, std::move(*results[i]), version);
        }
        done(std::move(response));
      });
  for (std::size_t i = 0; i < request.groups.size(); ++i) {
    const std::string& name = request.groups[i];
    if (!may_look_at_group(call.connection, name)) {
      gather->take(i, {ErrorCode::kGroupAuthorizationFailed, {}});
      continue;
    }
    ask_coordinator_of<Described>(
        *gather, call.connection.thread(), i, name, {ErrorCode::kNotCoordinator, {}},
        [name](ShardThread& owner, const ConsumerGroup& group, PartitionId partition, auto reply) {
          describe(owner, group, partition, name, std::move(reply));
        });
  }
  gather->asked();
}

// --- The list

namespace {

// By name: state and protocol's type.
using Listed = absl::btree_map<std::string, std::pair<std::string, std::string>>;
struct ListedAt {
  ErrorCode error = ErrorCode::kNone;
  Listed groups;
};

// Of a partition that is led here: groups with offsets, and those with members. While nobody is
// known to lead it, clients are to ask once more.
void list_loaded_groups(ShardThread& owner, PartitionId partition, Gather<ListedAt>::Reply reply) {
  execute_at(owner, partition, {"keys", std::string(kOffsetsPrefix) + "*"},
             [&owner, partition, reply = std::move(reply)](const StrongOutcome& outcome) mutable {
               ListedAt listed{error_of(outcome), {}};
               // Another node leads by now, and may have been asked before.
               if (listed.error == ErrorCode::kNotCoordinator) {
                 listed.error = ErrorCode::kCoordinatorLoadInProgress;
               }
               if (listed.error != ErrorCode::kNone) return reply(std::move(listed));
               for (const std::string& key : strings_of(outcome.reply)) {
                 // No client of Kafka has made it, nor could be told.
                 if (key.size() > std::numeric_limits<std::int16_t>::max()) continue;
                 listed.groups[key.substr(std::string_view(kOffsetsPrefix).size())].first =
                     kEmptyState;
               }
               for (const auto& [name, group] : owner.coordinator().groups().groups_of(partition)) {
                 if (!group->has_members()) continue;
                 const auto description = group->describe();
                 listed.groups[name] = {std::string(description.state), description.protocol_type};
               }
               reply(std::move(listed));
             });
}

void list_groups(ShardThread& owner, PartitionId partition, Gather<ListedAt>::Reply reply) {
  const auto leader = owner.shard().leader_of(partition);
  if (leader == 0) return reply({ErrorCode::kCoordinatorLoadInProgress, {}});
  if (leader != owner.node().number) return reply({});
  owner.coordinator().groups().when_loaded(
      partition, [&owner, partition, reply = std::move(reply)](bool led) mutable {
        if (!led) return reply({ErrorCode::kCoordinatorLoadInProgress, {}});
        list_loaded_groups(owner, partition, std::move(reply));
      });
}

// As Kafka compares them.
bool passes(const std::vector<std::string>& filter, std::string_view value) {
  return filter.empty() || std::ranges::any_of(filter, [value](const std::string& each) {
           return std::ranges::equal(each, value, {}, to_lower, to_lower);
         });
}

}  // namespace

// Those that this node coordinates: clients ask all nodes.
void handle(const Call& call, const ListGroupsRequest& request, Done<ListGroupsResponse> done) {
  ShardThread& thread = call.connection.thread();
  const cluster::Keyspace* keyspace = thread.keyspaces().find(kOffsetsKeyspace);
  if (keyspace == nullptr || !passes(request.types_filter, kClassic)) return done({});
  auto gather = Gather<ListedAt>::begin(
      call.connection, keyspace->partitions,
      [states = request.states_filter, client = call.connection.weak_from_this(),
       done = std::move(done)](std::vector<std::optional<ListedAt>> results) mutable {
        const auto connection = client.lock();
        if (!connection) return;
        ListGroupsResponse response;
        for (const auto& result : results) {
          if (result->error != ErrorCode::kNone) response.error_code = code(result->error);
          for (const auto& [name, described] : result->groups) {
            const auto& [state, protocol_type] = described;
            if (!passes(states, state) || !may_know_group(*connection, name)) continue;
            response.groups.push_back({.group_id = name,
                                       .protocol_type = protocol_type,
                                       .group_state = state,
                                       .group_type = std::string(kClassic)});
          }
        }
        done(std::move(response));
      });
  for (std::uint16_t i = 0; i < keyspace->partitions; ++i) {
    const auto partition = static_cast<PartitionId>(keyspace->first + i);
    gather->ask(thread, partition, i, [partition](ShardThread& owner, auto reply) {
      list_groups(owner, partition, std::move(reply));
    });
  }
  gather->asked();
}

// --- Deleting

// Its offsets go. What a transaction has added and not committed yet stays: it may be committed.
void handle(const Call& call, const DeleteGroupsRequest& request, Done<DeleteGroupsResponse> done) {
  const std::vector<std::string>& names = request.groups_names;
  auto gather = Gather<ErrorCode>::begin(
      call.connection, names.size(),
      [names, done = std::move(done)](std::vector<std::optional<ErrorCode>> results) mutable {
        DeleteGroupsResponse response;
        for (std::size_t i = 0; i < names.size(); ++i) {
          response.results.push_back({.group_id = names[i], .error_code = code(*results[i])});
        }
        done(std::move(response));
      });
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (!may_delete_group(call.connection, name)) {
      gather->take(i, ErrorCode::kGroupAuthorizationFailed);
      continue;
    }
    ask_coordinator_of(
        *gather, call.connection.thread(), i, name, ErrorCode::kNotCoordinator,
        [name](ShardThread& owner, const ConsumerGroup& group, PartitionId partition, auto reply) {
          if (group.has_members()) return reply(ErrorCode::kNonEmptyGroup);
          execute_at(owner, partition, {"del", key_of_group(name)},
                     [reply = std::move(reply)](const StrongOutcome& outcome) mutable {
                       const ErrorCode error = error_of(outcome);
                       const bool was_none = error == ErrorCode::kNone && outcome.reply == ":0\r\n";
                       reply(was_none ? ErrorCode::kGroupIdNotFound : error);
                     });
        });
  }
  gather->asked();
}

}  // namespace even::kafka
