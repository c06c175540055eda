#include "cli/consistency_status.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <tuple>

#include "cli/node_status.h"
#include "cli/text_table.h"

namespace even::cli {
namespace {

using nlohmann::json;
using Level = ConsistencyStatus::Level;

// "1,234,567".
std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

std::string count_of(uint64_t number, std::string_view what) {
  return fmt::format("{} {}{}", grouped(number), what, number == 1 ? "" : "s");
}

// "n1", "n1 and n2", "n1, n2 and n3".
std::string listed(const std::vector<std::string>& names) {
  if (names.size() < 2) return names.empty() ? "" : names.front();
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

std::string duration(int64_t us) {
  if (us >= 1'000'000) return fmt::format("{:g} s", static_cast<double>(us) * 1e-6);
  return fmt::format("{:g} ms", static_cast<double>(us) * 1e-3);
}

std::string seconds_text(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  return fmt::format("{:.{}f} s", seconds, seconds < 100 ? 1 : 0);
}

uint64_t total(const std::vector<uint64_t>& buckets) {
  uint64_t sum = 0;
  for (const uint64_t bucket : buckets) sum += bucket;
  return sum;
}

// The bound below which a share of what is in the buckets lies, in thousandths: as text, since it
// may be beyond the last.
std::string quantile(const std::vector<uint64_t>& buckets, const std::vector<int64_t>& bounds_us,
                     uint64_t thousandths) {
  const uint64_t all = total(buckets);
  if (all == 0) return "-";
  uint64_t below = 0;
  for (size_t i = 0; i < std::min(bounds_us.size(), buckets.size()); ++i) {
    below += buckets[i];
    if (below * 1000 >= all * thousandths) return duration(bounds_us[i]);
  }
  return bounds_us.empty() ? "?" : "> " + duration(bounds_us.back());
}

// The share of what came that took longer than that; no more exactly than so many can tell.
std::string share_beyond(const std::vector<uint64_t>& buckets,
                         const std::vector<int64_t>& bounds_us, int64_t us) {
  const uint64_t all = total(buckets);
  const auto bound = std::ranges::find(bounds_us, us);
  if (all == 0 || bound == bounds_us.end()) return "unknown";
  uint64_t beyond = 0;
  for (size_t i = static_cast<size_t>(bound - bounds_us.begin()) + 1; i < buckets.size(); ++i) {
    beyond += buckets[i];
  }
  if (beyond == 0) return "none";
  const double percent = 100.0 * static_cast<double>(beyond) / static_cast<double>(all);
  return fmt::format("{:.{}f} %", percent, percent < 0.1 ? 3 : percent < 10 ? 1 : 0);
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string shown_name(const Level& level) {
  const std::string name = level.name == "number" ? "a number" : upper(level.name);
  return level.strong ? name + " (strong)" : name;
}

std::string_view gives(const Level& level) {
  if (level.strong) {
    if (level.writes) return "agreed upon by a majority, in one order";
    if (level.name == "linearizable") return "the latest of what was confirmed";
    if (level.name == "sequential" || level.name == "session") {
      return "one order, never back; as old as the replica";
    }
    if (level.name == "bounded") return "nothing older than the bound is missing";
    if (level.name == "one") return "some prefix of the order, as old as the replica";
    return "";
  }
  if (level.name == "one") {
    return level.writes ? "in this node's log; others get it later"
                        : "what this replica has: how old, see below";
  }
  if (level.name == "session") return "what the session has seen and written";
  if (level.name == "causal") return "nothing without its causes";
  if (level.name == "bounded") return "nothing older than the bound is missing";
  return level.writes ? "at so many replicas before the reply"
                      : "what so many replicas have, if W + R > N every write";
}

using Nodes = std::vector<const NodeStatus*>;

// Those that say something of consistency.
Nodes nodes_of(const std::vector<NodeAnswer>& answers) {
  Nodes nodes;
  for (const NodeAnswer& answer : answers) {
    if (answer.status && answer.status->consistency) nodes.push_back(&*answer.status);
  }
  return nodes;
}

// Of all nodes, in the order in which nodes give them.
std::vector<Level> levels_of(const Nodes& nodes) {
  std::vector<Level> levels;
  for (const NodeStatus* node : nodes) {
    for (const Level& level : node->consistency->levels) {
      const auto known = std::ranges::find_if(levels, [&level](const Level& other) {
        return std::tie(other.name, other.strong, other.writes) ==
               std::tie(level.name, level.strong, level.writes);
      });
      if (known == levels.end()) {
        levels.push_back(level);
        continue;
      }
      known->requests += level.requests;
      known->refused += level.refused;
      known->latency.resize(std::max(known->latency.size(), level.latency.size()));
      for (size_t i = 0; i < level.latency.size(); ++i) known->latency[i] += level.latency[i];
    }
  }
  std::ranges::stable_sort(levels, {}, [](const Level& level) {
    static constexpr std::string_view kOrder[] = {"one",     "number",     "quorum",
                                                  "all",     "session",    "causal",
                                                  "bounded", "sequential", "linearizable"};
    const auto* const at = std::ranges::find(kOrder, level.name);
    return std::tuple(level.strong, at - std::begin(kOrder), level.writes);
  });
  return levels;
}

std::string level_table(const Nodes& nodes, const std::vector<Level>& levels) {
  TextRows rows = {{"LEVEL", "OF", "REQUESTS", "REFUSED", "50 % <=", "99 % <=", "GIVES"}};
  for (const Level& level : levels) {
    const auto& bounds = nodes.front()->consistency->latency_bounds_us;
    rows.push_back({shown_name(level), level.writes ? "writes" : "reads", grouped(level.requests),
                    level.refused == 0 ? "-" : grouped(level.refused),
                    quantile(level.latency, bounds, 500), quantile(level.latency, bounds, 990),
                    std::string(gives(level))});
  }
  if (levels.empty()) return "No requests about keys.\n";
  return text_table(rows, 2, 6);
}

const NodeStatus* find(const Nodes& nodes, const std::string& name) {
  const auto found = std::ranges::find(nodes, name, &NodeStatus::node);
  return found == nodes.end() ? nullptr : *found;
}

// What `node` lacks of `of`, as that says; empty if that does not answer.
std::string lacks(const Nodes& nodes, const std::string& node, const std::string& of) {
  const NodeStatus* maker = find(nodes, of);
  if (maker == nullptr) return {};
  const auto peer = std::ranges::find(maker->peers, node, &PeerStatus::name);
  if (peer == maker->peers.end()) return {};
  if (peer->lag_records == 0) return "nothing";
  return fmt::format("{}, the oldest {} old", count_of(peer->lag_records, "record"),
                     seconds_text(peer->lag_seconds));
}

std::string staleness_table(const Nodes& nodes) {
  static constexpr int64_t kAfterUs[] = {1'000, 10'000, 100'000, 1'000'000};
  TextRows rows = {
      {"AT", "RECORDS OF", "CAME", "1 ms", "10 ms", "100 ms", "1 s", "WINDOW", "LACKS NOW"}};
  std::string notes;
  for (const NodeStatus* node : nodes) {
    const ConsistencyStatus& status = *node->consistency;
    for (const PeerStatus& peer : node->peers) {
      std::vector<std::string> row = {node->node, peer.name};
      const auto arrivals = status.arrivals.find(peer.name);
      const uint64_t came = arrivals == status.arrivals.end() ? 0 : total(arrivals->second.delays);
      row.push_back(came == 0 ? "none" : grouped(came));
      for (const int64_t after_us : kAfterUs) {
        row.push_back(
            came == 0 ? "?"
                      : share_beyond(arrivals->second.delays, status.arrival_bounds_us, after_us));
      }
      const auto window = status.windows.find(peer.name);
      const bool known = window != status.windows.end() && window->second;
      row.push_back(known ? seconds_text(*window->second) : "?");
      const std::string lacking = lacks(nodes, node->node, peer.name);
      row.push_back(lacking.empty() ? fmt::format("unknown: {} does not say", peer.name) : lacking);
      rows.push_back(std::move(row));
      if (came > 0 && arrivals->second.below_zero * 100 > came) {
        notes += fmt::format(
            "{} of {} records of {} came to {} before they were made, by its clock: the clocks "
            "differ, and what is said of these two is too little by that.\n",
            grouped(arrivals->second.below_zero), grouped(came), peer.name, node->node);
      }
    }
  }
  if (rows.size() == 1) return {};
  return "\nWhat ONE may miss: the share of other nodes' records that had not come so long after\n"
         "they were made, of those that have come; and WINDOW: nothing older than that is\n"
         "missing.\n\n" +
         text_table(rows, 2, 8) + notes;
}

std::string background_lines(const Nodes& nodes) {
  ConsistencyStatus all;
  for (const NodeStatus* node : nodes) {
    const ConsistencyStatus& status = *node->consistency;
    all.joined += status.joined;
    all.conflicts += status.conflicts;
    all.type_conflicts += status.type_conflicts;
    all.repaired += status.repaired;
    all.hints_waiting += status.hints_waiting;
    all.hints_kept += status.hints_kept;
    all.hints_handed_over += status.hints_handed_over;
  }
  std::string text = "\n";
  text += all.joined == 0
              ? "Conflicts: unknown, nothing has come from other nodes.\n"
              : fmt::format(
                    "Conflicts: {} while {} came from other nodes ({:.2f} %){}.\n",
                    grouped(all.conflicts), count_of(all.joined, "record"),
                    100.0 * static_cast<double>(all.conflicts) / static_cast<double>(all.joined),
                    all.type_conflicts == 0
                        ? ""
                        : fmt::format(", {} of them of two types", all.type_conflicts));
  text += fmt::format("Hints: {} kept for others, {} more and {} handed over in that time.\n",
                      all.hints_waiting == 0 ? "none" : grouped(all.hints_waiting),
                      grouped(all.hints_kept), grouped(all.hints_handed_over));
  text += fmt::format("Repairs: {}.\n", all.repaired == 0 ? "none" : count_of(all.repaired, "key"));
  return text;
}

std::string_view outcome(std::string_view code) {
  if (code == "PARTIAL") return "were written here, and not as often as asked for in time";
  if (code == "UNCERTAIN") return "have an outcome that nobody knows";
  if (code == "TRYAGAIN") return "were given to a node that has not answered";
  return "were refused";
}

// What was given up, by keyspace, level and error.
std::string refusal_lines(const Nodes& nodes, std::set<std::string>& refusing) {
  struct Given {
    uint64_t count = 0;
    uint64_t linked = 0;
    std::set<std::string> at;
    std::map<std::string, uint64_t> unreachable;
  };
  std::map<std::tuple<bool, std::string, std::string, bool, std::string>, Given> all;
  for (const NodeStatus* node : nodes) {
    for (const ConsistencyStatus::Refusal& refusal : node->consistency->refusals) {
      Given& given =
          all[{refusal.strong, refusal.keyspace, refusal.level, refusal.writes, refusal.code}];
      given.count += refusal.count;
      given.linked += refusal.linked;
      given.at.insert(node->node);
      for (const auto& [name, count] : refusal.unreachable) given.unreachable[name] += count;
      if (refusal.linked < refusal.count) refusing.insert(node->node);
    }
  }
  std::string text;
  for (const auto& [what, given] : all) {
    const auto& [strong, keyspace, level, writes, code] = what;
    const Level named = {.name = level, .strong = strong, .writes = writes, .latency = {}};
    text += fmt::format("{}  {} in keyspace '{}': {} at {} {} (-{})",
                        code == "CONSISTENCY" ? "--" : "PC", shown_name(named), keyspace,
                        count_of(given.count, writes ? "write" : "read"),
                        listed({given.at.begin(), given.at.end()}), outcome(code), code);
    if (code == "CONSISTENCY") {
      text += ": the keyspace does not have this level.\n";
      continue;
    }
    std::vector<std::string> names;
    for (const auto& [name, count] : given.unreachable) names.push_back(name);
    if (!names.empty()) {
      text += fmt::format(", {} while {} could not be reached",
                          given.linked == 0 ? "all" : grouped(given.count - given.linked),
                          listed(names));
    }
    if (given.linked > 0) {
      text += fmt::format("{} {} although all replicas were linked: too slow, or stopped",
                          names.empty() ? "," : " and", grouped(given.linked));
    }
    text += ".\n";
  }
  return text;
}

uint64_t requests_at_one(const NodeStatus& node) {
  uint64_t requests = 0;
  for (const Level& level : node.consistency->levels) {
    if (level.name == "one" && !level.strong) requests += level.requests - level.refused;
  }
  return requests;
}

// Of nodes that are cut off from others, that ONE goes on there, and what it lacks.
std::string availability_lines(const Nodes& nodes, const std::set<std::string>& refusing) {
  std::string text;
  for (const NodeStatus* node : nodes) {
    std::vector<std::string> down;
    for (const PeerStatus& peer : node->peers) {
      if (!peer.up) down.push_back(peer.name);
    }
    if (down.empty() && !refusing.contains(node->node)) continue;
    const uint64_t requests = requests_at_one(*node);
    text += requests == 0 ? fmt::format("PA  Nobody asked for ONE at {}", node->node)
                          : fmt::format("PA  ONE went on at {} ({} in that time)", node->node,
                                        count_of(requests, "request"));
    if (down.empty()) {
      text += "; all of its links are up again.\n";
      continue;
    }
    text += fmt::format("; now it cannot reach {}:\n", listed(down));
    for (const std::string& other : down) {
      const std::string lacking = lacks(nodes, node->node, other);
      const auto window = node->consistency->windows.find(other);
      const bool known = window != node->consistency->windows.end() && window->second;
      text += fmt::format(
          "      {}; {}\n",
          lacking.empty()
              ? fmt::format("how far it is behind {} is unknown, as that does not say", other)
              : fmt::format("behind {} by {}", other, lacking),
          known ? fmt::format("it has all of that up to {} ago", seconds_text(*window->second))
                : "it is not known up to when it has all");
    }
  }
  return text;
}

// With all links up: what more than ONE has cost.
std::string cost_lines(const Nodes& nodes, const std::vector<Level>& levels) {
  std::string text;
  for (const Level& level : levels) {
    const auto one = std::ranges::find_if(levels, [&level](const Level& other) {
      return other.name == "one" && !other.strong && other.writes == level.writes;
    });
    if (one == levels.end() || &*one == &level || level.requests == level.refused) continue;
    const auto& bounds = nodes.front()->consistency->latency_bounds_us;
    text += fmt::format("{}  {}: half of its {} took up to {}, at ONE up to {}.\n",
                        level.strong || level.name == "number" || level.name == "quorum" ||
                                level.name == "all" || level.name == "bounded"
                            ? "EC"
                            : "EL",
                        shown_name(level), level.writes ? "writes" : "reads",
                        quantile(level.latency, bounds, 500), quantile(one->latency, bounds, 500));
  }
  return text;
}

}  // namespace

ConsistencyStatus parse_consistency(const json& json) {
  ConsistencyStatus status;
  status.seconds = json.at("seconds").get<double>();
  status.latency_bounds_us = json.at("latency_bounds_us").get<std::vector<int64_t>>();
  for (const auto& each : json.at("levels")) {
    status.levels.push_back({.name = each.at("level").get<std::string>(),
                             .strong = each.at("strong").get<bool>(),
                             .writes = each.at("writes").get<bool>(),
                             .requests = each.at("requests").get<uint64_t>(),
                             .refused = each.at("refused").get<uint64_t>(),
                             .latency = each.at("latency").get<std::vector<uint64_t>>()});
  }
  for (const auto& each : json.at("refusals")) {
    status.refusals.push_back(
        {.keyspace = each.at("keyspace").get<std::string>(),
         .level = each.at("level").get<std::string>(),
         .strong = each.at("strong").get<bool>(),
         .writes = each.at("writes").get<bool>(),
         .code = each.at("code").get<std::string>(),
         .count = each.at("count").get<uint64_t>(),
         .linked = each.at("linked").get<uint64_t>(),
         .unreachable = each.at("unreachable").get<std::map<std::string, uint64_t>>()});
  }
  status.arrival_bounds_us = json.at("arrival_bounds_us").get<std::vector<int64_t>>();
  for (const auto& each : json.at("arrivals")) {
    status.arrivals[each.at("peer").get<std::string>()] = {
        .below_zero = each.at("below_zero").get<uint64_t>(),
        .delays = each.at("delays").get<std::vector<uint64_t>>()};
  }
  for (const auto& [peer, window] : json.at("windows").items()) {
    status.windows[peer] = window.is_null() ? std::optional<double>() : window.get<double>();
  }
  status.joined = json.at("joined").get<uint64_t>();
  status.conflicts = json.at("conflicts").get<uint64_t>();
  status.type_conflicts = json.at("type_conflicts").get<uint64_t>();
  status.repaired = json.at("repaired").get<uint64_t>();
  const auto& hints = json.at("hints");
  status.hints_waiting = hints.at("waiting").get<uint64_t>();
  status.hints_kept = hints.at("kept").get<uint64_t>();
  status.hints_handed_over = hints.at("handed_over").get<uint64_t>();
  return status;
}

std::string render_consistency(const std::vector<NodeAnswer>& answers) {
  std::string text;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) {
      text += fmt::format("{} does not answer ({}): what it has seen is not in here.\n",
                          answer.name, answer.problem);
    } else if (!answer.status->consistency) {
      text += fmt::format("{} is of a version that does not tell: it is not in here.\n",
                          answer.status->node);
    }
  }
  const Nodes nodes = nodes_of(answers);
  if (nodes.empty()) return text + "No node tells anything.\n";
  double seconds = 0;
  for (const NodeStatus* node : nodes) seconds = std::max(seconds, node->consistency->seconds);
  std::vector<std::string> names;
  for (const NodeStatus* node : nodes) names.push_back(node->node);
  text += fmt::format("The last {:.0f} s at {}\n\n", seconds, listed(names));
  const std::vector<Level> levels = levels_of(nodes);
  text += level_table(nodes, levels) + staleness_table(nodes) + background_lines(nodes);
  std::set<std::string> refusing;
  const std::string refused = refusal_lines(nodes, refusing);
  const std::string tradeoffs =
      refused + availability_lines(nodes, refusing) + cost_lines(nodes, levels);
  text +=
      tradeoffs.empty()
          ? "\nNobody was refused anything, and nothing was asked for above ONE.\n"
          : "\nWho gave up what (P: under a partition A, availability, or C, consistency; E: else"
            "\nL, latency, or C):\n\n" +
                tradeoffs;
  return text;
}

}  // namespace even::cli
