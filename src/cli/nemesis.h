// Breaks a cluster on this machine while it is being used, and mends it again: one fault at a time,
// on a node chosen at random, with quiet times between them.
//
//   kill     SIGKILL; the node is started again
//   restart  SIGTERM, which ends it in good order; the node is started again
//   pause    SIGSTOP, SIGCONT
//   cut      its links to all other nodes are down, in both directions (EVEN.FAULT LINK)
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

enum class Fault : std::uint8_t { kKill, kRestart, kPause, kCut };

// Of "kill,pause,cut,restart", in any order.
Result<std::vector<Fault>> parse_faults(std::string_view list);
std::string_view fault_name(Fault fault);

class Nemesis {
 public:
  // `tell` is called with what was done to which node: `begin` when the fault is there, else when
  // it is mended; `problem` is empty, or says what went wrong.
  using Tell = std::function<void(Fault fault, const LocalNode& node, bool begin,
                                  const std::string& problem)>;

  // Everything must outlive it; the cluster is locked by the caller.
  Nemesis(const LocalCluster& cluster, std::vector<Fault> faults, std::uint64_t seed, Tell tell);

  // Blocks until `stop` is true or `seconds` are over; everything is mended then, as far as that
  // can be. False if something could not be mended.
  bool run(double seconds, const std::atomic<bool>& stop);

 private:
  Result<> begin(Fault fault, const LocalNode& node);
  Result<> mend(Fault fault, const LocalNode& node);
  Result<> start(const LocalNode& node);
  Result<> set_links(const LocalNode& node, const std::string& state);

  const LocalCluster& cluster_;
  std::vector<Fault> faults_;
  std::mt19937_64 random_;
  Tell tell_;
};

}  // namespace even::cli
