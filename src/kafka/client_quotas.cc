// DescribeClientQuotas and AlterClientQuotas: how much clients may produce and consume (KIP-546).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cluster/client_quota.h"
#include "engine/cmd_meta.h"
#include "kafka/apis.h"
#include "kafka/connection.h"
#include "kafka/rights.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"
#include "topic/kafka_error.h"

namespace even::kafka {
namespace {

using cluster::ClientQuota;
using cluster::QuotaEntity;
using cluster::QuotaKind;
using cluster::QuotaName;

constexpr std::string_view kUserType = "user";
constexpr std::string_view kClientIdType = "client-id";
constexpr std::string_view kIpType = "ip";  // in Kafka connections have quotas, too

struct QuotaFault {
  ErrorCode error = ErrorCode::kInvalidRequest;
  std::string why;
};

std::vector<QuotaEntityPart> parts_of(const QuotaEntity& entity) {
  std::vector<QuotaEntityPart> parts;
  const auto add = [&parts](std::string_view type, const QuotaName& name) {
    if (name.kind == QuotaName::Kind::kAbsent) return;
    auto& part = parts.emplace_back();
    part.entity_type = type;
    if (name.kind == QuotaName::Kind::kExact) part.entity_name = name.name;
  };
  add(kUserType, entity.user);
  add(kClientIdType, entity.client_id);
  return parts;
}

// --- Describe

// What is asked for of users, or of client ids; none: nothing.
using Component = DescribeClientQuotasRequest::Component;
struct QuotaFilter {
  const Component* user = nullptr;
  const Component* client_id = nullptr;
  bool strict = false;
  bool nothing = false;  // it asks for what there is none of
};

constexpr std::int8_t kMatchExact = 0;
constexpr std::int8_t kMatchDefault = 1;
constexpr std::int8_t kMatchAny = 2;

std::expected<QuotaFilter, QuotaFault> read_filter(const DescribeClientQuotasRequest& request) {
  QuotaFilter filter{.strict = request.strict};
  const Component* ip = nullptr;
  const auto fault = [](std::string why) {
    return std::unexpected(QuotaFault{ErrorCode::kInvalidRequest, std::move(why)});
  };
  for (const Component& component : request.components) {
    const Component** place = component.entity_type == kUserType       ? &filter.user
                              : component.entity_type == kClientIdType ? &filter.client_id
                              : component.entity_type == kIpType       ? &ip
                                                                       : nullptr;
    if (place == nullptr) {
      return std::unexpected(
          QuotaFault{ErrorCode::kUnsupportedVersion,
                     fmt::format("there are no quotas of '{}': they are of user and client-id",
                                 component.entity_type.substr(0, 64))});
    }
    if (*place != nullptr) {
      return fault(fmt::format("{} is asked for twice", component.entity_type));
    }
    if (component.match_type < kMatchExact || component.match_type > kMatchAny) {
      return fault(fmt::format("there is no way {} to match", component.match_type));
    }
    if ((component.match_type == kMatchExact) != component.match.has_value()) {
      return fault("a name to match belongs to an exact match, and to no other");
    }
    *place = &component;
  }
  filter.nothing = ip != nullptr;
  return filter;
}

bool matches(const Component* component, const QuotaName& name, bool strict) {
  if (component == nullptr) return !strict || name.kind == QuotaName::Kind::kAbsent;
  switch (component->match_type) {
    case kMatchExact:
      return name == QuotaName::exact(*component->match);
    case kMatchDefault:
      return name.kind == QuotaName::Kind::kDefault;
    default:
      return name.kind != QuotaName::Kind::kAbsent;
  }
}

// --- Alter

std::expected<QuotaEntity, QuotaFault> read_entity(const std::vector<QuotaEntityPart>& parts) {
  QuotaEntity entity;
  const auto fault = [](std::string why) {
    return std::unexpected(QuotaFault{ErrorCode::kInvalidRequest, std::move(why)});
  };
  for (const QuotaEntityPart& part : parts) {
    const bool of_user = part.entity_type == kUserType;
    if (!of_user && part.entity_type != kClientIdType) {
      return fault(fmt::format("there are no quotas of '{}': they are of user and client-id",
                               part.entity_type.substr(0, 64)));
    }
    QuotaName& name = of_user ? entity.user : entity.client_id;
    if (name.kind != QuotaName::Kind::kAbsent) {
      return fault(fmt::format("{} is named twice", part.entity_type));
    }
    if (part.entity_name && part.entity_name->empty()) {
      return fault(fmt::format("{} has an empty name", part.entity_type));
    }
    name = part.entity_name ? QuotaName::exact(*part.entity_name) : QuotaName::of_default();
  }
  if (parts.empty()) return fault("a quota is of a user, a client-id, or both");
  return entity;
}

// Appends what it comes to as words of an entry: whom it is for, its name, its rate.
std::optional<QuotaFault> append_words(const AlterClientQuotasRequest::Entry& entry,
                                       std::vector<std::string>& words) {
  const auto entity = read_entity(entry.entity);
  if (!entity) return entity.error();
  std::set<std::string_view> names;
  std::vector<std::string> its_words;
  for (const auto& op : entry.ops) {
    const auto kind = cluster::find_quota_kind(op.key);
    if (!kind) {
      return QuotaFault{.why = fmt::format("{} is not served: there are producer_byte_rate and "
                                           "consumer_byte_rate",
                                           op.key.substr(0, 64))};
    }
    if (!names.insert(op.key).second) {
      return QuotaFault{.why = fmt::format("{} is set twice", op.key)};
    }
    // Beyond 2^53 there are whole numbers only, but not each of them.
    constexpr double kMost = 9e18;
    if (!op.remove && !(op.value >= 1 && op.value <= kMost && std::floor(op.value) == op.value)) {
      return QuotaFault{
          .why = fmt::format("{} is a whole number of bytes a second, from 1 on", op.key)};
    }
    its_words.push_back(cluster::to_text(*entity));
    its_words.push_back(op.key);
    its_words.push_back(op.remove ? "" : fmt::format("{}", static_cast<std::int64_t>(op.value)));
  }
  std::ranges::move(its_words, std::back_inserter(words));
  return std::nullopt;
}

}  // namespace

void handle(const Call& call, const DescribeClientQuotasRequest& request,
            Done<DescribeClientQuotasResponse> done) {
  DescribeClientQuotasResponse response;
  const auto refuse = [&](ErrorCode error, std::string why) {
    response.error_code = code(error);
    response.error_message = std::move(why);
    done(std::move(response));
  };
  if (!may_see_quotas(call.connection)) {
    return refuse(ErrorCode::kClusterAuthorizationFailed,
                  "the user may not execute EVEN.QUOTA LIST");
  }
  const auto filter = read_filter(request);
  if (!filter) return refuse(filter.error().error, filter.error().why);
  auto& entries = response.entries.emplace();
  for (const auto& [text, rates] : call.connection.thread().keyspaces().quotas()) {
    const auto entity = cluster::parse_quota_entity(text);
    const auto quota = cluster::parse_client_quota(rates);
    if (filter->nothing || !entity || !quota ||
        !matches(filter->user, entity->user, filter->strict) ||
        !matches(filter->client_id, entity->client_id, filter->strict)) {
      continue;
    }
    auto& entry = entries.emplace_back();
    entry.entity = parts_of(*entity);
    for (const QuotaKind kind : {QuotaKind::kProduce, QuotaKind::kFetch}) {
      if (!quota->rate(kind)) continue;
      entry.values.push_back({std::string(name_of(kind)), static_cast<double>(*quota->rate(kind))});
    }
  }
  done(std::move(response));
}

void handle(const Call& call, const AlterClientQuotasRequest& request,
            Done<AlterClientQuotasResponse> done) {
  ShardThread& thread = call.connection.thread();
  AlterClientQuotasResponse response;
  std::vector<std::string> words = {std::string(kMetaCommand), "SETQUOTAS"};
  const std::size_t without = words.size();
  const bool may = may_set_quotas(call.connection);
  const Result<> known = all_know(thread, kKnowsQuotas, "a quota");
  for (const auto& entry : request.entries) {
    auto& out = response.entries.emplace_back();
    out.entity = entry.entity;
    std::optional<QuotaFault> fault;
    if (!may) {
      fault = {ErrorCode::kClusterAuthorizationFailed, "the user may not execute EVEN.QUOTA SET"};
    } else if (!known) {
      fault = {ErrorCode::kUnsupportedVersion, known.error().message};
    } else {
      fault = append_words(entry, words);
    }
    if (!fault) continue;
    out.error_code = code(fault->error);
    out.error_message = fault->why;
  }
  if (request.validate_only || words.size() == without) return done(std::move(response));
  // One entry of the metadata group for all of them: they are set, or not, together.
  change_table(
      thread, std::move(words), "quotas",
      [response = std::move(response), done = std::move(done)](const std::string& reply) mutable {
        if (!reply.starts_with('+') && !reply.starts_with("-PARTIAL")) {
          for (auto& entry : response.entries) {
            if (entry.error_code != code(ErrorCode::kNone)) continue;
            entry.error_code = code(reply.starts_with("-ERR") ? ErrorCode::kInvalidRequest
                                                              : ErrorCode::kRequestTimedOut);
            entry.error_message = reply.substr(1, reply.find("\r\n") - 1);
          }
        }
        done(std::move(response));
      });
}

}  // namespace even::kafka
