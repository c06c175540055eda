#include "node/bounded_requests.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string>

#include "node/quorum_requests.h"
#include "node/session_requests.h"
#include "node/shard_thread.h"

namespace even {

bool BoundedRequests::is_fresh(const std::vector<PartitionId>& partitions,
                               std::uint32_t bound_ms) const {
  const std::int64_t since_us = thread_.clock().monotonic_us() - bound_ms * std::int64_t{1'000};
  return thread_.shard().is_fresh(partitions, since_us);
}

void BoundedRequests::submit(OwnedRequest request, ReplySink sink) {
  const NodeContext& node = thread_.node();
  const cluster::Level level = request.options->level;
  if (request.about_all()) {
    return sink(
        fmt::format("-CONSISTENCY {} is for commands about keys: what is asked of all keys is "
                    "answered at ONE\r\n",
                    cluster::to_string(level)));
  }
  auto call = std::make_shared<Call>();
  call->bound_ms = level.number;
  // Of another node's, that does not wait for so long.
  const std::int64_t most_ms = request.of_peer ? kForwardedDeadlineMs : INT64_MAX;
  call->deadline_ms = std::min(kDefaultDeadlineMs, most_ms);
  request.for_each_part([&](const OwnedRequest& part) {
    for_each_key(*part.command, part.args, [&](std::string_view key) {
      const cluster::Keyspace* keyspace = thread_.keyspaces().of_key(key);
      if (keyspace != nullptr) call->deadline_ms = std::min(keyspace->deadline_ms, most_ms);
    });
  });
  const std::int64_t now_us = thread_.clock().monotonic_us();
  call->since_us = now_us - call->bound_ms * std::int64_t{1'000};
  call->deadline_us = now_us + call->deadline_ms * 1'000;
  const std::vector<PartitionId> partitions = partitions_of(request, node.placement);
  std::map<ShardId, std::vector<PartitionId>> shares;
  for (const PartitionId id : partitions) shares[node.shard_of[id]].push_back(id);
  for (auto& [shard, ids] : shares) call->shares.push_back({shard, std::move(ids)});
  if (!request.of_peer && !request.is_transaction() && !partitions.empty()) {
    for (const NodeNumber helper : node.placement.replicas(partitions.front())) {
      const bool holds_all = std::ranges::all_of(
          partitions, [&](PartitionId id) { return node.placement.holds(helper, id); });
      if (helper != node.number && holds_all) call->helpers.push_back(helper);
    }
  }
  call->request = std::move(request);
  call->sink = std::move(sink);
  call->missing = call->shares.size() + 1;
  for (const Share& share : call->shares) {
    // Back on the thread of the call.
    auto taken = [this, call](bool stale) {
      call->stale |= stale;
      answered(call);
    };
    auto task = [&share, call, from = thread_.id(), taken](ShardThread& owner) mutable {
      freshen(owner, *call, share, [&owner, from, taken](bool stale) {
        owner.send_to(from, [taken, stale](ShardThread&) mutable { taken(stale); });
      });
    };
    thread_.send_to(share.shard, [task = std::move(task)](ShardThread& owner) mutable {
      owner.lease().when_free([&owner, task = std::move(task)]() mutable { task(owner); });
    });
  }
  answered(call);
}

bool BoundedRequests::reaches_all(ShardThread& owner, const std::vector<PartitionId>& partitions) {
  const NodeContext& node = owner.node();
  return std::ranges::all_of(partitions, [&](PartitionId id) {
    return std::ranges::all_of(node.placement.replicas(id), [&](NodeNumber replica) {
      return replica == node.number || owner.peers().up(replica);
    });
  });
}

void BoundedRequests::freshen(ShardThread& owner, const Call& call, const Share& share,
                              std::move_only_function<void(bool stale)> answer) {
  if (owner.shard().is_fresh(share.partitions, call.since_us)) return answer(false);
  if (!reaches_all(owner, share.partitions)) return answer(true);
  const std::size_t others = owner.node().placement.replicas(share.partitions.front()).size() - 1;
  ++owner.bounded().questions_;
  auto answered = std::make_shared<decltype(answer)>(std::move(answer));
  // A peer that has gone without a word seems to be there for a while: then there is time to ask
  // somebody else.
  const std::int64_t left_us = call.deadline_us - owner.clock().monotonic_us();
  owner.shard().freshen(
      share.partitions, call.deadline_us - (call.helpers.empty() ? 0 : left_us / 2),
      [answered, others](std::size_t replicas) { (*answered)(replicas < others); });
}

void BoundedRequests::answered(const CallPointer& call) {
  if (--call->missing > 0) return;
  if (call->stale) return ask_for_help(call);
  OwnedRequest request = std::move(call->request);
  if (request.options->session) {
    request.options->level = {};  // what it shows is noted
  } else {
    request.options.reset();
  }
  thread_.router().submit(std::move(request), std::move(call->sink), false);
}

void BoundedRequests::ask_for_help(CallPointer call) {
  while (!call->helpers.empty() && thread_.clock().monotonic_us() < call->deadline_us) {
    const NodeNumber helper = call->helpers.back();
    call->helpers.pop_back();
    if (!thread_.peers().up(helper)) continue;
    ++handed_on_;
    return thread_.forwarder().forward(helper, call->request, [this, call](std::string reply) {
      const bool refused = reply.starts_with("-STALE ") || reply.starts_with("-TRYAGAIN ");
      refused ? ask_for_help(call) : call->sink(std::move(reply));
    });
  }
  call->sink(refusal(*call));
}

std::string BoundedRequests::refusal(const Call& call) const {
  const NodeContext& node = thread_.node();
  std::vector<std::string> missing;
  for (const cluster::Node& other : node.config.cluster.nodes) {
    const bool holds = std::ranges::any_of(call.shares, [&](const Share& share) {
      return std::ranges::any_of(
          share.partitions, [&](PartitionId id) { return node.placement.holds(other.number, id); });
    });
    if (holds && other.number != node.number && !thread_.peers().up(other.number)) {
      missing.push_back(other.name);
    }
  }
  std::string reply = fmt::format(
      "-STALE BOUNDED {}: node '{}' has not heard of all replicas for longer than that, nor within "
      "{} ms, and nobody that it can reach has",
      call.bound_ms, node.config.node.name, call.deadline_ms);
  if (!missing.empty()) reply += fmt::format(" ({} cannot be reached)", fmt::join(missing, ", "));
  return reply + "\r\n";
}

}  // namespace even
