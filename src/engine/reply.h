// Writes replies in RESP2 or RESP3 (https://redis.io/docs/reference/protocol-spec). A type that
// RESP2 lacks is written as what Redis 7 writes in its place: a map as a flat array, a set as an
// array, a double as a bulk string, null as a null bulk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/database.h"

namespace even {

class Reply {
 public:
  // Appends to `out`, which must outlive this.
  Reply(std::string& out, bool resp3) : out_(out), resp3_(resp3) {}

  bool resp3() const { return resp3_; }
  void set_resp3(bool resp3) { resp3_ = resp3; }

  void ok() { out_.append("+OK\r\n"); }
  void simple(std::string_view text);
  // `message` starts with its code, as in "ERR syntax error"; line breaks in it become spaces.
  [[gnu::cold]] void error(std::string_view message);
  void integer(std::int64_t value);
  void bulk(std::string_view bytes);
  // A key by its stored name (base/database.h), as its user writes it.
  void key(std::string_view stored) { bulk(user_key(stored)); }
  // How one begins; the bytes and the end of the line are the caller's.
  void begin_bulk(std::size_t bytes) { header('$', static_cast<std::int64_t>(bytes)); }
  void null();        // RESP2: $-1
  void null_array();  // RESP2: *-1
  void array(std::size_t length);
  void map(std::size_t pairs);
  void set(std::size_t length);
  void push(std::size_t length);
  void real(double value);
  void real(std::string_view text);  // as it is written already
  void boolean(bool value);
  // Of any length; RESP2: a bulk string.
  void big_number(std::string_view digits);
  // Text for people, such as INFO's; `format` is three characters ("txt").
  void verbatim(std::string_view format, std::string_view text);

  // Instead of a bulk string that is longer, and than 1 KiB, nothing is appended, and left_out()
  // says so.
  void leave_out_beyond(std::size_t bytes) { longest_ = bytes; }
  // Nor any once the reply has so many bytes.
  void leave_out_from(std::size_t bytes) { most_ = bytes; }
  bool left_out() const { return left_out_; }

  // Where the next byte goes: lets a caller see whether an error was written since.
  std::size_t position() const { return out_.size(); }
  // Takes back what has been written since.
  void cut(std::size_t position) { out_.resize(position); }
  bool wrote_error_since(std::size_t position) const {
    return out_.size() > position && out_[position] == '-';
  }

 private:
  void header(char type, std::int64_t length);

  std::string& out_;
  bool resp3_;
  bool left_out_ = false;
  std::size_t longest_ = SIZE_MAX;
  std::size_t most_ = SIZE_MAX;
};

}  // namespace even
