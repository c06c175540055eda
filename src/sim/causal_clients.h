// Clients at CAUSAL that go from node to node, read, write, and tell each other what they have seen
// with their tokens; and what must hold: what is shown of partitions has all that comes before it,
// whoever made it. See docs/causality.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/reserved_keys.h"
#include "replica/session_reach.h"
#include "sim/checks.h"

namespace even::sim {

class CausalClients {
 public:
  // The references outlive this.
  CausalClients(Run& run, const Nodes& nodes, std::uint64_t seed);

  void begin();

 private:
  using Past = std::map<PartitionId, VersionVector>;
  struct Session {
    std::string token;  // its content
    Past past;          // what comes before what it does next, as the checker knows it
    std::uint64_t request = 0;
    std::int64_t patience_us = 0;  // until then it waits for that
  };
  struct Request {
    Session& session;
    std::uint64_t number;
    Node& node;
    std::uint64_t run_number;  // of the node
    std::vector<PartitionId> partitions;
    bool writes;
  };

  void act();
  // Waits as a node does, until it can be executed.
  void ask(const Request& request);
  void execute(const Request& request);
  // What comes before what the node shows of the partition.
  void add_past_of(PartitionId partition, const PartitionState& state, Past& past) const;
  void check(const Request& request, const Past& past) const;

  Run& run_;
  const Nodes& nodes_;
  Random random_;
  const ReservedKeys tags_;
  std::vector<Session> sessions_;
  // Of what each run of a node has written to a partition at CAUSAL up to a record: what comes
  // before it.
  std::map<PartitionId, std::map<ReplicaId, std::map<std::uint64_t, Past>>> written_;
};

}  // namespace even::sim
