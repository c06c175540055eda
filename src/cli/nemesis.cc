#include "cli/nemesis.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include "cli/http_client.h"
#include "cli/resp_client.h"

namespace even::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::pair<std::string_view, Fault> kFaults[] = {{"kill", Fault::kKill},
                                                          {"restart", Fault::kRestart},
                                                          {"pause", Fault::kPause},
                                                          {"cut", Fault::kCut}};

constexpr double kQuietSeconds[] = {1, 3};
constexpr double kFaultSeconds[] = {1, 4};
constexpr milliseconds kCommandTimeout{2000};
constexpr std::chrono::seconds kStopTimeout{30};
constexpr std::chrono::seconds kReadyTimeout{60};
constexpr milliseconds kPoll{20};

}  // namespace

Result<std::vector<Fault>> parse_faults(std::string_view list) {
  std::vector<Fault> faults;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view name = list.substr(begin, end - begin);
    begin = end + 1;
    std::optional<Fault> fault;
    for (const auto& [known, it] : kFaults) {
      if (known == name) fault = it;
    }
    if (name == "oneway" || name == "clock") {
      return fail(
          fmt::format("nodes cannot be given the fault '{}' yet; there are kill, restart, "
                      "pause, cut",
                      name));
    }
    if (!fault) {
      return fail(fmt::format("there is no fault '{}'; there are kill, restart, pause, cut", name));
    }
    faults.push_back(*fault);
  }
  return faults;
}

std::string_view fault_name(Fault fault) {
  for (const auto& [name, known] : kFaults) {
    if (known == fault) return name;
  }
  return "";
}

Nemesis::Nemesis(const LocalCluster& cluster, std::vector<Fault> faults, std::uint64_t seed,
                 Tell tell)
    : cluster_(cluster), faults_(std::move(faults)), random_(seed), tell_(std::move(tell)) {}

bool Nemesis::run(double seconds, const std::atomic<bool>& stop) {
  const auto end = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                             std::chrono::duration<double>(seconds));
  const auto wait = [&](const double(&range)[2]) {
    const std::chrono::duration<double> time(
        std::uniform_real_distribution<double>(range[0], range[1])(random_));
    const auto until = std::min(
        end, steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(time));
    while (!stop && steady_clock::now() < until) std::this_thread::sleep_for(kPoll);
    return !stop && steady_clock::now() < end;
  };
  bool all_mended = true;
  while (wait(kQuietSeconds)) {
    const Fault fault = faults_[random_() % faults_.size()];
    const LocalNode& node = cluster_.nodes()[random_() % cluster_.nodes().size()];
    const Result<> begun = begin(fault, node);
    tell_(fault, node, true, begun ? "" : begun.error().message);
    wait(kFaultSeconds);
    const Result<> mended = mend(fault, node);
    tell_(fault, node, false, mended ? "" : mended.error().message);
    all_mended &= mended.has_value();
  }
  return all_mended;
}

Result<> Nemesis::begin(Fault fault, const LocalNode& node) {
  if (fault == Fault::kCut) return set_links(node, "DOWN");
  const std::optional<Process> server = node.server();
  if (!server) return fail("it does not run");
  switch (fault) {
    case Fault::kPause:
      return server->signal(SIGSTOP) ? Result<>() : fail("it may not be stopped");
    case Fault::kKill:
      server->signal(SIGKILL);
      break;
    default:
      server->terminate();
  }
  if (!server->wait(kStopTimeout)) return fail("it does not end");
  return {};
}

Result<> Nemesis::mend(Fault fault, const LocalNode& node) {
  if (fault == Fault::kCut) return set_links(node, "UP");
  if (fault != Fault::kPause) return start(node);
  const std::optional<Process> server = node.server();
  if (!server || !server->signal(SIGCONT)) return fail("it ended while it was stopped");
  return {};
}

// Ports that a killed process had may be taken for a moment longer: then it ends and is started
// again.
Result<> Nemesis::start(const LocalNode& node) {
  const auto deadline = steady_clock::now() + kReadyTimeout;
  std::optional<Process> server = node.server();
  while (steady_clock::now() < deadline) {
    if (!server || server->wait(milliseconds(0))) {
      Result<Process> started =
          start_server(beside_this_program("evend"), {"--config", node.config().string()},
                       node.log(), node.pid_file());
      if (!started) return std::unexpected(started.error());
      server.emplace(std::move(*started));
    }
    const auto ready = http_get(kLocalHost, node.http_port(), "/readyz", kCommandTimeout);
    if (ready && ready->status == 200) return {};
    server->wait(kPoll);
  }
  return fail(fmt::format("it is not ready; its log is {}", node.log().string()));
}

Result<> Nemesis::set_links(const LocalNode& node, const std::string& state) {
  Result<> result;
  const auto set = [&](const LocalNode& at, const LocalNode& peer) {
    RespClient client;
    Result<> connected = client.connect(kLocalHost, at.client_port(), kCommandTimeout);
    if (!connected) {
      result = std::move(connected);
      return;
    }
    const auto reply = client.call({"EVEN.FAULT", "LINK", peer.name(), state}, kCommandTimeout);
    if (!reply) result = std::unexpected(reply.error());
  };
  for (const LocalNode& other : cluster_.nodes()) {
    if (other.number == node.number) continue;
    set(node, other);
    set(other, node);
  }
  return result;
}

}  // namespace even::cli
