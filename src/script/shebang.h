// The first line of a script, if it begins with "#!": "#!lua name=lib flags=no-writes,allow-oom".
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace even {

struct Shebang {
  std::size_t length = 0;  // of the line, without its end
  bool present = false;
  bool no_writes = false;
};

// Of a script without one: nothing. Errors are those to reply.
Result<Shebang> read_shebang(std::string_view text);

}  // namespace even
