// The requests that are served, by their keys and versions, and how one is.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kafka/config_messages.h"
#include "kafka/group_messages.h"
#include "kafka/messages.h"
#include "kafka/quota_messages.h"
#include "kafka/sasl_messages.h"

namespace even::kafka {

class Connection;

// What of a request its handler needs beside its fields.
struct Call {
  Connection& connection;
  int version = 0;
  std::string client_id;
  std::shared_ptr<const std::string> frame;  // which the request views
};
// Called once, on the connection's thread; after the connection has gone, to no effect.
template <typename Response>
using Done = std::move_only_function<void(Response)>;

// Takes an answer without its length; none: the client wants none.
using Answer = std::move_only_function<void(std::optional<std::string>)>;
// Begins to serve a request, whose frame comes without its length. False: it cannot be one, and the
// connection is to be closed, as Kafka does.
bool serve(Connection& connection, std::shared_ptr<const std::string> frame, Answer answer);

// All that are served.
std::vector<ApiVersionsResponse::ApiVersion> api_versions();

// A request as a line for people; none: it cannot be one. For tests and fuzzing, too: whatever is
// read is written and read again, and must come to the same.
std::optional<std::string> describe_request(std::string_view frame);

// In topics.cc.
void handle(const Call& call, const MetadataRequest& request, Done<MetadataResponse> done);
void handle(const Call& call, const CreateTopicsRequest& request, Done<CreateTopicsResponse> done);
void handle(const Call& call, const DeleteTopicsRequest& request, Done<DeleteTopicsResponse> done);
void handle(const Call& call, const CreatePartitionsRequest& request,
            Done<CreatePartitionsResponse> done);
// In records.cc.
void handle(const Call& call, const ProduceRequest& request, Done<ProduceResponse> done);
void handle(const Call& call, const FetchRequest& request, Done<FetchResponse> done);
void handle(const Call& call, const ListOffsetsRequest& request, Done<ListOffsetsResponse> done);
// In epochs.cc.
void handle(const Call& call, const OffsetForLeaderEpochRequest& request,
            Done<OffsetForLeaderEpochResponse> done);

// In topic_configs.cc.
void handle(const Call& call, const DescribeConfigsRequest& request,
            Done<DescribeConfigsResponse> done);
void handle(const Call& call, const AlterConfigsRequest& request, Done<AlterConfigsResponse> done);
void handle(const Call& call, const IncrementalAlterConfigsRequest& request,
            Done<AlterConfigsResponse> done);
void handle(const Call& call, const DeleteRecordsRequest& request,
            Done<DeleteRecordsResponse> done);
// In client_quotas.cc.
void handle(const Call& call, const DescribeClientQuotasRequest& request,
            Done<DescribeClientQuotasResponse> done);
void handle(const Call& call, const AlterClientQuotasRequest& request,
            Done<AlterClientQuotasResponse> done);

// In transactions.cc.
void give_transactional_id(const Call& call, const InitProducerIdRequest& request,
                           Done<InitProducerIdResponse> done);
void handle(const Call& call, const AddPartitionsToTxnRequest& request,
            Done<AddPartitionsToTxnResponse> done);
void handle(const Call& call, const AddOffsetsToTxnRequest& request,
            Done<AddOffsetsToTxnResponse> done);
void handle(const Call& call, const EndTxnRequest& request, Done<EndTxnResponse> done);

// In sasl_requests.cc.
void handle(const Call& call, const SaslHandshakeRequest& request,
            Done<SaslHandshakeResponse> done);
void handle(const Call& call, const SaslAuthenticateRequest& request,
            Done<SaslAuthenticateResponse> done);

// In producer_ids.cc.
void handle(const Call& call, const InitProducerIdRequest& request,
            Done<InitProducerIdResponse> done);

// In find_coordinator.cc.
void handle(const Call& call, const FindCoordinatorRequest& request,
            Done<FindCoordinatorResponse> done);

// In groups.cc.
void handle(const Call& call, const JoinGroupRequest& request, Done<JoinGroupResponse> done);
void handle(const Call& call, const SyncGroupRequest& request, Done<SyncGroupResponse> done);
void handle(const Call& call, const HeartbeatRequest& request, Done<HeartbeatResponse> done);
void handle(const Call& call, const LeaveGroupRequest& request, Done<LeaveGroupResponse> done);
void handle(const Call& call, const OffsetCommitRequest& request, Done<OffsetCommitResponse> done);
void handle(const Call& call, const OffsetFetchRequest& request, Done<OffsetFetchResponse> done);
void handle(const Call& call, const TxnOffsetCommitRequest& request,
            Done<TxnOffsetCommitResponse> done);

// In group_administration.cc.
void handle(const Call& call, const DescribeGroupsRequest& request,
            Done<DescribeGroupsResponse> done);
void handle(const Call& call, const ListGroupsRequest& request, Done<ListGroupsResponse> done);
void handle(const Call& call, const DeleteGroupsRequest& request, Done<DeleteGroupsResponse> done);

}  // namespace even::kafka
