// Reads MessagePack from the front of bytes that need not be any, without making objects of them:
// for messages that are many. After the first failure everything read is 0, false or empty, and
// ok() is false. Source: https://github.com/msgpack/msgpack/blob/master/spec.md
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "base/byte_reader.h"
#include "base/bytes.h"

namespace even::messagepack {

class Reader {
 public:
  // What is read views `bytes`.
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  // Not below 0, in any of its forms without a sign.
  template <typename Number>
  Number number() {
    std::uint64_t value = 0;
    switch (const auto first = in_.get<std::uint8_t>()) {
      case 0xcc:
        value = in_.get<std::uint8_t>();
        break;
      case 0xcd:
        value = big_endian<std::uint16_t>();
        break;
      case 0xce:
        value = big_endian<std::uint32_t>();
        break;
      case 0xcf:
        value = big_endian<std::uint64_t>();
        break;
      default:
        if (first > 0x7f) return fail(), Number{};
        value = first;
    }
    if (value > static_cast<std::uint64_t>(std::numeric_limits<Number>::max())) fail();
    return ok() ? static_cast<Number>(value) : Number{};
  }
  // Enumerators from 0 to `last`.
  template <typename Enum>
  Enum enumerator(Enum last) {
    const auto value = number<std::uint8_t>();
    if (value > static_cast<std::uint8_t>(last)) fail();
    return ok() ? static_cast<Enum>(value) : Enum{};
  }
  bool boolean() {
    const auto first = in_.get<std::uint8_t>();
    if (first != 0xc2 && first != 0xc3) fail();
    return ok() && first == 0xc3;
  }
  std::string_view binary() {
    switch (in_.get<std::uint8_t>()) {
      case 0xc4:
        return bytes(in_.get<std::uint8_t>());
      case 0xc5:
        return bytes(big_endian<std::uint16_t>());
      case 0xc6:
        return bytes(big_endian<std::uint32_t>());
      default:
        return fail(), std::string_view();
    }
  }
  // The number of elements, which follow; no more than there are bytes, so that memory may be taken
  // for them.
  std::size_t array() {
    std::size_t size = 0;
    const auto first = in_.get<std::uint8_t>();
    if ((first & 0xf0) == 0x90) {
      size = first & 0x0f;
    } else if (first == 0xdc) {
      size = big_endian<std::uint16_t>();
    } else if (first == 0xdd) {
      size = big_endian<std::uint32_t>();
    } else {
      fail();
    }
    if (size > in_.left()) fail();
    return ok() ? size : 0;
  }
  // An array of so many.
  void array_of(std::size_t size) {
    if (array() != size) fail();
  }

  bool ok() const { return ok_ && in_.ok(); }
  bool at_end() const { return in_.at_end(); }

 private:
  template <typename T>
  T big_endian() {
    return std::byteswap(in_.get<T>());
  }
  std::string_view bytes(std::size_t size) { return ok() ? in_.bytes(size) : std::string_view(); }
  // What is left is not what it seems.
  void fail() {
    ok_ = false;
    in_ = ByteReader({});
  }

  ByteReader in_;
  bool ok_ = true;
};

}  // namespace even::messagepack
