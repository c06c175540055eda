#include "sim/strong_clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "sim/scripted.h"

namespace even::sim {
namespace {

constexpr std::int64_t kHopUs = 200;
constexpr std::int64_t kAgainUs = 10'000;  // until a leader may be known
constexpr int kRepetitions = 3;
constexpr std::size_t kBurst = 8;
constexpr double kStrongScripted = 0.2;  // share of the commands that are executed by scripts
// Of requests that wait until a leader that was deposed comes back.
constexpr std::int64_t kPatientUs = 3'000'000;
// Long after any clock.
constexpr std::int64_t kOnceMs = std::int64_t{30} * 24 * 3'600'000;
constexpr std::int64_t kShortOnceMs = 1;
// No request is asked for again for longer: each repetition takes up to twice the patience.
constexpr std::int64_t kDeadlineMs = 2 * kPatientUs / 1000 * (1 + kRepetitions);

}  // namespace

StrongClients::StrongClients(Run& run, const std::vector<std::unique_ptr<Node>>& nodes,
                             const StrongGroups& groups, std::uint64_t seed)
    : run_(run),
      nodes_(nodes),
      groups_(groups),
      random_(seed),
      workload_(groups.groups(), random_),
      at_work_(static_cast<std::size_t>(run.options.strong_clients)),
      clients_(at_work_ + kBurst) {}

void StrongClients::begin() {
  for (std::size_t c = 0; c < clients_.size(); ++c) {
    clients_[c].process = ++processes_;
    if (c < at_work_) run_.scheduler.after(around(2'000), [this, c] { act(c); });
  }
}

void StrongClients::burst(PartitionId group, NodeNumber node) {
  for (std::size_t c = at_work_; c < clients_.size(); ++c) {
    if (clients_[c].request != nullptr || run_.settling) continue;
    StrongOperation operation = workload_.next(group);
    if (!operation.reads()) send(c, std::move(operation), node);
  }
}

bool StrongClients::idle() const {
  return std::ranges::all_of(clients_, [](const Client& client) {
    return client.request == nullptr && client.queue.empty();
  });
}

void StrongClients::read_all() {
  for (std::size_t i = 0; i < groups_.groups().size(); ++i) {
    const std::size_t c = i % clients_.size();
    for (StrongOperation& operation : workload_.reads(groups_.groups()[i])) {
      clients_[c].queue.push_back(std::move(operation));
    }
  }
  for (std::size_t c = 0; c < clients_.size(); ++c) act(c);
}

void StrongClients::check() { history_.check(run_.outcome); }

std::int64_t StrongClients::hop_us() { return around(kHopUs); }

NodeNumber StrongClients::any_replica(PartitionId group) {
  const auto& replicas = groups_.replicas(group);
  return replicas[random_.below(replicas.size())];
}

// It goes on asking a leader that has been deposed, as long as that takes what it is asked.
NodeNumber StrongClients::first_to_ask(const Client& client, PartitionId group) {
  const auto leader = client.leaders.find(group);
  return leader != client.leaders.end() && random_.chance(0.5) ? leader->second
                                                               : any_replica(group);
}

std::int64_t StrongClients::patience_us() {
  return around(random_.chance(run_.options.strong_patient) ? kPatientUs
                                                            : run_.options.strong_patience_us);
}

void StrongClients::act(std::size_t c) {
  Client& client = clients_[c];
  if (client.request != nullptr) return;
  if (!client.queue.empty()) {
    StrongOperation operation = std::move(client.queue.front());
    client.queue.pop_front();
    return send(c, std::move(operation));
  }
  if (!run_.settling) send(c, workload_.next());
}

void StrongClients::send(std::size_t c, StrongOperation operation, NodeNumber node) {
  Client& client = clients_[c];
  const auto request = std::make_shared<Request>();
  request->operation = std::move(operation);
  for (const auto& words : request->operation.commands) {
    request->commands.emplace_back(words.begin(), words.end());
    const Command* command = find_command(Args(request->commands.back()));
    if (command == nullptr || command->scope != Scope::kKeys || !random_.chance(kStrongScripted))
      continue;
    request->scripts.push_back(scripted(*command, request->commands.back()));
    request->commands.back().assign(request->scripts.back().begin(), request->scripts.back().end());
  }
  if (const auto& watched = request->operation.watched) {
    request->watched.assign(watched->begin(), watched->end());
  }
  request->asked = history_.asked(request->operation, client.process, run_.scheduler.now_us());
  const std::uint64_t number = ++client.number;
  client.request = request;
  client.unanswered = 0;
  client.repetitions = request->operation.once.empty() ? 0 : kRepetitions;
  run_.event("strong client {}: {} at group {}, {}", c, number, request->operation.group,
             fmt::join(request->operation.commands.front(), " "));
  ask(c, number, node != 0 ? node : first_to_ask(client, request->operation.group));
  run_.scheduler.after(patience_us(), [this, c, number] { give_up(c, number); });
}

StrongRequest StrongClients::request_of(const Request& request, Client& client) const {
  const StrongOperation& operation = request.operation;
  StrongRequest out;
  out.group = operation.group;
  out.transaction = operation.transaction;
  for (const auto& words : request.commands) out.commands.emplace_back(words);
  if (!request.watched.empty()) {
    out.watched.push_back({Args(request.watched), operation.watched_reply});
  }
  out.once = operation.once;
  if (!out.once.empty()) out.once_ms = once_ms(operation);
  out.read = operation.level;
  out.bound_ms = operation.bound_ms;
  out.after = client.session.index[operation.group];
  return out;
}

// Ids go by the clocks of leaders, which may differ by no more than the margin.
std::int64_t StrongClients::once_ms(const StrongOperation& operation) const {
  const auto& options = run_.options;
  const bool one_time = 2 * options.skew_ms < kOnceMarginMs / 2 &&
                        options.clock_jump_every_us == 0 &&
                        options.strong_patience_us <= kPatientUs;
  if (!operation.soon_forgotten || !one_time) return kept_ms(kOnceMs, kDeadlineMs);
  return kept_ms(kShortOnceMs, kDeadlineMs);
}

void StrongClients::ask(std::size_t c, std::uint64_t number, NodeNumber to) {
  run_.scheduler.after(hop_us(), [this, c, number, to] {
    Client& client = clients_[c];
    if (!is_present(client, number)) return;
    Node& node = *nodes_[to - 1];
    if (!node.up()) return ask_later(c, number);
    ++client.unanswered;
    node.execute_strong(
        request_of(*client.request, client),
        [this, c, number, to, request = client.request](StrongOutcome outcome) {
          const bool written =
              outcome.kind == StrongOutcome::Kind::kReply && !request->operation.reads();
          if (written && on_written) on_written(to);
          run_.scheduler.after(hop_us(), [this, c, number, outcome = std::move(outcome)] {
            answered(c, number, outcome);
          });
        });
  });
}

void StrongClients::ask_later(std::size_t c, std::uint64_t number) {
  run_.scheduler.after(around(kAgainUs), [this, c, number] {
    Client& client = clients_[c];
    if (is_present(client, number)) ask(c, number, any_replica(client.request->operation.group));
  });
}

void StrongClients::answered(std::size_t c, std::uint64_t number, const StrongOutcome& outcome) {
  Client& client = clients_[c];
  if (!is_present(client, number)) return;
  const std::shared_ptr<Request> request = client.request;
  const StrongOperation& operation = request->operation;
  switch (outcome.kind) {
    case StrongOutcome::Kind::kReply: {
      run_.event("strong client {}: {} replied {:016x} at {}", c, number, hash64(outcome.reply),
                 outcome.index);
      ++run_.outcome.strong_replies;
      client.request.reset();
      const auto held = history_.replied(operation, request->asked, outcome.reply, outcome.index,
                                         client.session, run_.scheduler.now_us());
      if (held) workload_.seen(operation.key, *held);
      return rest(c);
    }
    case StrongOutcome::Kind::kElsewhere:
      --client.unanswered;
      if (outcome.leader == 0 || random_.chance(0.05)) return ask_later(c, number);
      client.leaders[operation.group] = outcome.leader;
      return ask(c, number, outcome.leader);
    case StrongOutcome::Kind::kRefused: {
      --client.unanswered;
      const bool repeatable = operation.reads() || !operation.once.empty();
      const bool unknown = !operation.reads() && client.unanswered > 0;
      if (operation.reads() || next_of(outcome.kind, unknown, repeatable) == StrongNext::kAgain) {
        return ask_later(c, number);
      }
      run_.event("strong client {}: {} is refused: {}", c, number, outcome.reply);
      history_.refused(operation, request->asked);
      client.request.reset();
      return rest(c);
    }
    case StrongOutcome::Kind::kStale:
      --client.unanswered;
      return lose(c);
    case StrongOutcome::Kind::kUnknown:
      run_.event("strong client {}: {} has an unknown outcome", c, number);
      if (client.repetitions == 0) return lose(c);
      --client.repetitions;
      return ask_later(c, number);
  }
}

void StrongClients::give_up(std::size_t c, std::uint64_t number) {
  Client& client = clients_[c];
  if (!is_present(client, number)) return;
  // Reading twice does no harm, and in the end there has to be an answer at last: see World.
  const bool insists = run_.settling && client.request->operation.reads();
  if (insists || client.repetitions > 0) {
    if (!insists) --client.repetitions;
    ask_later(c, number);
    run_.scheduler.after(patience_us(), [this, c, number] { give_up(c, number); });
    return;
  }
  run_.event("strong client {}: {} is given up", c, number);
  lose(c);
}

// If it has been proposed, it may still be executed at any time.
void StrongClients::lose(std::size_t c) {
  Client& client = clients_[c];
  if (client.unanswered == 0) {
    history_.refused(client.request->operation, client.request->asked);
  } else {
    client.process = ++processes_;
  }
  client.request.reset();
  rest(c);
}

void StrongClients::rest(std::size_t c) {
  const bool waits = clients_[c].queue.empty();
  if (waits && c >= at_work_) return;
  run_.scheduler.after(waits ? around(run_.options.strong_think_us) : 1, [this, c] { act(c); });
}

}  // namespace even::sim
