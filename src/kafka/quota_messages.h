// Kafka's messages about quotas of clients: see messages.h.
#pragma once

#include "kafka/messages.h"

namespace even::kafka {

// One part of whom a quota is for; no name: the default of that type.
struct QuotaEntityPart {
  std::string entity_type;
  std::optional<std::string> entity_name;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("entity_type", m.entity_type);
    c("entity_name", m.entity_name);
  }
};

struct DescribeClientQuotasRequest {
  struct Component {
    std::string entity_type;
    std::int8_t match_type = 0;
    std::optional<std::string> match;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("entity_type", m.entity_type);
      c("match_type", m.match_type);
      c("match", m.match);
    }
  };
  std::vector<Component> components;
  bool strict = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("components", m.components);
    c("strict", m.strict);
  }
};

struct DescribeClientQuotasResponse {
  struct Entry {
    struct Value {
      std::string key;
      double value = 0;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("key", m.key);
        c("value", m.value);
      }
    };
    std::vector<QuotaEntityPart> entity;
    std::vector<Value> values;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("entity", m.entity);
      c("values", m.values);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::int16_t error_code = 0;
  std::optional<std::string> error_message;
  std::optional<std::vector<Entry>> entries;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("error_code", m.error_code);
    c("error_message", m.error_message);
    c("entries", m.entries);
  }
};

struct AlterClientQuotasRequest {
  struct Entry {
    struct Op {
      std::string key;
      double value = 0;
      bool remove = false;
      template <typename Codec, typename Self>
      static void fields(Codec& c, Self& m) {
        c("key", m.key);
        c("value", m.value);
        c("remove", m.remove);
      }
    };
    std::vector<QuotaEntityPart> entity;
    std::vector<Op> ops;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("entity", m.entity);
      c("ops", m.ops);
    }
  };
  std::vector<Entry> entries;
  bool validate_only = false;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("entries", m.entries);
    c("validate_only", m.validate_only);
  }
};

struct AlterClientQuotasResponse {
  struct Entry {
    std::int16_t error_code = 0;
    std::optional<std::string> error_message;
    std::vector<QuotaEntityPart> entity;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("error_code", m.error_code);
      c("error_message", m.error_message);
      c("entity", m.entity);
    }
  };
  std::int32_t throttle_time_ms = 0;
  std::vector<Entry> entries;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("throttle_time_ms", m.throttle_time_ms);
    c("entries", m.entries);
  }
};

}  // namespace even::kafka
