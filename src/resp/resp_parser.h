// Incremental parser of client requests in RESP, multibulk and inline (Redis serialization
// protocol, https://redis.io/docs/reference/protocol-spec, "Sending commands to a Redis server").
// Accepts, refuses and words its errors as Redis 7.0 does.
//
// The caller keeps the bytes: it passes everything received from the start of the request that is
// being parsed, and calls again with more when the request was not complete. Progress is kept as
// offsets, so the buffer may move between calls and nothing is scanned twice. The result does not
// depend on how the bytes were cut into calls. Single-threaded; never throws but for memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace even {

struct RespLimits {
  // Longest single argument, in bytes.
  std::uint64_t max_bulk_bytes = std::uint64_t{512} << 20;
  // A client that has not authenticated yet may send small requests only.
  bool authenticated = true;
};

class RespParser {
 public:
  enum class Status {
    kRequest,     // args() and consumed() are valid; args() may be empty: nothing to do or reply
    kIncomplete,  // call again with more bytes appended
    kError,       // error() says why; the connection cannot be used any more
  };

  // Parses the request at the start of `input`.
  Status parse(std::string_view input, const RespLimits& limits);

  // Forgets the progress within a request that was not complete.
  void restart() {
    position_ = 0;
    ranges_.clear();
  }

  // The words of the request. They point into `input` (or, of an inline request with quotes, into
  // the parser) and are valid until the next call of parse().
  std::span<const std::string_view> args() const { return args_; }
  // Bytes of `input` that the request took; the next call starts after them.
  std::size_t consumed() const { return consumed_; }
  // "ERR Protocol error: ...", without the sign and the line end of the reply.
  const std::string& error() const { return error_; }
  // How many bytes the request that is incomplete needs at least, counted from its start. Lets the
  // caller make room for a large argument at once.
  std::size_t needed() const { return needed_; }

 private:
  struct Range {
    std::size_t begin;
    std::size_t size;
  };

  Status parse_inline(std::string_view input);
  Status parse_multibulk(std::string_view input, const RespLimits& limits);
  Status fail(std::string_view what);
  Status request(std::string_view input);

  // Progress within a multibulk request; position_ == 0: nothing seen yet.
  std::size_t position_ = 0;
  std::int64_t words_left_ = 0;
  std::int64_t bulk_length_ = -1;  // of the word whose bytes come next; -1: its header comes next
  std::vector<Range> ranges_;

  std::vector<std::string_view> args_;
  std::vector<std::string> unquoted_;
  std::size_t consumed_ = 0;
  std::size_t needed_ = 0;
  std::string error_;
};

// Splits a line into words as redis-cli and inline requests do: words are separated by white space;
// "double quotes" know \n \r \t \b \a \xHH and \ before any other byte, 'single quotes' know \'
// only; a closing quote must be followed by white space or the end. False when quotes are
// unbalanced.
bool split_words(std::string_view line, std::vector<std::string>& words);

// A decimal integer as Redis takes it in headers: no plus sign, no leading zeros, no white space.
bool parse_strict_integer(std::string_view text, std::int64_t& value);

}  // namespace even
