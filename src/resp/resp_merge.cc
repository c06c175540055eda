#include "resp/resp_merge.h"

#include <charconv>

namespace even {
namespace {

constexpr std::string_view kBadPart = "-ERR another node's reply cannot be understood\r\n";
constexpr int kMaxDepth = 16;

// The number in the header line at the start of `bytes`, and the length of the line with its end.
bool read_header(std::string_view bytes, std::int64_t& number, std::size_t& length) {
  const std::size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return false;
  length = end + 2;
  const auto [stop, error] = std::from_chars(bytes.data() + 1, bytes.data() + end, number);
  return error == std::errc() && stop == bytes.data() + end;
}

std::size_t length_of(std::string_view bytes, int depth) {
  if (bytes.empty() || depth > kMaxDepth) return 0;
  std::int64_t count = 0;
  std::size_t line = 0;
  switch (bytes[0]) {
    case '$':
    case '=':
      if (!read_header(bytes, count, line)) return 0;
      if (count < 0) return line;
      return bytes.size() >= line + static_cast<std::size_t>(count) + 2
                 ? line + static_cast<std::size_t>(count) + 2
                 : 0;
    case '*':
    case '~':
    case '%': {
      if (!read_header(bytes, count, line)) return 0;
      if (bytes[0] == '%') count *= 2;
      std::size_t length = line;
      for (std::int64_t i = 0; i < count; ++i) {
        const std::size_t element = length_of(bytes.substr(length), depth + 1);
        if (element == 0) return 0;
        length += element;
      }
      return length;
    }
    default: {
      const std::size_t end = bytes.find("\r\n");
      return end == std::string_view::npos ? 0 : end + 2;
    }
  }
}

}  // namespace

std::size_t reply_length(std::string_view bytes) { return length_of(bytes, 0); }

std::string merge_replies(Split split, std::size_t key_count, std::span<const PartReply> parts) {
  for (const PartReply& part : parts) {
    if (part.reply.starts_with('-')) return part.reply;
  }
  switch (split) {
    case Split::kNever:
    case Split::kAny:
    case Split::kCursor:
      break;  // have one part at a time
    case Split::kOk:
      return "+OK\r\n";
    case Split::kSum: {
      std::int64_t sum = 0;
      for (const PartReply& part : parts) {
        std::int64_t number = 0;
        std::size_t length = 0;
        if (!part.reply.starts_with(':') || !read_header(part.reply, number, length)) {
          return std::string(kBadPart);
        }
        sum += number;
      }
      return ":" + std::to_string(sum) + "\r\n";
    }
    case Split::kConcatenate: {
      std::int64_t total = 0;
      std::string elements;
      for (const PartReply& part : parts) {
        std::int64_t count = 0;
        std::size_t position = 0;
        if (reply_length(part.reply) != part.reply.size() || !part.reply.starts_with('*') ||
            !read_header(part.reply, count, position)) {
          return std::string(kBadPart);
        }
        total += count;
        elements.append(part.reply, position);
      }
      return "*" + std::to_string(total) + "\r\n" + elements;
    }
    case Split::kGather: {
      std::vector<std::string_view> elements(key_count);
      for (const PartReply& part : parts) {
        std::int64_t count = 0;
        std::size_t position = 0;
        if (!part.reply.starts_with('*') || !read_header(part.reply, count, position) ||
            count != static_cast<std::int64_t>(part.keys.size())) {
          return std::string(kBadPart);
        }
        for (std::size_t key : part.keys) {
          const std::string_view rest = std::string_view(part.reply).substr(position);
          const std::size_t length = reply_length(rest);
          if (length == 0) return std::string(kBadPart);
          elements[key] = rest.substr(0, length);
          position += length;
        }
      }
      std::string reply = "*" + std::to_string(key_count) + "\r\n";
      for (std::string_view element : elements) reply += element;
      return reply;
    }
  }
  return std::string(kBadPart);
}

}  // namespace even
