#include "node/router.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <limits>
#include <map>

#include "base/check.h"
#include "engine/acl.h"
#include "engine/cmd_scan.h"
#include "node/quorum_requests.h"
#include "node/session_requests.h"
#include "node/shard_thread.h"
#include "node/strong_lane.h"
#include "resp/resp_merge.h"
#include "script/interpreter.h"

namespace even {

namespace {

std::string error_reply(std::string_view error) {
  std::string reply;
  Reply(reply, false).error(error);
  return reply;
}

// Where a request runs whose keys are added one by one.
class RouteOfKeys {
 public:
  RouteOfKeys(ShardId here, const NodeContext& node)
      : here_(here), node_(node), route_{Route::Where::kHere, here} {}

  void add(std::string_view key) {
    const ShardId shard = node_.shard_of[node_.placement.partition_of(key)];
    if (shard == NodeContext::kElsewhere) {
      route_.where = Route::Where::kOtherNodes;
    } else if (route_.where == Route::Where::kOtherNodes) {
      return;
    } else if (first_) {
      route_ = {shard == here_ ? Route::Where::kHere : Route::Where::kOtherShard, shard};
    } else if (shard != route_.shard) {
      route_.where = Route::Where::kSeveralShards;
    }
    first_ = false;
  }
  Route found() const { return route_; }

 private:
  const ShardId here_;
  const NodeContext& node_;
  Route route_;
  bool first_ = true;
};

// The same with regard to strong keyspaces: nothing, where no key is in one.
class GroupOfKeys {
 public:
  GroupOfKeys(const cluster::KeyspaceTable& keyspaces, PartitionId default_partitions)
      : keyspaces_(keyspaces), default_partitions_(default_partitions) {}

  void add(std::string_view key) { add(keyspaces_.partition_of(key, default_partitions_)); }
  void add(PartitionId partition) {
    if (partition < default_partitions_) {
      eventual_ = true;
    } else if (!group_) {
      group_ = partition;
    } else {
      several_ = several_ || *group_ != partition;
    }
  }
  void add_all() { eventual_ = true; }
  std::optional<Route> found() const {
    if (!group_) return std::nullopt;
    if (several_ || eventual_) return Route{Route::Where::kSeveralGroups};
    return Route{.where = Route::Where::kStrong, .group = *group_};
  }

 private:
  const cluster::KeyspaceTable& keyspaces_;
  const PartitionId default_partitions_;
  std::optional<PartitionId> group_;
  bool eventual_ = false;
  bool several_ = false;
};

// What an eventual keyspace cannot do for a request; empty: it can do all that is asked for.
std::string refusal_of_eventual(const RequestOptions& options, bool writes) {
  if (!options.once.empty()) {
    return "-ERR EVEN.ONCE is for keys of strong keyspaces so far: EVEN.KEYSPACE CREATE makes "
           "one\r\n";
  }
  using Kind = cluster::Level::Kind;
  if (options.level.kind == Kind::kDefault || options.level.kind == Kind::kOne) return {};
  if (is_quorum(options.level)) return {};
  if (options.level.kind == Kind::kSession || options.level.kind == Kind::kCausal) return {};
  if (options.level.kind == Kind::kBounded) {
    if (!writes) return {};
    return "-CONSISTENCY BOUNDED is a level of reads: a write has no age\r\n";
  }
  return fmt::format(
      "-CONSISTENCY {} is not supported in eventual keyspaces yet: there are ONE, TWO, THREE, "
      "numbers, QUORUM, ALL, SESSION, CAUSAL and BOUNDED ms; a strong keyspace (EVEN.KEYSPACE "
      "CREATE ... "
      "MODE STRONG) "
      "has more\r\n",
      cluster::to_string(options.level));
}

}  // namespace

struct Router::Steps {
  OwnedRequest request;
  ReplySink sink;
  std::unique_ptr<Listing> listing;
  std::int64_t spent_us = 0;
};

// A command that borrows several shards.
struct Router::Across {
  ShardId home;                 // the thread that the command runs on
  std::vector<ShardId> shards;  // ascending; home among them
  std::size_t borrowed = 0;     // so many of them, from the first
  OwnedRequest request;
  ReplySink sink;
  std::string reply;
  LogPosition position = 0;    // which the home's log must have reached
  std::size_t unreleased = 0;  // shards whose logs are waited for
};

// The replies of several nodes on their way to becoming one.
struct Router::Gathering {
  Split split;
  std::size_t key_count = 0;
  std::vector<PartReply> parts;
  std::size_t missing = 0;
  ReplySink sink;

  // What to do with the reply to parts[index].
  static ReplySink take(const std::shared_ptr<Gathering>& self, std::size_t index) {
    return [self, index](std::string reply) {
      self->parts[index].reply = std::move(reply);
      if (--self->missing > 0) return;
      self->sink(merge_replies(self->split, self->key_count, self->parts));
    };
  }
};

// One partition is asked after the other.
struct Router::Parts {
  OwnedRequest request;
  ReplySink sink;
  std::vector<PartReply> replies;  // of the first ones of request.within
};

// One node is asked after the other.
struct Router::Asking {
  OwnedRequest request;
  ReplySink sink;
  std::map<NodeNumber, std::vector<PartitionId>> targets;  // not asked yet
};

Route Router::route(const Command& command, Args args) const {
  const NodeContext& node = thread_.node();
  if (thread_.any_strong() && command.scope == Scope::kKeys) {
    GroupOfKeys group(thread_.keyspaces(), node.placement.partitions());
    for_each_key(command, args, [&group](std::string_view key) { group.add(key); });
    if (const std::optional<Route> found = group.found()) return *found;
  }
  if (command.scope == Scope::kAll) {
    if (thread_.any_strong() && command.split != Split::kNever)
      return {Route::Where::kAllKeyspaces};
    return route_to_default(command);
  }
  RouteOfKeys route(thread_.id(), node);
  if (node.shards > 1 || node.partial) {
    for_each_key(command, args, [&route](std::string_view key) { route.add(key); });
  }
  if (needs_all_shards(command, args) && route.found().where != Route::Where::kOtherNodes) {
    return {Route::Where::kSeveralShards};
  }
  return route.found();
}

Route Router::route_to_default(const Command& command) const {
  const NodeContext& node = thread_.node();
  if (node.partial && command.split != Split::kNever) return {Route::Where::kOtherNodes, 0};
  if (command.split == Split::kConcatenate) return {Route::Where::kInParts, 0};
  return {node.shards == 1 ? Route::Where::kHere : Route::Where::kSeveralShards, 0};
}

// A script may touch keys that it is not given.
bool Router::needs_all_shards(const Command& command, Args args) const {
  return command.script && thread_.node().shards > 1 &&
         !thread_.shard().scripts().stays_within(command, args);
}

Route Router::route(const OwnedRequest& request) const {
  if (!request.is_transaction()) {
    return request.of_default ? route_to_default(*request.command)
                              : route(*request.command, request.args);
  }
  const NodeContext& node = thread_.node();
  if (thread_.any_strong()) {
    if (const std::optional<Route> group = route_to_group(request)) return *group;
  }
  if (node.shards == 1 && !node.partial) return {Route::Where::kHere, thread_.id()};
  RouteOfKeys route(thread_.id(), node);
  request.for_each_part([&route](const OwnedRequest& part) {
    for_each_key(*part.command, part.args, [&route](std::string_view key) { route.add(key); });
  });
  bool all = false;
  request.for_each_part(
      [&](const OwnedRequest& part) { all = all || needs_all_shards(*part.command, part.args); });
  if (all && route.found().where != Route::Where::kOtherNodes) {
    return {Route::Where::kSeveralShards};
  }
  if (!request.about_all()) return route.found();
  return {node.partial ? Route::Where::kOtherNodes : Route::Where::kSeveralShards, 0};
}

std::optional<Route> Router::route_to_group(const OwnedRequest& request) const {
  GroupOfKeys group(thread_.keyspaces(), thread_.node().placement.partitions());
  request.for_each_part([&group](const OwnedRequest& part) {
    if (part.command->scope == Scope::kAll) group.add_all();
    if (part.group) group.add(*part.group);
    for_each_key(*part.command, part.args, [&group](std::string_view key) { group.add(key); });
  });
  return group.found();
}

void Router::submit(OwnedRequest request, ReplySink sink, bool may_forward) {
  if (request.about_all() && thread_.node().replaying > 0) {
    ++in_steps_;
    return thread_.when_replayed(
        [this, request = std::move(request), sink = std::move(sink), may_forward]() mutable {
          --in_steps_;
          submit(std::move(request), std::move(sink), may_forward);
        });
  }
  if (!request.within.empty()) return run_within(std::move(request), std::move(sink));
  const Route route = this->route(request);
  if (route.where == Route::Where::kAllKeyspaces) {
    return run_in_all_keyspaces(std::move(request), std::move(sink));
  }
  if (request.options && route.where != Route::Where::kStrong) {
    std::string refusal = refusal_of_eventual(*request.options, request.writes());
    if (!refusal.empty()) return sink(std::move(refusal));
    const bool elsewhere = route.where == Route::Where::kOtherNodes && !request.about_all();
    const bool here = !elsewhere && route.where != Route::Where::kSeveralGroups;
    if (here && request.options->level.kind == cluster::Level::Kind::kBounded) {
      return thread_.bounded().submit(std::move(request), std::move(sink));
    }
    if (here && request.options->session) {
      return thread_.sessions().submit(std::move(request), std::move(sink));
    }
    if (here && is_quorum(request.options->level)) {
      return thread_.quorum().submit(std::move(request), std::move(sink));
    }
  }
  switch (route.where) {
    case Route::Where::kAllKeyspaces:
      return run_in_all_keyspaces(std::move(request), std::move(sink));
    case Route::Where::kStrong:
      return run_strong(route.group, std::move(request), std::move(sink));
    case Route::Where::kSeveralGroups:
      return sink(
          "-CROSSGROUP the keys of a command or transaction must lie in one group of a strong "
          "keyspace: give them one hash tag, as in {42}:name and {42}:mail, and one keyspace\r\n");
    case Route::Where::kHere:
      return run_here(std::move(request), std::move(sink));
    case Route::Where::kOtherShard:
      return run_on(route.shard, std::move(request), std::move(sink));
    case Route::Where::kSeveralShards: {
      std::vector<ShardId> shards = shards_of(request);
      return run_across(std::move(shards), std::move(request), std::move(sink));
    }
    case Route::Where::kInParts: {
      const PartitionId count = thread_.node().placement.partitions();
      for (PartitionId id = 0; id < count; ++id) request.within.push_back(id);
      return run_in_parts(std::move(request), std::move(sink));
    }
    case Route::Where::kOtherNodes:
      if (request.is_transaction() || request.command->group == "transactions") {
        return sink(
            fmt::format("-OTHERNODE node '{}' holds no replica of a key of this transaction: "
                        "connect to a node that holds all of its keys (EVEN.EXPLAIN shows which "
                        "do), or give them one hash tag\r\n",
                        thread_.node().config.node.name));
      }
      if (!may_forward) {
        return sink(
            fmt::format("-ERR node '{}' holds no replica of this key: the nodes' cluster maps "
                        "differ\r\n",
                        thread_.node().config.node.name));
      }
      return request.command->scope == Scope::kAll
                 ? run_everywhere(std::move(request), std::move(sink))
                 : run_elsewhere(std::move(request), std::move(sink));
  }
}

bool Router::carry_scripts(OwnedRequest& request, ReplySink& sink) {
  const auto carry = [this](OwnedRequest& part) {
    if (!part.command->script) return true;
    ScriptCache& known = thread_.node().scripts;
    const std::size_t first = is_as_user(*part.command) ? kAsUserWords : 0;
    std::string_view& text = part.args[first + 1];
    const Command& command = *find_command(part.args[first]);
    if (!command.name.starts_with("evalsha")) {
      known.add(std::make_shared<const Script>(std::string(text)), false);
      return true;
    }
    const ScriptPointer script = known.find(text);
    if (script == nullptr) return false;
    const Command* by_text = find_command((command.flags & kReadonly) != 0 ? "eval_ro" : "eval");
    part.args[first] = by_text->name;
    if (first == 0) part.command = by_text;
    text = script->text;
    part.kept = script;
    return true;
  };
  // One in a transaction is refused in its place among the replies.
  for (OwnedRequest& part : request.parts) carry(part);
  if (request.is_transaction() || carry(request)) return true;
  sink("-NOSCRIPT No matching script. Please use EVAL.\r\n");
  return false;
}

void Router::run_strong(PartitionId group, OwnedRequest request, ReplySink sink) {
  if (!carry_scripts(request, sink)) return;
  const cluster::Keyspace& keyspace = *thread_.keyspaces().of_partition(group);
  // Without its row nobody would end a transaction that partitions of topics have open.
  if (keyspace.name == cluster::kTransactionsKeyspace && request.writes()) {
    return sink(
        "-ERR keys of the keyspace '__transactions' are written by transactions of topics "
        "only\r\n");
  }
  StrongCall call{.group = group, .writes = request.writes(), .deadline_ms = keyspace.deadline_ms};
  std::shared_ptr<GroupsOfClient> groups;
  // WATCH and EXEC are about what holds everywhere.
  const bool at_level = !request.is_transaction() && request.command->group != "transactions";
  const cluster::Level wanted = request.options ? request.options->level : cluster::Level{};
  const Result<ReadLevel> level = read_level(keyspace, wanted);
  if (!level) return sink("-" + level.error().message + "\r\n");
  if (at_level && !call.writes) call.level = *level;
  if (request.options) {
    call.once = std::move(request.options->once);
    call.once_ms = request.options->once_ms;
    groups = request.options->groups;
    if (groups) {
      GroupOfClient& known = (*groups)[group];
      if (known.lane == nullptr) known.lane = std::make_shared<StrongLane>();
      call.after = known.seen;
      call.lane = known.lane;
    }
  }
  call.request = std::move(request);
  thread_.strong().submit(std::move(call),
                          [group, groups = std::move(groups), sink = std::move(sink)](
                              std::string reply, consensus::Index index) mutable {
                            if (groups) {
                              std::uint64_t& seen = (*groups)[group].seen;
                              seen = std::max(seen, index);
                            }
                            sink(std::move(reply));
                          });
}

// About some partitions, which this node holds.
void Router::run_within(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  for (const PartitionId partition : request.within) {
    if (partition < node.shard_of.size() && node.shard_of[partition] != NodeContext::kElsewhere) {
      continue;
    }
    return sink(
        fmt::format("-ERR node '{}' holds no replica of partition {}: the nodes' cluster maps "
                    "differ\r\n",
                    node.config.node.name, partition));
  }
  if (request.command->split == Split::kConcatenate && request.within.size() > 1) {
    return run_in_parts(std::move(request), std::move(sink));
  }
  std::vector<ShardId> shards = shards_of(request);
  if (shards.size() > 1) return run_across(std::move(shards), std::move(request), std::move(sink));
  if (shards.front() == thread_.id()) return run_here(std::move(request), std::move(sink));
  run_on(shards.front(), std::move(request), std::move(sink));
}

void Router::run_in_parts(OwnedRequest request, ReplySink sink) {
  ++in_steps_;
  auto parts = std::make_shared<Parts>();
  parts->request = std::move(request);
  parts->sink = std::move(sink);
  ask_part(std::move(parts));
}

void Router::ask_part(std::shared_ptr<Parts> parts) {
  // In a task of its own, so that what has come meanwhile is executed in between.
  thread_.send_to(thread_.id(), [this, parts = std::move(parts)](ShardThread&) {
    const OwnedRequest& request = parts->request;
    if (parts->replies.size() == request.within.size()) {
      --in_steps_;
      return parts->sink(merge_replies(request.command->split, 0, parts->replies));
    }
    OwnedRequest part =
        OwnedRequest::copy(*request.command, request.args, request.resp3, request.client);
    part.within = {request.within[parts->replies.size()]};
    part.of_peer = request.of_peer;
    run_within(std::move(part), [this, parts](std::string reply) {
      parts->replies.push_back({{}, std::move(reply)});
      ask_part(parts);
    });
  });
}

void Router::run_here(OwnedRequest request, ReplySink sink) {
  thread_.lease().when_free([this, request = std::move(request), sink = std::move(sink)]() mutable {
    if (thread_.shard().any_cold() && park(request, sink)) return;
    execute_here(std::move(request), std::move(sink));
  });
}

void Router::execute_here(OwnedRequest request, ReplySink sink) {
  Shard& shard = thread_.shard();
  if (!request.is_transaction() && shard.lists_much(*request.command, request.args)) {
    ++in_steps_;
    auto listing = shard.list(*request.command, request.args, request.resp3);
    return take_steps(
        std::make_unique<Steps>(std::move(request), std::move(sink), std::move(listing)));
  }
  std::string reply;
  const LogPosition position = thread_.execute(request, reply);
  if (shard.lacks_rights() && await_rights(request, sink)) return;
  if (request.executed && !reply.starts_with('-')) request.executed();
  thread_.hold_until(position, [reply = std::move(reply), sink = std::move(sink)](
                                   const ShardThread::ReleaseError& error) mutable {
    sink(error ? error_reply(*error) : std::move(reply));
  });
}

bool Router::await_rights(OwnedRequest& request, ReplySink& sink) {
  if (request.is_transaction() || request.command->script) return false;
  const std::int64_t now_us = thread_.clock().monotonic_us();
  if (request.rights_deadline_us == 0) {
    const cluster::Keyspace* keyspace = thread_.keyspaces().of_key(request.args[1]);
    const std::int64_t wait_ms =
        std::min(keyspace != nullptr ? keyspace->deadline_ms : kDefaultDeadlineMs,
                 request.of_peer ? kForwardedDeadlineMs : std::numeric_limits<std::int64_t>::max());
    request.rights_deadline_us = now_us + wait_ms * 1'000;
  }
  if (now_us >= request.rights_deadline_us) return false;
  const std::int64_t deadline_us = request.rights_deadline_us;
  auto waiting =
      std::make_shared<std::pair<OwnedRequest, ReplySink>>(std::move(request), std::move(sink));
  ++in_steps_;
  thread_.shard().await_rights(deadline_us, [this, waiting](bool there) {
    // In a turn of its own: the shard is in the middle of something.
    asio::post(thread_.io(), [this, waiting, there] {
      --in_steps_;
      if (!there) waiting->first.rights_deadline_us = 1;  // what it replies now is final
      run_here(std::move(waiting->first), std::move(waiting->second));
    });
  });
  return true;
}

// One step, and the rest later, so that what has come meanwhile is executed in between.
void Router::take_steps(std::unique_ptr<Steps> steps) {
  const std::int64_t began_us = thread_.clock().monotonic_us();
  const std::uint64_t began = CommandTimer::counter();
  const bool more = steps->listing->step();
  thread_.note_execution(steps->request, CommandTimer::counter() - began);
  steps->spent_us += thread_.clock().monotonic_us() - began_us;
  if (more) {
    asio::post(thread_.io(), [this, steps = std::move(steps)]() mutable {
      thread_.lease().when_free(
          [this, steps = std::move(steps)]() mutable { take_steps(std::move(steps)); });
    });
    return;
  }
  --in_steps_;
  thread_.log_if_slow(steps->request, steps->spent_us);
  thread_.hold_until(thread_.shard().barrier(),
                     [reply = steps->listing->take_reply(), sink = std::move(steps->sink)](
                         const ShardThread::ReleaseError& error) mutable {
                       sink(error ? error_reply(*error) : std::move(reply));
                     });
}

// Keeps a request back while its keys are read from the store, or while one that came before it on
// the same keys is kept back: a client's commands on one key stay in order. False: it may run.
bool Router::park(OwnedRequest& request, ReplySink& sink) {
  std::vector<std::string_view> keys;
  std::vector<Need> needs;
  request.for_each_part([&](const OwnedRequest& part) {
    for_each_need(*part.command, part.args, [&](const Need& need) {
      keys.push_back(need.key);
      needs.push_back(need);
    });
  });
  const bool behind = std::ranges::any_of(parked_, [&keys](const Parked& earlier) {
    return std::ranges::find_first_of(earlier.keys, keys) != earlier.keys.end();
  });
  const std::uint64_t number = next_parked_++;
  const auto ready = [this, number] {
    for (Parked& parked : parked_) parked.ready = parked.ready || parked.number == number;
    unpark();
  };
  Shard& shard = thread_.shard();
  const bool may_run = !behind && !shard.await_replay(needs, ready) && !shard.fetch(needs, ready);
  if (may_run) return false;
  parked_.push_back({number, behind, std::move(request), std::move(sink), std::move(keys)});
  return true;
}

// Runs what is ready and has nothing on its keys before it.
void Router::unpark() {
  absl::flat_hash_set<std::string_view> waiting;
  for (auto at = parked_.begin(); at != parked_.end();) {
    const bool may_run = at->ready && std::ranges::none_of(at->keys, [&](std::string_view key) {
                           return waiting.contains(key);
                         });
    if (!may_run) {
      waiting.insert(at->keys.begin(), at->keys.end());
      ++at;
      continue;
    }
    Parked parked = std::move(*at);
    at = parked_.erase(at);
    execute_here(std::move(parked.request), std::move(parked.sink));
  }
}

// Whether one of these shards has been executing a script for too long to wait for it.
bool Router::refuse_if_busy(std::span<const ShardId> shards, ReplySink& sink) {
  const ScriptCache& scripts = thread_.node().scripts;
  const std::int64_t now_us = thread_.clock().monotonic_us();
  if (std::ranges::none_of(shards, [&](ShardId shard) { return scripts.is_busy(shard, now_us); })) {
    return false;
  }
  sink(std::string(kBusyReply));
  return true;
}

void Router::run_on(ShardId shard, OwnedRequest request, ReplySink sink) {
  if (refuse_if_busy({&shard, 1}, sink)) return;
  thread_.send_to(shard, [from = thread_.id(), request = std::move(request),
                          sink = std::move(sink)](ShardThread& owner) mutable {
    owner.router().run_here(
        std::move(request), [&owner, from, sink = std::move(sink)](std::string reply) mutable {
          owner.send_to(from, [reply = std::move(reply), sink = std::move(sink)](
                                  ShardThread&) mutable { sink(std::move(reply)); });
        });
  });
}

std::vector<ShardId> Router::shards_of(const OwnedRequest& request) const {
  const NodeContext& node = thread_.node();
  std::vector<ShardId> shards;
  if (!request.within.empty()) {
    for (const PartitionId partition : request.within) shards.push_back(node.shard_of[partition]);
  } else if (request.about_all()) {
    for (ShardId shard = 0; shard < node.shards; ++shard) shards.push_back(shard);
  } else {
    request.for_each_part([&](const OwnedRequest& part) {
      for_each_key(*part.command, part.args, [&](std::string_view key) {
        shards.push_back(node.shard_of[node.placement.partition_of(key)]);
      });
    });
  }
  if (request.within.empty()) {
    bool all = false;
    request.for_each_part(
        [&](const OwnedRequest& part) { all = all || needs_all_shards(*part.command, part.args); });
    for (ShardId shard = 0; all && shard < node.shards; ++shard) shards.push_back(shard);
  }
  std::ranges::sort(shards);
  const auto rest = std::ranges::unique(shards);
  shards.erase(rest.begin(), rest.end());
  return shards;
}

void Router::run_across(std::vector<ShardId> shards, OwnedRequest request, ReplySink sink) {
  // This thread's own shard is always among them: it executes the command, with its random numbers
  // and its log.
  const auto own = std::ranges::lower_bound(shards, thread_.id());
  if (own == shards.end() || *own != thread_.id()) shards.insert(own, thread_.id());
  if (refuse_if_busy(shards, sink)) return;
  auto across = std::make_unique<Across>();
  across->home = thread_.id();
  across->shards = std::move(shards);
  across->request = std::move(request);
  across->sink = std::move(sink);
  ++across_;
  borrow_next(std::move(across));
}

void Router::borrow_next(std::unique_ptr<Across> across) {
  if (across->borrowed == across->shards.size()) return execute_across(std::move(across));
  const ShardId next = across->shards[across->borrowed++];
  if (next == thread_.id()) {
    return thread_.lease().request(
        [this, across = std::move(across)]() mutable { borrow_next(std::move(across)); });
  }
  thread_.send_to(next, [this, across = std::move(across)](ShardThread& owner) mutable {
    owner.lease().request([this, &owner, across = std::move(across)]() mutable {
      // `this` is used by its own thread only: what is sent to it runs there.
      const ShardId home = across->home;
      owner.send_to(home, [this, across = std::move(across)](ShardThread&) mutable {
        borrow_next(std::move(across));
      });
    });
  });
}

void Router::execute_across(std::unique_ptr<Across> across) {
  std::vector<Shard*> others;
  for (ShardId shard : across->shards) {
    if (shard != thread_.id()) others.push_back(&thread_.node().threads[shard]->shard());
  }
  const OwnedRequest& request = across->request;
  across->position = thread_.execute(request, across->reply, others);
  std::vector<ShardId> receivers;
  bool any_gave = false;
  for (const ShardId shard : across->shards) {
    const bool gave = thread_.node().threads[shard]->shard().take_given_away();
    any_gave = any_gave || gave;
    if (!gave) receivers.push_back(shard);
  }
  if (!any_gave || receivers.empty()) return give_back(std::move(across));
  // All are kept until the logs of the others have what the givers' must not have lost before.
  await_released(std::move(across), receivers, false,
                 [this](std::shared_ptr<Across> across) { give_back(std::move(across)); });
}

void Router::give_back(std::shared_ptr<Across> across) {
  const std::vector<ShardId>& shards = across->shards;
  await_released(std::move(across), shards, true, [this](const std::shared_ptr<Across>& across) {
    --across_;
    across->sink(std::move(across->reply));
  });
}

void Router::await_released(std::shared_ptr<Across> across, const std::vector<ShardId>& shards,
                            bool give_back, std::function<void(std::shared_ptr<Across>)> done) {
  across->unreleased = shards.size();
  // Runs on this thread, once for each shard.
  auto released = [across, done = std::move(done)](const ShardThread::ReleaseError& error) {
    if (error) across->reply = error_reply(*error);
    if (--across->unreleased == 0) done(across);
  };
  const auto let_go = [give_back](ShardThread& owner) {
    give_back ? owner.lease().give_back() : owner.lease().end_use();
  };
  bool home = false;
  for (const ShardId shard : shards) {
    if (shard == thread_.id()) {
      home = true;
      continue;
    }
    thread_.send_to(shard, [from = thread_.id(), released, let_go](ShardThread& owner) {
      owner.hold_until(owner.shard().barrier(),
                       [&owner, from, released](const ShardThread::ReleaseError& error) {
                         owner.send_to(from, [released, error](ShardThread&) { released(error); });
                       });
      let_go(owner);
    });
  }
  if (!home) return;
  thread_.hold_until(across->position, released);
  let_go(thread_);
}

NodeNumber Router::node_for(PartitionId partition) const {
  return node_for_all(std::span(&partition, 1));
}

NodeNumber Router::node_for_all(std::span<const PartitionId> partitions) const {
  const NodeContext& node = thread_.node();
  const auto holds_all = [&](NodeNumber candidate) {
    return std::ranges::all_of(partitions, [&](PartitionId partition) {
      return node.placement.holds(candidate, partition);
    });
  };
  if (holds_all(node.number)) return node.number;
  NodeNumber suspected = 0;
  for (NodeNumber candidate : node.placement.replicas(partitions.front())) {
    if (!thread_.peers().up(candidate) || !holds_all(candidate)) continue;
    if (!thread_.peers().suspects(candidate)) return candidate;
    if (suspected == 0) suspected = candidate;
  }
  return suspected;
}

void Router::forward(NodeNumber target, OwnedRequest request, ReplySink sink) {
  if (!request.within.empty() || may_write(*request.command)) {
    return thread_.forwarder().forward(target, request, std::move(sink));
  }
  const NodeContext& node = thread_.node();
  const std::vector<PartitionId> partitions = partitions_of(request, node.placement);
  if (partitions.empty()) return thread_.forwarder().forward(target, request, std::move(sink));
  std::vector<NodeNumber> nodes{target};
  for (const NodeNumber other : node.placement.replicas(partitions.front())) {
    const bool holds_all = std::ranges::all_of(
        partitions, [&](PartitionId partition) { return node.placement.holds(other, partition); });
    if (other != target && holds_all && thread_.peers().up(other)) nodes.push_back(other);
  }
  thread_.forwarder().forward_read(std::move(nodes), std::move(request), std::move(sink));
}

void Router::run_elsewhere(OwnedRequest request, ReplySink sink) {
  if (!carry_scripts(request, sink)) return;
  const NodeContext& node = thread_.node();
  std::vector<PartitionId> partitions;
  for_each_key(*request.command, request.args, [&](std::string_view key) {
    partitions.push_back(node.placement.partition_of(key));
  });
  std::ranges::sort(partitions);
  const auto rest = std::ranges::unique(partitions);
  partitions.erase(rest.begin(), rest.end());
  // Where the commands on single keys go too, so that a client sees its own writes.
  const NodeNumber first = node_for(partitions.front());
  if (first == 0) return sink(unreachable(partitions.front()));
  if (std::ranges::all_of(partitions, [&](PartitionId p) { return node_for(p) == first; })) {
    return forward(first, std::move(request), std::move(sink));
  }
  // What several nodes show, each in its own time, is not causal.
  const bool together = request.options && !may_write(*request.command) &&
                        request.options->level.kind == cluster::Level::Kind::kCausal;
  if (request.command->split != Split::kNever && !together) {
    return run_split(std::move(request), std::move(sink));
  }
  const NodeNumber common = node_for_all(partitions);
  if (common == 0 && together) {
    return sink(
        "-CONSISTENCY no node holds all of these keys, and CAUSAL is for what one node reads: ask "
        "for them one after the other, or give them one hash tag\r\n");
  }
  if (common == 0) return sink("-CROSSSLOT Keys in request don't hash to the same slot\r\n");
  forward(common, std::move(request), std::move(sink));
}

void Router::run_split(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  const Command& command = *request.command;

  auto gathering = std::make_shared<Gathering>();
  gathering->split = command.split;

  // The words of each node's part: the command's name, then each of its keys with what follows it.
  std::map<NodeNumber, std::vector<std::string_view>> words;
  std::map<NodeNumber, std::vector<std::size_t>> keys;
  const std::size_t step = static_cast<std::size_t>(command.keys.step);
  for (std::size_t i = static_cast<std::size_t>(command.keys.first); i < request.args.size();
       i += step) {
    const PartitionId partition = node.placement.partition_of(request.args[i]);
    const NodeNumber target = node_for(partition);
    if (target == 0) {
      return sink(unreachable(partition));
    }
    std::vector<std::string_view>& part = words[target];
    if (part.empty()) part.push_back(request.args[0]);
    for (std::size_t j = i; j < std::min(i + step, request.args.size()); ++j) {
      part.push_back(request.args[j]);
    }
    keys[target].push_back(gathering->key_count++);
  }

  gathering->sink = std::move(sink);
  if ((command.flags & kWrite) != 0) {
    // Of several nodes, one may have done its part where another has refused its own.
    gathering->sink = [&parts = gathering->parts,
                       sink = std::move(gathering->sink)](std::string reply) mutable {
      constexpr std::string_view kNothingDone = "-UNAVAILABLE ";
      const bool all = std::ranges::all_of(
          parts, [&](const PartReply& part) { return part.reply.starts_with(kNothingDone); });
      if (reply.starts_with(kNothingDone) && !all) {
        reply.replace(0, kNothingDone.size(), "-PARTIAL some keys were written, of others: ");
      }
      sink(std::move(reply));
    };
  }
  for (auto& [target, part_keys] : keys) gathering->parts.push_back({std::move(part_keys), {}});
  gathering->missing = gathering->parts.size();
  std::size_t index = 0;
  for (const auto& [target, part_words] : words) {
    OwnedRequest part = OwnedRequest::copy(command, part_words, request.resp3, request.client);
    if (request.options) part.options = std::make_unique<RequestOptions>(*request.options);
    send_part(target, std::move(part), gathering->take(gathering, index++));
  }
}

void Router::run_everywhere(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  const Command& command = *request.command;
  if (command.split == Split::kCursor) return run_scan(std::move(request), std::move(sink));

  // Each partition is asked of one node.
  std::map<NodeNumber, std::vector<PartitionId>> targets;
  for (PartitionId partition = 0; partition < node.placement.partitions(); ++partition) {
    const NodeNumber target = node_for(partition);
    if (target == 0) return sink(unreachable(partition));
    targets[target].push_back(partition);
  }
  if (command.split == Split::kAny) {
    auto asking = std::make_shared<Asking>();
    asking->request = std::move(request);
    asking->sink = std::move(sink);
    asking->targets = std::move(targets);
    return ask_any(std::move(asking));
  }
  auto gathering = std::make_shared<Gathering>();
  gathering->split = command.split;
  gathering->sink = std::move(sink);
  gathering->parts.resize(targets.size());
  gathering->missing = targets.size();
  std::size_t index = 0;
  for (auto& [target, within] : targets) {
    OwnedRequest part = OwnedRequest::copy(command, request.args, request.resp3, request.client);
    part.within = std::move(within);
    send_part(target, std::move(part), gathering->take(gathering, index++));
  }
}

// Asks a node chosen at random, each in proportion to its partitions, then another one if it has
// nothing.
void Router::ask_any(std::shared_ptr<Asking> asking) {
  std::size_t partitions = 0;
  for (const auto& [target, within] : asking->targets) partitions += within.size();
  std::uint64_t place = thread_.random().below(partitions);
  auto chosen = asking->targets.begin();
  while (place >= chosen->second.size()) {
    place -= chosen->second.size();
    ++chosen;
  }
  const OwnedRequest& request = asking->request;
  OwnedRequest part =
      OwnedRequest::copy(*request.command, request.args, request.resp3, request.client);
  part.within = std::move(chosen->second);
  const NodeNumber target = chosen->first;
  asking->targets.erase(chosen);
  send_part(target, std::move(part), [this, asking](std::string reply) {
    const bool is_null = reply == "$-1\r\n" || reply == "_\r\n";
    if (!is_null || asking->targets.empty()) return asking->sink(std::move(reply));
    ask_any(asking);
  });
}

// The cursor leads to a partition: asks a node that holds it about this one and as many of those
// behind it as it holds in a row.
void Router::run_scan(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  // A cursor beyond the last partition finds nothing, but the rest of the request may be wrong.
  const auto last = static_cast<PartitionId>(node.placement.partitions() - 1);
  const PartitionId first = std::min(scan_partition_of(request.args[1]).value_or(0), last);
  NodeNumber target = 0;
  PartitionId longest = 0;
  for (const NodeNumber candidate : node.placement.replicas(first)) {
    if (candidate != node.number && !thread_.peers().up(candidate)) continue;
    PartitionId end = first;
    while (end < node.placement.partitions() && node.placement.holds(candidate, end)) ++end;
    if (end < longest || (end == longest && candidate != node.number)) continue;
    longest = end;
    target = candidate;
  }
  if (target == 0) return sink(unreachable(first));
  for (PartitionId partition = first; partition < longest; ++partition) {
    request.within.push_back(partition);
  }
  send_part(target, std::move(request), std::move(sink));
}

void Router::send_part(NodeNumber target, OwnedRequest part, ReplySink sink) {
  if (target == thread_.node().number) {
    submit(std::move(part), std::move(sink), false);
  } else {
    forward(target, std::move(part), std::move(sink));
  }
}

std::string Router::unreachable(PartitionId partition) const {
  return fmt::format(
      "-CLUSTERDOWN no node that holds partition {} can be reached from node '{}'\r\n", partition,
      thread_.node().config.node.name);
}

}  // namespace even
