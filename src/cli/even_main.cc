// The command `even`: runs a cluster on this machine, looks into clusters and data directories,
// makes and restores backups, imports what other databases hold, records and verifies histories of
// clients.
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "cli/commands.h"

int main(int argc, char** argv) {
  int exit_code = 0;
  try {
    CLI::App app(
        "even, the command line of Even: a replicated database that speaks the Redis protocol.",
        "even");
    app.set_version_flag("--version", "even " EVEN_VERSION);
    app.require_subcommand(1);
    even::cli::add_up(app, exit_code);
    even::cli::add_down(app, exit_code);
    even::cli::add_status(app, exit_code);
    even::cli::add_check(app, exit_code);
    even::cli::add_log(app, exit_code);
    even::cli::add_store(app, exit_code);
    even::cli::add_backup(app, exit_code);
    even::cli::add_restore(app, exit_code);
    even::cli::add_import(app, exit_code);
    even::cli::add_topic(app, exit_code);
    even::cli::add_record(app, exit_code);
    even::cli::add_verify(app, exit_code);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "even: " << error.what() << '\n';
    return 1;
  }
  return exit_code;
}
