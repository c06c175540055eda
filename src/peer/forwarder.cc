#include "peer/forwarder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/acl.h"
#include "node/quorum_requests.h"
#include "node/shard_thread.h"

namespace even {
namespace {

constexpr std::int64_t kTimeoutUs = 5'000'000;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;  // of a frame; see peer_link.cc
// Of reads, the share that may be asked of two nodes because the first is late, beside some ten a
// second, and how many at once: where all are slow, more requests would make it worse.
constexpr double kHedgedShare = 0.1;
constexpr double kHedgesPerTick = 0.05;
constexpr double kMostHedges = 32;
constexpr std::int64_t kHedgeAgainUs = 20'000;
// How often a node is looked at that is to be suspected first.
constexpr std::int64_t kSuspicionUs = 100'000;

bool is_too_long(const OwnedRequest& request) {
  std::size_t bytes = 0;
  for (std::string_view arg : request.args) bytes += arg.size() + 8;
  return bytes > kMaxBytes;
}

constexpr std::string_view kTooLong =
    "-ERR the request is too long to be forwarded to another node (1 GiB)\r\n";

// Whether whoever answers it has seen what the client is to see, and so anybody may: its session,
// or what a majority has acknowledged. Within a bound, and with fewer replicas, a client may miss
// its own write at another node.
bool may_answer_anywhere(const OwnedRequest& request) {
  if (!request.options) return false;
  const RequestOptions& options = *request.options;
  return options.in_session || options.level.kind == cluster::Level::Kind::kQuorum ||
         options.level.kind == cluster::Level::Kind::kAll;
}

}  // namespace

void Forwarder::forward(NodeNumber node, const OwnedRequest& request, ReplySink sink) {
  if (is_too_long(request)) return sink(std::string(kTooLong));
  send(node, request, std::move(sink), nullptr);
}

void Forwarder::forward_read(std::vector<NodeNumber> nodes, OwnedRequest request, ReplySink sink) {
  if (is_too_long(request)) return sink(std::string(kTooLong));
  if (nodes.size() == 1) return send(nodes.front(), request, std::move(sink), nullptr);
  hedges_left_ = std::min(hedges_left_ + kHedgedShare, kMostHedges);
  const auto hedge = std::make_shared<Hedge>();
  hedge->at_one = !may_answer_anywhere(request);
  hedge->request = std::move(request);
  hedge->sink = std::move(sink);
  hedge->nodes = std::move(nodes);
  const NodeNumber first = hedge->nodes[hedge->asked++];
  send(first, hedge->request, {}, hedge);
  const std::int64_t wait_us = hedge->at_one ? kSuspicionUs : answer_times_[first].late_us();
  late_.emplace(thread_.clock().monotonic_us() + wait_us, hedge);
}

bool Forwarder::ask_next(const std::shared_ptr<Hedge>& hedge) {
  while (hedge->asked < hedge->nodes.size()) {
    const NodeNumber node = hedge->nodes[hedge->asked++];
    if (!thread_.peers().up(node)) continue;
    send(node, hedge->request, {}, hedge);
    return true;
  }
  return false;
}

void Forwarder::hedge_late(std::int64_t now_us) {
  hedges_left_ = std::min(hedges_left_ + kHedgesPerTick, kMostHedges);
  while (!late_.empty() && late_.begin()->first <= now_us) {
    const std::shared_ptr<Hedge> hedge = late_.begin()->second.lock();
    late_.erase(late_.begin());
    if (hedge == nullptr || !hedge->sink || hedge->asked == hedge->nodes.size()) continue;
    const bool suspected = thread_.peers().suspects(hedge->nodes[hedge->asked - 1]);
    if (hedge->at_one && !suspected) {
      late_.emplace(now_us + kSuspicionUs, hedge);
      continue;
    }
    if (!suspected && hedges_left_ < 1) {
      late_.emplace(now_us + kHedgeAgainUs, hedge);
      continue;
    }
    if (!suspected) hedges_left_ -= 1;
    if (!ask_next(hedge)) continue;
    ++hedged_;
    const NodeNumber asked = hedge->nodes[hedge->asked - 1];
    late_.emplace(now_us + (hedge->at_one ? kSuspicionUs : answer_times_[asked].late_us()), hedge);
  }
}

void Forwarder::send(NodeNumber node, const OwnedRequest& request, ReplySink sink,
                     std::shared_ptr<Hedge> hedge) {
  const std::uint64_t id = next_id_++;
  const RequestOptions none;
  const RequestOptions& options = request.options ? *request.options : none;
  const std::int64_t now_us = thread_.clock().monotonic_us();
  if (hedge) ++hedge->open;
  pending_.emplace(id, Pending{node, now_us, now_us + kTimeoutUs, std::move(sink), std::move(hedge),
                               options.session, request.writes()});
  thread_.peers().send(
      node, FrameType::kForwardRequest,
      encode_forward_request(id, request.resp3, request.args, request.within, options.level,
                             options.in_session, session_of(request)));
}

std::string Forwarder::session_of(const OwnedRequest& request) const {
  if (!request.options || !request.options->session) return {};
  const SessionReach& session = *request.options->session;
  // The causes of what it writes.
  if (request.options->level.kind == cluster::Level::Kind::kCausal && request.writes()) {
    return encode_session({.seen = session.all(), .groups = {}});
  }
  const std::vector<PartitionId> partitions = partitions_of(request, thread_.node().placement);
  return encode_session({.seen = session.of(partitions), .groups = {}});
}

void Forwarder::receive_reply(NodeNumber node, const ForwardReply& reply) {
  const auto found = pending_.find(reply.id);
  // A reply may come after its time, or from a node that was not asked.
  if (found == pending_.end() || found->second.node != node) return;
  Pending pending = std::move(found->second);
  pending_.erase(found);
  if (!pending.writes) {
    answer_times_[node].add(thread_.clock().monotonic_us() - pending.sent_us);
  }
  answer(std::move(pending), reply.bytes, reply.session, false);
}

void Forwarder::answer(Pending pending, std::string bytes, std::string_view session, bool lost) {
  if (pending.hedge) {
    Hedge& hedge = *pending.hedge;
    --hedge.open;
    if (!hedge.sink) return;  // another one has answered
    const bool refused = lost || bytes.starts_with("-TRYAGAIN ") ||
                         bytes.starts_with("-UNAVAILABLE ") || bytes.starts_with("-STALE ");
    if (refused && hedge.open > 0) return;
    if (lost && ask_next(pending.hedge)) return;
    if (!refused && pending.node != hedge.nodes.front()) ++hedges_won_;
    pending.sink = std::exchange(hedge.sink, nullptr);
    hedge.request = {};  // a stopped node may keep the rest for a while
  }
  if (pending.session && !session.empty()) {
    // What a node says of its own is well-formed.
    if (const auto seen = decode_session(session)) {
      pending.session->note(seen->seen, pending.writes);
    }
  }
  pending.sink(std::move(bytes));
}

void Forwarder::receive_request(NodeNumber node, const ForwardRequest& request) {
  auto reply = [this, node, id = request.id](std::string bytes) {
    thread_.peers().send(node, FrameType::kForwardReply, encode_forward_reply(id, bytes));
  };
  const std::vector<std::string_view> args(request.args.begin(), request.args.end());
  const Command* command = find_as_user_command(args);
  if (command == nullptr) command = find_command(args);
  if (command == nullptr || (command->handler == nullptr && !command->script)) {
    return reply("-" + unknown_command(args) + "\r\n");
  }
  if (const std::string error = check_arity(*command, args); !error.empty()) {
    return reply("-" + error + "\r\n");
  }
  if ((command->scope == Scope::kAll) == request.within.empty()) {
    return reply("-ERR a forwarded request does not say which partitions it is about\r\n");
  }
  const std::string& from = thread_.node().config.cluster.find(node)->name;
  OwnedRequest owned = OwnedRequest::copy(*command, args, request.resp3, {from, {}});
  owned.within = request.within;
  owned.of_peer = true;
  if (request.session.empty()) {
    if (is_quorum(request.level) || request.level.kind == cluster::Level::Kind::kBounded) {
      owned.options = std::make_unique<RequestOptions>();
      owned.options->level = request.level;
    }
    return thread_.router().submit(std::move(owned), std::move(reply), false);
  }
  const Result<SessionContent> seen = decode_session(request.session);
  if (!seen) return reply("-ERR a forwarded request: " + seen.error().message + "\r\n");
  const auto session = std::make_shared<SessionReach>();
  session->merge(seen->seen);
  owned.options = std::make_unique<RequestOptions>();
  owned.options->level = request.level;
  owned.options->in_session = request.in_session;
  owned.options->session = session;
  std::vector<PartitionId> partitions = partitions_of(owned, thread_.node().placement);
  thread_.router().submit(
      std::move(owned),
      [this, node, id = request.id, session, partitions = std::move(partitions),
       causal = request.level.kind == cluster::Level::Kind::kCausal](const std::string& bytes) {
        const std::string after = encode_session(
            {.seen = causal ? session->all() : session->of(partitions), .groups = {}});
        thread_.peers().send(node, FrameType::kForwardReply,
                             encode_forward_reply(id, bytes, after));
      },
      false);
}

void Forwarder::link_down(NodeNumber node) {
  const std::string name(thread_.node().config.cluster.find(node)->name);
  for (auto i = pending_.begin(); i != pending_.end();) {
    if (i->second.node != node) {
      ++i;
      continue;
    }
    Pending pending = std::move(i->second);
    i = pending_.erase(i);
    answer(std::move(pending),
           fmt::format("-TRYAGAIN the link to node '{}' was lost before it answered: the command "
                       "may or may not have been executed\r\n",
                       name),
           {}, true);
  }
}

void Forwarder::tick(std::int64_t now_us) {
  while (!pending_.empty() && pending_.begin()->second.deadline_us <= now_us) {
    Pending late = std::move(pending_.begin()->second);
    pending_.erase(pending_.begin());
    std::string error = fmt::format(
        "-TRYAGAIN node '{}' did not answer within {} s: the command may or may not have been "
        "executed\r\n",
        thread_.node().config.cluster.find(late.node)->name, kTimeoutUs / 1'000'000);
    answer(std::move(late), std::move(error), {}, false);
  }
  hedge_late(now_us);
}

}  // namespace even
