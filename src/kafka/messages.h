// Kafka's messages, each described once: codec.h says how. Names are Kafka's.
// Source: https://kafka.apache.org/protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "topic/kafka_codec.h"

namespace even::kafka {

// Ahead of a request.
struct RequestHeader {
  std::int16_t api_key = 0;
  std::int16_t api_version = 0;
  std::int32_t correlation_id = 0;
  std::optional<std::string> client_id;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("api_key", m.api_key);
    c("api_version", m.api_version);
    c("correlation_id", m.correlation_id);
    c("client_id", m.client_id);
  }
};

struct ApiVersionsRequest {
  std::string client_software_name;
  std::string client_software_version;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("client_software_name", m.client_software_name, since(3));
    c("client_software_version", m.client_software_version, since(3));
  }
};

struct ApiVersionsResponse {
  struct ApiVersion {
    std::int16_t api_key = 0;
    std::int16_t min_version = 0;
    std::int16_t max_version = 0;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("api_key", m.api_key);
      c("min_version", m.min_version);
      c("max_version", m.max_version);
    }
  };
  std::int16_t error_code = 0;
  std::vector<ApiVersion> api_keys;
  std::int32_t throttle_time_ms = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("error_code", m.error_code);
    c("api_keys", m.api_keys);
    c("throttle_time_ms", m.throttle_time_ms, since(1));
  }
};

struct MetadataRequest {
  struct Topic {
    std::string name;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
    }
  };
  std::optional<std::vector<Topic>> topics;
  bool allow_auto_topic_creation = false;
  bool include_cluster_authorized_operations = false;
  bool include_topic_authorized_operations = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("topics", m.topics);
    c("allow_auto_topic_creation", m.allow_auto_topic_creation, since(4));
    c("include_cluster_authorized_operations", m.include_cluster_authorized_operations, since(8));
    c("include_topic_authorized_operations", m.include_topic_authorized_operations, since(8));
  }
};

struct MetadataResponse {
  struct Broker {
    std::int32_t node_id = 0;
    std::string host;
    std::int32_t port = 0;
    std::optional<std::string> rack;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("node_id", m.node_id);
      c("host", m.host);
      c("port", m.port);
      c("rack", m.rack, since(1));
    }
  };
  struct Topic {
    struct Partition {
      std::int16_t error_code = 0;
      std::int32_t partition_index = 0;
      std::int32_t leader_id = 0;
      std::int32_t leader_epoch = 0;
      std::vector<std::int32_t> replica_nodes;
      std::vector<std::int32_t> isr_nodes;
      std::vector<std::int32_t> offline_replicas;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("error_code", m.error_code);
        c("partition_index", m.partition_index);
        c("leader_id", m.leader_id);
        c("leader_epoch", m.leader_epoch, since(7));
        c("replica_nodes", m.replica_nodes);
        c("isr_nodes", m.isr_nodes);
        c("offline_replicas", m.offline_replicas, since(5));
      }
    };
    std::int16_t error_code = 0;
    std::string name;
    bool is_internal = false;
    std::vector<Partition> partitions;
    std::int32_t topic_authorized_operations = INT32_MIN;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("error_code", m.error_code);
      c("name", m.name);
      c("is_internal", m.is_internal, since(1));
      c("partitions", m.partitions);
      c("topic_authorized_operations", m.topic_authorized_operations, since(8));
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Broker> brokers;
  std::optional<std::string> cluster_id;
  std::int32_t controller_id = 0;
  std::vector<Topic> topics;
  std::int32_t cluster_authorized_operations = INT32_MIN;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(3));
    c("brokers", m.brokers);
    c("cluster_id", m.cluster_id, since(2));
    c("controller_id", m.controller_id, since(1));
    c("topics", m.topics);
    c("cluster_authorized_operations", m.cluster_authorized_operations, since(8));
  }
};

struct CreateTopicsRequest {
  struct Topic {
    struct Assignment {
      std::int32_t partition_index = 0;
      std::vector<std::int32_t> broker_ids;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("broker_ids", m.broker_ids);
      }
    };
    struct Config {
      std::string name;
      std::optional<std::string> value;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("name", m.name);
        c("value", m.value);
      }
    };
    std::string name;
    std::int32_t num_partitions = 0;
    std::int16_t replication_factor = 0;
    std::vector<Assignment> assignments;
    std::vector<Config> configs;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("num_partitions", m.num_partitions);
      c("replication_factor", m.replication_factor);
      c("assignments", m.assignments);
      c("configs", m.configs);
    }
  };
  std::vector<Topic> topics;
  std::int32_t timeout_ms = 0;
  bool validate_only = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("topics", m.topics);
    c("timeout_ms", m.timeout_ms);
    c("validate_only", m.validate_only, since(1));
  }
};

struct CreateTopicsResponse {
  struct Topic {
    std::string name;
    std::int16_t error_code = 0;
    std::optional<std::string> error_message;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("error_code", m.error_code);
      c("error_message", m.error_message, since(1));
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(2));
    c("topics", m.topics);
  }
};

struct DeleteTopicsRequest {
  std::vector<std::string> topic_names;
  std::int32_t timeout_ms = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("topic_names", m.topic_names);
    c("timeout_ms", m.timeout_ms);
  }
};

struct DeleteTopicsResponse {
  struct Topic {
    std::string name;
    std::int16_t error_code = 0;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("error_code", m.error_code);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> responses;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("responses", m.responses);
  }
};

struct CreatePartitionsRequest {
  struct Topic {
    struct Assignment {
      std::vector<std::int32_t> broker_ids;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("broker_ids", m.broker_ids);
      }
    };
    std::string name;
    std::int32_t count = 0;
    std::optional<std::vector<Assignment>> assignments;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("count", m.count);
      c("assignments", m.assignments);
    }
  };
  std::vector<Topic> topics;
  std::int32_t timeout_ms = 0;
  bool validate_only = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("topics", m.topics);
    c("timeout_ms", m.timeout_ms);
    c("validate_only", m.validate_only);
  }
};

struct CreatePartitionsResponse {
  struct Result {
    std::string name;
    std::int16_t error_code = 0;
    std::optional<std::string> error_message;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("error_code", m.error_code);
      c("error_message", m.error_message);
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

struct ProduceRequest {
  struct Topic {
    struct Partition {
      std::int32_t index = 0;
      Blob records;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("index", m.index);
        c("records", m.records);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::optional<std::string> transactional_id;
  std::int16_t acks = 0;
  std::int32_t timeout_ms = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("transactional_id", m.transactional_id, since(3));
    c("acks", m.acks);
    c("timeout_ms", m.timeout_ms);
    c("topics", m.topics);
  }
};

struct ProduceResponse {
  struct Topic {
    struct Partition {
      struct RecordError {
        std::int32_t batch_index = 0;
        std::optional<std::string> message;
        template <typename Codec, typename Self>
        static void fields(Codec& c, Self& m) {
          c("batch_index", m.batch_index);
          c("message", m.message);
        }
      };
      std::int32_t index = 0;
      std::int16_t error_code = 0;
      std::int64_t base_offset = -1;
      std::int64_t log_append_time_ms = -1;
      std::int64_t log_start_offset = -1;
      std::vector<RecordError> record_errors;
      std::optional<std::string> error_message;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("index", m.index);
        c("error_code", m.error_code);
        c("base_offset", m.base_offset);
        c("log_append_time_ms", m.log_append_time_ms, since(2));
        c("log_start_offset", m.log_start_offset, since(5));
        c("record_errors", m.record_errors, since(8));
        c("error_message", m.error_message, since(8));
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::vector<Topic> responses;
  std::int32_t throttle_time_ms = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("responses", m.responses);
    c("throttle_time_ms", m.throttle_time_ms, since(1));
  }
};

struct FetchRequest {
  struct Topic {
    struct Partition {
      std::int32_t partition = 0;
      std::int32_t current_leader_epoch = -1;
      std::int64_t fetch_offset = 0;
      std::int64_t log_start_offset = -1;
      std::int32_t partition_max_bytes = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition", m.partition);
        c("current_leader_epoch", m.current_leader_epoch, since(9));
        c("fetch_offset", m.fetch_offset);
        c("log_start_offset", m.log_start_offset, since(5));
        c("partition_max_bytes", m.partition_max_bytes);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  struct Forgotten {
    std::string name;
    std::vector<std::int32_t> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t replica_id = -1;
  std::int32_t max_wait_ms = 0;
  std::int32_t min_bytes = 0;
  std::int32_t max_bytes = INT32_MAX;
  std::int8_t isolation_level = 0;
  std::int32_t session_id = 0;
  std::int32_t session_epoch = -1;
  std::vector<Topic> topics;
  std::vector<Forgotten> forgotten_topics;
  std::string rack_id;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("replica_id", m.replica_id);
    c("max_wait_ms", m.max_wait_ms);
    c("min_bytes", m.min_bytes);
    c("max_bytes", m.max_bytes, since(3));
    c("isolation_level", m.isolation_level, since(4));
    c("session_id", m.session_id, since(7));
    c("session_epoch", m.session_epoch, since(7));
    c("topics", m.topics);
    c("forgotten_topics", m.forgotten_topics, since(7));
    c("rack_id", m.rack_id, since(11));
  }
};

struct FetchResponse {
  struct Topic {
    struct Partition {
      struct Aborted {
        std::int64_t producer_id = 0;
        std::int64_t first_offset = 0;
        template <typename Codec, typename Self>
        static void fields(Codec& c, Self& m) {
          c("producer_id", m.producer_id);
          c("first_offset", m.first_offset);
        }
      };
      std::int32_t partition_index = 0;
      std::int16_t error_code = 0;
      std::int64_t high_watermark = -1;
      std::int64_t last_stable_offset = -1;
      std::int64_t log_start_offset = -1;
      std::optional<std::vector<Aborted>> aborted_transactions;
      std::int32_t preferred_read_replica = -1;
      Blob records;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("error_code", m.error_code);
        c("high_watermark", m.high_watermark);
        c("last_stable_offset", m.last_stable_offset, since(4));
        c("log_start_offset", m.log_start_offset, since(5));
        c("aborted_transactions", m.aborted_transactions, since(4));
        c("preferred_read_replica", m.preferred_read_replica, since(11));
        c("records", m.records);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::int32_t session_id = 0;
  std::vector<Topic> responses;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("error_code", m.error_code, since(7));
    c("session_id", m.session_id, since(7));
    c("responses", m.responses);
  }
};

struct ListOffsetsRequest {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int32_t current_leader_epoch = -1;
      std::int64_t timestamp = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("current_leader_epoch", m.current_leader_epoch, since(4));
        c("timestamp", m.timestamp);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t replica_id = -1;
  std::int8_t isolation_level = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("replica_id", m.replica_id);
    c("isolation_level", m.isolation_level, since(2));
    c("topics", m.topics);
  }
};

struct ListOffsetsResponse {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int16_t error_code = 0;
      std::int64_t timestamp = -1;
      std::int64_t offset = -1;
      std::int32_t leader_epoch = -1;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("error_code", m.error_code);
        c("timestamp", m.timestamp);
        c("offset", m.offset);
        c("leader_epoch", m.leader_epoch, since(4));
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(2));
    c("topics", m.topics);
  }
};

struct OffsetForLeaderEpochRequest {
  struct Topic {
    struct Partition {
      std::int32_t partition = 0;
      std::int32_t current_leader_epoch = -1;
      std::int32_t leader_epoch = -1;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition", m.partition);
        c("current_leader_epoch", m.current_leader_epoch, since(2));
        c("leader_epoch", m.leader_epoch);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t replica_id = -2;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("replica_id", m.replica_id, since(3));
    c("topics", m.topics);
  }
};

struct OffsetForLeaderEpochResponse {
  struct Topic {
    struct Partition {
      std::int16_t error_code = 0;
      std::int32_t partition = 0;
      std::int32_t leader_epoch = -1;
      std::int64_t end_offset = -1;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("error_code", m.error_code);
        c("partition", m.partition);
        c("leader_epoch", m.leader_epoch, since(1));
        c("end_offset", m.end_offset);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(2));
    c("topics", m.topics);
  }
};

struct FindCoordinatorRequest {
  std::string key;
  std::int8_t key_type = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("key", m.key);
    c("key_type", m.key_type, since(1));
  }
};

struct FindCoordinatorResponse {
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::optional<std::string> error_message;
  std::int32_t node_id = -1;
  std::string host;
  std::int32_t port = -1;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("error_code", m.error_code);
    c("error_message", m.error_message, since(1));
    c("node_id", m.node_id);
    c("host", m.host);
    c("port", m.port);
  }
};

struct JoinGroupRequest {
  struct Protocol {
    std::string name;
    Blob metadata;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("metadata", m.metadata);
    }
  };
  std::string group_id;
  std::int32_t session_timeout_ms = 0;
  std::int32_t rebalance_timeout_ms = -1;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::string protocol_type;
  std::vector<Protocol> protocols;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("group_id", m.group_id);
    c("session_timeout_ms", m.session_timeout_ms);
    c("rebalance_timeout_ms", m.rebalance_timeout_ms, since(1));
    c("member_id", m.member_id);
    c("group_instance_id", m.group_instance_id, since(5));
    c("protocol_type", m.protocol_type);
    c("protocols", m.protocols);
  }
};

struct JoinGroupResponse {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    Blob metadata;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("member_id", m.member_id);
      c("group_instance_id", m.group_instance_id, since(5));
      c("metadata", m.metadata);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::int32_t generation_id = -1;
  std::string protocol_name;
  std::string leader;
  std::string member_id;
  std::vector<Member> members;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(2));
    c("error_code", m.error_code);
    c("generation_id", m.generation_id);
    c("protocol_name", m.protocol_name);
    c("leader", m.leader);
    c("member_id", m.member_id);
    c("members", m.members);
  }
};

struct SyncGroupRequest {
  struct Assignment {
    std::string member_id;
    Blob assignment;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("member_id", m.member_id);
      c("assignment", m.assignment);
    }
  };
  std::string group_id;
  std::int32_t generation_id = 0;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::vector<Assignment> assignments;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("group_id", m.group_id);
    c("generation_id", m.generation_id);
    c("member_id", m.member_id);
    c("group_instance_id", m.group_instance_id, since(3));
    c("assignments", m.assignments);
  }
};

struct SyncGroupResponse {
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  Blob assignment;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("error_code", m.error_code);
    c("assignment", m.assignment);
  }
};

struct HeartbeatRequest {
  std::string group_id;
  std::int32_t generation_id = 0;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("group_id", m.group_id);
    c("generation_id", m.generation_id);
    c("member_id", m.member_id);
    c("group_instance_id", m.group_instance_id, since(3));
  }
};

struct HeartbeatResponse {
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("error_code", m.error_code);
  }
};

struct LeaveGroupRequest {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("member_id", m.member_id);
      c("group_instance_id", m.group_instance_id);
    }
  };
  std::string group_id;
  std::string member_id;
  std::vector<Member> members;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("group_id", m.group_id);
    c("member_id", m.member_id, between(0, 2));
    c("members", m.members, since(3));
  }
};

struct LeaveGroupResponse {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    std::int16_t error_code = 0;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("member_id", m.member_id);
      c("group_instance_id", m.group_instance_id);
      c("error_code", m.error_code);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::vector<Member> members;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(1));
    c("error_code", m.error_code);
    c("members", m.members, since(3));
  }
};

struct OffsetCommitRequest {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t committed_offset = 0;
      std::int32_t committed_leader_epoch = -1;
      std::optional<std::string> committed_metadata;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("committed_offset", m.committed_offset);
        c("committed_leader_epoch", m.committed_leader_epoch, since(6));
        c("committed_metadata", m.committed_metadata);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::string group_id;
  std::int32_t generation_id = -1;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::int64_t retention_time_ms = -1;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("group_id", m.group_id);
    c("generation_id", m.generation_id, since(1));
    c("member_id", m.member_id, since(1));
    c("group_instance_id", m.group_instance_id, since(7));
    c("retention_time_ms", m.retention_time_ms, between(2, 4));
    c("topics", m.topics);
  }
};

struct OffsetCommitResponse {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int16_t error_code = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("error_code", m.error_code);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(3));
    c("topics", m.topics);
  }
};

struct OffsetFetchRequest {
  struct Topic {
    std::string name;
    std::vector<std::int32_t> partition_indexes;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partition_indexes", m.partition_indexes);
    }
  };
  std::string group_id;
  std::optional<std::vector<Topic>> topics;
  bool require_stable = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("group_id", m.group_id);
    c("topics", m.topics);
    c("require_stable", m.require_stable, since(7));
  }
};

struct OffsetFetchResponse {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t committed_offset = -1;
      std::int32_t committed_leader_epoch = -1;
      std::optional<std::string> metadata;
      std::int16_t error_code = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("committed_offset", m.committed_offset);
        c("committed_leader_epoch", m.committed_leader_epoch, since(5));
        c("metadata", m.metadata);
        c("error_code", m.error_code);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  std::int16_t error_code = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms, since(3));
    c("topics", m.topics);
    c("error_code", m.error_code, since(2));
  }
};

struct InitProducerIdRequest {
  std::optional<std::string> transactional_id;
  std::int32_t transaction_timeout_ms = 0;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("transactional_id", m.transactional_id);
    c("transaction_timeout_ms", m.transaction_timeout_ms);
    c("producer_id", m.producer_id, since(3));
    c("producer_epoch", m.producer_epoch, since(3));
  }
};

struct InitProducerIdResponse {
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("error_code", m.error_code);
    c("producer_id", m.producer_id);
    c("producer_epoch", m.producer_epoch);
  }
};

// --- Transactions

struct AddPartitionsToTxnRequest {
  struct Topic {
    std::string name;
    std::vector<std::int32_t> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("transactional_id", m.transactional_id);
    c("producer_id", m.producer_id);
    c("producer_epoch", m.producer_epoch);
    c("topics", m.topics);
  }
};

struct AddPartitionsToTxnResponse {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int16_t error_code = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("error_code", m.error_code);
      }
    };
    std::string name;
    std::vector<Partition> results;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("results", m.results);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> results;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("results", m.results);
  }
};

struct AddOffsetsToTxnRequest {
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::string group_id;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("transactional_id", m.transactional_id);
    c("producer_id", m.producer_id);
    c("producer_epoch", m.producer_epoch);
    c("group_id", m.group_id);
  }
};

struct AddOffsetsToTxnResponse {
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("error_code", m.error_code);
  }
};

struct EndTxnRequest {
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  bool committed = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("transactional_id", m.transactional_id);
    c("producer_id", m.producer_id);
    c("producer_epoch", m.producer_epoch);
    c("committed", m.committed);
  }
};

struct EndTxnResponse {
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("error_code", m.error_code);
  }
};

struct TxnOffsetCommitRequest {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t committed_offset = 0;
      std::int32_t committed_leader_epoch = -1;
      std::optional<std::string> committed_metadata;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("committed_offset", m.committed_offset);
        c("committed_leader_epoch", m.committed_leader_epoch, since(2));
        c("committed_metadata", m.committed_metadata);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::string transactional_id;
  std::string group_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t generation_id = -1;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("transactional_id", m.transactional_id);
    c("group_id", m.group_id);
    c("producer_id", m.producer_id);
    c("producer_epoch", m.producer_epoch);
    c("generation_id", m.generation_id, since(3));
    c("member_id", m.member_id, since(3));
    c("group_instance_id", m.group_instance_id, since(3));
    c("topics", m.topics);
  }
};

struct TxnOffsetCommitResponse {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int16_t error_code = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("error_code", m.error_code);
      }
    };
    std::string name;
    std::vector<Partition> partitions;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("partitions", m.partitions);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("topics", m.topics);
  }
};

}  // namespace even::kafka
