// Server processes of a local cluster: starting them in the background, telling them from
// strangers, ending them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace even::cli {

// A running process, held by a pidfd: whatever happens, a signal cannot reach another process that
// has been given the same number since. Owns the descriptor; movable.
class Process {
 public:
  Process(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}
  Process(Process&& other) noexcept : pid_(other.pid_), pidfd_(other.pidfd_) { other.pidfd_ = -1; }
  Process& operator=(Process&&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }
  // Asks it to end (SIGTERM), waking it up if it is stopped. False when it has ended already or may
  // not be signalled.
  bool terminate() const;
  // Sends any signal; false as above.
  bool signal(int number) const;
  // Waits for its end for at most `timeout`; true if it has ended.
  bool wait(std::chrono::milliseconds timeout) const;

 private:
  pid_t pid_;
  int pidfd_;
};

// The running evend that was started with `--config config`, if `pid_file` names one. A number that
// belongs to another program by now, or to an evend with another configuration, is not it.
std::optional<Process> find_server(const std::filesystem::path& pid_file,
                                   const std::filesystem::path& config);

// The configurations of all evend processes of this machine that this user may look at, as given
// with
// --config.
std::vector<std::filesystem::path> running_configurations();

// Starts `program` in a session of its own, with standard input from /dev/null and both outputs
// appended to `log`, and writes its number to `pid_file`. The error also covers a program that
// cannot be executed.
Result<Process> start_server(const std::filesystem::path& program,
                             const std::vector<std::string>& arguments,
                             const std::filesystem::path& log,
                             const std::filesystem::path& pid_file);

// The path of a program in the directory of the running one.
std::filesystem::path beside_this_program(const std::string& name);

}  // namespace even::cli
