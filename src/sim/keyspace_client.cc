#include "sim/keyspace_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/cmd_meta.h"
#include "sim/strong_operation.h"

namespace even::sim {
namespace {

constexpr std::int64_t kThinkUs = 50'000;
constexpr std::int64_t kPatienceUs = 1'000'000;
constexpr std::int64_t kCreateAgainUs = 10'000;  // until a leader may be known
constexpr std::int64_t kKeyspaceHopUs = 200;
constexpr int kNames = 3;

}  // namespace

void KeyspaceClient::begin() { rest(kThinkUs); }

void KeyspaceClient::rest(std::int64_t mean_us) {
  run_.scheduler.after(run_.around(mean_us), [this] { act(); });
}

void KeyspaceClient::after(std::int64_t us, std::function<void()> event) {
  run_.scheduler.after(us, [this, number = number_, event = std::move(event)] {
    if (request_ != nullptr && number_ == number) event();
  });
}

void KeyspaceClient::act() {
  if (!has_base_) return send(create(base_keyspace(run_.options)));
  if (!has_topic_) return send(create(events_topic(run_.options)));
  if (!has_compacted_) return send(create(compacted_topic(run_.options)));
  // Not at once: there are to be keys before.
  if (!has_feed_ && (run_.settling || random_.chance(0.2))) return send(create(fed_keyspace()));
  if (const auto index = undelayed()) return send(delay(*index));
  if (!run_.settling) return send(next());
  stopped_ = true;
}

void KeyspaceClient::alter_delays(std::int64_t delay_ms) {
  delay_ms_ = delay_ms;
  if (std::exchange(stopped_, false)) rest(kThinkUs);
}

std::optional<std::size_t> KeyspaceClient::undelayed() const {
  const auto found =
      std::ranges::find_if(delays_, [this](std::int64_t each) { return each != delay_ms_; });
  if (found == delays_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - delays_.begin());
}

std::shared_ptr<KeyspaceClient::Request> KeyspaceClient::delay(std::size_t index) {
  auto keyspace = lazy_keyspace(index, delay_ms_);
  std::shared_ptr<Request> request;
  if (delays_[index] == kNoDelay) {
    request = create(std::move(keyspace));
  } else {
    request = std::make_shared<Request>();
    request->group = meta_partition(run_.options.partitions);
    request->words = {std::string(kMetaCommand), "alter", keyspace.name, "delay",
                      std::to_string(delay_ms_)};
  }
  request->lazy = index;
  request->delay_ms = delay_ms_;
  return request;
}

std::shared_ptr<KeyspaceClient::Request> KeyspaceClient::create(cluster::Keyspace keyspace) {
  auto request = std::make_shared<Request>();
  request->group = meta_partition(run_.options.partitions);
  request->words = {std::string(kMetaCommand), "create", cluster::encode(keyspace),
                    std::to_string(first_group(run_.options))};
  for (const cluster::Node& node : run_.map.nodes) {
    request->words.push_back(std::to_string(node.number));
    request->words.push_back(node.name);
  }
  request->of_topic = keyspace.topic;
  request->compacts = keyspace.cleanup.compacts;
  if (keyspace.topic) return request;
  request->name = std::move(keyspace.name);
  request->prefix = std::move(keyspace.prefix);
  return request;
}

std::shared_ptr<KeyspaceClient::Request> KeyspaceClient::write() {
  const auto groups = tables_.groups();
  const PartitionId group = groups[random_.below(groups.size())];
  const auto first_other =
      static_cast<PartitionId>(first_group(run_.options) + run_.options.groups);
  const auto of_topic = tables_.topic_partitions();
  const cluster::Keyspace* closing = tables_.find("closing");  // see keyspace_closings.h
  if (closing != nullptr && group >= closing->first &&
      group < closing->first + closing->partitions) {
    return nullptr;
  }
  if (group < first_other || group == tables_.compacted() ||
      std::ranges::find(of_topic, group) != of_topic.end()) {
    return nullptr;
  }
  auto request = std::make_shared<Request>();
  request->group = group;
  request->words = {"INCR", fmt::format("k{}", random_.below(2))};
  return request;
}

std::shared_ptr<KeyspaceClient::Request> KeyspaceClient::next() {
  if (random_.chance(0.3)) {
    if (auto request = write()) return request;
  }
  const std::string name = fmt::format("k{}", random_.below(kNames));
  if (!tables_.has(name) || random_.chance(0.1)) {
    cluster::Keyspace keyspace = base_keyspace(run_.options);
    keyspace.name = name;
    keyspace.prefix = fmt::format("strong:{}:", ++prefixes_);
    keyspace.partitions = static_cast<std::uint16_t>(1 + random_.below(2));
    return create(std::move(keyspace));
  }
  auto request = std::make_shared<Request>();
  request->group = meta_partition(run_.options.partitions);
  if (random_.chance(0.2)) {
    request->words = {std::string(kMetaCommand), "alter", name, "deadline",
                      std::to_string(1 + random_.below(10'000))};
    return request;
  }
  request->words = {std::string(kMetaCommand), "drop", name};
  request->name = name;
  return request;
}

void KeyspaceClient::send(std::shared_ptr<Request> request) {
  request->views.assign(request->words.begin(), request->words.end());
  request_ = std::move(request);
  ++number_;
  run_.event("keyspaces: {} at group {}, {} {}", number_, request_->group, request_->words[1],
             request_->name);
  after(run_.around(kPatienceUs), [this] {
    run_.event("keyspaces: {} is given up", number_);
    done();
  });
  ask(any_node());
}

void KeyspaceClient::ask(NodeNumber to) {
  after(run_.around(kKeyspaceHopUs), [this, to] {
    Node& node = *nodes_[to - 1];
    if (!node.up()) return ask_later();
    StrongRequest request;
    request.group = request_->group;
    request.commands.emplace_back(request_->views);
    node.execute_strong(std::move(request),
                        [this, number = number_, asked = request_](StrongOutcome outcome) {
                          if (number != number_ || request_ == nullptr) return;
                          after(run_.around(kKeyspaceHopUs),
                                [this, outcome = std::move(outcome)] { answered(outcome); });
                        });
  });
}

void KeyspaceClient::ask_later() {
  after(run_.around(kCreateAgainUs), [this] { ask(any_node()); });
}

void KeyspaceClient::answered(const StrongOutcome& outcome) {
  switch (outcome.kind) {
    case StrongOutcome::Kind::kReply:
      run_.event("keyspaces: {} replied {}", number_, outcome.reply);
      replied(outcome.reply);
      return done();
    case StrongOutcome::Kind::kElsewhere:
      if (outcome.leader == 0) return ask_later();
      return ask(outcome.leader);
    case StrongOutcome::Kind::kRefused:
      return ask_later();
    case StrongOutcome::Kind::kStale:
    case StrongOutcome::Kind::kUnknown:
      return done();
  }
}

void KeyspaceClient::replied(const std::string& reply) {
  const auto parsed = parse_reply(reply);
  if (!parsed) violated("a change of keyspaces replied " + reply);
  if (request_->group != meta_partition(run_.options.partitions)) return;
  const bool there_already = parsed->text.find("already") != std::string::npos;
  if (request_->name == "base" && (parsed->kind == StrongReply::Kind::kInteger || there_already)) {
    has_base_ = true;
  }
  if (request_->name == "fed" && (parsed->kind == StrongReply::Kind::kInteger || there_already)) {
    has_feed_ = true;
  }
  if (request_->lazy && (parsed->kind == StrongReply::Kind::kInteger || there_already)) {
    delays_[*request_->lazy] = there_already ? kUnknownDelay : request_->delay_ms;
  }
  if (request_->of_topic && (parsed->kind == StrongReply::Kind::kInteger || there_already)) {
    (request_->compacts ? has_compacted_ : has_topic_) = true;
  }
  if (parsed->kind != StrongReply::Kind::kInteger) {
    const bool expected = there_already || parsed->text.starts_with("TRYAGAIN") ||
                          parsed->text.starts_with("ERR there is no keyspace");
    if (!expected) violated("a change of keyspaces replied " + reply);
    return;
  }
  if (request_->name.empty()) return;
  tables_.acknowledged(static_cast<std::uint64_t>(parsed->number()), request_->name,
                       request_->prefix);
}

void KeyspaceClient::done() {
  request_.reset();
  rest(kThinkUs);
}

}  // namespace even::sim
