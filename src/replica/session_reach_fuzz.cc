// Any bytes as a session, as one node sends it to another or a token has it. What is read means the
// same when it is written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "replica/session_reach.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace even;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto content = decode_session(bytes)) {
    if (decode_session(encode_session(*content)) != *content) std::abort();
  }
  return 0;
}
