#include "sim/causal_clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/causes.h"

namespace even::sim {
namespace {

constexpr std::size_t kCausalSessions = 4;
constexpr std::int64_t kCausalPatienceUs = 500'000;

void merge(std::map<PartitionId, VersionVector>& into,
           const std::map<PartitionId, VersionVector>& more) {
  for (const auto& [partition, vector] : more) into[partition].merge(vector);
}

}  // namespace

CausalClients::CausalClients(Run& run, const Nodes& nodes, std::uint64_t seed)
    : run_(run),
      nodes_(nodes),
      random_(seed),
      tags_(kCausesName, static_cast<PartitionId>(run.options.partitions)),
      sessions_(kCausalSessions) {
  for (Session& session : sessions_) session.token = encode_session({});
}

void CausalClients::begin() {
  run_.scheduler.after(run_.around(run_.options.causal_every_us), [this] { act(); });
}

void CausalClients::act() {
  if (run_.settling) return;
  begin();
  Session& session = sessions_[random_.below(sessions_.size())];
  if (run_.scheduler.now_us() < session.patience_us) return;
  if (random_.chance(0.3)) {  // a client of whom nothing is known
    session.token = encode_session({});
    session.past.clear();
  } else if (random_.chance(0.2)) {
    const Session& other = sessions_[random_.below(sessions_.size())];
    SessionReach both;
    both.merge(decode_session(session.token)->seen);
    both.merge(decode_session(other.token)->seen);
    session.token = encode_session({.seen = both.all(), .groups = {}});
    merge(session.past, other.past);
  }
  const auto count = static_cast<std::uint64_t>(run_.options.partitions);
  std::vector<PartitionId> partitions{static_cast<PartitionId>(random_.below(count))};
  const auto replicas = run_.placement.replicas(partitions[0]);
  Node& node = *nodes_[replicas[random_.below(replicas.size())] - 1u];
  if (!node.serves()) return;
  // A read of two, where one shard has both.
  const auto other = static_cast<PartitionId>(random_.below(count));
  const bool writes = random_.chance(0.4);
  if (!writes && other != partitions[0] && run_.placement.holds(node.number, other) &&
      &node.hosting(other) == &node.hosting(partitions[0])) {
    partitions.push_back(other);
    std::ranges::sort(partitions);
  }
  ask({session, ++session.request, node, node.run_number(), std::move(partitions), writes});
}

void CausalClients::ask(const Request& request) {
  Session& session = request.session;
  if (!request.node.up() || request.node.run_number() != request.run_number) return;
  if (session.request != request.number) return;
  HostedShard& host = request.node.hosting(request.partitions[0]);
  Shard& shard = host.shard();
  if (session.patience_us == 0 || session.patience_us <= run_.scheduler.now_us()) {
    session.patience_us = run_.scheduler.now_us() + kCausalPatienceUs;
  }
  const auto again = [this, request](std::size_t answered) {
    if (request.session.request != request.number) return;
    if (answered > 0) return ask(request);
    request.session.patience_us = 0;
  };
  if (!shard.is_complete(request.partitions)) {
    shard.complete(request.partitions, session.patience_us, again);
    return host.need_turn();
  }
  const std::optional<PartitionReach> causes = shard.causes_of(request.partitions);
  if (!causes) return;
  SessionReach wanted;
  wanted.merge(within(decode_session(session.token)->seen, request.partitions));
  wanted.merge(within(*causes, request.partitions));
  if (!shard.has_seen(wanted.all())) {
    shard.await_here(wanted.all(), session.patience_us, again);
    return host.need_turn();
  }
  session.patience_us = 0;
  execute(request);
}

void CausalClients::execute(const Request& request) {
  Session& session = request.session;
  Shard& shard = request.node.hosting(request.partitions[0]).shard();
  SessionReach reach;
  reach.merge(decode_session(session.token)->seen);
  run_.event("n{}: {} {} at CAUSAL", request.node.number, request.writes ? "writes to" : "reads",
             fmt::join(request.partitions, " and "));
  ++run_.outcome.causal_requests;
  Past past = session.past;
  for (const PartitionId partition : request.partitions) {
    add_past_of(partition, request.node.state(partition), past);
  }
  check(request, past);
  if (request.writes) {
    const PartitionId partition = request.partitions[0];
    const std::string key = "causal" + std::string(tags_.of(partition).substr(kCausesName.size()));
    const std::string_view change[] = {"hset", key, "field", "value"};
    const auto made = request.node.write(partition, change, reach.all());
    if (!made) return;
    auto& of_run = written_[partition][made->replica];
    Past before = past;
    if (!of_run.empty()) merge(before, of_run.rbegin()->second);
    of_run[made->seq] = std::move(before);
  }
  const PartitionReach seen = shard.reach_of(request.partitions, false);
  for (const auto& [partition, vector] : seen) past[partition].merge(vector);
  session.past = std::move(past);
  reach.note(seen, request.writes);
  if (const auto causes = shard.causes_of(request.partitions)) reach.merge(*causes);
  session.token = encode_session({.seen = reach.all(), .groups = {}});
}

// A run that is folded may have made more than was left of it.
void CausalClients::add_past_of(PartitionId partition, const PartitionState& state,
                                Past& past) const {
  const auto of_partition = written_.find(partition);
  if (of_partition == written_.end()) return;
  for (const auto& [replica, writes] : of_partition->second) {
    const auto last = std::find_if(writes.rbegin(), writes.rend(), [&](const auto& write) {
      return run_.oracle.seen_by(state, partition, {replica, write.first});
    });
    if (last != writes.rend()) merge(past, last->second);
  }
}

// What nobody has any more cannot be shown, nor be waited for by who does not know of it. Where all
// replicas can lose the same without a disk being lost, a backup may bring it back to one of them,
// when sessions have long ceased to know of it.
void CausalClients::check(const Request& request, const Past& past) const {
  if (run_.options.restore > 0 && run_.options.fsync != FsyncPolicy::kAlways) return;
  for (const PartitionId partition : request.partitions) {
    const auto expected = past.find(partition);
    if (expected == past.end()) continue;
    const VersionVector& shown = request.node.state(partition).vector();
    for (const VersionVector::Entry& entry : expected->second.entries()) {
      if (shown.covers_entry(entry)) continue;
      for (const auto& other : nodes_) {
        if (!other->up() || !run_.placement.holds(other->number, partition)) continue;
        if (!other->state(partition).vector().covers_entry(entry)) continue;
        violated(fmt::format(
            "n{}: partition {} is {} at CAUSAL on {}, without {}, which comes before it and which "
            "n{} has",
            request.node.number, partition, request.writes ? "written" : "read", shown.to_string(),
            entry.dot().to_string(), other->number));
      }
    }
  }
}

}  // namespace even::sim
