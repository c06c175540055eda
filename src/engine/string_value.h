// What the commands share that look at strings as bytes: bitmaps, HyperLogLogs, LCS, DUMP.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "engine/context.h"

namespace even {

// The bytes of a string; none where there is no key. `scratch` may come to hold them.
inline std::string_view bytes_of(const Object* string, std::string& scratch) {
  return string == nullptr ? std::string_view() : string->string().value(scratch);
}

// What a reader sees of a live scalar, for as long as the command's records may need it.
inline std::string_view kept_value(Context& context, const ScalarView& scalar) {
  std::string scratch;
  const std::string_view value = scalar.value(scratch);
  const bool computed = !scratch.empty() && value.data() == scratch.data();
  return computed ? context.keep(std::move(scratch)) : value;
}

}  // namespace even
