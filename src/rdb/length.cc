#include "rdb/length.h"

#include <limits>

#include "base/bytes.h"
#include "rdb/lzf.h"
#include "rdb/packed.h"

namespace even::rdb {
namespace {

constexpr std::size_t kLongestUncompressed = 20;

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

template <typename Number>
bool fits_in(std::int64_t number) {
  return number >= std::numeric_limits<Number>::min() &&
         number <= std::numeric_limits<Number>::max();
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

void put_length(std::string& out, std::uint64_t length) {
  const auto big_endian = [&out](std::uint64_t number, int bytes) {
    for (int i = bytes; i-- > 0;) out += static_cast<char>(number >> 8 * i & 0xff);
  };
  if (length < 64) {
    out += static_cast<char>(length);
  } else if (length < 16384) {
    big_endian(length | 0x4000, 2);
  } else if (length <= 0xffffffff) {
    out += '\x80';
    big_endian(length, 4);
  } else {
    out += '\x81';
    big_endian(length, 8);
  }
}

void put_string(std::string& out, std::string_view text) {
  constexpr std::size_t kLongestInteger = 11;
  const auto special = [&out](SpecialForm form) { out += special_byte(form); };
  std::int64_t number;
  if (text.size() <= kLongestInteger && parse_canonical(text, number) &&
      fits_in<std::int32_t>(number)) {
    if (fits_in<std::int8_t>(number)) {
      special(SpecialForm::kInt8);
      return put_little_endian(out, static_cast<std::int8_t>(number));
    }
    if (fits_in<std::int16_t>(number)) {
      special(SpecialForm::kInt16);
      return put_little_endian(out, static_cast<std::int16_t>(number));
    }
    special(SpecialForm::kInt32);
    return put_little_endian(out, static_cast<std::int32_t>(number));
  }
  if (text.size() > kLongestUncompressed) {
    const std::string compressed = compress_lzf(text, text.size() - 4);
    if (!compressed.empty()) {
      special(SpecialForm::kLzf);
      put_length(out, compressed.size());
      put_length(out, text.size());
      out += compressed;
      return;
    }
  }
  put_length(out, text.size());
  out.append(text);
}

}  // namespace even::rdb
