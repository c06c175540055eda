#include "cli/node_status.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "cli/text_table.h"

namespace even::cli {
namespace {

using nlohmann::json;

std::string lag_text(const PeerStatus& peer) {
  std::string text = fmt::format("{} records, {:.1f} s", peer.lag_records, peer.lag_seconds);
  if (peer.held_bytes > 0) text += fmt::format(" ({} bytes held back)", peer.held_bytes);
  return text;
}

// "3, 17, 42" or "3, 17, 42, ... (90 in all)".
std::string list_some(const std::vector<uint32_t>& ids) {
  constexpr size_t kShown = 10;
  if (ids.size() <= kShown) return fmt::format("{}", fmt::join(ids, ", "));
  return fmt::format("{}, ... ({} in all)", fmt::join(std::span(ids).first(kShown), ", "),
                     ids.size());
}

std::string agreement_line(const std::vector<NodeAnswer>& answers) {
  Agreement agreement = compare(answers);
  size_t answered =
      std::ranges::count_if(answers, [](const NodeAnswer& a) { return a.status.has_value(); });
  std::string who = answered == answers.size()
                        ? fmt::format("{} nodes", answered)
                        : fmt::format("the {} of {} nodes that answer", answered, answers.size());
  if (answered == 0) return "No node answers.\n";
  if (!agreement.diverged.empty()) {
    return fmt::format(
        "ALARM: equal vectors but different digests on partitions {}: replicas have diverged.\n",
        list_some(agreement.diverged));
  }
  if (!agreement.behind.empty()) {
    return fmt::format("Not equal: {} of {} partitions differ on {}: {}\n", agreement.behind.size(),
                       agreement.partitions, who, list_some(agreement.behind));
  }
  return fmt::format("All vectors and digests are equal: {} partitions on {}.\n",
                     agreement.partitions, who);
}

std::string state(const NodeStatus& status) {
  if (!status.ready) return "not ready";
  if (status.replayed >= status.to_replay) return "ready";
  return fmt::format("ready, {} % replayed", 100 * status.replayed / status.to_replay);
}

// A line for each node with damaged partitions.
std::string damage_lines(const std::vector<NodeAnswer>& answers) {
  std::string lines;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) continue;
    std::vector<uint32_t> damaged;
    std::string_view first;
    for (const PartitionStatus& partition : answer.status->partitions) {
      if (partition.damage.empty()) continue;
      if (damaged.empty()) first = partition.damage;
      damaged.push_back(partition.id);
    }
    if (damaged.empty()) continue;
    lines +=
        fmt::format("DAMAGED on {}: {} partitions, to be repaired from other replicas: {} ({})\n",
                    answer.status->node, damaged.size(), list_some(damaged), first);
  }
  return lines;
}

// Who leads how many groups of strong keyspaces; empty where there are none.
std::string group_lines(const std::vector<NodeAnswer>& answers) {
  std::string led, lines;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status || answer.status->groups == 0) continue;
    const NodeStatus& status = *answer.status;
    led += fmt::format("{}{} leads {} of {}", led.empty() ? "" : ", ", status.node,
                       status.groups_led, status.groups);
    if (!status.groups_without_leader.empty()) {
      lines +=
          fmt::format("NO LEADER is known on {} of {} groups: {}\n", status.node,
                      status.groups_without_leader.size(), list_some(status.groups_without_leader));
    }
    if (!status.groups_diverged.empty()) {
      lines += fmt::format(
          "ALARM: {} differs from the leader in groups {} as of one entry: replicas have "
          "diverged.\n",
          status.node, list_some(status.groups_diverged));
    }
  }
  return led.empty() ? led : fmt::format("Groups: {}\n{}", led, lines);
}

std::string hint_lines(const std::vector<NodeAnswer>& answers) {
  std::string lines;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) continue;
    const NodeStatus& status = *answer.status;
    if (status.hints_refused == 0 && status.hints_expired == 0) continue;
    lines += fmt::format(
        "HINTS LEFT TO ANTI-ENTROPY by {}: {} for want of room, {} as too old. The nodes that "
        "they were for get them from those that wrote them.\n",
        status.node, status.hints_refused, status.hints_expired);
  }
  return lines;
}

std::string check_lines(const std::vector<NodeAnswer>& answers) {
  std::string lines;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) continue;
    const NodeStatus& status = *answer.status;
    if (status.keys_repaired > 0) {
      lines += fmt::format(
          "REPAIRED on {} since its start: {} keys that were not as other nodes have them. Look at "
          "its disk and memory.\n",
          status.node, status.keys_repaired);
    }
    if (!status.suspect.empty() || status.keys_undecided > 0) {
      lines += fmt::format(
          "NOT AS IT SHOULD BE on {}: what it holds of partitions {} ({} keys), and no majority of "
          "replicas can be asked what is right.\n",
          status.node, list_some(status.suspect), status.keys_undecided);
    }
  }
  return lines;
}

}  // namespace

Result<NodeStatus> parse_status(std::string_view text) {
  try {
    json document = json::parse(text);
    NodeStatus status;
    status.node = document.at("node").get<std::string>();
    status.replica = document.at("replica").get<std::string>();
    status.ready = document.at("ready").get<bool>();
    status.version = document.at("version").get<std::string>();
    status.keys = document.at("keys").get<uint64_t>();
    if (const auto replay = document.find("replay"); replay != document.end()) {
      status.to_replay = replay->at("bytes").get<uint64_t>();
      status.replayed = replay->at("done").get<uint64_t>();
    }
    if (const auto groups = document.find("groups"); groups != document.end()) {
      status.groups = groups->at("members").get<uint64_t>();
      status.groups_led = groups->at("leads").get<uint64_t>();
      status.groups_without_leader = groups->at("without_leader").get<std::vector<uint32_t>>();
      status.groups_diverged = groups->value("diverged", std::vector<uint32_t>());
    }
    if (const auto hints = document.find("hints"); hints != document.end()) {
      status.hints_refused = hints->at("refused").get<uint64_t>();
      status.hints_expired = hints->at("expired").get<uint64_t>();
    }
    if (const auto check = document.find("check"); check != document.end()) {
      status.keys_repaired = check->at("repaired").get<uint64_t>();
      status.keys_undecided = check->at("undecided").get<uint64_t>();
      status.suspect = check->at("suspect").get<std::vector<uint32_t>>();
    }
    if (const auto consistency = document.find("consistency"); consistency != document.end()) {
      status.consistency = parse_consistency(*consistency);
    }
    for (const json& peer : document.at("peers")) {
      status.peers.push_back({.name = peer.at("name").get<std::string>(),
                              .up = peer.at("link").get<std::string>() == "up",
                              .fault = peer.value("fault", ""),
                              .lag_records = peer.at("lag_records").get<uint64_t>(),
                              .lag_seconds = peer.at("lag_seconds").get<double>(),
                              .hints = peer.value("hints", uint64_t{0}),
                              .held_bytes = peer.value("held_bytes", uint64_t{0})});
    }
    for (const json& partition : document.at("partitions")) {
      status.partitions.push_back({.id = partition.at("id").get<uint32_t>(),
                                   .vector = partition.at("vector").get<std::string>(),
                                   .digest = partition.at("digest").get<std::string>(),
                                   .damage = partition.value("damage", "")});
    }
    return status;
  } catch (const json::exception& error) {
    return fail(error.what());
  }
}

Agreement compare(const std::vector<NodeAnswer>& answers) {
  std::map<uint32_t, std::vector<const PartitionStatus*>> replicas;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) continue;
    for (const PartitionStatus& partition : answer.status->partitions) {
      replicas[partition.id].push_back(&partition);
    }
  }
  Agreement agreement{.partitions = replicas.size(), .behind = {}, .diverged = {}};
  for (const auto& [id, states] : replicas) {
    bool behind = false;
    bool diverged = false;
    std::map<std::string_view, std::string_view> digest_of;  // by vector
    for (const PartitionStatus* state : states) {
      behind |= state->vector != states.front()->vector;
      auto [first, added] = digest_of.try_emplace(state->vector, state->digest);
      diverged |= first->second != state->digest;
    }
    if (behind) agreement.behind.push_back(id);
    if (diverged) agreement.diverged.push_back(id);
  }
  return agreement;
}

std::string render(const std::vector<NodeAnswer>& answers) {
  std::vector<std::vector<std::string>> nodes = {{"NODE", "STATE", "KEYS", "REPLICA", "VERSION"}};
  std::vector<std::vector<std::string>> links = {{"LINK", "STATE", "LAG", "HINTS", "FAULT"}};
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) {
      nodes.push_back({answer.name, "down: " + answer.problem});
      continue;
    }
    const NodeStatus& status = *answer.status;
    nodes.push_back(
        {status.node, state(status), std::to_string(status.keys), status.replica, status.version});
    for (const PeerStatus& peer : status.peers) {
      links.push_back({fmt::format("{} -> {}", status.node, peer.name), peer.up ? "up" : "down",
                       lag_text(peer), std::to_string(peer.hints), peer.fault});
    }
  }
  std::string text = text_table(nodes) + '\n';
  if (links.size() > 1) text += text_table(links) + '\n';
  return text + group_lines(answers) + hint_lines(answers) + check_lines(answers) +
         damage_lines(answers) + agreement_line(answers);
}

bool all_well(const std::vector<NodeAnswer>& answers) {
  Agreement agreement = compare(answers);
  if (!damage_lines(answers).empty()) return false;
  return agreement.behind.empty() && agreement.diverged.empty() &&
         std::ranges::all_of(answers, [](const NodeAnswer& a) {
           return a.status && a.status->ready && a.status->groups_without_leader.empty() &&
                  a.status->groups_diverged.empty();
         });
}

}  // namespace even::cli
