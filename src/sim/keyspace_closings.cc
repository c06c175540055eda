#include "sim/keyspace_closings.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "engine/cmd_meta.h"

namespace even::sim {
namespace {

constexpr int kDroppers = 3;
constexpr int kClosingWriters = 2;
constexpr std::int64_t kDropEveryUs = 40'000;
constexpr std::int64_t kSlowUs = 30'000;
constexpr std::int64_t kWriteEveryUs = 400'000;
constexpr std::int64_t kStaysUs = 5'000;
constexpr std::int64_t kJustThenUs = 3'000;
constexpr std::int64_t kClosingHopUs = 200;
constexpr std::int64_t kClosingAgainUs = 10'000;
constexpr std::int64_t kClosingPatienceUs = 250'000;
constexpr std::int64_t kEndLookUs = 100'000;
// What is left closed is opened after 20 s.
constexpr std::int64_t kOpenAgainUs = 45'000'000;
constexpr const char* kClosingName = "closing";
constexpr double kVanish = 0.3;
constexpr double kChangeTheirMinds = 0.3;
constexpr double kForce = 0.15;

std::optional<std::uint64_t> number_in(std::string_view reply) {
  std::uint64_t number = 0;
  if (!reply.starts_with(':')) return std::nullopt;
  const auto [stop, error] = std::from_chars(reply.data() + 1, reply.data() + reply.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

void KeyspaceClosings::begin() {
  for (int i = 0; i < kDroppers; ++i) rest();
  for (int i = 0; i < kClosingWriters; ++i) after(kWriteEveryUs, [this] { write(); });
  after(kEndLookUs, [this] { end(); });
}

// --- Requests

void KeyspaceClosings::ask(PartitionId group, std::vector<std::string> words, Replied done) {
  auto asked = std::make_shared<Asked>();
  asked->group = group;
  asked->words = std::move(words);
  asked->views.assign(asked->words.begin(), asked->words.end());
  asked->until_us = run_.scheduler.now_us() + kClosingPatienceUs;
  asked->done = std::move(done);
  run_.scheduler.after(2 * kClosingPatienceUs, [this, asked] { finish(asked, {}); });
  send(asked, any_node());
}

void KeyspaceClosings::ask_meta(std::vector<std::string> words, Replied done) {
  words.emplace(words.begin(), kMetaCommand);
  ask(meta_partition(run_.options.partitions), std::move(words), std::move(done));
}

void KeyspaceClosings::send(const std::shared_ptr<Asked>& asked, NodeNumber to) {
  after(kClosingHopUs, [this, asked, to] {
    const auto again = [this, asked] {
      asked->open = false;
      after(kClosingAgainUs, [this, asked] { send(asked, any_node()); });
    };
    if (!asked->done) return;
    if (run_.scheduler.now_us() > asked->until_us) return finish(asked, "-UNAVAILABLE\r\n");
    Node& node = *nodes_[to - 1u];
    if (!node.up()) return again();
    StrongRequest request;
    request.group = asked->group;
    request.commands.emplace_back(asked->views);
    asked->open = true;
    node.execute_strong(std::move(request), [this, asked, again](const StrongOutcome& outcome) {
      using Kind = StrongOutcome::Kind;
      if (outcome.kind == Kind::kReply) return finish(asked, outcome.reply);
      if (outcome.kind == Kind::kUnknown) return finish(asked, {});
      if (outcome.kind == Kind::kRefused && !outcome.reply.empty()) {
        return finish(asked, outcome.reply);
      }
      if (outcome.leader == 0) return again();
      asked->open = false;
      send(asked, outcome.leader);
    });
  });
}

void KeyspaceClosings::finish(const std::shared_ptr<Asked>& asked, const std::string& reply) {
  if (!asked->done) return;
  const auto done = std::exchange(asked->done, nullptr);
  // Not in the middle of the node's turn.
  run_.scheduler.after(1, [done, reply] { done(reply); });
}

// --- Who drops

void KeyspaceClosings::rest() {
  after(kDropEveryUs, [this] { act(); });
}

void KeyspaceClosings::act() {
  if (run_.settling) return;
  if (!tables_.has("base")) return rest();
  ++at_work_;
  const cluster::Keyspace* found = tables_.find(kClosingName);
  if (found == nullptr) return create();
  if (!random_.chance(kForce)) return close(*found);
  ask_meta({"drop", kClosingName}, [this](const std::string& reply) {
    if (const auto version = number_in(reply)) {
      tables_.acknowledged(*version, kClosingName, std::nullopt);
    }
    done();
  });
}

void KeyspaceClosings::create() {
  cluster::Keyspace keyspace = base_keyspace(run_.options);
  keyspace.name = kClosingName;
  keyspace.prefix = fmt::format("strong:closing{}:", ++prefixes_);
  keyspace.partitions = static_cast<std::uint16_t>(1 + random_.below(2));
  std::vector<std::string> words{"create", cluster::encode(keyspace),
                                 std::to_string(first_group(run_.options))};
  for (const cluster::Node& node : run_.map.nodes) {
    words.push_back(std::to_string(node.number));
    words.push_back(node.name);
  }
  ask_meta(std::move(words), [this, prefix = keyspace.prefix](const std::string& reply) {
    if (const auto version = number_in(reply)) {
      tables_.acknowledged(*version, kClosingName, prefix);
    }
    done();
  });
}

void KeyspaceClosings::close(const cluster::Keyspace& keyspace) {
  auto attempt = std::make_shared<Attempt>();
  attempt->keyspace = keyspace;
  ask_meta({"close", kClosingName}, [this, attempt](const std::string& reply) {
    const auto number = number_in(reply);
    if (!number) return done();
    attempt->number = *number;
    attempt->missing = attempt->keyspace.partitions;
    // Just then somebody writes.
    if (random_.chance(0.5)) after(kJustThenUs, [this] { write_to(tables_.find(kClosingName)); });
    for (std::uint16_t i = 0; i < attempt->keyspace.partitions; ++i) {
      ask(static_cast<PartitionId>(attempt->keyspace.first + i),
          {std::string(kCloseCommand), std::to_string(attempt->number)},
          [this, attempt](const std::string& closed) {
            attempt->all_closed = attempt->all_closed && number_in(closed) == 0u;
            if (--attempt->missing == 0) take(attempt);
          });
    }
  });
}

void KeyspaceClosings::take(const std::shared_ptr<Attempt>& attempt) {
  run_.event("keyspaces: attempt {} has {}closed all groups", attempt->number,
             attempt->all_closed ? "" : "not ");
  if (!run_.settling && random_.chance(kVanish)) return done();
  const bool drops = attempt->all_closed && !random_.chance(kChangeTheirMinds);
  after(random_.chance(0.5) ? kSlowUs : kClosingHopUs, [this, attempt, drops] {
    drops ? drop(*attempt) : open(*attempt);
    done();
  });
}

void KeyspaceClosings::drop(const Attempt& attempt) {
  ask_meta({"drop", kClosingName, std::to_string(attempt.number)},
           [this, attempt](const std::string& reply) {
             const auto version = number_in(reply);
             if (!version) return reply.empty() ? void() : open(attempt);
             run_.event("keyspaces: attempt {} has dropped it", attempt.number);
             tables_.acknowledged(*version, kClosingName, std::nullopt);
             for (std::uint16_t i = 0; i < attempt.keyspace.partitions; ++i) {
               const auto group = static_cast<PartitionId>(attempt.keyspace.first + i);
               dropped_.insert(group);
               check(group);
             }
           });
}

void KeyspaceClosings::open(const Attempt& attempt) {
  for (std::uint16_t i = 0; i < attempt.keyspace.partitions; ++i) {
    ask(static_cast<PartitionId>(attempt.keyspace.first + i),
        {std::string(kOpenCommand), std::to_string(attempt.number)}, [](const std::string&) {});
  }
}

void KeyspaceClosings::done() {
  --at_work_;
  rest();
}

void KeyspaceClosings::left_closed(PartitionId group, std::uint64_t attempt) {
  const cluster::Keyspace* keyspace = tables_.find(kClosingName);
  if (keyspace == nullptr || group < keyspace->first ||
      group >= keyspace->first + keyspace->partitions) {
    return;
  }
  run_.event("keyspaces: group {} has been left closed by attempt {}", group, attempt);
  ask_meta({"open", kClosingName, std::to_string(keyspace->first), std::to_string(attempt)},
           [this, group, attempt](const std::string& reply) {
             if (!reply.starts_with('+')) return;
             ask(group, {std::string(kOpenCommand), std::to_string(attempt)},
                 [](const std::string&) {});
           });
}

// --- Who writes

void KeyspaceClosings::write() {
  if (run_.settling) return;
  after(kWriteEveryUs, [this] { write(); });
  write_to(tables_.find(kClosingName));
}

void KeyspaceClosings::write_to(const cluster::Keyspace* keyspace) {
  if (run_.settling || keyspace == nullptr) return;
  const auto group =
      static_cast<PartitionId>(keyspace->first + random_.below(keyspace->partitions));
  const std::string key = fmt::format("w{}", ++keys_);
  ask(group, {"INCR", key}, [this, group, key](const std::string& reply) {
    if (reply.empty()) {  // it may be there, now or later
      after(kStaysUs, [this, group, key] { ask(group, {"DEL", key}, [](const std::string&) {}); });
    }
    if (!reply.starts_with(':')) return;
    written_[group].insert(key);
    check(group);
    after(kStaysUs, [this, group, key] { remove(group, key); });
  });
}

void KeyspaceClosings::remove(PartitionId group, const std::string& key) {
  if (!is_there(group)) return;
  written_[group].erase(key);
  ask(group, {"DEL", key}, [this, group, key](const std::string& reply) {
    if (reply.starts_with(':')) return;
    // Certainly not done.
    if (!reply.empty() && written_[group].insert(key).second) check(group);
    after(kStaysUs, [this, group, key] { remove(group, key); });
  });
}

void KeyspaceClosings::check(PartitionId group) const {
  const auto written = written_.find(group);
  if (!dropped_.contains(group) || written == written_.end() || written->second.empty()) return;
  violated(fmt::format("group {} of a keyspace that was dropped as an empty one has the key {}",
                       group, *written->second.begin()));
}

// --- In the end

bool KeyspaceClosings::is_there(PartitionId group) const {
  const cluster::Keyspace* keyspace = tables_.find(kClosingName);
  return keyspace != nullptr && group >= keyspace->first &&
         group < keyspace->first + keyspace->partitions;
}

void KeyspaceClosings::end() {
  if (!run_.settling || at_work_ > 0) return after(kEndLookUs, [this] { end(); });
  probed_since_us_ = run_.scheduler.now_us();
  if (const cluster::Keyspace* keyspace = tables_.find(kClosingName)) {
    probes_ = keyspace->partitions;
    for (std::uint16_t i = 0; i < keyspace->partitions; ++i) {
      probe(static_cast<PartitionId>(keyspace->first + i));
    }
  }
  ended_ = probes_ == 0;
}

// Until it takes a write, or is gone.
void KeyspaceClosings::probe(PartitionId group) {
  if (run_.scheduler.now_us() - probed_since_us_ > kOpenAgainUs) {
    violated(fmt::format("group {} of a keyspace that was to be dropped stays closed", group));
  }
  ask(group, {"INCR", "last"}, [this, group](const std::string& reply) {
    if (is_there(group) && !reply.starts_with(':')) {
      return after(kEndLookUs, [this, group] { probe(group); });
    }
    ended_ = --probes_ == 0;
  });
}

}  // namespace even::sim
