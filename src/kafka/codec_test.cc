#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "kafka/apis.h"
#include "kafka/messages.h"
#include "topic/kafka_codec.h"

namespace even::kafka {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

// Gives every field of a message a value, all of them different.
class Filler {
 public:
  template <typename T>
  void operator()(std::string_view, T& value, Versions = {}) {
    fill(value);
  }
  template <typename T>
  void fill(T& value) {
    ++count_;
    if constexpr (std::is_same_v<T, bool>) {
      value = true;
    } else if constexpr (std::is_arithmetic_v<T>) {
      value = static_cast<T>(count_);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = "text " + std::to_string(count_);
    } else if constexpr (std::is_same_v<T, Blob>) {
      value = Blob::of("bytes " + std::to_string(count_));
    } else if constexpr (is_optional<T>) {
      fill(value.emplace());
    } else if constexpr (is_vector<T>) {
      value.resize(2);
      for (auto& element : value) fill(element);
    } else {
      T::fields(*this, value);
    }
  }

 private:
  int count_ = 0;
};

template <typename Message>
void check_round_trips(int first, int last, int first_flexible = 100) {
  Message message;
  Filler().fill(message);
  for (int version = first; version <= last; ++version) {
    SCOPED_TRACE(version);
    const bool flexible = version >= first_flexible;
    std::string bytes;
    write_message(message, version, bytes, flexible);
    const auto read = read_message<Message>(bytes, version, flexible);
    ASSERT_TRUE(read);
    EXPECT_EQ(print_message(*read, version), print_message(message, version));
    std::string again;
    write_message(*read, version, again, flexible);
    EXPECT_EQ(again, bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(read_message<Message>(bytes.substr(0, size), version, flexible)) << size;
    }
    EXPECT_FALSE(read_message<Message>(bytes + '\0', version, flexible));
  }
}

TEST(Messages, EveryOneComesBackInEveryVersion) {
  check_round_trips<ApiVersionsRequest>(0, 4, 3);
  check_round_trips<ApiVersionsResponse>(0, 4, 3);
  check_round_trips<MetadataRequest>(0, 8);
  check_round_trips<MetadataResponse>(0, 8);
  check_round_trips<OffsetForLeaderEpochRequest>(0, 3);
  check_round_trips<OffsetForLeaderEpochResponse>(0, 3);
  check_round_trips<CreateTopicsRequest>(2, 4);
  check_round_trips<CreateTopicsResponse>(2, 4);
  check_round_trips<CreatePartitionsRequest>(0, 1);
  check_round_trips<CreatePartitionsResponse>(0, 1);
  check_round_trips<DeleteTopicsRequest>(1, 3);
  check_round_trips<DeleteTopicsResponse>(1, 3);
  check_round_trips<ProduceRequest>(0, 8);
  check_round_trips<ProduceResponse>(0, 8);
  check_round_trips<FetchRequest>(4, 11);
  check_round_trips<FetchResponse>(4, 11);
  check_round_trips<ListOffsetsRequest>(1, 5);
  check_round_trips<ListOffsetsResponse>(1, 5);
  check_round_trips<FindCoordinatorRequest>(0, 2);
  check_round_trips<FindCoordinatorResponse>(0, 2);
  check_round_trips<JoinGroupRequest>(0, 5);
  check_round_trips<JoinGroupResponse>(0, 5);
  check_round_trips<SyncGroupRequest>(0, 3);
  check_round_trips<SyncGroupResponse>(0, 3);
  check_round_trips<HeartbeatRequest>(0, 3);
  check_round_trips<HeartbeatResponse>(0, 3);
  check_round_trips<LeaveGroupRequest>(0, 3);
  check_round_trips<LeaveGroupResponse>(0, 3);
  check_round_trips<OffsetCommitRequest>(2, 7);
  check_round_trips<OffsetCommitResponse>(2, 7);
  check_round_trips<OffsetFetchRequest>(1, 7, 6);
  check_round_trips<OffsetFetchResponse>(1, 7, 6);
  check_round_trips<InitProducerIdRequest>(0, 4, 2);
  check_round_trips<InitProducerIdResponse>(0, 4, 2);
  check_round_trips<AddPartitionsToTxnRequest>(0, 2);
  check_round_trips<AddPartitionsToTxnResponse>(0, 2);
  check_round_trips<AddOffsetsToTxnRequest>(0, 2);
  check_round_trips<AddOffsetsToTxnResponse>(0, 2);
  check_round_trips<EndTxnRequest>(0, 2);
  check_round_trips<EndTxnResponse>(0, 2);
  check_round_trips<TxnOffsetCommitRequest>(0, 3, 3);
  check_round_trips<TxnOffsetCommitResponse>(0, 3, 3);
  check_round_trips<DescribeGroupsRequest>(0, 6, 5);
  check_round_trips<DescribeGroupsResponse>(0, 6, 5);
  check_round_trips<ListGroupsRequest>(0, 5, 3);
  check_round_trips<ListGroupsResponse>(0, 5, 3);
  check_round_trips<DeleteGroupsRequest>(0, 2, 2);
  check_round_trips<DeleteGroupsResponse>(0, 2, 2);
  check_round_trips<DescribeClientQuotasRequest>(0, 1, 1);
  check_round_trips<DescribeClientQuotasResponse>(0, 1, 1);
  check_round_trips<AlterClientQuotasRequest>(0, 1, 1);
  check_round_trips<AlterClientQuotasResponse>(0, 1, 1);
}

TEST(Messages, NullsComeBack) {
  const MetadataRequest all{.topics = std::nullopt};
  std::string bytes;
  write_message(all, 1, bytes);
  EXPECT_EQ(bytes, "\xff\xff\xff\xff");
  EXPECT_FALSE(read_message<MetadataRequest>(bytes, 1)->topics);
  FetchResponse::Topic::Partition partition;
  bytes.clear();
  write_message(partition, 11, bytes);
  const auto read = read_message<FetchResponse::Topic::Partition>(bytes, 11);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->aborted_transactions);
  EXPECT_TRUE(read->records.null);
}

// As the protocol guide lays these out, byte by byte.
TEST(Messages, TheBytesAreKafkas) {
  const std::string metadata =
      "\x00\x03"          // Metadata
      "\x00\x01"          // version 1
      "\x00\x00\x00\x07"  // correlation id
      "\x00\x04kcat"
      "\x00\x00\x00\x01"  // one topic
      "\x00\x05orders"s;
  EXPECT_EQ(describe_request(metadata), std::nullopt);  // a length that is not the text's
  std::string right = metadata;
  right[right.size() - 7] = 6;
  EXPECT_EQ(describe_request(right), "Metadata v1 {topics: [{name: orders}]}");

  const std::string versions =
      "\x00\x12"          // ApiVersions
      "\x00\x03"          // version 3, which is flexible
      "\x00\x00\x00\x01"  // correlation id
      "\x00\x02"
      "me"
      "\x00"  // tagged fields of the header: none
      "\x05java\x06"
      "3.9.0"
      "\x01\x07\x02xy"s;  // one tagged field, which is passed over
  EXPECT_EQ(describe_request(versions),
            "ApiVersions v3 {client_software_name: java, client_software_version: 3.9.0}");

  const std::string offsets =
      "\x00\x02"          // ListOffsets
      "\x00\x01"          // version 1
      "\x00\x00\x00\x02"  // correlation id
      "\xff\xff"          // no client id
      "\xff\xff\xff\xff"  // no replica
      "\x00\x00\x00\x01"  // one topic
      "\x00\x01t"
      "\x00\x00\x00\x01"  // one partition
      "\x00\x00\x00\x03"
      "\xff\xff\xff\xff\xff\xff\xff\xfe"s;  // the earliest
  EXPECT_EQ(describe_request(offsets),
            "ListOffsets v1 {replica_id: -1, topics: [{name: t, partitions: [{partition_index: 3, "
            "timestamp: -2}]}]}");

  const std::string token =
      "\x00\x24"          // SaslAuthenticate
      "\x00\x01"          // version 1
      "\x00\x00\x00\x03"  // correlation id
      "\xff\xff"          // no client id
      "\x00\x00\x00\x0c"
      "\0user\0pencil"s;
  EXPECT_EQ(describe_request(token), "SaslAuthenticate v1 {auth_bytes: 12 bytes}");

  const std::string quotas =
      "\x00\x31"          // AlterClientQuotas
      "\x00\x00"          // version 0
      "\x00\x00\x00\x03"  // correlation id
      "\xff\xff"          // no client id
      "\x00\x00\x00\x01"  // one entry
      "\x00\x00\x00\x01"  // of one part
      "\x00\x04user\xff\xff"
      "\x00\x00\x00\x01"  // one quota
      "\x00\x01k\x40\x8f\x44\x00\x00\x00\x00\x00\x01\x00"s;
  EXPECT_EQ(describe_request(quotas),
            "AlterClientQuotas v0 {entries: [{entity: [{entity_type: user, entity_name: null}], "
            "ops: [{key: k, value: 1000.5, remove: true}]}], validate_only: false}");

  std::string answer;
  write_message(SaslAuthenticateResponse{.error_code = 58, .error_message = "no"}, 0, answer);
  EXPECT_EQ(answer, "\x00\x3a\x00\x02no\x00\x00\x00\x00"s);
  answer.clear();
  write_message(SaslHandshakeResponse{.error_code = 33, .mechanisms = {"PLAIN"}}, 1, answer);
  EXPECT_EQ(answer, "\x00\x21\x00\x00\x00\x01\x00\x05PLAIN"s);
  answer.clear();
  write_message(ApiVersionsResponse{.error_code = 35, .api_keys = {{18, 0, 4}}}, 0, answer);
  EXPECT_EQ(answer, "\x00\x23\x00\x00\x00\x01\x00\x12\x00\x00\x00\x04"s);
}

TEST(Messages, CountsThatCannotBeTakeNoMemory) {
  const std::string many =
      "\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff"
      "\x7f\xff\xff\xff"s;  // topics
  EXPECT_EQ(describe_request(many), std::nullopt);
  // More than a request may have, though the bytes are there.
  std::string empty_names = "\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff"s;
  constexpr std::uint32_t kNames = kMostElements + 1;
  put_big_endian(empty_names, kNames);
  empty_names.append(2 * std::size_t{kNames}, '\0');
  EXPECT_EQ(describe_request(empty_names), std::nullopt);
}

// One of each request, which the fuzz target begins with.
TEST(Messages, TheSeedsOfTheFuzzTargetAreRequests) {
  std::size_t seeds = 0;
  const std::filesystem::path directory = EVEN_SOURCE_DIR "/tests/corpus/requests_fuzz";
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    EXPECT_TRUE(describe_request(bytes)) << entry.path();
    ++seeds;
  }
  EXPECT_EQ(seeds, api_versions().size());
}

TEST(Messages, UnknownRequestsAndVersionsAreNotRead) {
  EXPECT_EQ(describe_request(""), std::nullopt);
  EXPECT_EQ(describe_request("\x03\xe8\x00\x00\x00\x00\x00\x00\xff\xff"s), std::nullopt);
  EXPECT_EQ(describe_request("\x00\x03\x00\x09\x00\x00\x00\x07\xff\xff\x00"s), std::nullopt);
}

}  // namespace
}  // namespace even::kafka
