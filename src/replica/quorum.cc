#include "replica/quorum.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/mutant.h"

namespace even {
namespace {

// A question is asked again as long as it waits; it is forgotten when that does not happen.
constexpr std::int64_t kAskAgainUs = 2'000'000;
constexpr std::int64_t kAskedPatienceUs = 5'000'000;
// Who has not answered by then counts as away, where others may stand in.
constexpr std::int64_t kSilentUs = 500'000;
// How much later than it was asked for it may be too late.
constexpr std::int64_t kSameDeadlineUs = 10'000;
// Of one node, that wait; the oldest go.
constexpr std::ptrdiff_t kMostAsked = 4'096;

bool holds(const Partition& partition, NodeNumber node) {
  return std::ranges::find(partition.replicas, node) != partition.replicas.end();
}

}  // namespace

Quorum::Quorum(ShardCore& core, Transport& transport, Hints& hints, const HintStore& held,
               std::function<LogPosition()> released)
    : core_(core),
      transport_(transport),
      hints_(hints),
      held_(held),
      released_(std::move(released)),
      next_(core.random.next()) {}

// --- Questions of this node

void Quorum::await_seen(Reach reach, std::size_t count, const QuorumWait& wait, Done done) {
  Call call;
  call.reach = std::move(reach);
  call.count = count;
  call.wait = wait;
  call.done = std::move(done);
  begin(std::move(call));
}

void Quorum::await_written(std::span<const PartitionId> partitions, std::size_t count,
                           std::int64_t deadline_us, Done done, bool sloppy) {
  Written written{.partitions = {partitions.begin(), partitions.end()},
                  .count = count,
                  .sloppy = sloppy,
                  .deadline = deadline_us / kSameDeadlineUs + 1};
  written_[std::move(written)].push_back(std::move(done));
}

void Quorum::ask_of_written() {
  if (written_.empty()) return;
  for (auto& [written, done] : std::exchange(written_, {})) {
    PartitionReach reach;
    for (const PartitionId id : written.partitions) reach.emplace_back(id, core_.made_of(id));
    await_seen(std::move(reach), written.count,
               {.deadline_us = written.deadline * kSameDeadlineUs, .sloppy = written.sloppy},
               [done = std::move(done)](std::size_t answered) {
                 for (const Done& each : done) each(answered);
               });
  }
}

void Quorum::catch_up(const std::vector<PartitionId>& partitions, std::size_t count,
                      std::int64_t deadline_us, Done done, bool sloppy) {
  Call call;
  for (const PartitionId id : partitions) call.reach.emplace_back(id, VersionVector());
  call.count = count;
  call.learns = true;
  call.wait.sloppy = sloppy;
  call.wait.deadline_us = deadline_us;
  call.done = std::move(done);
  begin(std::move(call));
}

bool Quorum::has_seen(const PartitionReach& reach) const {
  return std::ranges::all_of(reach, [this](const auto& wanted) {
    const Partition& partition = core_.at(wanted.first);
    return partition.replayed && !partition.damaged() &&
           partition.state.vector().covers(wanted.second);
  });
}

void Quorum::await_here(Reach reach, std::int64_t deadline_us, Done done) {
  Call call;
  call.reach = std::move(reach);
  call.here = true;
  call.wait.deadline_us = deadline_us;
  call.done = std::move(done);
  begin(std::move(call));
}

bool Quorum::is_fresh(std::span<const PartitionId> partitions, std::int64_t since_us) const {
  return std::ranges::all_of(partitions, [&](PartitionId id) {
    const Partition& partition = core_.at(id);
    if (!partition.replayed || partition.damaged()) return false;
    if (partition.replicas.size() == 1) return true;
    const auto fresh = fresh_us_.find(id);
    return fresh != fresh_us_.end() && fresh->second >= since_us;
  });
}

void Quorum::freshen(const std::vector<PartitionId>& partitions, std::int64_t deadline_us,
                     Done done) {
  Call call;
  for (const PartitionId id : partitions) {
    call.reach.emplace_back(id, VersionVector());
    call.count = std::max(call.count, core_.at(id).replicas.size() - 1);
  }
  if (EVEN_MUTANT(kFreshUnheard) && call.count > 0) --call.count;
  call.learns = call.freshens = true;
  call.wait.deadline_us = deadline_us;
  call.done = std::move(done);
  begin(std::move(call));
}

void Quorum::complete(const std::vector<PartitionId>& partitions, std::int64_t deadline_us,
                      Done done) {
  Call call;
  for (const PartitionId id : partitions) call.reach.emplace_back(id, VersionVector());
  call.count = 1;  // see count_fewest()
  call.learns = call.completes = true;
  call.wait.deadline_us = deadline_us;
  call.done = std::move(done);
  begin(std::move(call));
}

bool Quorum::is_whole(const Call& call, PartitionId partition) const {
  bool all = true;
  bool any = false;
  for (const NodeNumber node : core_.at(partition).replicas) {
    if (node == core_.options.node) continue;
    const auto asked = call.asked.find(node);
    all = all && asked != call.asked.end() && asked->second;
    any = any || call.complete.contains({partition, node});
  }
  return all || any;
}

void Quorum::note_complete(const Call& call) {
  for (const auto& [id, heard] : call.reach) {
    Partition& partition = core_.at(id);
    partition.complete = partition.complete || (is_whole(call, id) && has_seen({{id, heard}}));
  }
}

void Quorum::note_fresh(const Call& call) {
  const std::int64_t since_us =
      EVEN_MUTANT(kFreshWhenAnswered) ? core_.clock.monotonic_us() : call.begun_us;
  for (const auto& [partition, vector] : call.reach) {
    std::int64_t& fresh_us = fresh_us_[partition];
    fresh_us = std::max(fresh_us, since_us);
  }
}

void Quorum::begin(Call call) {
  const std::uint64_t id = next_++;
  Call& begun = calls_.emplace(id, std::move(call)).first->second;
  begun.begun_us = begun.asked_us = core_.clock.monotonic_us();
  if (begun.here) return hurry(begun);
  if (fewest(begun) >= begun.count) return;  // by what is known
  if (!begun.learns) {
    for (const auto& [partition, vector] : begun.reach) core_.send_held(partition);
  }
  ask_all(id, begun);
  stand_in(id, begun);
}

void Quorum::stand_in(std::uint64_t id, Call& call) {
  if (!call.wait.sloppy) return;
  const bool silent = core_.clock.monotonic_us() - call.begun_us >= kSilentUs;
  for (const auto& [partition, vector] : call.reach) {
    const std::vector<NodeNumber>& replicas = core_.at(partition).replicas;
    const auto counts = [&](NodeNumber node) {
      if (!silent) return known_.contains(node);
      const auto asked = call.asked.find(node);
      return asked != call.asked.end() && asked->second;
    };
    std::size_t count = static_cast<std::size_t>(std::ranges::count_if(replicas, counts));
    count += static_cast<std::size_t>(std::ranges::count(
        call.stand_ins, partition, [](const Call::StandIn& other) { return other.partition; }));
    if (count >= call.count || (!call.learns && !hints_.can_give(partition, vector))) continue;
    for (const NodeNumber node : hints_.fallbacks(partition)) {
      if (count == call.count) break;
      if (std::ranges::any_of(call.stand_ins, [&, about = partition](const auto& other) {
            return other.partition == about && other.node == node;
          })) {
        continue;
      }
      ++count;
      const std::uint64_t question = next_++;
      stand_ins_[question] = id;
      call.stand_ins.push_back({partition, node, question});
      ask_stand_in(call, call.stand_ins.back());
    }
  }
}

void Quorum::ask_stand_in(const Call& call, const Call::StandIn& other, bool again) {
  const auto about =
      std::ranges::find(call.reach, other.partition, [](const auto& each) { return each.first; });
  if (!call.learns) hints_.give(other.node, other.partition);
  transport_.send(other.node,
                  encode_ask({other.id,
                              call.wait.synced,
                              call.learns,
                              again,
                              {{other.partition, call.learns ? VersionVector() : about->second}}}));
}

Result<> Quorum::receive_stand_in(NodeNumber node, const AnswerMessage& message) {
  const auto question = stand_ins_.find(message.id);
  if (question == stand_ins_.end()) return {};
  Call& call = calls_.at(question->second);
  const auto other = std::ranges::find(call.stand_ins, message.id, &Call::StandIn::id);
  if (other->node != node || other->answered) return {};
  const auto about =
      std::ranges::find(call.reach, other->partition, [](const auto& each) { return each.first; });
  // The log may have lost it since it was asked: then it is in what the fallback was told owners
  // have, and not in what that keeps.
  if (!call.learns && !hints_.can_give(other->partition, about->second)) return {};
  if (call.learns) {
    if (message.seen.size() != 1 || message.seen.front().first != other->partition) {
      return fail("an answer about a partition that was not asked about");
    }
    for (auto& [partition, vector] : call.reach) {
      if (partition == other->partition) vector.merge(message.seen.front().second);
    }
  }
  other->answered = true;
  ++heard_;
  if (core_.options.hint_counted && !call.learns) {
    core_.options.hint_counted(other->partition, node, about->second);
  }
  return {};
}

// Those that have no room, or have gone, before they have answered.
template <typename Which>
void Quorum::drop_stand_ins(Call& call, Which which) {
  std::erase_if(call.stand_ins, [&](const Call::StandIn& other) {
    if (other.answered || !which(other)) return false;
    stand_ins_.erase(other.id);
    return true;
  });
}

void Quorum::stand_in_anew(std::uint64_t id, Call& call) {
  drop_stand_ins(call, [this](const Call::StandIn& other) { return !hints_.takes(other.node); });
  stand_in(id, call);
}

Quorum::Calls::iterator Quorum::erase(Calls::iterator call) {
  for (const Call::StandIn& other : call->second.stand_ins) stand_ins_.erase(other.id);
  return calls_.erase(call);
}

void Quorum::ask_all(std::uint64_t id, Call& call) {
  for (const auto& [node, known] : known_) {
    if (!call.asked.contains(node)) ask(id, call, node);
  }
}

bool Quorum::knows(NodeNumber node, PartitionId partition, const VersionVector& vector) const {
  const auto known = known_.find(node);
  if (known == known_.end()) return false;
  const auto said = known->second.find(partition);
  return said != known->second.end() && said->second.covers(vector);
}

void Quorum::ask(std::uint64_t id, Call& call, NodeNumber node, bool again) {
  AskMessage message{id, call.wait.synced, call.learns, again, {}};
  for (const auto& [partition, vector] : call.reach) {
    if (!holds(core_.at(partition), node)) continue;
    message.reach.emplace_back(partition, call.learns ? VersionVector() : vector);
  }
  if (message.reach.empty()) return;
  call.asked[node] = false;
  transport_.send(node, encode_ask(message));
}

void Quorum::hurry(const Call& call) {
  if (!core_.keyspaces->any_delayed()) return;
  absl::btree_map<NodeNumber, PartitionReach> makers;
  for (const auto& [partition, vector] : call.reach) {
    const VersionVector& seen = core_.at(partition).state.vector();
    for (const VersionVector::Entry& entry : vector.entries()) {
      const NodeNumber maker = entry.replica.node();
      if (seen.covers_entry(entry) || !known_.contains(maker)) continue;
      PartitionReach& about = makers[maker];
      if (about.empty() || about.back().first != partition) {
        about.emplace_back(partition, VersionVector());
      }
    }
  }
  // Of their answers nothing is to be learnt.
  for (auto& [maker, reach] : makers) {
    transport_.send(maker, encode_ask({next_++, false, false, false, std::move(reach)}));
  }
}

std::size_t Quorum::fewest(Call& call) const {
  if (std::exchange(call.heard, heard_) != heard_) call.fewest = count_fewest(call);
  return call.fewest;
}

std::size_t Quorum::count_fewest(const Call& call) const {
  std::size_t least = SIZE_MAX;
  for (const auto& [partition, vector] : call.reach) {
    const auto counts = [&, id = partition, &reach = vector](NodeNumber node) {
      const auto asked = call.asked.find(node);
      if (asked != call.asked.end() && asked->second) return true;
      // What it has said before may do: that holds as long as the link does.
      return !call.learns && !call.wait.synced && knows(node, id, reach);
    };
    const std::vector<NodeNumber>& replicas = core_.at(partition).replicas;
    auto count = static_cast<std::size_t>(std::ranges::count_if(replicas, counts));
    count += static_cast<std::size_t>(
        std::ranges::count_if(call.stand_ins, [id = partition](const Call::StandIn& other) {
          return other.partition == id && other.answered;
        }));
    if (call.completes) count = is_whole(call, partition) ? 1 : 0;
    if (EVEN_MUTANT(kAnswersCountTwice)) count *= 2;
    least = std::min(least, count);
  }
  return least == SIZE_MAX ? call.count : least;
}

bool Quorum::has(const Call& call) const {
  if (call.here) return has_seen(call.reach) || EVEN_MUTANT(kSessionIgnored);
  if (!call.learns) {
    const LogPosition position = call.wait.synced_here ? core_.log.durable() : released_();
    return (call.position && position >= *call.position) || EVEN_MUTANT(kAnswersUnreleased);
  }
  return has_seen(call.reach) || EVEN_MUTANT(kQuorumReadBehind);
}

Result<> Quorum::receive(NodeNumber node, const AnswerMessage& message) {
  const auto found = calls_.find(message.id);
  // It has been answered by others, or too late, or is a question to who stands in.
  if (found == calls_.end()) return receive_stand_in(node, message);
  Call& call = found->second;
  const auto asked = call.asked.find(node);
  if (asked == call.asked.end() || asked->second) return {};
  auto& known = known_[node];
  if (call.learns) {
    for (const auto& [partition, vector] : message.seen) {
      const auto at = std::ranges::lower_bound(call.reach, partition, {},
                                               [](const auto& each) { return each.first; });
      if (at == call.reach.end() || at->first != partition) {
        return fail("an answer about a partition that was not asked about");
      }
      at->second.merge(vector);
      known[partition].merge(vector);
    }
  } else {
    for (const auto& [partition, vector] : call.reach) {
      if (holds(core_.at(partition), node)) known[partition].merge(vector);
    }
  }
  asked->second = true;
  for (const PartitionId partition : message.complete) call.complete.emplace(partition, node);
  ++heard_;
  return {};
}

// --- Questions of other nodes

Result<> Quorum::receive(NodeNumber node, AskMessage message) {
  for (const auto& [partition, vector] : message.reach) {
    // Of others' partitions there may be hints.
    if (core_.is_strong(partition)) {
      return fail(fmt::format("a question about partition {}, which is not eventual", partition));
    }
  }
  const auto of_node = [node](const Asked& asked) { return asked.node == node; };
  if (message.again) {
    std::erase_if(asked_, [&](const Asked& asked) {
      return of_node(asked) && asked.message.id == message.id;
    });
  }
  if (std::ranges::count_if(asked_, of_node) >= kMostAsked) {
    asked_.erase(std::ranges::find_if(asked_, of_node));
  }
  asked_.push_back({.node = node,
                    .message = std::move(message),
                    .answer = {},
                    .until_us = core_.clock.monotonic_us() + kAskedPatienceUs});
  return {};
}

bool Quorum::look(Asked& asked) {
  const auto is_seen = [&](const auto& wanted) {
    const Partition* partition = core_.find(wanted.first);
    if (partition == nullptr) return held_.keeps_for(asked.node, wanted.first, wanted.second);
    if (!partition->replayed || partition->damaged()) return false;
    return partition->state.vector().covers(wanted.second) || EVEN_MUTANT(kAnswersUnseen);
  };
  if (!std::ranges::all_of(asked.message.reach, is_seen)) return false;
  // Who hears of what this node has seen, or lacks what it has made, waits for it.
  for (const auto& [partition, vector] : asked.message.reach) {
    if (asked.message.learns || vector.empty()) core_.send_held(partition);
  }
  if (asked.message.learns) {
    for (const auto& [partition, vector] : asked.message.reach) {
      const Partition* own = core_.find(partition);
      asked.answer.seen.emplace_back(
          partition, own != nullptr ? own->state.vector() : held_.records(partition));
    }
    for (const auto& [partition, vector] : asked.message.reach) {
      const Partition* own = core_.find(partition);
      if (own != nullptr && own->complete) asked.answer.complete.push_back(partition);
    }
  }
  asked.answer.id = asked.message.id;
  asked.seen = true;
  asked.position = core_.log.barrier();
  if (EVEN_MUTANT(kHintUnsynced) && core_.find(asked.message.reach.front().first) == nullptr) {
    asked.position = 0;
  }
  return true;
}

// --- Turns

void Quorum::end_turn() {
  if (!asked_.empty() && !core_.log.error()) {
    std::erase_if(asked_, [this](Asked& asked) {
      if (!asked.seen && !look(asked)) return false;
      const LogPosition position = asked.message.synced ? core_.log.durable() : released_();
      if (position < asked.position && !EVEN_MUTANT(kAnswersUnreleased)) {
        if (asked.message.synced) core_.log.sync();
        return false;
      }
      transport_.send(asked.node, encode_answer(asked.answer));
      return true;
    });
  }
  if (calls_.empty()) return;
  std::vector<std::pair<Done, std::size_t>> ready;
  for (auto at = calls_.begin(); at != calls_.end();) {
    Call& call = at->second;
    if (!call.position && !call.here && !core_.log.error()) {
      call.position = core_.log.barrier();
    }
    if (call.wait.synced_here && call.position && core_.log.durable() < *call.position) {
      core_.log.sync();
    }
    if (call.completes && (call.heard != heard_ || ticked_)) note_complete(call);
    if (!is_done(at->second)) {
      ++at;
      continue;
    }
    if (call.freshens) note_fresh(call);
    ready.emplace_back(std::move(call.done), call.here ? 1 : fewest(call));
    at = erase(at);
  }
  ticked_ = false;
  for (auto& [done, count] : ready) done(count);
}

void Quorum::tick() {
  ticked_ = true;
  const std::int64_t now_us = core_.clock.monotonic_us();
  std::erase_if(asked_, [now_us](const Asked& asked) { return asked.until_us <= now_us; });
  std::vector<std::pair<Done, std::size_t>> late;
  for (auto at = calls_.begin(); at != calls_.end();) {
    Call& call = at->second;
    if (call.wait.asker && call.wait.asker->expired()) {
      at = erase(at);
      continue;
    }
    if (call.wait.deadline_us > now_us) {
      if (call.wait.sloppy && fewest(call) < call.count) stand_in_anew(at->first, call);
      if (now_us - call.asked_us >= kAskAgainUs) {
        call.asked_us = now_us;
        if (call.here) hurry(call);
        for (auto& [node, answered] : call.asked) {
          if (!answered) ask(at->first, call, node, true);
        }
        for (const Call::StandIn& other : call.stand_ins) {
          if (!other.answered) ask_stand_in(call, other, true);
        }
      }
      ++at;
      continue;
    }
    // What has been heard of and not come is not there, nor is what this node's log does not have.
    std::size_t count = call.here ? 0 : fewest(call);
    if (call.count > 0 && !call.wait.synced_here && !has(call)) {
      count = std::min(count, call.count - 1);
    }
    late.emplace_back(std::move(call.done), count);
    at = erase(at);
  }
  for (auto& [done, count] : late) done(count);
}

// --- Links

void Quorum::link_up(NodeNumber node) {
  known_[node];
  ++heard_;
  for (auto& [id, call] : calls_) {
    if (fewest(call) < call.count) {
      ask_all(id, call);
      stand_in(id, call);
    }
  }
}

// Who comes back may have lost what it had, unless that was durable.
void Quorum::link_down(NodeNumber node) {
  known_.erase(node);
  ++heard_;
  for (auto& [id, call] : calls_) {
    if (const auto asked = call.asked.find(node); asked != call.asked.end() && !asked->second) {
      call.asked.erase(asked);
    }
    drop_stand_ins(call, [node](const Call::StandIn& other) { return other.node == node; });
    if (fewest(call) < call.count) {
      ask_all(id, call);
      stand_in(id, call);
    }
  }
  std::erase_if(asked_, [node](const Asked& asked) { return asked.node == node; });
}

}  // namespace even
