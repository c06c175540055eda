#include "sim/network.h"

#include <algorithm>
#include <utility>

namespace even::sim {
namespace {

constexpr std::int64_t kConnectUs = 20'000;
constexpr std::int64_t kDetectUs = 150'000;  // how long a cut takes to end a session

}  // namespace

Network::Network(const RunOptions& options, Scheduler& scheduler, Random& random,
                 Callbacks callbacks)
    : options_(options), scheduler_(scheduler), random_(random), callbacks_(std::move(callbacks)) {
  for (int a = 1; a <= options.nodes; ++a) {
    for (int b = 1; b <= options.nodes; ++b) {
      if (a < b) pairs_[{NodeNumber(a), NodeNumber(b)}];
      if (a != b) cut_[{NodeNumber(a), NodeNumber(b)}] = false;
    }
  }
}

void Network::send(NodeNumber from, NodeNumber to, ShardId shard, std::string message) {
  Session& session = pair_of(from, to).sessions[shard];
  const bool harsh = options_.harsh && !reliable_;
  if (!session.up || session.entered[from] != session.number) return;
  if (cut_.at({from, to})) {
    session.was_cut = true;
    return;
  }
  if (harsh && random_.chance(options_.loss)) return;
  const int copies = harsh && random_.chance(options_.duplication) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    std::int64_t delay =
        options_.delay_us / 2 + static_cast<std::int64_t>(random_.below(options_.delay_us + 1));
    if (harsh && random_.chance(0.05)) delay *= 20;
    std::int64_t arrival = scheduler_.now_us() + delay;
    if (!harsh) {
      std::int64_t& last = session.last_arrival_us[to];
      arrival = last = std::max(arrival, last + 1);
    }
    scheduler_.at(arrival, [this, from, to, shard, message, number = session.number] {
      const Session& now = pair_of(from, to).sessions[shard];
      if (now.up && now.number == number) callbacks_.receive(to, from, shard, message);
    });
  }
}

void Network::connect(NodeNumber a, NodeNumber b) {
  for (ShardId shard = 0; shard < callbacks_.shards(a); ++shard) {
    const std::int64_t delay = 1 + static_cast<std::int64_t>(random_.below(kConnectUs));
    scheduler_.after(delay, [this, a, b, shard] { begin(a, b, shard); });
  }
}

void Network::begin(NodeNumber a, NodeNumber b, ShardId shard) {
  Session& session = pair_of(a, b).sessions[shard];
  const bool passable = !cut_.at({a, b}) && !cut_.at({b, a});
  const ShardId shards = callbacks_.shards(a);
  if (session.up || !passable || shard >= shards || shards != callbacks_.shards(b)) return;
  session.up = true;
  ++session.number;
  session.was_cut = false;
  callbacks_.up(a, b, shard, session.number);
  callbacks_.up(b, a, shard, session.number);
}

void Network::enter(NodeNumber at, NodeNumber peer, ShardId shard, std::uint64_t session) {
  pair_of(at, peer).sessions[shard].entered[at] = session;
}

void Network::disconnect(NodeNumber a, NodeNumber b, bool if_cut) {
  for (auto& [shard, session] : pair_of(a, b).sessions) {
    if (if_cut && !session.was_cut) continue;
    if (!std::exchange(session.up, false)) continue;
    callbacks_.down(a, b, shard);
    callbacks_.down(b, a, shard);
  }
}

void Network::end_sessions(NodeNumber node) {
  for (auto& [pair, state] : pairs_) {
    if (pair.first == node || pair.second == node) disconnect(pair.first, pair.second);
  }
}

void Network::begin_sessions(NodeNumber node) {
  for (auto& [pair, state] : pairs_) {
    if (pair.first == node || pair.second == node) connect(pair.first, pair.second);
  }
}

void Network::cut(NodeNumber from, NodeNumber to) {
  cut_.at({from, to}) = true;
  scheduler_.after(kDetectUs, [this, from, to] {
    if (cut_.at({from, to})) disconnect(from, to);
  });
}

void Network::heal(NodeNumber from, NodeNumber to) {
  if (std::exchange(cut_.at({from, to}), false)) disconnect(from, to, true);
  connect(from, to);
}

}  // namespace even::sim
