#include "peer/link_faults.h"

#include <fmt/format.h>

namespace even {

std::string LinkFault::to_text() const {
  std::string text = down ? "DOWN" : "";
  if (delay_ms > 0) text += fmt::format("{}DELAY {} ms", text.empty() ? "" : ", ", delay_ms);
  if (drop > 0) text += fmt::format("{}DROP {:g} %", text.empty() ? "" : ", ", drop * 100);
  return text;
}

}  // namespace even
