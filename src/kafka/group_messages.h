// Kafka's messages about consumer groups for who administers them: see messages.h.
#pragma once

#include "kafka/messages.h"

namespace even::kafka {

struct DescribeGroupsRequest {
  std::vector<std::string> groups;
  bool include_authorized_operations = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("groups", m.groups);
    c("include_authorized_operations", m.include_authorized_operations, since(3));
  }
};

struct DescribeGroupsResponse {
  struct Group {
    struct Member {
      std::string member_id;
      std::optional<std::string> group_instance_id;
      std::string client_id;
      std::string client_host;
      Blob member_metadata = Blob::empty();
      Blob member_assignment = Blob::empty();
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("member_id", m.member_id);
        c("group_instance_id", m.group_instance_id, since(4));
        c("client_id", m.client_id);
        c("client_host", m.client_host);
        c("member_metadata", m.member_metadata);
        c("member_assignment", m.member_assignment);
      }
    };
    std::int16_t error_code = 0;
    std::optional<std::string> error_message;
    std::string group_id;
    std::string group_state;
    std::string protocol_type;
    std::string protocol_data;
    std::vector<Member> members;
    std::int32_t authorized_operations = INT32_MIN;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("error_code", m.error_code);
      c("error_message", m.error_message, since(6));
      c("group_id", m.group_id);
      c("group_state", m.group_state);
      c("protocol_type", m.protocol_type);
      c("protocol_data", m.protocol_data);
      c("members", m.members);
      c("authorized_operations", m.authorized_operations, since(3));
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Group> groups;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("groups", m.groups);
  }
};

struct ListGroupsRequest {
  std::vector<std::string> states_filter;  // none: all
  std::vector<std::string> types_filter;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("states_filter", m.states_filter, since(4));
    c("types_filter", m.types_filter, since(5));
  }
};

struct ListGroupsResponse {
  struct Group {
    std::string group_id;
    std::string protocol_type;
    std::string group_state;
    std::string group_type;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("group_id", m.group_id);
      c("protocol_type", m.protocol_type);
      c("group_state", m.group_state, since(4));
      c("group_type", m.group_type, since(5));
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::vector<Group> groups;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("error_code", m.error_code);
    c("groups", m.groups);
  }
};

struct DeleteGroupsRequest {
  std::vector<std::string> groups_names;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("groups_names", m.groups_names);
  }
};

struct DeleteGroupsResponse {
  struct Result {
    std::string group_id;
    std::int16_t error_code = 0;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("group_id", m.group_id);
      c("error_code", m.error_code);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Result> results;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("results", m.results);
  }
};

}  // namespace even::kafka
