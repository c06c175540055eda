#include "rdb/length.h"

#include "rdb/lzf.h"

namespace even::rdb {
namespace {

std::uint64_t big_endian(ByteReader& in, std::size_t bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < bytes; ++i) out = out << 8 | in.get<std::uint8_t>();
  return out;
}

// `first` has been read.
bool read_rest(unsigned first, ByteReader& in, std::uint64_t& length) {
  switch (first >> 6) {
    case 0:
      length = first & 0x3f;
      break;
    case 1:
      length = (first & 0x3f) << 8 | in.get<std::uint8_t>();
      break;
    case 2:
      if (first != 0x80 && first != 0x81) return false;
      length = big_endian(in, first == 0x80 ? 4 : 8);
      break;
    default:
      return false;
  }
  return in.ok();
}

}  // namespace

bool read_length(ByteReader& in, std::uint64_t& length) {
  return read_rest(in.get<std::uint8_t>(), in, length);
}

bool read_string(ByteReader& in, Budget& budget, std::string& text) {
  const unsigned first = in.get<std::uint8_t>();
  if (first >> 6 != 3) {
    std::uint64_t size = 0;
    if (!read_rest(first, in, size) || size > in.left()) return false;
    text = in.bytes(static_cast<std::size_t>(size));
    return true;
  }
  switch (static_cast<SpecialForm>(first & 0x3f)) {
    case SpecialForm::kInt8:
      text = std::to_string(in.get<std::int8_t>());
      return in.ok();
    case SpecialForm::kInt16:
      text = std::to_string(in.get<std::int16_t>());
      return in.ok();
    case SpecialForm::kInt32:
      text = std::to_string(in.get<std::int32_t>());
      return in.ok();
    case SpecialForm::kLzf: {
      std::uint64_t compressed = 0;
      std::uint64_t whole = 0;
      if (!read_length(in, compressed) || !read_length(in, whole)) return false;
      if (compressed > in.left() || whole > kMostStringBytes || !budget.take(whole)) return false;
      auto bytes = decompress_lzf(in.bytes(static_cast<std::size_t>(compressed)),
                                  static_cast<std::size_t>(whole));
      if (!bytes) return false;
      text = std::move(*bytes);
      return true;
    }
  }
  return false;
}

}  // namespace even::rdb
