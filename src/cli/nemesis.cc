#include "cli/nemesis.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <optional>
#include <thread>

#include "cli/http_client.h"
#include "cli/resp_client.h"

namespace even::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::pair<std::string_view, Fault> kFaults[] = {
    {"kill", Fault::kKill},   {"kill-all", Fault::kKillAll}, {"restart", Fault::kRestart},
    {"pause", Fault::kPause}, {"cut", Fault::kCut},          {"one-way", Fault::kOneWay},
    {"clock", Fault::kClock}};

constexpr double kQuietSeconds[] = {1, 3};
constexpr double kFaultSeconds[] = {1, 4};
// Clocks jump by 1 ms to 2^18 ms (4 minutes), short ways as often as long ones.
constexpr double kOffsetBits = 18;
constexpr int kRatePercents[] = {50, 100, 100, 200};
constexpr milliseconds kCommandTimeout{2000};
constexpr std::chrono::seconds kStopTimeout{30};
constexpr std::chrono::seconds kReadyTimeout{60};
constexpr milliseconds kPoll{20};

Result<> give(const LocalNode& node, const std::vector<std::string>& words) {
  RespClient client;
  Result<> connected = client.connect(kLocalHost, node.client_port(), kCommandTimeout);
  if (!connected) return connected;
  const auto reply = client.call(words, kCommandTimeout);
  return reply ? Result<>() : std::unexpected(reply.error());
}

}  // namespace

Result<std::vector<Fault>> parse_faults(std::string_view list) {
  std::vector<Fault> faults;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view name = list.substr(begin, end - begin);
    begin = end + 1;
    std::optional<Fault> fault;
    std::vector<std::string_view> names;
    for (const auto& [known, it] : kFaults) {
      if (known == name) fault = it;
      names.push_back(known);
    }
    if (!fault) {
      return fail(
          fmt::format("there is no fault '{}'; there are {}", name, fmt::join(names, ", ")));
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
    Nodes nodes;
    for (const LocalNode& node : cluster_.nodes()) nodes.push_back(&node);
    if (fault != Fault::kKillAll) nodes = {nodes[random_() % nodes.size()]};
    const std::vector<std::string> drawn = draw(fault);
    const Result<> begun = begin(fault, nodes, drawn);
    Event event{.fault = fault,
                .target = fault == Fault::kKillAll ? "all" : nodes.front()->name(),
                .begin = true,
                .detail = fmt::format("{}", fmt::join(drawn, " ")),
                .problem = begun ? "" : begun.error().message};
    tell_(event);
    wait(kFaultSeconds);
    const Result<> mended = mend(fault, nodes);
    event.begin = false;
    event.problem = mended ? "" : mended.error().message;
    tell_(event);
    all_mended &= mended.has_value();
  }
  return all_mended;
}

std::vector<std::string> Nemesis::draw(Fault fault) {
  if (fault == Fault::kOneWay) return {"DROP", "100", random_() % 2 == 0 ? "IN" : "OUT"};
  if (fault != Fault::kClock) return {};
  const double bits = std::uniform_real_distribution<double>(0, kOffsetBits)(random_);
  const auto offset_ms = std::llround(std::exp2(bits)) * (random_() % 2 == 0 ? 1 : -1);
  const int rate = kRatePercents[random_() % std::size(kRatePercents)];
  return {"OFFSET", std::to_string(offset_ms), "RATE", std::to_string(rate)};
}

Result<> Nemesis::begin(Fault fault, const Nodes& nodes, const std::vector<std::string>& drawn) {
  const LocalNode& node = *nodes.front();
  switch (fault) {
    case Fault::kKill:
    case Fault::kKillAll:
      return end_servers(nodes, SIGKILL);
    case Fault::kRestart:
      return end_servers(nodes, SIGTERM);
    case Fault::kPause: {
      const std::optional<Process> server = node.server();
      if (!server) return fail("it does not run");
      return server->signal(SIGSTOP) ? Result<>() : fail("it may not be stopped");
    }
    case Fault::kCut:
      return set_links(node, {"DOWN"});
    case Fault::kOneWay:
      return set_links(node, drawn);
    case Fault::kClock: {
      std::vector<std::string> words{"EVEN.FAULT", "CLOCK"};
      words.insert(words.end(), drawn.begin(), drawn.end());
      return give(node, words);
    }
  }
  return {};
}

Result<> Nemesis::mend(Fault fault, const Nodes& nodes) {
  const LocalNode& node = *nodes.front();
  switch (fault) {
    case Fault::kKill:
    case Fault::kKillAll:
    case Fault::kRestart:
      return start(nodes);
    case Fault::kPause: {
      const std::optional<Process> server = node.server();
      if (!server || !server->signal(SIGCONT)) return fail("it ended while it was stopped");
      return {};
    }
    case Fault::kCut:
    case Fault::kOneWay:
      return set_links(node, {"UP"});
    case Fault::kClock:
      return give(node, {"EVEN.FAULT", "CLOCK", "OFFSET", "0"});
  }
  return {};
}

// All of them at the same moment, as far as that can be.
Result<> Nemesis::end_servers(const Nodes& nodes, int number) {
  std::vector<Process> ending;
  bool all_run = true;
  for (const LocalNode* node : nodes) {
    std::optional<Process> server = node->server();
    all_run &= server.has_value();
    if (server) ending.push_back(std::move(*server));
  }
  for (const Process& server : ending) server.signal(number);
  for (const Process& server : ending) {
    if (!server.wait(kStopTimeout)) return fail("it does not end");
  }
  return all_run ? Result<>() : fail("it does not run");
}

Result<> Nemesis::launch(const LocalNode& node) {
  const auto started =
      start_server(beside_this_program("evend"), {"--config", node.config().string()}, node.log(),
                   node.pid_file());
  return started ? Result<>() : std::unexpected(started.error());
}

Result<> Nemesis::start(const Nodes& nodes) {
  for (const LocalNode* node : nodes) {
    if (node->server()) continue;
    if (Result<> launched = launch(*node); !launched) return launched;
  }
  for (const LocalNode* node : nodes) {
    if (Result<> ready = await_ready(*node); !ready) return ready;
  }
  return {};
}

// Ports that a killed process had may be taken for a moment longer: then it ends and is started
// again.
Result<> Nemesis::await_ready(const LocalNode& node) {
  const auto deadline = steady_clock::now() + kReadyTimeout;
  while (steady_clock::now() < deadline) {
    if (!node.server()) {
      if (Result<> launched = launch(node); !launched) return launched;
    }
    const auto ready = http_get(kLocalHost, node.http_port(), "/readyz", kCommandTimeout);
    if (ready && ready->status == 200) return {};
    std::this_thread::sleep_for(kPoll);
  }
  return fail(fmt::format("it is not ready; its log is {}", node.log().string()));
}

// A link that is down has to be so at both ends; what has a direction is at one.
Result<> Nemesis::set_links(const LocalNode& node, const std::vector<std::string>& state) {
  Result<> result;
  const auto set = [&](const LocalNode& at, const LocalNode& peer) {
    std::vector<std::string> words{"EVEN.FAULT", "LINK", peer.name()};
    words.insert(words.end(), state.begin(), state.end());
    if (Result<> given = give(at, words); !given) result = std::move(given);
  };
  for (const LocalNode& other : cluster_.nodes()) {
    if (other.number == node.number) continue;
    set(node, other);
    if (state.size() == 1) set(other, node);
  }
  return result;
}

}  // namespace even::cli
