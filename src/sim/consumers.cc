#include "sim/consumers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "consumers/group_record.h"
#include "replica/transaction_coordinator.h"

namespace even::sim {
namespace {

constexpr std::size_t kMembers = 4;
constexpr int kPartitions = 5;
constexpr std::int64_t kCoordinatorTickUs = 20'000;
constexpr std::int64_t kCoordinatorHopUs = 300;
constexpr std::int64_t kSessionUs = 700'000;
constexpr std::int64_t kRebalanceUs = 600'000;
// A generation begins before a coordinator that is cut off notices that.
constexpr std::int64_t kShortRebalanceUs = 120'000;
constexpr std::int64_t kJoinPatienceUs = 2'500'000;
constexpr std::int64_t kAnswerPatienceUs = 500'000;
constexpr std::int64_t kPollUs = 40'000;
constexpr std::int64_t kLookAnewUs = 30'000;
constexpr std::int64_t kAwayUs = 300'000;
constexpr std::int64_t kEndsUs = 3'000'000;
constexpr const char* kGroupName = "g";
const std::string kConsumedKey = "strong:base:consumed";
const std::string kRecordsKey("\0even:members", 13);

std::int64_t integer_of(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

// What a node is to the group, in one run of it.
class Consumers::Host final : public kafka::GroupWorld {
 public:
  Host(Consumers& all, Node& node) : all_(all), node_(node) {}

  // Null: it is down.
  kafka::GroupCoordinator* coordinator() {
    if (!node_.up()) {
      coordinator_.reset();
      return nullptr;
    }
    if (coordinator_ == nullptr || run_ != node_.run_number()) {
      coordinator_ = std::make_unique<kafka::GroupCoordinator>(*this);
      run_ = node_.run_number();
    }
    return coordinator_.get();
  }

  Process& process() { return node_.process; }

  std::vector<PartitionId> partitions() override { return {all_.partition()}; }
  std::optional<consensus::Term> term_led(PartitionId partition) override {
    if (!node_.up() || node_.run_number() != run_) return std::nullopt;
    return node_.hosting(partition).shard().term_led(partition);
  }
  void execute(PartitionId partition, std::vector<std::string> command, Done done) override {
    struct Asked {
      std::vector<std::string> words;
      std::vector<std::string_view> views;
      Done done;
    };
    auto asked = std::make_shared<Asked>(Asked{std::move(command), {}, std::move(done)});
    asked->views.assign(asked->words.begin(), asked->words.end());
    StrongRequest request;
    request.group = partition;
    request.commands.emplace_back(asked->views);
    node_.execute_strong(std::move(request), [this, asked, run = run_](StrongOutcome outcome) {
      // Not in the middle of the node's turn.
      all_.run_.scheduler.after(1, [this, asked, run, outcome = std::move(outcome)] {
        if (!node_.up() || node_.run_number() != run) return;
        node_.process.execute_for_client([asked, outcome] { asked->done(outcome); });
      });
    });
  }
  std::int64_t now_us() override { return all_.run_.scheduler.now_us(); }
  void warn(const std::string& text) override {
    const auto& options = all_.run_.options;
    if (options.damage_every_us == 0 && options.failing_read == 0) violated(text);
  }

 private:
  Consumers& all_;
  Node& node_;
  std::uint64_t run_ = 0;
  std::unique_ptr<kafka::GroupCoordinator> coordinator_;
};

Consumers::Consumers(Run& run, const Nodes& nodes, const StrongGroups& groups, std::uint64_t seed)
    : run_(run),
      nodes_(nodes),
      groups_(groups),
      random_(seed),
      rebalance_us_(random_.chance(0.5) ? kShortRebalanceUs : kRebalanceUs) {}
Consumers::~Consumers() = default;

void Consumers::begin() {
  for (const auto& node : nodes_) hosts_.push_back(std::make_unique<Host>(*this, *node));
  run_.scheduler.after(kCoordinatorTickUs, [this] { tick(); });
  for (std::size_t i = 0; i < kMembers; ++i) {
    run_.scheduler.after(run_.around(kAwayUs), [this, i] { start(i); });
  }
}

bool Consumers::ending() const {
  if (!run_.settling) return false;
  if (!ends_us_) ends_us_ = run_.scheduler.now_us() + kEndsUs;
  return run_.scheduler.now_us() >= *ends_us_;
}

void Consumers::tick() {
  run_.scheduler.after(kCoordinatorTickUs, [this] { tick(); });
  for (const auto& host : hosts_) {
    auto* coordinator = host->coordinator();
    if (coordinator != nullptr && !host->process().stopped()) coordinator->tick();
  }
}

// --- Requests

template <typename Result>
void Consumers::ask(const MemberPointer& member, std::int64_t patience_us,
                    std::function<void(Host&, Group&, Answer<Result>)> request, Result otherwise,
                    std::function<void(std::optional<Result>)> next) {
  if (member->over) return;
  const std::uint64_t attempt = ++member->attempt;
  const auto hop = [this] {
    return 1 + static_cast<std::int64_t>(random_.below(2 * kCoordinatorHopUs));
  };
  const Answer<Result> answer = [this, hop, member, attempt, next](Result result) {
    run_.scheduler.after(hop(), [member, attempt, next, result = std::move(result)] {
      if (member->over || member->attempt != attempt) return;
      ++member->attempt;
      next(result);
    });
  };
  run_.scheduler.after(patience_us, [this, member, attempt, next] {
    if (member->over || member->attempt != attempt) return;
    ++member->attempt;
    // It may just be slow.
    if (random_.chance(0.3)) member->coordinator = any_node();
    next(std::nullopt);
  });
  run_.scheduler.after(hop(), [this, to = member->coordinator, request, otherwise, answer] {
    Host& host = *hosts_[to - 1u];
    if (host.coordinator() == nullptr) return answer(otherwise);
    host.process().execute_for_client([this, &host, request, otherwise, answer] {
      host.coordinator()->with(partition(), kGroupName,
                               [&host, request, otherwise, answer](Group* group) {
                                 if (group == nullptr) return answer(otherwise);
                                 request(host, *group, answer);
                               });
    });
  });
}

void Consumers::refused(const MemberPointer& member, std::optional<Error> error,
                        std::function<void()> again) {
  if (!error || *error == Error::kNotCoordinator || *error == Error::kCoordinatorNotAvailable ||
      *error == Error::kRequestTimedOut) {
    if (error) member->coordinator = any_node();
    run_.scheduler.after(run_.around(kLookAnewUs), [member, again = std::move(again)] {
      if (!member->over) again();
    });
    return;
  }
  if (*error == Error::kFencedInstanceId) return end(member);
  if (*error == Error::kUnknownMemberId) member->id.clear();
  if (*error != Error::kUnknownMemberId && *error != Error::kIllegalGeneration &&
      *error != Error::kRebalanceInProgress) {
    violated(fmt::format("consumer {} is answered with error {}", member->number,
                         static_cast<int>(*error)));
  }
  member->positions.clear();
  join(member);
}

// --- Members

void Consumers::start(std::size_t number) {
  if (ending()) return;
  auto member = std::make_shared<Member>();
  member->number = number;
  if (number % 2 == 1) member->instance = fmt::format("static-{}", number);
  member->coordinator = any_node();
  ++at_work_;
  join(member);
}

void Consumers::end(const MemberPointer& member) {
  if (std::exchange(member->over, true)) return;
  --at_work_;
  run_.scheduler.after(run_.around(kAwayUs), [this, number = member->number] { start(number); });
}

void Consumers::join(const MemberPointer& member) {
  if (ending()) return member->id.empty() ? end(member) : leave(member);
  const std::string new_id = fmt::format("{}-{}", member->number, random_.next());
  numbers_[new_id] = member->number;
  ask<Group::Joined>(
      member, kJoinPatienceUs,
      [this, member, new_id](Host& host, Group& group, const Answer<Group::Joined>& answer) {
        group.join(host.now_us(),
                   {.member_id = member->id,
                    .new_id = new_id,
                    .protocol_type = "consumer",
                    .protocols = {{"range", "topics"}},
                    .session_us = kSessionUs,
                    .rebalance_us = rebalance_us_,
                    .instance = member->instance},
                   answer);
      },
      {.error = Error::kNotCoordinator},
      [this, member](std::optional<Group::Joined> given) {
        if (!given || given->error != Error::kNone) {
          return refused(member, given ? std::optional(given->error) : std::nullopt,
                         [this, member] { join(member); });
        }
        joined(member, *given);
      });
}

void Consumers::joined(const MemberPointer& member, const Group::Joined& given) {
  member->id = given.member_id;
  member->generation = given.generation;
  const auto leader = numbers_.find(given.leader);
  if (leader == numbers_.end()) violated("a member that nobody is leads a generation");
  const auto [known, is_first] = leaders_.emplace(given.generation, leader->second);
  if (!is_first && known->second != leader->second) {
    violated(
        fmt::format("generation {} was begun with consumer {} as its leader, and again with {}",
                    given.generation, known->second, leader->second));
  }
  std::vector<std::pair<std::string, std::string>> assignments;
  for (const auto& [id, metadata] : given.members) assignments.emplace_back(id, "");
  if (!assignments.empty()) {
    const std::size_t first = random_.below(assignments.size());
    for (int i = 0; i < kPartitions; ++i) {
      auto& assignment =
          assignments[(first + static_cast<std::size_t>(i)) % assignments.size()].second;
      assignment += fmt::format("{} ", i);
    }
  }
  // The coordinator may be cut off, or die, while members take their time.
  run_.scheduler.after(run_.around(random_.chance(0.3) ? kAwayUs : kCoordinatorHopUs),
                       [this, member, assignments] {
                         if (!member->over) sync(member, assignments);
                       });
}

void Consumers::sync(const MemberPointer& member,
                     std::vector<std::pair<std::string, std::string>> assignments) {
  ask<Group::Synced>(
      member, kJoinPatienceUs,
      [this, member, assignments](Host& host, Group& group, const Answer<Group::Synced>& answer) {
        const Error fenced = group.fence(member->instance, member->id);
        if (fenced != Error::kNone) return answer({.error = fenced});
        group.sync(host.now_us(), member->id, member->generation, assignments,
                   [this, &host, answer](const Group::Synced& synced) {
                     auto* coordinator = host.coordinator();
                     if (synced.error != Error::kNone || coordinator == nullptr) {
                       return answer(synced);
                     }
                     coordinator->confirm(partition(), [answer, synced](Error error) {
                       answer(error == Error::kNone ? synced : Group::Synced{.error = error});
                     });
                   });
      },
      {.error = Error::kNotCoordinator},
      [this, member, assignments](std::optional<Group::Synced> given) {
        if (!given || given->error != Error::kNone) {
          return refused(member, given ? std::optional(given->error) : std::nullopt,
                         [this, member, assignments] { sync(member, assignments); });
        }
        assigned(member, given->assignment);
      });
}

void Consumers::assigned(const MemberPointer& member, const std::string& assignment) {
  ++run_.outcome.assignments;
  run_.event("consumer {} has {}in generation {}", member->number, assignment, member->generation);
  latest_ = std::max(latest_, member->generation);
  member->positions.clear();
  for (std::size_t at = 0; at < assignment.size(); at = assignment.find(' ', at) + 1) {
    const auto partition = static_cast<int>(integer_of(std::string_view(assignment).substr(at)));
    member->positions[partition] = 0;
    const auto [owner, is_first] =
        owners_.emplace(std::pair{member->generation, partition}, member->number);
    if (!is_first && owner->second != member->number) {
      violated(fmt::format("in generation {} consumers {} and {} have partition {}",
                           member->generation, owner->second, member->number, partition));
    }
  }
  look_at_record(member->generation);
  find_positions(member);
}

// Who was told what it is assigned finds that on a majority.
void Consumers::look_at_record(std::int32_t generation) {
  const auto leader = groups_.leader(partition());
  if (!leader) {
    run_.scheduler.after(kLookAnewUs, [this, generation] { look_at_record(generation); });
    return;
  }
  auto words = std::make_shared<std::vector<std::string>>(
      std::vector<std::string>{"hget", kRecordsKey, kGroupName});
  auto views = std::make_shared<std::vector<std::string_view>>(words->begin(), words->end());
  auto answered = std::make_shared<bool>(false);
  const auto again = [this, answered, generation] {
    if (std::exchange(*answered, true)) return;
    run_.scheduler.after(kLookAnewUs, [this, generation] { look_at_record(generation); });
  };
  run_.scheduler.after(kJoinPatienceUs, again);
  StrongRequest request;
  request.group = partition();
  request.commands.emplace_back(*views);
  nodes_[leader->node - 1u]->execute_strong(
      std::move(request), [this, words, views, answered, again, generation](StrongOutcome outcome) {
        std::optional<std::string> bytes;
        if (outcome.kind != StrongOutcome::Kind::kReply) return again();
        if (std::exchange(*answered, true)) return;
        if (!take_string_reply(outcome.reply, bytes) || !bytes) return;  // all have left since
        const auto record = kafka::GroupRecord::decode(*bytes);
        if (!record) violated("the record of a group cannot be read");
        if (record->generation >= generation) return;
        violated(fmt::format("somebody was assigned partitions in generation {}, and stored is {}",
                             generation, record->generation));
      });
}

// --- Consuming

void Consumers::find_positions(const MemberPointer& member) {
  const std::map<int, std::int64_t> committed = committed_;
  ask<std::optional<std::map<int, std::int64_t>>>(
      member, kAnswerPatienceUs,
      [this](Host& host, Group&, const Answer<std::optional<std::map<int, std::int64_t>>>& answer) {
        host.execute(partition(), {"hgetall", kConsumedKey},
                     [answer](const StrongOutcome& outcome) {
                       if (outcome.kind != StrongOutcome::Kind::kReply) return answer(std::nullopt);
                       std::map<int, std::int64_t> found;
                       const auto words = kafka::strings_of(outcome.reply);
                       for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
                         found[static_cast<int>(integer_of(words[i]))] = integer_of(words[i + 1]);
                       }
                       answer(std::move(found));
                     });
      },
      std::nullopt,
      [this, member,
       committed](const std::optional<std::optional<std::map<int, std::int64_t>>>& given) {
        if (!given || !*given) {
          return refused(member, given ? std::optional(Error::kNotCoordinator) : std::nullopt,
                         [this, member] { find_positions(member); });
        }
        for (const auto& [partition, offset] : committed) {
          const auto found = (*given)->find(partition);
          const std::int64_t there = found == (*given)->end() ? 0 : found->second;
          if (there >= offset) continue;
          violated(fmt::format("of partition {}, {} was committed, and {} is found", partition,
                               offset, there));
        }
        for (auto& [partition, position] : member->positions) {
          const auto found = (*given)->find(partition);
          position = found == (*given)->end() ? 0 : found->second;
        }
        consume(member);
      });
}

void Consumers::consume(const MemberPointer& member) {
  if (ending()) return leave(member);
  if (random_.chance(0.01)) return leave(member);
  if (random_.chance(0.005)) return end(member);
  for (auto& [partition, position] : member->positions) {
    position += static_cast<std::int64_t>(random_.below(3));
  }
  run_.scheduler.after(run_.around(kPollUs), [this, member] {
    if (member->over) return;
    random_.chance(0.5) && !member->positions.empty() ? commit(member) : heartbeat(member);
  });
}

void Consumers::heartbeat(const MemberPointer& member) {
  ask<Error>(
      member, kAnswerPatienceUs,
      [this, member](Host& host, Group& group, const Answer<Error>& answer) {
        Error error = group.fence(member->instance, member->id);
        if (error == Error::kNone) {
          error = group.heartbeat(host.now_us(), member->id, member->generation);
        }
        if (error != Error::kNone) return answer(error);
        host.coordinator()->confirm(partition(), answer);
      },
      Error::kNotCoordinator,
      [this, member, latest = latest_](std::optional<Error> error) {
        if (error != Error::kNone) {
          return refused(member, error, [this, member] { heartbeat(member); });
        }
        if (member->generation < latest) {
          violated(
              fmt::format("consumer {} is told that it is in generation {}, after {} was "
                          "assigned",
                          member->number, member->generation, latest));
        }
        consume(member);
      });
}

void Consumers::commit(const MemberPointer& member) {
  ask<Error>(
      member, kAnswerPatienceUs,
      [this, member, positions = member->positions](Host& host, Group& group,
                                                    const Answer<Error>& answer) {
        Error error = group.fence(member->instance, member->id);
        if (error == Error::kNone) {
          error = group.may_commit(host.now_us(), member->id, member->generation);
        }
        if (error != Error::kNone) return answer(error);
        std::vector<std::string> command = {"hset", kConsumedKey};
        for (const auto& [partition, position] : positions) {
          command.push_back(std::to_string(partition));
          command.push_back(std::to_string(position));
        }
        host.execute(partition(), std::move(command),
                     [answer](const StrongOutcome& outcome) { answer(kafka::error_of(outcome)); });
      },
      Error::kNotCoordinator,
      [this, member, positions = member->positions, latest = latest_](std::optional<Error> error) {
        if (error != Error::kNone) {
          return refused(member, error, [this, member] { commit(member); });
        }
        if (member->generation < latest) {
          violated(fmt::format("consumer {} has committed in generation {}, after {} was assigned",
                               member->number, member->generation, latest));
        }
        for (const auto& [partition, position] : positions) {
          auto& committed = committed_[partition];
          committed = std::max(committed, position);
        }
        consume(member);
      });
}

void Consumers::leave(const MemberPointer& member) {
  ask<Error>(
      member, kAnswerPatienceUs,
      [member](Host& host, Group& group, const Answer<Error>& answer) {
        answer(group.leave(host.now_us(), member->id, member->instance));
      },
      Error::kNotCoordinator, [this, member](std::optional<Error>) { end(member); });
}

// --- In the end

bool Consumers::idle() const {
  if (!ending() || at_work_ > 0) return false;
  const auto leader = groups_.leader(partition());
  if (!leader) return false;
  auto* coordinator = hosts_[leader->node - 1u]->coordinator();
  const Group* known =
      coordinator == nullptr ? nullptr : coordinator->find(partition(), kGroupName);
  return known != nullptr && !known->has_members();
}

void Consumers::check(const char* when) {
  const auto leader = groups_.leader(partition());
  if (!leader) return;
  const PartitionState& state = nodes_[leader->node - 1u]->state(partition());
  const auto field = [&](const std::string& key,
                         const std::string& name) -> std::optional<std::string> {
    const Object* object = state.find(key, hash64(key));
    if (object == nullptr || !object->live()) return std::nullopt;
    const ScalarView found = object->hash().find(name);
    if (!found.live()) return std::nullopt;
    std::string scratch;
    return std::string(found.value(scratch));
  };
  if (field(kRecordsKey, kGroupName)) {
    violated(fmt::format("{}: a group without members has a record of them", when));
  }
  for (const auto& [partition, offset] : committed_) {
    const auto found = field(kConsumedKey, std::to_string(partition));
    if (integer_of(found.value_or("0")) >= offset) continue;
    violated(fmt::format("{}: of partition {}, {} was committed, and {} is there", when, partition,
                         offset, found.value_or("nothing")));
  }
}

}  // namespace even::sim
