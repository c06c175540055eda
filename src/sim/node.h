// One simulated node: the real core on a disk, a store and a clock of its own, and how it starts,
// crashes and is backed up. What clients and other nodes are to it is the world's: see Callbacks.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "env/sim_disk.h"
#include "replica/shard.h"
#include "sim/run.h"
#include "sim/workload.h"
#include "store/sim_store.h"

namespace even::sim {

class SimClock : public Clock {
 public:
  explicit SimClock(const Scheduler& scheduler) : scheduler_(scheduler) {}
  std::int64_t wall_ms() const override;
  std::int64_t monotonic_us() const override { return scheduler_.now_us(); }
  std::int64_t skew_ms = 0;

 private:
  const Scheduler& scheduler_;
};

enum class Loss : std::uint8_t {
  kProcess,   // nothing that was written
  kPower,     // what was not synced
  kDisk,      // everything
  kToBackup,  // everything, and a backup is restored
};

class Node final : public Transport {
 public:
  struct Callbacks {
    std::function<void(NodeNumber from, NodeNumber to, std::string message)> send;
    std::function<void(Node&)> started;
    std::function<void(Node&)> stopping;  // its sessions end
    std::function<void(Node&)> stopped;   // its replies will not come
    std::function<void(int client)> replied;
  };

  // `callbacks` must outlive the node, as `run` must.
  Node(Run& run, const Callbacks& callbacks, NodeNumber node_number, std::uint64_t seed);

  bool up() const { return shard_ != nullptr; }
  void start();
  // Nothing, when it is not up.
  void crash(Loss loss);
  // Stops as it should, and is started again.
  void restart_cleanly();
  void back_up();

  // Below, it is up.
  void link(NodeNumber peer, bool is_up);
  void receive(NodeNumber peer, const std::string& message);
  // Executes what a client asks for, if this node holds all keys of it. Returns whether a reply is
  // due.
  bool execute(int client, const Operation& operation);
  void need_turn();

  const Shard& shard() const { return *shard_; }
  std::size_t held() const { return held_.size(); }
  // Adds what it did in this run to the outcome.
  void count() const;

  const NodeNumber number;
  Random random;
  SimClock clock;
  SimDisk disk;
  SimStore rows;
  std::int64_t failed_since_us = 0;  // or later, while faults end

 private:
  // Rows, from the oldest to the newest backup.
  using Backup = std::map<std::string, std::string>;
  // A reply that waits for the log.
  struct Held {
    LogPosition barrier;
    int client;
    std::string reply;
    std::vector<std::pair<PartitionId, Dot>> made;
  };

  void send(NodeNumber peer, std::string message) override;
  ShardOptions shard_options();
  void forgive(Loss loss);
  Backup take_backup();
  void check_reply(const Operation& operation, const std::string& reply);
  void release();
  void tick(std::uint64_t run_number);
  void restart_after_failure(std::uint64_t run_number);

  Run& run_;
  const Callbacks& callbacks_;
  std::unique_ptr<RowStore> store_;
  std::unique_ptr<Shard> shard_;  // null while the node is down
  std::uint64_t run_number_ = 0;  // counts starts
  std::vector<ReplicaId> ended_;  // runs of which something may not be on the disk yet
  bool turn_scheduled_ = false;
  std::uint64_t repaired_ = 0;                    // partitions, as of the last tick
  std::map<PartitionId, VersionVector> vectors_;  // as last seen, to check that they only grow
  std::vector<Backup> backups_;
  std::deque<Held> held_;
  // Dots made since the current command began.
  std::vector<std::pair<PartitionId, Dot>> made_;
};

}  // namespace even::sim
