// Messages by which a node has another one execute a client's request. MessagePack arrays:
//   request: [id, resp3, [word, ...], [partition, ...], [kind of level, number]]
//   reply:   [id, RESP bytes]
// Words and bytes are binary. A command over the whole database is about the partitions that are
// listed; with any other command there are none.
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
  bool operator==(const ForwardRequest&) const = default;
};

struct ForwardReply {
  std::uint64_t id = 0;
  std::string bytes;
  bool operator==(const ForwardReply&) const = default;
};

std::string encode_forward_request(std::uint64_t id, bool resp3, Args args,
                                   std::span<const PartitionId> within, cluster::Level level = {});
Result<ForwardRequest> decode_forward_request(std::string_view bytes);
std::string encode_forward_reply(std::uint64_t id, std::string_view reply);
Result<ForwardReply> decode_forward_reply(std::string_view bytes);

}  // namespace even
