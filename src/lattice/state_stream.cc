#include "lattice/state_stream.h"

#include <algorithm>

#include "base/bytes.h"

namespace even {
namespace {

// Deeper than anything in a state.
constexpr std::size_t kMostDepth = 8;
// Of a buffer that is used again: what it grew beyond this is given back.
constexpr std::size_t kKeptBytes = 1 << 20;
constexpr unsigned char kArrayOf3 = 0x93;
constexpr std::size_t kHeadValues = 2;  // the context and the flags

// A value of MessagePack, without those that are in it.
struct Token {
  std::uint64_t bytes = 0;
  std::uint64_t values = 0;  // of an array
};

std::uint64_t big_endian(const char* bytes, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// None: it is not all there. Of the kinds that records have.
Result<std::optional<Token>> read_token(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  const auto first = static_cast<unsigned char>(bytes[0]);
  // Behind the first byte: an integer of so many bytes, which is the value (0), the size of what
  // follows (1) or a number of values (2).
  std::size_t size = 0;
  int meaning = 0;
  Token token{.bytes = 1};
  if (first <= 0x7f || first >= 0xe0 || first == 0xc0 || first == 0xc2 || first == 0xc3) {
    return token;
  }
  if (first >= 0x90 && first <= 0x9f) {
    token.values = first & 0x0f;
    return token;
  }
  if (first >= 0xcc && first <= 0xd3) {
    size = std::size_t{1} << ((first - 0xcc) % 4);
  } else if (first >= 0xc4 && first <= 0xc6) {
    size = std::size_t{1} << (first - 0xc4);
    meaning = 1;
  } else if (first == 0xdc || first == 0xdd) {
    size = first == 0xdc ? 2 : 4;
    meaning = 2;
  } else {
    return fail("malformed state: a value of a kind that none has");
  }
  token.bytes += size;
  if (bytes.size() < token.bytes) return std::nullopt;
  const std::uint64_t number = big_endian(bytes.data() + 1, size);
  if (meaning == 1) token.bytes += number;
  if (meaning == 2) token.values = number;
  if (bytes.size() < token.bytes) return std::nullopt;
  return token;
}

void put_array(std::string& out, std::uint64_t values) {
  out.push_back('\xdd');
  put_big_endian(out, static_cast<std::uint32_t>(values));
}

}  // namespace

// Whether `passed_` is behind a value by now that it was before, or in.
Result<bool> StateStream::pass_value() {
  do {
    const auto token = read_token(std::string_view(buffer_).substr(passed_));
    if (!token) return std::unexpected(token.error());
    if (!*token) return false;
    passed_ += (*token)->bytes;
    if (!open_.empty()) --open_.back();
    if ((*token)->values > 0) open_.push_back((*token)->values);
    if (open_.size() > kMostDepth) return fail("malformed state: arrays are too deep");
    while (!open_.empty() && open_.back() == 0) open_.pop_back();
  } while (!open_.empty());
  return true;
}

Result<bool> StateStream::read_head() {
  if (passed_ == 0) {
    if (buffer_.size() <= kRecordHeadBytes) return false;
    if (static_cast<unsigned char>(buffer_[kRecordHeadBytes]) != kArrayOf3) {
      return fail("malformed state: its body is not of three parts");
    }
    passed_ = kRecordHeadBytes + 1;
  }
  for (; values_ < kHeadValues; ++values_) {
    const auto passed = pass_value();
    if (!passed || !*passed) return passed;
  }
  const auto keys = read_token(std::string_view(buffer_).substr(passed_));
  if (!keys) return std::unexpected(keys.error());
  if (!*keys) return false;
  const auto first = static_cast<unsigned char>(buffer_[passed_]);
  if ((first & 0xf0) != 0x90 && first != 0xdc && first != 0xdd) {
    return fail("malformed state: keys were expected");
  }
  front_ = buffer_.substr(0, passed_);
  part_ = front_;
  put_array(part_, 0);
  auto head = decoder_.decode(part_);
  if (!head) return std::unexpected(head.error());
  if (head->origin.value != 0) return fail("malformed state: it is a record");
  head_ = std::move(*head);
  keys_left_ = (*keys)->values;
  passed_ += (*keys)->bytes;
  begin_ = passed_;
  return true;
}

Result<std::optional<Record>> StateStream::next(std::size_t max_bytes) {
  if (!head_) {
    const auto read = read_head();
    if (!read) return std::unexpected(read.error());
    if (!*read) return std::nullopt;
  }
  std::uint64_t keys = 0;
  std::size_t end = begin_;
  while (keys < keys_left_ && (keys == 0 || end - begin_ < max_bytes)) {
    const auto passed = pass_value();
    if (!passed) return std::unexpected(passed.error());
    if (!*passed) break;
    end = passed_;
    ++keys;
  }
  if (keys == 0) {
    if (keys_left_ == 0 && held() > 0) return fail("malformed state: bytes are left over");
    return std::nullopt;
  }
  part_.clear();
  if (part_.capacity() > kKeptBytes) part_.shrink_to_fit();
  part_ += front_;
  put_array(part_, keys);
  part_.append(buffer_, begin_, end - begin_);
  keys_left_ -= keys;
  begin_ = end;
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    passed_ -= begin_;
    begin_ = 0;
    if (buffer_.capacity() > kKeptBytes && buffer_.size() < kKeptBytes / 2) buffer_.shrink_to_fit();
  }
  auto part = decoder_.decode(part_);
  if (!part) return std::unexpected(part.error());
  return std::move(*part);
}

}  // namespace even
