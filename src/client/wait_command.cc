// WAIT numreplicas timeout and WAITAOF numlocal numreplicas timeout: how many other replicas have
// what this node has written, by whichever client, each of its shards asking for its own
// partitions.
#include <fmt/format.h>

#include <algorithm>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

// Of a timeout of 0, which is none in Redis.
constexpr std::int64_t kLongestMs = 86'400'000;

struct Wait {
  std::int64_t local = 0;  // 1: this node's log is to be synced
  std::int64_t replicas = 0;
  std::int64_t timeout_ms = 0;
  bool aof = false;
};

Result<Wait> read_wait(Args args, bool aof) {
  Wait wait{.aof = aof};
  const auto number = [](std::string_view word, std::int64_t& out) {
    return parse_strict_integer(word, out);
  };
  if (aof) {
    if (!number(args[1], wait.local) || wait.local < 0 || wait.local > 1) {
      return fail("ERR value is out of range, must be between 0 and 1");
    }
    args = args.subspan(1);
  }
  if (!number(args[1], wait.replicas)) return fail("ERR value is not an integer or out of range");
  if (aof && wait.replicas < 0) return fail("ERR value is out of range, must be positive");
  if (!number(args[2], wait.timeout_ms)) {
    return fail("ERR timeout is not an integer or out of range");
  }
  if (wait.timeout_ms < 0) return fail("ERR timeout is negative");
  if (wait.timeout_ms > kLongestMs) return fail("ERR timeout is out of range");
  return wait;
}

// What the shards have answered: those that have written something.
struct Waiting {
  std::weak_ptr<Connection> connection;
  std::uint64_t slot = 0;
  CommandStats::Entry* command = nullptr;
  bool aof = false;
  std::size_t linked = 0;  // other replicas, which have nothing too
  std::size_t missing = 0;
  std::size_t fewest = SIZE_MAX;
  bool synced_here = true;
};

constexpr std::size_t kNothingWritten = SIZE_MAX;

void answer(Waiting& waiting, std::size_t replicas, bool synced_here) {
  waiting.fewest = std::min(waiting.fewest, replicas);
  waiting.synced_here = waiting.synced_here && synced_here;
  if (--waiting.missing > 0) return;
  const auto connection = waiting.connection.lock();
  if (!connection) return;
  if (waiting.fewest == kNothingWritten) waiting.fewest = waiting.linked;
  connection->complete(
      waiting.slot,
      waiting.aof ? fmt::format("*2\r\n:{}\r\n:{}\r\n", waiting.synced_here ? 1 : 0, waiting.fewest)
                  : fmt::format(":{}\r\n", waiting.fewest),
      waiting.command);
}

// On the thread of a shard.
void ask(ShardThread& owner, ShardId home, const Wait& wait, std::shared_ptr<Waiting> waiting) {
  Shard& shard = owner.shard();
  const LogPosition end = shard.barrier();
  const std::int64_t timeout_ms = wait.timeout_ms == 0 ? kLongestMs : wait.timeout_ms;
  const QuorumWait how{.deadline_us = owner.clock().monotonic_us() + timeout_ms * 1'000,
                       .synced = wait.aof,
                       .synced_here = wait.local > 0,
                       .asker = waiting->connection};
  PartitionReach reach = shard.own_reach();
  const bool nothing = reach.empty();
  // No more than there are: they will never be.
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(wait.replicas, 0));
  const std::size_t others = owner.node().placement.replicas(0).size() - 1;
  shard.await_seen(
      std::move(reach), std::min(wanted, others), how,
      [&owner, home, end, nothing, waiting = std::move(waiting)](std::size_t answered) {
        if (nothing) answered = kNothingWritten;
        const bool synced_here = !owner.shard().write_error() && owner.shard().durable() >= end;
        owner.send_to(home, [waiting, answered, synced_here](ShardThread&) {
          answer(*waiting, answered, synced_here);
        });
      });
}

void execute(Connection& connection, Args args, bool aof) {
  const Result<Wait> wait = read_wait(args, aof);
  if (!wait) return connection.reply().error(wait.error().message);
  if (connection.session().wrote_elsewhere) {
    return connection.reply().error(
        "CONSISTENCY this connection has written keys that this node does not hold, and does not "
        "know who has them: use EVEN.WITH n command ...");
  }
  ShardThread& thread = connection.thread();
  const auto waiting = std::make_shared<Waiting>(Waiting{.connection = connection.weak_from_this(),
                                                         .slot = connection.open_slot(),
                                                         .command = connection.last_command(),
                                                         .aof = aof,
                                                         .missing = thread.node().threads.size()});
  const NodeContext& node = thread.node();
  for (const cluster::Node& other : node.config.cluster.nodes) {
    if (other.number != node.number && thread.peers().up(other.number)) ++waiting->linked;
  }
  waiting->linked = std::min(waiting->linked, node.placement.replicas(0).size() - 1);
  for (ShardId shard = 0; shard < thread.node().threads.size(); ++shard) {
    thread.send_to(shard, [home = thread.id(), wait = *wait, waiting](ShardThread& owner) {
      owner.lease().when_free([&owner, home, wait, waiting] { ask(owner, home, wait, waiting); });
    });
  }
}

}  // namespace

void execute_wait(Connection& connection, Args args) { execute(connection, args, false); }
void execute_waitaof(Connection& connection, Args args) { execute(connection, args, true); }

}  // namespace even
