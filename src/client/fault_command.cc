// EVEN.FAULT LINK node DOWN | UP | DELAY ms (0 to 60000) | DROP percent (0 to 100)
#include <fmt/format.h>

#include <charconv>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::uint32_t kMaxDelayMs = 60'000;

const cluster::Node* find_node(const cluster::ClusterMap& map, std::string_view text) {
  if (const cluster::Node* node = map.find(text)) return node;
  std::int64_t number = 0;
  if (!parse_strict_integer(text, number) || number < 1 || number > UINT16_MAX) return nullptr;
  return map.find(static_cast<std::uint16_t>(number));
}

}  // namespace

void execute_fault(Connection& connection, Args args) {
  NodeContext& node = connection.thread().node();
  Reply reply = connection.reply();
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "EVEN.FAULT");
  if (!node.config.faults.enabled) {
    return reply.error(
        "ERR EVEN.FAULT is off: start the node with faults.enabled = true to use it");
  }
  const std::string syntax = fmt::format(
      "ERR syntax error: EVEN.FAULT LINK node DOWN | UP | DELAY ms (0 to {}) | DROP percent (0 to "
      "100)",
      kMaxDelayMs);
  if (args.size() < 4 || !equals_ignore_case(args[1], "link")) {
    return reply.error(syntax);
  }
  const cluster::Node* peer = find_node(node.config.cluster, args[2]);
  if (peer == nullptr) {
    return reply.error(fmt::format("ERR no node '{}' in the cluster map", args[2]));
  }
  if (peer->number == node.number) {
    return reply.error(fmt::format("ERR '{}' is this node: it has no link to itself", args[2]));
  }

  LinkFault fault = node.faults.get(peer->number);
  if (args.size() == 4 && equals_ignore_case(args[3], "down")) {
    fault.down = true;
  } else if (args.size() == 4 && equals_ignore_case(args[3], "up")) {
    fault = {};
  } else if (args.size() == 5 && equals_ignore_case(args[3], "delay")) {
    std::int64_t ms = 0;
    if (!parse_strict_integer(args[4], ms) || ms < 0 || ms > kMaxDelayMs) {
      return reply.error(fmt::format(
          "ERR a DELAY of '{}' is not allowed: it is 0 to {} milliseconds; DOWN cuts the link",
          args[4], kMaxDelayMs));
    }
    fault.delay_ms = static_cast<std::uint32_t>(ms);
  } else if (args.size() == 5 && equals_ignore_case(args[3], "drop")) {
    double percent = 0;
    const char* end = args[4].data() + args[4].size();
    const auto [stop, error] = std::from_chars(args[4].data(), end, percent);
    if (error != std::errc() || stop != end || !(percent >= 0 && percent <= 100)) {
      return reply.error("ERR the share to drop must be 0 to 100 percent");
    }
    fault.drop = percent / 100;
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

}  // namespace even
