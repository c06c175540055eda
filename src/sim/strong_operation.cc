#include "sim/strong_operation.h"

#include <fmt/format.h>

#include <charconv>

namespace even::sim {
namespace {

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<StrongReply> parse_one(std::string_view& rest) {
  const std::size_t end = rest.find("\r\n");
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const char type = rest[0];
  const std::string_view line = rest.substr(1, end - 1);
  rest.remove_prefix(end + 2);
  using Kind = StrongReply::Kind;
  switch (type) {
    case '+':
      return StrongReply{Kind::kStatus, std::string(line), {}};
    case '-':
      return StrongReply{Kind::kError, std::string(line), {}};
    case ':':
      if (!number_of(line)) return std::nullopt;
      return StrongReply{Kind::kInteger, std::string(line), {}};
    case '$': {
      const auto size = number_of(line);
      if (!size) return std::nullopt;
      if (*size < 0) return StrongReply{};
      const auto bytes = static_cast<std::size_t>(*size);
      if (rest.size() < bytes + 2) return std::nullopt;
      StrongReply reply{Kind::kBulk, std::string(rest.substr(0, bytes)), {}};
      rest.remove_prefix(bytes + 2);
      return reply;
    }
    case '*': {
      const auto size = number_of(line);
      if (!size) return std::nullopt;
      if (*size < 0) return StrongReply{};
      StrongReply reply{Kind::kArray, "", {}};
      for (std::int64_t i = 0; i < *size; ++i) {
        auto part = parse_one(rest);
        if (!part) return std::nullopt;
        reply.parts.push_back(std::move(*part));
      }
      return reply;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::int64_t StrongReply::number() const { return number_of(text).value_or(0); }

std::optional<StrongReply> parse_reply(std::string_view resp) {
  auto reply = parse_one(resp);
  return resp.empty() ? std::move(reply) : std::nullopt;
}

std::string bulk_reply(const std::optional<std::string>& value) {
  return value ? fmt::format("${}\r\n{}\r\n", value->size(), *value) : "$-1\r\n";
}

}  // namespace even::sim
