// EVEN.QUOTA: how many bytes a second clients of topics may produce and consume, see
// docs/topics.md. SET and DEL are entries of the metadata group and reply when the nodes in reach
// serve by what has come of them; GET and LIST show what this node serves by.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "client/connection_commands.h"
#include "cluster/client_quota.h"
#include "engine/cmd_meta.h"
#include "engine/text.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"

namespace even {
namespace {

using cluster::ClientQuota;
using cluster::QuotaEntity;
using cluster::QuotaKind;
using cluster::QuotaName;

struct QuotaWord {
  std::string_view lower;
  std::string_view upper;
  QuotaKind kind;
};
constexpr QuotaWord kRateWords[] = {{"producer", "PRODUCER", QuotaKind::kProduce},
                                    {"consumer", "CONSUMER", QuotaKind::kFetch}};

// Whom it is for, and what is set, as a command's words say it.
struct QuotaWords {
  QuotaEntity entity;
  // No rate: none is to be set any more.
  std::vector<std::pair<QuotaKind, std::optional<std::int64_t>>> rates;
};

Result<QuotaWords> read_quota_words(Args words, bool with_rates) {
  QuotaWords out;
  const auto name = [](QuotaName& of, std::string_view type, QuotaName to) -> Result<> {
    if (of.kind != QuotaName::Kind::kAbsent) return fail(fmt::format("ERR {} is said twice", type));
    if (to == QuotaName::exact("")) return fail(fmt::format("ERR the {} has an empty name", type));
    of = std::move(to);
    return {};
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const auto value = i + 1 < words.size() ? std::optional(words[i + 1]) : std::nullopt;
    const auto* rate = std::ranges::find_if(
        kRateWords, [word](const QuotaWord& each) { return equals_ignore_case(word, each.lower); });
    const bool is_rate = with_rates && rate != std::end(kRateWords);
    const bool of_user = equals_ignore_case(word, "user");
    const bool has_value = of_user || is_rate || equals_ignore_case(word, "client");
    if (has_value && !value) {
      return fail(fmt::format("ERR a value must follow '{}'", word.substr(0, 64)));
    }
    Result<> read;
    if (is_rate) {
      std::optional<std::int64_t> bytes;
      if (!equals_ignore_case(*value, "none") &&
          (!parse_strict_integer(*value, bytes.emplace()) || *bytes < 1)) {
        return fail(fmt::format("ERR {} is a number of bytes a second from 1 on, or NONE, not '{}'",
                                rate->upper, value->substr(0, 64)));
      }
      const auto twice =
          std::ranges::find(out.rates, rate->kind, [](auto& each) { return each.first; });
      if (twice != out.rates.end()) return fail(fmt::format("ERR {} is said twice", rate->upper));
      out.rates.emplace_back(rate->kind, bytes);
    } else if (of_user) {
      read = name(out.entity.user, "user", QuotaName::exact(*value));
    } else if (equals_ignore_case(word, "client")) {
      read = name(out.entity.client_id, "client id", QuotaName::exact(*value));
    } else if (equals_ignore_case(word, "user-defaults")) {
      read = name(out.entity.user, "user", QuotaName::of_default());
    } else if (equals_ignore_case(word, "client-defaults")) {
      read = name(out.entity.client_id, "client id", QuotaName::of_default());
    } else {
      return fail(fmt::format("ERR unknown option '{}'. Try EVEN.QUOTA HELP.", word.substr(0, 64)));
    }
    if (!read) return std::unexpected(read.error());
    if (has_value) ++i;
  }
  if (out.entity == QuotaEntity()) {
    return fail(
        "ERR whom the quota is for is to be said: USER, USER-DEFAULTS, CLIENT or "
        "CLIENT-DEFAULTS");
  }
  if (with_rates && out.rates.empty()) {
    return fail("ERR a rate is to be said: PRODUCER or CONSUMER, in bytes a second, or NONE");
  }
  return out;
}

void change_quotas(Connection& connection, const QuotaWords& read) {
  ShardThread& thread = connection.thread();
  if (const Result<> known = all_know(thread, kKnowsQuotas, "a quota"); !known) {
    return connection.reply().error(known.error().message);
  }
  std::vector<std::string> words = {std::string(kMetaCommand), "SETQUOTAS"};
  for (const auto& [kind, rate] : read.rates) {
    words.push_back(to_text(read.entity));
    words.emplace_back(name_of(kind));
    words.push_back(rate ? std::to_string(*rate) : "");
  }
  change_table(thread, std::move(words), "quotas", reply_when_changed(connection));
}

void set_quota(Connection& connection, Args args) {
  const auto read = read_quota_words(args.subspan(2), true);
  if (!read) return connection.reply().error(read.error().message);
  change_quotas(connection, *read);
}

void delete_quota(Connection& connection, Args args) {
  auto read = read_quota_words(args.subspan(2), false);
  if (!read) return connection.reply().error(read.error().message);
  for (const QuotaWord& each : kRateWords) read->rates.emplace_back(each.kind, std::nullopt);
  change_quotas(connection, *read);
}

void get_quota(Connection& connection, Args args) {
  const auto read = read_quota_words(args.subspan(2), false);
  if (!read) return connection.reply().error(read.error().message);
  ClientQuota quota;
  for (const auto& [entity, rates] : connection.thread().keyspaces().quotas()) {
    if (entity != to_text(read->entity)) continue;
    quota = cluster::parse_client_quota(rates).value_or(quota);
  }
  Reply reply = connection.reply();
  reply.map(std::size(kRateWords));
  for (const QuotaWord& each : kRateWords) {
    reply.bulk(each.lower);
    const auto rate = quota.rate(each.kind);
    rate ? reply.integer(*rate) : reply.null();
  }
}

// Each as the words behind EVEN.QUOTA SET.
void list_quotas(Connection& connection, Args) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [text, rates] : connection.thread().keyspaces().quotas()) {
    const auto entity = cluster::parse_quota_entity(text);
    const auto quota = cluster::parse_client_quota(rates);
    if (!entity || !quota) continue;
    std::vector<std::string>& row = rows.emplace_back();
    const auto add = [&row](const QuotaName& name, std::string_view word) {
      if (name.kind == QuotaName::Kind::kDefault) row.push_back(fmt::format("{}-DEFAULTS", word));
      if (name.kind != QuotaName::Kind::kExact) return;
      row.emplace_back(word);
      row.push_back(name.name);
    };
    add(entity->user, "USER");
    add(entity->client_id, "CLIENT");
    for (const QuotaWord& each : kRateWords) {
      if (!quota->rate(each.kind)) continue;
      row.emplace_back(each.upper);
      row.push_back(std::to_string(*quota->rate(each.kind)));
    }
  }
  Reply reply = connection.reply();
  reply.array(rows.size());
  for (const auto& row : rows) {
    reply.array(row.size());
    for (const std::string& word : row) reply.bulk(word);
  }
}

void help_on_quotas(Connection& connection, Args) { reply_help(connection, "EVEN.QUOTA"); }

}  // namespace

void execute_quota(Connection& connection, Args args) {
  constexpr std::pair<std::string_view, void (*)(Connection&, Args)> kSubcommands[] = {
      {"set", set_quota},
      {"del", delete_quota},
      {"get", get_quota},
      {"list", list_quotas},
      {"help", help_on_quotas}};
  if (args.size() < 2) return help_on_quotas(connection, args);
  for (const auto& [name, execute] : kSubcommands) {
    if (equals_ignore_case(args[1], name)) return execute(connection, args);
  }
  reply_unknown_subcommand(connection, "EVEN.QUOTA", args[1]);
}

}  // namespace even
