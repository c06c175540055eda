// Kafka's messages about the configuration of topics, and about deleting records: see messages.h.
#pragma once

#include "kafka/messages.h"

namespace even::kafka {

struct DeleteRecordsRequest {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t offset = 0;  // -1: that of the end
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("offset", m.offset);
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
  std::vector<Topic> topics;
  std::int32_t timeout_ms = 0;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("topics", m.topics);
    c("timeout_ms", m.timeout_ms);
  }
};

struct DeleteRecordsResponse {
  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t low_watermark = -1;
      std::int16_t error_code = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("partition_index", m.partition_index);
        c("low_watermark", m.low_watermark);
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

// Kinds of what can be configured.
inline constexpr std::int8_t kTopicResource = 2;

struct DescribeConfigsRequest {
  struct Resource {
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::optional<std::vector<std::string>> configuration_keys;  // none: all
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("resource_type", m.resource_type);
      c("resource_name", m.resource_name);
      c("configuration_keys", m.configuration_keys);
    }
  };
  std::vector<Resource> resources;
  bool include_synonyms = false;
  bool include_documentation = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("resources", m.resources);
    c("include_synonyms", m.include_synonyms, since(1));
    c("include_documentation", m.include_documentation, since(3));
  }
};

struct DescribeConfigsResponse {
  struct Result {
    struct Config {
      struct Synonym {
        std::string name;
        std::optional<std::string> value;
        std::int8_t source = 0;
        template <typename Codec, typename Self>
        static void fields(Codec& c, Self& m) {
          c("name", m.name);
          c("value", m.value);
          c("source", m.source);
        }
      };
      std::string name;
      std::optional<std::string> value;
      bool read_only = false;
      std::int8_t config_source = 5;  // of a default
      bool is_sensitive = false;
      std::vector<Synonym> synonyms;
      std::int8_t config_type = 0;  // unknown
      std::optional<std::string> documentation;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("name", m.name);
        c("value", m.value);
        c("read_only", m.read_only);
        c("config_source", m.config_source);
        c("is_sensitive", m.is_sensitive);
        c("synonyms", m.synonyms);
        c("config_type", m.config_type, since(3));
        c("documentation", m.documentation, since(3));
      }
    };
    std::int16_t error_code = 0;
    std::optional<std::string> error_message;
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::vector<Config> configs;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("error_code", m.error_code);
      c("error_message", m.error_message);
      c("resource_type", m.resource_type);
      c("resource_name", m.resource_name);
      c("configs", m.configs);
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

// What is not named is as if it had never been set.
struct AlterConfigsRequest {
  struct Resource {
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::vector<CreateTopicsRequest::Topic::Config> configs;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("resource_type", m.resource_type);
      c("resource_name", m.resource_name);
      c("configs", m.configs);
    }
  };
  std::vector<Resource> resources;
  bool validate_only = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("resources", m.resources);
    c("validate_only", m.validate_only);
  }
};

// What is not named stays.
struct IncrementalAlterConfigsRequest {
  struct Resource {
    struct Config {
      std::string name;
      std::int8_t config_operation = 0;  // 0: set, 1: delete, 2: append, 3: subtract
      std::optional<std::string> value;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("name", m.name);
        c("config_operation", m.config_operation);
        c("value", m.value);
      }
    };
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::vector<Config> configs;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("resource_type", m.resource_type);
      c("resource_name", m.resource_name);
      c("configs", m.configs);
    }
  };
  std::vector<Resource> resources;
  bool validate_only = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("resources", m.resources);
    c("validate_only", m.validate_only);
  }
};

// Of both.
struct AlterConfigsResponse {
  struct Resource {
    std::int16_t error_code = 0;
    std::optional<std::string> error_message;
    std::int8_t resource_type = 0;
    std::string resource_name;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("error_code", m.error_code);
      c("error_message", m.error_message);
      c("resource_type", m.resource_type);
      c("resource_name", m.resource_name);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Resource> responses;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("responses", m.responses);
  }
};

}  // namespace even::kafka
