#include "sim/session_clients.h"

#include <fmt/format.h>

namespace even::sim {
namespace {

constexpr std::size_t kSessions = 4;
constexpr std::int64_t kSessionPatienceUs = 500'000;
constexpr std::int64_t kMostBoundUs = 100'000;

}  // namespace

SessionClients::SessionClients(Run& run, const Nodes& nodes, std::uint64_t seed)
    : run_(run), nodes_(nodes), random_(seed), sessions_(kSessions) {
  for (Session& session : sessions_) session.token = encode_session({});
}

void SessionClients::begin() {
  run_.scheduler.after(run_.around(run_.options.session_every_us), [this] { act(); });
}

// A replica that is up, if the first choice is.
Node* SessionClients::any_replica(PartitionId partition) {
  const auto replicas = run_.placement.replicas(partition);
  Node& node = *nodes_[replicas[random_.below(replicas.size())] - 1u];
  return node.up() ? &node : nullptr;
}

void SessionClients::act() {
  if (run_.settling) return;
  begin();
  const auto partition =
      static_cast<PartitionId>(random_.below(static_cast<std::uint64_t>(run_.options.partitions)));
  Node* node = any_replica(partition);
  if (node == nullptr) return;
  node->process.execute_for_client([this, node, partition] { ask(*node, partition); });
}

void SessionClients::ask(Node& node, PartitionId partition) {
  if (run_.settling) return;
  // What is made durable may be lost with disks, and what is not, with power.
  if (run_.options.quorum_every_us > 0 && random_.chance(0.3)) {
    constexpr std::int64_t kBoundsUs[] = {0, 1'000, 10'000, kMostBoundUs};
    return read_bounded(node, partition, kBoundsUs[random_.below(std::size(kBoundsUs))]);
  }
  Session& session = sessions_[random_.below(sessions_.size())];
  if (run_.scheduler.now_us() < session.patience_us) return;
  ask(session, node, partition, random_.chance(0.5));
}

void SessionClients::ask(Session& session, Node& node, PartitionId partition, bool writes) {
  const Result<SessionContent> content = decode_session(session.token);
  if (!content) violated("a token cannot be read: " + content.error().message);
  const std::uint64_t request = ++session.request;
  SessionReach reach;
  reach.merge(content->seen);
  PartitionReach wanted = reach.of({&partition, 1});
  Shard& shard = node.hosting(partition).shard();
  if (wanted.empty() || shard.has_seen(wanted)) return execute(session, node, partition, writes);
  session.patience_us = run_.scheduler.now_us() + kSessionPatienceUs;
  shard.await_here(std::move(wanted), session.patience_us,
                   [this, &session, &node, partition, writes, request](std::size_t here) {
                     if (session.request != request) return;
                     session.patience_us = 0;
                     if (here > 0) execute(session, node, partition, writes);
                   });
  node.hosting(partition).need_turn();
}

// A write has the state's vector for its context. What this node has made of the partition stands
// for it.
void SessionClients::execute(Session& session, Node& node, PartitionId partition, bool writes) {
  const PartitionReach seen = node.hosting(partition).shard().reach_of({&partition, 1}, writes);
  const PartitionReach state = node.hosting(partition).shard().reach_of({&partition, 1}, false);
  VersionVector& expected = session.expected[partition];
  run_.event("n{}: a session {} partition {}", node.number, writes ? "writes to" : "reads",
             partition);
  ++run_.outcome.session_requests;
  if (!state.front().second.covers(expected)) {
    violated(fmt::format("n{}: a session {} partition {} on {}, and has seen {}", node.number,
                         writes ? "writes to" : "reads", partition,
                         state.front().second.to_string(), expected.to_string()));
  }
  expected.merge(seen.front().second);
  SessionReach reach;
  reach.merge(decode_session(session.token)->seen);
  reach.note(seen, writes);
  session.token = encode_session({.seen = reach.all(), .groups = {}});
}

void SessionClients::acknowledged(PartitionId partition, const Dot& dot) {
  acknowledged_[partition].since.emplace_back(run_.scheduler.now_us(), dot);
}

void SessionClients::read_bounded(Node& node, PartitionId partition, std::int64_t bound_us) {
  Shard& shard = node.hosting(partition).shard();
  const std::int64_t now_us = run_.scheduler.now_us();
  Acknowledged& acknowledged = acknowledged_[partition];
  while (!acknowledged.since.empty() && acknowledged.since.front().first < now_us - kMostBoundUs) {
    acknowledged.before.add(acknowledged.since.front().second);
    acknowledged.since.pop_front();
  }
  VersionVector expected = acknowledged.before;
  for (const auto& [at_us, dot] : acknowledged.since) {
    if (at_us < now_us - bound_us) expected.add(dot);
  }
  if (shard.is_fresh({&partition, 1}, now_us - bound_us)) {
    return check_bounded(node, partition, bound_us, expected);
  }
  const std::size_t others = run_.placement.replicas(partition).size() - 1;
  shard.freshen({partition}, now_us + kSessionPatienceUs,
                [this, &node, partition, bound_us, others, expected](std::size_t answered) {
                  if (answered < others) return;
                  check_bounded(node, partition, bound_us, expected);
                });
  node.hosting(partition).need_turn();
}

void SessionClients::check_bounded(Node& node, PartitionId partition, std::int64_t bound_us,
                                   const VersionVector& expected) {
  const PartitionReach seen = node.hosting(partition).shard().reach_of({&partition, 1}, false);
  run_.event("n{}: a read of partition {} within {} us", node.number, partition, bound_us);
  ++run_.outcome.bounded_reads;
  if (seen.front().second.covers(expected)) return;
  violated(fmt::format(
      "n{}: a read of partition {} within {} us has seen {}, but {} had been "
      "acknowledged so long before",
      node.number, partition, bound_us, seen.front().second.to_string(), expected.to_string()));
}

}  // namespace even::sim
