// What a connection has to do with CLIENT TRACKING and CLIENT PAUSE: see docs/tracking.md.
#include <algorithm>

#include "base/database.h"
#include "client/connection.h"
#include "cluster/keyspace_table.h"
#include "node/shard_thread.h"
#include "node/strong_requests.h"

namespace even {
namespace {

constexpr std::string_view kInvalidationChannel = "__redis__:invalidate";

// What a client may cache the reply of. A script is not known to read only; what it writes without
// having read it is remembered in vain.
bool reads_keys(const Command& command) {
  return (command.flags & kReadonly) != 0 || command.script;
}

bool has_replica(ShardThread& thread, std::string_view key) {
  const NodeContext& node = thread.node();
  const PartitionId partition = thread.keyspaces().partition_of(key, node.placement.partitions());
  if (partition < node.shard_of.size()) return node.shard_of[partition] != NodeContext::kElsewhere;
  const cluster::Keyspace* keyspace = thread.keyspaces().of_partition(partition);
  if (keyspace == nullptr) return false;
  const auto members = cluster::replicas_of(node.config.cluster, *keyspace, partition);
  return std::ranges::find(members, node.number) != members.end();
}

// None: of all keys.
std::string invalidation(std::optional<std::span<const std::string>> keys, bool resp3) {
  std::string bytes;
  Reply message(bytes, resp3);
  if (resp3) {
    message.push(2);
    message.bulk("invalidate");
  } else {
    message.array(3);
    message.bulk("message");
    message.bulk(kInvalidationChannel);
  }
  if (keys) {
    message.array(keys->size());
    for (const std::string& key : *keys) message.bulk(key);
  } else {
    message.null();
  }
  return bytes;
}

}  // namespace

void Connection::remember_keys(const Command& command, Args args) {
  const Tracking& tracking = session_.tracking;
  if (tracking.broadcast || !tracking.wants_read() || !reads_keys(command)) return;
  // By the names that clients use. Those of other databases are elsewhere under their stored names.
  const TrackingTable::Client client{session_.id, thread_.id(), tracking.no_loop};
  for_each_key(command, args, [&](std::string_view key) {
    if (session_.database == 0 && !has_replica(thread_, key)) return;
    thread_.node().tracking.remember(client, key);
  });
}

std::vector<std::string> Connection::uncertain_keys(const Command& command, Args args,
                                                    const Route& route,
                                                    const RequestOptions* options) const {
  const Tracking& tracking = session_.tracking;
  if (!tracking.wants_read() || !reads_keys(command)) return {};
  const cluster::Level level = options != nullptr ? options->level : cluster::Level{};
  bool uncertain =
      route.where == Route::Where::kOtherNodes || level.kind == cluster::Level::Kind::kBounded;
  if (route.where == Route::Where::kStrong) {
    // What the leader shows, a member here has applied or is going to apply. Another member may be
    // behind this one.
    const cluster::Keyspace* keyspace = thread_.keyspaces().of_partition(route.group);
    if (keyspace == nullptr) return {};
    const Result<ReadLevel> read = read_level(*keyspace, level);
    uncertain = !read || read->read != StrongRead::kLinearizable;
  }
  std::vector<std::string> keys;
  for_each_key(command, args, [&](std::string_view key) {
    if (!uncertain && has_replica(thread_, key)) return;
    const std::string_view name = user_key(key);
    const bool told = !tracking.broadcast ||
                      std::ranges::any_of(tracking.prefixes, [name](const std::string& prefix) {
                        return name.starts_with(prefix);
                      });
    if (told) keys.emplace_back(name);
  });
  return keys;
}

void Connection::invalidate(std::span<const std::string> keys, bool own) {
  if (!session_.tracking.on || (own && session_.tracking.no_loop)) return;
  send_invalidation(keys);
}

void Connection::invalidate_all() {
  if (session_.tracking.on) send_invalidation(std::nullopt);
}

void Connection::send_invalidation(std::optional<std::span<const std::string>> keys) {
  const Tracking& tracking = session_.tracking;
  if (tracking.redirect == 0) return receive_invalidation(keys, false);
  std::optional<std::vector<std::string>> owned;
  if (keys) owned.emplace(keys->begin(), keys->end());
  const auto hand_over = [target = tracking.redirect, from = thread_.id(), id = session_.id,
                          owned = std::move(owned)](ShardThread& thread) {
    const auto found = thread.clients().find(target);
    if (found != thread.clients().end()) {
      return found->second->receive_invalidation(
          owned ? std::optional<std::span<const std::string>>(*owned) : std::nullopt, true);
    }
    thread.send_to(from, [id](ShardThread& home) {
      const auto self = home.clients().find(id);
      if (self != home.clients().end()) self->second->redirection_broken();
    });
  };
  tracking.redirect_thread == thread_.id() ? hand_over(thread_)
                                           : thread_.send_to(tracking.redirect_thread, hand_over);
}

void Connection::receive_invalidation(std::optional<std::span<const std::string>> keys,
                                      bool redirected) {
  // RESP2 has messages for subscribers only.
  const bool in_resp2 = redirected && subscribed();
  if (!session_.resp3 && !in_resp2) return;
  receive_push(in_resp2 ? invalidation(keys, false) : std::string(), invalidation(keys, true));
}

void Connection::redirection_broken() {
  Tracking& tracking = session_.tracking;
  if (!tracking.on || tracking.redirect == 0) return;
  tracking.redirect_broken = true;
  if (!session_.resp3) return;
  std::string bytes;
  Reply message(bytes, true);
  message.push(2);
  message.bulk("tracking-redir-broken");
  message.integer(static_cast<std::int64_t>(tracking.redirect));
  receive_push({}, bytes);
}

void Connection::receive_push(std::string_view in_resp2, std::string_view in_resp3) {
  if (closing_ || closed_) return;
  note_dirty();
  const OutputLimit& limit = thread_.node().options.output_limit(
      subscribed() ? ClientClass::kPubsub : ClientClass::kNormal);
  // It will be closed in the end of the turn.
  if (limit.exceeded_by(replies_.size() + held_pushes_.size())) return;
  pushes_wait_ = true;
  // The replies of EXEC have no place of their own yet, and may be of before.
  if (in_exec_ || executing_) return held_pushes_.add(in_resp2, in_resp3);
  const std::string_view bytes = session_.resp3 ? in_resp3 : in_resp2;
  // It may wait for ever, and what it has cached is not to be kept for so long.
  if (blocked_request_ != nullptr) return replies_.put_ahead(bytes);
  replies_.begin_reply();
  replies_.tail() += bytes;
  mark_pushes();
}

void Connection::end_tracking() {
  Tracking& tracking = session_.tracking;
  if (!tracking.on) return;
  thread_.node().tracking.remove({session_.id, thread_.id()}, tracking.prefixes);
  tracking = {};
}

bool Connection::is_paused(const Command& command) const {
  switch (thread_.node().pause.mode()) {
    case ClientPause::Mode::kNone:
      return false;
    case ClientPause::Mode::kAll:
      return true;
    case ClientPause::Mode::kWrites:
      break;
  }
  return is_paused_as_write(command) ||
         (command.name == "exec" && transaction_.is_paused_as_write());
}

}  // namespace even
