#include "cli/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

// glibc 2.36 forgot to declare these functions as C's.
extern "C" {
#include <sys/pidfd.h>
}

namespace even::cli {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> arguments_of(pid_t pid) {
  std::vector<std::string> arguments;
  std::istringstream in(read_all(fmt::format("/proc/{}/cmdline", pid)));
  for (std::string argument; std::getline(in, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// What an evend was started with as --config; nothing for any other process.
std::optional<fs::path> configuration_of(pid_t pid) {
  std::error_code error;
  std::string program = fs::read_symlink(fmt::format("/proc/{}/exe", pid), error).string();
  if (error) return {};
  // The kernel marks a program whose file was replaced, as every build does.
  constexpr std::string_view kDeleted = " (deleted)";
  if (program.ends_with(kDeleted)) program.resize(program.size() - kDeleted.size());
  if (fs::path(program).filename() != "evend") return {};
  std::vector<std::string> arguments = arguments_of(pid);
  auto option = std::ranges::find(arguments, "--config");
  if (option == arguments.end() || option + 1 == arguments.end()) return {};
  return *(option + 1);
}

// In the child, after fork and before exec: only async-signal-safe calls. Returns when something
// failed, errno set.
void become_server(const char* program, char* const* arguments, const char* log) {
  if (setsid() < 0) return;
  int in = open("/dev/null", O_RDONLY);
  int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (in < 0 || out < 0) return;
  if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) {
    return;
  }
  // Nothing of the terminal, or of a lock that this program holds, may live on in the server.
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) return;
  execv(program, arguments);
}

}  // namespace

Process::~Process() {
  if (pidfd_ >= 0) close(pidfd_);
}

bool Process::terminate() const {
  if (pidfd_send_signal(pidfd_, SIGTERM, nullptr, 0) != 0) return false;
  pidfd_send_signal(pidfd_, SIGCONT, nullptr, 0);
  return true;
}

bool Process::signal(int number) const {
  return pidfd_send_signal(pidfd_, number, nullptr, 0) == 0;
}

bool Process::wait(std::chrono::milliseconds timeout) const {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd poller{.fd = pidfd_, .events = POLLIN, .revents = 0};
    int ready = poll(&poller, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

std::optional<Process> find_server(const fs::path& pid_file, const fs::path& config) {
  std::ifstream in(pid_file);
  pid_t pid = 0;
  if (!(in >> pid) || pid <= 0) return {};
  int pidfd = pidfd_open(pid, 0);
  if (pidfd < 0) return {};
  Process process(pid, pidfd);
  // In this order: what is looked at now under the number is what the descriptor holds, unless it
  // has ended, and then nothing is at that descriptor's end to be hurt.
  if (configuration_of(pid) != config || process.wait(std::chrono::milliseconds(0))) return {};
  return process;
}

std::vector<fs::path> running_configurations() {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    pid_t pid = 0;
    const auto [stop, problem] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (problem != std::errc() || stop != name.data() + name.size()) continue;
    if (std::optional<fs::path> config = configuration_of(pid)) found.push_back(std::move(*config));
  }
  return found;
}

Result<Process> start_server(const fs::path& program, const std::vector<std::string>& arguments,
                             const fs::path& log, const fs::path& pid_file) {
  std::vector<std::string> strings = {program.string()};
  strings.insert(strings.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : strings) argv.push_back(text.data());
  argv.push_back(nullptr);

  // Closed by a successful exec; before that, the child writes errno to it.
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return fail(fmt::format("pipe: {}", std::strerror(errno)));
  pid_t pid = fork();
  if (pid == 0) {
    become_server(strings[0].c_str(), argv.data(), log.c_str());
    int error = errno;
    [[maybe_unused]] ssize_t written = write(report[1], &error, sizeof error);
    _exit(127);
  }
  int fork_error = errno;
  close(report[1]);
  if (pid < 0) {
    close(report[0]);
    return fail(fmt::format("fork: {}", std::strerror(fork_error)));
  }
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(report[0], &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  close(report[0]);
  if (got > 0) {
    waitpid(pid, nullptr, 0);
    return fail(fmt::format("cannot start {}: {}", program.string(), std::strerror(error)));
  }
  int pidfd = pidfd_open(pid, 0);
  if (pidfd < 0) return fail(fmt::format("pidfd_open: {}", std::strerror(errno)));
  Process process(pid, pidfd);
  std::ofstream out(pid_file, std::ios::trunc);
  out << pid << '\n';
  out.flush();
  if (!out) {
    process.terminate();  // nobody could stop it later
    return fail(fmt::format("cannot write {}", pid_file.string()));
  }
  return process;
}

fs::path beside_this_program(const std::string& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / name;
}

}  // namespace even::cli
