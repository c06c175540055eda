#include "engine/json.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/check.h"

namespace even {
namespace {

void put_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      const auto byte = i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u;
      bits = bits << 8 | byte;
    }
    for (std::size_t j = 0; j < 4; ++j) {
      const bool padding = i + j > bytes.size();
      out += padding ? '=' : kDigits[bits >> (6 * (3 - j)) & 0x3f];
    }
  }
}

// Goes through a reply, value by value.
class ReplyReader {
 public:
  explicit ReplyReader(std::string_view reply) : left_(reply) {}

  struct Value {
    char type = 0;
    std::string_view text;   // of what is no aggregate
    std::size_t length = 0;  // of an aggregate: of values, two to each pair of a map
    bool null = false;
  };

  Value next() {
    EVEN_CHECK(!left_.empty(), "a reply ends early");
    Value value{.type = left_.front(), .text = line()};
    const bool is_text = value.type == '$' || value.type == '=';
    if (is_text || is_aggregate(value.type)) {
      std::int64_t length = 0;
      std::from_chars(value.text.data(), value.text.data() + value.text.size(), length);
      value.null = length < 0;
      value.length = static_cast<std::size_t>(std::max<std::int64_t>(length, 0));
      if (value.type == '%') value.length *= 2;
      if (is_text && !value.null) {
        value.text = left_.substr(0, value.length);
        left_.remove_prefix(std::min(value.length + 2, left_.size()));
        if (value.type == '=') value.text.remove_prefix(std::min<std::size_t>(4, value.length));
      }
    }
    return value;
  }
  static bool is_aggregate(char type) { return type == '*' || type == '~' || type == '%'; }
  bool at_end() const { return left_.empty(); }

 private:
  std::string_view line() {
    const std::size_t end = left_.find("\r\n");
    EVEN_CHECK(end != std::string_view::npos, "a reply ends early");
    const std::string_view text = left_.substr(1, end - 1);
    left_.remove_prefix(end + 2);
    return text;
  }

  std::string_view left_;
};

void put_value(std::string& out, ReplyReader& reader, JsonText text);

void put_aggregate(std::string& out, ReplyReader& reader, const ReplyReader::Value& value,
                   JsonText text) {
  const bool is_map = value.type == '%';
  std::vector<std::string> all;
  for (std::size_t i = 0; i < value.length; ++i) {
    std::string& each = all.emplace_back();
    put_value(each, reader, text);
    if (!is_map) continue;
    each += ':';
    put_value(each, reader, text);
    ++i;
  }
  if (value.type != '*') std::ranges::sort(all);
  out += is_map ? '{' : '[';
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0) out += ',';
    out += all[i];
  }
  out += is_map ? '}' : ']';
}

void put_value(std::string& out, ReplyReader& reader, JsonText text) {
  const ReplyReader::Value value = reader.next();
  if (value.null || value.type == '_') {
    out += "null";
  } else if (ReplyReader::is_aggregate(value.type)) {
    put_aggregate(out, reader, value, text);
  } else if (value.type == '#') {
    out += value.text == "t" ? "true" : "false";
  } else if (value.type == ':') {
    out += value.text;
  } else if (value.type == ',') {
    const bool finite = value.text.find_first_of("in") == std::string_view::npos;
    finite ? void(out += value.text) : put_json_text(out, value.text);
  } else {
    put_json_text(out, value.text, text);
  }
}

// How many bytes the character that begins here has; 0: it is none. See RFC 3629, section 4.
std::size_t character_bytes(std::string_view bytes) {
  const auto at = [&bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = at(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool none = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return overlong || none ? 0 : size;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t size = character_bytes(bytes);
    if (size == 0) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

void put_json_text(std::string& out, std::string_view bytes, JsonText text) {
  out += '"';
  if (text == JsonText::kBase64) {
    put_base64(out, bytes);
  } else {
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : bytes) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += "\\u00";
        out += kHex[static_cast<unsigned char>(c) >> 4];
        out += kHex[static_cast<unsigned char>(c) & 0xf];
      } else {
        out += c;
      }
    }
  }
  out += '"';
}

bool reply_is_utf8(std::string_view reply) {
  for (ReplyReader reader(reply); !reader.at_end();) {
    const ReplyReader::Value value = reader.next();
    if (!value.null && !ReplyReader::is_aggregate(value.type) && !is_utf8(value.text)) return false;
  }
  return true;
}

void put_json_reply(std::string& out, std::string_view reply, JsonText text) {
  ReplyReader reader(reply);
  put_value(out, reader, text);
}

}  // namespace even
