// CRC-32C (Castagnoli, RFC 3720 B.4), which Kafka's record batches are checked by.
#pragma once

#include <cstdint>
#include <string_view>

namespace even::topic {

std::uint32_t crc32c(std::string_view bytes);

}  // namespace even::topic
