// Executes commands that arrive as RESP arrays on standard input and writes the replies to standard
// output, on an in-memory keyspace. For the differential test of the engine alone.
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <string>

#include "engine/test_keyspace.h"
#include "engine/text.h"

namespace {

std::string input;
std::size_t at = 0;
std::string output;

bool more() {
  if (!output.empty()) {
    for (std::size_t done = 0; done < output.size();) {
      const ssize_t n = ::write(1, output.data() + done, output.size() - done);
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    output.clear();
  }
  char buffer[65536];
  const ssize_t n = ::read(0, buffer, sizeof buffer);
  if (n <= 0) return false;
  input.append(buffer, static_cast<std::size_t>(n));
  return true;
}

bool header(std::int64_t& value) {
  std::size_t end;
  while ((end = input.find("\r\n", at)) == std::string::npos) {
    if (!more()) return false;
  }
  std::from_chars(input.data() + at + 1, input.data() + end, value);
  at = end + 2;
  return true;
}

}  // namespace

int main() {
  even::TestKeyspace keyspace(1, 16);
  for (std::int64_t count; header(count);) {
    std::vector<std::string> words;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t length;
      if (!header(length)) return 1;
      const auto size = static_cast<std::size_t>(length);
      while (input.size() < at + size + 2) {
        if (!more()) return 1;
      }
      words.push_back(input.substr(at, size));
      at += size + 2;
    }
    if (at > 1 << 20) {
      input.erase(0, at);
      at = 0;
    }
    using std::chrono::system_clock;
    keyspace.now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                          system_clock::now().time_since_epoch())
                          .count();
    const std::vector<std::string_view> args(words.begin(), words.end());
    if (even::equals_ignore_case(args[0], "hello")) {
      keyspace.resp3 = args.size() > 1 && args[1] == "3";
      output += keyspace.resp3 ? "%0\r\n" : "*0\r\n";
      continue;
    }
    output += keyspace.run(args);
  }
  return 0;
}
