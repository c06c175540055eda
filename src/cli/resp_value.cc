#include "cli/resp_value.h"

#include <charconv>

namespace even::cli {
namespace {

constexpr int kMostDepth = 16;

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

// Takes a value from the front. False: there is no whole one.
bool take_value(std::string_view& bytes, int depth, RespValue& out) {
  const std::size_t end = bytes.find("\r\n");
  if (bytes.empty() || end == std::string_view::npos || depth > kMostDepth) return false;
  const char type = bytes[0];
  const std::string_view line = bytes.substr(1, end - 1);
  bytes.remove_prefix(end + 2);
  if (type == '+' || type == '-' || type == ':') {
    out.text = line;
    return true;
  }
  const auto length = parse_number(line);
  if (!length || (type != '$' && type != '*')) return false;
  out.array = type == '*';
  out.null = *length < 0;
  if (out.null) return true;
  const auto size = static_cast<std::size_t>(*length);
  if (type == '$') {
    if (bytes.size() < size + 2 || bytes.substr(size, 2) != "\r\n") return false;
    out.text = bytes.substr(0, size);
    bytes.remove_prefix(size + 2);
    return true;
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (!take_value(bytes, depth + 1, out.elements.emplace_back())) return false;
  }
  return true;
}

}  // namespace

std::int64_t RespValue::number() const { return parse_number(text).value_or(0); }

const RespValue* RespValue::find(std::string_view name) const {
  for (std::size_t i = 0; i + 1 < elements.size(); i += 2) {
    if (elements[i].text == name) return &elements[i + 1];
  }
  return nullptr;
}

std::int64_t RespValue::number_of(std::string_view name) const {
  const RespValue* found = find(name);
  return found == nullptr ? 0 : found->number();
}

std::string RespValue::text_of(std::string_view name) const {
  const RespValue* found = find(name);
  return found == nullptr ? "" : found->text;
}

Result<RespValue> decode_value(std::string_view bytes) {
  const bool is_error = bytes.starts_with('-');
  RespValue value;
  if (!take_value(bytes, 0, value) || !bytes.empty()) return fail("the answer makes no sense");
  if (is_error) return fail(std::move(value.text));
  return value;
}

}  // namespace even::cli
