// What a coordinator stores of a consumer group that has members, once per generation, so that its
// successor goes on where it was: see docs/topics.md, "Members".
//
// The bytes: version 1 (1), the fields in Kafka's encoding of version 0 (codec.h), big endian, and
// a CRC-32C of all before it (4, little endian). No more than kMostRecordBytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topic/kafka_codec.h"

namespace even::kafka {

inline constexpr std::size_t kMostRecordBytes = 4 << 20;

struct GroupRecord {
  struct Protocol {
    std::string name;
    Blob metadata;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("name", m.name);
      c("metadata", m.metadata);
    }
  };
  struct Member {
    std::string id;
    std::optional<std::string> instance;
    std::string client_id;
    std::string client_host;
    std::int32_t session_ms = 0;
    std::int32_t rebalance_ms = 0;
    std::vector<Protocol> protocols;  // all that it can, in order of preference
    Blob assignment;
    template <typename Codec, typename Self>
    static void fields(Codec& c, Self& m) {
      c("id", m.id);
      c("instance", m.instance);
      c("client_id", m.client_id);
      c("client_host", m.client_host);
      c("session_ms", m.session_ms);
      c("rebalance_ms", m.rebalance_ms);
      c("protocols", m.protocols);
      c("assignment", m.assignment);
    }
  };
  std::int32_t generation = 0;
  std::string protocol_type;
  std::string protocol;
  std::string leader;
  std::vector<Member> members;  // in the order of their ids
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("generation", m.generation);
    c("protocol_type", m.protocol_type);
    c("protocol", m.protocol);
    c("leader", m.leader);
    c("members", m.members);
  }

  std::string encode() const;
  // None: they are damaged, of another version, or not of a group that can be. What is read views
  // the bytes.
  static std::optional<GroupRecord> decode(std::string_view bytes);
};

}  // namespace even::kafka
