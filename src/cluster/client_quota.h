// How many bytes a second clients of topics may produce and consume: quotas, whom each is for, and
// which holds for a client. See docs/topics.md, "Quotas". Plain values, from any thread.
// Source: KIP-13, KIP-55, KIP-546.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::cluster {

// What a quota says of users, or of client ids.
struct QuotaName {
  // Nothing; those that have no quota of their own; the one of that name.
  enum class Kind : std::uint8_t { kAbsent, kDefault, kExact };
  Kind kind = Kind::kAbsent;
  std::string name;  // kExact

  static QuotaName exact(std::string_view name) { return {Kind::kExact, std::string(name)}; }
  static QuotaName of_default() { return {Kind::kDefault, {}}; }
  auto operator<=>(const QuotaName&) const = default;
};

// Whom a quota is for: at least one of both is there.
struct QuotaEntity {
  QuotaName user;
  QuotaName client_id;
  auto operator<=>(const QuotaEntity&) const = default;
};

// As the metadata group has it, "user=alice&client-id=a%20b"; defaults have no "=": "client-id".
// Printable ASCII without spaces.
std::string to_text(const QuotaEntity& entity);
// Only of texts that to_text() gives.
Result<QuotaEntity> parse_quota_entity(std::string_view text);

enum class QuotaKind : std::uint8_t { kProduce, kFetch };
inline constexpr std::size_t kQuotaKinds = 2;

// Bytes a second, from 1 on; none: there is no such quota.
struct ClientQuota {
  std::array<std::optional<std::int64_t>, kQuotaKinds> rates;

  std::optional<std::int64_t>& rate(QuotaKind kind) {
    return rates[static_cast<std::size_t>(kind)];
  }
  std::optional<std::int64_t> rate(QuotaKind kind) const {
    return rates[static_cast<std::size_t>(kind)];
  }
  bool empty() const { return !rates[0] && !rates[1]; }
  bool operator==(const ClientQuota&) const = default;
};

// As Kafka calls it: "producer_byte_rate", "consumer_byte_rate".
std::string_view name_of(QuotaKind kind);
std::optional<QuotaKind> find_quota_kind(std::string_view name);

// As the metadata group has it: "producer_byte_rate=1024&consumer_byte_rate=2048".
std::string to_text(const ClientQuota& quota);
Result<ClientQuota> parse_client_quota(std::string_view text);

using ClientQuotas = std::map<QuotaEntity, ClientQuota>;

// The quota that holds for a client, and who shares it with the client.
struct QuotaFound {
  std::int64_t rate = 0;
  QuotaEntity entity;  // of the quota
  QuotaEntity shared;  // all that are this: names, no defaults
};
// None: there is none.
std::optional<QuotaFound> find_quota(const ClientQuotas& quotas, QuotaKind kind,
                                     std::string_view user, std::string_view client_id);

}  // namespace even::cluster
