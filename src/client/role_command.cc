// ROLE and LASTSAVE: what monitoring tools and clients of Redis ask a node for about others and
// about its backups.
#include <fmt/format.h>

#include "client/connection_commands.h"
#include "node/backup_runner.h"
#include "node/replicas.h"

namespace even {

// Every node takes writes: each is a master, with the others that are in reach as its replicas.
// Offsets count this run's own records.
void execute_role(Connection& connection, Args) {
  reply_gathered<ThreadReport>(
      connection, [](ShardThread& thread) { return make_report(thread, false); },
      [&node = connection.thread().node()](Reply& reply, const std::vector<ThreadReport>& reports) {
        const Replicas replicas = replicas_of(node, reports);
        reply.array(3);
        reply.bulk("master");
        reply.integer(static_cast<std::int64_t>(replicas.offset));
        const auto connected = replicas.connected();
        reply.array(connected.size());
        for (const Replica* replica : connected) {
          reply.array(3);
          reply.bulk(replica->node->host);
          reply.bulk(std::to_string(replica->node->client_port));
          reply.bulk(std::to_string(replica->offset));
        }
      });
}

// The counterpart of Redis's snapshot is a backup. Like Redis, a node begins with its start.
void execute_lastsave(Connection& connection, Args) {
  const NodeContext& node = connection.thread().node();
  const std::int64_t started_s =
      std::chrono::duration_cast<std::chrono::seconds>(node.started.time_since_epoch()).count();
  connection.reply().integer(std::max(started_s, node.backups->status().succeeded_s));
}

}  // namespace even
