#include "cluster/client_quota.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace even::cluster {
namespace {

constexpr std::string_view kUserWord = "user";
constexpr std::string_view kClientIdWord = "client-id";
constexpr std::string_view kKindNames[kQuotaKinds] = {"producer_byte_rate", "consumer_byte_rate"};

bool stays_as_it_is(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == ':' || c == '/' || c == '@';
}

void append_name(std::string& out, std::string_view word, const QuotaName& name) {
  if (name.kind == QuotaName::Kind::kAbsent) return;
  if (!out.empty()) out += '&';
  out += word;
  if (name.kind == QuotaName::Kind::kDefault) return;
  out += '=';
  for (const char c : name.name) {
    if (stays_as_it_is(c)) {
      out += c;
    } else {
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    }
  }
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned char byte = 0;
    const char* end = text.data() + std::min(i + 3, text.size());
    const auto [stop, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (error != std::errc() || stop != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

// The part before the next '&', which is taken away with it.
std::string_view next_part(std::string_view& text) {
  const std::size_t end = text.find('&');
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

}  // namespace

std::string to_text(const QuotaEntity& entity) {
  std::string out;
  append_name(out, kUserWord, entity.user);
  append_name(out, kClientIdWord, entity.client_id);
  return out;
}

Result<QuotaEntity> parse_quota_entity(std::string_view text) {
  QuotaEntity entity;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view part = next_part(rest);
    const std::size_t equals = part.find('=');
    const std::string_view word = part.substr(0, equals);
    QuotaName& name = word == kUserWord ? entity.user : entity.client_id;
    name = QuotaName::of_default();
    if (equals == std::string_view::npos) continue;
    name = QuotaName::exact(unescaped(part.substr(equals + 1)).value_or(""));
  }
  // There is one text of each entity.
  const bool named = entity != QuotaEntity() && entity.user != QuotaName::exact("") &&
                     entity.client_id != QuotaName::exact("");
  if (!named || to_text(entity) != text) {
    return fail(fmt::format("'{}' does not say whom a quota is for", text.substr(0, 64)));
  }
  return entity;
}

std::string_view name_of(QuotaKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<QuotaKind> find_quota_kind(std::string_view name) {
  for (std::size_t i = 0; i < kQuotaKinds; ++i) {
    if (kKindNames[i] == name) return static_cast<QuotaKind>(i);
  }
  return std::nullopt;
}

std::string to_text(const ClientQuota& quota) {
  std::string out;
  for (std::size_t i = 0; i < kQuotaKinds; ++i) {
    if (!quota.rates[i]) continue;
    out += fmt::format("{}{}={}", out.empty() ? "" : "&", kKindNames[i], *quota.rates[i]);
  }
  return out;
}

Result<ClientQuota> parse_client_quota(std::string_view text) {
  ClientQuota quota;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view part = next_part(rest);
    const std::size_t equals = part.find('=');
    const auto kind = find_quota_kind(part.substr(0, equals));
    std::int64_t rate = 0;
    if (!kind || equals == std::string_view::npos) break;
    std::from_chars(part.data() + equals + 1, part.data() + part.size(), rate);
    if (rate < 1) break;
    quota.rate(*kind) = rate;
  }
  if (to_text(quota) != text) return fail(fmt::format("'{}' is no quota", text.substr(0, 64)));
  return quota;
}

std::optional<QuotaFound> find_quota(const ClientQuotas& quotas, QuotaKind kind,
                                     std::string_view user, std::string_view client_id) {
  if (quotas.empty()) return std::nullopt;
  const QuotaName users[] = {QuotaName::exact(user), QuotaName::of_default(), QuotaName()};
  const QuotaName clients[] = {QuotaName::exact(client_id), QuotaName::of_default(), QuotaName()};
  // What is said of users weighs more than what is said of client ids.
  for (const QuotaName& its_user : users) {
    for (const QuotaName& its_client : clients) {
      const auto found = quotas.find({its_user, its_client});
      if (found == quotas.end() || !found->second.rate(kind)) continue;
      QuotaFound out{*found->second.rate(kind), found->first, {}};
      if (its_user != QuotaName()) out.shared.user = users[0];
      if (its_client != QuotaName()) out.shared.client_id = clients[0];
      return out;
    }
  }
  return std::nullopt;
}

}  // namespace even::cluster
