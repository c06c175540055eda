// Any bytes as what is stored of a consumer group, as they are and with the checksum that they
// would have. What decodes must encode to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "consumers/group_record.h"
#include "topic/crc32c.h"

namespace {

void try_record(std::string_view bytes) {
  const auto record = even::kafka::GroupRecord::decode(bytes);
  if (record && record->encode() != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  try_record(bytes);
  even::put_little_endian(bytes, even::topic::crc32c(bytes));
  try_record(bytes);
  return 0;
}
