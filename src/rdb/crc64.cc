#include "rdb/crc64.h"

#include <array>

namespace even::rdb {
namespace {

constexpr std::uint64_t kReflected = 0x95ac9329ac4bc9b5;

constexpr std::array<std::uint64_t, 256> kTable = [] {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t byte = 0; byte < table.size(); ++byte) {
    std::uint64_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ ((rest & 1) != 0 ? kReflected : 0);
    table[byte] = rest;
  }
  return table;
}();

}  // namespace

std::uint64_t crc64(std::string_view bytes, std::uint64_t before) {
  for (const char c : bytes) {
    before = kTable[(before ^ static_cast<unsigned char>(c)) & 0xff] ^ before >> 8;
  }
  return before;
}

}  // namespace even::rdb
