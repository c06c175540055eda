// A client's request with its own copy of the bytes: for everything that cannot run within the turn
// in which it arrived.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/database.h"
#include "base/ids.h"
#include "client/slow_log.h"
#include "cluster/level.h"
#include "engine/command.h"

namespace even {

class SessionReach;
class StrongLane;

// What a client's connection keeps of a group that it uses. On the connection's thread, but for
// what is in `lane` (node/strong_lane.h).
struct GroupOfClient {
  std::uint64_t seen = 0;  // up to where: index of its log
  std::shared_ptr<StrongLane> lane;
};
using GroupsOfClient = absl::flat_hash_map<PartitionId, GroupOfClient>;

// What a request asks for beside its words.
struct RequestOptions {
  cluster::Level level;
  std::string once;  // EVEN.ONCE's id; empty: without
  std::int64_t once_ms = 0;
  std::shared_ptr<GroupsOfClient> groups;  // of strong keyspaces
  // Of eventual ones: the client's session, if it has one, and whether the request has to wait for
  // all that it has seen.
  std::shared_ptr<SessionReach> session;
  bool in_session = false;
};

struct OwnedRequest {
  const Command* command = nullptr;
  bool resp3 = false;
  bool of_peer = false;                // another node has forwarded it
  std::vector<std::string_view> args;  // into `bytes`, as is what follows
  ClientLabel client;
  // Of scope kAll: the partitions that it is about, ascending; empty for all.
  std::vector<PartitionId> within;
  // In a transaction, until EXEC makes stored words of them: the client's database, by its number.
  DatabaseNumber database = 0;
  bool of_default = false;  // of scope kAll: about eventual keyspaces alone
  // Of a part whose words do not say it: the partition of a strong keyspace that it is about, as if
  // it named a key of that.
  std::optional<PartitionId> group;
  // Of EXEC: what is executed as one, and the WATCHes that came before, with their replies: if one
  // replies something else by now, nothing is executed.
  std::vector<OwnedRequest> parts;
  std::vector<OwnedRequest> watched;
  std::string watch_reply;
  std::int64_t rights_deadline_us = 0;      // until when it waits for rights; 0: it has not had to
  std::unique_ptr<RequestOptions> options;  // none: the keyspace's level
  std::shared_ptr<const void> kept;         // what words view that are not in `bytes`
  std::shared_ptr<const void> rights;       // the same, of a script's user (engine/acl.h)
  // Called, unless it was refused, by the thread that has executed it, in the same turn: what it
  // has written may not be as durable yet as its reply will say. Not of what is done by several
  // shards, in steps, or by a group.
  std::move_only_function<void()> executed;

  bool is_transaction() const { return !parts.empty() || !watched.empty(); }
  // Calls visit(request) for itself, or for all that are in it.
  template <typename Visit>
  void for_each_part(Visit visit) const {
    if (!is_transaction()) return visit(*this);
    for (const OwnedRequest& part : parts) visit(part);
    for (const OwnedRequest& watch : watched) visit(watch);
  }
  // Of its words, about.
  std::size_t memory() const {
    std::size_t sum = sizeof *this + args.size() * sizeof args[0];
    for (std::string_view arg : args) sum += arg.size();
    return sum;
  }
  bool writes() const {
    bool any = false;
    for_each_part([&any](const OwnedRequest& part) { any |= may_write(*part.command); });
    return any;
  }
  bool about_all() const {
    bool all = false;
    for_each_part([&all](const OwnedRequest& part) { all |= part.command->scope == Scope::kAll; });
    return all;
  }

  // Copies `args`, whose arity has been checked.
  static OwnedRequest copy(const Command& command, Args args, bool resp3,
                           const ClientLabel& client) {
    OwnedRequest request;
    request.command = &command;
    request.resp3 = resp3;
    std::size_t size = client.address.size() + client.name.size();
    for (std::string_view arg : args) size += arg.size();
    request.bytes = std::make_unique_for_overwrite<char[]>(size);
    request.args.reserve(args.size());
    char* end = request.bytes.get();
    const auto kept = [&end](std::string_view text) {
      if (!text.empty()) std::memcpy(end, text.data(), text.size());
      return std::string_view(std::exchange(end, end + text.size()), text.size());
    };
    for (std::string_view arg : args) request.args.push_back(kept(arg));
    request.client = {kept(client.address), kept(client.name), client.id};
    return request;
  }

  std::unique_ptr<char[]> bytes;
};

// Takes the reply to one request; called once, on the thread that made the request.
using ReplySink = std::move_only_function<void(std::string reply)>;

}  // namespace even
