#include "node/session_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "node/quorum_requests.h"
#include "node/shard_thread.h"

namespace even {
namespace {

void make_set(std::vector<PartitionId>& partitions) {
  std::ranges::sort(partitions);
  const auto rest = std::ranges::unique(partitions);
  partitions.erase(rest.begin(), rest.end());
}

// What the node lacks of what a session has seen; empty: nothing.
std::string lacking(ShardThread& owner, const PartitionReach& reach) {
  for (const auto& [id, wanted] : reach) {
    const PartitionReach here = owner.shard().reach_of({&id, 1}, false);
    const VersionVector& seen = here.front().second;
    for (const VersionVector::Entry& entry : wanted.entries()) {
      if (seen.covers_entry(entry)) continue;
      const cluster::Node* maker = owner.node().config.cluster.find(entry.replica.node());
      return fmt::format("of partition {} records of node '{}' up to {}, of which {} are here", id,
                         maker == nullptr ? "?" : maker->name, entry.dot().to_string(),
                         seen[entry.replica]);
    }
  }
  return owner.shard().has_seen(reach) ? "" : "a partition that is not whole here";
}

}  // namespace

std::vector<PartitionId> partitions_of(const Command& command, Args args,
                                       const cluster::Placement& placement) {
  std::vector<PartitionId> partitions;
  for_each_key(command, args,
               [&](std::string_view key) { partitions.push_back(placement.partition_of(key)); });
  make_set(partitions);
  return partitions;
}

std::vector<PartitionId> partitions_of(const OwnedRequest& request,
                                       const cluster::Placement& placement) {
  std::vector<PartitionId> partitions;
  request.for_each_part([&](const OwnedRequest& part) {
    const std::vector<PartitionId> more = partitions_of(*part.command, part.args, placement);
    partitions.insert(partitions.end(), more.begin(), more.end());
  });
  make_set(partitions);
  return partitions;
}

template <typename Task>
void SessionRequests::on_owner(ShardId shard, Task task) {
  if (shard == thread_.id()) {
    return thread_.lease().when_free([this, task = std::move(task)]() mutable { task(thread_); });
  }
  thread_.send_to(shard, [task = std::move(task)](ShardThread& owner) mutable {
    owner.lease().when_free([&owner, task = std::move(task)]() mutable { task(owner); });
  });
}

void SessionRequests::submit(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  auto call = std::make_shared<Call>();
  call->session = std::move(request.options->session);
  const bool waits = request.options->in_session;
  if (request.options->level.kind == cluster::Level::Kind::kSession) {
    request.options.reset();
  }
  if (request.about_all() && node.partial) {
    if (!waits) return thread_.router().submit(std::move(request), std::move(sink));
    return sink(
        "-CONSISTENCY SESSION is for commands about keys where a node does not hold all "
        "partitions: what is asked of all keys is answered at ONE\r\n");
  }
  // Of another node's, that does not wait for so long.
  const std::int64_t most_ms = request.of_peer ? kForwardedDeadlineMs : INT64_MAX;
  call->deadline_ms = std::min(kDefaultDeadlineMs, most_ms);
  request.for_each_part([&](const OwnedRequest& part) {
    for_each_key(*part.command, part.args, [&](std::string_view key) {
      const cluster::Keyspace* keyspace = thread_.keyspaces().of_key(key);
      if (keyspace != nullptr) call->deadline_ms = std::min(keyspace->deadline_ms, most_ms);
    });
  });
  std::vector<PartitionId> touched = partitions_of(request, node.placement);
  if (request.about_all()) {
    touched.clear();
    for (PartitionId id = 0; id < node.placement.partitions(); ++id) touched.push_back(id);
  }
  std::map<ShardId, std::vector<PartitionId>> shares;
  for (const PartitionId id : touched) shares[node.shard_of[id]].push_back(id);
  for (auto& [shard, partitions] : shares) {
    PartitionReach reach = call->session->of(partitions);
    call->shares.push_back({shard, std::move(partitions), std::move(reach)});
  }
  call->writes = request.writes();
  call->deadline_us = thread_.clock().monotonic_us() + call->deadline_ms * 1'000;
  call->request = std::move(request);
  call->sink = std::move(sink);
  waits ? await(call) : execute(call);
}

void SessionRequests::await(const CallPointer& call) {
  for (const Share& share : call->shares) call->missing += share.reach.empty() ? 0 : 1;
  if (call->missing == 0) return execute(call);
  for (const Share& share : call->shares) {
    if (share.reach.empty()) continue;
    // Back on the thread of the call.
    auto taken = [this, call](std::string lacking) {
      if (call->lacking.empty()) call->lacking = std::move(lacking);
      if (--call->missing == 0) execute(call);
    };
    on_owner(share.shard, [&share, call, from = thread_.id(), taken](ShardThread& owner) mutable {
      if (owner.id() == from && owner.shard().has_seen(share.reach)) return taken({});
      await_share(
          owner, share, call->deadline_us, [&owner, from, taken](std::string lacking) mutable {
            owner.send_to(from, [taken, lacking = std::move(lacking)](ShardThread&) mutable {
              taken(std::move(lacking));
            });
          });
    });
  }
}

void SessionRequests::await_share(ShardThread& owner, const Share& share, std::int64_t deadline_us,
                                  std::move_only_function<void(std::string lacking)> answer) {
  if (owner.shard().has_seen(share.reach)) return answer({});
  ++owner.sessions().waits_;  // of its shard
  auto answered = std::make_shared<decltype(answer)>(std::move(answer));
  owner.shard().await_here(share.reach, deadline_us, [&owner, &share, answered](std::size_t here) {
    (*answered)(here > 0 ? std::string() : lacking(owner, share.reach));
  });
}

void SessionRequests::execute(CallPointer call) {
  if (!call->lacking.empty()) {
    return call->sink(
        fmt::format("-UNAVAILABLE SESSION: node '{}' lacks what this session has seen: {}; the "
                    "rest has not come within {} ms\r\n",
                    thread_.node().config.node.name, call->lacking, call->deadline_ms));
  }
  OwnedRequest request = std::move(call->request);
  thread_.router().submit(
      std::move(request),
      [this, call](std::string reply) {
        call->reply = std::move(reply);
        note(call);
      },
      false);
}

// Also of what was refused: the refusal says something about what is there.
void SessionRequests::note(const CallPointer& call) {
  call->missing = call->shares.size();
  if (call->missing == 0) return call->sink(std::move(call->reply));
  for (const Share& share : call->shares) {
    // As durable as any reply that shows it: a session is not to name what a crash may take away.
    on_owner(share.shard, [&share, call, from = thread_.id()](ShardThread& owner) {
      owner.hold_until(owner.shard().barrier(),
                       [&owner, call, from, seen = owner.shard().reach_of(share.partitions, false)](
                           const ShardThread::ReleaseError&) {
                         owner.send_to(from, [call, seen](ShardThread&) {
                           call->session->note(seen, call->writes);
                           if (--call->missing == 0) call->sink(std::move(call->reply));
                         });
                       });
    });
  }
}

}  // namespace even
