#include "rdb/packed.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/byte_reader.h"
#include "base/bytes.h"

namespace even::rdb {
namespace {

constexpr unsigned kEnd = 0xff;
constexpr std::size_t kUnknownCount = 0xffff;  // of elements, where there are as many or more
constexpr const char* kTooMany = "more elements than there may be memory for";

unsigned front_byte(ByteReader& in) { return in.get<std::uint8_t>(); }

// A little-endian integer of so many bytes, with sign.
std::int64_t signed_integer(ByteReader& in, std::size_t bytes) {
  const std::string_view raw = in.bytes(bytes);
  if (raw.empty()) return 0;
  std::uint64_t out = 0;
  for (std::size_t i = raw.size(); i-- > 0;) out = out << 8 | static_cast<unsigned char>(raw[i]);
  const unsigned unused = static_cast<unsigned>(64 - 8 * bytes);
  return static_cast<std::int64_t>(out << unused) >> unused;
}

// How many bytes a listpack uses for saying how long an entry is, to readers from behind.
std::size_t back_length_bytes(std::size_t entry) {
  std::size_t bytes = 1;
  for (; entry > 127 && bytes < 5; entry >>= 7) ++bytes;
  return bytes;
}

// The element of a listpack that comes next, without the length behind it; `first` has been read.
std::string listpack_element(ByteReader& in, unsigned first) {
  if (first < 0x80) return std::to_string(first);
  if (first < 0xc0) return std::string(in.bytes(first & 0x3f));
  if (first < 0xe0) {
    const unsigned number = (first & 0x1f) << 8 | front_byte(in);
    return std::to_string(number < 4096 ? static_cast<int>(number)
                                        : static_cast<int>(number) - 8192);
  }
  if (first < 0xf0) {
    const unsigned size = (first & 0x0f) << 8 | front_byte(in);
    return std::string(in.bytes(size));
  }
  switch (first) {
    case 0xf0:
      return std::string(in.bytes(in.get<std::uint32_t>()));
    case 0xf1:
      return std::to_string(signed_integer(in, 2));
    case 0xf2:
      return std::to_string(signed_integer(in, 3));
    case 0xf3:
      return std::to_string(signed_integer(in, 4));
    case 0xf4:
      return std::to_string(signed_integer(in, 8));
    default:
      in.bytes(in.left() + 1);  // fails
      return {};
  }
}

std::string ziplist_element(ByteReader& in) {
  const unsigned first = front_byte(in);
  switch (first >> 6) {
    case 0:
      return std::string(in.bytes(first & 0x3f));
    case 1: {
      const std::size_t size = (first & 0x3f) << 8 | front_byte(in);
      return std::string(in.bytes(size));
    }
    case 2: {
      std::size_t size = 0;
      for (int i = 0; i < 4; ++i) size = size << 8 | front_byte(in);
      return std::string(in.bytes(size));
    }
    default:
      break;
  }
  switch (first) {
    case 0xc0:
      return std::to_string(signed_integer(in, 2));
    case 0xd0:
      return std::to_string(signed_integer(in, 4));
    case 0xe0:
      return std::to_string(signed_integer(in, 8));
    case 0xf0:
      return std::to_string(signed_integer(in, 3));
    case 0xfe:
      return std::to_string(signed_integer(in, 1));
    default:
      if (first >= 0xf1 && first <= 0xfd) return std::to_string(first - 0xf1);
      in.bytes(in.left() + 1);  // fails
      return {};
  }
}

void put_bytes(std::string& out, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> 8 * i & 0xff);
}

void put_listpack_integer(std::string& out, std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  const auto within = [number](int width) {
    return number >= -(1ll << (width - 1)) && number < 1ll << (width - 1);
  };
  if (number >= 0 && number < 128) {
    out += static_cast<char>(number);
  } else if (within(13)) {
    out += static_cast<char>(0xc0 | (bits >> 8 & 0x1f));
    out += static_cast<char>(bits & 0xff);
  } else if (within(16)) {
    out += '\xf1';
    put_bytes(out, bits, 2);
  } else if (within(24)) {
    out += '\xf2';
    put_bytes(out, bits, 3);
  } else if (within(32)) {
    out += '\xf3';
    put_bytes(out, bits, 4);
  } else {
    out += '\xf4';
    put_bytes(out, bits, 8);
  }
}

void put_listpack_string(std::string& out, std::string_view text) {
  if (text.size() < 64) {
    out += static_cast<char>(0x80 | text.size());
  } else if (text.size() < 4096) {
    out += static_cast<char>(0xe0 | text.size() >> 8);
    out += static_cast<char>(text.size() & 0xff);
  } else {
    out += '\xf0';
    put_bytes(out, text.size(), 4);
  }
  out.append(text);
}

void put_back_length(std::string& out, std::size_t entry) {
  const std::size_t bytes = back_length_bytes(entry);
  for (std::size_t i = bytes; i-- > 0;) {
    const unsigned part = static_cast<unsigned>(entry >> 7 * i & 127);
    out += static_cast<char>(i + 1 == bytes ? part : part | 128);
  }
}

}  // namespace

bool parse_canonical(std::string_view text, std::int64_t& out) {
  if (text.empty() || text.size() > 20) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && std::to_string(out) == text;
}

Result<std::vector<std::string>> read_listpack(std::string_view bytes, Budget& budget) {
  ByteReader in(bytes);
  const std::size_t size = in.get<std::uint32_t>();
  const std::size_t count = in.get<std::uint16_t>();
  if (!in.ok() || size != bytes.size()) return fail("a listpack of another size than it says");
  std::vector<std::string> out;
  for (;;) {
    const std::size_t left = in.left();
    const unsigned first = front_byte(in);
    if (!in.ok()) return fail("a listpack without an end");
    if (first == kEnd) break;
    if (!budget.take_element()) return fail(kTooMany);
    out.push_back(listpack_element(in, first));
    in.bytes(back_length_bytes(left - in.left()));
    if (!in.ok()) return fail("a listpack with an element that is not whole");
  }
  if (!in.at_end()) return fail("a listpack that goes on behind its end");
  if (count != kUnknownCount && count != out.size()) {
    return fail("a listpack with another number of elements than it says");
  }
  return out;
}

Result<std::vector<std::string>> read_ziplist(std::string_view bytes, Budget& budget) {
  ByteReader in(bytes);
  const std::size_t size = in.get<std::uint32_t>();
  in.get<std::uint32_t>();  // where the last element begins
  const std::size_t count = in.get<std::uint16_t>();
  if (!in.ok() || size != bytes.size()) return fail("a ziplist of another size than it says");
  std::vector<std::string> out;
  for (;;) {
    const unsigned before = front_byte(in);  // the length of the element before
    if (!in.ok()) return fail("a ziplist without an end");
    if (before == kEnd) break;
    if (before == 0xfe) in.get<std::uint32_t>();
    if (!budget.take_element()) return fail(kTooMany);
    out.push_back(ziplist_element(in));
    if (!in.ok()) return fail("a ziplist with an element that is not whole");
  }
  if (!in.at_end()) return fail("a ziplist that goes on behind its end");
  if (count != kUnknownCount && count != out.size()) {
    return fail("a ziplist with another number of elements than it says");
  }
  return out;
}

Result<std::vector<std::string>> read_intset(std::string_view bytes, Budget& budget) {
  ByteReader in(bytes);
  const std::size_t width = in.get<std::uint32_t>();
  if (width != 2 && width != 4 && width != 8) return fail("an intset of numbers of unknown width");
  const std::size_t count = in.count<std::uint32_t>(width);
  if (!in.ok() || in.left() != count * width) return fail("an intset of another size than it says");
  std::vector<std::string> out;
  std::int64_t last = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t number = signed_integer(in, width);
    if (i > 0 && number <= last) return fail("an intset out of order");
    last = number;
    if (!budget.take_element()) return fail(kTooMany);
    out.push_back(std::to_string(number));
  }
  return out;
}

void ListpackWriter::add(std::string_view element) {
  const std::size_t before = body_.size();
  std::int64_t number;
  if (parse_canonical(element, number)) {
    put_listpack_integer(body_, number);
  } else {
    put_listpack_string(body_, element);
  }
  put_back_length(body_, body_.size() - before);
  ++elements_;
}

std::string ListpackWriter::finish() {
  std::string out;
  put_bytes(out, bytes(), 4);
  put_bytes(out, std::min(elements_, kUnknownCount), 2);
  out += body_;
  out += static_cast<char>(kEnd);
  body_.clear();
  elements_ = 0;
  return out;
}

std::string write_intset(std::vector<std::int64_t> numbers) {
  std::ranges::sort(numbers);
  const auto fits = [&numbers](std::int64_t most) {
    return numbers.empty() || (numbers.front() >= -most - 1 && numbers.back() <= most);
  };
  const std::size_t width = fits(std::numeric_limits<std::int16_t>::max())   ? 2
                            : fits(std::numeric_limits<std::int32_t>::max()) ? 4
                                                                             : 8;
  std::string out;
  put_bytes(out, width, 4);
  put_bytes(out, numbers.size(), 4);
  for (const std::int64_t number : numbers) {
    put_bytes(out, static_cast<std::uint64_t>(number), width);
  }
  return out;
}

}  // namespace even::rdb
