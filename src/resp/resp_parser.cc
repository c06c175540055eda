#include "resp/resp_parser.h"

#include <charconv>
#include <limits>

namespace even {
namespace {

// Longest header line and longest inline request.
constexpr std::size_t kMaxLine = 64 * 1024;
constexpr std::int64_t kMaxWords = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxWordsUnauthenticated = 10;
constexpr std::int64_t kMaxBulkUnauthenticated = 16384;

constexpr std::size_t kNone = std::string_view::npos;

// Where the line that goes on at `from` ends with `last`, or kNone; in that case `seen` is where to
// go on once there is more. Redis looks for the end as in a C string, so a line with a NUL byte in
// it never ends: it grows until it is too long.
std::size_t find_line_end(std::string_view input, std::size_t from, char last, std::size_t& seen) {
  for (seen = from; seen < input.size() && input[seen] != '\0'; ++seen) {
    if (input[seen] == last) return seen;
  }
  return kNone;
}

// Reads the header line at input[position], "*3\r\n" or "$11\r\n", and moves position behind it,
// when all of it is there and it is as clients write it. Nearly always so: everything else, errors
// included, is for the general way.
bool read_plain_header(std::string_view input, char type, std::size_t& position,
                       std::int64_t& value) {
  constexpr std::size_t kMostDigits = 9;
  if (input.size() - position < kMostDigits + 3) return false;
  const char* at = input.data() + position;
  if (*at++ != type || *at < '1' || *at > '9') return false;
  const char* const digits = at;
  std::int64_t read = 0;
  for (; *at >= '0' && *at <= '9'; ++at) {
    if (at == digits + kMostDigits) return false;
    read = read * 10 + (*at - '0');
  }
  if (at[0] != '\r') return false;
  value = read;
  position = static_cast<std::size_t>(at - input.data()) + 2;
  return true;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Reads the quoted part that starts at line[i] (the opening quote) and moves i behind the closing
// one.
bool read_quoted(std::string_view line, std::size_t& i, std::string& word) {
  const char quote = line[i++];
  while (true) {
    if (i >= line.size()) return false;
    const char c = line[i];
    if (c == quote) {
      ++i;
      return i == line.size() || is_space(line[i]);
    }
    if (quote == '"' && c == '\\') {
      if (i + 3 < line.size() && line[i + 1] == 'x' && hex_digit(line[i + 2]) >= 0 &&
          hex_digit(line[i + 3]) >= 0) {
        word += static_cast<char>(hex_digit(line[i + 2]) * 16 + hex_digit(line[i + 3]));
        i += 4;
        continue;
      }
      if (i + 1 < line.size()) {
        word += unescape(line[i + 1]);
        i += 2;
        continue;
      }
    } else if (quote == '\'' && c == '\\' && i + 1 < line.size() && line[i + 1] == '\'') {
      word += '\'';
      i += 2;
      continue;
    }
    word += c;
    ++i;
  }
}

}  // namespace

bool split_words(std::string_view line, std::vector<std::string>& words) {
  words.clear();
  std::size_t i = 0;
  while (true) {
    while (i < line.size() && is_space(line[i])) ++i;
    if (i == line.size()) return true;
    std::string& word = words.emplace_back();
    while (i < line.size() && !is_space(line[i])) {
      if (line[i] == '"' || line[i] == '\'') {
        if (!read_quoted(line, i, word)) return false;
        break;
      }
      word += line[i++];
    }
  }
}

bool parse_strict_integer(std::string_view text, std::int64_t& value) {
  if (text == "0") {
    value = 0;
    return true;
  }
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  if (text.size() <= first || text[first] < '1' || text[first] > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

RespParser::Status RespParser::parse(std::string_view input, const RespLimits& limits) {
  if (input.empty()) {
    needed_ = 1;
    return Status::kIncomplete;
  }
  return input[0] == '*' ? parse_multibulk(input, limits) : parse_inline(input);
}

RespParser::Status RespParser::fail(std::string_view what) {
  error_ = "ERR Protocol error: ";
  error_ += what;
  return Status::kError;
}

RespParser::Status RespParser::request(std::string_view input) {
  args_.resize(ranges_.size());
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    args_[i] = std::string_view(input.data() + ranges_[i].begin, ranges_[i].size);
  }
  ranges_.clear();
  consumed_ = position_;
  position_ = 0;
  return Status::kRequest;
}

RespParser::Status RespParser::parse_inline(std::string_view input) {
  const std::size_t end = find_line_end(input, position_, '\n', position_);
  if (end == kNone ? input.size() > kMaxLine : end > kMaxLine) {
    return fail("too big inline request");
  }
  if (end == kNone) {
    needed_ = input.size() + 1;
    return Status::kIncomplete;
  }
  std::string_view line = input.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!split_words(line, unquoted_)) return fail("unbalanced quotes in request");
  args_.assign(unquoted_.begin(), unquoted_.end());
  consumed_ = end + 1;
  position_ = 0;
  return Status::kRequest;
}

RespParser::Status RespParser::parse_multibulk(std::string_view input, const RespLimits& limits) {
  // Finds the end of the header line that starts at position_.
  enum class Line { kFound, kIncomplete, kTooLong };
  std::size_t end = 0;
  auto find_line = [&] {
    std::size_t seen = 0;
    end = find_line_end(input, position_, '\r', seen);
    const std::size_t length = (end == kNone ? input.size() : end) - position_;
    if (length > kMaxLine) return Line::kTooLong;
    needed_ = position_ + length + 2;
    return end == kNone || end + 1 >= input.size() ? Line::kIncomplete : Line::kFound;
  };

  if (position_ == 0) {
    if (!read_plain_header(input, '*', position_, words_left_)) {
      switch (find_line()) {
        case Line::kTooLong:
          return fail("too big mbulk count string");
        case Line::kIncomplete:
          return Status::kIncomplete;
        case Line::kFound:
          break;
      }
      if (!parse_strict_integer(input.substr(1, end - 1), words_left_)) {
        return fail("invalid multibulk length");
      }
      position_ = end + 2;
    }
    if (words_left_ > kMaxWords) return fail("invalid multibulk length");
    if (words_left_ > kMaxWordsUnauthenticated && !limits.authenticated) {
      return fail("unauthenticated multibulk length");
    }
    bulk_length_ = -1;
  }

  while (words_left_ > 0) {
    if (bulk_length_ < 0) {
      std::int64_t length = 0;
      if (!read_plain_header(input, '$', position_, length)) {
        switch (find_line()) {
          case Line::kTooLong:
            return fail("too big bulk count string");
          case Line::kIncomplete:
            return Status::kIncomplete;
          case Line::kFound:
            break;
        }
        if (input[position_] != '$') {
          return fail(std::string("expected '$', got '") + input[position_] + "'");
        }
        if (!parse_strict_integer(input.substr(position_ + 1, end - position_ - 1), length) ||
            length < 0) {
          return fail("invalid bulk length");
        }
        position_ = end + 2;
      }
      if (static_cast<std::uint64_t>(length) > limits.max_bulk_bytes) {
        return fail("invalid bulk length");
      }
      if (length > kMaxBulkUnauthenticated && !limits.authenticated) {
        return fail("unauthenticated bulk length");
      }
      bulk_length_ = length;
    }
    // The two bytes after a word are skipped without a look, as Redis does.
    const std::size_t length = static_cast<std::size_t>(bulk_length_);
    if (input.size() - position_ < length + 2) {
      needed_ = position_ + length + 2;
      return Status::kIncomplete;
    }
    ranges_.push_back({position_, length});
    position_ += length + 2;
    bulk_length_ = -1;
    --words_left_;
  }
  return request(input);
}

}  // namespace even
