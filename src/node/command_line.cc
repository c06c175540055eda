#include "node/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "node/config.h"

namespace even {

std::expected<CommandLine, ExitNow> parse_command_line(int argc, const char* const* argv) {
  CommandLine result;
  std::string config_path;
  std::string data;
  uint16_t port = 0;

  CLI::App app(
      "evend, the server of Even: a replicated database that speaks the Redis protocol.\n"
      "Without a configuration file it is a single node on 127.0.0.1:6379 with its data in\n"
      "the working directory.",
      "evend");
  auto* config_option =
      app.add_option("--config", config_path, "Configuration file (TOML)")->type_name("FILE");
  app.add_option("--set", result.overrides, "Override an option of the file; may be repeated")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  auto* port_option =
      app.add_option("--port", port, "Port for clients (client.port)")->type_name("PORT");
  auto* data_option =
      app.add_option("--data", data, "Data directory (node.data)")->type_name("DIR");
  app.add_flag("--check-config", result.check_config,
               "Check the configuration, its TLS files and its addresses, and exit");
  app.set_version_flag("--version", "evend " EVEN_VERSION);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    int code = app.exit(error, out, err);
    if (code == 0) return std::unexpected(ExitNow{0, out.str()});
    return std::unexpected(ExitNow{2, "evend: " + err.str()});
  }
  if (config_option->count() > 0) result.config_path = config_path;
  if (port_option->count() > 0) result.overrides.push_back(fmt::format("client.port={}", port));
  if (data_option->count() > 0) result.overrides.push_back("node.data=" + toml_string(data));
  return result;
}

}  // namespace even
