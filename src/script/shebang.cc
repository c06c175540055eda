#include "script/shebang.h"

#include <fmt/format.h>

#include <algorithm>

namespace even {
namespace {

// The first word of `text`, which is taken from it.
std::string_view take_word(std::string_view& text, std::string_view separators) {
  const std::size_t begin = std::min(text.find_first_not_of(separators), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(separators));
  text.remove_prefix(word.size());
  return word;
}

constexpr std::string_view kFlags[] = {"no-writes", "allow-oom", "allow-stale", "no-cluster",
                                       "allow-cross-slot-keys"};

}  // namespace

Result<Shebang> read_shebang(std::string_view text) {
  Shebang out;
  if (!text.starts_with("#!")) return out;
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return fail("ERR Invalid script shebang");
  out.present = true;
  out.length = end;
  std::string_view line = text.substr(0, end);
  const std::string_view engine = take_word(line, " \t\r");
  if (engine != "#!lua") {
    return fail(fmt::format("ERR Unexpected engine in script shebang: {}", engine));
  }
  for (;;) {
    const std::string_view option = take_word(line, " \t\r");
    if (option.empty()) return out;
    constexpr std::string_view kFlagsOption = "flags=";
    if (!option.starts_with(kFlagsOption)) {
      return fail(fmt::format("ERR Unknown lua shebang option: {}", option));
    }
    std::string_view flags = option.substr(kFlagsOption.size());
    while (!flags.empty()) {
      const std::string_view flag = take_word(flags, ",");
      if (flag.empty()) break;
      if (std::ranges::find(kFlags, flag) == std::end(kFlags)) {
        return fail(fmt::format("ERR Unexpected flag in script shebang: {}", flag));
      }
      out.no_writes = out.no_writes || flag == "no-writes";
    }
  }
}

}  // namespace even
