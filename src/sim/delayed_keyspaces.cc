#include "sim/delayed_keyspaces.h"

#include <fmt/format.h>

namespace even::sim {
namespace {

constexpr std::int64_t kProbeDeadlineUs = 5'000'000;
constexpr const char* kPromptTypes[] = {"num", "set", "map"};
// Keys that are never held back, of the probes.
constexpr const char* kPromptPrefix = "prompt:";

}  // namespace

std::shared_ptr<const cluster::KeyspaceTable> eventual_table(const RunOptions& options,
                                                             std::uint64_t version,
                                                             std::int64_t delay_ms) {
  if (options.keyspaces || (options.siblings == 0 && options.delay_ms == 0)) return nullptr;
  std::vector<cluster::Keyspace> keyspaces;
  const auto add = [&](const std::string& prefix, std::int64_t its_delay_ms) {
    cluster::Keyspace& keyspace = keyspaces.emplace_back();
    keyspace.name = prefix.empty() ? "all" : prefix;
    keyspace.prefix = prefix;
    keyspace.replicas = static_cast<std::uint16_t>(options.replicas);
    keyspace.delay_ms = its_delay_ms;
    keyspace.siblings = prefix == kSiblingPrefix;
  };
  add(std::string(kSiblingPrefix), delay_ms);
  if (options.delay_ms > 0) {
    add("", delay_ms);
    add(kPromptPrefix, 0);
    for (int i = 0; i < options.prompt_types; ++i) add(kPromptTypes[i], 0);
  }
  return std::make_shared<const cluster::KeyspaceTable>(version, std::move(keyspaces));
}

void DelayedKeyspaces::alter(std::int64_t delay_ms) {
  run_.event("records are to be held back for {} ms", delay_ms);
  if (on_alter) return on_alter(delay_ms);
  run_.table = eventual_table(run_.options, run_.table->version() + 1, delay_ms);
  for (const auto& node : nodes_) {
    if (node->up()) node->serve_table();
  }
}

void DelayedKeyspaces::change() {
  const std::int64_t delay_ms = run_.options.delay_ms;
  alter(random_.chance(0.3) ? 0
                            : 1 + static_cast<std::int64_t>(
                                      random_.below(static_cast<std::uint64_t>(2 * delay_ms))));
}

std::string DelayedKeyspaces::key_in(PartitionId partition, const std::string& prefix) {
  for (;;) {
    std::string key = fmt::format("{}{}", prefix, random_.below(1'000'000));
    if (run_.placement.partition_of(key) == partition) return key;
  }
}

std::function<bool()> DelayedKeyspaces::write(PartitionId partition) {
  const auto replicas = run_.placement.replicas(partition);
  if (replicas.size() < 2) return nullptr;
  const std::size_t first = random_.below(replicas.size());
  const std::size_t second = (first + 1 + random_.below(replicas.size() - 1)) % replicas.size();
  Node& maker = *nodes_[replicas[first] - 1u];
  Node& other = *nodes_[replicas[second] - 1u];
  const std::string key = key_in(partition, "lazy:");
  const std::string_view words[] = {"SET", key, "v"};
  if (!maker.change(partition, words)) return nullptr;
  const std::size_t others = replicas.size() - 1;
  const auto answered = std::make_shared<std::size_t>(0);
  const auto answer = [answered](std::size_t replicas_heard) { *answered = replicas_heard; };
  const std::uint64_t how = random_.below(5);
  constexpr const char* kWhats[] = {"a write at all replicas", "a read at all replicas",
                                    "a session", "a bounded read", "a write that is not held back"};
  what_ = fmt::format("{} of partition {}, of n{} and n{}", kWhats[how], partition, maker.number,
                      other.number);
  const auto shard = [partition](Node& node) -> Shard& { return node.hosting(partition).shard(); };
  const auto made = std::make_shared<PartitionReach>();
  ask_ = [this, partition, how, others, answer, shard, made, &maker, &other] {
    const std::int64_t deadline_us = run_.scheduler.now_us() + kProbeDeadlineUs;
    *made = shard(maker).reach_of({&partition, 1}, true);
    switch (how) {
      case 0:
        shard(maker).await_written({&partition, 1}, others, deadline_us, answer);
        break;
      case 1:
        shard(other).catch_up({partition}, others, deadline_us, answer);
        break;
      case 2:
        shard(other).await_here(*made, deadline_us, answer);
        break;
      case 3:
        shard(other).freshen({partition}, deadline_us, answer);
        break;
      default: {
        const std::string prompt = key_in(partition, kPromptPrefix);
        const std::string_view change[] = {"SET", prompt, "v"};
        (void)maker.change(partition, change);
        *made = shard(maker).reach_of({&partition, 1}, true);
        break;
      }
    }
    maker.hosting(partition).need_turn();
    other.hosting(partition).need_turn();
  };
  return [how, others, answered, made, shard, &other] {
    if (how < 4 && *answered < (how == 2 ? 1 : others)) return false;
    return shard(other).has_seen(*made);
  };
}

void DelayedKeyspaces::ask() { ask_(); }

}  // namespace even::sim
