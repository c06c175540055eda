// Reads fixed-width little-endian integers and runs of bytes from the front of some that need not
// be there: after the first failure everything read is 0 or empty and ok() is false.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"

namespace even {

class ByteReader {
 public:
  // What is read views `bytes`.
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  T get() {
    if (rest_.size() < sizeof(T)) {
      fail();
      return 0;
    }
    const T value = get_little_endian<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view bytes(std::size_t size) {
    if (rest_.size() < size) {
      fail();
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  // The number of parts that follow, of so many bytes at least each: fails when they cannot all be
  // there, so that memory may be taken for them.
  template <typename T>
  std::size_t count(std::size_t least_bytes) {
    const std::size_t parts = get<T>();
    if (parts <= rest_.size() / least_bytes) return parts;
    fail();
    return 0;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  void fail() {
    ok_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace even
