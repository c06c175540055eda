// Sessions that go from node to node with their tokens, and reads that are not older than they may
// be, of eventual partitions; and what must hold of them: a request is executed on a state that has
// all that its session has seen and written, and a bounded read on one that has all that had been
// acknowledged so long before. See docs/sessions.md.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "replica/session_reach.h"
#include "sim/checks.h"

namespace even::sim {

class SessionClients {
 public:
  // The references outlive this.
  SessionClients(Run& run, const Nodes& nodes, std::uint64_t seed);

  void begin();
  // The reply to what made this record has left.
  void acknowledged(PartitionId partition, const Dot& dot);

 private:
  struct Session {
    std::string token;  // its content
    // What it has seen and written, as the checker knows it.
    std::map<PartitionId, VersionVector> expected;
    std::uint64_t request = 0;     // the last one; counts
    std::int64_t patience_us = 0;  // until then it waits for that
  };
  // What had been acknowledged of a partition: long ago, and since then.
  struct Acknowledged {
    VersionVector before;
    std::deque<std::pair<std::int64_t, Dot>> since;
  };

  void act();
  Node* any_replica(PartitionId partition);
  void ask(Node& node, PartitionId partition);
  void ask(Session& session, Node& node, PartitionId partition, bool writes);
  void execute(Session& session, Node& node, PartitionId partition, bool writes);
  void read_bounded(Node& node, PartitionId partition, std::int64_t bound_us);
  void check_bounded(Node& node, PartitionId partition, std::int64_t bound_us,
                     const VersionVector& expected);

  Run& run_;
  const Nodes& nodes_;
  Random random_;
  std::vector<Session> sessions_;
  std::map<PartitionId, Acknowledged> acknowledged_;
};

}  // namespace even::sim
