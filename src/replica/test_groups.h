// A few nodes with one shard each on simulated disks, linked to each other, for tests of groups.
// Messages arrive a millisecond after they were sent, in order.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/cmd_meta.h"
#include "log/test_log.h"
#include "replica/group_format.h"
#include "replica/shard.h"
#include "store/sim_store.h"

namespace even::test {

struct GroupNode final : Transport {
  GroupNode(World& its_world, NodeNumber n, const cluster::ClusterMap& its_map)
      : world(its_world), number(n), map(its_map), random(n * 1000) {}
  ~GroupNode() override { shard.reset(); }

  void send(NodeNumber to, std::string message) override {
    sent.emplace_back(to, std::move(message));
  }
  void flush() override {
    if (on_flush) on_flush();
  }
  bool sends_to(NodeNumber) const override { return sends; }
  ReplicaId replica() const { return ReplicaId::make(number, runs, line); }

  void start() {
    ++runs;
    ranking.clear();
    ShardOptions options;
    options.node = number;
    options.replica = replica();
    options.partition_count = 1;
    // Partition 0 is eventual.
    std::vector<NodeNumber> replicas;
    for (const cluster::Node& node : map.nodes) ranking.push_back(node.number);
    replicas.assign(ranking.begin(), ranking.begin() + static_cast<std::ptrdiff_t>(
                                                           owners == 0 ? ranking.size() : owners));
    options.owners = replicas.size();
    options.ranking = [this](PartitionId) { return std::span<const NodeNumber>(ranking); };
    options.hint_max_bytes = hint_max_bytes;
    options.hint_max_age_ms = hint_max_age_ms;
    if (std::ranges::find(replicas, number) != replicas.end()) {
      options.partitions.push_back({0, std::move(replicas)});
    }
    options.map = map;
    options.log.segment_bytes = 16 << 10;
    options.log.fsync = fsync;
    options.most_events_at_once = most_events_at_once;
    options.pass_bytes = pass_bytes;
    options.topic_pass_bytes = topic_pass_bytes;
    options.topic_rows_bytes = topic_rows_bytes;
    options.piece_bytes = piece_bytes;
    options.group_log_bytes = group_log_bytes;
    options.clean_map_bytes = clean_map_bytes;
    options.once_first_known = once_first_known;
    options.any_sequence_known = any_sequence_known;
    options.once_words_known = once_words_known;
    options.left_closed = [this](PartitionId group, std::uint64_t attempt) {
      left_closed.emplace_back(group, attempt);
    };
    options.warn = [this](const std::string& text) { warnings.push_back(text); };
    options.wanted_key_events = &wanted_key_events;
    options.key_event = [this](const KeyEvent& event) { key_events.emplace_back(event.key); };
    store = rows.shard_store();
    shard = std::make_unique<Shard>(options, world.clock, random, disk, *store, *this);
    const auto recovered = shard->recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    unknown.clear();
    known = nullptr;
    shard->on_keyspaces(
        [this](std::shared_ptr<const cluster::KeyspaceTable> table) {
          known = pending_table = std::move(table);
          unknown.clear();
        },
        [this](const std::string& why) { unknown = why; });
    shard->on_relay(
        [this](PartitionId group, const std::vector<std::string>& words, Shard::RelayDone done) {
          relaying.push_back({group, words, std::move(done)});
        });
  }
  // Power goes.
  void crash() {
    shard.reset();
    store.reset();
    sent.clear();
    relaying.clear();
    disk.crash();
    rows.crash();
  }
  // All is lost, and the directory is another one from now on.
  void wipe() {
    crash();
    disk.wipe();
    rows.wipe();
    ++line;
  }
  bool up() const { return shard != nullptr; }

  World& world;
  const NodeNumber number;
  const cluster::ClusterMap& map;
  Random random;
  bool inflates = true;            // it takes compressed records
  bool sends = false;              // to every node something else is about to leave
  std::function<void()> on_flush;  // what has been sent leaves in the middle of a turn
  std::function<bool()> once_first_known;
  std::function<bool()> any_sequence_known;
  std::function<bool()> once_words_known;
  std::uint32_t runs = 0;
  std::uint16_t line = 7;
  std::uint64_t pass_bytes = 128 << 20;
  std::uint64_t topic_pass_bytes = ShardOptions().topic_pass_bytes;
  std::uint64_t topic_rows_bytes = ShardOptions().topic_rows_bytes;
  std::uint64_t piece_bytes = ShardOptions().piece_bytes;
  std::uint64_t group_log_bytes = ShardOptions().group_log_bytes;
  std::size_t clean_map_bytes = ShardOptions().clean_map_bytes;
  FsyncPolicy fsync = LogOptions().fsync;
  std::size_t most_events_at_once = ShardOptions().most_events_at_once;
  std::size_t owners = 0;  // of the partition, from the first node on; 0: all nodes
  std::uint64_t hint_max_bytes = ShardOptions().hint_max_bytes;
  std::int64_t hint_max_age_ms = ShardOptions().hint_max_age_ms;
  std::vector<NodeNumber> ranking;
  sim::SimDisk disk{world.scheduler, random};
  sim::SimStore rows{world.scheduler, random};
  std::unique_ptr<RowStore> store;
  std::unique_ptr<Shard> shard;
  std::shared_ptr<const cluster::KeyspaceTable> pending_table;
  std::shared_ptr<const cluster::KeyspaceTable> known;  // since it was started
  std::string unknown;  // why there is none, though there may be one
  std::deque<std::pair<NodeNumber, std::string>> sent;
  std::vector<std::string> warnings;
  std::vector<std::pair<PartitionId, std::uint64_t>> left_closed;
  std::atomic<std::uint32_t> wanted_key_events = 0;
  std::vector<std::string> key_events;  // the keys of those that there were
  // Batches of events that are to be led to a group.
  struct Relaying {
    PartitionId group = 0;
    std::vector<std::string> words;
    Shard::RelayDone done;
  };
  std::vector<Relaying> relaying;
};

struct GroupCluster {
  explicit GroupCluster(int count, std::size_t owners = 0) {
    map.id = "test";
    map.partitions = 1;
    map.replicas = 1;
    for (int i = 1; i <= count; ++i) {
      map.nodes.push_back({.name = "n" + std::to_string(i),
                           .number = static_cast<std::uint16_t>(i),
                           .host = "localhost"});
    }
    for (int i = 1; i <= count; ++i) {
      nodes.push_back(std::make_unique<GroupNode>(world, static_cast<NodeNumber>(i), map));
      nodes.back()->owners = owners;
      nodes.back()->start();
    }
  }

  GroupNode& at(NodeNumber number) { return *nodes[number - 1u]; }
  bool cut(NodeNumber a, NodeNumber b) const {
    return cuts.contains({a, b}) || cuts.contains({b, a});
  }

  // A millisecond.
  void step() {
    ++steps;
    std::vector<std::pair<NodeNumber, std::pair<NodeNumber, std::string>>> messages;
    for (auto& node : nodes) {
      for (auto& [to, message] : std::exchange(node->sent, {})) {
        messages.push_back({to, {node->number, std::move(message)}});
      }
    }
    world.run_for(1'000);
    relink();
    for (auto& [to, from_and_message] : messages) {
      const auto& [from, message] = from_and_message;
      if (!links.contains({from, to})) continue;
      if (on_message) on_message(from, to, message);
      const auto received = at(to).shard->receive(from, message);
      EXPECT_TRUE(received) << received.error().message;
    }
    for (auto& node : nodes) {
      if (!node->up()) continue;
      if (const auto table = std::exchange(node->pending_table, nullptr)) {
        node->shard->serve(table);
      }
      if (steps % 5 == 0) node->shard->tick();
      for (auto& batch : std::exchange(node->relaying, {})) relay(*node, std::move(batch));
      node->shard->end_turn();
    }
    for (auto& [deadline, done] : relayed) {
      if (steps >= deadline && *done) std::exchange(*done, nullptr)("-UNCERTAIN\r\n");
    }
    std::erase_if(relayed, [](const auto& each) { return !*each.second; });
  }
  // To the group's leader, if it is in reach; an answer comes within two seconds.
  void relay(GroupNode& from, GroupNode::Relaying batch) {
    GroupNode* to = leader(batch.group);
    if (to == nullptr || (to != &from && cut(to->number, from.number))) {
      return batch.done("-UNAVAILABLE\r\n");
    }
    struct Words {
      std::vector<std::string> words;
      std::vector<std::string_view> views;
    };
    auto words = std::make_shared<Words>(Words{std::move(batch.words), {}});
    words->views.assign(words->words.begin(), words->words.end());
    auto done = std::make_shared<Shard::RelayDone>(std::move(batch.done));
    relayed.emplace_back(steps + 2'000, done);
    StrongRequest request;
    request.group = batch.group;
    request.commands.emplace_back(words->views);
    to->shard->execute_strong(std::move(request), [words, done](StrongOutcome outcome) {
      if (!*done) return;
      const bool known = outcome.kind == StrongOutcome::Kind::kReply;
      std::exchange(*done, nullptr)(known ? std::move(outcome.reply) : "-UNCERTAIN\r\n");
    });
  }
  void run(int milliseconds) {
    for (int i = 0; i < milliseconds; ++i) step();
  }
  template <typename Condition>
  bool run_until(Condition condition, int milliseconds = 5'000) {
    for (int i = 0; i < milliseconds; ++i) {
      if (condition()) return true;
      step();
    }
    return condition();
  }

  // Both ends have the link, or neither.
  void relink() {
    for (auto& a : nodes) {
      for (auto& b : nodes) {
        if (a->number == b->number) continue;
        const std::pair link{a->number, b->number};
        const bool is_to_be = a->up() && b->up() && !cut(a->number, b->number);
        const auto known = runs.find(link);
        const bool same = known != runs.end() && known->second == std::pair{a->runs, b->runs};
        if (links.contains(link) && (!is_to_be || !same)) {
          links.erase(link);
          if (b->up()) b->shard->link_down(a->number);
        }
        if (is_to_be && !links.contains(link)) {
          links.insert(link);
          runs[link] = {a->runs, b->runs};
          b->shard->link_up(a->replica(), a->inflates);
        }
      }
    }
  }

  GroupNode* leader(PartitionId group) {
    GroupNode* found = nullptr;
    consensus::Term term = 0;
    for (auto& node : nodes) {
      if (!node->up()) continue;
      for (const GroupStatus& status : node->shard->groups()) {
        if (status.group != group || !status.leads || status.term < term) continue;
        found = node.get();
        term = status.term;
      }
    }
    return found;
  }
  std::optional<GroupStatus> status(NodeNumber number, PartitionId group) {
    for (const GroupStatus& status : at(number).shard->groups()) {
      if (status.group == group) return status;
    }
    return std::nullopt;
  }

  // Executes at one node; none if there has been no answer in time.
  std::optional<StrongOutcome> ask(GroupNode& node, PartitionId group,
                                   const std::vector<std::vector<std::string>>& commands,
                                   StrongRead read = StrongRead::kLinearizable,
                                   int milliseconds = 3'000) {
    auto outcome = std::make_shared<std::optional<StrongOutcome>>();
    auto words = std::make_shared<std::vector<std::vector<std::string_view>>>();
    for (const auto& command : commands) words->emplace_back(command.begin(), command.end());
    StrongRequest request;
    request.group = group;
    request.transaction = commands.size() > 1;
    request.read = read;
    for (const auto& command : *words) request.commands.emplace_back(command);
    node.shard->execute_strong(std::move(request),
                               [outcome, words](StrongOutcome given) { *outcome = given; });
    node.shard->end_turn();
    run_until([&] { return outcome->has_value(); }, milliseconds);
    return *outcome;
  }
  // At the leader, whoever that is by then.
  std::string run_transaction(PartitionId group,
                              const std::vector<std::vector<std::string>>& commands) {
    for (int tries = 0; tries < 20; ++tries) {
      GroupNode* node = leader(group);
      if (node != nullptr) {
        const auto outcome = ask(*node, group, commands);
        if (outcome && outcome->kind == StrongOutcome::Kind::kReply) return outcome->reply;
      }
      run(100);
    }
    return "no leader";
  }
  std::string run_strong(PartitionId group, const std::vector<std::string>& command) {
    return run_transaction(group, {command});
  }

  World world;
  cluster::ClusterMap map;
  std::vector<std::unique_ptr<GroupNode>> nodes;
  std::set<std::pair<NodeNumber, NodeNumber>> cuts;
  std::set<std::pair<NodeNumber, NodeNumber>> links;
  std::map<std::pair<NodeNumber, NodeNumber>, std::pair<std::uint32_t, std::uint32_t>> runs;
  int steps = 0;
  // Told of what arrives; none: nobody is.
  std::function<void(NodeNumber from, NodeNumber to, const std::string& message)> on_message;
  std::vector<std::pair<int, std::shared_ptr<Shard::RelayDone>>> relayed;  // until when
};

}  // namespace even::test
