// EVEN.GROUPS: the groups that this node is a member of, as it sees them.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "client/connection_commands.h"

namespace even {
namespace {

// What one thread knows.
struct Groups {
  std::vector<GroupStatus> statuses;
  std::vector<std::string> keyspaces;  // the names, one for each
};

Groups groups_of(ShardThread& thread) {
  Groups out{.statuses = thread.shard().groups(), .keyspaces = {}};
  for (const GroupStatus& status : out.statuses) {
    out.keyspaces.push_back(thread.strong().keyspace_of(status.group));
  }
  return out;
}

void write(Reply& reply, const cluster::ClusterMap& map, const GroupStatus& status,
           std::string_view keyspace) {
  const auto name = [&map](NodeNumber node) {
    const cluster::Node* known = map.find(node);
    return known != nullptr ? known->name : std::to_string(node);
  };
  const auto names = [&](std::string_view what, const std::vector<NodeNumber>& nodes) {
    reply.bulk(what);
    reply.array(nodes.size());
    for (const NodeNumber node : nodes) reply.bulk(name(node));
  };
  const auto number = [&reply](std::string_view what, std::uint64_t value) {
    reply.bulk(what);
    reply.integer(static_cast<std::int64_t>(value));
  };
  reply.map(11);
  reply.bulk("keyspace");
  reply.bulk(keyspace);
  number("group", status.group);
  names("members", status.voters);
  names("learners", status.learners);
  names("outgoing", status.outgoing);
  reply.bulk("leader");
  status.leader == 0 ? reply.null() : reply.bulk(name(status.leader));
  number("term", status.term);
  number("committed", status.committed);
  number("applied", status.applied);
  number("lag", status.committed - std::min(status.committed, status.applied));
  reply.bulk("behind");
  reply.array(2 * status.lags.size());
  for (const auto& [node, entries] : status.lags) {
    reply.bulk(name(node));
    reply.integer(static_cast<std::int64_t>(entries));
  }
}

}  // namespace

void execute_groups(Connection& connection, Args) {
  reply_gathered<Groups>(connection, groups_of,
                         [&map = connection.thread().node().config.cluster](
                             Reply& reply, const std::vector<Groups>& threads) {
                           std::vector<std::pair<const GroupStatus*, std::string_view>> all;
                           for (const Groups& groups : threads) {
                             for (std::size_t i = 0; i < groups.statuses.size(); ++i) {
                               all.emplace_back(&groups.statuses[i], groups.keyspaces[i]);
                             }
                           }
                           std::ranges::sort(all, {},
                                             [](const auto& each) { return each.first->group; });
                           reply.array(all.size());
                           for (const auto& [status, keyspace] : all)
                             write(reply, map, *status, keyspace);
                         });
}

}  // namespace even
