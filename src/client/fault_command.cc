// EVEN.FAULT LINK node DOWN | UP | DELAY ms (0 to 60000) [IN|OUT] | DROP percent (0 to 100)
// [IN|OUT] EVEN.FAULT CLOCK OFFSET ms (to 31536000000 either way) [RATE percent (0 to 1000)]
// EVEN.FAULT KEY key LOSE | VALUE value
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::uint32_t kMaxDelayMs = 60'000;
constexpr std::int64_t kMaxOffsetMs = 365LL * 86'400 * 1000;
constexpr double kMaxRatePercent = 1000;

const cluster::Node* find_node(const cluster::ClusterMap& map, std::string_view text) {
  if (const cluster::Node* node = map.find(text)) return node;
  std::int64_t number = 0;
  if (!parse_strict_integer(text, number) || number < 1 || number > UINT16_MAX) return nullptr;
  return map.find(static_cast<std::uint16_t>(number));
}

std::optional<double> parse_percent(std::string_view text, double most) {
  double percent = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || stop != text.data() + text.size()) return {};
  if (!(percent >= 0 && percent <= most)) return {};
  return percent;
}

void link_fault(Connection& connection, Args args) {
  NodeContext& node = connection.thread().node();
  Reply reply = connection.reply();
  const std::string syntax = fmt::format(
      "ERR syntax error: EVEN.FAULT LINK node DOWN | UP | DELAY ms (0 to {}) [IN|OUT] | DROP "
      "percent (0 to 100) [IN|OUT]",
      kMaxDelayMs);
  const cluster::Node* peer = find_node(node.config.cluster, args[2]);
  if (peer == nullptr) {
    return reply.error(fmt::format("ERR no node '{}' in the cluster map", args[2]));
  }
  if (peer->number == node.number) {
    return reply.error(fmt::format("ERR '{}' is this node: it has no link to itself", args[2]));
  }

  LinkFault fault = node.faults.get(peer->number);
  const bool in_only = args.size() == 6 && equals_ignore_case(args[5], "in");
  const bool out_only = args.size() == 6 && equals_ignore_case(args[5], "out");
  const bool with_value = args.size() == 5 || in_only || out_only;
  const auto each_direction = [&](auto change) {
    if (!out_only) change(fault.in);
    if (!in_only) change(fault.out);
  };
  if (args.size() == 4 && equals_ignore_case(args[3], "down")) {
    fault.down = true;
  } else if (args.size() == 4 && equals_ignore_case(args[3], "up")) {
    fault = {};
  } else if (with_value && equals_ignore_case(args[3], "delay")) {
    std::int64_t ms = 0;
    if (!parse_strict_integer(args[4], ms) || ms < 0 || ms > kMaxDelayMs) {
      return reply.error(fmt::format(
          "ERR a DELAY of '{}' is not allowed: it is 0 to {} milliseconds; DOWN cuts the link",
          args[4], kMaxDelayMs));
    }
    each_direction([&](LinkFault::Direction& it) { it.delay_ms = static_cast<std::uint32_t>(ms); });
  } else if (with_value && equals_ignore_case(args[3], "drop")) {
    const std::optional<double> percent = parse_percent(args[4], 100);
    if (!percent) return reply.error("ERR the share to drop must be 0 to 100 percent");
    each_direction([&](LinkFault::Direction& it) { it.drop = *percent / 100; });
  } else {
    return reply.error(syntax);
  }
  node.faults.set(peer->number, fault);
  // The reply says that the fault is in force, so it waits for all threads.
  reply_gathered<char>(
      connection,
      [number = peer->number](ShardThread& thread) {
        thread.peers().fault_changed(number);
        return char{};
      },
      [](Reply& reply, const std::vector<char>&) { reply.ok(); });
}

void clock_fault(Connection& connection, Args args) {
  Reply reply = connection.reply();
  const bool with_rate = args.size() == 6 && equals_ignore_case(args[4], "rate");
  if (!equals_ignore_case(args[2], "offset") || (args.size() != 4 && !with_rate)) {
    return reply.error(
        fmt::format("ERR syntax error: EVEN.FAULT CLOCK OFFSET ms (to {} either way) [RATE percent "
                    "(0 to {:g})]",
                    kMaxOffsetMs, kMaxRatePercent));
  }
  std::int64_t ms = 0;
  if (!parse_strict_integer(args[3], ms) || ms < -kMaxOffsetMs || ms > kMaxOffsetMs) {
    return reply.error(fmt::format(
        "ERR an OFFSET of '{}' is not allowed: it is -{} to {} milliseconds, which is a year",
        args[3], kMaxOffsetMs, kMaxOffsetMs));
  }
  const std::optional<double> percent =
      with_rate ? parse_percent(args[5], kMaxRatePercent) : std::optional(100.0);
  if (!percent) {
    return reply.error(
        fmt::format("ERR a RATE of '{}' is not allowed: it is 0 to {:g} percent, and 100 is right",
                    args[5], kMaxRatePercent));
  }
  connection.thread().node().clock_skew.set(ms * 1000, *percent / 100,
                                            connection.thread().clock().monotonic_us());
  reply.ok();
}

void key_fault(Connection& connection, Args args) {
  const bool lose = args.size() == 4 && equals_ignore_case(args[3], "lose");
  if (!lose && (args.size() != 5 || !equals_ignore_case(args[3], "value"))) {
    return connection.reply().error("ERR syntax error: EVEN.FAULT KEY key LOSE | VALUE value");
  }
  reply_gathered<char>(
      connection,
      [key = std::string(args[2]),
       value = lose ? std::nullopt : std::optional(std::string(args[4]))](ShardThread& thread) {
        return static_cast<char>(thread.shard().falsify(
            key, value ? std::optional<std::string_view>(*value) : std::nullopt));
      },
      [](Reply& reply, const std::vector<char>& changed) {
        reply.integer(std::ranges::any_of(changed, [](char each) { return each != 0; }) ? 1 : 0);
      });
}

}  // namespace

void execute_fault(Connection& connection, Args args) {
  Reply reply = connection.reply();
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "EVEN.FAULT");
  if (!connection.thread().node().config.faults.enabled) {
    return reply.error(
        "ERR EVEN.FAULT is off: start the node with faults.enabled = true to use it");
  }
  if (equals_ignore_case(args[1], "clock")) return clock_fault(connection, args);
  if (equals_ignore_case(args[1], "key")) return key_fault(connection, args);
  link_fault(connection, args);
}

}  // namespace even
