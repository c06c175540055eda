// `even store`: looks into the store of a data directory, without changing anything.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/progress.h"
#include "store/rocks_database.h"

namespace even::cli {
namespace {

int verify(const std::string& data) {
  const std::string directory = (std::filesystem::path(data) / "store").string();
  const auto report = [&directory] {
    Progress progress;
    return inspect_store(directory, [&progress](std::uint64_t read, std::uint64_t all) {
      progress.show(read, all);
    });
  }();
  if (!report) {
    fmt::print(stderr, "even store verify: {}\n", report.error().message);
    return 1;
  }
  fmt::print("{} files, {} bytes, {} damaged\n", report->files, report->bytes,
             report->damaged.size());
  for (const std::string& damaged : report->damaged) {
    fmt::print(stderr, "even store verify: {}\n", damaged);
  }
  return report->damaged.empty() ? 0 : 1;
}

}  // namespace

void add_store(CLI::App& app, int& exit_code) {
  CLI::App* store = app.add_subcommand("store", "Look into the store of a data directory");
  store->require_subcommand(1);
  auto data = std::make_shared<std::string>();
  CLI::App* verify_command = store->add_subcommand(
      "verify",
      "Compare every file with its checksums, the node being stopped; exits with 1 and names the "
      "files if any is damaged");
  verify_command->add_option("DIR", *data, "Data directory of a node")->required();
  verify_command->callback([data, &exit_code] { exit_code = verify(*data); });
}

}  // namespace even::cli
