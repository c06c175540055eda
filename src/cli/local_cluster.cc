#include "cli/local_cluster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <system_error>
#include <utility>

#include "node/config.h"

namespace even::cli {
namespace {

namespace fs = std::filesystem;

// A server writes its log out when it ends, which a slow disk may take its time for.
constexpr std::chrono::seconds kStopTimeout(30);

Result<std::string> read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(fmt::format("cannot read {}", path.string()));
  return text.str();
}

// Replaces the file in one step, so that a server that starts meanwhile never reads half of it.
Result<> write_text(const fs::path& path, const std::string& text) {
  fs::path temporary = path.string() + ".new";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    if (!out) return fail(fmt::format("cannot write {}", temporary.string()));
  }
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) return fail(fmt::format("cannot write {}: {}", path.string(), error.message()));
  return {};
}

std::string new_cluster_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

Result<std::string> load_or_make_id(const fs::path& path) {
  if (fs::exists(path)) {
    Result<std::string> text = read_text(path);
    if (text) text->erase(text->find_last_not_of(" \n\r\t") + 1);
    if (text && text->empty()) return fail(fmt::format("{} is empty", path.string()));
    return text;
  }
  std::string id = new_cluster_id();
  if (Result<> written = write_text(path, id + "\n"); !written) {
    return std::unexpected(written.error());
  }
  return id;
}

// A cluster that has none has the default.
int read_port_base(const fs::path& path) {
  const Result<std::string> text = fs::exists(path) ? read_text(path) : std::string();
  int base = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), base).ec != std::errc()) {
    return kDefaultPortBase;
  }
  return base < 1 || base > kMostPortBase ? kDefaultPortBase : base;
}

LocalNode make_node(const fs::path& dir, int number, int port_base) {
  LocalNode node{.number = static_cast<uint16_t>(number),
                 .port_base = static_cast<uint16_t>(port_base),
                 .dir = {}};
  node.dir = dir / node.name();
  return node;
}

}  // namespace

LocalCluster::LocalCluster(const fs::path& dir) : dir_(fs::weakly_canonical(fs::absolute(dir))) {
  scan();
}

LocalCluster::~LocalCluster() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

void LocalCluster::scan() {
  nodes_.clear();
  port_base_ = read_port_base(dir_ / "port_base");
  for (int number = 1; number <= kMaxLocalNodes; ++number) {
    LocalNode node = make_node(dir_, number, port_base_);
    if (fs::exists(node.config())) nodes_.push_back(std::move(node));
  }
}

Result<> LocalCluster::lock() {
  std::error_code error;
  fs::create_directories(dir_, error);
  if (error) return fail(fmt::format("cannot make {}: {}", dir_.string(), error.message()));
  fs::path path = dir_ / "lock";
  lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0) return fail(fmt::format("cannot open {}: {}", path.string(), strerror(errno)));
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return fail(fmt::format("cannot lock {}: {}", path.string(), strerror(errno)));
    }
    return fail(
        fmt::format("another `even` is at work on {}; try again when it is done", dir_.string()));
  }
  scan();
  return {};
}

Result<> LocalCluster::remove() {
  std::error_code error;
  auto check = [&](const fs::path& path) -> Result<> {
    if (error) return fail(fmt::format("cannot remove {}: {}", path.string(), error.message()));
    return {};
  };
  for (const LocalNode& node : nodes_) {
    fs::remove_all(node.data(), error);
    if (Result<> result = check(node.data()); !result) return result;
    for (const fs::path& file : {node.log(), node.pid_file(), node.config()}) {
      fs::remove(file, error);
      if (Result<> result = check(file); !result) return result;
    }
    fs::remove(node.dir, error);  // fails, and may, when somebody keeps other files there
  }
  for (const fs::path& file : {dir_ / "cluster_id", dir_ / "port_base"}) {
    fs::remove(file, error);
    if (Result<> result = check(file); !result) return result;
  }
  scan();
  return {};
}

Result<> LocalCluster::write(int count, int port_base, bool lose_unsynced_writes) {
  Result<std::string> id = load_or_make_id(dir_ / "cluster_id");
  if (!id) return std::unexpected(id.error());
  if (port_base != port_base_) {
    const Result<> kept = write_text(dir_ / "port_base", fmt::format("{}\n", port_base));
    if (!kept) return kept;
  }
  std::vector<LocalNode> nodes;
  for (int number = 1; number <= count; ++number)
    nodes.push_back(make_node(dir_, number, port_base));
  for (const LocalNode& node : nodes) {
    std::error_code error;
    fs::create_directories(node.data(), error);
    if (error)
      return fail(fmt::format("cannot make {}: {}", node.data().string(), error.message()));
    std::string text = render_config(node, nodes, *id, lose_unsynced_writes);
    if (fs::exists(node.config()) && read_text(node.config()) == text) continue;
    if (Result<> written = write_text(node.config(), text); !written) return written;
  }
  scan();
  return {};
}

std::string render_config(const LocalNode& self, const std::vector<LocalNode>& nodes,
                          const std::string& cluster_id, bool lose_unsynced_writes) {
  std::string text = fmt::format(
      "# Written by `even up`, which writes it again at every start: changes made here are lost.\n"
      "\n"
      "[node]\nname = \"{}\"\ndata = {}\n"
      "\n"
      "[client]\nport = {}\n"
      "\n"
      "[peer]\nport = {}\n"
      "\n"
      "[http]\nport = {}\n"
      "\n"
      "[kafka]\nport = {}\n"
      "\n"
      "[faults]\nenabled = true\n{}"
      "\n"
      "[cluster]\nid = {}\n",
      self.name(), toml_string(self.data().string()), self.client_port(), self.peer_port(),
      self.http_port(), self.kafka_port(),
      lose_unsynced_writes ? "lose_unsynced_writes = true\n" : "", toml_string(cluster_id));
  for (const LocalNode& node : nodes) {
    text += fmt::format(
        "\n[[cluster.node]]\nname = \"{}\"\nnumber = {}\nhost = \"{}\"\npeer_port = {}\n"
        "client_port = {}\nhttp_port = {}\nkafka_port = {}\n",
        node.name(), node.number, kLocalHost, node.peer_port(), node.client_port(),
        node.http_port(), node.kafka_port());
  }
  return text;
}

bool stop_nodes(const std::vector<LocalNode>& nodes) {
  std::vector<std::pair<const LocalNode*, Process>> stopping;
  bool all_ended = true;
  for (const LocalNode& node : nodes) {
    std::optional<Process> server = node.server();
    if (!server) continue;
    if (!server->terminate() && !server->wait(std::chrono::milliseconds(0))) {
      fmt::print("{}  pid {} may not be stopped by this user\n", node.name(), server->pid());
      all_ended = false;
      continue;
    }
    stopping.emplace_back(&node, std::move(*server));
  }
  auto deadline = std::chrono::steady_clock::now() + kStopTimeout;
  for (const auto& [node, server] : stopping) {
    auto left = deadline - std::chrono::steady_clock::now();
    if (server.wait(std::chrono::ceil<std::chrono::milliseconds>(left))) {
      fmt::print("{}  stopped (pid {})\n", node->name(), server.pid());
      std::error_code ignored;  // a pid file that stays names no server of ours any more
      fs::remove(node->pid_file(), ignored);
    } else {
      fmt::print("{}  still running after {} s (pid {}); its log is {}\n", node->name(),
                 kStopTimeout.count(), server.pid(), node->log().string());
      all_ended = false;
    }
  }
  return all_ended;
}

}  // namespace even::cli
