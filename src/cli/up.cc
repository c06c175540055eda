// `even up`: makes and starts a cluster on this machine.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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
// A start that takes no longer needs no words.
constexpr std::chrono::seconds kFirstNotice(2);
constexpr std::chrono::seconds kPortPatience(1);
constexpr milliseconds kPortPoll(20);
constexpr std::chrono::seconds kNoticeInterval(5);
constexpr size_t kTailLines = 20;

struct Options {
  std::optional<int> nodes;
  std::optional<int> port_base;
  bool fresh = false;
  std::string dir = ".even";
  bool lose_unsynced_writes = false;
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

// A node that is to become ready.
struct Starting {
  const LocalNode* node;
  Process server;
  enum { kWaiting, kReady, kFailed } state = kWaiting;
  std::string last;  // what it said last, or why it failed
};

void look_at(Starting& starting) {
  auto reply = http_get(kLocalHost, starting.node->http_port(), "/readyz", milliseconds(1000));
  // The process is looked at after the answer: an answer counts only from a server that is still
  // there.
  if (starting.server.wait(milliseconds(0))) {
    starting.state = Starting::kFailed;
    starting.last = "it ended while it was starting";
  } else if (!reply) {
    starting.last = "it does not answer: " + reply.error().message;
  } else if (reply->status == 200) {
    starting.state = Starting::kReady;
  } else {
    starting.last = reply->body.substr(0, reply->body.find('\n'));
  }
}

// Waits until each node is ready or has failed, and says which are being waited for.
void wait_for(std::vector<Starting>& nodes) {
  auto deadline = steady_clock::now() + kReadyTimeout;
  auto next_notice = steady_clock::now() + kFirstNotice;
  for (;;) {
    std::vector<Starting*> waiting;
    for (Starting& starting : nodes) {
      if (starting.state != Starting::kWaiting) continue;
      look_at(starting);
      const LocalNode& node = *starting.node;
      if (starting.state == Starting::kReady) {
        fmt::print("{}  ready: clients {}, peers {}, HTTP {}\n", node.name(), node.client_port(),
                   node.peer_port(), node.http_port());
        std::fflush(stdout);
      } else if (starting.state == Starting::kWaiting) {
        waiting.push_back(&starting);
      }
    }
    if (waiting.empty()) return;
    if (steady_clock::now() >= deadline) {
      for (Starting* starting : waiting) {
        starting->state = Starting::kFailed;
        starting->last = fmt::format("not ready after {} s ({}); it is left running (pid {})",
                                     kReadyTimeout.count(), starting->last, starting->server.pid());
      }
      return;
    }
    if (steady_clock::now() >= next_notice) {
      for (const Starting* starting : waiting) {
        fmt::print("{}  waiting for it to be ready ({}); its log is {}\n", starting->node->name(),
                   starting->last, starting->node->log().string());
      }
      std::fflush(stdout);
      next_notice = steady_clock::now() + kNoticeInterval;
    }
    waiting.front()->server.wait(milliseconds(20));
  }
}

// What each failed node said last, and, where the eye ends up, which they are.
int report_failures(const std::vector<Starting>& nodes) {
  std::fflush(stdout);
  for (const Starting& starting : nodes) {
    if (starting.state == Starting::kFailed) print_tail(starting.node->log());
  }
  for (const Starting& starting : nodes) {
    if (starting.state != Starting::kFailed) continue;
    complain(fmt::format("{} failed: {}; its log is {}", starting.node->name(), starting.last,
                         starting.node->log().string()));
  }
  return 1;
}

// A running node of a local cluster, this one or another, that uses a port.
struct User {
  std::string node;
  fs::path cluster;
};
std::optional<User> user_of(uint16_t port) {
  for (const fs::path& config : running_configurations()) {
    // One that was started by hand, from where it was, is not of a local cluster.
    if (config.parent_path().parent_path().empty()) continue;
    const LocalCluster cluster(config.parent_path().parent_path());
    for (const LocalNode& node : cluster.nodes()) {
      const bool uses = port == node.client_port() || port == node.peer_port() ||
                        port == node.http_port() || port == node.kafka_port();
      if (node.config() == config && uses) return User{node.name(), cluster.dir()};
    }
  }
  return {};
}

// A process that was killed gives its ports back a moment later than it is gone.
bool becomes_free(uint16_t port, steady_clock::time_point deadline) {
  while (!port_is_free(port)) {
    if (steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPortPoll);
  }
  return true;
}

// Says which ports that the nodes need are taken, and what can be done; true if none is.
bool ports_are_free(const std::vector<const LocalNode*>& nodes) {
  bool all_free = true;
  const auto deadline = steady_clock::now() + kPortPatience;
  for (const LocalNode* node : nodes) {
    for (const auto& [port, use] :
         {std::pair{node->client_port(), "clients"}, std::pair{node->peer_port(), "peers"},
          std::pair{node->http_port(), "HTTP"}, std::pair{node->kafka_port(), "Kafka"}}) {
      if (becomes_free(port, deadline)) continue;
      all_free = false;
      if (const std::optional<User> user = user_of(port)) {
        complain(
            fmt::format("{} needs port {} ({}), which {} of the cluster in {} uses: `{} down "
                        "--dir {}` stops that cluster, and with --port-base a new one runs beside "
                        "it",
                        node->name(), port, use, user->node, user->cluster.string(),
                        beside_this_program("even").string(), user->cluster.string()));
        break;  // the same holds for its other ports
      }
      complain(
          fmt::format("{} needs port {} ({}), which another program uses: `ss -ltnp 'sport = "
                      ":{}'` shows which. --port-base gives a new cluster other ports",
                      node->name(), port, use, port));
    }
  }
  return all_free;
}

void print_next_steps(const LocalCluster& cluster, const std::string& dir) {
  const LocalNode& first = cluster.nodes().front();
  const LocalNode& last = cluster.nodes().back();
  std::string self = beside_this_program("even").string();
  std::string where = dir == Options{}.dir ? "" : " --dir " + dir;
  fmt::print(
      "\nThe cluster is up. Try:\n"
      "  redis-cli -p {} SET greeting hello\n"
      "  redis-cli -p {} GET greeting\n"
      "  {} status{}\n"
      "Stop it with ./dev down{}, or {} down{}. Data and logs are in {}\n",
      first.client_port(), last.client_port(), self, where, where, self, where,
      cluster.dir().string());
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
  const bool is_new = existing == 0;
  const int port_base = options.port_base.value_or(cluster.port_base());
  if (!is_new && port_base != cluster.port_base()) {
    return complain(
        fmt::format("the cluster in {} has its ports from {} on; --fresh makes a new one with "
                    "others, without the data of the old one",
                    cluster.dir().string(), cluster.port_base()),
        2);
  }
  if (Result<> written = cluster.write(count, port_base, options.lose_unsynced_writes); !written)
    return complain(written.error().message);

  std::vector<Starting> nodes;
  std::vector<const LocalNode*> to_start;
  for (const LocalNode& node : cluster.nodes()) {
    if (std::optional<Process> running = node.server()) {
      fmt::print("{}  runs already (pid {})\n", node.name(), running->pid());
      nodes.push_back({&node, std::move(*running)});
    } else {
      to_start.push_back(&node);
    }
  }
  if (!ports_are_free(to_start)) {
    if (is_new) static_cast<void>(cluster.remove());  // it may be made with other options next time
    return 1;
  }
  fs::path program = beside_this_program("evend");
  for (const LocalNode* node : to_start) {
    Result<Process> server =
        start_server(program, {"--config", node->config().string()}, node->log(), node->pid_file());
    if (!server) return complain(fmt::format("{}: {}", node->name(), server.error().message));
    fmt::print("{}  started (pid {})\n", node->name(), server->pid());
    nodes.push_back({node, std::move(*server)});
  }
  std::fflush(stdout);
  wait_for(nodes);
  if (std::ranges::any_of(nodes,
                          [](const Starting& node) { return node.state == Starting::kFailed; })) {
    return report_failures(nodes);
  }
  print_next_steps(cluster, options.dir);
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
  command
      ->add_option("--port-base", options->port_base,
                   "Node K of a new cluster takes clients on P + K, peers on P + 100 + K and HTTP "
                   "on P + 200 + K (default 7000)")
      ->check(CLI::Range(1, kMostPortBase))
      ->type_name("P");
  command->add_flag("--fresh", options->fresh,
                    "Stop the cluster if it runs, and start with empty data");
  command
      ->add_option("--dir", options->dir, "Where configuration, data and logs are (default .even)")
      ->type_name("DIR");
  command->add_flag("--lose-unsynced-writes", options->lose_unsynced_writes,
                    "Nodes keep in memory what their logs have not synced, so that SIGKILL loses "
                    "what a power failure would");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace even::cli
