#include "kafka/apis.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/check.h"
#include "kafka/connection.h"
#include "topic/kafka_error.h"

namespace even::kafka {
namespace {

constexpr std::int16_t kSaslHandshakeKey = 17;
constexpr std::int16_t kApiVersionsKey = 18;
constexpr std::int16_t kSaslAuthenticateKey = 36;
constexpr int kNoneFlexible = 1'000;

void handle(const Call&, const ApiVersionsRequest&, Done<ApiVersionsResponse> done) {
  done({.api_keys = api_versions()});
}

template <typename Request>
bool wants_no_answer(const Request& request) {
  if constexpr (std::is_same_v<Request, ProduceRequest>) return request.acks == 0;
  return false;
}

using Serve = bool (*)(const Call& call, std::string_view body, bool flexible,
                       std::int32_t correlation_id, Answer answer);
template <typename Request, typename Response>
bool serve_one(const Call& call, std::string_view body, bool flexible, std::int32_t correlation_id,
               Answer answer) {
  const auto request = read_message<Request>(body, call.version, flexible);
  if (!request) return false;
  handle(call, *request,
         Done<Response>([version = call.version, flexible, correlation_id,
                         silent = wants_no_answer(*request),
                         answer = std::move(answer)](const Response& response) mutable {
           if (silent) return answer(std::nullopt);
           std::string out;
           put_big_endian(out, correlation_id);
           // The header has tagged fields then, but for ApiVersions, which any client has to read.
           if (flexible && !std::is_same_v<Response, ApiVersionsResponse>) out.push_back('\0');
           write_message(response, version, out, flexible);
           answer(std::move(out));
         }));
  return true;
}

using Describe = std::optional<std::string> (*)(std::string_view body, int version, bool flexible);
template <typename Request>
std::optional<std::string> describe(std::string_view body, int version, bool flexible) {
  const auto request = read_message<Request>(body, version, flexible);
  if (!request) return std::nullopt;
  std::string text = print_message(*request, version);
  std::string again;
  write_message(*request, version, again, flexible);
  const auto same = read_message<Request>(again, version, flexible);
  EVEN_CHECK(same && print_message(*same, version) == text, "what is written is read as it was");
  return text;
}

struct Api {
  std::int16_t key;
  std::string_view name;
  std::int16_t first;
  std::int16_t last;
  int first_flexible;
  Serve serve;
  Describe describe;
};

template <typename Request, typename Response>
constexpr Api api(std::int16_t key, std::string_view name, std::int16_t first, std::int16_t last,
                  int first_flexible = kNoneFlexible) {
  return {key, name, first, last, first_flexible, serve_one<Request, Response>, describe<Request>};
}

// By key.
constexpr Api kApis[] = {
    api<ProduceRequest, ProduceResponse>(0, "Produce", 0, 8),
    api<FetchRequest, FetchResponse>(1, "Fetch", 4, 11),
    api<ListOffsetsRequest, ListOffsetsResponse>(2, "ListOffsets", 1, 5),
    api<MetadataRequest, MetadataResponse>(3, "Metadata", 0, 8),
    api<OffsetCommitRequest, OffsetCommitResponse>(8, "OffsetCommit", 2, 7),
    api<OffsetFetchRequest, OffsetFetchResponse>(9, "OffsetFetch", 1, 7, 6),
    api<FindCoordinatorRequest, FindCoordinatorResponse>(10, "FindCoordinator", 0, 2),
    api<JoinGroupRequest, JoinGroupResponse>(11, "JoinGroup", 0, 5),
    api<HeartbeatRequest, HeartbeatResponse>(12, "Heartbeat", 0, 3),
    api<LeaveGroupRequest, LeaveGroupResponse>(13, "LeaveGroup", 0, 3),
    api<SyncGroupRequest, SyncGroupResponse>(14, "SyncGroup", 0, 3),
    api<DescribeGroupsRequest, DescribeGroupsResponse>(15, "DescribeGroups", 0, 6, 5),
    api<ListGroupsRequest, ListGroupsResponse>(16, "ListGroups", 0, 5, 3),
    api<SaslHandshakeRequest, SaslHandshakeResponse>(kSaslHandshakeKey, "SaslHandshake", 0, 1),
    api<ApiVersionsRequest, ApiVersionsResponse>(kApiVersionsKey, "ApiVersions", 0, 4, 3),
    api<CreateTopicsRequest, CreateTopicsResponse>(19, "CreateTopics", 2, 4),
    api<DeleteTopicsRequest, DeleteTopicsResponse>(20, "DeleteTopics", 1, 3),
    api<DeleteRecordsRequest, DeleteRecordsResponse>(21, "DeleteRecords", 0, 1),
    api<InitProducerIdRequest, InitProducerIdResponse>(22, "InitProducerId", 0, 4, 2),
    api<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse>(23, "OffsetForLeaderEpoch", 0,
                                                                   3),
    api<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(24, "AddPartitionsToTxn", 0, 2),
    api<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse>(25, "AddOffsetsToTxn", 0, 2),
    api<EndTxnRequest, EndTxnResponse>(26, "EndTxn", 0, 2),
    api<TxnOffsetCommitRequest, TxnOffsetCommitResponse>(28, "TxnOffsetCommit", 0, 3, 3),
    // Version 0 tells of a setting only whether it is the default.
    api<DescribeConfigsRequest, DescribeConfigsResponse>(32, "DescribeConfigs", 1, 3),
    api<AlterConfigsRequest, AlterConfigsResponse>(33, "AlterConfigs", 0, 1),
    api<SaslAuthenticateRequest, SaslAuthenticateResponse>(kSaslAuthenticateKey, "SaslAuthenticate",
                                                           0, 1),
    api<CreatePartitionsRequest, CreatePartitionsResponse>(37, "CreatePartitions", 0, 1),
    api<DeleteGroupsRequest, DeleteGroupsResponse>(42, "DeleteGroups", 0, 2, 2),
    api<IncrementalAlterConfigsRequest, AlterConfigsResponse>(44, "IncrementalAlterConfigs", 0, 0),
    api<DescribeClientQuotasRequest, DescribeClientQuotasResponse>(48, "DescribeClientQuotas", 0, 1,
                                                                   1),
    api<AlterClientQuotasRequest, AlterClientQuotasResponse>(49, "AlterClientQuotas", 0, 1, 1),
};

const Api* find_api(std::int16_t key) {
  const auto* found = std::ranges::find(kApis, key, &Api::key);
  return found == std::end(kApis) ? nullptr : found;
}

struct Request {
  RequestHeader header;
  const Api* api = nullptr;
  bool version_known = false;
  bool flexible = false;
  std::string_view body;
};

// By who has not logged in.
bool is_for_login(const Api& api) {
  return api.key == kApiVersionsKey || api.key == kSaslHandshakeKey ||
         api.key == kSaslAuthenticateKey;
}

// None: it cannot be one, or is none that is served.
std::optional<Request> read_request(std::string_view frame) {
  Reader reader(frame, 0, false);
  Request request;
  RequestHeader::fields(reader, request.header);
  if (!reader.ok()) return std::nullopt;
  request.api = find_api(request.header.api_key);
  if (request.api == nullptr) return std::nullopt;
  request.version_known = request.header.api_version >= request.api->first &&
                          request.header.api_version <= request.api->last;
  request.flexible = request.header.api_version >= request.api->first_flexible;
  request.body = reader.rest();
  if (!request.flexible || !request.version_known) return request;
  // The header has tagged fields then, though its client id is written as ever.
  Reader tags(request.body, 0, true);
  tags.tags();
  if (!tags.ok()) return std::nullopt;
  request.body = tags.rest();
  return request;
}

}  // namespace

std::vector<ApiVersionsResponse::ApiVersion> api_versions() {
  std::vector<ApiVersionsResponse::ApiVersion> all;
  for (const Api& api : kApis) all.push_back({api.key, api.first, api.last});
  return all;
}

bool serve(Connection& connection, std::shared_ptr<const std::string> frame, Answer answer) {
  const auto request = read_request(*frame);
  if (!request) return false;
  if (!connection.logged_in() && !is_for_login(*request->api)) {
    spdlog::debug("kafka port: {} before a login", request->api->name);
    return false;
  }
  const std::int16_t version = request->header.api_version;
  if (!request->version_known) {
    if (request->api->key != kApiVersionsKey) return false;
    // What a client does not know yet is said in the version that every client knows.
    std::string out;
    put_big_endian(out, request->header.correlation_id);
    write_message(ApiVersionsResponse{.error_code = code(ErrorCode::kUnsupportedVersion),
                                      .api_keys = api_versions()},
                  0, out);
    answer(std::move(out));
    return true;
  }
  const Call call{connection, version, request->header.client_id.value_or(""), frame};
  return request->api->serve(call, request->body, request->flexible, request->header.correlation_id,
                             std::move(answer));
}

std::optional<std::string> describe_request(std::string_view frame) {
  const auto request = read_request(frame);
  if (!request || !request->version_known) return std::nullopt;
  const auto text =
      request->api->describe(request->body, request->header.api_version, request->flexible);
  if (!text) return std::nullopt;
  return fmt::format("{} v{} {}", request->api->name, request->header.api_version, *text);
}

}  // namespace even::kafka
