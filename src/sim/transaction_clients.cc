#include "sim/transaction_clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "topic/record_batch.h"
#include "topic/test_batch.h"

namespace even::sim {
namespace {

constexpr std::size_t kIds = 3;
constexpr std::size_t kHosts = 2;
constexpr std::int64_t kHostTickUs = 20'000;
constexpr std::int64_t kAskPatienceUs = 600'000;
constexpr std::int64_t kStepPatienceUs = 3'000'000;
constexpr std::int64_t kStepAgainUs = 30'000;
constexpr std::int64_t kTransactionHopUs = 200;
constexpr std::int64_t kNoLeaderUs = 10'000;
constexpr std::int32_t kTimeoutMs = 3'000;
constexpr std::int64_t kGoesOnUs = 4'000'000;
constexpr std::int64_t kLateUs = 200'000;
constexpr std::int64_t kVeryLateUs = 800'000;
constexpr std::string_view kOffsetField = "events/0";

std::string row_key(std::string_view id) {
  return std::string("strong:base:transaction:").append(id);
}
std::string offsets_key(std::string_view group) {
  return std::string("strong:base:offsets:").append(group);
}

std::string transaction_of(const std::string& value) { return value.substr(0, value.find(':')); }

// Of the producer of a transaction.
std::int16_t epoch_of(const std::string& transaction) {
  return static_cast<std::int16_t>(std::stoi(transaction.substr(transaction.find('.') + 1)));
}

// Of batches as topic::test::make_batch() makes them.
std::vector<std::string> values_of(std::string_view batch) {
  std::vector<std::string> values;
  std::string_view records = batch.substr(topic::kBatchHeadBytes);
  const auto number = [&records] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(records.front());
      records.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
  };
  while (!records.empty()) {
    number();                  // bytes
    records.remove_prefix(1);  // attributes
    number();                  // time
    number();                  // offset
    records.remove_prefix(static_cast<std::size_t>(std::max<std::int64_t>(number(), 0)));  // key
    const auto size = static_cast<std::size_t>(number());
    values.emplace_back(records.substr(0, size));
    records.remove_prefix(size + 1);  // no headers
  }
  return values;
}

}  // namespace

// A coordinator as it runs somewhere: what it asks goes on when it has ended.
class TransactionClients::Host final : public TransactionWorld {
 public:
  explicit Host(TransactionClients& all) : all_(all) { begin_anew(); }
  void begin_anew() { coordinator_ = std::make_unique<TransactionCoordinator>(*this); }
  TransactionCoordinator& coordinator() { return *coordinator_; }
  void tick() {
    // Any of them may take it that it leads.
    coordinator_->lead(all_.groups_.groups().front(), term_);
    coordinator_->tick();
  }
  void lead_anew() { ++term_; }

  void ask(Request request, std::move_only_function<void(std::string)> done) override {
    // Some are lost.
    if (all_.random_.chance(request.watched.empty() ? 0.03 : 0.15)) {
      auto lost = std::make_shared<std::move_only_function<void(std::string)>>(std::move(done));
      all_.run_.scheduler.after(all_.run_.around(kLateUs), [lost] { (*lost)("-UNCERTAIN\r\n"); });
      return;
    }
    // A marker may be under way for long, and another one with the same content be told before.
    if (request.commands[0][0] == kAppendCommand && all_.random_.chance(0.5)) {
      const std::int64_t late_us = all_.random_.chance(0.5) ? kLateUs : kVeryLateUs;
      all_.run_.scheduler.after(all_.run_.around(late_us), [this, again = request] {
        all_.ask(again, [](const std::string&) {});
      });
    }
    all_.ask(std::move(request), std::move(done));
  }
  std::int64_t now_ms() override { return all_.run_.scheduler.now_us() / 1'000; }
  void take_producer_id(std::move_only_function<void(std::optional<std::int64_t>)> done) override {
    done(all_.next_producer_++);
  }
  std::optional<GroupKey> row_of(std::string_view id) override {
    return GroupKey{all_.groups_.groups().front(), row_key(id)};
  }
  std::optional<GroupKey> offsets_of(std::string_view group) override {
    return GroupKey{all_.groups_.groups().back(), offsets_key(group)};
  }
  bool is_dropped(PartitionId) override { return false; }

 private:
  TransactionClients& all_;
  std::unique_ptr<TransactionCoordinator> coordinator_;
  consensus::Term term_ = 1;
};

// A request that follows a group's leader until somebody has an answer, or for too long.
struct TransactionClients::Asked {
  TransactionWorld::Request request;
  std::vector<std::vector<std::string_view>> views;
  std::vector<std::string_view> watched;
  std::int64_t until_us = 0;
  std::move_only_function<void(std::string)> done;
};

TransactionClients::TransactionClients(Run& run, const Nodes& nodes, const KeyspaceTables& tables,
                                       const StrongGroups& groups, std::uint64_t seed)
    : run_(run), nodes_(nodes), tables_(tables), groups_(groups), random_(seed) {}
TransactionClients::~TransactionClients() = default;

void TransactionClients::begin() {
  for (std::size_t i = 0; i < kHosts; ++i) hosts_.push_back(std::make_unique<Host>(*this));
  latest_.resize(kIds);
  for (std::size_t id = 0; id < kIds; ++id) {
    run_.scheduler.after(run_.around(10 * run_.options.topic_every_us), [this, id] { start(id); });
  }
  run_.scheduler.after(kHostTickUs, [this] { tick(); });
  run_.scheduler.after(run_.around(50 * run_.options.topic_every_us), [this] { disturb(); });
  run_.scheduler.after(run_.around(10 * run_.options.topic_every_us), [this] { look(); });
}

// Without faults of nodes more of them come to an end.
bool TransactionClients::ending() const {
  if (!run_.settling) return false;
  if (!ends_us_) ends_us_ = run_.scheduler.now_us() + kGoesOnUs;
  return run_.scheduler.now_us() >= *ends_us_;
}

void TransactionClients::tick() {
  run_.scheduler.after(kHostTickUs, [this] { tick(); });
  if (!tables_.topic()) return;
  for (const auto& host : hosts_) host->tick();
}

// A coordinator dies, or comes to lead again.
void TransactionClients::disturb() {
  if (ending()) return;
  run_.scheduler.after(run_.around(50 * run_.options.topic_every_us), [this] { disturb(); });
  Host& host = *hosts_[random_.below(hosts_.size())];
  if (random_.chance(0.5)) host.begin_anew();
  host.lead_anew();
}

// --- Requests

void TransactionClients::ask(TransactionWorld::Request request,
                             std::move_only_function<void(std::string)> done) {
  auto asked = std::make_shared<Asked>();
  asked->request = std::move(request);
  for (const auto& words : asked->request.commands) {
    asked->views.emplace_back(words.begin(), words.end());
  }
  asked->watched.assign(asked->request.watched.begin(), asked->request.watched.end());
  asked->until_us = run_.scheduler.now_us() + kAskPatienceUs;
  asked->done = std::move(done);
  // The node may be gone before it has answered.
  run_.scheduler.after(2 * kAskPatienceUs, [this, asked] { finish(asked, "-UNCERTAIN\r\n"); });
  send(std::move(asked), any_node());
}

void TransactionClients::send(std::shared_ptr<Asked> asked, NodeNumber to) {
  run_.scheduler.after(
      1 + static_cast<std::int64_t>(random_.below(2 * kTransactionHopUs)),
      [this, asked = std::move(asked), to] {
        if (!asked->done) return;
        if (run_.scheduler.now_us() > asked->until_us) return finish(asked, "-UNAVAILABLE\r\n");
        Node& node = *nodes_[to - 1u];
        if (!node.up()) return send_again(asked);
        StrongRequest request;
        request.group = asked->request.group;
        request.transaction = asked->views.size() > 1 || !asked->watched.empty();
        for (const auto& words : asked->views) request.commands.emplace_back(words);
        if (!asked->watched.empty()) {
          request.watched.push_back({asked->watched, asked->request.watched_reply});
        }
        node.execute_strong(std::move(request), [this, asked](const StrongOutcome& outcome) {
          using Kind = StrongOutcome::Kind;
          if (outcome.kind == Kind::kReply) return finish(asked, outcome.reply);
          if (outcome.kind == Kind::kUnknown) return finish(asked, "-UNCERTAIN\r\n");
          if (outcome.leader == 0) return send_again(asked);
          send(asked, outcome.leader);
        });
      });
}

void TransactionClients::send_again(std::shared_ptr<Asked> asked) {
  run_.scheduler.after(1 + static_cast<std::int64_t>(random_.below(2 * kNoLeaderUs)),
                       [this, asked = std::move(asked)] { send(asked, any_node()); });
}

// An answer may be late: what it says holds nevertheless.
void TransactionClients::finish(const std::shared_ptr<Asked>& asked, std::string reply) {
  if (!asked->done) return;
  auto done = std::make_shared<std::move_only_function<void(std::string)>>(std::move(asked->done));
  asked->done = nullptr;
  // Not in the middle of the node's turn.
  run_.scheduler.after(1 + static_cast<std::int64_t>(random_.below(2 * kTransactionHopUs)),
                       [done, reply = std::move(reply)] { (*done)(reply); });
}

// --- Producers

void TransactionClients::attempt(const InstancePointer& instance, Step step,
                                 std::function<void(Error)> next) {
  struct Trying {
    bool answered = false;
  };
  auto trying = std::make_shared<Trying>();
  const auto again = [this, instance, step, next] {
    run_.scheduler.after(run_.around(kStepAgainUs),
                         [this, instance, step, next] { attempt(instance, step, next); });
  };
  if (ending() || instance->over) return give_up(instance);
  // The coordinator may end meanwhile.
  run_.scheduler.after(kStepPatienceUs, [trying, again] {
    if (!std::exchange(trying->answered, true)) again();
  });
  Host& host = *hosts_[random_.below(hosts_.size())];
  step(host.coordinator(), [this, trying, again, next](Error error) {
    if (std::exchange(trying->answered, true)) return;
    if (error == Error::kUnavailable || error == Error::kConcurrent) return again();
    run_.scheduler.after(1, [next, error] { next(error); });
  });
}

void TransactionClients::give_up(const InstancePointer& instance) {
  if (std::exchange(instance->over, true)) return;
  --at_work_;
  if (ending() || latest_[instance->id] != instance) return;
  const std::int64_t pause_us = random_.chance(0.5) ? kHostTickUs : run_.options.topic_every_us;
  run_.scheduler.after(run_.around(pause_us), [this, id = instance->id] { start(id); });
}

void TransactionClients::start(std::size_t id) {
  if (ending()) return;
  if (!tables_.topic()) {
    run_.scheduler.after(run_.around(100'000), [this, id] { start(id); });
    return;
  }
  auto instance = std::make_shared<Instance>();
  instance->id = id;
  latest_[id] = instance;
  ++at_work_;
  // The answer that counts is the last one: each gives a later epoch.
  auto given = std::make_shared<topic::Producer>();
  attempt(
      instance,
      [this, id, given](TransactionCoordinator& coordinator,
                        std::move_only_function<void(Error)> done) {
        coordinator.give_id(
            id_of(id), kTimeoutMs, std::nullopt,
            [given, done = std::move(done)](Error error, topic::Producer producer) mutable {
              if (error == Error::kNone && producer.epoch >= given->epoch) {
                *given = producer;
              }
              done(error);
            });
      },
      [this, instance, given](Error error) {
        if (error != Error::kNone) return give_up(instance);
        instance->producer = *given;
        run_.event("transactions of {}: one has epoch {}", instance->id, given->epoch);
        // Not the order in which they have asked counts.
        auto& all = told_epoch_[instance->id];
        for (const InstancePointer& other : all) {
          const bool is_former = other->producer.epoch < given->epoch;
          (is_former ? other : instance)->shut_out = true;
        }
        all.push_back(instance);
        note_offsets(instance);
        begin_transaction(instance);
      });
}

// Whoever has his epoch finds the offsets of the last transaction before him that is committed.
void TransactionClients::note_offsets(const InstancePointer& instance) {
  ask({.group = groups_.groups().back(),
       .commands = {{"hget", offsets_key(id_of(instance->id)), std::string(kOffsetField)}},
       .watched = {},
       .watched_reply = {}},
      [this, instance](const std::string& reply) {
        // His own may be there by the time at which he is answered.
        if (instance->transactions > 1 || !reply.starts_with('$')) return;
        const std::size_t end = reply.find("\r\n");
        const bool none = reply.starts_with("$-1");
        const std::string found = none ? "" : reply.substr(end + 2, reply.size() - end - 4);
        const bool is_former = none || epoch_of(found) < instance->producer.epoch;
        if (is_former) found_[{instance->id, instance->producer.epoch}] = found;
      });
}

void TransactionClients::begin_transaction(const InstancePointer& instance) {
  if (ending() || instance->over) return give_up(instance);
  if (latest_[instance->id] == instance && random_.chance(0.1)) {
    // Another one follows it, while it goes on: it may just be slow.
    run_.scheduler.after(run_.around(5 * run_.options.topic_every_us),
                         [this, id = instance->id] { start(id); });
  }
  instance->name =
      fmt::format("x{}.{}.{}", instance->id, instance->producer.epoch, instance->transactions++);
  instance->batches = 1 + static_cast<int>(random_.below(3));
  told_[instance->name];
  attempt(
      instance,
      [this, instance](TransactionCoordinator& coordinator,
                       std::move_only_function<void(Error)> done) {
        const std::string id = id_of(instance->id);
        coordinator.add(id, instance->producer, {*tables_.topic()}, {id}, std::move(done));
      },
      [this, instance](Error error) {
        if (error != Error::kNone || random_.chance(0.03)) return give_up(instance);
        send_batch(instance);
      });
}

void TransactionClients::send_batch(const InstancePointer& instance) {
  if (instance->batches-- == 0) return send_offsets(instance);
  std::vector<std::string> values;
  const std::size_t had = told_[instance->name].acknowledged.size();
  for (std::uint64_t i = 0, n = 1 + random_.below(2); i < n; ++i) {
    values.push_back(fmt::format("{}:{}", instance->name, had + i));
  }
  auto batch = std::make_shared<std::string>(
      topic::test::make_batch(values, {.attributes = 16,
                                       .producer_id = instance->producer.id,
                                       .producer_epoch = instance->producer.epoch,
                                       .base_sequence = instance->sequence}));
  send_values(instance, std::move(batch), std::move(values), instance->shut_out);
}

// Until it is known to be there.
void TransactionClients::send_values(const InstancePointer& instance,
                                     std::shared_ptr<std::string> batch,
                                     std::vector<std::string> values, bool shut_out_before) {
  if (ending()) return give_up(instance);
  ask({.group = *tables_.topic(),
       .commands = {{std::string(kAppendCommand), *batch, {}}},
       .watched = {},
       .watched_reply = {}},
      [this, instance, batch, values = std::move(values),
       shut_out_before](const std::string& reply) {
        if (reply.starts_with("-UNCERTAIN") || reply.starts_with("-UNAVAILABLE")) {
          return send_values(instance, batch, values, shut_out_before);
        }
        if (!reply.starts_with(':')) {
          const bool fenced = reply.starts_with("-INVALID_PRODUCER_EPOCH");
          // Only who has been followed, or whose transaction has taken too long, is refused.
          if (!fenced && !instance->shut_out && latest_[instance->id] == instance) {
            violated(
                fmt::format("transaction {}: a batch is answered with {}", instance->name, reply));
          }
          return give_up(instance);
        }
        if (shut_out_before) {
          violated(fmt::format("{} has written {} after it was shut out", instance->name,
                               values.front()));
        }
        Told& told = told_[instance->name];
        told.acknowledged.insert(told.acknowledged.end(), values.begin(), values.end());
        instance->sequence += static_cast<std::int32_t>(values.size());
        run_.scheduler.after(run_.around(run_.options.topic_every_us / 5),
                             [this, instance] { send_batch(instance); });
      });
}

void TransactionClients::send_offsets(const InstancePointer& instance) {
  attempt(
      instance,
      [this, instance](TransactionCoordinator& coordinator,
                       std::move_only_function<void(Error)> done) {
        const std::string id = id_of(instance->id);
        coordinator.add_offsets(
            id, instance->producer, id, {{std::string(kOffsetField), instance->name}},
            [] { return true; }, std::move(done));
      },
      [this, instance](Error error) {
        if (error != Error::kNone || random_.chance(0.05)) return give_up(instance);
        end_transaction(instance);
      });
}

void TransactionClients::end_transaction(const InstancePointer& instance) {
  const bool commit = random_.chance(0.7);
  // Its client dies while it is being decided.
  if (random_.chance(0.4)) {
    run_.scheduler.after(run_.around(kHostTickUs), [this, instance] { give_up(instance); });
  }
  const bool shut_out_before = instance->shut_out;
  told_[instance->name].commit_asked = commit;
  attempt(
      instance,
      [this, instance, commit](TransactionCoordinator& coordinator,
                               std::move_only_function<void(Error)> done) {
        coordinator.end(id_of(instance->id), instance->producer, commit, std::move(done));
      },
      [this, instance, commit, shut_out_before](Error error) {
        if (error != Error::kNone) return give_up(instance);
        if (shut_out_before) {
          violated(fmt::format("{} was ended after it was shut out", instance->name));
        }
        Told& told = told_[instance->name];
        (commit ? told.committed : told.aborted) = true;
        ++run_.outcome.transactions;
        run_.event("transaction {} is {}", instance->name, commit ? "committed" : "aborted");
        if (instance->over) return;
        run_.scheduler.after(run_.around(run_.options.topic_every_us / 2),
                             [this, instance] { begin_transaction(instance); });
      });
}

// --- Readers

// As a client at read_committed does.
void TransactionClients::take_visible(std::string_view batches,
                                      const std::vector<AbortedTransaction>& aborted,
                                      std::int64_t stable, Visible& out) const {
  while (!batches.empty()) {
    const std::string_view batch = batches.substr(0, topic::batch_bytes(batches));
    batches.remove_prefix(batch.size());
    const auto head = topic::read_head(batch);
    if (head->base_offset >= stable) return;
    out.next = head->base_offset + head->offsets();
    const bool is_aborted =
        head->transactional() && std::ranges::any_of(aborted, [&](const AbortedTransaction& each) {
          return each.producer_id == head->producer_id && each.first <= head->base_offset &&
                 head->base_offset < each.last;
        });
    if (!head->transactional() || head->control() || is_aborted) continue;
    for (std::string& value : values_of(batch)) out.values.push_back(std::move(value));
  }
}

// Somebody reads on from where it stopped.
void TransactionClients::look() {
  if (ending()) return;
  run_.scheduler.after(run_.around(3 * run_.options.topic_every_us), [this] { look(); });
  if (!tables_.topic()) return;
  const PartitionId topic = *tables_.topic();
  Node& node = *nodes_[any_node() - 1u];
  if (!node.serves()) return;
  Shard& shard = node.hosting(topic).shard();
  const auto status = shard.topic(topic);
  if (!status || !status->leads || looked_upto_ >= status->stable) return;
  const std::int64_t from = looked_upto_;
  shard.read_topic(topic, from, 1 << 16,
                   [this, &shard, topic, from, stable = status->stable](Result<std::string> bytes) {
                     if (!bytes || looked_upto_ != from) return;
                     const auto aborted = shard.topic_aborted(topic, from, stable);
                     if (!aborted) return;
                     Visible visible;
                     take_visible(*bytes, *aborted, stable, visible);
                     seen_.insert(visible.values.begin(), visible.values.end());
                     looked_upto_ = std::max(looked_upto_, visible.next);
                   });
}

TransactionClients::Visible TransactionClients::read_all(Node& node) const {
  Visible all;
  const PartitionId topic = *tables_.topic();
  Shard& shard = node.hosting(topic).shard();
  const auto status = shard.topic(topic);
  const auto aborted = shard.topic_aborted(topic, 0, status->stable);
  if (!aborted) violated(fmt::format("n{}: {}", node.number, aborted.error().message));
  while (all.next < status->stable) {
    auto bytes = std::make_shared<std::optional<Result<std::string>>>();
    shard.read_topic(topic, all.next, 1 << 20,
                     [bytes](Result<std::string> given) { *bytes = std::move(given); });
    while (!*bytes && run_.scheduler.step(run_.scheduler.now_us() + 1'000'000)) {
    }
    if (!*bytes || !**bytes) violated(fmt::format("n{}: the topic cannot be read", node.number));
    take_visible(***bytes, *aborted, status->stable, all);
  }
  return all;
}

// --- In the end

std::optional<std::string> TransactionClients::string_in(PartitionId group, const std::string& key,
                                                         std::string_view field) const {
  const auto leader = groups_.leader(group);
  if (!leader) return std::nullopt;
  const Object* object = nodes_[leader->node - 1u]->state(group).find(key, hash64(key));
  if (object == nullptr || !object->live()) return std::nullopt;
  std::string scratch;
  if (field.empty()) return std::string(object->string().value(scratch));
  const ScalarView found = object->hash().find(field);
  if (!found.live()) return std::nullopt;
  return std::string(found.value(scratch));
}

bool TransactionClients::idle() const {
  if (!ending() || at_work_ > 0) return false;
  if (!tables_.topic()) return true;
  for (std::size_t id = 0; id < kIds; ++id) {
    const PartitionId group = groups_.groups().front();
    if (!groups_.leader(group)) return false;
    const auto row = string_in(group, row_key(id_of(id)), {});
    const auto transaction = row ? topic::Transaction::decode(*row) : std::nullopt;
    if (transaction && !transaction->is_over()) return false;
  }
  return true;
}

void TransactionClients::check(const char* when) {
  if (!tables_.topic()) return;
  std::optional<std::vector<std::string>> values;
  for (const auto& node : nodes_) {
    const auto status = node->hosting(*tables_.topic()).shard().topic(*tables_.topic());
    if (!status) continue;
    if (status->stable != status->end) {
      violated(fmt::format("{}: n{} has a transaction open at {}, and no coordinator has", when,
                           node->number, status->stable));
    }
    std::vector<std::string> here = read_all(*node).values;
    if (values && *values != here) {
      violated(fmt::format("{}: n{} shows others than others", when, node->number));
    }
    values = std::move(here);
  }
  if (!values) return;
  const std::set<std::string> there(values->begin(), values->end());
  std::set<std::string> whole;
  std::map<std::string, std::string> last;  // visible transactions, by id
  std::map<std::string, std::map<std::int16_t, std::string>> last_of;  // and epoch
  for (const std::string& value : *values) {
    const std::string name = transaction_of(value);
    const std::string id = name.substr(1, name.find('.') - 1);
    whole.insert(name);
    last[id] = name;
    last_of[id][epoch_of(name)] = name;
  }
  for (const auto& [at, found] : found_) {
    const auto& by_instance = last_of[id_of(at.first)];
    const auto next = by_instance.lower_bound(at.second);
    const std::string expected = next == by_instance.begin() ? "" : std::prev(next)->second;
    if (found == expected) continue;
    violated(fmt::format("{}: before epoch {} of {} the last transaction was {}, its offsets {}",
                         when, at.second, at.first, expected, found));
  }
  for (const std::string& value : seen_) {
    if (!there.contains(value)) {
      violated(fmt::format("{}: {} was read, and is not committed", when, value));
    }
  }
  for (const auto& [name, told] : told_) {
    const bool visible = whole.contains(name);
    if (told.committed && !visible) violated(fmt::format("{}: {} was committed", when, name));
    if (told.aborted && visible) violated(fmt::format("{}: {} was aborted", when, name));
    if (visible && !told.commit_asked) {
      violated(fmt::format("{}: {} is committed, and nobody has asked for it", when, name));
    }
    for (const std::string& value : told.acknowledged) {
      if (visible == there.contains(value)) continue;
      violated(fmt::format("{}: of {}, {} is missing", when, name, value));
    }
  }
  for (std::size_t id = 0; id < kIds; ++id) {
    const auto offset =
        string_in(groups_.groups().back(), offsets_key(id_of(id)), kOffsetField).value_or("");
    const std::string expected = last[id_of(id)];
    if (offset == expected) continue;
    violated(fmt::format("{}: the last transaction of {} is {}, its offsets are of {}", when, id,
                         expected, offset));
  }
}

}  // namespace even::sim
