#include "peer/forwarder.h"

#include <fmt/format.h>

#include "engine/acl.h"
#include "node/shard_thread.h"

namespace even {
namespace {

constexpr std::int64_t kTimeoutUs = 5'000'000;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;  // of a frame; see peer_link.cc

}  // namespace

void Forwarder::forward(NodeNumber node, const OwnedRequest& request, ReplySink sink) {
  std::size_t bytes = 0;
  for (std::string_view arg : request.args) bytes += arg.size() + 8;
  if (bytes > kMaxBytes) {
    return sink("-ERR the request is too long to be forwarded to another node (1 GiB)\r\n");
  }
  const std::uint64_t id = next_id_++;
  const RequestOptions none;
  const RequestOptions& options = request.options ? *request.options : none;
  pending_.emplace(id, Pending{node, thread_.clock().monotonic_us() + kTimeoutUs, std::move(sink),
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
  if (pending.session) {
    // What a node says of its own is well-formed.
    if (const auto seen = decode_session(reply.session)) {
      pending.session->note(seen->seen, pending.writes);
    }
  }
  pending.sink(reply.bytes);
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
    ReplySink sink = std::move(i->second.sink);
    i = pending_.erase(i);
    sink(
        fmt::format("-TRYAGAIN the link to node '{}' was lost before it answered: the command may "
                    "or may not have been executed\r\n",
                    name));
  }
}

void Forwarder::tick(std::int64_t now_us) {
  while (!pending_.empty() && pending_.begin()->second.deadline_us <= now_us) {
    Pending late = std::move(pending_.begin()->second);
    pending_.erase(pending_.begin());
    late.sink(
        fmt::format("-TRYAGAIN node '{}' did not answer within {} s: the command may or may "
                    "not have been executed\r\n",
                    thread_.node().config.cluster.find(late.node)->name, kTimeoutUs / 1'000'000));
  }
}

}  // namespace even
