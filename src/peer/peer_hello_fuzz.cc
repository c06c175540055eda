// What another node sends in a handshake, as a forwarded request or as publications is either
// refused or means the same when it is written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "peer/forward_message.h"
#include "peer/peer_hello.h"
#include "peer/publish_message.h"

using namespace even;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto hello = decode_hello(bytes); hello && hello->protocol == kPeerProtocol) {
    if (decode_hello(encode_hello(*hello)) != *hello) std::abort();
    Hello mine;
    mine.cluster_id = hello->cluster_id;
    mine.partitions = hello->partitions;
    (void)check_hello(*hello, mine, {});
  }
  if (const auto reason = decode_refusal(bytes)) {
    if (reason->size() <= 1000 && decode_refusal(encode_refusal(*reason)) != *reason) std::abort();
  }
  if (const auto request = decode_forward_request(bytes)) {
    const std::vector<std::string_view> args(request->args.begin(), request->args.end());
    if (decode_forward_request(encode_forward_request(
            request->id, request->resp3, args, request->within, request->level, request->in_session,
            request->session)) != *request) {
      std::abort();
    }
  }
  if (const auto reply = decode_forward_reply(bytes)) {
    if (decode_forward_reply(encode_forward_reply(reply->id, reply->bytes, reply->session)) !=
        *reply) {
      std::abort();
    }
  }
  if (const auto published = decode_published(bytes)) {
    std::string again;
    for (const Published& message : *published) append_published(message, again);
    if (again != bytes) std::abort();
  }
  return 0;
}
