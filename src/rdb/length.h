// Lengths and strings as RDB files have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/byte_reader.h"
#include "rdb/budget.h"

namespace even::rdb {

// The most that a string may have.
inline constexpr std::size_t kMostStringBytes = 512ull << 20;

// What a string may be instead of a length and bytes.
enum class SpecialForm : std::uint8_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };
constexpr char special_byte(SpecialForm form) {
  return static_cast<char>(0xc0 | static_cast<unsigned>(form));
}

// These read from the front of what they are given. False: it is none, or cut off.
bool read_length(ByteReader& in, std::uint64_t& length);
bool read_string(ByteReader& in, Budget& budget, std::string& text);
// As Redis 7.0 writes them: numbers as such, long strings compressed.
void put_length(std::string& out, std::uint64_t length);
void put_string(std::string& out, std::string_view text);

}  // namespace even::rdb
