// Names of functions (engine/library.h) are the same if they differ in case only, as in Redis.
#pragma once

#include <string>
#include <string_view>

#include "engine/text.h"

namespace even {

inline std::string function_key(std::string_view name) {
  std::string key(name);
  for (char& c : key) c = to_lower(c);
  return key;
}

}  // namespace even
