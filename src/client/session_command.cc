// EVEN.SESSION [token|RESET]: what a connection has seen and written, as a token, and taking one
// over. See docs/sessions.md.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "client/connection_commands.h"
#include "client/session_token.h"
#include "engine/text.h"

namespace even {
namespace {

// How long a node that has just been started, with an empty disk, may take to hear of the key.
constexpr std::int64_t kKeyDeadlineUs = 5'000'000;
constexpr std::chrono::milliseconds kSessionAgain{10};
constexpr std::string_view kNoKey =
    "UNAVAILABLE this node does not know yet what tokens are sealed with: it takes a majority of "
    "the nodes, once";
// Calls execute(connection, reply) once the key is known, or replies that it is not.
template <typename Execute>
class WithKey : public std::enable_shared_from_this<WithKey<Execute>> {
 public:
  WithKey(Connection& connection, Execute execute)
      : connection_(connection.weak_from_this()),
        thread_(connection.thread()),
        slot_(connection.open_slot()),
        command_(connection.last_command()),
        deadline_us_(thread_.clock().monotonic_us() + kKeyDeadlineUs),
        timer_(thread_.io()),
        execute_(std::move(execute)) {}

  void wait() {
    timer_.expires_after(kSessionAgain);
    timer_.async_wait([self = this->shared_from_this()](error_code error) {
      if (!error) self->look();
    });
  }

 private:
  void look() {
    const auto connection = connection_.lock();
    if (!connection) return;
    std::string bytes;
    Reply reply(bytes, connection->session().resp3);
    if (!thread_.keyspaces().session_key().empty()) {
      execute_(*connection, reply);
    } else if (thread_.clock().monotonic_us() < deadline_us_) {
      return wait();
    } else {
      reply.error(kNoKey);
    }
    connection->complete(slot_, std::move(bytes), command_);
  }

  const std::weak_ptr<Connection> connection_;
  ShardThread& thread_;
  const std::uint64_t slot_;
  CommandStats::Entry* const command_;
  const std::int64_t deadline_us_;
  asio::steady_timer timer_;
  Execute execute_;
};

template <typename Execute>
void with_key(Connection& connection, Execute execute) {
  if (connection.thread().keyspaces().session_key().empty()) {
    return std::make_shared<WithKey<Execute>>(connection, std::move(execute))->wait();
  }
  Reply reply = connection.reply();
  execute(connection, reply);
}

SessionContent content_of(Connection& connection) {
  SessionContent content{.seen = connection.begin_session().all(), .groups = {}};
  for (const auto& [group, known] : connection.groups()) {
    if (known.seen > 0) content.groups.emplace_back(group, known.seen);
  }
  std::ranges::sort(content.groups);
  return content;
}

void reply_token(Connection& connection, Reply& reply) {
  const std::string& key = connection.thread().keyspaces().session_key();
  if (key.empty()) return reply.error(kNoKey);
  reply.bulk(seal_session(key, content_of(connection)));
}

// What it did before it had a session is in what this node has seen since.
void reply_token_of_all(Connection& connection) {
  reply_gathered<PartitionReach>(
      connection,
      [](ShardThread& owner) {
        std::vector<PartitionId> partitions;
        const NodeContext& node = owner.node();
        for (PartitionId id = 0; id < node.placement.partitions(); ++id) {
          if (node.shard_of[id] == owner.id()) partitions.push_back(id);
        }
        return owner.shard().reach_of(partitions, false);
      },
      [weak = connection.weak_from_this()](Reply& reply,
                                           const std::vector<PartitionReach>& shards) {
        const auto self = weak.lock();
        if (!self) return;
        for (const PartitionReach& seen : shards) self->begin_session().merge(seen);
        self->tracked();
        reply_token(*self, reply);
      });
}

void take_over(Connection& connection, Reply& reply, std::string_view token) {
  ShardThread& thread = connection.thread();
  const Result<SessionContent> content = open_session(thread.keyspaces().session_key(), token);
  if (!content) return reply.error("ERR " + content.error().message);
  const PartitionId partitions = thread.node().placement.partitions();
  if (!content->seen.empty() && content->seen.back().first >= partitions) {
    return reply.error(fmt::format("ERR this session token is about partition {}, and there are {}",
                                   content->seen.back().first, partitions));
  }
  connection.begin_session().merge(content->seen);
  for (const auto& [group, index] : content->groups) {
    if (thread.keyspaces().was_dropped(group)) continue;
    std::uint64_t& seen = connection.groups()[group].seen;
    seen = std::max(seen, index);
  }
  reply.ok();
}

}  // namespace

void execute_session(Connection& connection, Args args) {
  if (args.size() > 2) return connection.reply().error(kSyntaxError);
  if (args.size() == 2 && equals_ignore_case(args[1], "reset")) {
    connection.forget_session();
    connection.begin_session();
    return connection.reply().ok();
  }
  if (args.size() == 2) {
    return with_key(connection, [token = std::string(args[1])](Connection& self, Reply& reply) {
      take_over(self, reply, token);
    });
  }
  if (connection.used_elsewhere_untracked()) {
    return connection.reply().error(
        "CONSISTENCY this connection had other nodes execute requests before it had a session, and "
        "does not know what they have shown: EVEN.SESSION RESET begins one as of now");
  }
  connection.begin_session();
  if (connection.used_untracked()) return reply_token_of_all(connection);
  with_key(connection, reply_token);
}

}  // namespace even
