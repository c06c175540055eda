#include "node/quorum_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "node/shard_thread.h"

namespace even {
namespace {

using Kind = cluster::Level::Kind;

// Of levels that ask for equally many replicas.
int rank(cluster::Level level) {
  if (level.kind == Kind::kBounded) return 3;
  if (level.kind == Kind::kCausal) return 2;
  return level.kind == Kind::kSession ? 1 : 0;
}

bool in_session(cluster::Level level) {
  return level.kind == Kind::kSession || level.kind == Kind::kCausal;
}

// Nodes in reach that hold the partition, this one among them.
std::size_t count_owners(ShardThread& owner, PartitionId partition) {
  const NodeContext& node = owner.node();
  return static_cast<std::size_t>(std::ranges::count_if(
      node.placement.replicas(partition),
      [&](NodeNumber replica) { return replica == node.number || owner.peers().up(replica); }));
}

}  // namespace

bool is_quorum(cluster::Level level) {
  return level.kind == Kind::kReplicas || level.kind == Kind::kQuorum || level.kind == Kind::kAll;
}

Result<std::size_t> replicas_of(cluster::Level level, std::size_t replicas) {
  if (level.kind == Kind::kAll) return replicas;
  if (level.kind == Kind::kQuorum) return replicas / 2 + 1;
  if (level.kind != Kind::kReplicas) return 1;
  if (level.number <= replicas) return level.number;
  return fail(fmt::format("CONSISTENCY {} replicas cannot be had: each key has {}", level.number,
                          replicas));
}

cluster::Level stricter(cluster::Level a, cluster::Level b, std::size_t replicas) {
  const auto needed = [replicas](cluster::Level level) {
    return replicas_of(level, replicas).value_or(replicas);
  };
  // All are asked now: so many answer, and nothing that is older than that is missing.
  if ((a.kind == Kind::kBounded && needed(b) > 1) || (b.kind == Kind::kBounded && needed(a) > 1)) {
    return {.kind = Kind::kAll};
  }
  if (needed(a) != needed(b)) return needed(b) > needed(a) ? b : a;
  if (a.kind == Kind::kBounded && b.kind == Kind::kBounded) return b.number < a.number ? b : a;
  return rank(b) > rank(a) ? b : a;
}

cluster::Level level_of_keyspaces(const cluster::KeyspaceTable& keyspaces, const Command& command,
                                  Args args, bool writes, std::size_t replicas) {
  cluster::Level most;
  for_each_key(command, args, [&](std::string_view key) {
    const cluster::Keyspace* keyspace = keyspaces.of_key(key);
    if (keyspace == nullptr || keyspace->strong) return;
    const cluster::Level level = writes ? keyspace->write : keyspace->read;
    if (level.kind != Kind::kOne) most = stricter(most, level, replicas);
  });
  return most;
}

AsksForSession asks_for_session(const cluster::KeyspaceTable& keyspaces, const Command& command,
                                Args args, bool writes) {
  AsksForSession asks;
  for_each_key(command, args, [&](std::string_view key) {
    const cluster::Keyspace* keyspace = keyspaces.of_key(key);
    if (keyspace == nullptr || keyspace->strong) return;
    const bool reads_in = in_session(keyspace->read);
    const bool writes_in = in_session(keyspace->write);
    asks.now |= writes ? writes_in : reads_in;
    asks.ever |= writes_in || reads_in;
  });
  return asks;
}

void QuorumRequests::submit(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  if (request.about_all()) {
    return sink(
        fmt::format("-CONSISTENCY {} is for commands about keys: what is asked of all keys is "
                    "answered at ONE\r\n",
                    cluster::to_string(request.options->level)));
  }
  auto call = std::make_shared<Call>();
  call->level = request.options->level;
  // Of another node's, that does not wait for so long.
  const std::int64_t most_ms = request.of_peer ? kForwardedDeadlineMs : INT64_MAX;
  call->deadline_ms = std::min(kDefaultDeadlineMs, most_ms);
  std::map<ShardId, std::vector<PartitionId>> shares;
  call->sloppy = true;
  request.for_each_part([&](const OwnedRequest& part) {
    for_each_key(*part.command, part.args, [&](std::string_view key) {
      const PartitionId partition = node.placement.partition_of(key);
      shares[node.shard_of[partition]].push_back(partition);
      call->replicas = node.placement.replicas(partition).size();
      const cluster::Keyspace* keyspace = thread_.keyspaces().of_key(key);
      if (keyspace != nullptr) call->deadline_ms = std::min(keyspace->deadline_ms, most_ms);
      call->sloppy = call->sloppy && keyspace != nullptr && keyspace->sloppy;
    });
  });
  if (shares.empty()) {  // as of ZUNION 0, which only has an error to tell
    request.options.reset();
    return thread_.router().submit(std::move(request), std::move(sink), false);
  }
  for (auto& [shard, partitions] : shares) {
    std::ranges::sort(partitions);
    const auto rest = std::ranges::unique(partitions);
    partitions.erase(rest.begin(), rest.end());
    call->shares.emplace_back(shard, std::move(partitions));
  }
  const Result<std::size_t> needed = replicas_of(call->level, call->replicas);
  if (!needed) return sink("-" + needed.error().message + "\r\n");
  call->needed = *needed;
  call->writes = request.writes();
  call->deadline_us = thread_.clock().monotonic_us() + call->deadline_ms * 1'000;
  request.options.reset();
  call->request = std::move(request);
  call->sink = std::move(sink);
  take_step(call, count_reachable, &QuorumRequests::begin);
}

// --- Steps

void QuorumRequests::take_step(const CallPointer& call, Step step,
                               void (QuorumRequests::*next)(CallPointer)) {
  call->missing = call->shares.size();
  call->fewest = call->replicas;
  for (std::size_t i = 0; i < call->shares.size(); ++i) take_part(call, i, step, next);
}

void QuorumRequests::take_part(const CallPointer& call, std::size_t share, Step step,
                               void (QuorumRequests::*next)(CallPointer)) {
  const auto& [shard, partitions] = call->shares[share];
  if (shard == thread_.id()) {
    return thread_.lease().when_free([this, call, step, next, &partitions]() {
      if (step != count_reachable) {
        return step(thread_, *call, partitions, answer_from(thread_, call, next));
      }
      step(thread_, *call, partitions,
           [this, call, next](std::size_t replicas) { taken(call, replicas, next); });
    });
  }
  thread_.send_to(shard, [this, call, step, next, &partitions](ShardThread& owner) {
    owner.lease().when_free([this, &owner, call, step, next, &partitions]() {
      step(owner, *call, partitions, answer_from(owner, call, next));
    });
  });
}

// The shard answers in the end of a turn, when nothing may be executed.
QuorumRequests::Answer QuorumRequests::answer_from(ShardThread& owner, CallPointer call,
                                                   void (QuorumRequests::*next)(CallPointer)) {
  return [this, &owner, call = std::move(call), next](std::size_t replicas) mutable {
    owner.send_to(thread_.id(), [this, call = std::move(call), next, replicas](ShardThread&) {
      taken(call, replicas, next);
    });
  };
}

void QuorumRequests::taken(CallPointer call, std::size_t replicas,
                           void (QuorumRequests::*next)(CallPointer)) {
  call->fewest = std::min(call->fewest, replicas);
  if (--call->missing == 0) (this->*next)(std::move(call));
}

void QuorumRequests::count_reachable(ShardThread& owner, const Call& call,
                                     const std::vector<PartitionId>& partitions, Answer answer) {
  const NodeContext& node = owner.node();
  std::size_t fewest = call.replicas;
  for (const PartitionId partition : partitions) {
    std::size_t reachable = count_owners(owner, partition);
    if (call.sloppy) {
      const auto others = node.placement.ranking(partition).subspan(call.replicas);
      reachable += static_cast<std::size_t>(std::ranges::count_if(
          others, [&owner](NodeNumber other) { return owner.shard().takes_hints(other); }));
    }
    fewest = std::min(fewest, reachable);
  }
  answer(fewest);
}

void QuorumRequests::catch_up(ShardThread& owner, const Call& call,
                              const std::vector<PartitionId>& partitions, Answer answer) {
  owner.shard().catch_up(
      partitions, call.needed - 1, call.deadline_us,
      [answer = std::make_shared<Answer>(std::move(answer))](std::size_t others) {
        (*answer)(others + 1);
      },
      call.sloppy);
}

void QuorumRequests::spread(ShardThread& owner, const Call& call,
                            const std::vector<PartitionId>& partitions, Answer answer) {
  Shard& shard = owner.shard();
  std::size_t others = call.needed - 1;
  // What a read has shown is not made what others keep who stand in.
  const bool among_owners = call.sloppy && !call.writes;
  for (const PartitionId partition : partitions) {
    if (among_owners) others = std::min(others, count_owners(owner, partition) - 1);
  }
  const auto take = [answer = std::make_shared<Answer>(std::move(answer)), others,
                     enough = call.needed](std::size_t answered) {
    (*answer)(answered >= others ? std::max(enough, answered + 1) : answered + 1);
  };
  if (call.writes) {
    shard.await_written(partitions, others, call.deadline_us, take, call.sloppy);
  } else {
    shard.await_seen(shard.reach_of(partitions, false), others, {.deadline_us = call.deadline_us},
                     take);
  }
  // What is known to be seen is answered in the next turn, which nothing else may bring about.
  if (!call.spreads) owner.send_to(owner.id(), [](ShardThread&) {});
}

// --- What follows

void QuorumRequests::begin(CallPointer call) {
  if (call->fewest < call->needed) {
    return call->sink(
        fmt::format("-UNAVAILABLE {} needs {} of {} replicas, {} reachable{}\r\n",
                    cluster::to_string(call->level), call->needed, call->replicas, call->fewest,
                    call->sloppy ? ", those included that stand in and have room" : ""));
  }
  if (call->writes) return execute(std::move(call));
  take_step(call, catch_up, &QuorumRequests::execute);
}

void QuorumRequests::execute(CallPointer call) {
  if (!call->writes && call->fewest < call->needed) {
    return finish(std::move(call));
  }
  OwnedRequest request = std::move(call->request);
  if (call->writes && call->shares.size() == 1) {
    call->missing = 2;  // the reply, and what others say
    call->fewest = call->replicas;
    request.executed = [this, call] {
      const auto& [shard, partitions] = call->shares.front();
      ShardThread& owner = *thread_.node().threads[shard];
      call->spreads = true;
      spread(owner, *call, partitions, answer_from(owner, call, &QuorumRequests::finish));
    };
  }
  thread_.router().submit(
      std::move(request),
      [this, call](std::string reply) {
        if (reply.starts_with('-')) return call->sink(std::move(reply));
        call->reply = std::move(reply);
        if (call->spreads) return taken(call, call->replicas, &QuorumRequests::finish);
        take_step(call, spread, &QuorumRequests::finish);
      },
      false);
}

void QuorumRequests::finish(CallPointer call) {
  if (call->fewest >= call->needed) return call->sink(std::move(call->reply));
  const std::string level = cluster::to_string(call->level);
  call->sink(
      call->writes
          ? fmt::format("-PARTIAL {} needs {} of {} replicas, {} have it within {} ms: the write "
                        "is here and spreads on\r\n",
                        level, call->needed, call->replicas, call->fewest, call->deadline_ms)
          : fmt::format("-UNAVAILABLE {} needs {} of {} replicas, {} answered within {} ms\r\n",
                        level, call->needed, call->replicas, call->fewest, call->deadline_ms));
}

}  // namespace even
