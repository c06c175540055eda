// A cluster of several nodes on this machine, all of it in one directory:
//
//   lock              held (flock) by the command that is changing something
//   cluster_id        made once, kept until the cluster is made afresh
//   n1/even.toml      configuration, written anew by every `even up`
//   n1/data/          data
//   n1/evend.log      what the server printed
//   n1/evend.pid      number of its process
//   n2/...
//
// Node K takes clients on 7000 + K, peers on 7100 + K and HTTP on 7200 + K, on 127.0.0.1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/process.h"

namespace even::cli {

inline constexpr int kMaxLocalNodes = 99;  // so that the ranges of ports do not meet
inline constexpr const char* kLocalHost = "127.0.0.1";

struct LocalNode {
  uint16_t number = 0;
  std::filesystem::path dir;  // absolute

  std::string name() const { return "n" + std::to_string(number); }
  uint16_t client_port() const { return static_cast<uint16_t>(7000 + number); }
  uint16_t peer_port() const { return static_cast<uint16_t>(7100 + number); }
  uint16_t http_port() const { return static_cast<uint16_t>(7200 + number); }
  std::filesystem::path config() const { return dir / "even.toml"; }
  std::filesystem::path data() const { return dir / "data"; }
  std::filesystem::path log() const { return dir / "evend.log"; }
  std::filesystem::path pid_file() const { return dir / "evend.pid"; }

  // Its running server, if any.
  std::optional<Process> server() const { return find_server(pid_file(), config()); }
};

class LocalCluster {
 public:
  // Looks at a directory, which need not exist.
  explicit LocalCluster(const std::filesystem::path& dir);
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;
  ~LocalCluster();

  const std::filesystem::path& dir() const { return dir_; }
  // Nodes that have a configuration there, by number; empty when there is no cluster.
  const std::vector<LocalNode>& nodes() const { return nodes_; }

  // Makes the directory and keeps other commands from changing the cluster while this object lives.
  Result<> lock();
  // Removes the nodes with their data, and the cluster's id, but no file that is not ours. None of
  // them may be running.
  Result<> remove();
  // Makes directories and configurations for nodes 1 to `count`; what is there already keeps its
  // data and its id.
  Result<> write(int count);

 private:
  void scan();

  std::filesystem::path dir_;
  std::vector<LocalNode> nodes_;
  int lock_fd_ = -1;
};

// Text of the configuration file of `self` in a cluster of `nodes`.
std::string render_config(const LocalNode& self, const std::vector<LocalNode>& nodes,
                          const std::string& cluster_id);

// Asks each running node to end, waits for all of them and says how it went on standard output.
// True if none is left.
bool stop_nodes(const std::vector<LocalNode>& nodes);

}  // namespace even::cli
