// Any bytes mean the same to the parser whether they come at once, cut in two, or one by one. The
// first two bytes of the input choose the cut and the limits.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "resp/resp_parser.h"

namespace {

using even::RespLimits;
using even::RespParser;

// A text form of everything that the parser made of the bytes; `step` bytes arrive at a time after
// the first `first`.
std::string outcome(std::string_view bytes, std::size_t first, std::size_t step,
                    const RespLimits& limits) {
  std::string text;
  RespParser parser;
  std::size_t begin = 0;
  std::size_t end = first;
  while (true) {
    const std::string input(bytes.substr(begin, end - begin));  // freshly placed, for ASan
    switch (parser.parse(input, limits)) {
      case RespParser::Status::kError:
        return text + parser.error();
      case RespParser::Status::kRequest:
        text += '(';
        for (std::string_view arg : parser.args()) {
          text += std::to_string(arg.size());
          text += ':';
          text.append(arg);
        }
        text += ')';
        if (parser.consumed() == 0 || parser.consumed() > input.size()) std::abort();
        begin += parser.consumed();
        break;
      case RespParser::Status::kIncomplete:
        if (parser.needed() <= input.size()) std::abort();
        if (end == bytes.size()) return text;
        end = std::min(bytes.size(), end + step);
        break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  const RespLimits limits{.max_bulk_bytes = data[0] % 2 == 0 ? 512u << 20 : 64u,
                          .authenticated = data[0] % 3 != 0};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string whole = outcome(bytes, bytes.size(), 1, limits);
  if (outcome(bytes, 0, 1, limits) != whole) std::abort();
  if (outcome(bytes, data[1] * bytes.size() / 255, bytes.size(), limits) != whole) std::abort();
  return 0;
}
