// Clients of strong partitions. Each has one request under way: it asks a node, follows the leader,
// and gives up after a while; then it is not known what has become of the request, and another
// process takes the client's place. Requests with an id are asked for again. What nodes do for
// their clients (node/strong_requests.h) is done here in their place, by the same rules: next_of()
// and kept_ms(). A write that is refused has not been executed, as far as the client knows.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/node.h"
#include "sim/strong_groups.h"
#include "sim/strong_history.h"
#include "sim/strong_workload.h"

namespace even::sim {

class StrongClients {
 public:
  // All that is referred to outlives it.
  StrongClients(Run& run, const std::vector<std::unique_ptr<Node>>& nodes,
                const StrongGroups& groups, std::uint64_t seed);

  // Called when a node has answered a write, before anybody hears of it.
  std::function<void(NodeNumber)> on_written;

  void begin();
  // Asks a node for several writes at once, each by a client that has nothing else to do.
  void burst(PartitionId group, NodeNumber node);
  // Faults have ended: nothing is asked for any more but what read_all() does.
  bool idle() const;
  // Has all groups read, linearizably; idle() when that is done.
  void read_all();
  // At the end of the run. Throws Violation.
  void check();

 private:
  struct Request {
    StrongOperation operation;
    std::vector<std::vector<std::string_view>> commands;  // these view the operation, or:
    std::deque<std::vector<std::string>> scripts;
    std::vector<std::string_view> watched;
    StrongHistory::Asked asked;
  };
  struct Client {
    std::int64_t process = 0;
    std::uint64_t number = 0;                   // of its present request; counts
    std::shared_ptr<Request> request;           // null: none
    int unanswered = 0;                         // askings of it that may have been proposed
    int repetitions = 0;                        // left, of one with an id
    std::map<PartitionId, NodeNumber> leaders;  // as it was told last
    StrongHistory::Session session;
    std::deque<StrongOperation> queue;  // to come, if there are any
  };

  void act(std::size_t client);
  // Asks this node first; 0: whichever the client takes for the leader.
  void send(std::size_t client, StrongOperation operation, NodeNumber node = 0);
  void ask(std::size_t client, std::uint64_t number, NodeNumber node);
  void ask_later(std::size_t client, std::uint64_t number);
  void answered(std::size_t client, std::uint64_t number, const StrongOutcome& outcome);
  void give_up(std::size_t client, std::uint64_t number);
  void lose(std::size_t client);
  void rest(std::size_t client);
  StrongRequest request_of(const Request& request, Client& client) const;
  NodeNumber any_replica(PartitionId group);
  NodeNumber first_to_ask(const Client& client, PartitionId group);
  // How long the id of a request is kept.
  std::int64_t once_ms(const StrongOperation& operation) const;
  // Until a request is given up.
  std::int64_t patience_us();
  bool is_present(const Client& client, std::uint64_t number) const {
    return client.request != nullptr && client.number == number;
  }
  std::int64_t hop_us();
  std::int64_t around(std::int64_t mean_us) {
    return 1 + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(2 * mean_us)));
  }

  Run& run_;
  const std::vector<std::unique_ptr<Node>>& nodes_;
  const StrongGroups& groups_;
  Random random_;
  StrongWorkload workload_;
  StrongHistory history_;
  const std::size_t at_work_;  // of the clients; those behind them send what comes in bursts
  std::vector<Client> clients_;
  std::int64_t processes_ = 0;
};

}  // namespace even::sim
