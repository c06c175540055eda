#include "sim/network.h"

#include <algorithm>

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
      if (a != b) directions_[{NodeNumber(a), NodeNumber(b)}];
    }
  }
}

void Network::send(NodeNumber from, NodeNumber to, std::string message) {
  const Pair& pair = pairs_.at(ordered(from, to));
  Direction& direction = directions_.at({from, to});
  const bool harsh = options_.harsh && !reliable_;
  if (!pair.up || direction.cut) return;
  if (harsh && random_.chance(options_.loss)) return;
  const int copies = harsh && random_.chance(options_.duplication) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    std::int64_t delay =
        options_.delay_us / 2 + static_cast<std::int64_t>(random_.below(options_.delay_us + 1));
    if (harsh && random_.chance(0.05)) delay *= 20;
    std::int64_t arrival = scheduler_.now_us() + delay;
    if (!harsh)
      arrival = direction.last_arrival_us = std::max(arrival, direction.last_arrival_us + 1);
    scheduler_.at(arrival, [this, from, to, message, session = pair.session] {
      const Pair& now = pairs_.at(ordered(from, to));
      if (now.up && now.session == session) callbacks_.receive(to, from, message);
    });
  }
}

void Network::connect(NodeNumber a, NodeNumber b) {
  const std::int64_t delay = 1 + static_cast<std::int64_t>(random_.below(kConnectUs));
  scheduler_.after(delay, [this, a, b] {
    Pair& pair = pairs_.at(ordered(a, b));
    const bool passable = !directions_.at({a, b}).cut && !directions_.at({b, a}).cut;
    if (pair.up || !passable || !callbacks_.alive(a) || !callbacks_.alive(b)) return;
    pair.up = true;
    ++pair.session;
    callbacks_.up(a, b);
    callbacks_.up(b, a);
  });
}

void Network::disconnect(NodeNumber a, NodeNumber b) {
  Pair& pair = pairs_.at(ordered(a, b));
  if (!pair.up) return;
  pair.up = false;
  if (callbacks_.alive(a)) callbacks_.down(a, b);
  if (callbacks_.alive(b)) callbacks_.down(b, a);
}

void Network::node_stopped(NodeNumber node) {
  for (auto& [pair, state] : pairs_) {
    if (pair.first == node || pair.second == node) disconnect(pair.first, pair.second);
  }
}

void Network::node_started(NodeNumber node) {
  for (auto& [pair, state] : pairs_) {
    if (pair.first == node || pair.second == node) connect(pair.first, pair.second);
  }
}

void Network::cut(NodeNumber from, NodeNumber to) {
  directions_.at({from, to}).cut = true;
  scheduler_.after(kDetectUs, [this, from, to] {
    if (directions_.at({from, to}).cut) disconnect(from, to);
  });
}

void Network::heal(NodeNumber from, NodeNumber to) {
  directions_.at({from, to}).cut = false;
  connect(from, to);
}

}  // namespace even::sim
