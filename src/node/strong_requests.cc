#include "node/strong_requests.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "cluster/topic_ranges.h"
#include "engine/acl.h"
#include "engine/outbox.h"
#include "node/shard_thread.h"

namespace even {
namespace {

// From one member to the next, before it waits for a tick.
constexpr std::size_t kMostTurns = 3;
// What can be repeated is asked again after so long without an answer: the other side may have
// stopped, and somebody else lead.
constexpr std::int64_t kRepeatUs = 500'000;
constexpr std::int64_t kScanUs = 20'000;
// What has been refused once it was repeated is repeated after so long.
constexpr std::int64_t kRefusedUs = 100'000;
constexpr std::int64_t kServedUs = 5'000'000;
constexpr std::size_t kMostBytes = 1'000'000'000;  // below the limit of a frame; see peer_link.cc
// The first nodes by number are the metadata group's voters.
constexpr std::size_t kMetaVoters = 5;

using Kind = cluster::Level::Kind;

// What nodes ask each other for, and no client does.
bool is_inner(Args words) {
  if (is_closing_command(words)) return true;
  if (const Command* script = find_as_user_command(words)) {
    return check_arity(*script, words).empty();
  }
  return find_outbox_command(words) != nullptr || (words.size() == 3 && words[0] == kAppendCommand);
}

}  // namespace

Result<ReadLevel> read_level(const cluster::Keyspace& keyspace, cluster::Level level) {
  if (level.kind == Kind::kDefault) level = keyspace.read;
  switch (level.kind) {
    case Kind::kDefault:
    case Kind::kLinearizable:
      return ReadLevel{};
    case Kind::kOne:
      return ReadLevel{StrongRead::kOne};
    case Kind::kSession:
    case Kind::kSequential:
      return ReadLevel{StrongRead::kSequential};
    case Kind::kBounded:
      return ReadLevel{StrongRead::kBounded, level.number};
    default:
      return fail(fmt::format(
          "CONSISTENCY {} cannot be had in the strong keyspace '{}': there are ONE, SESSION, "
          "SEQUENTIAL, BOUNDED ms and LINEARIZABLE",
          cluster::to_string(level), keyspace.name));
  }
}

StrongRequests::StrongRequests(ShardThread& thread)
    : thread_(thread), next_(thread.random().below(std::uint64_t{1} << 62)) {}

StrongRequest StrongRequests::Call::request() const {
  const OwnedRequest& from = call.request;
  StrongRequest out{.group = call.group,
                    .resp3 = from.resp3,
                    .transaction = from.is_transaction(),
                    .once = call.once,
                    .once_ms = call.once.empty() ? 0 : kept_ms(call.once_ms, call.deadline_ms),
                    .read = call.level.read,
                    .bound_ms = call.level.bound_ms,
                    .after = std::max(call.after, call.lane->seen),
                    .behind = call.lane->is_behind(*this)};
  if (!out.transaction) out.commands.emplace_back(from.args);
  for (const OwnedRequest& part : from.parts) out.commands.emplace_back(part.args);
  for (const OwnedRequest& watch : from.watched) {
    out.watched.push_back({watch.args, watch.watch_reply});
  }
  return out;
}

void StrongRequests::submit(StrongCall call, StrongSink sink) {
  const ShardId shard = shard_of_partition(call.group, thread_.node().shards);
  if (shard == thread_.id()) return begin(std::move(call), std::move(sink));
  thread_.send_to(shard, [from = thread_.id(), call = std::move(call),
                          sink = std::move(sink)](ShardThread& owner) mutable {
    owner.strong().begin(std::move(call), [&owner, from, sink = std::move(sink)](
                                              std::string reply, consensus::Index index) mutable {
      owner.send_to(from, [reply = std::move(reply), index, sink = std::move(sink)](
                              ShardThread&) mutable { sink(std::move(reply), index); });
    });
  });
}

void StrongRequests::begin(StrongCall call, StrongSink sink) {
  auto begun = std::make_shared<Call>();
  begun->deadline_us = thread_.clock().monotonic_us() + call.deadline_ms * 1000;
  begun->writes = call.writes;
  begun->any_member = !call.writes && call.level.read != StrongRead::kLinearizable;
  begun->repeatable = !call.writes || !call.once.empty();
  begun->call = std::move(call);
  begun->sink = std::move(sink);
  if (begun->call.lane == nullptr) begun->call.lane = std::make_shared<StrongLane>();
  begun->call.lane->add(*begun);
  begun->attempt = next_++;
  attempt(calls_.emplace(begun->attempt, begun).first);
}

void StrongRequests::attempt(Calls::iterator at) {
  Call& call = *at->second;
  const StrongLane& lane = *call.call.lane;
  if (!lane.may_go(call)) return;  // until those in its way have been answered, or scan()
  if (is_dropped(call.call.group)) return give_up(at);
  if (thread_.clock().monotonic_us() < call.again_us) {
    any_waits_ = true;
    return;
  }
  if (lane.is_behind(call)) {
    const NodeNumber node = lane.asked_ahead_of(call);
    if (node == thread_.node().number) return ask_here(at);
    if (thread_.peers().up(node)) return ask_node(at, node);
  } else if (thread_.shard().has_group(call.call.group)) {
    const NodeNumber leader = call.any_member ? NodeNumber{0} : leader_elsewhere(call.call.group);
    return leader == 0 ? ask_here(at) : ask_node(at, leader);
  } else {
    const std::vector<NodeNumber> nodes = members(call.call.group);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const NodeNumber node = nodes[call.candidate++ % nodes.size()];
      if (node != thread_.node().number && thread_.peers().up(node)) return ask_node(at, node);
    }
  }
  any_waits_ = true;
}

// Who leads the group as far as this node's member of it knows, which would only say so; 0: this
// node, or nobody that can be asked.
NodeNumber StrongRequests::leader_elsewhere(PartitionId group) const {
  if (thread_.lease().lent()) return 0;
  const NodeNumber leader = thread_.shard().leader_of(group).value_or(0);
  return leader != thread_.node().number && thread_.peers().up(leader) ? leader : NodeNumber{0};
}

StrongRequests::Calls::iterator StrongRequests::renumber(Calls::iterator at, NodeNumber asked) {
  auto handle = calls_.extract(at);
  handle.key() = next_++;
  Call& call = *handle.mapped();
  call.attempt = handle.key();
  call.out = true;
  call.asked = asked;
  call.asked_us = thread_.clock().monotonic_us();
  return calls_.insert(std::move(handle)).position;
}

void StrongRequests::ask_here(Calls::iterator at) {
  at = renumber(at, thread_.node().number);
  thread_.lease().when_free([this, attempt = at->first, call = at->second] {
    // The call stays as long as its words are needed, though its client may have been answered.
    thread_.shard().execute_strong(call->request(), [this, attempt, call](StrongOutcome outcome) {
      take(attempt, thread_.node().number, std::move(outcome));
    });
  });
}

void StrongRequests::ask_node(Calls::iterator at, NodeNumber node) {
  at = renumber(at, node);
  std::string bytes = encode_strong_request(at->first, at->second->request());
  if (bytes.size() > kMostBytes) {
    at->second->out = false;
    return take_refusal(at, "-ERR the request is too long to be sent to another node (1 GB)\r\n");
  }
  thread_.peers().send(node, FrameType::kStrongRequest, std::move(bytes));
}

void StrongRequests::take(std::uint64_t attempt, NodeNumber from, StrongOutcome outcome) {
  const auto at = calls_.find(attempt);
  if (at == calls_.end() || !at->second->out || at->second->asked != from) return;
  Call& call = *at->second;
  call.out = false;
  switch (outcome.kind) {
    case StrongOutcome::Kind::kReply:
      return finish(at, std::move(outcome.reply), outcome.index, true);
    case StrongOutcome::Kind::kRefused:
      return take_refusal(at, std::move(outcome.reply));
    case StrongOutcome::Kind::kUnknown:
      call.unknown = true;
      if (next_of(outcome.kind, call.unknown, call.repeatable) == StrongNext::kUncertain) {
        return give_up(at);
      }
      break;
    case StrongOutcome::Kind::kStale:
      // The leader is as fresh as can be.
      call.too_stale = true;
      call.call.level = {};
      call.any_member = false;
      break;
    case StrongOutcome::Kind::kElsewhere:
      break;
  }
  call.leader = outcome.leader == from ? 0 : outcome.leader;
  if (call.call.lane->is_passed(call)) return give_up(at);
  advance(call.call.lane);
}

void StrongRequests::take_refusal(Calls::iterator at, std::string reply) {
  Call& call = *at->second;
  const bool unknown = call.writes && call.unknown;
  if (next_of(StrongOutcome::Kind::kRefused, unknown, call.repeatable) == StrongNext::kAnswered) {
    return finish(at, std::move(reply), 0, false);
  }
  if (call.call.lane->is_passed(call)) return give_up(at);
  // Where the earlier attempt was may be where it is refused: who leads is asked anew.
  call.leader = 0;
  call.again_us = thread_.clock().monotonic_us() + kRefusedUs;
  any_waits_ = true;
}

void StrongRequests::advance(std::shared_ptr<StrongLane> lane) {
  for (const std::size_t before = lane->turns().size(); StrongTurn * turn : lane->turns()) {
    if (turn->out) continue;
    Call& call = static_cast<Call&>(*turn);
    if (!lane->may_go(call)) return;
    const NodeNumber to = lane->is_behind(call) ? lane->asked_ahead_of(call) : call.leader;
    // Not the shard from here, which may be in the middle of something. Else in a tick.
    if (to == 0 || call.turns == kMostTurns || to == thread_.node().number ||
        !thread_.peers().up(to) || thread_.clock().monotonic_us() < call.again_us) {
      any_waits_ = true;
      return;
    }
    ++call.turns;
    ask_node(calls_.find(call.attempt), to);
    if (lane->turns().size() != before) return;  // what is too long has been refused
  }
}

void StrongRequests::advance_later(std::shared_ptr<StrongLane> lane) {
  to_advance_.push_back(std::move(lane));
  if (to_advance_.size() > 1) return;
  asio::post(thread_.io(), [this] {
    for (const auto& lane : std::exchange(to_advance_, {})) {
      std::vector<std::uint64_t> waiting;  // some may be answered at once
      for (const StrongTurn* turn : lane->turns()) {
        if (!turn->out) waiting.push_back(static_cast<const Call*>(turn)->attempt);
      }
      for (const std::uint64_t number : waiting) {
        const auto at = calls_.find(number);
        if (at == calls_.end()) continue;
        const std::shared_ptr<Call> call = at->second;
        attempt(at);
        // Those behind what stays stay as well.
        if (!call->out && calls_.contains(call->attempt)) break;
      }
    }
  });
}

void StrongRequests::finish(Calls::iterator at, std::string reply, consensus::Index index,
                            bool executed) {
  const std::shared_ptr<Call> call = std::move(at->second);
  calls_.erase(at);
  StrongLane& lane = *call->call.lane;
  lane.remove(*call, executed);
  lane.seen = std::max(lane.seen, index);
  if (!lane.turns().empty() && !lane.turns().back()->out) advance_later(call->call.lane);
  call->sink(std::move(reply), index);
}

// Calls that have waited for too long, or that nobody is at.
void StrongRequests::scan(std::int64_t now_us) {
  any_waits_ = false;
  next_scan_us_ = now_us + kScanUs;
  std::vector<std::uint64_t> due;
  for (const auto& [attempt, call] : calls_) {
    if (now_us >= call->deadline_us || !call->out ||
        (call->repeatable && now_us >= call->asked_us + kRepeatUs)) {
      due.push_back(attempt);
    }
  }
  for (const std::uint64_t number : due) {
    const auto at = calls_.find(number);
    if (at == calls_.end()) continue;
    Call& call = *at->second;
    if (now_us >= call.deadline_us || (!call.out && call.call.lane->is_passed(call))) {
      give_up(at);
      continue;
    }
    if (call.out && !call.call.lane->recall(call)) continue;
    call.turns = 0;
    attempt(at);
  }
}

void StrongRequests::tick(std::int64_t now_us) {
  if (any_waits_ || now_us >= next_scan_us_) scan(now_us);
  const std::uint64_t served = thread_.node().served_version();
  std::erase_if(asking_, [&](const Asking& asking) {
    if (served >= asking.request.version) {
      thread_.peers().send(asking.node, FrameType::kStrongReply,
                           encode_strong_reply(asking.request.id, {}));
    }
    return served >= asking.request.version || now_us >= asking.deadline_us;
  });
  std::vector<std::uint64_t> waits;
  for (const auto& [id, awaited] : awaited_) {
    if (served >= awaited.version || now_us >= awaited.deadline_us) waits.push_back(id);
  }
  for (const std::uint64_t id : waits) {
    const auto at = awaited_.find(id);
    if (at == awaited_.end()) continue;
    if (now_us < at->second.deadline_us) {
      served_by(at, thread_.node().number);
      continue;
    }
    std::vector<std::string> missing;
    for (const NodeNumber node : at->second.missing) missing.push_back(name(node));
    Served done = std::move(at->second.done);
    awaited_.erase(at);
    done(std::move(missing));
  }
}

void StrongRequests::link_down(NodeNumber node) {
  std::vector<std::uint64_t> lost;
  for (const auto& [attempt, call] : calls_) {
    if (call->out && call->asked == node) lost.push_back(attempt);
  }
  for (const std::uint64_t attempt : lost) {
    const auto at = calls_.find(attempt);
    if (at == calls_.end()) continue;
    Call& call = *at->second;
    call.unknown = true;
    call.out = false;  // to be tried again in a tick
    any_waits_ = true;
    if (!call.repeatable) give_up(at);
  }
  std::erase_if(asking_, [node](const Asking& asking) { return asking.node == node; });
  std::vector<std::uint64_t> waits;
  for (const auto& [id, awaited] : awaited_) {
    if (awaited.missing.contains(node)) waits.push_back(id);
  }
  for (const std::uint64_t id : waits) {
    if (const auto at = awaited_.find(id); at != awaited_.end()) served_by(at, node);
  }
}

void StrongRequests::give_up(Calls::iterator at) {
  const Call& call = *at->second;
  const bool perhaps = call.writes && (call.out || call.unknown);
  finish(at, perhaps ? uncertain(call) : unavailable(call), 0, perhaps);
}

std::string StrongRequests::uncertain(const Call& call) const {
  if (is_dropped(call.call.group)) {
    return "-UNCERTAIN the keyspace has just been dropped, with what this has done, if "
           "anything\r\n";
  }
  return fmt::format(
      "-UNCERTAIN keyspace '{}': what was sent to the leader of group {} has not been confirmed: "
      "it may take effect, or not. Under EVEN.ONCE it can be repeated safely\r\n",
      keyspace_of(call.call.group), call.call.group);
}

bool StrongRequests::is_dropped(PartitionId group) const {
  return group != meta_partition(thread_.node().placement.partitions()) &&
         thread_.keyspaces().was_dropped(group);
}

std::string StrongRequests::unavailable(const Call& call) const {
  if (is_dropped(call.call.group)) {
    return "-UNAVAILABLE nothing was done: the keyspace has just been dropped\r\n";
  }
  if (call.call.lane->is_passed(call)) {
    return fmt::format(
        "-UNAVAILABLE keyspace '{}': the leader of group {} has changed, and a later request of "
        "this connection may have been executed before this one, which has not\r\n",
        keyspace_of(call.call.group), call.call.group);
  }
  std::vector<std::string> missing;
  const std::vector<NodeNumber> nodes = members(call.call.group);
  for (const NodeNumber node : nodes) {
    if (node != thread_.node().number && !thread_.peers().up(node)) missing.push_back(name(node));
  }
  std::ranges::sort(missing);
  const std::size_t needed = nodes.size() / 2 + 1;
  const std::size_t reachable = nodes.size() - missing.size();
  // Who would have been content with less than the leader's word, and got nothing either.
  const bool stale = call.too_stale || call.call.level.read == StrongRead::kBounded;
  const bool led = call.leader != 0 && call.leader != thread_.node().number;
  std::string reply = fmt::format("-{} keyspace '{}': {}{}: needs {} of {} replicas, {} reachable",
                                  stale ? "STALE" : "UNAVAILABLE", keyspace_of(call.call.group),
                                  stale ? "no replica within reach is fresh enough, and " : "",
                                  led ? fmt::format("the leader of group {}, {}, does not answer",
                                                    call.call.group, name(call.leader))
                                      : fmt::format("group {} has no leader", call.call.group),
                                  needed, nodes.size(), reachable);
  if (!missing.empty()) {
    reply += fmt::format(" ({} cannot be reached from {})", fmt::join(missing, ", "),
                         name(thread_.node().number));
  }
  return reply + "\r\n";
}

std::vector<NodeNumber> StrongRequests::members(PartitionId group) const {
  const cluster::ClusterMap& map = thread_.node().config.cluster;
  if (const cluster::Keyspace* keyspace = thread_.keyspaces().of_partition(group)) {
    return cluster::replicas_of(map, *keyspace, group);
  }
  std::vector<NodeNumber> first;
  if (group != meta_partition(thread_.node().placement.partitions())) return first;
  for (const cluster::Node& node : map.nodes) first.push_back(node.number);
  std::ranges::sort(first);
  if (first.size() > kMetaVoters) first.resize(kMetaVoters);
  return first;
}

std::string StrongRequests::keyspace_of(PartitionId group) const {
  const cluster::Keyspace* keyspace = thread_.keyspaces().of_partition(group);
  if (keyspace == nullptr) return "meta";
  return cluster::is_added_range(*keyspace) ? std::string(cluster::topic_of_range(*keyspace))
                                            : keyspace->name;
}

std::string StrongRequests::name(NodeNumber node) const {
  return thread_.node().config.cluster.find(node)->name;
}

void StrongRequests::receive_request(NodeNumber node,
                                     std::shared_ptr<const StrongMessage> message) {
  auto reply = [this, node, id = message->id()](const StrongOutcome& outcome) {
    thread_.peers().send(node, FrameType::kStrongReply, encode_strong_reply(id, outcome));
  };
  const StrongRequest& request = message->request();
  const bool meta = request.group == meta_partition(thread_.node().placement.partitions());
  for (const Args words : request.commands) {
    const Command* command = find_command(words);
    const std::string error = meta || is_inner(words) ? std::string()
                              : command == nullptr    ? unknown_command(words)
                                                      : check_arity(*command, words);
    if (error.empty()) continue;
    return reply({.kind = StrongOutcome::Kind::kRefused, .reply = "-" + error + "\r\n"});
  }
  thread_.lease().when_free([this, reply, message = std::move(message)] {
    Shard& shard = thread_.shard();
    if (!shard.has_group(message->request().group)) {
      return reply({.kind = StrongOutcome::Kind::kElsewhere});
    }
    shard.execute_strong(message->request(),
                         [reply, message](const StrongOutcome& outcome) { reply(outcome); });
  });
}

void StrongRequests::receive_serves(NodeNumber node, const ServesRequest& request) {
  asking_.push_back({node, request, thread_.clock().monotonic_us() + kServedUs});
}

void StrongRequests::receive_reply(NodeNumber node, StrongReply reply) {
  const auto awaited = awaited_.find(reply.id);
  if (awaited != awaited_.end()) return served_by(awaited, node);
  take(reply.id, node, std::move(reply.outcome));
}

void StrongRequests::await_served(std::uint64_t version, Served done) {
  const std::uint64_t id = next_++;
  Awaited& awaited = awaited_[id];
  awaited.version = version;
  awaited.deadline_us = thread_.clock().monotonic_us() + kServedUs;
  awaited.done = std::move(done);
  for (const cluster::Node& node : thread_.node().config.cluster.nodes) {
    const bool here = node.number == thread_.node().number;
    if (!here && !thread_.peers().up(node.number)) continue;
    awaited.missing.insert(node.number);
    if (here) continue;  // looked after by tick()
    thread_.peers().send(node.number, FrameType::kServesRequest,
                         encode_serves_request({id, version}));
  }
}

void StrongRequests::served_by(std::map<std::uint64_t, Awaited>::iterator at, NodeNumber node) {
  at->second.missing.erase(node);
  if (!at->second.missing.empty()) return;
  Served done = std::move(at->second.done);
  awaited_.erase(at);
  done({});
}

}  // namespace even
