// A cluster of several nodes on this machine, all of it in one directory:
//
//   lock              held (flock) by the command that is changing something
//   cluster_id        made once, kept until the cluster is made afresh
//   port_base         likewise
//   n1/even.toml      configuration, written anew by every `even up`
//   n1/data/          data
//   n1/evend.log      what the server printed
//   n1/evend.pid      number of its process
//   n2/...
//
// Node K takes clients on B + K, peers on B + 100 + K and HTTP on B + 200 + K, on 127.0.0.1; B is
// the port base, 7000 unless another one is asked for.
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
inline constexpr int kDefaultPortBase = 7000;
inline constexpr int kMostPortBase = 65535 - 300 - kMaxLocalNodes;
inline constexpr const char* kLocalHost = "127.0.0.1";

struct LocalNode {
  uint16_t number = 0;
  uint16_t port_base = kDefaultPortBase;
  std::filesystem::path dir;  // absolute

  std::string name() const { return "n" + std::to_string(number); }
  uint16_t client_port() const { return static_cast<uint16_t>(port_base + number); }
  uint16_t peer_port() const { return static_cast<uint16_t>(port_base + 100 + number); }
  uint16_t http_port() const { return static_cast<uint16_t>(port_base + 200 + number); }
  uint16_t kafka_port() const { return static_cast<uint16_t>(port_base + 300 + number); }
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
  // Of the cluster that is there, or else the default.
  int port_base() const { return port_base_; }

  // Makes the directory and keeps other commands from changing the cluster while this object lives.
  Result<> lock();
  // Removes the nodes with their data, the cluster's id and its port base, but no file that is not
  // ours. None of them may be running.
  Result<> remove();
  // Makes directories and configurations for nodes 1 to `count`; what is there already keeps its
  // data and its id. `lose_unsynced_writes`: see [faults] in docs/even.example.toml.
  Result<> write(int count, int port_base, bool lose_unsynced_writes = false);

 private:
  void scan();

  std::filesystem::path dir_;
  std::vector<LocalNode> nodes_;
  int port_base_ = kDefaultPortBase;
  int lock_fd_ = -1;
};

// Text of the configuration file of `self` in a cluster of `nodes`.
std::string render_config(const LocalNode& self, const std::vector<LocalNode>& nodes,
                          const std::string& cluster_id, bool lose_unsynced_writes);

// Asks each running node to end, waits for all of them and says how it went on standard output.
// True if none is left.
bool stop_nodes(const std::vector<LocalNode>& nodes);

}  // namespace even::cli
