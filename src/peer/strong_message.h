// Messages by which a node has another one execute a request to a strong partition, and learn
// whether it serves by a table of keyspaces. MessagePack arrays:
//   request: [id, group, resp3, transaction, [[word, ...], ...], [[[word, ...], reply], ...],
//             once, once ms, read, bound ms, after, behind]
//   reply:   [id, outcome, RESP bytes, leader, index]
//   serves:  [id, version]; the reply to it comes when all threads of the node serve by that
//            version, or a later one
// Words, replies and RESP bytes are binary. See StrongRequest and StrongOutcome for what they mean.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replica/strong.h"

namespace even {

// A request as it came: owns what its request() views.
class StrongMessage {
 public:
  std::uint64_t id() const { return id_; }
  // Arity has not been checked.
  const StrongRequest& request() const { return request_; }

 private:
  friend Result<std::shared_ptr<const StrongMessage>> decode_strong_request(std::string_view);
  std::uint64_t id_ = 0;
  std::string bytes_;
  std::vector<std::vector<std::string_view>> words_;
  StrongRequest request_;
};

std::string encode_strong_request(std::uint64_t id, const StrongRequest& request);
Result<std::shared_ptr<const StrongMessage>> decode_strong_request(std::string_view bytes);

struct StrongReply {
  std::uint64_t id = 0;
  StrongOutcome outcome;
};
std::string encode_strong_reply(std::uint64_t id, const StrongOutcome& outcome);
Result<StrongReply> decode_strong_reply(std::string_view bytes);

struct ServesRequest {
  std::uint64_t id = 0;
  std::uint64_t version = 0;
};
std::string encode_serves_request(const ServesRequest& request);
Result<ServesRequest> decode_serves_request(std::string_view bytes);

}  // namespace even
