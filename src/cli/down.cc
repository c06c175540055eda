// `even down`: stops what `even up` started, and nothing else.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/local_cluster.h"

namespace even::cli {
namespace {

int run(const std::string& dir) {
  LocalCluster cluster(dir);
  if (cluster.nodes().empty()) {
    fmt::print("There is no cluster in {}\n", cluster.dir().string());
    return 0;
  }
  if (Result<> locked = cluster.lock(); !locked) {
    fmt::print(stderr, "even down: {}\n", locked.error().message);
    return 1;
  }
  bool running = std::ranges::any_of(
      cluster.nodes(), [](const LocalNode& node) { return node.server().has_value(); });
  if (!running) {
    fmt::print("No node of the cluster in {} is running\n", cluster.dir().string());
    return 0;
  }
  return stop_nodes(cluster.nodes()) ? 0 : 1;
}

}  // namespace

void add_down(CLI::App& app, int& exit_code) {
  auto dir = std::make_shared<std::string>(".even");
  CLI::App* command =
      app.add_subcommand("down", "Stop the nodes that `even up` started; their data stays");
  command->add_option("--dir", *dir, "Directory of the cluster (default .even)")->type_name("DIR");
  command->callback([dir, &exit_code] { exit_code = run(*dir); });
}

}  // namespace even::cli
