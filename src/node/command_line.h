// The command line of evend.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace even {

struct CommandLine {
  // Configuration file; none: defaults.
  std::optional<std::string> config_path;
  // For Config::load(), in order: those of --set, then those of --port and --data.
  std::vector<std::string> overrides;
  // Only check the configuration and say whether it is good.
  bool check_config = false;
};

// A reason to end at once: print `output` (to standard output when the code is 0, else to standard
// error) and exit with `code`: 0 after --help and --version, 2 after a mistake, as for a bad
// configuration.
struct ExitNow {
  int code = 0;
  std::string output;
};

std::expected<CommandLine, ExitNow> parse_command_line(int argc, const char* const* argv);

}  // namespace even
