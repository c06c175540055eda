// The subcommands of `even`, a file for each (`restore` is with `backup`): the file of a subcommand
// declares its options and does its work.
//
// add_X() adds the subcommand to the command line; when it is chosen, CLI11 calls it back, and it
// leaves the process's exit code in `exit_code` (which must outlive the parsing): 0 for success, 1
// for failure, 2 for a mistake in the command line or the configuration. (`verify` has codes of its
// own.)
#pragma once

namespace CLI {
class App;
}

namespace even::cli {

void add_up(CLI::App& app, int& exit_code);
void add_down(CLI::App& app, int& exit_code);
void add_status(CLI::App& app, int& exit_code);
void add_log(CLI::App& app, int& exit_code);
void add_store(CLI::App& app, int& exit_code);
void add_backup(CLI::App& app, int& exit_code);
void add_check(CLI::App& app, int& exit_code);
void add_restore(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);
void add_record(CLI::App& app, int& exit_code);
void add_import(CLI::App& app, int& exit_code);
void add_topic(CLI::App& app, int& exit_code);

}  // namespace even::cli
