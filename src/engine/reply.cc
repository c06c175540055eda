#include "engine/reply.h"

#include <charconv>

#include "lattice/types/score.h"

namespace even {

void Reply::header(char type, std::int64_t length) {
  char buffer[24];
  buffer[0] = type;
  char* end = std::to_chars(buffer + 1, buffer + sizeof buffer - 2, length).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_.append(buffer, end);
}

void Reply::simple(std::string_view text) {
  out_ += '+';
  out_.append(text);
  out_.append("\r\n");
}

void Reply::error(std::string_view message) {
  out_ += '-';
  for (char c : message) out_ += c == '\r' || c == '\n' ? ' ' : c;
  out_.append("\r\n");
}

void Reply::integer(std::int64_t value) { header(':', value); }

void Reply::bulk(std::string_view bytes) {
  constexpr std::size_t kLong = 1024;
  if (out_.size() >= most_) {
    left_out_ = true;
    return;
  }
  if (bytes.size() >= kLong) {
    if (bytes.size() > longest_) {
      left_out_ = true;
      return;
    }
    // Else the end of the line might double the room for it.
    out_.reserve(out_.size() + bytes.size() + 32);
  }
  header('$', static_cast<std::int64_t>(bytes.size()));
  out_.append(bytes);
  out_.append("\r\n");
}

void Reply::null() { out_.append(resp3_ ? "_\r\n" : "$-1\r\n"); }
void Reply::null_array() { out_.append(resp3_ ? "_\r\n" : "*-1\r\n"); }
void Reply::array(std::size_t length) { header('*', static_cast<std::int64_t>(length)); }

void Reply::map(std::size_t pairs) {
  resp3_ ? header('%', static_cast<std::int64_t>(pairs))
         : header('*', static_cast<std::int64_t>(pairs * 2));
}

void Reply::set(std::size_t length) {
  header(resp3_ ? '~' : '*', static_cast<std::int64_t>(length));
}
void Reply::push(std::size_t length) {
  header(resp3_ ? '>' : '*', static_cast<std::int64_t>(length));
}

void Reply::real(double value) {
  ScoreBuffer buffer;
  real(write_score(value, buffer));
}

void Reply::real(std::string_view text) {
  if (!resp3_) return bulk(text);
  out_ += ',';
  out_.append(text);
  out_.append("\r\n");
}

void Reply::boolean(bool value) {
  if (resp3_) {
    out_.append(value ? "#t\r\n" : "#f\r\n");
  } else {
    integer(value ? 1 : 0);
  }
}

void Reply::big_number(std::string_view digits) {
  if (!resp3_) return bulk(digits);
  out_ += '(';
  out_.append(digits);
  out_.append("\r\n");
}

void Reply::verbatim(std::string_view format, std::string_view text) {
  if (!resp3_) return bulk(text);
  header('=', static_cast<std::int64_t>(text.size() + format.size() + 1));
  out_.append(format);
  out_ += ':';
  out_.append(text);
  out_.append("\r\n");
}

}  // namespace even
