#include "peer/forward_message.h"

#include <gtest/gtest.h>

namespace even {
namespace {

using namespace std::string_literals;

TEST(ForwardMessage, IsReadBackAsItWasWritten) {
  const std::string binary = "a\0\r\n\xff"s;
  const std::string_view args[] = {"set", binary, ""};
  const ForwardRequest request{.id = 77,
                               .resp3 = true,
                               .args = {"set", binary, ""},
                               .within = {0, 3, 65535},
                               .level = {cluster::Level::Kind::kReplicas, 2},
                               .in_session = true,
                               .session = binary};
  EXPECT_EQ(decode_forward_request(encode_forward_request(77, true, args, request.within,
                                                          request.level, true, binary)),
            request);
  const ForwardReply reply{.id = UINT64_MAX, .bytes = "$-1\r\n", .session = binary};
  EXPECT_EQ(decode_forward_reply(encode_forward_reply(UINT64_MAX, "$-1\r\n", binary)), reply);
}

TEST(ForwardMessage, AnythingElseIsRefused) {
  const std::string_view args[] = {"get", "k"};
  const std::string request = encode_forward_request(1, false, args, {});
  for (std::size_t length = 0; length < request.size(); ++length) {
    EXPECT_FALSE(decode_forward_request(std::string_view(request).substr(0, length)));
  }
  EXPECT_FALSE(decode_forward_request(request + "x"));
  EXPECT_FALSE(decode_forward_request(encode_forward_request(1, false, {}, {})));
  EXPECT_FALSE(decode_forward_request(encode_forward_reply(1, "+OK\r\n")));
  EXPECT_FALSE(decode_forward_reply(request));
  const PartitionId unordered[] = {3, 3};
  EXPECT_FALSE(decode_forward_request(encode_forward_request(1, false, args, unordered)));
  // An array that claims 2^32 - 1 elements.
  EXPECT_FALSE(decode_forward_request("\x97\x01\xc2\xdd\xff\xff\xff\xff"));
}

}  // namespace
}  // namespace even
