#include "client/blocked_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/blocking.h"
#include "node/shard_thread.h"
#include "resp/resp_parser.h"

namespace even {
namespace {

constexpr std::int64_t kPollUs = 200'000;
// What ends the wait of XREADGROUP.
constexpr std::string_view kStreamGone = "-UNBLOCKED the stream key no longer exists\r\n";
constexpr std::string_view kGroupGone =
    "-NOGROUP the consumer group this client was blocked on no longer exists\r\n";

bool takes_nothing(std::string_view reply) {
  return reply == "*-1\r\n" || reply == "$-1\r\n" || reply == "_\r\n";
}

}  // namespace

BlockedRequest::BlockedRequest(ShardThread& thread, OwnedRequest request,
                               std::function<std::unique_ptr<RequestOptions>()> options, Done done)
    : thread_(thread),
      request_(std::move(request)),
      options_(std::move(options)),
      done_(std::move(done)),
      timer_(thread.io()) {}

BlockedRequest::~BlockedRequest() { end(); }

void BlockedRequest::start() {
  tried_ = false;
  const std::string_view last = "$";
  const Args keys = counted_keys(*request_.command, request_.args);
  const bool settles =
      request_.command->name == "xread" && !keys.empty() &&
      std::ranges::find(Args(request_.args).last(keys.size()), last) != Args(request_.args).end();
  if (settles) return settle_last_ids();
  // What is there may be for those who wait already.
  const WaitingClients& others = thread_.node().waiting_clients;
  if (!reads_stream() && others.size() > 0 && others.all_trying(key_names())) return wait();
  attempt();
}

std::vector<std::string> BlockedRequest::key_names() const {
  if (moves()) return {std::string(request_.args[1])};
  std::vector<std::string> out;
  for_each_key(*request_.command, request_.args,
               [&out](std::string_view key) { out.emplace_back(key); });
  return out;
}

void BlockedRequest::settle_last_ids() {
  trying_ = true;
  std::vector<std::string_view> words{"EVEN.LASTID"};
  for (const std::string_view key : counted_keys(*request_.command, request_.args)) {
    words.push_back(key);
  }
  submit(*find_command(words[0]), words, &BlockedRequest::take_last_ids);
}

void BlockedRequest::take_last_ids(std::string reply) {
  trying_ = false;
  if (!done_) return;
  if (std::exchange(replaced_, false) && !last_) return start();
  if (last_) return finish(std::move(*last_));
  // An array of bulk strings is what requests are, too.
  RespParser parser;
  const std::size_t keys = counted_keys(*request_.command, request_.args).size();
  if (parser.parse(reply, {}) != RespParser::Status::kRequest || parser.args().size() != keys) {
    // The request itself says what is wrong with it.
    return reply.starts_with("-WRONGTYPE") ? attempt() : finish(std::move(reply));
  }
  std::vector<std::string_view> words(request_.args.begin(), request_.args.end());
  for (std::size_t i = 0; i < keys; ++i) {
    std::string_view& id = words[words.size() - keys + i];
    if (id == "$") id = parser.args()[i];
  }
  OwnedRequest settled =
      OwnedRequest::copy(*request_.command, words, request_.resp3, request_.client);
  OwnedRequest before = std::exchange(request_, std::move(settled));
  if (original_.command == nullptr) original_ = std::move(before);
  attempt();
}

void BlockedRequest::attempt() {
  trying_ = true;
  again_ = false;
  submit(*request_.command, request_.args, &BlockedRequest::take);
}

void BlockedRequest::submit(const Command& command, std::span<const std::string_view> words,
                            void (BlockedRequest::*take)(std::string reply)) {
  OwnedRequest copy = OwnedRequest::copy(command, words, request_.resp3, request_.client);
  copy.options = options_();
  thread_.router().submit(std::move(copy), [weak = weak_from_this(), take](std::string reply) {
    if (const auto self = weak.lock()) (self.get()->*take)(std::move(reply));
  });
}

void BlockedRequest::take(std::string reply) {
  trying_ = false;
  if (!done_) return;
  const bool first = !std::exchange(tried_, true);
  // What came to be there while it waits is of another type: it is not for it.
  const bool not_for_it = ticket_ && !first && reply.starts_with("-WRONGTYPE");
  if (ticket_ && reads_group()) {
    if (not_for_it) return finish(std::string(kStreamGone));
    if (reply.starts_with("-NOGROUP")) {
      std::vector<std::string_view> words{"EXISTS"};
      for_each_key(*request_.command, request_.args,
                   [&words](std::string_view key) { words.push_back(key); });
      return look(words, std::move(reply));
    }
  }
  if (not_for_it && moves()) return look({"TYPE", request_.args[1]}, std::move(reply));
  if (!takes_nothing(reply) && !not_for_it) return finish(std::move(reply));
  // There may be something at another key. Redis looks at those alone that something was put at.
  if (not_for_it && !moves() && !last_ && key_names().size() > 1) {
    key_ = 0;
    return attempt_key();
  }
  wait_on(not_for_it);
}

void BlockedRequest::attempt_key() {
  trying_ = true;
  submit(*request_.command, words_of_key(key_), &BlockedRequest::take_of_key);
}

void BlockedRequest::take_of_key(std::string reply) {
  trying_ = false;
  if (!done_) return;
  if (!takes_nothing(reply) && !reply.starts_with("-WRONGTYPE")) return finish(std::move(reply));
  if (!last_ && !replaced_ && ++key_ < key_names().size()) return attempt_key();
  wait_on(true);
}

// BLPOP k... timeout; BLMPOP timeout n k... LEFT; XREAD ... STREAMS k... id...
std::vector<std::string_view> BlockedRequest::words_of_key(std::size_t key) const {
  const Args words = request_.args;
  Args keys = counted_keys(*request_.command, words);
  const bool counts = !keys.empty() && !reads_stream();
  if (keys.empty()) keys = words.subspan(1, words.size() - 2);
  const auto first = static_cast<std::size_t>(keys.data() - words.data());
  std::vector<std::string_view> out(words.begin(), words.begin() + first - (counts ? 1 : 0));
  if (counts) out.emplace_back("1");
  out.push_back(keys[key]);
  const Args rest = words.subspan(first + keys.size());
  if (reads_stream()) {
    out.push_back(rest[key]);
  } else {
    out.insert(out.end(), rest.begin(), rest.end());
  }
  return out;
}

// Of a refusal it depends on the keys what it means for one who waits.
void BlockedRequest::look(const std::vector<std::string_view>& words, std::string refusal) {
  trying_ = true;
  refusal_ = std::move(refusal);
  submit(*find_command(words[0]), words, &BlockedRequest::take_look);
}

void BlockedRequest::take_look(std::string reply) {
  trying_ = false;
  if (!done_) return;
  if (reads_group()) {
    std::size_t keys = 0;
    for_each_key(*request_.command, request_.args, [&keys](std::string_view) { ++keys; });
    const bool all = reply == fmt::format(":{}\r\n", keys);
    return finish(std::string(all ? kGroupGone : kStreamGone));
  }
  // There is a list to take from: what it is to go to is of another type.
  if (reply == "+list\r\n") return finish(std::move(refusal_));
  wait_on(true);
}

bool BlockedRequest::reads_group() const { return request_.command->name == "xreadgroup"; }

bool BlockedRequest::reads_stream() const { return !request_.command->keys.keyword.empty(); }

bool BlockedRequest::moves() const {
  return request_.command->name == "blmove" || request_.command->name == "brpoplpush";
}

void BlockedRequest::wait_on(bool not_for_it) {
  if (last_) return finish(std::move(*last_));
  if (std::exchange(replaced_, false)) return start();
  if (!ticket_) return wait();
  // Those who read streams do not take from each other: what is not for one may be for the next.
  const bool pass_on = not_for_it || reads_stream();
  if (thread_.node().waiting_clients.failed(*ticket_, pass_on) || again_) attempt();
}

// The first attempt was in vain, or there was none. There may have been something since: once more,
// unless that is for those who wait already.
void BlockedRequest::wait() {
  auto wake = [&thread = thread_, weak = weak_from_this()] {
    thread.post([weak] {
      if (const auto self = weak.lock()) self->woken();
    });
  };
  using Wait = WaitingClients::Wait;
  const WaitingClients::Place place = thread_.node().waiting_clients.add(
      key_names(), std::move(wake), reads_group() ? Wait::kAnyChange : Wait::kPut, !reads_stream(),
      tried_);
  ticket_ = place.ticket;
  polls_ = !has_replicas();
  const std::int64_t timeout_ms = blocking_timeout_ms(*request_.command, request_.args);
  if (timeout_ms > 0 && deadline_us_ == 0)
    deadline_us_ = thread_.clock().monotonic_us() + timeout_ms * 1'000;
  on_timer();
  if (done_ && !trying_ && place.tries) attempt();
}

bool BlockedRequest::has_replicas() const {
  const NodeContext& node = thread_.node();
  const cluster::ClusterMap& map = node.config.cluster;
  bool all = true;
  for_each_key(*request_.command, request_.args, [&](std::string_view key) {
    const PartitionId partition = thread_.keyspaces().partition_of(key, map.partitions);
    const auto keeps = [&node](const auto& nodes) {
      return std::ranges::find(nodes, node.number) != nodes.end();
    };
    if (const auto* keyspace = thread_.keyspaces().of_partition(partition)) {
      all = all && keeps(cluster::replicas_of(map, *keyspace, partition));
    } else {
      all = all && keeps(node.placement.replicas(partition));
    }
  });
  return all;
}

void BlockedRequest::on_timer() {
  const std::int64_t now_us = thread_.clock().monotonic_us();
  if (deadline_us_ != 0 && now_us >= deadline_us_) return unblock({});
  if (polls_ && !trying_ && ticket_ && thread_.node().waiting_clients.poll(*ticket_)) attempt();
  if (!done_ || (deadline_us_ == 0 && !polls_)) return;
  std::int64_t wait_us = polls_ ? kPollUs : deadline_us_ - now_us;
  if (deadline_us_ != 0) wait_us = std::min(wait_us, deadline_us_ - now_us);
  timer_.expires_after(std::chrono::microseconds(wait_us));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error && self->done_) self->on_timer();
  });
}

void BlockedRequest::replace(OwnedRequest request) {
  if (!done_) return;
  OwnedRequest before = std::exchange(request_, std::move(request));
  if (original_.command == nullptr) original_ = std::move(before);
  if (ticket_) thread_.node().waiting_clients.remove(*ticket_);
  ticket_.reset();
  trying_ ? void(replaced_ = true) : start();
}

void BlockedRequest::woken() {
  if (!done_) return;
  if (!polls_ && ticket_ && !has_replicas()) {
    polls_ = true;  // since a keyspace has come to be
    on_timer();
  }
  trying_ ? void(again_ = true) : attempt();
}

void BlockedRequest::unblock(std::string error) {
  if (!done_) return;
  std::string reply = !error.empty() ? std::move(error) : request_.resp3 ? "_\r\n" : "*-1\r\n";
  // What an attempt under way takes must not be lost.
  if (trying_) {
    last_ = std::move(reply);
  } else {
    finish(std::move(reply));
  }
}

void BlockedRequest::finish(std::string reply) {
  const auto keep_alive = shared_from_this();
  Done done = std::exchange(done_, nullptr);
  end();
  done(std::move(reply));
}

void BlockedRequest::end() {
  done_ = nullptr;
  timer_.cancel();
  if (ticket_) thread_.node().waiting_clients.remove(*ticket_);
  ticket_.reset();
}

}  // namespace even
