// Requests as clients may send them, or not: whatever is read is written and read again, and comes
// to the same (describe_request() checks it).
#include <cstddef>
#include <cstdint>

#include "kafka/apis.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  even::kafka::describe_request({reinterpret_cast<const char*>(data), size});
  return 0;
}
