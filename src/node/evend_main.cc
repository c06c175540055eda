// evend: the server.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "base/mutant.h"
#include "node/command_line.h"
#include "node/config.h"
#include "node/preflight.h"
#include "node/server.h"

#ifdef EVEN_MUTANTS
namespace even {
Mutant g_mutant = Mutant::kNone;

namespace {

constexpr const char* kMutantNames[] = {"kNone",
#define EVEN_MUTANT_NAME(id, text) #id,
                                        EVEN_MUTANT_LIST(EVEN_MUTANT_NAME) "kCount",
                                        EVEN_CONSENSUS_MUTANT_LIST(EVEN_MUTANT_NAME)
#undef EVEN_MUTANT_NAME
};
static_assert(std::size(kMutantNames) == static_cast<std::size_t>(Mutant::kEnd));

// By the name that EVEN_MUTANT in the environment has for it; false if there is no such bug.
bool choose_mutant() {
  const char* name = std::getenv("EVEN_MUTANT");
  if (name == nullptr) return true;
  const auto* found = std::ranges::find(kMutantNames, std::string_view(name));
  if (found == std::end(kMutantNames)) return false;
  g_mutant = static_cast<Mutant>(found - std::begin(kMutantNames));
  return true;
}

}  // namespace
}  // namespace even
#endif

int main(int argc, char** argv) {
  using even::Config;
#ifdef EVEN_MUTANTS
  if (!even::choose_mutant()) {
    fmt::print(stderr, "EVEN_MUTANT names no bug of src/base/mutant.h\n");
    return 2;
  }
#endif
  const auto command_line = even::parse_command_line(argc, argv);
  if (!command_line) {
    const auto& exit = command_line.error();
    fmt::print(exit.code == 0 ? stdout : stderr, "{}", exit.output);
    return exit.code;
  }
  auto config = Config::load(command_line->config_path, command_line->overrides);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message);
    return 2;
  }
  if (command_line->check_config) {
    if (const auto checked = even::preflight(*config); !checked) {
      fmt::print(stderr, "{}\n", checked.error().message);
      return 2;
    }
    fmt::print("the configuration is good\n");
    return 0;
  }
  // Log lines go to standard error, with everything else that is not an answer; whoever starts it
  // decides where they end.
  spdlog::set_default_logger(spdlog::stderr_color_mt("evend"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(config->node.log_level));
  spdlog::flush_on(spdlog::level::info);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is like a full disk
  return even::run_node(std::move(*config));
}
