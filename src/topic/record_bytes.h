// The parts of a Kafka record, as they lie in a batch: variable-length integers in zigzag, and
// bytes behind their length. See Kafka's documentation, "Record".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace even::topic {

// Reads from the front; once something is cut off or malformed, ok() is false for good.
class RecordBytes {
 public:
  explicit RecordBytes(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }
  std::int64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
      }
    }
    ok_ = false;
    return 0;
  }
  std::string_view bytes(std::int64_t size) {
    if (size < 0 || static_cast<std::uint64_t>(size) > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // None: its length is -1.
  std::optional<std::string_view> optional_bytes() {
    const std::int64_t size = varint();
    if (size == -1) return std::nullopt;
    return bytes(size);
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace even::topic
