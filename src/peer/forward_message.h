// Messages by which a node has another one execute a client's request. MessagePack arrays:
//   request: [id, resp3, [word, ...], [partition, ...], [kind of level, number], in session,
//   session] reply:   [id, RESP bytes, session]
// Words and bytes are binary. A command over the whole database is about the partitions that are
// listed; with any other command there are none. A session (replica/session_reach.h) is what the
// client's has seen of the partitions of the keys, and what these have seen afterwards; empty: it
// has none.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/level.h"
#include "engine/command.h"

namespace even {

struct ForwardRequest {
  std::uint64_t id = 0;
  bool resp3 = false;
  std::vector<std::string> args;    // at least one
  std::vector<PartitionId> within;  // ascending
  cluster::Level level;
  bool in_session = false;  // it waits for what the session has seen
  std::string session;      // encoded
  bool operator==(const ForwardRequest&) const = default;
};

struct ForwardReply {
  std::uint64_t id = 0;
  std::string bytes;
  std::string session;  // encoded
  bool operator==(const ForwardReply&) const = default;
};

std::string encode_forward_request(std::uint64_t id, bool resp3, Args args,
                                   std::span<const PartitionId> within, cluster::Level level = {},
                                   bool in_session = false, std::string_view session = {});
Result<ForwardRequest> decode_forward_request(std::string_view bytes);
std::string encode_forward_reply(std::uint64_t id, std::string_view reply,
                                 std::string_view session = {});
Result<ForwardReply> decode_forward_reply(std::string_view bytes);

}  // namespace even
