// What every reader and writer of MessagePack needs: binary parts, checked reads, and unpacking of
// bytes that may be hostile. For the .cc files of formats only; msgpack.hpp is a large header.
//
// A read returns false when the object is of another type or out of range; what it has written to
// then is unspecified. Source: https://github.com/msgpack/msgpack/blob/master/spec.md
#pragma once

#include <cstdint>
#include <limits>
#include <msgpack.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::messagepack {

using Packer = msgpack::packer<msgpack::sbuffer>;

inline void pack_binary(Packer& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

inline std::string bytes_of(const msgpack::sbuffer& buffer) {
  return std::string(buffer.data(), buffer.size());
}

inline bool is_array(const msgpack::object& object, std::size_t size) {
  return object.type == msgpack::type::ARRAY && object.via.array.size == size;
}

template <typename Number>
bool read(const msgpack::object& object, Number& out) {
  if (object.type != msgpack::type::POSITIVE_INTEGER ||
      object.via.u64 > static_cast<std::uint64_t>(std::numeric_limits<Number>::max())) {
    return false;
  }
  out = static_cast<Number>(object.via.u64);
  return true;
}

inline bool read(const msgpack::object& object, bool& out) {
  if (object.type != msgpack::type::BOOLEAN) return false;
  out = object.via.boolean;
  return true;
}

// Refers to the bytes that were unpacked.
inline bool read(const msgpack::object& object, std::string_view& out) {
  if (object.type != msgpack::type::BIN) return false;
  out = {object.via.bin.ptr, object.via.bin.size};
  return true;
}

inline bool read(const msgpack::object& object, std::string& out) {
  std::string_view bytes;
  if (!read(object, bytes)) return false;
  out = bytes;
  return true;
}

// Enumerators from 0 to `last`.
template <typename Enum>
bool read_enum(const msgpack::object& object, Enum last, Enum& out) {
  std::uint8_t value = 0;
  if (!read(object, value) || value > static_cast<std::uint8_t>(last)) return false;
  out = static_cast<Enum>(value);
  return true;
}

// Unpacks one object that takes all of `bytes`, arrays within arrays to `depth`, and calls
// read(object). Binary parts stay where they are: the object refers to `bytes`. The error says
// `what` it is that is malformed.
template <typename Read>
Result<> unpack(std::string_view bytes, std::size_t depth, std::string_view what, Read read) {
  try {
    std::size_t offset = 0;
    bool referenced = false;
    const auto refer = [](msgpack::type::object_type, std::size_t, void*) { return true; };
    // An element takes at least one byte: a larger count is a lie that must not be allocated for.
    const msgpack::object_handle handle =
        msgpack::unpack(bytes.data(), bytes.size(), offset, referenced, refer, nullptr,
                        msgpack::unpack_limit(bytes.size(), 0, 0, UINT32_MAX, 0, depth));
    if (offset == bytes.size() && read(*handle)) return {};
    return fail(std::string("malformed: ").append(what));
  } catch (const std::exception& error) {
    return fail(std::string("malformed: ").append(what).append(": ").append(error.what()));
  }
}

}  // namespace even::messagepack
