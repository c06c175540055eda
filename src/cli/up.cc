// `even up`: makes and starts a cluster on this machine.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/http_client.h"
#include "cli/local_cluster.h"

namespace even::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kDefaultNodes = 3;
// Recovery replays a log: a cluster with much data may need a while, and says so in its log.
constexpr std::chrono::seconds kReadyTimeout(120);
constexpr size_t kTailLines = 20;

struct Options {
  std::optional<int> nodes;
  bool fresh = false;
  std::string dir = ".even";
};

int complain(const std::string& message, int code = 1) {
  std::fflush(stdout);
  fmt::print(stderr, "even up: {}\n", message);
  return code;
}

bool port_is_free(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;  // the server will say what is wrong
  int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool taken =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno == EADDRINUSE;
  close(fd);
  return !taken;
}

void print_tail(const fs::path& log) {
  std::deque<std::string> lines;
  std::ifstream in(log);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (lines.size() > kTailLines) lines.pop_front();
  }
  fmt::print(stderr, "The end of {}:\n", log.string());
  for (const std::string& line : lines) fmt::print(stderr, "  {}\n", line);
  if (lines.empty()) fmt::print(stderr, "  (nothing)\n");
}

// True when the node is ready; otherwise it has said on standard error why not.
bool wait_until_ready(const LocalNode& node, const Process& server,
                      steady_clock::time_point deadline) {
  std::string last;
  for (;;) {
    auto reply = http_get(kLocalHost, node.http_port(), "/readyz", milliseconds(1000));
    // The process is looked at after the answer: an answer counts only from a server that is still
    // there.
    if (server.wait(milliseconds(0))) {
      complain(fmt::format("{} ended while it was starting", node.name()));
      break;
    }
    if (reply && reply->status == 200) return true;
    last = reply ? fmt::format("/readyz answers {} {}", reply->status, reply->body)
                 : "/readyz: " + reply.error().message;
    if (steady_clock::now() >= deadline) {
      complain(fmt::format("{} is not ready after {} s ({}); it is left running (pid {})",
                           node.name(), kReadyTimeout.count(), last, server.pid()));
      break;
    }
    server.wait(milliseconds(20));
  }
  print_tail(node.log());
  return false;
}

void print_next_steps(const LocalCluster& cluster) {
  const LocalNode& first = cluster.nodes().front();
  const LocalNode& last = cluster.nodes().back();
  std::string self = beside_this_program("even").string();
  fmt::print(
      "\nThe cluster is up. Try:\n"
      "  redis-cli -p {} SET greeting hello\n"
      "  redis-cli -p {} GET greeting\n"
      "  {} status\n"
      "Stop it with ./dev down, or {} down. Data and logs are in {}\n",
      first.client_port(), last.client_port(), self, self, cluster.dir().string());
}

int run(const Options& options) {
  LocalCluster cluster(options.dir);
  if (Result<> locked = cluster.lock(); !locked) return complain(locked.error().message);
  if (options.fresh) {
    if (!stop_nodes(cluster.nodes())) {
      return complain("the old cluster could not be stopped; nothing was removed");
    }
    if (Result<> removed = cluster.remove(); !removed) return complain(removed.error().message);
  }
  int existing = static_cast<int>(cluster.nodes().size());
  int count = options.nodes.value_or(existing > 0 ? existing : kDefaultNodes);
  if (existing > 0 && count != existing) {
    return complain(
        fmt::format("the cluster in {} has {} nodes; --fresh makes a new one of {}, without the "
                    "data of the old one",
                    cluster.dir().string(), existing, count),
        2);
  }
  if (Result<> written = cluster.write(count); !written) return complain(written.error().message);

  fs::path program = beside_this_program("evend");
  std::vector<std::pair<const LocalNode*, Process>> servers;
  for (const LocalNode& node : cluster.nodes()) {
    if (std::optional<Process> running = node.server()) {
      fmt::print("{}  runs already (pid {})\n", node.name(), running->pid());
      servers.emplace_back(&node, std::move(*running));
      continue;
    }
    for (uint16_t port : {node.client_port(), node.peer_port(), node.http_port()}) {
      if (!port_is_free(port)) {
        return complain(
            fmt::format("{} needs port {}, which another program uses", node.name(), port));
      }
    }
    Result<Process> server =
        start_server(program, {"--config", node.config().string()}, node.log(), node.pid_file());
    if (!server) return complain(fmt::format("{}: {}", node.name(), server.error().message));
    fmt::print("{}  started (pid {})\n", node.name(), server->pid());
    servers.emplace_back(&node, std::move(*server));
  }
  std::fflush(stdout);

  auto deadline = steady_clock::now() + kReadyTimeout;
  bool all_ready = true;
  for (const auto& [node, server] : servers) {
    if (wait_until_ready(*node, server, deadline)) {
      fmt::print("{}  ready: clients {}, peers {}, HTTP {}\n", node->name(), node->client_port(),
                 node->peer_port(), node->http_port());
      std::fflush(stdout);
    } else {
      all_ready = false;
    }
  }
  if (!all_ready) return 1;
  print_next_steps(cluster);
  return 0;
}

}  // namespace

void add_up(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "up", "Start a cluster on this machine; nodes that run already are left alone");
  command->add_option("--nodes", options->nodes, "Number of nodes of a new cluster (default 3)")
      ->check(CLI::Range(1, kMaxLocalNodes))
      ->type_name("N");
  command->add_flag("--fresh", options->fresh,
                    "Stop the cluster if it runs, and start with empty data");
  command
      ->add_option("--dir", options->dir, "Where configuration, data and logs are (default .even)")
      ->type_name("DIR");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
