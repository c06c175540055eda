#include "node/session_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>

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
  call->causal = request.options->level.kind == cluster::Level::Kind::kCausal;
  if (call->causal || request.options->level.kind == cluster::Level::Kind::kSession) {
    request.options.reset();
  }
  if (request.about_all() && node.partial) {
    if (!waits) return thread_.router().submit(std::move(request), std::move(sink));
    return sink(
        "-CONSISTENCY SESSION and CAUSAL are for commands about keys where a node does not hold "
        "all partitions: what is asked of all keys is answered at ONE\r\n");
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
    call->shares.push_back({shard, std::move(partitions), std::move(reach), {}});
  }
  call->writes = request.writes();
  call->deadline_us = thread_.clock().monotonic_us() + call->deadline_ms * 1'000;
  call->request = std::move(request);
  call->sink = std::move(sink);
  waits ? await(call) : execute(call);
}

void SessionRequests::await(const CallPointer& call) {
  const auto concerns = [&call](const Share& share) {
    return call->causal || !share.reach.empty();
  };
  call->missing = static_cast<std::size_t>(std::ranges::count_if(call->shares, concerns));
  if (call->missing == 0) return execute(call);
  call->causes.clear();
  for (Share& share : call->shares) {
    if (!concerns(share)) continue;
    // Back on the thread of the call.
    auto taken = [this, call, &share](CausalAnswer answer) {
      if (call->lacking.empty()) call->lacking = std::move(answer.lacking);
      if (call->error.empty()) call->error = std::move(answer.error);
      std::ranges::move(answer.causes, std::back_inserter(call->causes));
      share.seen = std::move(answer.seen);
      if (--call->missing > 0) return;
      call->causal ? check_causes(call) : execute(call);
    };
    on_owner(share.shard, [&share, call, from = thread_.id(), taken](ShardThread& owner) mutable {
      if (!call->causal && owner.id() == from && owner.shard().has_seen(share.reach)) {
        return taken({});
      }
      auto send = [&owner, from, taken](CausalAnswer answer) mutable {
        owner.send_to(from, [taken, answer = std::move(answer)](ShardThread&) mutable {
          taken(std::move(answer));
        });
      };
      if (call->causal) return await_causes(owner, share, call->deadline_us, std::move(send));
      await_share(owner, share, call->deadline_us, [send](std::string lacking) mutable {
        send({.lacking = std::move(lacking), .error = {}, .causes = {}, .seen = {}});
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

void SessionRequests::await_causes(ShardThread& owner, const Share& share, std::int64_t deadline_us,
                                   std::move_only_function<void(CausalAnswer)> answer) {
  Shard& shard = owner.shard();
  auto again = [&owner, &share, deadline_us](auto next) {
    await_causes(owner, share, deadline_us, std::move(next));
  };
  if (!shard.is_complete(share.partitions)) {
    return shard.complete(
        share.partitions, deadline_us,
        [again, answer = std::make_shared<decltype(answer)>(std::move(answer))](
            std::size_t answered) mutable {
          if (answered > 0) return again(std::move(*answer));
          (*answer)({.lacking = "all that the others have: it was started a while ago, and has "
                                "not heard of it from any other replica since",
                     .error = {},
                     .causes = {},
                     .seen = {}});
        });
  }
  std::optional<PartitionReach> causes = shard.causes_of(share.partitions);
  if (!causes) {
    return answer({.lacking = {},
                   .error = "-IOERR the causes of what is there cannot be read\r\n",
                   .causes = {},
                   .seen = {}});
  }
  PartitionReach wanted = within(*causes, share.partitions);
  std::ranges::copy(share.reach, std::back_inserter(wanted));
  if (shard.has_seen(wanted)) {
    return answer({.lacking = {},
                   .error = {},
                   .causes = std::move(*causes),
                   .seen = shard.reach_of(share.partitions, false)});
  }
  SessionReach together;
  together.merge(wanted);
  const Share whole{share.shard, share.partitions, together.all(), {}};
  ++owner.sessions().waits_;
  auto answered = std::make_shared<decltype(answer)>(std::move(answer));
  shard.await_here(
      whole.reach, deadline_us,
      [&owner, again, answered, reach = whole.reach](std::size_t here) mutable {
        if (here > 0) return again(std::move(*answered));
        (*answered)({.lacking = lacking(owner, reach), .error = {}, .causes = {}, .seen = {}});
      });
}

PartitionReach SessionRequests::required(const Call& call, const Share& share) {
  SessionReach wanted;
  wanted.merge(within(call.causes, share.partitions));
  PartitionReach more = wanted.all();
  std::erase_if(more, [&share](const auto& each) {
    const auto seen = std::ranges::find(share.seen, each.first, &PartitionReach::value_type::first);
    return seen != share.seen.end() && seen->second.covers(each.second);
  });
  return more;
}

// Shares answer one after the other: what one has shown last may have its causes in another.
void SessionRequests::check_causes(const CallPointer& call) {
  bool all = true;
  for (Share& share : call->shares) {
    const PartitionReach more = required(*call, share);
    if (more.empty()) continue;
    all = false;
    SessionReach reach;
    reach.merge(share.reach);
    reach.merge(more);
    share.reach = reach.all();
  }
  if (!all && thread_.clock().monotonic_us() >= call->deadline_us) {
    call->lacking = "the causes of what changes again and again while it is read";
  }
  if (!call->lacking.empty() || !call->error.empty() || all) {
    return call->writes ? leave_causes(call) : execute(call);
  }
  await(call);
}

void SessionRequests::leave_causes(const CallPointer& call) {
  if (!call->lacking.empty() || !call->error.empty()) return execute(call);
  call->missing = call->shares.size();
  if (call->missing == 0) return execute(call);
  for (const Share& share : call->shares) {
    on_owner(share.shard, [this, &share, call, from = thread_.id(),
                           seen = call->session->all()](ShardThread& owner) {
      std::string error;
      for (const PartitionId id : share.partitions) {
        if (error.empty()) error = owner.shard().add_causes(id, seen);
      }
      const auto left = [this, call, error] {
        if (call->error.empty()) call->error = error;
        if (--call->missing == 0) execute(call);
      };
      if (owner.id() == from) return left();
      owner.send_to(from, [left](ShardThread&) { left(); });
    });
  }
}

void SessionRequests::execute(CallPointer call) {
  if (!call->error.empty()) return call->sink(std::move(call->error));
  if (!call->lacking.empty()) {
    return call->sink(
        fmt::format("-UNAVAILABLE {}: node '{}' lacks what {}: {}; the rest has not come within {} "
                    "ms\r\n",
                    call->causal ? "CAUSAL" : "SESSION", thread_.node().config.node.name,
                    call->causal ? "this session, or what it would be shown, comes after"
                                 : "this session has seen",
                    call->lacking, call->deadline_ms));
  }
  OwnedRequest request = std::move(call->request);
  // What is shown of several partitions at several times is checked, and asked for again.
  if (call->causal && !call->writes && !request.is_transaction() && call->shares.size() > 1) {
    call->request =
        OwnedRequest::copy(*request.command, request.args, request.resp3, request.client);
  }
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
  call->causes.clear();
  for (const Share& share : call->shares) {
    // As durable as any reply that shows it: a session is not to name what a crash may take away.
    on_owner(share.shard, [this, &share, call, from = thread_.id()](ShardThread& owner) {
      std::optional<PartitionReach> causes = PartitionReach();
      if (call->causal) causes = owner.shard().causes_of(share.partitions);
      owner.hold_until(owner.shard().barrier(),
                       [this, &owner, call, from, causes,
                        seen = owner.shard().reach_of(share.partitions, false)](
                           const ShardThread::ReleaseError&) {
                         owner.send_to(from, [this, call, seen, causes](ShardThread&) {
                           call->session->note(seen, call->writes);
                           if (causes) {
                             call->session->merge(*causes);
                             std::ranges::copy(*causes, std::back_inserter(call->causes));
                           } else if (call->error.empty()) {
                             call->error = "-IOERR the causes of what is there cannot be read\r\n";
                           }
                           if (--call->missing == 0) finish(call);
                         });
                       });
    });
  }
}

void SessionRequests::finish(const CallPointer& call) {
  if (!call->error.empty() && !call->writes) return call->sink(std::move(call->error));
  const bool repeatable = call->request.command != nullptr;
  if (!repeatable || std::ranges::all_of(call->shares, [&call](const Share& share) {
        return required(*call, share).empty();
      })) {
    return call->sink(std::move(call->reply));
  }
  check_causes(call);
}

}  // namespace even
