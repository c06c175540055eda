#include "peer/peer_hub.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/ip/tcp.hpp>

#include "base/check.h"
#include "node/shard_thread.h"
#include "peer/strong_message.h"

namespace even {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstWait{50};
constexpr milliseconds kLongestWait{1000};
// A refusal stays until somebody changes a configuration.
constexpr milliseconds kWaitAfterRefusal{3000};
constexpr std::int64_t kLookUs = 100'000;
// Who has not had a tick for longer has not been heard by itself either.
constexpr std::int64_t kSleptUs = 500'000;

}  // namespace

PeerHub::PeerHub(ShardThread& thread) : thread_(thread) {}

void PeerHub::start() {
  const cluster::ClusterMap& map = thread_.node().config.cluster;
  for (const cluster::Node& node : map.nodes) {
    if (node.number <= thread_.node().number || node.peer_port == 0) continue;
    dials_[node.number].timer = std::make_unique<asio::steady_timer>(thread_.io());
    dial(node.number);
  }
}

void PeerHub::stop() {
  stopped_ = true;
  for (auto& [node, dial] : dials_) dial.timer->cancel();
  while (!links_.empty()) links_.begin()->second->end("this node stops");
  while (!handshakes_.empty()) (*handshakes_.begin())->end("this node stops");
}

Hello PeerHub::hello() const {
  const NodeContext& node = thread_.node();
  return {.cluster_id = node.config.cluster.id,
          .node_name = node.config.node.name,
          .node = node.number,
          .partitions = node.config.cluster.partitions,
          .map_version = node.config.cluster.version,
          .shard = thread_.id(),
          .shards = node.shards,
          .replica = thread_.shard().replica_id(),
          .layout = cluster::layout_hash(node.config.cluster)};
}

std::string PeerHub::name(NodeNumber node) const {
  const cluster::Node* known = thread_.node().config.cluster.find(node);
  return known == nullptr ? std::to_string(node) : known->name;
}

void PeerHub::dial(NodeNumber node) {
  if (stopped_ || links_.contains(node)) return;
  if (thread_.node().faults.get(node).down) {
    return dial_failed(node, "the link is cut by EVEN.FAULT", false);
  }
  const cluster::Node& target = *thread_.node().config.cluster.find(node);
  error_code error;
  const auto address = asio::ip::make_address(target.host, error);
  if (!error) return connect(node, tcp::endpoint(address, target.peer_port));
  using Resolver = asio::ip::basic_resolver<tcp, Executor>;
  auto resolver = std::make_shared<Resolver>(thread_.io().get_executor());
  resolver->async_resolve(
      target.host, std::to_string(target.peer_port),
      [this, node, resolver](error_code error, const Resolver::results_type& results) {
        if (stopped_) return;
        if (error || results.empty()) {
          return dial_failed(node, "cannot resolve its host name: " + error.message(), false);
        }
        connect(node, results.begin()->endpoint());
      });
}

void PeerHub::connect(NodeNumber node, const tcp::endpoint& endpoint) {
  auto socket = std::make_shared<Socket>(thread_.io().get_executor());
  socket->async_connect(endpoint, [this, node, endpoint, socket](error_code error) {
    if (stopped_) return;
    if (error) {
      return dial_failed(
          node, fmt::format("cannot connect to {}: {}", to_text(endpoint), error.message()), false);
    }
    auto link = std::make_shared<PeerLink>(*this, std::move(*socket), node);
    handshakes_.insert(link);
    link->start();
  });
}

void PeerHub::dial_failed(NodeNumber node, const std::string& problem, bool refused) {
  Dial& dial = dials_[node];
  if (dial.problem != problem) {
    dial.problem = problem;
    spdlog::warn("shard {}: no link to {}: {}; trying again", thread_.id(), name(node), problem);
  }
  dial.wait = std::clamp(dial.wait * 2, kFirstWait, kLongestWait);
  if (refused) dial.wait = kWaitAfterRefusal;
  dial_after(node, dial.wait);
}

void PeerHub::adopt(int socket) {
  error_code error;
  Socket adopted(thread_.io().get_executor());
  sockaddr_storage address;
  socklen_t length = sizeof address;
  const bool v6 = ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
                  address.ss_family == AF_INET6;
  adopted.assign(v6 ? tcp::v6() : tcp::v4(), socket, error);
  if (error || stopped_) return;
  auto link = std::make_shared<PeerLink>(*this, std::move(adopted), NodeNumber{0});
  handshakes_.insert(link);
  link->start();
}

void PeerHub::fault_changed(NodeNumber node) {
  const auto link = links_.find(node);
  if (thread_.node().faults.get(node).down) {
    if (link != links_.end()) std::shared_ptr(link->second)->end("cut by EVEN.FAULT");
  } else if (link == links_.end() && dials_.contains(node)) {
    dial_after(node, milliseconds(0));
  }
}

void PeerHub::dial_after(NodeNumber node, milliseconds wait) {
  asio::steady_timer& timer = *dials_[node].timer;
  timer.expires_after(wait);
  timer.async_wait([this, node](error_code error) {
    if (!error) dial(node);
  });
}

void PeerHub::send(NodeNumber peer, std::string message) {
  send(peer, FrameType::kShard, std::move(message));
}

void PeerHub::send(NodeNumber peer, FrameType type, std::string body) {
  const auto found = links_.find(peer);
  if (found != links_.end()) found->second->send(type, std::move(body));
}

std::size_t PeerHub::send_to_all(FrameType type, std::string_view body, std::size_t most) {
  std::size_t full = 0;
  for (auto& [node, link] : links_) {
    if (link->waiting() > most) {
      ++full;
    } else {
      link->send(type, std::string(body));
    }
  }
  return full;
}

bool PeerHub::sends_to(NodeNumber node) const {
  const auto found = links_.find(node);
  return found != links_.end() && found->second->has_queued();
}

void PeerHub::flush() {
  for (auto& [node, link] : links_) link->flush();
}

void PeerHub::link_begins(PeerLink& link) {
  const NodeNumber node = link.node();
  const auto self = link.shared_from_this();
  handshakes_.erase(self);
  // Both sides may not notice at the same time that a link is dead: the newer one is the good one.
  if (const auto old = links_.find(node); old != links_.end()) {
    const auto replaced = old->second;
    replaced->end("replaced by a new link");
  }
  links_[node] = self;
  abilities_[node] = link.abilities();
  detectors_[node].begin(thread_.clock().monotonic_us());
  ++thread_.node().links_up;
  if (const auto dial = dials_.find(node); dial != dials_.end()) {
    dial->second.wait = milliseconds(0);
    dial->second.problem.clear();
  } else {
    last_refusal_.clear();
  }
  spdlog::info("shard {}: link to {} is up", thread_.id(), link.describe());
  const bool inflates = (link.abilities() & kInflatesRecords) != 0;
  thread_.lease().when_free(
      [this, replica = link.replica(), inflates] { thread_.shard().link_up(replica, inflates); });
}

void PeerHub::link_ends(PeerLink& link, const std::string& reason) {
  const auto self = link.shared_from_this();
  const NodeNumber node = link.node();
  if (handshakes_.erase(self) > 0) {
    if (stopped_) return;
    if (link.dialed()) return dial_failed(node, reason, link.refused());
    const std::string problem = fmt::format("{}: {}", link.describe(), reason);
    // The port of the other side differs at each attempt and says nothing.
    if (last_refusal_ != reason) {
      spdlog::warn("shard {}: no link from {}", thread_.id(), problem);
      last_refusal_ = reason;
    }
    return;
  }
  const auto found = links_.find(node);
  if (found == links_.end() || found->second != self) return;
  links_.erase(found);
  suspected_.erase(node);
  --thread_.node().links_up;
  if (stopped_) {
    spdlog::debug("shard {}: link to {} is down: {}", thread_.id(), link.describe(), reason);
  } else {
    spdlog::warn("shard {}: link to {} is down: {}", thread_.id(), link.describe(), reason);
  }
  thread_.forwarder().link_down(node);
  thread_.strong().link_down(node);
  thread_.lease().when_free([this, node] { thread_.shard().link_down(node); });
  if (link.dialed() && !stopped_) dial_after(node, kFirstWait);
}

void PeerHub::receive_shard_message(PeerLink& link, std::string_view body) {
  const NodeNumber node = link.node();
  auto deliver = [this, node](PeerLink& link, std::string_view message) {
    if (Result<> result = thread_.shard().receive(node, message); !result) {
      link.end(result.error().message);
    }
  };
  if (!thread_.lease().lent()) return deliver(link, body);
  // Messages of a session are for that session only.
  thread_.lease().when_free(
      [this, deliver, link = link.shared_from_this(), message = std::string(body)] {
        const auto found = links_.find(link->node());
        if (found != links_.end() && found->second == link) deliver(*link, message);
      });
}

void PeerHub::tick(std::int64_t now_us) {
  const std::int64_t slept_us = ticked_us_ == 0 ? 0 : now_us - ticked_us_;
  ticked_us_ = now_us;
  if (slept_us >= kSleptUs) {
    for (auto& [node, detector] : detectors_) detector.slept(slept_us);
  }
  if (now_us - looked_us_ < kLookUs) return;
  looked_us_ = now_us;
  for (const auto& [node, link] : links_) {
    const bool suspected = detectors_[node].suspects(now_us);
    if (suspected == suspected_.contains(node)) continue;
    if (suspected) {
      suspected_.insert(node);
      spdlog::warn("shard {}: {} is silent: others are asked in its place", thread_.id(),
                   name(node));
    } else {
      suspected_.erase(node);
      spdlog::info("shard {}: {} is heard again", thread_.id(), name(node));
    }
  }
}

void PeerHub::receive(PeerLink& link, FrameType type, std::string_view body) {
  detectors_[link.node()].heard(thread_.clock().monotonic_us());
  if (type == FrameType::kShard) return receive_shard_message(link, body);
  // Gives take(node, message) the message, if it is one.
  const auto read = [&link](auto message, auto take) {
    message ? take(link.node(), std::move(*message)) : link.end(message.error().message);
  };
  Forwarder& forwarder = thread_.forwarder();
  StrongRequests& strong = thread_.strong();
  switch (type) {
    case FrameType::kForwardRequest:
      return read(decode_forward_request(body),
                  [&](NodeNumber node, const ForwardRequest& request) {
                    forwarder.receive_request(node, request);
                  });
    case FrameType::kForwardReply:
      return read(decode_forward_reply(body), [&](NodeNumber node, const ForwardReply& reply) {
        forwarder.receive_reply(node, reply);
      });
    case FrameType::kStrongRequest:
      return read(decode_strong_request(body), [&](NodeNumber node, auto request) {
        strong.receive_request(node, std::move(request));
      });
    case FrameType::kStrongReply:
      return read(decode_strong_reply(body), [&](NodeNumber node, StrongReply reply) {
        strong.receive_reply(node, std::move(reply));
      });
    case FrameType::kServesRequest:
      return read(decode_serves_request(body), [&](NodeNumber node, const ServesRequest& request) {
        strong.receive_serves(node, request);
      });
    case FrameType::kPublished:
      if (const Result<> taken = thread_.publisher().receive(body); !taken) {
        link.end(taken.error().message);
      }
      return;
    default:
      EVEN_CHECK(false, "a frame that the link lets pass");
  }
}

}  // namespace even
