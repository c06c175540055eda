// Fixed-width integers as bytes: in little-endian order, as all of Even's formats have them, and in
// big-endian order where bytes are to sort as the numbers do.
#pragma once

#include <bit>
#include <cstring>
#include <string>

namespace even {

static_assert(std::endian::native == std::endian::little,
              "reading and writing copy the machine's own bytes");

template <typename T>
void put_little_endian(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
T get_little_endian(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <typename T>
void put_big_endian(std::string& out, T value) {
  put_little_endian(out, std::byteswap(value));
}

template <typename T>
T get_big_endian(const char* bytes) {
  return std::byteswap(get_little_endian<T>(bytes));
}

}  // namespace even
