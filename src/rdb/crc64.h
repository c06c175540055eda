// CRC-64 as Redis computes it over RDB files and DUMP's payloads: the polynomial of D. Jones,
// 0xad93d23594c935a9, reflected, from 0 on.
#pragma once

#include <cstdint>
#include <string_view>

namespace even::rdb {

std::uint64_t crc64(std::string_view bytes, std::uint64_t before = 0);

}  // namespace even::rdb
