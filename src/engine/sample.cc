#include "engine/sample.h"

#include <fmt/format.h>

#include <limits>

namespace even {

bool read_sample_count(Context& context, std::string_view text, std::int64_t& count) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (!read_integer(context, text, count)) return false;
  if (count < -kMax) {
    context.reply.error(
        fmt::format("ERR value is out of range, value must between {} and {}", -kMax, kMax));
    return false;
  }
  if (count < -kMaxRepeatedSamples) {
    context.reply.error("ERR value is out of range");
    return false;
  }
  return true;
}

}  // namespace even
