// Breaks a cluster on this machine while it is being used, and mends it again: one fault at a time,
// on a node chosen at random, with quiet times between them.
//
//   kill      SIGKILL; the node is started again
//   kill-all  the same of all nodes at once
//   restart   SIGTERM, which ends it in good order; the node is started again
//   pause     SIGSTOP, SIGCONT
//   cut       its links to all other nodes are down, in both directions (EVEN.FAULT LINK)
//   one-way   what it sends to all other nodes is lost, or what they send to it, but not both
//   clock     its wall clock jumps, forward or back, and may run fast or slow (EVEN.FAULT CLOCK)
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/local_cluster.h"

namespace even::cli {

enum class Fault : std::uint8_t { kKill, kKillAll, kRestart, kPause, kCut, kOneWay, kClock };

// Of "kill,pause,cut,restart", in any order.
Result<std::vector<Fault>> parse_faults(std::string_view list);
std::string_view fault_name(Fault fault);

class Nemesis {
 public:
  // What was done.
  struct Event {
    Fault fault;
    std::string target;   // name of the node, or "all"
    bool begin;           // the fault is there; else it is mended
    std::string detail;   // what was drawn beyond fault and node; may be empty
    std::string problem;  // empty, or what went wrong
  };
  using Tell = std::function<void(const Event&)>;

  // Everything must outlive it; the cluster is locked by the caller.
  Nemesis(const LocalCluster& cluster, std::vector<Fault> faults, std::uint64_t seed, Tell tell);

  // Blocks until `stop` is true or `seconds` are over; everything is mended then, as far as that
  // can be. False if something could not be mended.
  bool run(double seconds, const std::atomic<bool>& stop);

 private:
  using Nodes = std::vector<const LocalNode*>;

  // What was drawn for it beyond fault and node, as words of EVEN.FAULT.
  std::vector<std::string> draw(Fault fault);
  Result<> begin(Fault fault, const Nodes& nodes, const std::vector<std::string>& drawn);
  Result<> mend(Fault fault, const Nodes& nodes);
  Result<> end_servers(const Nodes& nodes, int number);
  Result<> launch(const LocalNode& node);
  Result<> start(const Nodes& nodes);
  Result<> await_ready(const LocalNode& node);
  Result<> set_links(const LocalNode& node, const std::vector<std::string>& state);

  const LocalCluster& cluster_;
  std::vector<Fault> faults_;
  std::mt19937_64 random_;
  Tell tell_;
};

}  // namespace even::cli
