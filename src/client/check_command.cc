// EVEN.CHECK START | STATUS | FINDINGS [count]
#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "client/connection_commands.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::int64_t kMostFindings = 100'000;

CheckStatus check_status_of(ShardThread& thread) { return thread.shard().check_status(); }

void start_check(Connection& connection) {
  reply_gathered<char>(
      connection,
      [](ShardThread& thread) {
        thread.shard().start_check();
        return char{};
      },
      [](Reply& reply, const std::vector<char>&) { reply.ok(); });
}

void show_check(Connection& connection) {
  reply_gathered<CheckStatus>(
      connection, check_status_of, [](Reply& reply, const std::vector<CheckStatus>& threads) {
        const auto sum = [&threads](auto number_of) {
          std::uint64_t all = 0;
          for (const CheckStatus& each : threads) all += number_of(each);
          return all;
        };
        const auto number = [&](std::string_view name, auto number_of) {
          reply.bulk(name);
          reply.integer(static_cast<std::int64_t>(sum(number_of)));
        };
        using Status = const CheckStatus&;
        reply.map(11);
        reply.bulk("state");
        reply.bulk(std::ranges::any_of(threads, &CheckStatus::busy) ? "checking" : "idle");
        number("asked_for", [](Status s) { return s.passes_begun; });
        number("done", [](Status s) { return s.passes_done; });
        number("rounds", [](Status s) { return s.rounds; });
        number("partitions", [](Status s) { return s.partitions; });
        number("audited", [](Status s) { return s.audited; });
        number("keys_looked_at", [](Status s) { return s.keys; });
        number("partitions_that_did_not_add_up", [](Status s) { return s.audits_failed; });
        number("comparisons", [](Status s) { return s.comparisons; });
        number("keys_repaired", [](Status s) { return s.repaired; });
        number("keys_undecided", [](Status s) { return s.undecided; });
      });
}

std::string_view name_of_finding(CheckFinding::Kind kind) {
  switch (kind) {
    case CheckFinding::Kind::kMissing:
      return "missing";
    case CheckFinding::Kind::kSuperfluous:
      return "superfluous";
    case CheckFinding::Kind::kDifferent:
      return "different";
  }
  return "";
}

void show_findings(Connection& connection, Args args) {
  std::int64_t count = kMostFindings;
  if (args.size() > 3 || (args.size() == 3 && (!parse_strict_integer(args[2], count) || count < 0 ||
                                               count > kMostFindings))) {
    return connection.reply().error("ERR syntax error: EVEN.CHECK FINDINGS [count]");
  }
  reply_gathered<CheckStatus>(
      connection, check_status_of, [count](Reply& reply, const std::vector<CheckStatus>& threads) {
        std::vector<const CheckFinding*> all;
        for (const CheckStatus& thread : threads) {
          // The latest first.
          for (const CheckFinding& finding : std::views::reverse(thread.findings)) {
            if (static_cast<std::int64_t>(all.size()) < count) all.push_back(&finding);
          }
        }
        reply.array(3 * all.size());
        for (const CheckFinding* finding : all) {
          reply.integer(finding->partition);
          reply.bulk(name_of_finding(finding->kind));
          reply.key(finding->key);
        }
      });
}

}  // namespace

void execute_check(Connection& connection, Args args) {
  if (equals_ignore_case(args[1], "start")) return start_check(connection);
  if (equals_ignore_case(args[1], "status")) return show_check(connection);
  if (equals_ignore_case(args[1], "findings")) return show_findings(connection, args);
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "EVEN.CHECK");
  reply_unknown_subcommand(connection, "EVEN.CHECK", args[1]);
}

}  // namespace even
