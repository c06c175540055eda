#include "peer/link_faults.h"

#include <fmt/format.h>

#include <vector>

namespace even {

std::string LinkFault::to_text() const {
  std::vector<std::string> parts;
  if (down) parts.emplace_back("DOWN");
  // What both directions have is said once.
  const auto add = [&](bool in_has, bool out_has, bool same, const auto& text) {
    if (same) {
      if (in_has) parts.push_back(text(in));
      return;
    }
    if (in_has) parts.push_back(text(in) + " IN");
    if (out_has) parts.push_back(text(out) + " OUT");
  };
  add(in.delay_ms > 0, out.delay_ms > 0, in.delay_ms == out.delay_ms,
      [](const Direction& it) { return fmt::format("DELAY {} ms", it.delay_ms); });
  add(in.drop > 0, out.drop > 0, in.drop == out.drop,
      [](const Direction& it) { return fmt::format("DROP {:g} %", it.drop * 100); });
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace even
