// CLUSTER, READONLY, READWRITE and ASKING: for clients that know Redis Cluster and send a command
// to the node that keeps its keys. Here any node serves any key; who goes to the right one saves a
// step. Slots are Redis's, a partition is a range of them, and the "master" of a slot is, of the
// nodes that keep its keys and are in reach, the leader of strong keyspaces' groups if there are
// some, else the first in order of preference. No replicas are shown: to clients a node is either a
// master or a replica, here it is both. A single node is none of a cluster, as in Redis.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "client/connection_commands.h"
#include "engine/text.h"
#include "node/replicas.h"

namespace even {
namespace {

constexpr std::string_view kDisabled = "ERR This instance has cluster support disabled";

// Redis's ids are 40 hexadecimal digits.
std::string id_of_node(const NodeContext& context, const cluster::Node& node) {
  const std::string& cluster = context.config.cluster.id;
  return fmt::format("{:016x}{:016x}{:08x}", hash64(cluster + '\n' + node.name),
                     hash64(node.name + '\n' + cluster), node.number);
}

struct SlotRange {
  int first = 0;
  int last = 0;
  const cluster::Node* master = nullptr;
};

class ClusterView {
 public:
  ClusterView(const NodeContext& node, const cluster::KeyspaceTable& keyspaces,
              const std::vector<ThreadReport>& reports)
      : node_(node) {
    const Replicas replicas = replicas_of(node, reports);
    for (const cluster::Node& one : node.config.cluster.nodes) {
      const auto known = std::ranges::find(replicas.nodes, &one, &Replica::node);
      // This node is not among its replicas.
      if (known == replicas.nodes.end() || known->up) reachable_.push_back(&one);
    }
    for (const ThreadReport& report : reports) {
      for (const GroupStatus& status : report.groups) leaders_[status.group] = status.leader;
    }
    for (const cluster::Keyspace& keyspace : keyspaces.keyspaces()) {
      if (keyspace.strong && !keyspace.topic && !keyspace.internal()) strong_.push_back(&keyspace);
    }
    std::set<int> firsts = first_slots(node.config.cluster.partitions);
    for (const cluster::Keyspace* keyspace : strong_)
      firsts.merge(first_slots(keyspace->partitions));
    for (auto at = firsts.begin(); at != firsts.end(); ++at) {
      const auto next = std::next(at);
      const SlotRange range{.first = *at,
                            .last = (next == firsts.end() ? int{cluster::kSlots} : *next) - 1,
                            .master = master_of(static_cast<std::uint16_t>(*at))};
      if (!ranges_.empty() && ranges_.back().master == range.master) {
        ranges_.back().last = range.last;
      } else {
        ranges_.push_back(range);
      }
    }
  }

  bool reaches(const cluster::Node* node) const {
    return std::ranges::find(reachable_, node) != reachable_.end();
  }
  // The ranges of slots of which a node is the master.
  std::vector<std::pair<int, int>> slots_of(const cluster::Node& node) const {
    std::vector<std::pair<int, int>> out;
    for (const SlotRange& range : ranges_) {
      if (range.master == &node && reaches(&node)) out.emplace_back(range.first, range.last);
    }
    return out;
  }

  void slots(Reply& reply) const {
    reply.array(ranges_.size());
    for (const SlotRange& range : ranges_) {
      reply.array(3);
      reply.integer(range.first);
      reply.integer(range.last);
      reply.array(4);
      reply.bulk(range.master->host);
      reply.integer(range.master->client_port);
      reply.bulk(id_of_node(node_, *range.master));
      reply.array(0);
    }
  }

  void shards(Reply& reply) const {
    reply.array(node_.config.cluster.nodes.size());
    for (const cluster::Node& node : node_.config.cluster.nodes) {
      reply.map(2);
      reply.bulk("slots");
      const auto slots = slots_of(node);
      reply.array(2 * slots.size());
      for (const auto& [first, last] : slots) {
        reply.integer(first);
        reply.integer(last);
      }
      reply.bulk("nodes");
      reply.array(1);
      reply.map(7);
      const auto field = [&reply](std::string_view name, std::string_view value) {
        reply.bulk(name);
        reply.bulk(value);
      };
      field("id", id_of_node(node_, node));
      reply.bulk("port");
      reply.integer(node.client_port);
      field("ip", node.host);
      field("endpoint", node.host);
      field("role", "master");
      reply.bulk("replication-offset");
      reply.integer(0);
      field("health", reaches(&node) ? "online" : "failed");
    }
  }

  void nodes(Reply& reply) const {
    std::string text;
    for (const cluster::Node& node : node_.config.cluster.nodes) {
      const bool mine = node.number == node_.number;
      const bool up = reaches(&node);
      text += fmt::format("{} {}:{}@{} {}master{} - 0 0 {} {}", id_of_node(node_, node), node.host,
                          node.client_port, node.peer_port, mine ? "myself," : "",
                          up ? "" : ",fail", node.number, up ? "connected" : "disconnected");
      for (const auto& [first, last] : slots_of(node)) {
        text += first == last ? fmt::format(" {}", first) : fmt::format(" {}-{}", first, last);
      }
      text += '\n';
    }
    reply.verbatim("txt", text);
  }

  void info(Reply& reply) const {
    int served = 0;
    for (const SlotRange& range : ranges_) {
      if (reaches(range.master)) served += range.last - range.first + 1;
    }
    const auto masters = std::ranges::count_if(
        node_.config.cluster.nodes,
        [this](const cluster::Node& node) { return !slots_of(node).empty(); });
    reply.verbatim(
        "txt",
        fmt::format("cluster_state:{}\r\ncluster_slots_assigned:{}\r\ncluster_slots_ok:{}\r\n"
                    "cluster_slots_pfail:0\r\ncluster_slots_fail:{}\r\n"
                    "cluster_known_nodes:{}\r\ncluster_size:{}\r\n"
                    "cluster_current_epoch:{}\r\ncluster_my_epoch:{}\r\n",
                    served == cluster::kSlots ? "ok" : "fail", int{cluster::kSlots}, served,
                    cluster::kSlots - served, node_.config.cluster.nodes.size(), masters,
                    node_.config.cluster.version, node_.number));
  }

 private:
  static std::set<int> first_slots(std::uint16_t partitions) {
    std::set<int> out;
    for (std::uint16_t i = 0; i < partitions; ++i) {
      out.insert(cluster::partition_first_slot(i, partitions));
    }
    return out;
  }

  const cluster::Node* master_of(std::uint16_t slot) const {
    const std::uint16_t partition = cluster::slot_partition(slot, node_.config.cluster.partitions);
    // How many strong keyspaces' groups a node leads.
    std::map<NodeNumber, int> led;
    for (const cluster::Keyspace* keyspace : strong_) {
      const auto leader = leaders_.find(static_cast<PartitionId>(
          keyspace->first + cluster::slot_partition(slot, keyspace->partitions)));
      if (leader != leaders_.end()) ++led[leader->second];
    }
    const cluster::Node* first = nullptr;
    const cluster::Node* best = nullptr;
    for (const std::uint16_t number : node_.placement.replicas(partition)) {
      const auto& nodes = node_.config.cluster.nodes;
      const cluster::Node* one = &*std::ranges::find(nodes, number, &cluster::Node::number);
      if (first == nullptr) first = one;
      if (reaches(one) && (best == nullptr || led[number] > led[best->number])) best = one;
    }
    return best != nullptr ? best : first;
  }

  const NodeContext& node_;
  std::vector<const cluster::Node*> reachable_;
  std::map<PartitionId, NodeNumber> leaders_;  // of the groups that this node is a member of
  std::vector<const cluster::Keyspace*> strong_;
  std::vector<SlotRange> ranges_;
};

void reply_view(Connection& connection, void (ClusterView::*write)(Reply&) const) {
  reply_gathered<ThreadReport>(
      connection, [](ShardThread& thread) { return make_report(thread, false); },
      [&thread = connection.thread(), write](Reply& reply,
                                             const std::vector<ThreadReport>& reports) {
        (ClusterView(thread.node(), thread.keyspaces(), reports).*write)(reply);
      });
}

}  // namespace

void execute_cluster(Connection& connection, Args args) {
  const NodeContext& node = connection.thread().node();
  if (node.config.cluster.nodes.size() < 2) return connection.reply().error(kDisabled);
  const std::string_view name = find_subcommand(*find_command("cluster"), args[1])->name;
  if (name == "help") return reply_help(connection, "CLUSTER");
  if (name == "keyslot") return connection.reply().integer(cluster::key_slot(args[2]));
  if (name == "myid" || name == "myshardid") {
    const auto& nodes = node.config.cluster.nodes;
    return connection.reply().bulk(
        id_of_node(node, *std::ranges::find(nodes, node.number, &cluster::Node::number)));
  }
  reply_view(connection, name == "slots"    ? &ClusterView::slots
                         : name == "shards" ? &ClusterView::shards
                         : name == "nodes"  ? &ClusterView::nodes
                                            : &ClusterView::info);
}

void execute_of_cluster(Connection& connection, Args) {
  const bool alone = connection.thread().node().config.cluster.nodes.size() < 2;
  alone ? connection.reply().error(kDisabled) : connection.reply().ok();
}

}  // namespace even
